//! Networks that startle writes as ONNX graphs from a checkpoint of Hugging Face, one file each.
//!
//! A network is defined by its shape (`config.json`), the tensors that it must have, and its graphs. The graphs hold no
//! weights: they point into the checkpoint's own files, whose layout therefore is that of the operators here (weights
//! are [outputs, inputs], hence `Gemm` with the weight transposed, on a residual stream of [windows · tokens, width]).
//! `models/python/startle_models` defines the same networks for checkpoints of other kinds; the tests hold the two
//! equal.

mod net;
mod rotary;
pub(super) mod vjepa2;

use super::checkpoint::Shapes;

/// Adds the shapes of a linear layer.
fn linear(shapes: &mut Shapes, name: &str, (inputs, outputs): (usize, usize), bias: bool) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    if bias {
        shapes.insert(format!("{name}.bias"), vec![outputs]);
    }
}

/// Adds the shapes of a layer norm.
fn norm(shapes: &mut Shapes, name: &str, width: usize) {
    for part in ["weight", "bias"] {
        shapes.insert(format!("{name}.{part}"), vec![width]);
    }
}
