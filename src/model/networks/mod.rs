//! Networks that startle writes as ONNX graphs from a checkpoint of Hugging Face, one file each.
//!
//! A network is defined by its shape (`config.json`), the tensors that it must have, and its graphs. The graphs hold no
//! weights: they point into the checkpoint's own files, whose layout therefore is that of the operators here (weights
//! are [outputs, inputs], hence `Gemm` with the weight transposed, on a residual stream of [windows · tokens, width]).
//! `models/python/startle_models` defines the same networks for checkpoints of other kinds; the tests hold the two
//! equal.

mod dinov2;
mod dinov3;
mod image;
mod net;
mod picture_config;
mod rotary;
mod vjepa2;

use super::checkpoint::{Checkpoint, TensorShapes, Tensors};
use super::mask_token::MaskToken;
use super::onnx::proto::Element;
use crate::error::{Error, Result};
use serde_json::Value;

/// The family of encoders of single pictures.
pub(super) const FRAMES: &str = "frames";

/// In which numbers products of matrices and attention are computed. Residual sums, layer norms, rotations and activations
/// are float32 always; weights stay as they are stored and are cast in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Numbers {
    /// float32.
    #[default]
    Fp32,
    /// A half.
    Half(Element),
    /// float32, operands and results rounded to a half: what it comes to, for processors that have no such products.
    Rounded(Element),
}

impl Numbers {
    /// The type of a product's operands; `None`: float32.
    const fn element(self) -> Option<Element> {
        match self {
            Self::Half(element) => Some(element),
            Self::Fp32 | Self::Rounded(_) => None,
        }
    }
}

/// What is wanted otherwise than the checkpoint has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NetworkOptions {
    /// Side of the picture, pixels.
    pub crop: Option<u32>,
    /// The mask token that the predictor asks with.
    pub mask_token: Option<usize>,
    pub numbers: Numbers,
}

/// A network as graphs, and what a bundle says of it.
pub(super) struct Made {
    pub facts: Facts,
    /// The tensors of the checkpoint, by their usual names.
    pub tensors: Tensors,
    pub mask_token: Option<MaskToken>,
    /// By the graph's name in a manifest.
    pub graphs: Vec<(&'static str, Vec<u8>)>,
}

/// What a bundle says of a network; the clip is what is usual, and options may ask for another.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub family: &'static str,
    pub description: &'static str,
    /// What the tests hold the graphs to.
    pub reference: &'static str,
    /// Sides of the picture and of a patch, pixels.
    pub crop: u32,
    /// See `crop`.
    pub patch: u32,
    /// Frames of a slot and of a clip.
    pub tubelet: u32,
    /// See `tubelet`.
    pub frames: u32,
    /// Context lengths in frames; empty: a quarter, a half and three quarters of the clip.
    pub contexts: Vec<u32>,
    /// Slots predicted; `None`: to the end.
    pub horizon: Option<u32>,
    /// Frames per second.
    pub fps: f64,
    /// Features of a token.
    pub dim: usize,
    /// For counting operations, where that is known.
    pub architecture: Option<Value>,
    /// Slots of the self-test: the last is predicted from the others.
    pub test_slots: u32,
    /// Rows of the card: what, and how large.
    pub rows: Vec<(&'static str, String)>,
}

/// The network of a checkpoint.
///
/// # Errors
/// [`Error::Config`] when it is of a kind that startle does not write, [`Error::Input`] when its tensors are not those
/// that it promises.
pub(super) fn make(checkpoint: &Checkpoint, asked: NetworkOptions) -> Result<Made> {
    match checkpoint.model_type() {
        vjepa2::FAMILY => vjepa2::make(checkpoint, asked),
        dinov2::MODEL_TYPE | dinov3::MODEL_TYPE if asked.mask_token.is_some() => Err(Error::Config(format!(
            "{}: --mask-token: an encoder of pictures asks with none; leave it out",
            checkpoint.folder().display()
        ))),
        dinov2::MODEL_TYPE => dinov2::make(checkpoint, asked),
        dinov3::MODEL_TYPE => dinov3::make(checkpoint, asked),
        other => Err(Error::Config(format!(
            "{}: model_type {other:?} in its config.json; startle writes bundles of {:?}, {:?} and {:?}. V-JEPA 1, 2.1 and \
             2-AC come as .pt files, for which there is the Python exporter (models/README.md)",
            checkpoint.folder().display(),
            vjepa2::FAMILY,
            dinov2::MODEL_TYPE,
            dinov3::MODEL_TYPE
        ))),
    }
}

/// Whether a width divides into heads.
fn check_heads(width: usize, heads: usize) -> Result<(), String> {
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) || width / heads < 6 {
        return Err(format!("a width of {width} does not divide into {heads} heads of 6 features or more"));
    }
    Ok(())
}

/// Adds the shapes of a linear layer.
fn linear(shapes: &mut TensorShapes, name: &str, (inputs, outputs): (usize, usize), bias: bool) {
    shapes.insert(format!("{name}.weight"), vec![outputs, inputs]);
    if bias {
        shapes.insert(format!("{name}.bias"), vec![outputs]);
    }
}

/// Adds the shapes of a layer norm.
fn norm(shapes: &mut TensorShapes, name: &str, width: usize) {
    for part in ["weight", "bias"] {
        shapes.insert(format!("{name}.{part}"), vec![width]);
    }
}
