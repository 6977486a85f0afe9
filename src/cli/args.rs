//! Options that several commands share, and what they resolve to.

use clap::Args;
use startle::Result;
use startle::clip::ClipSpec;
use startle::model::Scorer;
use startle::model::bundle::ModelBundle;
use startle::model::ort::{self, Device, SessionOptions};
use startle::model::persistence::Persistence;
use startle::model::shelf;
use std::path::{Path, PathBuf};

/// The bundle that is used when none is named.
pub const DEFAULT_MODEL: &str = shelf::DEFAULT_BUNDLE;
/// Names the weight-free control: "nothing changes".
pub const PERSISTENCE: &str = "persistence";

/// Which model, on which device.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Model bundle: a name (see `startle models list`) or a folder; `persistence` is the weight-free control.
    #[arg(long, short, env = "STARTLE_MODEL", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Where inference runs: auto, cpu, cuda[:N] or tensorrt[:N]. What is asked for and missing is an error.
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    pub device: Device,
    /// Threads of one inference call; 0: one per core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Windows per inference call.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: u16,
    /// ONNX Runtime's shared library, when it is not where `make setup` puts it.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    pub ort: Option<PathBuf>,
    /// Frames between windows, a multiple of the tubelet size [default: the bundle's].
    #[arg(long)]
    pub stride: Option<u32>,
}

fn parse_device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: startle::Error| e.to_string())
}

/// A model that is there and verified, ready to make scorers of.
pub struct ChosenModel {
    source: Source,
    spec: ClipSpec,
    options: SessionOptions,
}

enum Source {
    Bundle(Box<ModelBundle>),
    Persistence,
}

impl ModelArgs {
    /// Finds and verifies the model, and loads ONNX Runtime if it needs it. `jobs` scorers will run side by side and
    /// share the cores.
    pub fn choose(&self, jobs: usize) -> Result<ChosenModel> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if self.threads == 0 { (cores / jobs.max(1)).max(1) } else { self.threads };
        let options = SessionOptions { device: self.device, threads };
        let (source, mut spec) = if self.model == PERSISTENCE {
            (Source::Persistence, Persistence::default_spec())
        } else {
            ort::load_runtime(self.ort.as_deref())?;
            let bundle = ModelBundle::load(&shelf::find(&self.model, &shelf::search_path())?)?;
            let spec = bundle.spec().clone();
            (Source::Bundle(Box::new(bundle)), spec)
        };
        if let Some(stride) = self.stride {
            spec.stride = stride;
            spec.check()?;
        }
        Ok(ChosenModel { source, spec, options })
    }
}

impl ChosenModel {
    /// The clips that it takes.
    pub const fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    /// Intra-op threads of each scorer.
    pub const fn threads(&self) -> usize {
        self.options.threads
    }

    /// The model's identity.
    pub fn sha256(&self) -> &str {
        match &self.source {
            Source::Bundle(bundle) => bundle.sha256(),
            Source::Persistence => PERSISTENCE,
        }
    }

    /// Where its baseline lies, if it has one.
    pub fn baseline_path(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Bundle(bundle) => bundle.baseline_path(),
            Source::Persistence => None,
        }
    }

    /// A scorer with sessions of its own.
    pub fn scorer(&self) -> Result<Box<dyn Scorer + Send>> {
        match &self.source {
            Source::Bundle(bundle) => {
                let scorer = ort::load_scorer(bundle, &self.spec, &self.options)?;
                Ok(Box::new(scorer))
            }
            Source::Persistence => Ok(Box::new(Persistence::new(self.spec.clone())?)),
        }
    }
}

/// Reads a small text file.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| startle::Error::input(path.display().to_string(), format!("can't be read: {e}")))
}
