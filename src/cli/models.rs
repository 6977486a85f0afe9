//! `startle models`: which bundles there are, what they are, and whether they still give the numbers they must.

#[path = "models_add.rs"]
mod add;
#[path = "models_bench.rs"]
mod bench;
#[path = "models_tune.rs"]
mod tune;

use add::AddArgs;
use bench::BenchArgs;
use clap::{Args, Subcommand};
use startle::engine::plan::cores;
use startle::engine::runtime_options;
use startle::model::bundle::{DEFAULT_BUNDLE, Manifest, ModelBundle, find, list, search_path};
use startle::model::manifest::Parity;
use startle::model::objects::ObjectsSection;
use startle::model::ort::{self, Device, RuntimeOptions, library};
use startle::units::Stop;
use startle::{Error, Result};
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use tune::TuneArgs;

/// Add, list, describe, verify and remove model bundles.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a bundle of a V-JEPA 2, DINOv2 or DINOv3 of Hugging Face, from its folder or the hub; weights are not copied.
    Add(Box<AddArgs>),
    /// Remove a bundle.
    Remove {
        /// Name or folder.
        bundle: String,
    },
    /// All bundles on the search path.
    List,
    /// What a bundle is: source, licence, clips, parity with PyTorch.
    Info {
        /// Name or folder.
        #[arg(default_value = DEFAULT_BUNDLE)]
        bundle: String,
    },
    /// Check every file's sha256, then run the self-test and compare each figure.
    Verify {
        /// Name or folder.
        #[arg(default_value = DEFAULT_BUNDLE)]
        bundle: String,
        #[command(flatten)]
        runtime: RuntimeArgs,
    },
    /// Measure a bundle on this machine: time per window and context, streams that fit, the share of the device's limit.
    Bench(BenchArgs),
    /// Find out how many copies, threads and windows at a time are fastest here; `analyze` and the others use it then.
    Tune(TuneArgs),
}

/// Where to run the self-test.
#[derive(Debug, Clone, Args)]
pub struct RuntimeArgs {
    /// Where inference runs: auto, cpu, openvino, openvino-bf16, cuda[:N] or tensorrt[:N]. What is asked for and missing is
    /// an error.
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Threads of one inference call; 0: one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// ONNX Runtime's shared library, when it is not where `make setup` puts it.
    #[arg(long, value_name = "FILE")]
    ort: Option<PathBuf>,
}

impl RuntimeArgs {
    /// What was asked for: `auto` decided, threads counted.
    fn options(&self) -> Result<RuntimeOptions> {
        let device = self.device.resolve(library::load(self.ort.as_deref())?);
        let threads = if self.threads == 0 { cores() } else { self.threads };
        Ok(runtime_options(device, threads, self.ort.as_deref()))
    }
}

/// Runs the command.
///
/// # Errors
/// When a bundle is missing or broken, or a figure is not what it must be.
pub fn run(args: &ModelsArgs, out: &mut dyn Write, stop: &Stop) -> Result<()> {
    let mut page = Page(out);
    match &args.action {
        Action::Add(args) => add::run(args, &mut page, stop),
        Action::Remove { bundle } => add::run_remove(bundle, &mut page),
        Action::List => list_all(&mut page),
        Action::Info { bundle } => info(&find(bundle, &search_path())?, &mut page),
        Action::Bench(args) => bench::run(args, &mut page, stop),
        Action::Tune(args) => tune::run(args, &mut page, stop),
        Action::Verify { bundle, runtime } => verify(&find(bundle, &search_path())?, runtime, &mut page),
    }
}

/// Lines on standard output.
pub(super) struct Page<'a>(pub(super) &'a mut dyn Write);

