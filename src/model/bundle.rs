//! A model bundle: a folder with ONNX graphs and the `bundle.toml` that says how to use them.
//!
//! Invariant: a [`ModelBundle`] exists only if its manifest is complete and fits together and every file it names has
//! the stated sha256. (That the graphs take and give what the contract says is checked when
//! [`super::ort::open`] loads them.)

use super::manifest::GraphEntry;
use super::tensor::Normalizer;
use super::{ModelInfo, external};
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use super::manifest::{FORMAT, MANIFEST, Manifest};
pub use super::shelf::{DEFAULT_BUNDLE, MODELS_ENV, find, list, search_path};

/// A bundle whose files are what its manifest says.
#[derive(Debug, Clone)]
pub struct ModelBundle {
    dir: PathBuf,
    manifest: Manifest,
    spec: ClipSpec,
    sha256: String,
}

impl ModelBundle {
    /// Reads and verifies the bundle in `dir`.
    ///
    /// # Errors
    /// [`Error::Bundle`] that names the file or the key at fault and says what to do.
    pub fn load(dir: &Path) -> Result<Self> {
        let manifest = Manifest::read(dir)?;
        let spec = manifest.spec();
        manifest.check(&spec).map_err(|reason| Error::bundle(dir, format!("{MANIFEST}: {reason}")))?;
        // Two graphs may point into one file.
        for (file, sha256) in manifest.files().into_iter().collect::<BTreeSet<_>>() {
            verify_file(dir, file, sha256)?;
        }
        for (_, graph) in manifest.graphs() {
            verify_external(dir, graph)?;
        }
        let sha256 = manifest.identity(&spec)?;
        Ok(Self { dir: dir.to_owned(), manifest, spec, sha256 })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `bundle.toml` says.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The shape of the model's clips.
    pub const fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    /// Places windows `stride` frames apart instead of the manifest's distance; the model stays the same.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not a multiple of the tubelet size.
    pub fn set_stride(&mut self, stride: u32) -> Result<()> {
        let spec = ClipSpec { stride, ..self.spec.clone() };
        spec.check()?;
        self.check_running(&spec)?;
        self.spec = spec;
        Ok(())
    }

    /// Predicts the slot after the longest context alone, see [`ClipSpec::prompt`].
    pub fn be_prompt(&mut self) {
        self.spec = self.spec.prompt();
    }

    /// Cuts clips as `spec` says instead of as the manifest does; the numbers are then those of another
    /// [`ModelBundle::sha256`].
    ///
    /// # Errors
    /// [`Error::Config`] when the numbers do not fit together or the pictures or tokens would have another size.
    pub fn set_clips(&mut self, spec: ClipSpec) -> Result<()> {
        spec.check()?;
        self.check_running(&spec)?;
        let own = &self.spec;
        if (spec.crop_size, spec.patch_size, spec.tubelet_size) != (own.crop_size, own.patch_size, own.tubelet_size) {
            return Err(Error::Config(format!(
                "{}: a model's pictures and tokens have one size; other clips of it can only be longer or shorter",
                self.manifest.name
            )));
        }
        self.sha256 = self.manifest.identity(&spec)?;
        self.spec = spec;
        Ok(())
    }

    /// A model whose state runs with the stream takes every picture, once.
    fn check_running(&self, spec: &ClipSpec) -> Result<()> {
        let cut = |spec: &ClipSpec| (spec.frames_per_clip, spec.stride, spec.context_lengths.clone(), spec.horizon);
        if self.manifest.objects.is_none() || cut(spec) == cut(&self.spec) {
            return Ok(());
        }
        Err(Error::Config(format!(
            "{} takes every picture of a stream once and remembers: its clips can't be cut otherwise (leave out --stride \
             and --protocol)",
            self.manifest.name
        )))
    }

    /// From 8-bit values to the model's.
    pub fn normalizer(&self) -> Normalizer {
        Normalizer::new(self.manifest.preprocess.mean, self.manifest.preprocess.std)
    }

    /// Where a baseline of the bundle's lies: `bundle`, its usual one, or one that it has a name for.
    pub fn baseline_path(&self, name: &str) -> Option<PathBuf> {
        let Manifest { baseline, baselines, .. } = &self.manifest;
        let entry = if name == "bundle" { baseline.as_ref() } else { baselines.get(name) };
        entry.map(|entry| self.dir.join(&entry.file))
    }

    /// Hash over the graphs, the clip settings and the preprocessing: equal exactly when the numbers are comparable.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// For results; `execution_provider` stays empty until the model is loaded.
    pub fn info(&self) -> ModelInfo {
        ModelInfo {
            name: self.manifest.name.clone(),
            sha256: self.sha256.clone(),
            family: self.manifest.family.clone(),
            precision: self.manifest.precision.name().into(),
            execution_provider: String::new(),
            frames_per_clip: self.spec.frames_per_clip,
            model_fps: self.spec.model_fps,
            contexts: self.spec.context_lengths.clone(),
            stride: self.spec.stride,
        }
    }
}

/// A graph reads no file whose content was not checked.
fn verify_external(dir: &Path, graph: &GraphEntry) -> Result<()> {
    let listed: Vec<&str> = graph.external.iter().map(|entry| entry.file.as_str()).collect();
    let fail = |reason: String| Error::bundle(dir, reason);
    match external::unlisted(&dir.join(&graph.file), &listed) {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(fail(format!(
            "{} takes weights from {name}, which {MANIFEST} does not list under `external`: make the bundle again",
            graph.file
        ))),
        Err(error) => Err(fail(format!("can't read {}: {error}", graph.file))),
    }
}

fn verify_file(dir: &Path, file: &str, expected: Option<&str>) -> Result<()> {
    let path = dir.join(file);
    if !path.is_file() {
        return Err(Error::bundle(dir, format!("{file} is missing; copy the bundle again, with all of its files")));
    }
    let Some(expected) = expected else { return Ok(()) };
    let found = sha256_file(&path).map_err(|error| Error::bundle(dir, format!("can't read {file}: {error}")))?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::bundle(
        dir,
        format!(
            "the sha256 of {file} is {found}, {MANIFEST} says {expected}: the file was changed or cut off; \
             copy the bundle again"
        ),
    ))
}

/// The sha256 of a file's contents, hexadecimal; the file is read in pieces.
///
/// # Errors
/// When the file can't be read.
pub fn sha256_file(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}
