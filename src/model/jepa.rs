//! The surprise protocol on top of any encoder and predictor.
//!
//! Source: Garrido et al., arXiv 2502.11831, and Bordes et al., arXiv 2506.09849; the reference in numbers is
//! `startle_models.reference.surprise`. Invariants: a context is encoded **alone**, from the first frames of the
//! window, so nothing of the future can reach it; the target is one encode of the whole window, shared by all
//! context lengths; every number leaves through [`Surprise::new`].

use super::conditions::{ActionTable, Conditioning, Given};
use super::distance::{layer_norm, mean_distances};
use super::network::internal;
pub use super::network::{HeldQuestion, Network, Question, Widths};
use super::networks::FRAMES;
use super::tensor::{Normalizer, Pixels, leading_frames, noise_frames};
use super::{ContextErrors, FeatureControls, FeatureScorer, ModelInfo, Scorer, Trajectories, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::units::Surprise;
use ndarray::{Array, Array1, Array2, Array3, ArrayView, Axis, Dimension, IntoDimension, s};
use std::sync::Arc;

/// A [`Scorer`] that predicts features: V-JEPA and its kin.
pub struct Jepa<N> {
    spec: ClipSpec,
    normalizer: Normalizer,
    widths: Widths,
    conditioning: Option<Conditioning>,
    info: ModelInfo,
    network: N,
    /// Of the batch's windows; the memory is used again by the next batch.
    pixels: Vec<f32>,
    /// What their targets are, layer-normed, `[windows, slots · tokens, features]`.
    target: Array3<f32>,
}

/// Where a batch's tokens may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Where the network computes them.
    Anywhere,
    /// Here: more than the errors is needed of them.
    Here,
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
        let (pixels, target) = (Vec::new(), Array3::default((0, 0, widths.target)));
        Ok(Self { spec, normalizer, widths, conditioning: None, info, network, pixels, target })
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
        self.noise(seed, 1);
        self.score_pixels(1, Tokens::Anywhere)?.pop().ok_or_else(|| internal("no window was scored".into()))
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
        self.noise(0, windows);
        self.score_pixels(windows, Tokens::Anywhere)
    }

    /// Windows of noise, each of a seed of its own.
    fn noise(&mut self, first: u32, windows: usize) {
        self.pixels.clear();
        let seeds = (0..windows).map(|window| first.wrapping_add(window as u32));
        for frame in seeds.flat_map(|seed| noise_frames(&self.spec, seed)) {
            self.normalizer.append(&frame, &mut self.pixels);
        }
        if let Some(conditioning) = &mut self.conditioning {
            conditioning.noise(first, windows, self.spec.frames_per_clip as usize);
        }
    }

    fn score_clips(&mut self, clips: &[Clip], tokens: Tokens) -> Result<Vec<WindowErrors>> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        self.pixels.clear();
        for clip in clips {
            check_clip(clip, &self.spec)?;
            for frame in &clip.frames {
                self.normalizer.append_picture(&frame.square, &mut self.pixels);
            }
        }
        if let Some(conditioning) = &mut self.conditioning {
            conditioning.collect(clips, self.spec.model_fps)?;
        }
        let opens = clips[0].is_first() && !self.spec.opening_contexts.is_empty();
        let mut scored = self.score_pixels(clips.len(), if opens { Tokens::Here } else { tokens })?;
        for index in 0..if opens { self.spec.opening_contexts.len() } else { 0 } {
            let context = self.spec.opening_contexts[index];
            let prediction = self.predict_from(context, 1)?;
            self.compare(context, &prediction, &mut scored[..1])?;
        }
        Ok(scored)
    }

    /// Scores the `windows` windows whose pixels are there.
    fn score_pixels(&mut self, windows: usize, tokens: Tokens) -> Result<Vec<WindowErrors>> {
        let Self { spec, network, .. } = self;
        let whole = whole(spec, &self.pixels, windows)?;
        if tokens == Tokens::Anywhere && network.hold_target(whole)? {
            return self.compare_held(windows);
        }
        let mut target = network.encode_target(whole)?;
        expect_tokens("target encoder", &target, (windows, spec.slots() * spec.tokens_per_slot(), self.widths.target))?;
        layer_norm(&mut target, self.widths.target / self.widths.levels);
        self.target = target;
        let mut scored = no_errors(spec, windows);
        for index in 0..self.spec.context_lengths.len() {
            let context = self.spec.context_lengths[index];
            let prediction = self.predict_from(context, windows)?;
            self.compare(context, &prediction, &mut scored)?;
        }
        Ok(scored)
    }

    /// The errors of the windows whose targets the network holds.
    fn compare_held(&mut self, windows: usize) -> Result<Vec<WindowErrors>> {
        let Self { spec, network, .. } = self;
        let (whole, mut scored) = (whole(spec, &self.pixels, windows)?, no_errors(spec, windows));
        for &context in &spec.context_lengths {
            let [context_pos, target_pos] = positions(spec, context, windows);
            let pixels = whole.slice_axis(Axis(1), (..context as usize).into());
            let (context_pos, target_pos) = (context_pos.view(), target_pos.view());
            let errors = network.errors_to_held(HeldQuestion { pixels, context_pos, target_pos })?;
            expect_tokens("comparison", &errors, target_pos.dim())?;
            for (window, errors) in scored.iter_mut().zip(errors.outer_iter()) {
                window.contexts.push(of_slots(spec, context, errors.to_owned())?);
            }
        }
        Ok(scored)
    }

    /// The errors of expecting the target features of the last context slot to stay.
    fn copy_errors(&self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        let (spec, area) = (&self.spec, self.spec.tokens_per_slot());
        let mut scored = no_errors(spec, clips.len());
        for ((window, target), clip) in scored.iter_mut().zip(self.target.outer_iter()).zip(clips) {
            let of_slot = |slot: usize| target.slice(s![slot * area..(slot + 1) * area, ..]);
            for context in spec.contexts_of(clip) {
                let slots = spec.target_slots(context);
                let last = slots.start - 1;
                let errors = slots.flat_map(|slot| mean_distances(of_slot(slot), of_slot(last)));
                window.contexts.push(of_slots(spec, context, errors.collect())?);
            }
        }
        Ok(scored)
    }

    /// Encodes the first `context` frames alone and predicts what follows.
    fn predict_from(&mut self, context: u32, windows: usize) -> Result<Array3<f32>> {
        let Self { spec, widths, network, .. } = self;
        let [context_pos, target_pos] = positions(spec, context, windows);
        let seen = leading_frames(whole(spec, &self.pixels, windows)?, context as usize);
        let tokens = network.encode(seen.view())?;
        expect_tokens("encoder", &tokens, (windows, context_pos.ncols(), widths.context))?;
        let prediction = if let Some(conditioning) = &self.conditioning {
            let [actions, states] = conditioning.leading(context as usize);
            network.predict_given(Given { context: tokens.view(), actions: actions.view(), states: states.view() })?
        } else {
            let (context_pos, target_pos) = (context_pos.view(), target_pos.view());
            network.predict(Question { context: tokens.view(), context_pos, target_pos })?
        };
        expect_tokens("predictor", &prediction, (windows, target_pos.ncols(), widths.target))?;
        Ok(prediction)
    }

    /// Adds the errors for `context` to each window: mean |prediction − target| over the features of each token.
    fn compare(&self, context: u32, predictions: &Array3<f32>, scored: &mut [WindowErrors]) -> Result<()> {
        let (slots, area) = (self.spec.target_slots(context), self.spec.tokens_per_slot());
        let targets = self.target.slice(s![.., slots.start * area..slots.end * area, ..]);
        for ((window, prediction), target) in scored.iter_mut().zip(predictions.outer_iter()).zip(targets.outer_iter())
        {
            window.contexts.push(of_slots(&self.spec, context, mean_distances(prediction, target))?);
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
        let path = (self.info.family == FRAMES)
            .then(|| Trajectories::of(clips, &self.spec, self.target.view()))
            .transpose()?;
        Ok((scored, Some(FeatureControls { copied, path })))
    }
}

