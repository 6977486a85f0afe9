//! DINOv3 (ViT) as `transformers.DINOv3ViTModel` lays it out: an encoder of single pictures.
//!
//! Positions are rotations by the patch's place in the picture, −1 to 1 from side to side; the class token and the
//! registers do not turn.

use super::image::{self, Counts, Pictures};
use super::net::{Attended, Kind, Net};
use super::{Made, linear, norm};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, Shapes, Tensors};
use crate::model::onnx::Value;
use serde::Deserialize;
use std::f64::consts::PI;

/// The architecture's name in `config.json`.
pub(super) const MODEL_TYPE: &str = "dinov3_vit";

const PATCH: &str = "embeddings.patch_embeddings";

/// The fields of `DINOv3ViTConfig` that matter here, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the configuration")]
struct Config {
    image_size: usize,
    patch_size: usize,
    num_channels: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    num_register_tokens: usize,
    layer_norm_eps: f32,
    rope_theta: f64,
    query_bias: bool,
    key_bias: bool,
    value_bias: bool,
    proj_bias: bool,
    mlp_bias: bool,
    hidden_act: String,
    use_gated_mlp: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            image_size: 224,
            patch_size: 16,
            num_channels: 3,
            hidden_size: 384,
            intermediate_size: 1536,
            num_attention_heads: 6,
            num_hidden_layers: 12,
            num_register_tokens: 0,
            layer_norm_eps: 1e-5,
            rope_theta: 100.0,
            query_bias: true,
            key_bias: false,
            value_bias: true,
            proj_bias: true,
            mlp_bias: true,
            hidden_act: "gelu".into(),
            use_gated_mlp: false,
        }
    }
}

/// Cosines and signed sines for all tokens of a picture, [1, tokens, 1, head].
struct Turn {
    cos: Value,
    sin: Value,
}

impl Config {
    /// From `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] when it is of a kind that is not written here.
    fn read(json: &serde_json::Value) -> Result<Self> {
        let fail = |reason: String| Error::Config(format!("config.json: {reason}"));
        let config: Self = serde_json::from_value(json.clone()).map_err(|error| fail(error.to_string()))?;
        super::check_image(&config.hidden_act, (config.num_channels, config.patch_size)).map_err(fail)?;
        super::check_heads(config.hidden_size, config.num_attention_heads).map_err(fail)?;
        if config.use_gated_mlp || !config.kind().head().is_multiple_of(4) {
            return Err(fail(
                "gated perceptrons, and heads that do not divide by 4, are not among what startle writes".into(),
            ));
        }
        Ok(config)
    }

    const fn kind(&self) -> Kind {
        Kind { width: self.hidden_size, heads: self.num_attention_heads, epsilon: self.layer_norm_eps }
    }

    /// Tokens before the patches.
    const fn first(&self) -> usize {
        1 + self.num_register_tokens
    }

