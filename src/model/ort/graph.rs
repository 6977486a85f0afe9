//! One ONNX graph, loaded: its session, what it takes and gives, and the time spent in it.

use super::library::Runtime;
use super::{Device, Interrupt, cuda, placement, words};
use crate::error::{Error, Result};
use crate::model::bundle::ModelBundle;
use crate::model::objects::ObjectsSection;
use crate::surprise::THING;
use ::ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};
use ::ort::logging::LogLevel;
use ::ort::memory::MemoryInfo;
use ::ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ::ort::session::{Session, SessionInputs, SessionOutputs};
use ::ort::value::{DynValue, Outlet, TensorElementType, ValueType};
use ndarray::{Array, Dimension};
use std::path::Path;
use std::time::{Duration, Instant};

/// A size that an input or output must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// It differs from call to call.
    Free,
    /// Always this (a graph that leaves it free will do as well).
    Is(usize),
}

/// An input or output that the contract demands.
struct Port {
    name: &'static str,
    element: TensorElementType,
    sizes: Vec<Size>,
}

/// A loaded graph.
pub(super) struct Graph {
    session: Session,
    placement: Vec<(String, usize)>,
    spent: Duration,
}

impl Graph {
    /// Loads `dir/file` on a device, with `threads` threads within an operator (0: one for each core); what TensorRT
    /// makes of it is kept in `engines`.
    pub(super) fn load(
        runtime: &Runtime,
        (dir, file): (&Path, &str),
        (device, threads): (Device, usize),
        engines: Option<&Path>,
    ) -> Result<Self> {
        let mut builder = builder(runtime, device, threads, engines)?;
        let session = builder.commit_from_file(dir.join(file)).map_err(|error| {
            Error::bundle(dir, format!("{file} can't be loaded on {device}: {}", words::of_load(&error.to_string())))
        })?;
        Ok(Self::new(session))
    }

    pub(super) fn new(session: Session) -> Self {
        let placement = placement::of(&session);
        Self { session, placement, spent: Duration::ZERO }
    }

    /// Execution providers with the number of nodes that each runs; empty when ONNX Runtime does not tell.
    pub(super) fn placement(&self) -> &[(String, usize)] {
        &self.placement
    }

    /// Nodes on `provider`; `None` when ONNX Runtime does not tell.
    pub(super) fn placed_on(&self, provider: &str) -> Option<usize> {
        let on = self.placement.iter().filter(|(name, _)| name == provider).map(|(_, nodes)| nodes);
        (!self.placement.is_empty()).then(|| on.sum())
    }

    /// Seconds spent in it.
    pub(super) fn seconds(&self) -> f64 {
        self.spent.as_secs_f64()
    }

    /// Runs it.
    pub(super) fn run<'s, 'i, 'v: 'i, const N: usize>(
        &'s mut self,
        inputs: impl Into<SessionInputs<'i, 'v, N>>,
        stop: &'s Interrupt,
    ) -> Result<Outputs<'s>> {
        let start = Instant::now();
        let outputs = self.session.run_with_options(inputs, &stop.options);
        self.spent += start.elapsed();
        outputs.map(Outputs).map_err(|error| failed(&error, stop))
    }

    /// Runs it; its only output stays in `memory`.
    pub(super) fn run_to(
        &mut self,
        inputs: &[(&str, &DynValue)],
        memory: &MemoryInfo<'_>,
        stop: &Interrupt,
    ) -> Result<DynValue> {
        let fail = |error: ::ort::Error| failed(&error, stop);
        let output = self.session.outputs()[0].name().to_owned();
        let start = Instant::now();
        let mut binding = self.session.create_binding().map_err(fail)?;
        for (name, value) in inputs {
            binding.bind_input(*name, value).map_err(fail)?;
        }
        binding.bind_output_to_device(&output, memory).map_err(fail)?;
        let value = self.session.run_binding_with_options(&binding, &stop.options).map_err(fail)?.remove(&output);
        self.spent += start.elapsed();
        value.ok_or_else(|| Error::Inference(format!("the graph gave no {output}")))
    }

    /// Compares the inputs and outputs with the contract for the graph `name`.
    pub(super) fn check(&self, name: &str, bundle: &ModelBundle) -> Result<(), String> {
        let (inputs, outputs) = match &bundle.manifest().objects {
            Some(objects) => contract_of_objects(name, objects, bundle),
            None => contract(name, bundle)?,
        };
        check_ports("input", self.session.inputs(), &inputs)?;
        check_ports("output", self.session.outputs(), &outputs)
    }
}