/// The pixels of `windows` whole windows.
fn whole<'a>(spec: &ClipSpec, pixels: &'a [f32], windows: usize) -> Result<Pixels<'a>> {
    let (frames, side) = (spec.frames_per_clip as usize, spec.crop_size as usize);
    ArrayView::from_shape((windows, frames, 3, side, side), pixels).map_err(|error| internal(error.to_string()))
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

/// Refuses an output that has another shape.
pub(super) fn expect_tokens<D: Dimension>(
    what: &str,
    found: &Array<f32, D>,
    due: impl IntoDimension<Dim = D>,
) -> Result<()> {
    let due = due.into_dimension();
    if found.raw_dim() == due {
        return Ok(());
    }
    Err(Error::Inference(format!(
        "the {what} gave an array of {:?} where {:?} was due; the graph does not fit its manifest (try `startle models \
         verify`)",
        found.shape(),
        due.slice()
    )))
}

/// The errors of the slots that follow a context, each finite and not negative.
pub(super) fn of_slots(spec: &ClipSpec, context: u32, errors: Array1<f32>) -> Result<ContextErrors> {
    errors.iter().try_for_each(|error| Surprise::new(*error).map(drop))?;
    let slots = spec.target_slots(context);
    let shape = (slots.len(), spec.tokens_per_slot());
    let errors = errors.into_shape_with_order(shape).map_err(|error| internal(error.to_string()))?;
    Ok(ContextErrors { context, first_slot: slots.start, errors })
}

/// Where the tokens of a context and those that follow it stand, the same in each window.
fn positions(spec: &ClipSpec, context: u32, windows: usize) -> [Array2<i64>; 2] {
    let (slots, area) = (spec.target_slots(context), spec.tokens_per_slot());
    [0..slots.start * area, slots.start * area..slots.end * area]
        .map(|run| Array2::from_shape_fn((windows, run.len()), |(_, token)| (run.start + token) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_repeat_for_each_window() {
        let spec = crate::clip::spec_for_tests();
        let [context, target] = positions(&spec, 4, 2);
        let (begins, last) = (i64::from(4 / spec.tubelet_size) * 16, target.ncols() as i64);
        assert_eq!(context, Array2::from_shape_fn((2, begins as usize), |(_, token)| token as i64));
        assert_eq!(
            (target[[0, 0]], target[[1, 0]], target[[1, target.ncols() - 1]]),
            (begins, begins, begins + last - 1)
        );
    }
}
