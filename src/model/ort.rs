//! ONNX Runtime as a [`Network`]: the only place that knows the `ort` crate.
//!
//! Invariants: the runtime library is loaded once per process, from a place that is known and can be told; a device
//! that was asked for is used or is an error, never silently replaced by the CPU; the graphs of a loaded network take
//! and give what the bundle's contract says.

pub mod cuda;
pub mod device;
mod graph;
pub mod library;
mod objects;
mod placement;
pub mod probe;
mod resident;
mod words;

pub use device::Device;
pub use objects::{OrtObjects, objects_on, open_objects};

use self::graph::Graph;
use self::resident::Resident;
use super::bundle::ModelBundle;
use super::conditions::Given;
use super::jepa::{HeldQuestion, Jepa, Network, Question};
use super::manifest::Precision;
use super::network::internal;
use super::objects::ObjectNetwork;
use super::self_test::{self, Outcome};
use super::tensor::Pixels;
use crate::error::{Error, Result};
use ::ort::session::RunOptions;
use ::ort::value::{PrimitiveTensorElementType, TensorArrayData, TensorRef};
use ndarray::{Array2, Array3};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to run a model.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// Where to run it.
    pub device: Device,
    /// Threads within an operator; 0: one for each core.
    pub threads: usize,
    /// The ONNX Runtime library; `None`: look for it (see [`library::load`]).
    pub library: Option<PathBuf>,
    /// Where what can be made anew is kept: the engines that TensorRT builds of a bundle. `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// Whether tokens stay on the device from the encoder to the errors; `None`: on GPUs.
    pub resident: Option<bool>,
}

