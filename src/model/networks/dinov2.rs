//! DINOv2 as `transformers.Dinov2Model` lays it out: an encoder of single pictures.
//!
//! Its table of positions is interpolated (bicubic) where the picture has another size than it was trained with, as there.

use super::image::{self, Counts, Pictures};
use super::net::{Act, Net};
use super::{Made, NetworkOptions, linear, norm, picture_config};
use crate::error::Result;
use crate::model::checkpoint::{Checkpoint, TensorShapes};
use crate::model::onnx::proto;
use crate::model::onnx::{Builder, Value};
use serde::Deserialize;
use serde_json::json;

/// The architecture's name in `config.json`.
pub(super) const MODEL_TYPE: &str = "dinov2";

const PATCH: &str = "embeddings.patch_embeddings.projection";
/// First and last layer of a perceptron, without and with a gate.
const PLAIN: (&str, &str) = ("fc1", "fc2");
const GATED: (&str, &str) = ("weights_in", "weights_out");
const POSITIONS: &str = "embeddings.position_embeddings";
/// Of torch's bicubic interpolation.
const CUBIC: f32 = -0.75;

/// The fields of `Dinov2Config` that other encoders do not have.
#[derive(Debug, Clone, Deserialize)]
struct Dinov2Fields {
    mlp_ratio: f64,
    qkv_bias: bool,
    use_swiglu_ffn: bool,
    use_mask_token: bool,
}

type Dinov2Config = picture_config::PictureConfig<Dinov2Fields>;

/// Those of `Dinov2Config`.
fn defaults() -> serde_json::Value {
    json!({
        "image_size": 224, "patch_size": 14, "num_channels": 3, "hidden_size": 768, "num_attention_heads": 12,
        "num_hidden_layers": 12, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
        "mlp_ratio": 4.0, "qkv_bias": true, "use_swiglu_ffn": false, "use_mask_token": true,
    })
}

impl Dinov2Config {
    /// Patches along the side of the picture that the positions were trained for.
    const fn trained_grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Features inside a perceptron; two thirds of them, in whole eights, where there is a gate.
    fn inner(&self) -> usize {
        let inner = (self.hidden_size as f64 * self.own.mlp_ratio) as usize;
        if self.own.use_swiglu_ffn { (inner * 2 / 3).next_multiple_of(8) } else { inner }
    }
}

/// The network of a checkpoint.
///
/// # Errors
/// As [`super::make`].
pub(super) fn make(checkpoint: &Checkpoint, asked: NetworkOptions) -> Result<Made> {
    let config = Dinov2Config::read(&checkpoint.config, defaults())?;
    config.act(&[Act::Gelu])?;
    let pictures = Pictures::of(checkpoint, asked.crop, (config.image_size, config.patch_size))?;
    let tensors = checkpoint.exactly(&expected(&config), str::to_owned)?;
    let graph = encoder(&config, Net::new(&tensors, asked.numbers), pictures);
    Ok(image::made(pictures, (config.kind(), config.num_hidden_layers), "`transformers.Dinov2Model`", (tensors, graph)))
}

/// Every tensor's name and sizes.
fn expected(config: &Dinov2Config) -> TensorShapes {
    let (c, width, mut shapes) = (config, config.hidden_size, TensorShapes::new());
    let (inner, gated) = (c.inner(), c.own.use_swiglu_ffn);
    let (first, last) = if gated { GATED } else { PLAIN };
    shapes.insert("embeddings.cls_token".into(), vec![1, 1, width]);
    if c.own.use_mask_token {
        shapes.insert("embeddings.mask_token".into(), vec![1, width]);
    }
    shapes.insert(POSITIONS.into(), vec![1, c.trained_grid() * c.trained_grid() + 1, width]);
    shapes.insert(format!("{PATCH}.weight"), vec![width, 3, c.patch_size, c.patch_size]);
    shapes.insert(format!("{PATCH}.bias"), vec![width]);
    for index in 0..c.num_hidden_layers {
        let layer = format!("encoder.layer.{index}");
        norm(&mut shapes, &format!("{layer}.norm1"), width);
        norm(&mut shapes, &format!("{layer}.norm2"), width);
        for part in ["query", "key", "value"] {
            linear(&mut shapes, &format!("{layer}.attention.attention.{part}"), (width, width), c.own.qkv_bias);
        }
        linear(&mut shapes, &format!("{layer}.attention.output.dense"), (width, width), true);
        linear(&mut shapes, &format!("{layer}.mlp.{first}"), (width, if gated { 2 * inner } else { inner }), true);
        linear(&mut shapes, &format!("{layer}.mlp.{last}"), (inner, width), true);
        for scale in ["layer_scale1", "layer_scale2"] {
            shapes.insert(format!("{layer}.{scale}.lambda1"), vec![width]);
        }
    }
    norm(&mut shapes, "layernorm", width);
    shapes
}

