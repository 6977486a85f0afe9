//! DINOv3 (ViT) as `transformers.DINOv3ViTModel` lays it out: an encoder of single pictures.
//!
//! Positions are rotations by the patch's place in the picture, −1 to 1 from side to side; the class token and the
//! registers do not turn.

use super::image::{self, Counts, Pictures};
use super::net::{Act, Attended, Kind, Net};
use super::{Made, NetworkOptions, linear, norm, picture_config};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, TensorShapes};
use crate::model::onnx::Value;
use serde::Deserialize;
use serde_json::json;
use std::f64::consts::PI;

/// The architecture's name in `config.json`.
pub(super) const MODEL_TYPE: &str = "dinov3_vit";

const PATCH: &str = "embeddings.patch_embeddings";

/// The fields of `DINOv3ViTConfig` that other encoders do not have.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the configuration")]
struct Dinov3Fields {
    intermediate_size: usize,
    num_register_tokens: usize,
    rope_theta: f64,
    query_bias: bool,
    key_bias: bool,
    value_bias: bool,
    proj_bias: bool,
    mlp_bias: bool,
    use_gated_mlp: bool,
}

type Dinov3Config = picture_config::PictureConfig<Dinov3Fields>;

/// Those of `DINOv3ViTConfig`.
fn defaults() -> serde_json::Value {
    json!({
        "image_size": 224, "patch_size": 16, "num_channels": 3, "hidden_size": 384, "num_attention_heads": 6,
        "num_hidden_layers": 12, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
        "intermediate_size": 1536, "num_register_tokens": 0, "rope_theta": 100.0, "query_bias": true, "key_bias": false,
        "value_bias": true, "proj_bias": true, "mlp_bias": true, "use_gated_mlp": false,
    })
}

/// Cosines and signed sines for all tokens of a picture, [1, tokens, 1, head].
struct PictureTurn {
    cos: Value,
    sin: Value,
}

impl Dinov3Config {
    /// Tokens before the patches.
    const fn first(&self) -> usize {
        1 + self.own.num_register_tokens
    }

    /// The angle of every feature of a head for every token.
    fn angles(&self, grid: usize) -> Vec<f32> {
        let quarter = self.kind().head() / 4;
        let mut angles = vec![0.0; self.first() * 4 * quarter];
        let place = |at: usize| 2.0 * ((at as f32 + 0.5) / grid as f32) - 1.0;
        let rate = |at: usize| (1.0 / self.own.rope_theta.powf(at as f64 / quarter as f64)) as f32;
        for (row, column) in (0..grid * grid).map(|patch| (patch / grid, patch % grid)) {
            let half: Vec<f32> = [row, column]
                .into_iter()
                .flat_map(|axis| (0..quarter).map(move |at| (2.0 * PI) as f32 * place(axis) * rate(at)))
                .collect();
            angles.extend(half.iter().chain(&half));
        }
        angles
    }
}

/// The network of a checkpoint.
///
/// # Errors
/// As [`super::make`].
pub(super) fn make(checkpoint: &Checkpoint, asked: NetworkOptions) -> Result<Made> {
    let config = Dinov3Config::read(&checkpoint.config, defaults())?;
    let act = config.act(if config.own.use_gated_mlp { &[Act::Gelu, Act::Silu] } else { &[Act::Gelu] })?;
    if !config.kind().head().is_multiple_of(4) {
        let head = config.kind().head();
        return Err(Error::Config(format!(
            "config.json: heads of {head} features; a rotation by rows and columns needs fours"
        )));
    }
    let pictures = Pictures::of(checkpoint, asked.crop, (config.image_size, config.patch_size))?;
    let tensors = checkpoint.exactly(&expected(&config), str::to_owned)?;
    let graph = encoder(&config, Net::new(&tensors, asked.numbers), (pictures, act));
    Ok(image::made(
        pictures,
        (config.kind(), config.num_hidden_layers),
        "`transformers.DINOv3ViTModel`",
        (tensors, graph),
    ))
}

/// Every tensor's name and sizes.
fn expected(config: &Dinov3Config) -> TensorShapes {
    let (c, width, mut shapes) = (config, config.hidden_size, TensorShapes::new());
    shapes.insert("embeddings.cls_token".into(), vec![1, 1, width]);
    shapes.insert("embeddings.mask_token".into(), vec![1, 1, width]);
    shapes.insert("embeddings.register_tokens".into(), vec![1, c.own.num_register_tokens, width]);
    shapes.insert(format!("{PATCH}.weight"), vec![width, 3, c.patch_size, c.patch_size]);
    shapes.insert(format!("{PATCH}.bias"), vec![width]);
    for index in 0..c.num_hidden_layers {
        let layer = format!("layer.{index}");
        norm(&mut shapes, &format!("{layer}.norm1"), width);
        norm(&mut shapes, &format!("{layer}.norm2"), width);
        let parts = [("q", c.own.query_bias), ("k", c.own.key_bias), ("v", c.own.value_bias), ("o", c.own.proj_bias)];
        for (part, bias) in parts {
            linear(&mut shapes, &format!("{layer}.attention.{part}_proj"), (width, width), bias);
        }
        for part in ["up_proj", "gate_proj"].into_iter().take(if c.own.use_gated_mlp { 2 } else { 1 }) {
            linear(&mut shapes, &format!("{layer}.mlp.{part}"), (width, c.own.intermediate_size), c.own.mlp_bias);
        }
        linear(&mut shapes, &format!("{layer}.mlp.down_proj"), (c.own.intermediate_size, width), c.own.mlp_bias);
        for scale in ["layer_scale1", "layer_scale2"] {
            shapes.insert(format!("{layer}.{scale}.lambda1"), vec![width]);
        }
    }
    norm(&mut shapes, "norm", width);
    shapes
}

