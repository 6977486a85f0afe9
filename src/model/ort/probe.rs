//! Whether a device really works: a tiny graph is run on it and the answer is looked at.

use super::library::Runtime;
use super::proto::{self, Element};
use super::{Device, Interrupt, graph};
use crate::error::{Error, Result};
use std::time::Instant;

/// The graph's input, a 2×2 matrix.
const INPUT: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

/// Its square.
const OUTPUT: [f32; 4] = [7.0, 10.0, 15.0, 22.0];

/// Runs a tiny graph on the device; gives the execution provider that ran it.
///
/// # Errors
/// [`Error::Device`] with ONNX Runtime's reason and what the device needs.
pub fn run(runtime: &Runtime, device: Device) -> Result<String> {
    let fail = |reason: String| Error::Device(format!("{device} does not work: {reason}; it needs {}", device.needs()));
    let session = graph::builder(runtime, device, 1, None)?
        .commit_from_memory(&square_graph())
        .map_err(|error| fail(error.to_string()))?;
    let mut graph = graph::Graph::new(session);
    let mut answer = Vec::new();
    let inputs = ::ort::inputs!["x" => super::tensor([2, 2], &INPUT)?];
    graph.run(inputs, &Interrupt::new()?, &mut answer).map_err(|error| fail(error.to_string()))?;
    if answer != OUTPUT {
        return Err(fail(format!("the square of {INPUT:?} came out as {answer:?}")));
    }
    let ran = super::placement::describe(std::iter::once(graph.placement()));
    match device.provider() {
        Some(provider) if graph.placed_on(provider) == Some(0) => Err(fail(format!("the graph ran on {ran} instead"))),
        _ => Ok(ran),
    }
}

/// Floating-point operations per second (a multiplication and an addition are two) of large fp32 matrix products on the
/// device, the best of those that fit into `seconds`.
///
/// # Errors
/// As [`run`].
pub fn matmul_rate(runtime: &Runtime, (device, threads): (Device, usize), seconds: f64) -> Result<f64> {
    const SIDE: usize = 1024;
    let fail = |reason: String| Error::Device(format!("{device} does not multiply: {reason}"));
    let session = graph::builder(runtime, device, threads, None)?
        .commit_from_memory(&square_graph())
        .map_err(|error| fail(error.to_string()))?;
    let mut graph = graph::Graph::new(session);
    let matrix: Vec<f32> = (0..SIDE * SIDE).map(|i| (i % 7) as f32 - 3.0).collect();
    let (mut answer, interrupt) = (Vec::new(), Interrupt::new()?);
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || begun.elapsed().as_secs_f64() < seconds {
        let once = Instant::now();
        let inputs = ::ort::inputs!["x" => super::tensor([SIDE, SIDE], &matrix)?];
        graph.run(inputs, &interrupt, &mut answer).map_err(|error| fail(error.to_string()))?;
        best = best.min(once.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIDE as f64).powi(3) / best)
}

/// `y = x · x` for a square matrix of any side: a matrix product makes CUDA load and start cuBLAS, which is what breaks when
/// an installation is incomplete.
fn square_graph() -> Vec<u8> {
    let matrix = |name| proto::value(name, Element::F32, 2);
    proto::model(&[proto::node("MatMul", &["x", "x"], "y", &[])], &[], (&[matrix("x")], &[matrix("y")]))
}
