//! Options that several commands share, and what they resolve to.

use super::folders;
use super::plan::{self, Asked, Plan, Tuned};
use clap::Args;
use startle::clip::{ClipSpec, ResizeRule};
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::Input;
use startle::model::Scorer;
use startle::model::bundle::ModelBundle;
use startle::model::conditions::ActionTable;
use startle::model::jepa::Jepa;
use startle::model::ort::{self, Device, OrtNetwork, OrtObjects, RuntimeOptions, library};
use startle::model::persistence::Persistence;
use startle::model::shelf;
use startle::pipeline::live::ByArrival;
use startle::pipeline::{Copies, Open, Pool};
use startle::surprise::CurveKey;
use startle::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the weight-free control: "nothing changes".
const PERSISTENCE: &str = "persistence";

/// Which model, on which device.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Model bundle: a name (see `startle models list`) or a folder; `persistence` is the weight-free control.
    #[arg(long, short, env = "STARTLE_MODEL", hide_env_values = true, default_value = shelf::DEFAULT_BUNDLE)]
    pub model: String,
    /// Where inference runs: auto, cpu, openvino, openvino-bf16, cuda[:N] or tensorrt[:N]. What is asked for and missing is
    /// an error.
    #[arg(long, default_value = "auto", value_parser = clap::value_parser!(Device))]
    pub device: Device,
    /// Threads of inference in all; 0: one per core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Windows scored at a time [default: what `startle models tune` found, else 4 for each copy].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: Option<u16>,
    /// Copies of the model that share the threads and each batch [default: what `startle models tune` found, else one for
    /// each thread of a small model on a CPU, and one otherwise].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub sessions: Option<u16>,
    /// ONNX Runtime's shared library, when it is not where `make setup` puts it.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH", hide_env_values = true)]
    pub ort: Option<PathBuf>,
    /// Frames between windows, a multiple of the tubelet size [default: the bundle's].
    #[arg(long)]
    pub stride: Option<u32>,
}

/// A model that is there and verified, ready to make scorers of.
pub struct ChosenModel {
    source: Source,
    options: RuntimeOptions,
    plan: Plan,
    actions: Option<Arc<ActionTable>>,
}

enum Source {
    Bundle(Box<ModelBundle>),
    Persistence(ClipSpec),
}

impl ModelArgs {
    /// Finds and verifies the model, and loads ONNX Runtime if it needs it. `jobs` scorers will run side by side and
    /// share the cores.
    pub fn choose(&self, jobs: usize) -> Result<ChosenModel> {
        let mut source = if self.model == PERSISTENCE {
            Source::Persistence(persistence_spec())
        } else {
            Source::Bundle(Box::new(ModelBundle::load(&shelf::find(&self.model, &shelf::search_path())?)?))
        };
        if let Some(stride) = self.stride {
            match &mut source {
                Source::Bundle(bundle) => bundle.set_stride(stride)?,
                Source::Persistence(spec) => {
                    spec.stride = stride;
                    spec.check()?;
                }
            }
        }
        let asked = Asked { threads: self.threads, sessions: self.sessions, batch: self.batch, jobs };
        let (device, plan) = match &source {
            Source::Bundle(bundle) => {
                let device = self.device.resolve(library::load(self.ort.as_deref())?);
                (device, asked.plan(plan::is_small(bundle, device), Tuned::read().plan(bundle, device)))
            }
            Source::Persistence(_) => (self.device, asked.plan(false, None)),
        };
        let options = runtime_options(device, plan.threads, self.ort.as_deref());
        Ok(ChosenModel { source, options, plan, actions: None })
    }
}