/// `pixel_values [B, T, 3, S, S]`, normalised → `tokens [B, T · grid², D]` of the patches, the last layer norm included.
fn encoder(config: &Dinov3Config, mut net: Net<'_>, (pictures, act): (Pictures, Act)) -> Vec<u8> {
    let (c, kind) = (config, config.kind());
    let (patches, counts) = image::embedded(&mut net, pictures, PATCH, kind.width);
    let mut first = net.weight("embeddings.cls_token");
    if c.own.num_register_tokens > 0 {
        let registers = net.weight("embeddings.register_tokens");
        first = net.g.concat(&[&first, &registers], 1);
    }
    let first = image::for_each(&mut net, &first, &counts);
    let x = net.g.concat(&[&first, &patches], 1);
    let mut x = net.joined(&x, kind.width);
    let turn = turn(&mut net, c, pictures);
    for index in 0..c.num_hidden_layers {
        let name = format!("layer.{index}");
        x = attended(&mut net, &name, &x, (&turn, &counts), kind);
        let normed = net.norm(&format!("{name}.norm2"), &x, kind.epsilon);
        let inner = perceptron(&mut net, &format!("{name}.mlp"), &normed, c.own.use_gated_mlp.then_some(act));
        x = image::residual(&mut net, &x, &format!("{name}.layer_scale2.lambda1"), &inner);
    }
    net.g.part("encoder");
    x = net.norm("norm", &x, kind.epsilon);
    image::give_patches(&mut net, &x, c.first(), &counts, kind.width);
    net.g.finish()
}

fn turn(net: &mut Net<'_>, c: &Dinov3Config, pictures: Pictures) -> PictureTurn {
    let (angles, head) = (c.angles(pictures.grid()), c.kind().head());
    let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
    let signed = |(at, angle): (usize, &f32)| if at % head < head / 2 { -angle.sin() } else { angle.sin() };
    let sin: Vec<f32> = angles.iter().enumerate().map(signed).collect();
    let dims = [1, c.first() + pictures.area(), 1, head];
    PictureTurn { cos: net.g.floats(&dims, &cos), sin: net.g.floats(&dims, &sin) }
}

/// The first half of a layer: attention.
fn attended(net: &mut Net<'_>, name: &str, x: &Value, (turn, counts): (&PictureTurn, &Counts), kind: Kind) -> Value {
    net.g.part(name);
    let normed = net.norm(&format!("{name}.norm1"), x, kind.epsilon);
    let part = |part: &str| format!("{name}.attention.{part}_proj");
    let query = turned(net, &part("q"), &normed, (turn, counts), kind);
    let key = turned(net, &part("k"), &normed, (turn, counts), kind);
    let value = net.linear(&part("v"), &normed);
    let value = net.windows_apart(&value, &counts.pictures, kind.width);
    let found = net.attention(&Attended { query: &query, key: &key, value: &value }, kind);
    let found = net.linear(&part("o"), &found);
    image::residual(net, x, &format!("{name}.layer_scale1.lambda1"), &found)
}

/// With the activation of its gate, if it has one.
fn perceptron(net: &mut Net<'_>, name: &str, x: &Value, gate: Option<Act>) -> Value {
    let part = |part: &str| format!("{name}.{part}_proj");
    let Some(act) = gate else { return net.perceptron((&part("up"), &part("down")), x) };
    let (gate, through) = (net.linear(&part("gate"), x), net.linear(&part("up"), x));
    net.gated(&part("down"), (&gate, &through), act)
}

/// The linear layer `name`, its first and second halves of every head turned against each other.
fn turned(net: &mut Net<'_>, name: &str, x: &Value, (turn, counts): (&PictureTurn, &Counts), kind: Kind) -> Value {
    let (heads, head) = (kind.heads as i64, kind.head() as i64);
    let product = net.linear(name, x);
    let sizes = net.g.integers(&[-1, heads, head]);
    let shape = net.g.concat(&[&counts.pictures, &sizes], 0);
    let x = net.g.reshape(&product, &shape);
    let (first, second) = (net.g.range_of(&x, -1, 0..head / 2), net.g.range_of(&x, -1, head / 2..head));
    let swapped = net.g.concat(&[&second, &first], -1);
    let (kept, crossed) = (net.g.mul(&x, &turn.cos), net.g.mul(&swapped, &turn.sin));
    let sum = net.g.add(&kept, &crossed);
    net.g.reshape_to(&sum, &[0, 0, -1])
}
