//! `bundle.toml`: what a bundle says about itself.
//!
//! Invariant: unknown keys are refused, so that a misspelt one can't go unnoticed. `startle_models.bundle` writes it.

use super::flops::Networks;
use super::jepa::Widths;
use super::mask_token::MaskToken;
use crate::clip::{ClipSpec, ResizeRule};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Format and version of the manifest that this program reads.
pub const FORMAT: &str = "startle.bundle/1";

/// The manifest's file name.
pub const MANIFEST: &str = "bundle.toml";

/// `bundle.toml`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The bundle's name, which is also its folder's.
    pub name: String,
    /// Architecture family, for example `vjepa2`.
    pub family: String,
    /// What it is good for, in a sentence.
    pub description: String,
    /// Where the weights come from.
    pub source: String,
    /// Licence of the weights.
    pub license: String,
    /// Precision of the weights; inputs and outputs are float32 always.
    pub precision: Precision,
    /// Operator set of the graphs.
    pub opset: u32,
    /// Shape of a clip.
    pub clip: ClipSection,
    /// From pictures to pixels.
    pub preprocess: Preprocess,
    /// Tokens.
    pub features: Features,
    /// Widths and depths, for counting operations; the identity of the numbers does not depend on it.
    #[serde(default)]
    pub architecture: Option<Networks>,
    /// What the predictor asks with, where it has mask tokens; bundles of earlier exporters do not say.
    #[serde(default)]
    pub mask_token: Option<MaskToken>,
    /// What the predictor takes beside the context, if anything.
    #[serde(default)]
    pub conditioning: Option<ConditioningSection>,
    /// The ONNX graphs.
    pub graphs: Graphs,
    /// What surprise looks like on normal footage.
    #[serde(default)]
    pub baseline: Option<FileEntry>,
    /// The model card.
    pub card: CardEntry,
    /// How far the graphs are from the PyTorch reference, as measured at export; not of bundles made without PyTorch.
    #[serde(default)]
    pub parity: Option<Parity>,
    /// A seeded input and the surprise it must give.
    pub self_test: SelfTest,
}

/// Precision of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats (IEEE half).
    Fp16,
    /// 16-bit floats with the range of 32-bit ones (bfloat16): for GPUs.
    Bf16,
    /// 8-bit integers in the matrix products.
    Int8,
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
    /// `pixel_values [B, T, 3, H, W]` → `tokens [B, N, D]`.
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
    /// The window surprise for each context length.
    pub surprise: Vec<Expected>,
}

impl SelfTest {
    /// The clip of the test, where the model's clips are `spec`.
    pub fn clip(&self, spec: &ClipSpec) -> ClipSpec {
        let Some(frames_per_clip) = self.frames else { return spec.clone() };
        let context_lengths = self.surprise.iter().map(|expected| expected.context).collect();
        ClipSpec { frames_per_clip, context_lengths, ..spec.clone() }
    }
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

impl Manifest {
    /// Reads the manifest in `dir`; what it says of the files is not checked.
    ///
    /// # Errors
    /// [`Error::Bundle`] when it is not there, has another version, or an unknown or missing key.
    pub fn read(dir: &Path) -> Result<Self> {
        /// The one key that every version of the format has.
        #[derive(Deserialize)]
        struct Versioned {
            format: String,
        }
        let fail = |reason: String| Error::bundle(dir, reason);
        let text = std::fs::read_to_string(dir.join(MANIFEST)).map_err(|error| {
            fail(format!("can't read {MANIFEST}: {error}; a bundle is a folder with a {MANIFEST} and its graphs"))
        })?;
        let malformed = |error: toml::de::Error| fail(format!("{MANIFEST} is not what it should be: {error}"));
        let Versioned { format } = toml::from_str(&text).map_err(malformed)?;
        if format != FORMAT {
            return Err(fail(format!(
                "{MANIFEST} has the format {format:?}, this version of startle reads {FORMAT:?}; \
                 export the bundle again with the exporter of this version"
            )));
        }
        toml::from_str(&text).map_err(malformed)
    }

