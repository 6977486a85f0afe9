//! What a model is to the rest of startle: something that gives prediction errors in time and place for clips.

pub mod add;
pub mod bundle;
pub mod checkpoint;
pub mod conditions;
mod distance;
mod external;
pub mod flops;
pub mod jepa;
pub mod manifest;
pub mod mask_token;
pub mod motion;
mod network;
mod networks;
pub mod objects;
mod onnx;
pub mod ort;
pub mod persistence;
pub mod second_difference;
pub mod self_test;
pub mod shelf;
pub mod tensor;
mod trajectory;

use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
pub use crate::surprise::{ContextErrors, WindowErrors};
use serde::{Deserialize, Serialize};
pub use trajectory::Trajectories;

/// What ran, for the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The bundle's name.
    pub name: String,
    /// Hash over the bundle's graphs and clip settings: the identity of the numbers.
    pub sha256: String,
    /// Architecture family, for example `vjepa2`.
    pub family: String,
    /// Weight precision: `fp32`, `fp16`, `bf16`, `int8`.
    pub precision: String,
    /// The execution provider that really ran the graphs, as ONNX Runtime reports it.
    pub execution_provider: String,
    /// Frames in a clip.
    pub frames_per_clip: u32,
    /// The model's clock, frames per second.
    pub model_fps: f64,
    /// Context lengths in frames.
    pub contexts: Vec<u32>,
    /// Frames between windows.
    pub stride: u32,
}

/// What a model's features say of clips without its predictor.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureControls {
    /// Errors of expecting each token's target features to stay what they were in the last context slot.
    pub copied: Vec<WindowErrors>,
    /// The path of the pictures' features; of encoders of pictures alone (the family `frames`).
    pub path: Option<Trajectories>,
}

impl FeatureControls {
    /// Adds those of the clips that follow.
    pub(crate) fn extend(&mut self, more: Self) {
        self.copied.extend(more.copied);
        if let (Some(path), Some(more)) = (&mut self.path, more.path) {
            path.turning.extend(more.turning);
            path.bending.extend(more.bending);
        }
    }
}

/// A model that scores clips. Owned by one thread; inference sessions are not shared. Clips of one stream come in order;
/// some models keep what a stream has shown so far.
pub trait Scorer {
    /// The shape of the clips it takes.
    fn spec(&self) -> &ClipSpec;

    /// What it is.
    fn info(&self) -> ModelInfo;

    /// Prediction errors of each clip, in order.
    ///
    /// # Errors
    /// [`crate::Error::Inference`] when a graph fails or gives numbers that are not finite.
    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>>;

    /// Nothing follows from a stream, or what follows is not what would have come next: what is kept of it can go.
    fn forget(&mut self, _stream: usize) {}

    /// Seconds spent inside the inference runtime so far (0 for models that need none).
    fn inference_seconds(&self) -> f64 {
        0.0
    }
}

/// A scorer as an evaluation asks it: also for what its features say without its predictor.
pub trait FeatureScorer: Scorer {
    /// As [`Scorer::score`], and beside it what the model's features say by themselves; `None` for models without features.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    fn score_with_controls(&mut self, clips: &[Clip]) -> Result<(Vec<WindowErrors>, Option<FeatureControls>)> {
        Ok((self.score(clips)?, None))
    }
}
