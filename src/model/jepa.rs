//! The surprise protocol on top of any encoder and predictor.
//!
//! Source: Garrido et al., arXiv 2502.11831, and Bordes et al., arXiv 2506.09849; the reference in numbers is
//! `startle_models.reference.surprise`. Invariants: a context is encoded **alone**, from the first frames of the
//! window, so nothing of the future can reach it; the target is one encode of the whole window, shared by all
//! context lengths; every number leaves through [`Surprise::new`].

use super::conditions::{ActionTable, Conditioning};
use super::distance::{layer_norm, mean_distance};
use super::network::internal;
pub use super::network::{HeldQuestion, Network, Question, Widths};
use super::networks::FRAMES;
use super::tensor::{Normalizer, PixelBatch, leading_frames, noise_frames};
use super::{ContextErrors, FeatureControls, FeatureScorer, ModelInfo, Scorer, Trajectories, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::units::Surprise;
use std::ops::Range;
use std::sync::Arc;

/// A [`Scorer`] that predicts features: V-JEPA and its kin.
pub struct Jepa<N> {
    spec: ClipSpec,
    normalizer: Normalizer,
    widths: Widths,
    conditioning: Option<Conditioning>,
    info: ModelInfo,
    network: N,
    buffers: Buffers,
}

/// Where a batch's tokens may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Where the network computes them.
    Anywhere,
    /// In the buffers: more than the errors is needed of them.
    Here,
}

/// Memory that is used again by the next batch.
#[derive(Debug, Default)]
struct Buffers {
    pixels: Vec<f32>,
    context_pixels: Vec<f32>,
    target: Vec<f32>,
    context: Vec<f32>,
    prediction: Vec<f32>,
    context_pos: Vec<i64>,
    target_pos: Vec<i64>,
}

impl Buffers {
    /// The places of `windows` contexts and of what follows them: the target `slots`, of `area` tokens each.
    fn stand(&mut self, slots: &Range<usize>, area: usize, windows: usize) {
        positions(0..slots.start * area, windows, &mut self.context_pos);
        positions(slots.start * area..slots.end * area, windows, &mut self.target_pos);
    }
}

impl<N: Network> Jepa<N> {
    /// A model whose clips have the shape `spec` and whose tokens have these `widths`.
    ///
    /// # Errors
    /// [`Error::Config`] when the spec or the widths do not fit together.
    pub fn new(
        spec: ClipSpec,
        normalizer: Normalizer,
        widths: impl Into<Widths>,
        info: ModelInfo,
        network: N,
    ) -> Result<Self> {
        spec.check()?;
        let widths = widths.into();
        widths.check().map_err(Error::Config)?;
        Ok(Self { spec, normalizer, widths, conditioning: None, info, network, buffers: Buffers::default() })
    }

    /// The same model with a predictor that takes `dim` numbers of action and of state for each frame.
    #[must_use]
    pub fn conditioned(self, dim: usize) -> Self {
        Self { conditioning: Some(Conditioning::new(dim)), ..self }
    }

    /// What was done in the video that is scored from now on.
    ///
    /// # Errors
    /// [`Error::Config`] when the predictor takes no actions, or other ones.
    pub fn set_actions(&mut self, table: Arc<ActionTable>) -> Result<()> {
        let Some(conditioning) = &mut self.conditioning else {
            return Err(Error::Config(format!("{} takes no actions; leave out --actions", self.info.name)));
        };
        conditioning.set(table)
    }

    /// The graphs.
    pub const fn network(&self) -> &N {
        &self.network
    }

