//! The sections of `bundle.toml`.

use crate::clip::{ClipSpec, ResizeRule};
use crate::error::{Error, Result};
use crate::model::jepa::Widths;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Precision of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats (IEEE half).
    Fp16,
    /// 16-bit floats with the range of 32-bit ones (bfloat16): for GPUs.
    Bf16,
    /// 8-bit integers in the matrix products.
    Int8,
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Fp32, Self::Fp16, Self::Bf16, Self::Int8];
        let known = all.into_iter().find(|precision| precision.name() == text);
        known.ok_or_else(|| Error::Config(format!("`{text}` is no precision; there are fp32, fp16, bf16 and int8")))
    }
}

impl Precision {
    /// As in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// `[clip]`; see [`ClipSpec`] for each field.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described at ClipSpec")]
pub struct ClipSection {
    pub crop_size: u32,
    pub patch_size: u32,
    pub tubelet_size: u32,
    pub frames_per_clip: u32,
    pub model_fps: f64,
    pub context_lengths: Vec<u32>,
    #[serde(default)]
    pub horizon: Option<u32>,
    pub stride: u32,
}

/// `[preprocess]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// How a picture becomes the model's square.
    pub resize: ResizeRule,
    /// Target of the shorter side, pixels.
    pub resize_size: u32,
    /// Interpolation.
    pub filter: Filter,
    /// Mean of red, green and blue, on the scale 0..1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, on the scale 0..1.
    pub std: [f32; 3],
}

/// Interpolation of the resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle filter whose support grows with the reduction (antialiased), as Pillow's.
    Bilinear,
}

/// `[features]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Width of a target and of a prediction.
    pub dim: usize,
    /// Equal parts of a target that are layer-normed each by itself; more than 1 where depths are joined.
    #[serde(default = "one")]
    pub levels: usize,
    /// Width of a context token where it is another one: the targets are those of a teacher.
    #[serde(default)]
    pub context_dim: Option<usize>,
}

const fn one() -> usize {
    1
}

impl Features {
    /// The widths, for the protocol.
    pub fn widths(&self) -> Widths {
        Widths { target: self.dim, context: self.context_dim.unwrap_or(self.dim), levels: self.levels }
    }
}

/// `[conditioning]`: the predictor takes actions and states, and predicts one slot.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditioningSection {
    /// Numbers of an action, and of a state, for each frame.
    pub action_dim: usize,
}

/// `[graphs.*]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graphs {
    /// `pixel_values [B, T, 3, H, W]` → `tokens [B, N, D]`; those of a model of objects: [`super::objects`].
    pub encoder: GraphEntry,
    /// `context [B, Nc, D]`, `context_pos [B, Nc]`, `target_pos [B, Nt]` → `prediction [B, Nt, D]`; with conditioning
    /// `context`, `actions [B, S, A]`, `states [B, S, A]` → `prediction` of the next slot.
    pub predictor: GraphEntry,
    /// As the encoder; gives the targets where it is present.
    #[serde(default)]
    pub target_encoder: Option<GraphEntry>,
}

/// An ONNX graph and its external data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphEntry {
    /// File name within the bundle.
    pub file: String,
    /// Its sha256, hexadecimal.
    pub sha256: String,
    /// Files with weights that the graph refers to.
    #[serde(default)]
    pub external: Vec<FileEntry>,
}

/// A file and its hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name within the bundle.
    pub file: String,
    /// Its sha256, hexadecimal.
    pub sha256: String,
}

/// `[card]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardEntry {
    /// File name within the bundle.
    pub file: String,
    /// Its sha256, hexadecimal; not checked where it is not given.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// `[parity]`: largest relative differences to the PyTorch reference. Reduced precisions were compared on many windows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Of the encoder's features.
    pub encoder_max_rel: f64,
    /// Of the predictor's features.
    pub predictor_max_rel: f64,
    /// Of the window surprise.
    pub surprise_max_rel: f64,
    /// Windows on which a reduced precision was compared with float32.
    #[serde(default)]
    pub windows: Option<u32>,
    /// Where those came from.
    #[serde(default)]
    pub clips: Option<String>,
    /// Of the features in those.
    #[serde(default)]
    pub features_max_rel: Option<f64>,
    /// Of the surprise of one of them, as a part of their mean surprise.
    #[serde(default)]
    pub window_surprise_max_rel: Option<f64>,
    /// Spearman's correlation of their surprise with that of float32, at the context length where it is least.
    #[serde(default)]
    pub rank_correlation: Option<f64>,
}

/// `[self_test]`: noise from `seed` must give these surprises.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Seed of the noise; see [`super::tensor::noise_frames`].
    pub seed: u32,
    /// Largest relative difference allowed.
    pub tolerance_rel: f64,
    /// Frames of the noise where they are fewer than a clip has: the contexts are then those of `surprise`.
    #[serde(default)]
    pub frames: Option<u32>,
    /// The window surprise for each context length; of a model that predicts features.
    #[serde(default)]
    pub surprise: Vec<Expected>,
    /// For each part the sum over all rows of the energies of the last picture; of a model of objects.
    #[serde(default)]
    pub energy: Vec<ExpectedPart>,
    /// Of a model of objects; the energies alone may be calm, since in noise there is nothing to see.
    #[serde(default)]
    pub stages: Option<ExpectedStages>,
}

impl SelfTest {
    /// The clip of the test, where the model's clips are `spec`.
    pub fn clip(&self, spec: &ClipSpec) -> ClipSpec {
        let Some(frames_per_clip) = self.frames else { return spec.clone() };
        let context_lengths = self.surprise.iter().map(|expected| expected.context).collect();
        ClipSpec { frames_per_clip, context_lengths, ..spec.clone() }
    }
}

/// Mean absolute values of what a model of objects gives in the self-test, which are known in advance.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedStages {
    /// Of all pictures' tokens.
    pub tokens: f64,
    /// Of all pictures' maps.
    pub maps: f64,
    /// Of the last state.
    pub state: f64,
}

/// The energy of a part that is known in advance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedPart {
    /// The part's name.
    pub part: String,
    /// The sum of its energies, nats.
    pub value: f64,
}

/// A surprise that is known in advance.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Context length, frames.
    pub context: u32,
    /// Mean error over the predicted tokens.
    pub value: f64,
}