    /// The angle of every feature of a head for every token.
    fn angles(&self, grid: usize) -> Vec<f32> {
        let quarter = self.kind().head() / 4;
        let mut angles = vec![0.0; self.first() * 4 * quarter];
        let place = |at: usize| 2.0 * ((at as f32 + 0.5) / grid as f32) - 1.0;
        let rate = |at: usize| (1.0 / self.rope_theta.powf(at as f64 / quarter as f64)) as f32;
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
pub(super) fn make(checkpoint: &Checkpoint, crop: Option<u32>) -> Result<Made> {
    let config = Config::read(&checkpoint.config)?;
    let pictures = Pictures::of(checkpoint, crop, (config.image_size, config.patch_size))?;
    let tensors = checkpoint.exactly(&expected(&config), str::to_owned)?;
    let graph = encoder(&config, &tensors, pictures);
    Ok(image::made(
        pictures,
        (config.kind(), config.num_hidden_layers),
        "`transformers.DINOv3ViTModel`",
        (tensors, graph),
    ))
}

/// Every tensor's name and sizes.
fn expected(config: &Config) -> Shapes {
    let (c, width, mut shapes) = (config, config.hidden_size, Shapes::new());
    shapes.insert("embeddings.cls_token".into(), vec![1, 1, width]);
    shapes.insert("embeddings.mask_token".into(), vec![1, 1, width]);
    shapes.insert("embeddings.register_tokens".into(), vec![1, c.num_register_tokens, width]);
    shapes.insert(format!("{PATCH}.weight"), vec![width, 3, c.patch_size, c.patch_size]);
    shapes.insert(format!("{PATCH}.bias"), vec![width]);
    for index in 0..c.num_hidden_layers {
        let layer = format!("layer.{index}");
        norm(&mut shapes, &format!("{layer}.norm1"), width);
        norm(&mut shapes, &format!("{layer}.norm2"), width);
        let parts = [("q", c.query_bias), ("k", c.key_bias), ("v", c.value_bias), ("o", c.proj_bias)];
        for (part, bias) in parts {
            linear(&mut shapes, &format!("{layer}.attention.{part}_proj"), (width, width), bias);
        }
        linear(&mut shapes, &format!("{layer}.mlp.up_proj"), (width, c.intermediate_size), c.mlp_bias);
        linear(&mut shapes, &format!("{layer}.mlp.down_proj"), (c.intermediate_size, width), c.mlp_bias);
        for scale in ["layer_scale1", "layer_scale2"] {
            shapes.insert(format!("{layer}.{scale}.lambda1"), vec![width]);
        }
    }
    norm(&mut shapes, "norm", width);
    shapes
}

/// `pixel_values [B, T, 3, S, S]`, normalised → `tokens [B, T · grid², D]` of the patches, the last layer norm included.
fn encoder(config: &Config, tensors: &Tensors, pictures: Pictures) -> Vec<u8> {
    let (c, kind) = (config, config.kind());
    let mut net = Net::new(tensors);
    let (patches, counts) = image::embedded(&mut net, pictures, PATCH, kind.width);
    let mut first = net.weight("embeddings.cls_token");
    if c.num_register_tokens > 0 {
        let registers = net.weight("embeddings.register_tokens");
        first = net.g.concat(&[&first, &registers], 1);
    }
    let first = image::for_each(&mut net, &first, &counts);
    let x = net.g.concat(&[&first, &patches], 1);
    let mut x = net.joined(&x, kind.width);
    let turn = turn(&mut net, c, pictures);
    for index in 0..c.num_hidden_layers {
        x = layer(&mut net, &format!("layer.{index}"), &x, (&turn, &counts), kind);
    }
    net.g.part("encoder");
    x = net.norm("norm", &x, kind.epsilon);
    image::give_patches(&mut net, &x, c.first(), &counts, kind.width);
    net.g.finish()
}

fn turn(net: &mut Net<'_>, c: &Config, pictures: Pictures) -> Turn {
    let (angles, head) = (c.angles(pictures.grid()), c.kind().head());
    let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
    let signed = |(at, angle): (usize, &f32)| if at % head < head / 2 { -angle.sin() } else { angle.sin() };
    let sin: Vec<f32> = angles.iter().enumerate().map(signed).collect();
    let dims = [1, c.first() + pictures.area(), 1, head];
    Turn { cos: net.g.floats(&dims, &cos), sin: net.g.floats(&dims, &sin) }
}

fn layer(net: &mut Net<'_>, name: &str, x: &Value, (turn, counts): (&Turn, &Counts), kind: Kind) -> Value {
    net.g.part(name);
    let normed = net.norm(&format!("{name}.norm1"), x, kind.epsilon);
    let part = |part: &str| format!("{name}.attention.{part}_proj");
    let query = turned(net, &part("q"), &normed, (turn, counts), kind);
    let key = turned(net, &part("k"), &normed, (turn, counts), kind);
    let value = net.linear(&part("v"), &normed);
    let value = net.windows_apart(&value, &counts.pictures, kind.width);
    let found = net.attention(&Attended { query: &query, key: &key, value: &value }, kind);
    let found = net.linear(&part("o"), &found);
    let x = image::residual(net, x, &format!("{name}.layer_scale1.lambda1"), &found);
    let normed = net.norm(&format!("{name}.norm2"), &x, kind.epsilon);
    let inner = net.perceptron((&format!("{name}.mlp.up_proj"), &format!("{name}.mlp.down_proj")), &normed);
    image::residual(net, &x, &format!("{name}.layer_scale2.lambda1"), &inner)
}

/// The linear layer `name`, its first and second halves of every head turned against each other.
fn turned(net: &mut Net<'_>, name: &str, x: &Value, (turn, counts): (&Turn, &Counts), kind: Kind) -> Value {
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