impl ChosenModel {
    /// The same model, told what was done in the video: a table of states and actions.
    pub fn with_actions(self, path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(self) };
        let table = ActionTable::parse(&path.display().to_string(), &read_text(path)?)?;
        Ok(Self { actions: Some(Arc::new(table)), ..self })
    }

    /// Cuts clips as `spec` says instead of as the model's maker did.
    ///
    /// # Errors
    /// When the model can't take such clips; for clips longer than its own, this is tried out.
    pub fn set_clips(&mut self, spec: ClipSpec) -> Result<()> {
        match &mut self.source {
            Source::Bundle(bundle) => {
                let own = bundle.spec().frames_per_clip;
                bundle.set_clips(spec)?;
                if bundle.spec().frames_per_clip > own {
                    let tried = ort::open(bundle, &self.options)?.score_noise(1);
                    tried.map_err(|e| too_long(bundle, own, &e))?;
                }
            }
            Source::Persistence(own) => {
                spec.check()?;
                *own = spec;
            }
        }
        Ok(())
    }

    /// The clips that it takes.
    pub const fn spec(&self) -> &ClipSpec {
        match &self.source {
            Source::Bundle(bundle) => bundle.spec(),
            Source::Persistence(spec) => spec,
        }
    }

    /// Predicts the slot after the longest context alone: for live streams, see [`ClipSpec::prompt`].
    pub fn be_prompt(&mut self) {
        match &mut self.source {
            Source::Bundle(bundle) => bundle.be_prompt(),
            Source::Persistence(spec) => *spec = spec.prompt(),
        }
    }

    /// Copies, threads and windows at a time.
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// Windows scored at a time.
    pub fn batch(&self) -> usize {
        usize::from(self.plan.batch)
    }

    /// The bundle, unless the model is the weight-free control.
    pub fn bundle(&self) -> Option<&ModelBundle> {
        match &self.source {
            Source::Bundle(bundle) => Some(bundle),
            Source::Persistence(_) => None,
        }
    }

    /// What the surprises of this model depend on, beside the video.
    pub fn curve_key(&self, top_fraction: f32) -> Result<CurveKey> {
        let model_sha256 = match &self.source {
            Source::Bundle(bundle) => bundle.sha256().to_owned(),
            Source::Persistence(spec) => Persistence::new(spec.clone())?.info().sha256,
        };
        Ok(CurveKey { model_sha256, stride: self.spec().stride, top_fraction })
    }

    /// A scorer with sessions of its own.
    pub fn scorer(&self) -> Result<Box<dyn Scorer + Send>> {
        let spec = match &self.source {
            Source::Bundle(bundle) if bundle.manifest().objects.is_some() => return self.objects(bundle),
            Source::Bundle(bundle) => return Ok(Box::new(Pool::new(self.plan.sessions, || self.open(bundle))?)),
            Source::Persistence(spec) => spec,
        };
        if self.actions.is_some() {
            return Err(startle::Error::Config("persistence takes no actions; leave out --actions".into()));
        }
        Ok(Box::new(Persistence::new(spec.clone())?))
    }

    fn objects(&self, bundle: &ModelBundle) -> Result<Box<dyn Scorer + Send>> {
        if self.actions.is_some() {
            let name = &bundle.manifest().name;
            return Err(startle::Error::Config(format!("{name} takes no actions; leave out --actions")));
        }
        let network = Copies::new(self.plan.sessions, || OrtObjects::open(bundle, &self.options))?;
        Ok(Box::new(ort::objects_on(bundle, network)?))
    }

    fn open(&self, bundle: &ModelBundle) -> Result<Jepa<OrtNetwork>> {
        if bundle.manifest().conditioning.is_some() && self.actions.is_none() {
            return Err(startle::Error::Config(format!(
                "{} predicts from what a robot was told to do; give it with `startle analyze --actions FILE`",
                bundle.manifest().name
            )));
        }
        let mut model = ort::open(bundle, &self.options)?;
        if let Some(actions) = &self.actions {
            model.set_actions(Arc::clone(actions))?;
        }
        Ok(model)
    }
}

fn too_long(bundle: &ModelBundle, own: u32, error: &Error) -> Error {
    let asked = bundle.spec().frames_per_clip;
    let reason = format!(
        "was made for clips of {own} frames and can't take {asked}: {error}. Make the bundle again with --frames {asked} (a \
         V-JEPA 1 then gets the longer table of positions that the paper's code builds)"
    );
    Error::bundle(bundle.dir(), reason)
}

/// The clips of the weight-free control: a second of 64² pictures, half a second of context.
fn persistence_spec() -> ClipSpec {
    ClipSpec {
        crop_size: 64,
        patch_size: 8,
        tubelet_size: 2,
        frames_per_clip: 8,
        model_fps: 8.0,
        context_lengths: vec![4],
        opening_contexts: Vec::new(),
        horizon: Some(1),
        stride: 2,
        resize: ResizeRule::Squash,
        resize_size: 64,
    }
}

/// How to run a model; what can be made anew is kept in the user's cache.
pub fn runtime_options(device: Device, threads: usize, library: Option<&Path>) -> RuntimeOptions {
    let (library, cache) = (library.map(Path::to_owned), folders::cache());
    RuntimeOptions { device, threads, library, cache, ..RuntimeOptions::default() }
}

/// Opens an input inside the thread that decodes it.
pub fn opener(input: &Input, options: OpenOptions) -> Open<'_> {
    Box::new(move || {
        let source = Box::new(FfmpegSource::open(input, &options)?);
        Ok(if source.is_pushed() { Box::new(ByArrival::new(source)) } else { source })
    })
}

/// Reads a small text file.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| startle::Error::input(path.display().to_string(), format!("can't be read: {e}")))
}
