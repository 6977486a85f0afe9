//! Whether a device really works: a tiny graph is run on it and the answer is looked at.

use super::library::Runtime;
use super::{Device, Interrupt, graph, words};
use crate::error::{Error, Result};
use crate::model::manifest::Precision;
use crate::model::onnx::proto::{self, Element};
use crate::model::tensor::noise;
use ndarray::{Array1, Array2, Ix2, aview2};
use std::time::Instant;

/// The graph's input, a 2×2 matrix.
const INPUT: [[f32; 2]; 2] = [[1.0, 2.0], [3.0, 4.0]];

/// Its square.
const OUTPUT: [[f32; 2]; 2] = [[7.0, 10.0], [15.0, 22.0]];

/// Runs a tiny graph on the device; gives the execution provider that ran it.
///
/// # Errors
/// [`Error::Device`] with ONNX Runtime's reason and what the device needs.
pub fn run(runtime: &Runtime, device: Device) -> Result<String> {
    let fail = |reason: String| Error::Device(format!("{device} does not work: {reason}; it needs {}", device.needs()));
    let session = graph::builder(runtime, device, 1, None)?
        .commit_from_memory(&square_graph())
        .map_err(|error| fail(words::of_device(&error.to_string())))?;
    let mut graph = graph::Graph::new(session);
    let (input, interrupt) = (aview2(&INPUT), Interrupt::new()?);
    let inputs = ::ort::inputs!["x" => super::tensor(input)?];
    let answer = graph.run(inputs, &interrupt).and_then(|outputs| outputs.array::<Ix2>("y"));
    let answer = answer.map_err(|error| fail(error.to_string()))?;
    if answer != aview2(&OUTPUT) {
        return Err(fail(format!("the square of {INPUT:?} came out as {:?}", answer.as_slice())));
    }
    let ran = super::placement::describe(std::iter::once(graph.placement()));
    match device.provider() {
        Some(provider) if graph.placed_on(provider) == Some(0) => Err(fail(format!("the graph ran on {ran} instead"))),
        _ => Ok(ran),
    }
}

/// Matrix products whose speed is a device's limit.
#[derive(Debug, Clone, Copy)]
struct Products {
    /// Side of the square matrices.
    side: usize,
    /// Products one after the other in a call: so many that what comes in and goes out does not count.
    times: usize,
    /// What the matrices hold.
    element: Element,
}

impl Products {
    /// Large ones, in the numbers that a bundle of this precision is computed with on the device.
    const fn on(device: Device, precision: Precision) -> Self {
        let element = match precision {
            Precision::Fp16 => Element::F16,
            Precision::Bf16 => Element::Bf16,
            Precision::Fp32 | Precision::Int8 => Element::F32,
        };
        if device.is_gpu() {
            Self { side: 4096, times: 32, element }
        } else {
            // ONNX Runtime's CPU computes in float32 whatever is stored.
            Self { side: 1024, times: 4, element: Element::F32 }
        }
    }

    /// `y = mean over columns of x · x · … · x`, computed in `element`.
    fn graph(self) -> Vec<u8> {
        let cast = |from, element, to| proto::node("Cast", &[from], to, &[proto::int("to", element as i64)]);
        let names: Vec<String> = (0..=self.times).map(|n| format!("p{n}")).collect();
        let mut nodes = vec![cast("x", self.element, "p0")];
        nodes.extend(names.windows(2).map(|pair| proto::node("MatMul", &[&pair[0], "p0"], &pair[1], &[])));
        nodes.push(cast(&names[self.times], Element::F32, "all"));
        nodes.push(proto::node("ReduceMean", &["all"], "y", &[proto::ints("axes", &[-1]), proto::int("keepdims", 0)]));
        let (x, y) = (proto::value("x", Element::F32, 2), proto::value("y", Element::F32, 1));
        proto::model(&nodes, &[], (&[x], &[y]))
    }

    /// Floating-point operations of a call.
    fn flops(self) -> f64 {
        2.0 * (self.side as f64).powi(3) * self.times as f64
    }
}

/// Floating-point operations per second (a multiplication and an addition are two) of large matrix products on the device,
/// in the numbers that a bundle of this precision is computed with there; the best of those that fit into `seconds`.
///
/// # Errors
/// As [`run`].
pub fn matmul_rate(
    runtime: &Runtime,
    (device, threads): (Device, usize),
    precision: Precision,
    seconds: f64,
) -> Result<f64> {
    rate(runtime, (device, threads), Products::on(device, precision), seconds)
}

fn rate(runtime: &Runtime, (device, threads): (Device, usize), products: Products, seconds: f64) -> Result<f64> {
    let fail = |reason: String| Error::Device(format!("{device} does not multiply: {reason}"));
    let session = graph::builder(runtime, device, threads, None)?
        .commit_from_memory(&products.graph())
        .map_err(|error| fail(words::of_device(&error.to_string())))?;
    let mut graph = graph::Graph::new(session);
    let side = products.side;
    // Mean 0 and variance 1 over the side: the powers of such a matrix keep its size.
    let scale = 1.0 / (73.9 * (side as f32).sqrt());
    let mut values = noise(1).map(|value| (f32::from(value) - 127.5) * scale);
    let matrix = Array2::from_shape_simple_fn((side, side), || values.next().unwrap_or_default());
    let (mut answer, interrupt) = (Array1::default(0), Interrupt::new()?);
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || begun.elapsed().as_secs_f64() < seconds {
        let once = Instant::now();
        let inputs = ::ort::inputs!["x" => super::tensor(&matrix)?];
        let outputs = graph.run(inputs, &interrupt).and_then(|outputs| outputs.array("y"));
        answer = outputs.map_err(|error| fail(error.to_string()))?;
        best = best.min(once.elapsed().as_secs_f64());
    }
    if !answer.iter().all(|value| value.is_finite()) {
        return Err(fail("a product of finite numbers is not finite".into()));
    }
    Ok(products.flops() / best)
}

/// `y = x · x` for a square matrix of any side: a matrix product makes CUDA load and start cuBLAS, which is what breaks when
/// an installation is incomplete.
fn square_graph() -> Vec<u8> {
    let matrix = |name| proto::value(name, Element::F32, 2);
    proto::model(&[proto::node("MatMul", &["x", "x"], "y", &[])], &[], (&[matrix("x")], &[matrix("y")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_in_a_row_are_what_the_graph_says() {
        let products = Products { side: 2, times: 3, element: Element::F32 };
        let runtime = super::super::library::load(None).unwrap_or_else(|e| panic!("this test needs ONNX Runtime: {e}"));
        let session =
            graph::builder(runtime, Device::Cpu, 1, None).unwrap().commit_from_memory(&products.graph()).unwrap();
        let inputs = ::ort::inputs!["x" => super::super::tensor(aview2(&INPUT)).unwrap()];
        let (mut graph, interrupt) = (graph::Graph::new(session), Interrupt::new().unwrap());
        let answer: Array1<f32> = graph.run(inputs, &interrupt).unwrap().array("y").unwrap();
        // The fourth power of (1 2; 3 4) is (199 290; 435 634).
        assert_eq!(answer, ndarray::array![244.5, 534.5]);
        for element in [Element::F32, Element::F16] {
            let small = Products { side: 64, times: 32, element };
            assert!(rate(runtime, (Device::Cpu, 1), small, 0.0).unwrap() > 0.0, "{element:?}");
        }
    }
}
