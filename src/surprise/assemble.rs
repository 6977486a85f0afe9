//! Overlapping windows to a sequence of slots: every slot of the video is predicted by several windows and contexts,
//! at several horizons; this brings them together. A model of objects says all that it has to say of a slot at once.

use super::evidence::FadingMean;
use super::sign::{self, Weighed};
use super::{Baseline, Footing, NuisanceModel, Nuisances, Scene, Sign, WindowErrors, top_count, top_k_mean};
use crate::clip::{Clip, ClipSpec, ModelFrame};
use crate::units::MediaTime;
use ndarray::ArrayView1;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The surprise of one slot of the video, final: no later window predicts it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The segment it lies in.
    pub segment: u32,
    /// When its first frame appears.
    pub start: MediaTime,
    /// When its last frame is replaced.
    pub end: MediaTime,
    /// `unadjusted` without what its nuisances explain.
    pub surprise: f32,
    /// Top-k mean of the tokens' errors on their footing, averaged over predictions.
    pub unadjusted: f32,
    /// What makes it surprising without making it impossible.
    pub nuisances: Nuisances,
    /// Mean error over tokens and predictions, not normalised.
    pub raw: f32,
    /// Mean absolute luma change of its frames, 0..1.
    pub motion: f32,
    /// Each token's error on its footing, averaged over predictions; row-major.
    pub heat: Vec<f32>,
    /// The slot's last frame.
    pub frame: Arc<ModelFrame>,
    /// What a model of objects says of it.
    pub scene: Option<Arc<Scene>>,
    /// What speaks for an event in that scene, the strongest first.
    pub signs: Vec<Sign>,
    /// How surprising each kind of prediction was, ascending: by horizon, in slots (0: made right before), the top-k mean on
    /// its footing, averaged over contexts; of a scene by part, the largest rank.
    pub by_horizon: Vec<(usize, f32)>,
}

impl Slot {
    /// Middle of the slot: the time that stands for it in every output.
    pub fn middle(&self) -> MediaTime {
        self.start.midpoint(self.end)
    }
}

/// What has been predicted of a slot so far.
#[derive(Default)]
struct Pending {
    predictions: u32,
    surprise: f32,
    raw: f32,
    heat: Vec<f32>,
    frames: Vec<Arc<ModelFrame>>,
    nuisances: Nuisances,
    /// Of each horizon, the sum of its surprises and how many there are.
    by_horizon: BTreeMap<usize, (f32, u32)>,
}

/// Collects window errors, in order, into slots.
pub struct Assembler {
    spec: ClipSpec,
    footing: Footing,
    nuisances: NuisanceModel,
    top: usize,
    /// The tokens that count; empty: all.
    watched: Vec<bool>,
    segment: u32,
    /// Index within the segment of `pending`'s front.
    front: u64,
    pending: VecDeque<Pending>,
    evidence: FadingMean,
}

impl Assembler {
    /// For one model; `footing` brings the errors of every context and horizon to one scale, `nuisances` takes out what
    /// is not impossible but only lively.
    pub fn new(spec: &ClipSpec, footing: Footing, nuisances: NuisanceModel, top_fraction: f32) -> Self {
        let top = top_count(spec.tokens_per_slot(), top_fraction);
        Self {
            spec: spec.clone(),
            footing,
            nuisances,
            top,
            watched: Vec::new(),
            segment: 0,
            front: 0,
            pending: VecDeque::new(),
            evidence: FadingMean::default(),
        }
    }

    /// As a baseline says; without one, errors and surprise are left as they are.
    pub fn on_baseline(spec: &ClipSpec, baseline: Option<&Baseline>, top_fraction: f32) -> Self {
        let (footing, nuisances) = baseline.map_or_else(
            || (Footing::identity(), NuisanceModel::identity()),
            |b| (b.footing().clone(), *b.nuisances()),
        );
        Self::new(spec, footing, nuisances, top_fraction)
    }

    /// From now on only these tokens count, row-major: the others surprise nobody. The number of tokens whose mean is a
    /// slot's surprise stays that of the whole picture.
    ///
    /// # Panics
    /// When there are not as many as a slot has tokens (a fault of the program).
    pub fn watch_only(&mut self, tokens: Vec<bool>) {
        assert_eq!(tokens.len(), self.spec.tokens_per_slot(), "tokens of a mask");
        self.watched = tokens;
    }