/// What a graph gave.
pub(super) struct Outputs<'s>(SessionOutputs<'s>);

impl Outputs<'_> {
    /// The output of that name.
    pub(super) fn array<D: Dimension>(&self, name: &str) -> Result<Array<f32, D>> {
        let value = self.0.get(name).ok_or_else(|| Error::Inference(format!("the graph gave no {name}")))?;
        let view = value.try_extract_array::<f32>();
        let view = view.map_err(|error| Error::Inference(words::of_run(&error.to_string())))?;
        let array = view.into_dimensionality::<D>();
        Ok(array.map_err(|error| Error::Inference(format!("{name}: {error}")))?.to_owned())
    }
}

/// What a failed call means: it may have been told to end.
fn failed(error: &::ort::Error, stop: &Interrupt) -> Error {
    if stop.pulled() { Error::Stopped } else { Error::Inference(words::of_run(&error.to_string())) }
}

/// The contract of the manifest (DESIGN: model bundles).
fn contract(name: &str, bundle: &ModelBundle) -> Result<(Vec<Port>, Vec<Port>), String> {
    use Size::{Free, Is};
    let (side, widths) =
        (bundle.spec().crop_size as usize, bundle.manifest().widths().map_err(|error| error.to_string())?);
    let float = |name, sizes| Port { name, element: TensorElementType::Float32, sizes };
    let index = |name| Port { name, element: TensorElementType::Int64, sizes: vec![Free, Free] };
    let tokens = |width| vec![Free, Free, Is(width)];
    Ok(if let ("predictor", Some(conditioning)) = (name, bundle.manifest().conditioning) {
        let given = |name| float(name, tokens(conditioning.action_dim));
        let inputs = vec![float("context", tokens(widths.context)), given("actions"), given("states")];
        (inputs, vec![float("prediction", tokens(widths.target))])
    } else if name == "predictor" {
        let inputs = vec![float("context", tokens(widths.context)), index("context_pos"), index("target_pos")];
        (inputs, vec![float("prediction", tokens(widths.target))])
    } else {
        let pixels = vec![Free, Free, Is(3), Is(side), Is(side)];
        // Without a target encoder the contexts' widths are the targets' too.
        let width = if name == "encoder" { widths.context } else { widths.target };
        (vec![float("pixel_values", pixels)], vec![float("tokens", tokens(width))])
    })
}

/// The same for a model of objects; see [`crate::model::objects`].
fn contract_of_objects(name: &str, objects: &ObjectsSection, bundle: &ModelBundle) -> (Vec<Port>, Vec<Port>) {
    use Size::{Free, Is};
    let (side, grid, rows) = (bundle.spec().crop_size as usize, bundle.spec().grid(), objects.rows());
    let float = |name, sizes: &[usize]| {
        let sizes = std::iter::once(Free).chain(sizes.iter().map(|size| Is(*size))).collect();
        Port { name, element: TensorElementType::Float32, sizes }
    };
    let seen = vec![float("tokens", &[objects.tokens, objects.attributes]), float("maps", &[objects.maps, grid, grid])];
    if name == "encoder" {
        return (vec![float("pixel_values", &[3, side, side])], seen);
    }
    let inputs = std::iter::once(float("state", &[objects.state])).chain(seen).collect();
    let outputs = vec![
        float("next_state", &[objects.state]),
        float("energy", &[rows, objects.parts.len()]),
        float("expected", &[rows, THING]),
        float("seen", &[rows, THING]),
    ];
    (inputs, outputs)
}