/// `pixel_values [B, T, 3, S, S]`, normalised → `tokens [B, T · grid², D]` of the patches, the last layer norm included.
fn encoder(config: &Dinov2Config, mut net: Net<'_>, pictures: Pictures) -> Vec<u8> {
    let (c, kind) = (config, config.kind());
    let (patches, counts) = image::embedded(&mut net, pictures, PATCH, kind.width);
    let (first, places) = positions(&mut net, c, pictures.grid());
    let token = net.weight("embeddings.cls_token");
    let token = net.g.add(&token, &first);
    let token = image::for_each(&mut net, &token, &counts);
    let patches = net.g.add(&patches, &places);
    let x = net.g.concat(&[&token, &patches], 1);
    let mut x = net.joined(&x, kind.width);
    for index in 0..c.num_hidden_layers {
        x = layer(&mut net, &format!("encoder.layer.{index}"), &x, &counts, c);
    }
    net.g.part("encoder");
    x = net.norm("layernorm", &x, kind.epsilon);
    image::give_patches(&mut net, &x, 1, &counts, kind.width);
    net.g.finish()
}

/// The positions of the class token [1, 1, D] and of the patches [1, grid², D].
fn positions(net: &mut Net<'_>, c: &Dinov2Config, grid: usize) -> (Value, Value) {
    let (width, trained) = (c.hidden_size as i64, c.trained_grid() as i64);
    let table = net.weight(POSITIONS);
    let first = net.g.range_of(&table, 1, 0..1);
    let mut places = net.g.range_of(&table, 1, 1..i64::MAX);
    if grid as i64 != trained {
        let square = net.g.reshape_to(&places, &[1, trained, trained, width]);
        let planes = net.g.transpose(&square, &[0, 3, 1, 2]);
        let (nothing, sizes) = (Builder::nothing(), net.g.integers(&[1, width, grid as i64, grid as i64]));
        let how = [
            proto::string("mode", "cubic"),
            proto::string("coordinate_transformation_mode", "half_pixel"),
            proto::float("cubic_coeff_a", CUBIC),
        ];
        let resized = net.g.op("Resize", &[&planes, &nothing, &nothing, &sizes], &how);
        let rows = net.g.transpose(&resized, &[0, 2, 3, 1]);
        places = net.g.reshape_to(&rows, &[1, -1, width]);
    }
    (first, places)
}

fn layer(net: &mut Net<'_>, name: &str, x: &Value, counts: &Counts, c: &Dinov2Config) -> Value {
    let kind = c.kind();
    net.g.part(name);
    let normed = net.norm(&format!("{name}.norm1"), x, kind.epsilon);
    let part = |part: &str| format!("{name}.attention.attention.{part}");
    let names = [part("query"), part("key"), part("value")];
    let found = image::attention(net, [&names[0], &names[1], &names[2]], &normed, counts, kind);
    let found = net.linear(&format!("{name}.attention.output.dense"), &found);
    let x = image::residual(net, x, &format!("{name}.layer_scale1.lambda1"), &found);
    let normed = net.norm(&format!("{name}.norm2"), &x, kind.epsilon);
    let inner = perceptron(net, &format!("{name}.mlp"), &normed, c);
    image::residual(net, &x, &format!("{name}.layer_scale2.lambda1"), &inner)
}

/// With a gate (`SwiGLU`, as the giant model has it) its first layer gives the gate and what it lets through, one after the
/// other.
fn perceptron(net: &mut Net<'_>, name: &str, x: &Value, c: &Dinov2Config) -> Value {
    let (first, last) = if c.own.use_swiglu_ffn { GATED } else { PLAIN };
    let (first, last, inner) = (format!("{name}.{first}"), format!("{name}.{last}"), c.inner() as i64);
    if !c.own.use_swiglu_ffn {
        return net.perceptron((&first, &last), x);
    }
    let both = net.linear(&first, x);
    let (gate, through) = (net.g.range_of(&both, -1, 0..inner), net.g.range_of(&both, -1, inner..2 * inner));
    net.gated(&last, (&gate, &through), Act::Silu)
}
