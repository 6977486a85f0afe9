//! The surprise protocol on top of any encoder and predictor.
//!
//! Source: Garrido et al., arXiv 2502.11831, and Bordes et al., arXiv 2506.09849; the reference in numbers is
//! `startle_models.reference.surprise`. Invariants: a context is encoded **alone**, from the first frames of the
//! window, so nothing of the future can reach it; the target is one encode of the whole window, shared by all
//! context lengths; every number leaves through [`Surprise::new`].

use super::conditions::{ActionTable, Conditioning, Given};
use super::distance::{layer_norm, mean_distance};
use super::tensor::{Normalizer, PixelBatch, leading_frames, noise_frames};
use super::{ContextErrors, ModelInfo, Scorer, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::units::Surprise;
use std::sync::Arc;

/// What the predictor is asked: tokens that stand at positions, and the positions to predict.
///
/// With B windows, Nc context and Nt target tokens, and contexts of width D: `context` is `[B, Nc, D]`, `context_pos` `[B, Nc]` and
/// `target_pos` `[B, Nt]`, all in C order. A position is `slot · grid² + row · grid + column` within the window.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Windows, B.
    pub windows: usize,
    /// Width of a context token, D.
    pub dim: usize,
    /// Context tokens.
    pub context: &'a [f32],
    /// Where they stand.
    pub context_pos: &'a [i64],
    /// Where to predict.
    pub target_pos: &'a [i64],
}

/// Widths of tokens. A plain number stands for contexts and targets of that width, normed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Features of a target and of a prediction.
    pub target: usize,
    /// Features of a context token.
    pub context: usize,
    /// Equal parts of a target that are layer-normed each by itself.
    pub levels: usize,
}

impl From<usize> for Widths {
    fn from(dim: usize) -> Self {
        Self { target: dim, context: dim, levels: 1 }
    }
}

impl Widths {
    pub(super) fn check(self) -> Result<(), String> {
        if self.target == 0 || self.context == 0 {
            return Err("features.dim and features.context_dim must be at least 1".into());
        }
        if self.levels == 0 || !self.target.is_multiple_of(self.levels) {
            return Err(format!("features.levels {} does not divide features.dim {}", self.levels, self.target));
        }
        Ok(())
    }
}

/// The graphs of a JEPA. Implemented by ONNX Runtime and by fakes with exactly known answers.
///
/// Each method replaces the contents of its last argument.
pub trait Network {
    /// Pixels `[B, T, 3, H, W]` → tokens `[B, T/tubelet · grid², D]`.
    ///
    /// # Errors
    /// [`Error::Inference`] when the graph fails, [`Error::Stopped`] when it was interrupted.
    fn encode(&mut self, pixels: PixelBatch<'_>, tokens: &mut Vec<f32>) -> Result<()>;

    /// As [`Network::encode`], by the encoder that gives the targets (the same one, unless the bundle has two).
    ///
    /// # Errors
    /// As [`Network::encode`].
    fn encode_target(&mut self, pixels: PixelBatch<'_>, tokens: &mut Vec<f32>) -> Result<()> {
        self.encode(pixels, tokens)
    }

    /// The predicted tokens, `[B, Nt, D]`.
    ///
    /// # Errors
    /// As [`Network::encode`].
    fn predict(&mut self, question: Question<'_>, prediction: &mut Vec<f32>) -> Result<()>;

    /// As [`Network::predict`], of the one slot after the context, by a predictor that takes actions and states.
    ///
    /// # Errors
    /// As [`Network::encode`]; [`Error::Internal`] from a network whose predictor takes none.
    fn predict_given(&mut self, _given: Given<'_>, _prediction: &mut Vec<f32>) -> Result<()> {
        Err(internal("this predictor takes no actions".into()))
    }

    /// The execution provider that runs the graphs.
    fn provider(&self) -> String {
        "none".into()
    }

    /// Seconds spent inside the inference runtime so far.
    fn seconds(&self) -> f64 {
        0.0
    }
}

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
        let mut windows = self.score_pixels(1)?;
        windows.pop().ok_or_else(|| internal("no window was scored".into()))
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
        self.score_pixels(windows)
    }