    /// Takes the next window; gives the slots that became final, in order of time.
    pub fn push(&mut self, clip: &Clip, window: &WindowErrors) -> Vec<Slot> {
        let mut done = Vec::new();
        if clip.segment != self.segment {
            done = self.finish();
            self.segment = clip.segment;
        }
        if let Some(scene) = &window.scene {
            done.extend(self.of_scene(clip, scene, window));
            return done;
        }
        let clip_slot = clip.start_tick / u64::from(self.spec.tubelet_size);
        for context in &window.contexts {
            let first_horizon = (context.context / self.spec.tubelet_size) as usize;
            for (offset, errors) in context.errors.outer_iter().enumerate() {
                let slot = context.first_slot + offset;
                let horizon = slot - first_horizon;
                let mut heat = self.footing.apply(context.context, horizon, errors);
                heat.iter_mut().zip(&self.watched).filter(|(_, watched)| !**watched).for_each(|(h, _)| *h = 0.0);
                self.add(clip_slot + slot as u64, (clip, slot, horizon), errors, heat);
            }
        }
        let shortest = self.spec.context_lengths.first().copied().unwrap_or(0);
        let next_clip = clip.start_tick + u64::from(self.spec.stride);
        let next_predicted = (next_clip + u64::from(shortest)) / u64::from(self.spec.tubelet_size);
        while self.front < next_predicted {
            let Some(pending) = self.pop() else { break };
            done.extend(self.finished(pending));
        }
        done
    }

    /// Ends the segment: gives what is left of it.
    pub fn finish(&mut self) -> Vec<Slot> {
        let mut done = Vec::new();
        while let Some(pending) = self.pop() {
            done.extend(self.finished(pending));
        }
        self.front = 0;
        self.evidence.reset();
        done
    }

    /// The clip's last slot, which is final: nothing else predicts it.
    fn of_scene(&mut self, clip: &Clip, scene: &Arc<Scene>, window: &WindowErrors) -> Option<Slot> {
        let frame = clip.frames.last()?;
        let Weighed { surprise, signs, heat, parts } =
            sign::weigh(scene, &self.footing, self.spec.grid(), &self.watched);
        let surprise = self.evidence.push(surprise);
        Some(Slot {
            segment: self.segment,
            start: frame.time,
            end: frame.time.plus(self.spec.tick_time(1)),
            surprise,
            unadjusted: surprise,
            nuisances: Nuisances::default(),
            raw: window.contexts.iter().map(|context| context.surprise() as f32).sum(),
            motion: frame.change.motion,
            heat,
            frame: Arc::clone(frame),
            scene: Some(Arc::clone(scene)),
            signs,
            by_horizon: parts.into_iter().enumerate().collect(),
        })
    }

    fn add(
        &mut self,
        slot: u64,
        (clip, at_clip, horizon): (&Clip, usize, usize),
        errors: ArrayView1<'_, f32>,
        heat: Vec<f32>,
    ) {
        if self.pending.is_empty() {
            self.front = slot;
        }
        let at = slot.saturating_sub(self.front) as usize;
        while self.pending.len() <= at {
            let heat = vec![0.0; self.spec.tokens_per_slot()];
            self.pending.push_back(Pending { heat, ..Pending::default() });
        }
        let pending = &mut self.pending[at];
        pending.predictions += 1;
        let surprise = top_k_mean(&heat, self.top);
        pending.surprise += surprise;
        let of_horizon = pending.by_horizon.entry(horizon).or_default();
        *of_horizon = (of_horizon.0 + surprise, of_horizon.1 + 1);
        pending.raw += errors.iter().sum::<f32>() / errors.len() as f32;
        for (sum, value) in pending.heat.iter_mut().zip(heat) {
            *sum += value;
        }
        if pending.frames.is_empty() {
            let frames = clip_frames(clip, &self.spec, at_clip);
            pending.frames = frames.to_vec();
            pending.nuisances = Nuisances::of(clip_frames(clip, &self.spec, at_clip.saturating_sub(1)), frames);
        }
    }

