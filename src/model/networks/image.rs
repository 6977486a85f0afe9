//! What the encoders of single pictures share: pixels to patches, patches to the tokens of a clip, and a predictor without
//! weights that expects every token's features to go on in a straight line.
//!
//! A clip is a row of pictures, a slot is one picture. So that the protocol of prediction serves them unchanged, the
//! predictor is a graph too: from the last two pictures of the context it gives last + h · (last − the one before) for the
//! h-th picture after it, features layer-normed without affine as the targets are.

use super::net::{Attended, Kind, Net};
use super::{FRAMES, Facts, Made, Numbers};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, Tensors};
use crate::model::onnx::Value;
use crate::model::onnx::proto::{Element, Size};

/// Of the protocol's layer norm of targets.
const TARGET_EPSILON: f32 = 1e-5;

/// The pictures of an encoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pictures {
    /// Side, pixels.
    pub side: usize,
    /// Side of a patch, pixels.
    pub patch: usize,
}

impl Pictures {
    /// Patches along a side.
    pub const fn grid(self) -> usize {
        self.side / self.patch
    }

    /// Patches of a picture.
    pub const fn area(self) -> usize {
        self.grid() * self.grid()
    }
}

/// Frames of a clip: two that show where features go, and the one that is expected there.
const FRAMES_PER_CLIP: u32 = 3;
/// Frames per second; pictures have no rate of training.
const FPS: f64 = 4.0;

impl Pictures {
    /// The picture of a checkpoint: as asked for, as its processor makes it, or as its configuration says.
    ///
    /// # Errors
    /// [`Error::Config`] when patches do not divide it.
    pub fn of(checkpoint: &Checkpoint, crop: Option<u32>, (stated, patch): (usize, usize)) -> Result<Self> {
        let side = crop.or_else(|| checkpoint.processor.side()).map_or(stated, |side| side as usize);
        if side < patch || !side.is_multiple_of(patch) {
            return Err(Error::Config(format!(
                "a picture of {side}×{side} pixels does not divide into patches of {patch}×{patch}; choose another with --crop"
            )));
        }
        Ok(Self { side, patch })
    }
}

/// The encoder of pictures of a checkpoint with its predictor.
pub(super) fn made(
    pictures: Pictures,
    (kind, layers): (Kind, usize),
    reference: &'static str,
    (tensors, encoder): (Tensors, Vec<u8>),
) -> Made {
    let size = format!("{layers} layers, width {}, {} heads", kind.width, kind.heads);
    let facts = Facts {
        family: FRAMES,
        description: "An encoder of single pictures: its features are expected to go on in a straight line (a control).",
        reference,
        crop: pictures.side as u32,
        patch: pictures.patch as u32,
        tubelet: 1,
        frames: FRAMES_PER_CLIP,
        contexts: vec![FRAMES_PER_CLIP - 1],
        horizon: Some(1),
        fps: FPS,
        dim: kind.width,
        architecture: None,
        test_slots: FRAMES_PER_CLIP,
        rows: vec![
            ("encoder", size),
            ("predictor", "none: linear extrapolation of the last two pictures' features".into()),
        ],
    };
    let predictor = straight_on(kind.width, pictures.area());
    Made { facts, tensors, mask_token: None, graphs: vec![("encoder", encoder), ("predictor", predictor)] }
}

/// Sizes that pixels have only when the graph runs, rows of one integer: windows, and pictures of all windows.
pub(super) struct Counts {
    windows: Value,
    pub pictures: Value,
}

/// `pixel_values [B, T, 3, S, S]` → patches embedded by the convolution `name`, [B · T, area, D].
pub(super) fn embedded(net: &mut Net<'_>, of: Pictures, name: &str, width: usize) -> (Value, Counts) {
    let side = Size::Is(of.side);
    let sizes = [Size::Free("batch"), Size::Free("frames"), Size::Is(3), side, side];
    let pixels = net.g.input("pixel_values", Element::F32, &sizes);
    net.g.part("embeddings");
    let (windows, frames) = (net.g.size(&pixels, 0), net.g.size(&pixels, 1));
    let pictures = net.g.mul(&windows, &frames);
    let (grid, patch) = (of.grid() as i64, of.patch as i64);
    let split = net.g.reshape_to(&pixels, &[-1, 3, grid, patch, grid, patch]);
    let ordered = net.g.transpose(&split, &[0, 2, 4, 1, 3, 5]);
    let values = 3 * of.patch * of.patch;
    let flat = net.joined(&ordered, values);
    let x = net.linear_as(name, &flat, [width, values]);
    let x = net.windows_apart(&x, &pictures, width);
    (x, Counts { windows, pictures })
}