fn check_ports(kind: &str, found: &[Outlet], wanted: &[Port]) -> Result<(), String> {
    let names: Vec<&str> = found.iter().map(Outlet::name).collect();
    let missing = wanted.iter().find(|port| !names.contains(&port.name));
    if missing.is_some() || found.len() != wanted.len() {
        let wanted: Vec<&str> = wanted.iter().map(|port| port.name).collect();
        return Err(format!(
            "the graph's {kind}s are {names:?}, the contract's are {wanted:?}; is it the right graph for this place?"
        ));
    }
    for port in wanted {
        let outlet = found.iter().find(|outlet| outlet.name() == port.name);
        match outlet.map(Outlet::dtype) {
            Some(ValueType::Tensor { ty, shape, .. }) if *ty == port.element && fits(shape, port) => {}
            other => return Err(format!("{kind} {} is {other:?}, expected {}", port.name, port.describe())),
        }
    }
    Ok(())
}

/// Free sizes are −1 in a graph; a size that the contract leaves free must be free, so that batches and contexts of
/// every length fit.
fn fits(shape: &[i64], port: &Port) -> bool {
    shape.len() == port.sizes.len()
        && shape.iter().zip(&port.sizes).all(|(&found, &wanted)| match wanted {
            Size::Free => found < 0,
            Size::Is(size) => found < 0 || found == size as i64,
        })
}

impl Port {
    fn describe(&self) -> String {
        let sizes: Vec<String> = self
            .sizes
            .iter()
            .map(|size| match size {
                Size::Free => "any".into(),
                Size::Is(size) => size.to_string(),
            })
            .collect();
        format!("{:?} [{}]", self.element, sizes.join(", "))
    }
}

/// A session's settings: all optimisations, one operator at a time, no spinning (idle threads that spin steal the
/// cores of the decoder; measured at 2 to 4 times the wall time on a shared machine).
pub(super) fn builder(
    runtime: &Runtime,
    device: Device,
    threads: usize,
    engines: Option<&Path>,
) -> Result<SessionBuilder> {
    let fail = |error: ::ort::Error| Error::Device(words::of_device(&error.to_string()));
    let build = || -> ::ort::Result<SessionBuilder> {
        Ok(Session::builder(&runtime.environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_config_entry(placement::RECORD_KEY, "1")?)
    };
    let builder = build().map_err(fail)?;
    if matches!(device, Device::Cuda(_) | Device::TensorRt(_)) {
        cuda::preload(runtime.path());
    }
    builder.with_execution_providers(providers(device, threads, engines)).map_err(|error| {
        Error::Device(format!(
            "{device} can't be used: {}; it needs {}",
            words::of_device(error.message()),
            device.needs()
        ))
    })
}

/// Registering fails loudly: the default would be to run on the CPU without a word.
fn providers(device: Device, threads: usize, engines: Option<&Path>) -> Vec<ExecutionProviderDispatch> {
    // TF32 would round every product to 10 bits of mantissa: fp32 bundles are exact, fp16 bundles are the fast ones.
    let cuda = |id| ep::CUDA::default().with_device_id(id).with_tf32(false).build().error_on_failure();
    match device {
        Device::Auto | Device::Cpu => Vec::new(),
        Device::OpenVino | Device::OpenVinoBf16 => vec![openvino(device, threads).build().error_on_failure()],
        Device::Cuda(id) => vec![cuda(id)],
        Device::TensorRt(id) => {
            let tensorrt = ep::TensorRT::default().with_device_id(id);
            let tensorrt = match engines.map(Path::display) {
                Some(folder) => tensorrt
                    .with_engine_cache(true)
                    .with_engine_cache_path(&folder)
                    .with_timing_cache(true)
                    .with_timing_cache_path(&folder),
                None => tensorrt,
            };
            vec![tensorrt.build().error_on_failure(), cuda(id)]
        }
    }
}

/// OpenVINO on the processor, in one stream; its own properties come as JSON (`load_config`).
fn openvino(device: Device, threads: usize) -> ep::OpenVINO {
    let precision = if device == Device::OpenVinoBf16 { "bf16" } else { "f32" };
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    let properties = serde_json::json!({"CPU": {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads.to_string(),
        "NUM_STREAMS": "1",
    }});
    ep::OpenVINO::default().with_device_type("CPU").with_arbitrary_config("load_config", properties)
}
