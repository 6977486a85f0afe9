//! `bundle.toml`: what a bundle says about itself.
//!
//! Invariant: unknown keys are refused, so that a misspelt one can't go unnoticed. `startle_models.bundle` writes it.

mod sections;

use super::flops::{Networks, Operations};
use super::jepa::Widths;
use super::mask_token::MaskToken;
use super::objects::ObjectsSection;
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
pub use sections::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
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
    /// Tokens, of a model that predicts features.
    #[serde(default)]
    pub features: Option<Features>,
    /// Things, of a model of objects: the family `object-jepa`.
    #[serde(default)]
    pub objects: Option<ObjectsSection>,
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
    /// The same on footage of other kinds, by its name, which `--baseline` takes.
    #[serde(default)]
    pub baselines: BTreeMap<String, FileEntry>,
    /// The model card.
    pub card: CardEntry,
    /// How far the graphs are from the PyTorch reference, as measured at export; not of bundles made without PyTorch.
    #[serde(default)]
    pub parity: Option<Parity>,
    /// A seeded input and the surprise it must give.
    pub self_test: SelfTest,
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
                 make the bundle again with this version"
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

    /// Operations of a window: of a model of objects, of one picture. `None` where the manifest does not say.
    pub fn operations(&self, spec: &ClipSpec) -> Option<f64> {
        let of_picture = self.objects.as_ref().and_then(|objects| objects.operations).map(Operations::picture);
        of_picture.or_else(|| self.architecture.as_ref().map(|networks| networks.window(spec)))
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
        let baselines = self.baseline.iter().chain(self.baselines.values());
        files.extend(baselines.map(|entry| (entry.file.as_str(), Some(entry.sha256.as_str()))));
        files
    }

    /// What the types can't say.
    pub(super) fn check(&self, spec: &ClipSpec) -> Result<(), String> {
        spec.check().map_err(|error| error.to_string())?;
        if let Some(name) = ["bundle", "self", "adaptive"].into_iter().find(|name| self.baselines.contains_key(*name)) {
            return Err(format!("baselines.{name}: that word has a meaning of its own"));
        }
        match (&self.features, &self.objects) {
            (Some(features), None) => features.widths().check()?,
            (None, Some(objects)) => objects.check(self, spec)?,
            _ => return Err("there must be either [features] or [objects]".into()),
        }
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
        if self.features.is_some() {
            self.check_tested(spec)?;
        }
        match self.files().iter().find(|(file, _)| !is_plain_name(file)) {
            Some((file, _)) => Err(format!("{file:?} must be the name of a file inside the bundle's folder")),
            None => Ok(()),
        }
    }

    fn check_tested(&self, spec: &ClipSpec) -> Result<(), String> {
        let tested: Vec<u32> = self.self_test.surprise.iter().map(|expected| expected.context).collect();
        if self.self_test.frames.is_some() {
            return self.self_test.clip(spec).check().map_err(|error| format!("self_test: {error}"));
        }
        if tested == spec.context_lengths {
            return Ok(());
        }
        Err(format!(
            "self_test.surprise has values for the contexts {tested:?}, clip.context_lengths are {:?}",
            spec.context_lengths
        ))
    }

    /// The widths of the tokens of a model that predicts features.
    ///
    /// # Errors
    /// [`Error::Config`] for a model of objects.
    pub fn widths(&self) -> Result<Widths> {
        let other = || Error::Config(format!("{} predicts things, not features", self.name));
        self.features.as_ref().map(Features::widths).ok_or_else(other)
    }

    /// The sizes and parts of a model of objects.
    ///
    /// # Errors
    /// [`Error::Config`] for a model that predicts features.
    pub fn things(&self) -> Result<&ObjectsSection> {
        self.objects.as_ref().ok_or_else(|| Error::Config(format!("{} predicts features, not things", self.name)))
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
        if let Some(Widths { target, levels, .. }) = self.features.as_ref().map(Features::widths)
            && levels > 1
        {
            hash.update(format!("levels {levels} of {target}\n"));
        }
        if let Some(objects) = &self.objects {
            hash.update(objects.identity());
        }
        Ok(hex::encode(hash.finalize()))
    }
}

fn is_plain_name(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
}
