//! Tokens that stay where they are computed: encoder, layer norm, predictor and distance without a copy between them;
//! only the errors come back.
//!
//! Layer norm and distance are a graph of their own here, in float32, where `crate::model::distance` sums in float64.

use super::graph::{Graph, builder};
use super::library::Runtime;
use super::{Device, Interrupt, tensor, words};
use crate::error::{Error, Result};
use crate::model::distance::LAYER_NORM_EPS;
use crate::model::jepa::{HeldQuestion, Widths};
use crate::model::network::internal;
use crate::model::onnx::proto::{self, Element};
use crate::model::tensor::Pixels;
use ::ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ::ort::value::{DynValue, PrimitiveTensorElementType, Tensor};
use ndarray::{Array2, ArrayView, Axis, RemoveAxis, array};

/// Where tokens stay, the graph that compares them, and the targets that are held.
pub(super) struct Resident {
    memory: MemoryInfo<'static>,
    /// Of inputs: memory that the device reads without another copy.
    staging: Allocator,
    comparison: Graph,
    target: Option<DynValue>,
}

impl Resident {
    /// For tokens of these widths on a device.
    pub(super) fn new(runtime: &Runtime, device: Device, widths: Widths) -> Result<Self> {
        let fail = |error: ::ort::Error| {
            Error::Device(format!("tokens can't stay on {device}: {}", words::of_device(&error.to_string())))
        };
        let (place, id) = match device {
            Device::Cuda(id) | Device::TensorRt(id) => (AllocationDevice::CUDA, id),
            Device::Auto | Device::Cpu | Device::OpenVino | Device::OpenVinoBf16 => (AllocationDevice::CPU, 0),
        };
        let memory = MemoryInfo::new(place, id, AllocatorType::Device, MemoryType::Default).map_err(fail)?;
        // CUDA runs the comparison of TensorRT's tokens too: it is not worth an engine.
        let on = if let Device::TensorRt(id) = device { Device::Cuda(id) } else { device };
        let session = builder(runtime, on, 0, None)?.commit_from_memory(&comparison(widths)).map_err(fail)?;
        let staging = if device.is_gpu() {
            let pinned =
                MemoryInfo::new(AllocationDevice::CUDA_PINNED, id, AllocatorType::Device, MemoryType::CPUInput);
            Allocator::new(&session, pinned.map_err(fail)?).map_err(fail)?
        } else {
            Allocator::default()
        };
        Ok(Self { memory, staging, comparison: Graph::new(session), target: None })
    }

    /// The graph that compares.
    pub(super) const fn graph(&self) -> &Graph {
        &self.comparison
    }

    /// Encodes the targets and keeps them.
    pub(super) fn hold(&mut self, encoder: &mut Graph, pixels: Pixels<'_>, stop: &Interrupt) -> Result<()> {
        self.target = None;
        let pixels = self.staged(pixels)?;
        self.target = Some(encoder.run_to(&[("pixel_values", &pixels)], &self.memory, stop)?);
        Ok(())
    }

    /// `[B, Nt]` distances of what `predictor` says to the targets that are held.
    pub(super) fn errors(
        &mut self,
        (encoder, predictor): (&mut Graph, &mut Graph),
        question: HeldQuestion<'_>,
        stop: &Interrupt,
    ) -> Result<Array2<f32>> {
        let target = self.target.as_ref().ok_or_else(|| internal("no targets are held".into()))?;
        let pixels = self.staged(question.pixels)?;
        let context = encoder.run_to(&[("pixel_values", &pixels)], &self.memory, stop)?;
        let context_pos = self.staged(question.context_pos)?;
        let target_pos = self.staged(question.target_pos)?;
        let asked = [("context", &context), ("context_pos", &context_pos), ("target_pos", &target_pos)];
        let prediction = predictor.run_to(&asked, &self.memory, stop)?;
        let first = question.target_pos.first().copied().unwrap_or_default();
        let (first, end) = (array![first], array![first + question.target_pos.ncols() as i64]);
        let inputs = ::ort::inputs![
            "prediction" => &prediction,
            "target" => target,
            "first" => tensor(&first)?,
            "end" => tensor(&end)?,
        ];
        self.comparison.run(inputs, stop)?.array("errors")
    }

    /// Numbers as an input that owns its memory. (Binding a borrowed input makes `ort` 2.0.0-rc.15 copy it by a session of its own,
    /// whose creation waits for itself: `IoBinding::bind_input`, `IdentitySessionHandle::new`.)
    fn staged<T, D: RemoveAxis>(&self, array: ArrayView<'_, T, D>) -> Result<DynValue>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + Copy + 'static,
    {
        let fail = |error: ::ort::Error| Error::Inference(words::of_run(&error.to_string()));
        let mut staged = Tensor::<T>::new(&self.staging, array.shape()).map_err(fail)?;
        let memory = staged.try_extract_tensor_mut::<T>().map_err(fail)?.1;
        let size = (array.len() / array.len_of(Axis(0)).max(1)).max(1);
        for (place, part) in memory.chunks_exact_mut(size).zip(array.outer_iter()) {
            match part.as_slice() {
                Some(values) => place.copy_from_slice(values),
                None => place.iter_mut().zip(part).for_each(|(place, value)| *place = *value),
            }
        }
        Ok(staged.into_dyn())
    }
}

/// `errors[b, i] = mean |prediction[b, i] − norm(target)[b, first + i]|`, where `norm` is a layer norm without affine
/// parameters of each of the widths' levels.
fn comparison(widths: Widths) -> Vec<u8> {
    let part = widths.target / widths.levels;
    let nodes = [
        proto::node("Slice", &["target", "first", "end", "tokens"], "wanted", &[]),
        proto::node("Reshape", &["wanted", "parts"], "levels", &[]),
        proto::node(
            "LayerNormalization",
            &["levels", "ones"],
            "normed",
            &[proto::int("axis", -1), proto::float("epsilon", LAYER_NORM_EPS as f32)],
        ),
        proto::node("Reshape", &["normed", "whole"], "expected", &[]),
        proto::node("Sub", &["prediction", "expected"], "difference", &[]),
        proto::node("Abs", &["difference"], "distance", &[]),
        proto::node("ReduceMean", &["distance"], "errors", &[proto::ints("axes", &[-1]), proto::int("keepdims", 0)]),
    ];
    let constants = [
        proto::row_i64("tokens", &[1]),
        // 0: as it is.
        proto::row_i64("parts", &[0, 0, widths.levels as i64, part as i64]),
        proto::row_i64("whole", &[0, 0, widths.target as i64]),
        proto::row_f32("ones", &vec![1.0; part]),
    ];
    let inputs = [
        proto::value("prediction", Element::F32, 3),
        proto::value("target", Element::F32, 3),
        proto::value("first", Element::I64, 1),
        proto::value("end", Element::I64, 1),
    ];
    proto::model(&nodes, &constants, (&inputs, &[proto::value("errors", Element::F32, 2)]))
}