impl Page<'_> {
    /// Writes a line. A reader that went away (`| head`) is not an error.
    pub(super) fn line(&mut self, text: impl Display) -> Result<()> {
        match writeln!(self.0, "{text}").and_then(|()| self.0.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::output("standard output", error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a name and what belongs to it, in two columns.
    fn field(&mut self, name: &str, value: impl Display) -> Result<()> {
        self.line(format!("{name:<14}{value}"))
    }
}

fn list_all(page: &mut Page<'_>) -> Result<()> {
    for dir in list(&search_path()) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let default = if name == DEFAULT_BUNDLE { " (default)" } else { "" };
        match Manifest::read(&dir) {
            Ok(manifest) => {
                let (family, precision) = (&manifest.family, manifest.precision.name());
                page.line(format!("{name}{default}  {family}, {precision}: {}", manifest.description))?;
            }
            Err(error) => page.line(format!("{name}{default}  unusable: {error}"))?,
        }
        page.line(format!("    {}", dir.display()))?;
    }
    page.line("persistence  built in, no weights: expects that nothing changes (the control)")
}

fn info(dir: &Path, page: &mut Page<'_>) -> Result<()> {
    let manifest = Manifest::read(dir)?;
    let (clip, preprocess) = (manifest.spec(), &manifest.preprocess);
    page.field("name", &manifest.name)?;
    page.field("folder", dir.display())?;
    page.field("description", &manifest.description)?;
    page.field("family", format!("{}, {}, ONNX opset {}", manifest.family, manifest.precision.name(), manifest.opset))?;
    page.field("source", &manifest.source)?;
    page.field("licence", &manifest.license)?;
    let side = clip.crop_size;
    let seconds = f64::from(clip.frames_per_clip) / clip.model_fps;
    page.field(
        "clip",
        format!("{} frames of {side}×{side} at {} fps ({seconds:.2} s)", clip.frames_per_clip, clip.model_fps),
    )?;
    let (grid, slots) = (clip.grid(), clip.slots());
    if let Some(features) = &manifest.features {
        page.field("tokens", format!("{slots} slots of {grid}×{grid}, {} features each", features.dim))?;
    }
    if let Some(objects) = &manifest.objects {
        let ObjectsSection { tokens, files, state, parts, .. } = objects;
        page.field("things", format!("{tokens} found in a picture, {files} kept in mind; a state of {state} numbers"))?;
        let parts: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        page.field("energy", parts.join(", "))?;
    }
    if let Some(conditioning) = manifest.conditioning {
        page.field("actions", format!("{0} numbers of action and {0} of state a frame", conditioning.action_dim))?;
    }
    if manifest.objects.is_some() {
        let warm_up = clip.frames_per_clip - 1;
        page.field("warm-up", format!("{warm_up} pictures after a cut or gap; then every picture is judged, once"))?;
    } else {
        page.field("contexts", format!("{:?} frames", clip.context_lengths))?;
        let horizon = clip.horizon.map_or("to the end of the clip".into(), |slots| format!("{slots} slots"));
        page.field("predicted", format!("{horizon}; a window every {} frames", clip.stride))?;
    }
    let (mean, std) = (preprocess.mean, preprocess.std);
    page.field("pixels", format!("{:?}, mean {mean:?}, std {std:?}", preprocess.resize))?;
    if let Some(token) = &manifest.mask_token {
        page.field("mask token", token.describe())?;
    }
    parity(manifest.parity.as_ref(), page)?;
    let names = manifest.baseline.iter().map(|_| "bundle").chain(manifest.baselines.keys().map(String::as_str));
    let names: Vec<&str> = names.collect();
    page.field("baselines", if names.is_empty() { "none".into() } else { names.join(", ") })?;
    page.field("card", dir.join(&manifest.card.file).display())
}

/// How far the graphs are from PyTorch, and from float32.
fn parity(parity: Option<&Parity>, page: &mut Page<'_>) -> Result<()> {
    let Some(parity) = parity else {
        return page.field("parity", "of this layout held by startle's tests; not measured with these weights");
    };
    page.field(
        "parity",
        format!(
            "against PyTorch: encoder {:.1e}, predictor {:.1e}, surprise {:.1e} (relative)",
            parity.encoder_max_rel, parity.predictor_max_rel, parity.surprise_max_rel
        ),
    )?;
    let (Some(windows), Some(change), Some(rank)) =
        (parity.windows, parity.window_surprise_max_rel, parity.rank_correlation)
    else {
        return Ok(());
    };
    page.field(
        "precision",
        format!(
            "against float32 over {windows} windows: surprise within {:.2} % of its mean, ranking {rank:.5} (Spearman)",
            100.0 * change
        ),
    )
}

fn verify(dir: &Path, runtime: &RuntimeArgs, page: &mut Page<'_>) -> Result<()> {
    let bundle = ModelBundle::load(dir)?;
    page.line(format!("{}: every file has its sha256", dir.display()))?;
    let (outcome, provider) = ort::verify(&bundle, &runtime.options()?)?;
    page.line(format!("graphs take and give what they must; they run on {provider}"))?;
    if let Some(token) = &bundle.manifest().mask_token {
        page.line(token.describe())?;
    }
    for figure in &outcome.0 {
        let verdict = if figure.passed() { "ok" } else { "WRONG" };
        page.line(format!(
            "{} {:.8}, expected {:.8}, relative difference {:.1e} (allowed {:.0e}): {verdict}",
            figure.name,
            figure.found,
            figure.expected,
            figure.difference(),
            figure.tolerance
        ))?;
    }
    if outcome.passed() {
        page.line(format!("{} is good", bundle.manifest().name))
    } else {
        Err(Error::bundle(
            dir,
            "the self-test failed: the graphs do not give the surprise that they must; \
             try `--device cpu`, and if that fails too, make the bundle again",
        ))
    }
}
