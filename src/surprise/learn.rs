//! What is kept of normal footage until all of it has been seen: a baseline is learnt in two passes over it.

use super::{Assembler, Footing, FootingBuilder, NormalSlot, NuisanceModel, Slot, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use std::sync::Arc;

/// Collects the windows of normal videos.
///
/// Memory: four bytes per token error and a few kilobytes per window; as much again while the footing is made.
pub struct Learner {
    spec: ClipSpec,
    windows: Vec<(usize, Clip, WindowErrors)>,
}

impl Learner {
    /// For the windows of one model.
    pub fn new(spec: &ClipSpec) -> Self {
        Self { spec: spec.clone(), windows: Vec::new() }
    }

    /// Takes the next window of a video; the windows of one video follow each other.
    pub fn push(&mut self, video: usize, clip: &Clip, window: &WindowErrors) {
        let mut window = window.clone();
        // The things are not needed, and of the clip no more than the slot that was judged.
        let clip = match window.scene.take() {
            Some(scene) => {
                window.scene = Some(Arc::new(scene.without_things()));
                clip.last_alone().without_pixels()
            }
            None => clip.without_pixels(),
        };
        self.windows.push((video, clip, window));
    }

    /// How errors are brought to one scale; for a fixed camera, in every place.
    pub fn footing(&self, fixed_camera: bool) -> Footing {
        let mut builder = FootingBuilder::default();
        self.windows.iter().for_each(|(_, _, window)| builder.push(&self.spec, window));
        builder.footing(fixed_camera.then_some(self.spec.tokens_per_slot()))
    }

    /// The slots of every unbroken run.
    pub fn runs(&self, footing: &Footing, top_fraction: f32) -> Vec<Vec<NormalSlot>> {
        type Window = (usize, Clip, WindowErrors);
        let same_run = |a: &Window, b: &Window| (a.0, a.1.segment) == (b.0, b.1.segment);
        let slots = |run: &[Window]| {
            let mut one = Assembler::new(&self.spec, footing.clone(), NuisanceModel::identity(), top_fraction);
            let mut slots: Vec<Slot> = run.iter().flat_map(|(_, clip, errors)| one.push(clip, errors)).collect();
            slots.extend(one.finish());
            slots.iter().map(|s| NormalSlot { unadjusted: s.unadjusted, nuisances: s.nuisances }).collect()
        };
        self.windows.chunk_by(same_run).map(slots).collect()
    }

    /// What the nuisances explain; nothing, of what a model of objects says.
    pub fn nuisances(&self, footing: &Footing, top_fraction: f32) -> NuisanceModel {
        if footing.is_by_parts() {
            return NuisanceModel::identity();
        }
        let slots: Vec<_> =
            self.runs(footing, top_fraction).iter().flatten().map(|slot| (slot.nuisances, slot.unadjusted)).collect();
        NuisanceModel::fit(&slots)
    }

    /// Whether nothing was seen.
    pub const fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}
