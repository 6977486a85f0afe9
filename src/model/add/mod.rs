//! From a checkpoint of Hugging Face to a verified bundle, without Python and without a copy of the weights.
//!
//! The bundle is a folder with the graphs, which are small, and with the checkpoint's own weight files under a second name
//! (a hard link: ONNX Runtime refuses symbolic ones, and the bundle outlives the cache it came from). Invariant: a bundle
//! appears under its name only when every tensor was what the configuration promises, ONNX Runtime has loaded the graphs,
//! and they gave finite numbers; a failure leaves nothing behind.

mod manifest;
mod precision;

use self::manifest::Draft;
pub use self::precision::PrecisionChange;
use super::bundle::{MANIFEST, ModelBundle};
use super::checkpoint::Checkpoint;
use super::manifest::Precision;
use super::mask_token::MaskToken;
use super::network::internal;
use super::networks::{self, Made, NetworkOptions, Numbers};
use super::ort::{RuntimeOptions, verify};
use crate::clip::ResizeRule;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What the bundle is to be; what is `None` is taken from the checkpoint.
#[derive(Debug, Clone, Default)]
pub struct AddOptions {
    /// The bundle's name and folder.
    pub name: String,
    /// The folder that the bundle's folder is made in.
    pub into: PathBuf,
    /// Where the checkpoint came from, in words.
    pub origin: String,
    /// Licence of the weights.
    pub license: Option<String>,
    /// Side of the model's picture, pixels.
    pub crop: Option<u32>,
    /// Frames of a clip.
    pub frames: Option<u32>,
    /// Frames per second of the model's clock.
    pub fps: Option<f64>,
    /// Context lengths, frames.
    pub contexts: Vec<u32>,
    /// Frames between windows.
    pub stride: Option<u32>,
    /// Slots predicted after the context.
    pub horizon: Option<u32>,
    /// How a picture becomes the model's square.
    pub resize: Option<ResizeRule>,
    /// The mask token that the predictor asks with.
    pub mask_token: Option<usize>,
    /// Of products of matrices and of attention.
    pub precision: Precision,
    /// Replace a bundle of this name.
    pub force: bool,
}

impl AddOptions {
    fn asked(&self) -> NetworkOptions {
        let numbers = precision::half(self.precision).map_or(Numbers::Fp32, Numbers::Half);
        NetworkOptions { crop: self.crop, mask_token: self.mask_token, numbers }
    }
}

/// A bundle that was made.
#[derive(Debug)]
pub struct Added {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of weights, and how many of them had to be copied.
    pub weights: u64,
    /// See `weights`.
    pub copied: u64,
    /// Its tensors.
    pub tensors: usize,
    /// The mask token.
    pub mask_token: Option<MaskToken>,
    /// What its precision does, where that is not float32.
    pub change: Option<PrecisionChange>,
}

/// Makes a bundle.
///
/// # Errors
/// [`Error::Input`] when the checkpoint is not what it says, [`Error::Config`] when it is not of a kind that startle
/// writes or an option does not fit it, [`Error::Output`] when the bundle can't be written, and as
/// [`super::ort::open`].
pub fn add(checkpoint: &Checkpoint, options: &AddOptions, runtime: &RuntimeOptions) -> Result<Added> {
    let folder = options.into.join(&options.name);
    if options.name.is_empty() || Path::new(&options.name).components().count() != 1 || options.name.starts_with('.') {
        return Err(Error::Config(format!("--name {:?} is no name of a folder", options.name)));
    }
    if folder.exists() && !options.force {
        let reason = "is there already; `startle models remove` it, name another one with --name, or give --force";
        return Err(Error::bundle(folder, reason));
    }
    if options.precision == Precision::Int8 {
        return Err(Error::Config("--precision int8: only the Python exporter makes that (models/README.md)".into()));
    }
    let made = networks::make(checkpoint, options.asked())?;
    let fail = |error| Error::output(&options.into, error);
    std::fs::create_dir_all(&options.into).map_err(fail)?;
    let work =
        tempfile::Builder::new().prefix(&format!(".{}.", options.name)).tempdir_in(&options.into).map_err(fail)?;
    let copied = put(&made, checkpoint, work.path())?;
    let draft = Draft::new(checkpoint, options, &made, work.path())?;
    let change = precision::compare(checkpoint, options, runtime)?;
    let tested = match change {
        // No graph of this precision can be loaded here.
        Some(change) if change.emulated && options.precision == Precision::Bf16 => change.tested,
        _ => tested(&draft, work.path(), runtime)?,
    };
    draft.write(work.path(), tested, change.as_ref())?;
    open_to_all(work.path()).map_err(fail)?;
    if folder.exists() {
        remove(&folder)?;
    }
    std::fs::rename(work.keep(), &folder).map_err(|error| Error::output(&folder, error))?;
    let weights = made.tensors.values().map(|stored| stored.place.length).sum();
    Ok(Added { folder, weights, copied, tensors: made.tensors.len(), mask_token: made.mask_token, change })
}

/// The surprise of the self-test.
fn tested(draft: &Draft, folder: &Path, runtime: &RuntimeOptions) -> Result<f64> {
    // What the graphs give is not known yet; loading asks for a figure.
    draft.write(folder, 1.0, None)?;
    let (outcome, _) = verify(&ModelBundle::load(folder)?, runtime)?;
    let [figure] = &outcome.0[..] else { return Err(internal("the self-test has one context".into())) };
    Ok(figure.found)
}

/// Removes a bundle: the files that its manifest names, and the folder if nothing else is in it. Gives the bytes of the
/// names that went; those of weights are free once no other name is left.
///
/// # Errors
/// [`Error::Bundle`] when it is no bundle, [`Error::Output`] when a file can't be removed.
pub fn remove(folder: &Path) -> Result<u64> {
    let manifest = super::manifest::Manifest::read(folder)?;
    let mut names: Vec<&str> = manifest.files().into_iter().map(|(file, _)| file).collect();
    names.push(MANIFEST);
    names.sort_unstable();
    names.dedup();
    if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1) {
        return Err(Error::bundle(folder, format!("names a file outside of it: {name}; remove it by hand")));
    }
    let mut bytes = 0;
    for name in names {
        let path = folder.join(name);
        bytes += std::fs::metadata(&path).map_or(0, |data| data.len());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::output(path, error)),
            _ => {}
        }
    }
    std::fs::remove_dir(folder).map_err(|error| Error::output(folder, error))?;
    Ok(bytes)
}

/// Puts graphs and weights into `folder`; gives the bytes of weights that were copied.
fn put(made: &Made, checkpoint: &Checkpoint, folder: &Path) -> Result<u64> {
    for (name, graph) in &made.graphs {
        let path = folder.join(format!("{name}.onnx"));
        std::fs::write(&path, graph).map_err(|error| Error::output(&path, error))?;
    }
    checkpoint.files.iter().map(|(name, file)| file.put(&folder.join(name))).sum()
}

/// A temporary folder is its maker's alone; a bundle is as other folders are.
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}