    /// Scores the `windows` windows whose pixels are in the buffer.
    fn score_pixels(&mut self, windows: usize) -> Result<Vec<WindowErrors>> {
        let Self { spec, network, buffers, .. } = self;
        let whole = PixelBatch {
            data: &buffers.pixels,
            windows,
            frames: spec.frames_per_clip as usize,
            side: spec.crop_size as usize,
        };
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

    /// The errors of expecting the target features of the last context slot to stay, for the `windows` windows whose
    /// normalised targets are in the buffer.
    fn copy_errors(&self, windows: usize) -> Result<Vec<WindowErrors>> {
        let dim = self.widths.target;
        let slot = self.spec.tokens_per_slot() * dim;
        let mut scored = no_errors(&self.spec, windows);
        for (window, target) in scored.iter_mut().zip(self.buffers.target.chunks_exact(self.spec.slots() * slot)) {
            for &context in &self.spec.context_lengths {
                let slots = self.spec.target_slots(context);
                let last = &target[(slots.start - 1) * slot..slots.start * slot];
                let errors = target[slots.start * slot..slots.end * slot]
                    .chunks_exact(slot)
                    .flat_map(|now| now.chunks_exact(dim).zip(last.chunks_exact(dim)))
                    .map(|(now, then)| Surprise::new(mean_distance(now, then)).map(Surprise::get))
                    .collect::<Result<Vec<f32>>>()?;
                window.contexts.push(ContextErrors { context, first_slot: slots.start, errors });
            }
        }
        Ok(scored)
    }

    /// Encodes the first `context` frames alone and predicts what follows, into the buffers.
    fn predict_from(&mut self, context: u32, windows: usize) -> Result<()> {
        let Self { spec, widths, conditioning, network, buffers, .. } = self;
        let area = spec.tokens_per_slot();
        let slots = spec.target_slots(context);
        let whole = PixelBatch {
            data: &buffers.pixels,
            windows,
            frames: spec.frames_per_clip as usize,
            side: spec.crop_size as usize,
        };
        let seen = leading_frames(whole, context as usize, &mut buffers.context_pixels);
        network.encode(seen, &mut buffers.context)?;
        expect_tokens("encoder", buffers.context.len(), windows * slots.start * area, widths.context)?;
        if let Some(conditioning) = conditioning {
            let given = conditioning.given(windows, context as usize, (widths.context, &buffers.context));
            network.predict_given(given, &mut buffers.prediction)?;
        } else {
            positions(0..slots.start * area, windows, &mut buffers.context_pos);
            positions(slots.start * area..slots.end * area, windows, &mut buffers.target_pos);
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
                .map(|(prediction, target)| Surprise::new(mean_distance(prediction, target)).map(Surprise::get))
                .collect::<Result<Vec<f32>>>()?;
            window.contexts.push(ContextErrors { context, first_slot: slots.start, errors });
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
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        self.buffers.pixels.clear();
        for clip in clips {
            check_clip(clip, &self.spec)?;
            for frame in &clip.frames {
                self.normalizer.append(frame.square.rgb(), &mut self.buffers.pixels);
            }
        }
        if let Some(conditioning) = &mut self.conditioning {
            conditioning.collect(clips, self.spec.model_fps)?;
        }
        self.score_pixels(clips.len())
    }

    fn score_with_copy(&mut self, clips: &[Clip]) -> Result<(Vec<WindowErrors>, Option<Vec<WindowErrors>>)> {
        let scored = self.score(clips)?;
        let copied = if clips.is_empty() { Vec::new() } else { self.copy_errors(clips.len())? };
        Ok((scored, Some(copied)))
    }

    fn inference_seconds(&self) -> f64 {
        self.network.seconds()
    }
}

/// A window of errors for each of `windows` windows, still without contexts.
fn no_errors(spec: &ClipSpec, windows: usize) -> Vec<WindowErrors> {
    vec![WindowErrors { contexts: Vec::with_capacity(spec.context_lengths.len()) }; windows]
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

fn internal(reason: String) -> Error {
    Error::Internal { stage: "score", reason }
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

/// The same run of positions for each window.
fn positions(range: std::ops::Range<usize>, windows: usize, out: &mut Vec<i64>) {
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
