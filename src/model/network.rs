//! What the surprise protocol asks of a JEPA's graphs.

use super::conditions::Given;
use super::tensor::Pixels;
use crate::error::{Error, Result};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

/// What the predictor is asked: tokens that stand at positions, and the positions to predict.
///
/// With B windows, Nc context and Nt target tokens, and contexts of width D; all in C order. A position is
/// `slot · grid² + row · grid + column` within the window.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Context tokens, `[B, Nc, D]`.
    pub context: ArrayView3<'a, f32>,
    /// Where they stand, `[B, Nc]`.
    pub context_pos: ArrayView2<'a, i64>,
    /// Where to predict, `[B, Nt]`.
    pub target_pos: ArrayView2<'a, i64>,
}

/// As [`Question`], of contexts that are still pixels, about targets that the network holds.
#[derive(Debug, Clone, Copy)]
pub struct HeldQuestion<'a> {
    /// The context's frames, of B windows; each window lies together.
    pub pixels: Pixels<'a>,
    /// Where the context's tokens stand, `[B, Nc]`.
    pub context_pos: ArrayView2<'a, i64>,
    /// Where to predict, `[B, Nt]`: the same run of positions for each window.
    pub target_pos: ArrayView2<'a, i64>,
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
pub trait Network {
    /// Pixels `[B, T, 3, H, W]` → tokens `[B, T/tubelet · grid², D]`.
    ///
    /// # Errors
    /// [`Error::Inference`] when the graph fails, [`Error::Stopped`] when it was interrupted.
    fn encode(&mut self, pixels: Pixels<'_>) -> Result<Array3<f32>>;

    /// As [`Network::encode`], by the encoder that gives the targets (the same one, unless the bundle has two).
    ///
    /// # Errors
    /// As [`Network::encode`].
    fn encode_target(&mut self, pixels: Pixels<'_>) -> Result<Array3<f32>> {
        self.encode(pixels)
    }

    /// The predicted tokens, `[B, Nt, D]`.
    ///
    /// # Errors
    /// As [`Network::encode`].
    fn predict(&mut self, question: Question<'_>) -> Result<Array3<f32>>;

    /// As [`Network::predict`], of the one slot after the context, by a predictor that takes actions and states.
    ///
    /// # Errors
    /// As [`Network::encode`]; [`Error::Internal`] from a network whose predictor takes none.
    fn predict_given(&mut self, _given: Given<'_>) -> Result<Array3<f32>> {
        Err(internal("this predictor takes no actions".into()))
    }

    /// Encodes the targets as [`Network::encode_target`] and keeps them where they were computed. `false`, the default, is
    /// from a network that keeps nothing: its tokens come back, and are compared by the caller. So it is where the predictor
    /// takes actions.
    ///
    /// # Errors
    /// As [`Network::encode`].
    fn hold_target(&mut self, _pixels: Pixels<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Encodes the contexts, predicts, and gives each prediction's mean absolute distance to the target that is held, layer-normed,
    /// `[B, Nt]`.
    ///
    /// # Errors
    /// As [`Network::encode`]; [`Error::Internal`] from a network that holds nothing.
    fn errors_to_held(&mut self, _question: HeldQuestion<'_>) -> Result<Array2<f32>> {
        Err(internal("this network holds no targets".into()))
    }

    /// The execution provider that runs the graphs.
    fn provider(&self) -> String {
        "none".into()
    }

    /// Whether it rounds what the bundle's own precision does not.
    fn is_reduced(&self) -> bool {
        false
    }

    /// Seconds spent inside the inference runtime so far.
    fn seconds(&self) -> f64 {
        0.0
    }
}

/// A fault of the code that asks.
pub(super) fn internal(reason: String) -> Error {
    Error::Internal { stage: "score", reason }
}