    /// The errors of the self-test clip, which is noise from `seed`.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_noise(&mut self, seed: u32) -> Result<WindowErrors> {
        self.buffers.pixels.clear();
        for frame in noise_frames(&self.spec, seed) {
            self.normalizer.append(&frame, &mut self.buffers.pixels);
        }
        if let Some(conditioning) = &mut self.conditioning {
            conditioning.noise(seed, self.spec.frames_per_clip as usize);
        }
        let mut windows = self.score_pixels(1, Tokens::Anywhere)?;
        windows.pop().ok_or_else(|| internal("no window was scored".into()))
    }

    /// As [`Jepa::score_noise`], of a clip that is cut as `spec` says: other frames and contexts of the same pictures.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_noise_of(&mut self, seed: u32, spec: &ClipSpec) -> Result<WindowErrors> {
        let own = std::mem::replace(&mut self.spec, spec.clone());
        let scored = self.score_noise(seed);
        self.spec = own;
        scored
    }

    /// As [`Jepa::score_noise`] for several windows in one call, each of another noise.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_noises(&mut self, windows: usize) -> Result<Vec<WindowErrors>> {
        self.buffers.pixels.clear();
        for seed in 0..windows {
            for frame in noise_frames(&self.spec, seed as u32) {
                self.normalizer.append(&frame, &mut self.buffers.pixels);
            }
        }
        if let Some(conditioning) = &mut self.conditioning {
            (0..windows).for_each(|seed| conditioning.noise(seed as u32, self.spec.frames_per_clip as usize));
        }
        self.score_pixels(windows, Tokens::Anywhere)
    }

    fn score_clips(&mut self, clips: &[Clip], tokens: Tokens) -> Result<Vec<WindowErrors>> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        self.buffers.pixels.clear();
        for clip in clips {
            check_clip(clip, &self.spec)?;
            for frame in &clip.frames {
                self.normalizer.append_picture(&frame.square, &mut self.buffers.pixels);
            }
        }
        if let Some(conditioning) = &mut self.conditioning {
            conditioning.collect(clips, self.spec.model_fps)?;
        }
        let opens = clips[0].is_first() && !self.spec.opening_contexts.is_empty();
        let mut scored = self.score_pixels(clips.len(), if opens { Tokens::Here } else { tokens })?;
        for index in 0..if opens { self.spec.opening_contexts.len() } else { 0 } {
            let context = self.spec.opening_contexts[index];
            self.predict_from(context, 1)?;
            self.compare(context, &mut scored[..1])?;
        }
        Ok(scored)
    }

    /// Scores the `windows` windows whose pixels are in the buffer.
    fn score_pixels(&mut self, windows: usize, tokens: Tokens) -> Result<Vec<WindowErrors>> {
        let Self { spec, network, buffers, .. } = self;
        let whole = whole(spec, &buffers.pixels, windows);
        if tokens == Tokens::Anywhere && network.hold_target(whole)? {
            return self.compare_held(windows);
        }
        network.encode_target(whole, &mut buffers.target)?;
        expect_tokens(
            "target encoder",
            buffers.target.len(),
            windows * spec.slots() * spec.tokens_per_slot(),
            self.widths.target,
        )?;
        layer_norm(&mut buffers.target, self.widths.target / self.widths.levels);
        let mut scored = no_errors(spec, windows);
        for index in 0..self.spec.context_lengths.len() {
            let context = self.spec.context_lengths[index];
            self.predict_from(context, windows)?;
            self.compare(context, &mut scored)?;
        }
        Ok(scored)
    }

    /// The errors of the windows whose targets the network holds.
    fn compare_held(&mut self, windows: usize) -> Result<Vec<WindowErrors>> {
        let Self { spec, network, buffers, .. } = self;
        let (area, mut scored) = (spec.tokens_per_slot(), no_errors(spec, windows));
        for &context in &spec.context_lengths {
            let slots = spec.target_slots(context);
            buffers.stand(&slots, area, windows);
            let pixels =
                leading_frames(whole(spec, &buffers.pixels, windows), context as usize, &mut buffers.context_pixels);
            let question = HeldQuestion { pixels, context_pos: &buffers.context_pos, target_pos: &buffers.target_pos };
            network.errors_to_held(question, &mut buffers.prediction)?;
            expect_tokens("comparison", buffers.prediction.len(), windows * slots.len() * area, 1)?;
            for (window, errors) in scored.iter_mut().zip(buffers.prediction.chunks_exact(slots.len() * area)) {
                let errors = checked(errors.iter().copied())?;
                window.contexts.push(ContextErrors { context, first_slot: slots.start, errors });
            }
        }
        Ok(scored)
    }

    /// The errors of expecting the target features of the last context slot to stay, for the `windows` windows whose
    /// normalised targets are in the buffer.
    fn copy_errors(&self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        let dim = self.widths.target;
        let slot = self.spec.tokens_per_slot() * dim;
        let mut scored = no_errors(&self.spec, clips.len());
        let targets = self.buffers.target.chunks_exact(self.spec.slots() * slot);
        for ((window, target), clip) in scored.iter_mut().zip(targets).zip(clips) {
            for context in self.spec.contexts_of(clip) {
                let slots = self.spec.target_slots(context);
                let last = &target[(slots.start - 1) * slot..slots.start * slot];
                let errors = target[slots.start * slot..slots.end * slot]
                    .chunks_exact(slot)
                    .flat_map(|now| now.chunks_exact(dim).zip(last.chunks_exact(dim)))
                    .map(|(now, then)| mean_distance(now, then));
                window.contexts.push(ContextErrors { context, first_slot: slots.start, errors: checked(errors)? });
            }
        }
        Ok(scored)
    }

    /// Encodes the first `context` frames alone and predicts what follows, into the buffers.
    fn predict_from(&mut self, context: u32, windows: usize) -> Result<()> {
        let Self { spec, widths, conditioning, network, buffers, .. } = self;
        let area = spec.tokens_per_slot();
        let slots = spec.target_slots(context);
        let seen = leading_frames(whole(spec, &buffers.pixels, windows), context as usize, &mut buffers.context_pixels);
        network.encode(seen, &mut buffers.context)?;
        expect_tokens("encoder", buffers.context.len(), windows * slots.start * area, widths.context)?;
        if let Some(conditioning) = conditioning {
            let given = conditioning.given(windows, context as usize, (widths.context, &buffers.context));
            network.predict_given(given, &mut buffers.prediction)?;
        } else {
            buffers.stand(&slots, area, windows);
            let question = Question {
                windows,
                dim: widths.context,
                context: &buffers.context,
                context_pos: &buffers.context_pos,
                target_pos: &buffers.target_pos,
            };
            network.predict(question, &mut buffers.prediction)?;
        }
        expect_tokens("predictor", buffers.prediction.len(), windows * slots.len() * area, widths.target)
    }

    /// Adds the errors for `context` to each window: mean |prediction − target| over the features of each token.
    fn compare(&self, context: u32, scored: &mut [WindowErrors]) -> Result<()> {
        let (dim, area) = (self.widths.target, self.spec.tokens_per_slot());
        let slots = self.spec.target_slots(context);
        let predictions = self.buffers.prediction.chunks_exact(slots.len() * area * dim);
        let targets = self.buffers.target.chunks_exact(self.spec.slots() * area * dim);
        for ((window, prediction), target) in scored.iter_mut().zip(predictions).zip(targets) {
            let target = &target[slots.start * area * dim..slots.end * area * dim];
            let errors = prediction
                .chunks_exact(dim)
                .zip(target.chunks_exact(dim))
                .map(|(prediction, target)| mean_distance(prediction, target));
            window.contexts.push(ContextErrors { context, first_slot: slots.start, errors: checked(errors)? });
        }
        Ok(())
    }
}