/// Tokens [1, n, D] that every picture has, once for each: [pictures, n, D].
pub(super) fn for_each(net: &mut Net<'_>, tokens: &Value, counts: &Counts) -> Value {
    let ones = net.g.integers(&[1, 1]);
    let shape = net.g.concat(&[&counts.pictures, &ones], 0);
    net.g.op("Expand", &[tokens, &shape], &[])
}

/// Queries, keys and values that stand by themselves: attention without rotation.
pub(super) fn attention(net: &mut Net<'_>, names: [&str; 3], x: &Value, counts: &Counts, kind: Kind) -> Value {
    let [query, key, value] = names.map(|name| {
        let product = net.linear(name, x);
        net.windows_apart(&product, &counts.pictures, kind.width)
    });
    net.attention(&Attended { query: &query, key: &key, value: &value }, kind)
}

/// x + scale · change, where the scale is a vector of the checkpoint.
pub(super) fn residual(net: &mut Net<'_>, x: &Value, scale: &str, change: &Value) -> Value {
    let scale = net.weight(scale);
    let scaled = net.g.mul(change, &scale);
    net.g.add(x, &scaled)
}

/// Gives [pictures · tokens, D] as the graph's output, without the `first` tokens of each picture that are no patches.
pub(super) fn give_patches(net: &mut Net<'_>, x: &Value, first: usize, counts: &Counts, width: usize) {
    let apart = net.windows_apart(x, &counts.pictures, width);
    let patches = net.g.range_of(&apart, 1, first as i64..i64::MAX);
    let tokens = net.windows_apart(&patches, &counts.windows, width);
    net.g.output("tokens", &tokens, &[Size::Free("batch"), Size::Free("tokens"), Size::Is(width)]);
}

/// The predictor without weights, for tokens of `width` features and pictures of `area` tokens.
pub(super) fn straight_on(width: usize, area: usize) -> Vec<u8> {
    let none = Tensors::new();
    let mut net = Net::new(&none, Numbers::Fp32);
    let [batch, known, unknown] = ["batch", "context_tokens", "target_tokens"].map(Size::Free);
    let context = net.g.input("context", Element::F32, &[batch, known, Size::Is(width)]);
    let _ = net.g.input("context_pos", Element::I64, &[batch, known]);
    let target_pos = net.g.input("target_pos", Element::I64, &[batch, unknown]);
    net.g.part("straight_on");
    let (weight, bias) = (net.g.floats(&[width], &vec![1.0; width]), net.g.floats(&[width], &vec![0.0; width]));
    let normed = net.g.layer_norm(&context, &weight, &bias, TARGET_EPSILON);
    let slots = net.g.reshape_to(&normed, &[0, -1, area as i64, width as i64]);
    let last = net.g.range_of(&slots, 1, -1..i64::MAX);
    let before = net.g.range_of(&slots, 1, -2..-1);
    let step = net.g.sub(&last, &before);
    let ahead = steps_ahead(&mut net, &target_pos, area);
    let way = net.g.mul(&step, &ahead);
    let there = net.g.add(&last, &way);
    let windows = net.g.size(&context, 0);
    let prediction = net.windows_apart(&there, &windows, width);
    net.g.output("prediction", &prediction, &[batch, unknown, Size::Is(width)]);
    net.g.finish()
}

/// 1, 2, 3, … for the pictures that are asked for: [1, pictures, 1, 1].
fn steps_ahead(net: &mut Net<'_>, target_pos: &Value, area: usize) -> Value {
    let asked = net.g.size(target_pos, 1);
    let area = net.g.integers(&[area as i64]);
    let slots = net.g.div(&asked, &area);
    let one = net.g.integers(&[1]);
    let end = net.g.add(&slots, &one);
    let none = net.g.integers(&[]);
    let [first, end] = [&one, &end].map(|number| net.g.reshape(number, &none));
    let row = net.g.op("Range", &[&first, &end, &first], &[]);
    let row = net.g.reshape_to(&row, &[1, -1, 1, 1]);
    net.g.cast(&row, Element::F32)
}