    /// The shape of the model's clips.
    pub fn spec(&self) -> ClipSpec {
        ClipSpec {
            crop_size: self.clip.crop_size,
            patch_size: self.clip.patch_size,
            tubelet_size: self.clip.tubelet_size,
            frames_per_clip: self.clip.frames_per_clip,
            model_fps: self.clip.model_fps,
            context_lengths: self.clip.context_lengths.clone(),
            opening_contexts: Vec::new(),
            horizon: self.clip.horizon,
            stride: self.clip.stride,
            resize: self.preprocess.resize,
            resize_size: self.preprocess.resize_size,
        }
    }

    /// Each graph with its name in the manifest.
    pub fn graphs(&self) -> impl Iterator<Item = (&'static str, &GraphEntry)> {
        [
            ("encoder", Some(&self.graphs.encoder)),
            ("predictor", Some(&self.graphs.predictor)),
            ("target_encoder", self.graphs.target_encoder.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, entry)| entry.map(|entry| (name, entry)))
    }

    /// Every file with its hash.
    pub(super) fn files(&self) -> Vec<(&str, Option<&str>)> {
        let mut files = vec![(self.card.file.as_str(), self.card.sha256.as_deref())];
        for (_, graph) in self.graphs() {
            files.push((&graph.file, Some(&graph.sha256)));
            files.extend(graph.external.iter().map(|entry| (entry.file.as_str(), Some(entry.sha256.as_str()))));
        }
        files.extend(self.baseline.iter().map(|entry| (entry.file.as_str(), Some(entry.sha256.as_str()))));
        files
    }

    /// What the types can't say.
    pub(super) fn check(&self, spec: &ClipSpec) -> Result<(), String> {
        spec.check().map_err(|error| error.to_string())?;
        self.features.widths().check()?;
        if let Some(ConditioningSection { action_dim }) = self.conditioning
            && (action_dim == 0 || spec.horizon != Some(1) || spec.tubelet_size != 1)
        {
            return Err(
                "conditioning wants an action_dim of at least 1, a clip.horizon of 1 and a clip.tubelet_size of 1"
                    .into(),
            );
        }
        let Preprocess { mean, std, .. } = &self.preprocess;
        if !mean.iter().all(|m| m.is_finite()) || !std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err("preprocess.mean must be finite and preprocess.std greater than 0".into());
        }
        if !(self.self_test.tolerance_rel > 0.0 && self.self_test.tolerance_rel < 1.0) {
            return Err(format!("self_test.tolerance_rel {} must lie between 0 and 1", self.self_test.tolerance_rel));
        }
        let tested: Vec<u32> = self.self_test.surprise.iter().map(|expected| expected.context).collect();
        if self.self_test.frames.is_some() {
            self.self_test.clip(spec).check().map_err(|error| format!("self_test: {error}"))?;
        } else if tested != spec.context_lengths {
            return Err(format!(
                "self_test.surprise has values for the contexts {tested:?}, clip.context_lengths are {:?}",
                spec.context_lengths
            ));
        }
        match self.files().iter().find(|(file, _)| !is_plain_name(file)) {
            Some((file, _)) => Err(format!("{file:?} must be the name of a file inside the bundle's folder")),
            None => Ok(()),
        }
    }

    /// Hash over the graphs, the clip settings and the preprocessing.
    pub(super) fn identity(&self, spec: &ClipSpec) -> Result<String> {
        let mut hash = Sha256::new();
        for (name, graph) in self.graphs() {
            hash.update(format!("{name} {}\n", graph.sha256));
            for entry in &graph.external {
                hash.update(format!("{name} {} {}\n", entry.file, entry.sha256));
            }
        }
        let settings = serde_json::to_string(&(spec, &self.preprocess))
            .map_err(|error| Error::Internal { stage: "bundle identity", reason: error.to_string() })?;
        hash.update(settings);
        let Widths { target, levels, .. } = self.features.widths();
        if levels > 1 {
            hash.update(format!("levels {levels} of {target}\n"));
        }
        Ok(super::bundle::hex(&hash.finalize()))
    }
}

fn is_plain_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
}