impl<N: Network> Scorer for Jepa<N> {
    fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    fn info(&self) -> ModelInfo {
        ModelInfo { execution_provider: self.network.provider(), ..self.info.clone() }
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        self.score_clips(clips, Tokens::Anywhere)
    }

    fn inference_seconds(&self) -> f64 {
        self.network.seconds()
    }
}

impl<N: Network> FeatureScorer for Jepa<N> {
    fn score_with_controls(&mut self, clips: &[Clip]) -> Result<(Vec<WindowErrors>, Option<FeatureControls>)> {
        let scored = self.score_clips(clips, Tokens::Here)?;
        let copied = if clips.is_empty() { Vec::new() } else { self.copy_errors(clips)? };
        let seen = if clips.is_empty() { &[][..] } else { &self.buffers.target };
        let path = (self.info.family == FRAMES)
            .then(|| Trajectories::of(clips, &self.spec, seen, self.widths.target))
            .transpose()?;
        Ok((scored, Some(FeatureControls { copied, path })))
    }
}

/// The pixels of `windows` whole windows.
const fn whole<'a>(spec: &ClipSpec, data: &'a [f32], windows: usize) -> PixelBatch<'a> {
    PixelBatch { data, windows, frames: spec.frames_per_clip as usize, side: spec.crop_size as usize }
}

/// A window of errors for each of `windows` windows, still without contexts.
fn no_errors(spec: &ClipSpec, windows: usize) -> Vec<WindowErrors> {
    vec![Vec::with_capacity(spec.context_lengths.len()).into(); windows]
}

/// Refuses a clip that does not have the shape `spec`: a fault of the stage that cut it.
pub(super) fn check_clip(clip: &Clip, spec: &ClipSpec) -> Result<()> {
    if clip.frames.len() != spec.frames_per_clip as usize {
        return Err(internal(format!(
            "a clip has {} frames, the model takes {}",
            clip.frames.len(),
            spec.frames_per_clip
        )));
    }
    let side = spec.crop_size;
    match clip.frames.iter().map(|frame| &frame.square).find(|p| (p.width(), p.height()) != (side, side)) {
        Some(p) => {
            Err(internal(format!("a frame has {}×{} pixels, the model takes {side}×{side}", p.width(), p.height())))
        }
        None => Ok(()),
    }
}

fn expect_tokens(graph: &str, values: usize, tokens: usize, dim: usize) -> Result<()> {
    if values == tokens * dim {
        return Ok(());
    }
    Err(Error::Inference(format!(
        "the {graph} gave {values} values where {tokens} tokens of {dim} features were due; \
         the graph does not fit its manifest (try `startle models verify`)"
    )))
}

/// The errors, each finite and not negative.
fn checked(errors: impl Iterator<Item = f32>) -> Result<Vec<f32>> {
    errors.map(|error| Surprise::new(error).map(Surprise::get)).collect()
}

/// The same run of positions for each window.
fn positions(range: Range<usize>, windows: usize, out: &mut Vec<i64>) {
    out.clear();
    for _ in 0..windows {
        out.extend(range.clone().map(|position| position as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_repeat_for_each_window() {
        let mut out = vec![7];
        positions(2..4, 2, &mut out);
        assert_eq!(out, [2, 3, 2, 3]);
    }
}
