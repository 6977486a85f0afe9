//! `startle models add` and `startle models remove`.

use super::{Page, RuntimeArgs};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use startle::clip::ResizeRule;
use startle::folders;
use startle::model::add::{AddOptions, add, remove};
use startle::model::bundle::{find, search_path};
use startle::model::checkpoint::Checkpoint;
use startle::model::checkpoint::hub::{Hub, is_id};
use startle::model::manifest::Precision;
use startle::units::Stop;
use startle::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to make a bundle of, and how.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// A folder with config.json and safetensors files, or a model of the Hugging Face hub (OWNER/NAME), which is
    /// downloaded into the hub's own cache (`HF_HOME`; `HF_HUB_OFFLINE` is honoured).
    source: String,
    /// The bundle's name [default: that of the folder or model].
    #[arg(long)]
    name: Option<String>,
    /// The folder in which the bundle's folder is made [default: startle/models in the user's data folder].
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Revision on the hub: a branch, tag or commit.
    #[arg(long, default_value = "main")]
    revision: String,
    /// Replace a bundle of this name.
    #[arg(long)]
    force: bool,
    /// Licence of the weights, for the record.
    #[arg(long)]
    license: Option<String>,
    /// Side of the model's picture in pixels [default: the model's own].
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Frames of a clip [default: the model's own].
    #[arg(long)]
    frames: Option<u32>,
    /// Frames per second of the model's clock [default: 4, that of training].
    #[arg(long)]
    fps: Option<f64>,
    /// Context lengths in frames [default: a quarter, a half and three quarters of the clip].
    #[arg(long, value_name = "FRAMES", value_delimiter = ',')]
    contexts: Vec<u32>,
    /// Frames between windows [default: those of a slot].
    #[arg(long, value_name = "FRAMES")]
    stride: Option<u32>,
    /// Slots predicted after the context [default: all].
    #[arg(long, value_name = "SLOTS")]
    horizon: Option<u32>,
    /// Squeeze the whole picture into the square instead of cutting out its middle.
    #[arg(long)]
    squash: bool,
    /// The mask token that the predictor asks with [default: 0; the others are usually untrained].
    #[arg(long, value_name = "INDEX")]
    mask_token: Option<usize>,
    /// Precision of products of matrices and of attention: fp32, fp16, or bf16 (for GPUs). The weights stay as they are
    /// stored (F32, F16 or BF16) and are cast when the model is loaded; what it does to surprise is measured and stated.
    #[arg(long, value_name = "NAME", default_value = "fp32", value_parser = clap::value_parser!(Precision))]
    precision: Precision,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

/// Makes a bundle.
pub fn run(args: &AddArgs, page: &mut Page<'_>, stop: &Stop) -> Result<()> {
    let begun = Instant::now();
    let (folder, origin, name) = found(args, stop)?;
    let checkpoint = Checkpoint::open(&folder)?;
    let options = AddOptions {
        name: args.name.clone().unwrap_or(name),
        into: args.into.clone().map_or_else(default_folder, Ok)?,
        origin,
        license: args.license.clone(),
        crop: args.crop,
        frames: args.frames,
        fps: args.fps,
        contexts: args.contexts.clone(),
        stride: args.stride,
        horizon: args.horizon,
        resize: args.squash.then_some(ResizeRule::Squash),
        mask_token: args.mask_token,
        precision: args.precision,
        force: args.force,
    };
    let added = add(&checkpoint, &options, &args.runtime.options()?)?;
    let (megabytes, copied) = (added.weights / 1_000_000, added.copied / 1_000_000);
    let copied = if added.copied == 0 { "none of it copied".into() } else { format!("{copied} MB of files copied") };
    page.line(format!(
        "{} tensors, {megabytes} MB of weights as they are in {}, {copied}",
        added.tensors,
        folder.display()
    ))?;
    if let Some(token) = &added.mask_token {
        page.line(token.describe())?;
    }
    if let Some(change) = &added.change {
        page.line(change.describe())?;
    }
    page.line(format!("{} ({:.1} s)", added.folder.display(), begun.elapsed().as_secs_f64()))?;
    let on_path = search_path().contains(&options.into);
    let named = if on_path { options.name } else { added.folder.display().to_string() };
    page.line(format!("startle analyze VIDEO --model {named}"))
}

/// The source's folder, what is said of where it came from, and its name.
fn found(args: &AddArgs, stop: &Stop) -> Result<(PathBuf, String, String)> {
    let path = Path::new(&args.source);
    if path.exists() {
        let full = std::fs::canonicalize(path).map_err(|e| Error::input(&args.source, e.to_string()))?;
        let name = full.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((path.to_owned(), format!("Hugging Face layout, {name}"), name));
    }
    if !is_id(&args.source) {
        let reason = "is no folder here, and no model of the Hugging Face hub (OWNER/NAME)";
        return Err(Error::input(&args.source, reason));
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    let mut tell = |name: &str, done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(name.to_owned());
    };
    let fetched = Hub::from_env()?.fetch(&args.source, &args.revision, stop, &mut tell)?;
    bar.finish_and_clear();
    let name = args.source.rsplit('/').next().unwrap_or_default().to_owned();
    Ok((fetched.folder, format!("{} on the Hugging Face hub, revision {}", args.source, fetched.revision), name))
}

fn default_folder() -> Result<PathBuf> {
    let data = folders::data().ok_or_else(|| Error::Config("there is no home folder: name one with --into".into()))?;
    Ok(data.join("models"))
}

/// Removes the bundle that `name` finds.
pub fn run_remove(name: &str, page: &mut Page<'_>) -> Result<()> {
    let folder = find(name, &search_path())?;
    let bytes = remove(&folder)?;
    page.line(format!("removed {} ({} MB)", folder.display(), bytes / 1_000_000))
}