/// Loads the graphs of a bundle.
///
/// # Errors
/// [`Error::Device`] when the runtime or the device is not there, [`Error::Bundle`] when a graph can't be loaded or
/// does not take and give what the contract says.
pub fn open(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<Jepa<OrtNetwork>> {
    let (manifest, network) = (bundle.manifest(), OrtNetwork::open(bundle, options)?);
    let widths = manifest.widths()?;
    let model = Jepa::new(bundle.spec().clone(), bundle.normalizer(), widths, bundle.info(), network)?;
    Ok(match manifest.conditioning {
        Some(conditioning) => model.conditioned(conditioning.action_dim),
        None => model,
    })
}

/// Loads a bundle's graphs and runs its self-test; tells the execution provider too.
///
/// # Errors
/// As [`open`] and [`super::Scorer::score`].
pub fn verify(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<(Outcome, String)> {
    if bundle.manifest().objects.is_some() {
        let mut model = open_objects(bundle, options)?;
        return Ok((self_test::run_objects(bundle, &mut model)?, model.network().provider()));
    }
    let mut model = open(bundle, options)?;
    Ok((self_test::run(bundle, &mut model)?, model.network().provider()))
}

/// The graphs of a bundle in ONNX Runtime.
pub struct OrtNetwork {
    encoder: Graph,
    predictor: Graph,
    target_encoder: Option<Graph>,
    resident: Option<Resident>,
    interrupt: Interrupt,
    device: Device,
}

/// Ends a run that goes on, and every later one, from any thread.
#[derive(Clone)]
pub struct Interrupt {
    options: Arc<RunOptions>,
    pulled: Arc<AtomicBool>,
}

impl Interrupt {
    fn new() -> Result<Self> {
        let options = RunOptions::new().map_err(|error| Error::Inference(words::of_run(&error.to_string())))?;
        Ok(Self { options: Arc::new(options), pulled: Arc::default() })
    }

    /// Makes the run in progress fail with [`Error::Stopped`] at its next operator.
    pub fn pull(&self) {
        self.pulled.store(true, Ordering::Relaxed);
        // Terminating sets a flag; if even that fails, the run ends at its regular end.
        let _ = self.options.terminate();
    }

    fn pulled(&self) -> bool {
        self.pulled.load(Ordering::Relaxed)
    }
}

impl OrtNetwork {
    /// Loads the graphs of a bundle that predicts features.
    ///
    /// # Errors
    /// As [`open`]; [`Error::Config`] for a bundle that predicts things.
    pub fn open(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<Self> {
        let (widths, mut network) = (bundle.manifest().widths()?, Self::load(bundle, options)?);
        let device = network.device;
        if bundle.manifest().conditioning.is_none() && options.resident.unwrap_or(device.is_gpu()) {
            let runtime = library::load(options.library.as_deref())?;
            network.resident = Some(Resident::new(runtime, device, widths)?);
        }
        Ok(network)
    }

    /// Loads the graphs of a bundle, whatever they predict.
    fn load(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<Self> {
        let runtime = library::load(options.library.as_deref())?;
        let device = options.device.resolve(runtime);
        if bundle.manifest().precision == Precision::Bf16 && !device.is_gpu() {
            return Err(Error::Device(format!(
                "{} is a bf16 bundle, and ONNX Runtime has no bf16 operations for the CPU; use --device cuda, or the \
                 fp32 bundle of this model",
                bundle.manifest().name
            )));
        }
        let engines = match (&options.cache, device) {
            (Some(cache), Device::TensorRt(_)) => Some(engines(cache, bundle)?),
            _ => None,
        };
        let load = |name: &'static str, file: &str| {
            let place = (bundle.dir(), file);
            let graph = Graph::load(runtime, place, (device, options.threads), engines.as_deref())?;
            graph.check(name, bundle).map_err(|reason| Error::bundle(bundle.dir(), format!("{file}: {reason}")))?;
            Ok(graph)
        };
        let graphs = &bundle.manifest().graphs;
        let network = Self {
            encoder: load("encoder", &graphs.encoder.file)?,
            predictor: load("predictor", &graphs.predictor.file)?,
            target_encoder: match &graphs.target_encoder {
                Some(entry) => Some(load("target_encoder", &entry.file)?),
                None => None,
            },
            resident: None,
            interrupt: Interrupt::new()?,
            device,
        };
        network.require_device()?;
        Ok(network)
    }

    /// A handle that ends runs from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    fn graphs(&self) -> impl Iterator<Item = &Graph> {
        [Some(&self.encoder), Some(&self.predictor), self.target_encoder.as_ref()].into_iter().flatten()
    }

    /// Refuses a device on which no node of the encoder was placed.
    fn require_device(&self) -> Result<()> {
        let device = self.device;
        match device.provider() {
            Some(provider) if self.encoder.placed_on(provider) == Some(0) => Err(Error::Device(format!(
                "ONNX Runtime accepted {device} but placed no part of the encoder on it ({})",
                self.provider()
            ))),
            _ => Ok(()),
        }
    }
}

impl Network for OrtNetwork {
    fn encode(&mut self, pixels: Pixels<'_>) -> Result<Array3<f32>> {
        encode_with(&mut self.encoder, &self.interrupt, pixels)
    }

    fn encode_target(&mut self, pixels: Pixels<'_>) -> Result<Array3<f32>> {
        let encoder = self.target_encoder.as_mut().unwrap_or(&mut self.encoder);
        encode_with(encoder, &self.interrupt, pixels)
    }

    fn predict(&mut self, question: Question<'_>) -> Result<Array3<f32>> {
        let inputs = ::ort::inputs![
            "context" => tensor(question.context)?,
            "context_pos" => tensor(question.context_pos)?,
            "target_pos" => tensor(question.target_pos)?,
        ];
        self.predictor.run(inputs, &self.interrupt)?.array("prediction")
    }

    fn predict_given(&mut self, given: Given<'_>) -> Result<Array3<f32>> {
        let inputs = ::ort::inputs![
            "context" => tensor(given.context)?,
            "actions" => tensor(given.actions)?,
            "states" => tensor(given.states)?,
        ];
        self.predictor.run(inputs, &self.interrupt)?.array("prediction")
    }

    fn hold_target(&mut self, pixels: Pixels<'_>) -> Result<bool> {
        let Some(resident) = &mut self.resident else { return Ok(false) };
        let encoder = self.target_encoder.as_mut().unwrap_or(&mut self.encoder);
        resident.hold(encoder, pixels, &self.interrupt)?;
        Ok(true)
    }

    fn errors_to_held(&mut self, question: HeldQuestion<'_>) -> Result<Array2<f32>> {
        let resident = self.resident.as_mut().ok_or_else(|| internal("this network holds no targets".into()))?;
        resident.errors((&mut self.encoder, &mut self.predictor), question, &self.interrupt)
    }

    fn provider(&self) -> String {
        let ran = placement::describe(self.graphs().map(Graph::placement));
        if self.device.is_reduced() { format!("{ran}, computing in bf16") } else { ran }
    }

    fn is_reduced(&self) -> bool {
        self.device.is_reduced()
    }

    fn seconds(&self) -> f64 {
        let comparison = self.resident.as_ref().map(|resident| resident.graph().seconds());
        self.graphs().map(Graph::seconds).sum::<f64>() + comparison.unwrap_or_default()
    }
}

/// The folder of the engines that TensorRT builds of a bundle, made if it is missing; their names tell the GPU's kind.
fn engines(cache: &Path, bundle: &ModelBundle) -> Result<PathBuf> {
    let folder = cache.join("tensorrt").join(bundle.sha256());
    std::fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
    Ok(folder)
}

fn encode_with(graph: &mut Graph, stop: &Interrupt, pixels: Pixels<'_>) -> Result<Array3<f32>> {
    graph.run(::ort::inputs!["pixel_values" => tensor(pixels)?], stop)?.array("tokens")
}

/// An array as an input; it lies in C order.
fn tensor<'a, T: PrimitiveTensorElementType + std::fmt::Debug>(
    array: impl TensorArrayData<T> + 'a,
) -> Result<TensorRef<'a, T>> {
    TensorRef::from_array_view(array).map_err(|error| Error::Inference(words::of_run(&error.to_string())))
}
