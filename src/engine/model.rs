//! A model that is there and verified, and how it is run on this machine.

use super::plan::{self, Plan, PlanHints, Tuned};
use crate::clip::{ClipSpec, ResizeRule};
use crate::folders;
use crate::model::bundle::ModelBundle;
use crate::model::conditions::ActionTable;
use crate::model::jepa::Jepa;
use crate::model::ort::{self as runtime, Device, OrtNetwork, OrtObjects, RuntimeOptions, library};
use crate::model::persistence::Persistence;
use crate::model::shelf;
use crate::model::{FeatureScorer, Scorer};
use crate::pipeline::Copies;
use crate::surprise::CurveKey;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the weight-free control: "nothing changes".
const PERSISTENCE: &str = "persistence";

/// Which model, and how to run it.
#[derive(Debug, Clone)]
pub struct Choice {
    /// A bundle's name or folder, or `persistence`, the weight-free control.
    pub model: String,
    /// Where inference runs. What is asked for and missing is an error.
    pub device: Device,
    /// Threads of inference in all; 0: one per core.
    pub threads: usize,
    /// Windows scored at a time; `None`: what was measured, or a rule.
    pub batch: Option<u16>,
    /// Copies of the model that share the threads and each batch; `None`: what was measured, or a rule.
    pub sessions: Option<u16>,
    /// ONNX Runtime's shared library; `None`: where `make setup` puts it.
    pub ort: Option<PathBuf>,
    /// Frames between windows; `None`: the bundle's.
    pub stride: Option<u32>,
}

impl Choice {
    /// A model as it is run when nothing else is said.
    pub fn of(model: &str) -> Self {
        let (device, threads) = (Device::Auto, 0);
        Self { model: model.into(), device, threads, batch: None, sessions: None, ort: None, stride: None }
    }
}

/// A model that is there and verified, ready to make scorers of.
pub struct Model {
    source: Source,
    asked: Device,
    options: RuntimeOptions,
    plan: Plan,
    actions: Option<Arc<ActionTable>>,
}

enum Source {
    Bundle(Box<ModelBundle>),
    Persistence(ClipSpec),
}

impl Model {
    /// Finds and verifies the model, and loads ONNX Runtime if it needs it. `jobs` scorers will run side by side and
    /// share the cores.
    ///
    /// # Errors
    /// When there is no such model, it is damaged, or the device or the runtime is missing.
    pub fn choose(choice: &Choice, jobs: usize) -> Result<Self> {
        let mut source = if choice.model == PERSISTENCE {
            Source::Persistence(persistence_spec())
        } else {
            Source::Bundle(Box::new(ModelBundle::load(&shelf::find(&choice.model, &shelf::search_path())?)?))
        };
        if let Some(stride) = choice.stride {
            match &mut source {
                Source::Bundle(bundle) => bundle.set_stride(stride)?,
                Source::Persistence(spec) => {
                    spec.stride = stride;
                    spec.check()?;
                }
            }
        }
        let asked = PlanHints { threads: choice.threads, sessions: choice.sessions, batch: choice.batch, jobs };
        let (device, plan) = match &source {
            Source::Bundle(bundle) => {
                let device = choice.device.resolve(library::load(choice.ort.as_deref())?);
                (device, asked.plan(plan::is_small(bundle, device), Tuned::read().plan(bundle, device)))
            }
            Source::Persistence(_) => (choice.device, asked.plan(false, None)),
        };
        let options = runtime_options(device, plan.threads, choice.ort.as_deref());
        Ok(Self { source, asked: choice.device, options, plan, actions: None })
    }

    /// The same model, told what was done in the video: a table of states and actions.
    pub fn with_actions(self, path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(self) };
        let table = ActionTable::parse(&path.display().to_string(), &super::read_text(path)?)?;
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
                    let tried = runtime::open(bundle, &self.options)?.score_noise(1);
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

    /// Where it was asked to run.
    pub const fn device(&self) -> Device {
        self.asked
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
    pub fn scorer(&self) -> Result<Box<dyn FeatureScorer + Send>> {
        let spec = match &self.source {
            Source::Bundle(bundle) if bundle.manifest().objects.is_some() => return self.objects(bundle),
            Source::Bundle(bundle) => return Ok(Box::new(Copies::new(self.plan.sessions, || self.open(bundle))?)),
            Source::Persistence(spec) => spec,
        };
        if self.actions.is_some() {
            return Err(Error::Config("persistence takes no actions; leave out --actions".into()));
        }
        Ok(Box::new(Persistence::new(spec.clone())?))
    }

    fn objects(&self, bundle: &ModelBundle) -> Result<Box<dyn FeatureScorer + Send>> {
        if self.actions.is_some() {
            let name = &bundle.manifest().name;
            return Err(Error::Config(format!("{name} takes no actions; leave out --actions")));
        }
        let network = Copies::new(self.plan.sessions, || OrtObjects::open(bundle, &self.options))?;
        Ok(Box::new(runtime::objects_on(bundle, network)?))
    }

    fn open(&self, bundle: &ModelBundle) -> Result<Jepa<OrtNetwork>> {
        if bundle.manifest().conditioning.is_some() && self.actions.is_none() {
            return Err(Error::Config(format!(
                "{} predicts from what a robot was told to do; give it with `startle analyze --actions FILE`",
                bundle.manifest().name
            )));
        }
        let mut model = runtime::open(bundle, &self.options)?;
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