    fn pop(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front()?;
        self.front += 1;
        Some(pending)
    }

    /// `None` for a slot that no window predicted (with a stride longer than the targets).
    fn finished(&self, mut pending: Pending) -> Option<Slot> {
        let (first, last) = (pending.frames.first()?, pending.frames.last()?);
        let n = pending.predictions as f32;
        pending.heat.iter_mut().for_each(|v| *v /= n);
        Some(Slot {
            segment: self.segment,
            start: first.time,
            end: last.time.plus(self.spec.tick_time(1)),
            surprise: self.nuisances.adjust(pending.surprise / n, &pending.nuisances),
            unadjusted: pending.surprise / n,
            nuisances: pending.nuisances,
            raw: pending.raw / n,
            motion: pending.frames.iter().map(|f| f.change.motion).sum::<f32>() / pending.frames.len() as f32,
            heat: pending.heat,
            frame: Arc::clone(last),
            scene: None,
            signs: Vec::new(),
            by_horizon: pending.by_horizon.into_iter().map(|(h, (sum, n))| (h, sum / n as f32)).collect(),
        })
    }
}

/// The frames of one of a clip's slots.
fn clip_frames<'a>(clip: &'a Clip, spec: &ClipSpec, slot: usize) -> &'a [Arc<ModelFrame>] {
    let tubelet = spec.tubelet_size as usize;
    &clip.frames[slot * tubelet..(slot + 1) * tubelet]
}

#[cfg(test)]
mod tests {
    use super::super::ContextErrors;
    use super::*;
    use crate::clip::{frame_for_tests, spec_for_tests};
    use ndarray::Array2;

    fn clip(spec: &ClipSpec, segment: u32, start_tick: u64) -> Clip {
        let frame = |i: u64| Arc::new(frame_for_tests(spec.tick_time(start_tick + i)));
        Clip {
            stream: 0,
            frame_step: 1,
            segment,
            start_tick,
            frames: (0..u64::from(spec.frames_per_clip)).map(frame).collect(),
        }
    }

    /// Errors that name the absolute slot they belong to, so that a mix-up shows.
    fn window(spec: &ClipSpec, clip: &Clip) -> WindowErrors {
        let contexts = spec.context_lengths.iter().map(|&context| {
            let slots = spec.target_slots(context);
            let first = clip.start_tick / 2;
            let number = |(at, _)| (first + (slots.start + at) as u64) as f32;
            let errors = Array2::from_shape_fn((slots.len(), spec.tokens_per_slot()), number);
            ContextErrors { context, first_slot: slots.start, errors }
        });
        contexts.collect::<Vec<_>>().into()
    }

    #[test]
    fn every_predicted_slot_comes_out_once_in_order_with_its_own_error() {
        let spec = spec_for_tests();
        let mut assembler = Assembler::new(&spec, Footing::identity(), NuisanceModel::identity(), 0.1);
        let mut slots = Vec::new();
        for (segment, windows) in [(0, 5), (1, 3)] {
            for w in 0..windows {
                let clip = clip(&spec, segment, w * 2);
                slots.extend(assembler.push(&clip, &window(&spec, &clip)));
            }
        }
        slots.extend(assembler.finish());
        let expected: Vec<(u32, u64)> = (2..8).map(|s| (0, s)).chain((2..6).map(|s| (1, s))).collect();
        assert_eq!(slots.len(), expected.len());
        for (slot, (segment, index)) in slots.iter().zip(expected) {
            assert_eq!(slot.segment, segment);
            assert!((slot.raw - index as f32).abs() < 1e-5, "{} {index}", slot.raw);
            assert!((slot.surprise - index as f32).abs() < 1e-5);
            assert_eq!(slot.start, spec.tick_time(index * 2));
        }
    }

    #[test]
    fn a_slot_is_final_as_soon_as_no_window_can_predict_it() {
        let spec = spec_for_tests();
        let mut assembler = Assembler::new(&spec, Footing::identity(), NuisanceModel::identity(), 0.1);
        let first = clip(&spec, 0, 0);
        assert_eq!(assembler.push(&first, &window(&spec, &first)).len(), 1);
    }
}
