//! DINOv2 as `transformers.Dinov2Model` lays it out: an encoder of single pictures.
//!
//! Its table of positions is interpolated (bicubic) where the picture has another size than it was trained with, as there.

use super::image::{self, Counts, Pictures};
use super::net::{Kind, Net};
use super::{Made, linear, norm};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, Shapes, Tensors};
use crate::model::onnx::proto;
use crate::model::onnx::{Builder, Value};
use serde::Deserialize;

/// The architecture's name in `config.json`.
pub(super) const MODEL_TYPE: &str = "dinov2";

const PATCH: &str = "embeddings.patch_embeddings.projection";
const POSITIONS: &str = "embeddings.position_embeddings";
/// Of torch's bicubic interpolation.
const CUBIC: f32 = -0.75;

/// The fields of `Dinov2Config` that matter here, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Config {
    image_size: usize,
    patch_size: usize,
    num_channels: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    mlp_ratio: f64,
    layer_norm_eps: f32,
    qkv_bias: bool,
    hidden_act: String,
    use_swiglu_ffn: bool,
    use_mask_token: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            image_size: 224,
            patch_size: 14,
            num_channels: 3,
            hidden_size: 768,
            num_attention_heads: 12,
            num_hidden_layers: 12,
            mlp_ratio: 4.0,
            layer_norm_eps: 1e-6,
            qkv_bias: true,
            hidden_act: "gelu".into(),
            use_swiglu_ffn: false,
            use_mask_token: true,
        }
    }
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
        if config.use_swiglu_ffn {
            return Err(fail("use_swiglu_ffn: the giant DINOv2 is not among what startle writes".into()));
        }
        Ok(config)
    }

    const fn kind(&self) -> Kind {
        Kind { width: self.hidden_size, heads: self.num_attention_heads, epsilon: self.layer_norm_eps }
    }

    /// Patches along the side of the picture that the positions were trained for.
    const fn trained_grid(&self) -> usize {
        self.image_size / self.patch_size
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
    Ok(image::made(pictures, (config.kind(), config.num_hidden_layers), "`transformers.Dinov2Model`", (tensors, graph)))
}

/// Every tensor's name and sizes.
fn expected(config: &Config) -> Shapes {
    let (c, width, mut shapes) = (config, config.hidden_size, Shapes::new());
    let inner = (width as f64 * c.mlp_ratio) as usize;
    shapes.insert("embeddings.cls_token".into(), vec![1, 1, width]);
    if c.use_mask_token {
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
            linear(&mut shapes, &format!("{layer}.attention.attention.{part}"), (width, width), c.qkv_bias);
        }
        linear(&mut shapes, &format!("{layer}.attention.output.dense"), (width, width), true);
        linear(&mut shapes, &format!("{layer}.mlp.fc1"), (width, inner), true);
        linear(&mut shapes, &format!("{layer}.mlp.fc2"), (inner, width), true);
        for scale in ["layer_scale1", "layer_scale2"] {
            shapes.insert(format!("{layer}.{scale}.lambda1"), vec![width]);
        }
    }
    norm(&mut shapes, "layernorm", width);
    shapes
}

/// `pixel_values [B, T, 3, S, S]`, normalised → `tokens [B, T · grid², D]` of the patches, the last layer norm included.
fn encoder(config: &Config, tensors: &Tensors, pictures: Pictures) -> Vec<u8> {
    let (c, kind) = (config, config.kind());
    let mut net = Net::new(tensors);
    let (patches, counts) = image::embedded(&mut net, pictures, PATCH, kind.width);
    let (first, places) = positions(&mut net, c, pictures.grid());
    let token = net.weight("embeddings.cls_token");
    let token = net.g.add(&token, &first);
    let token = image::for_each(&mut net, &token, &counts);
    let patches = net.g.add(&patches, &places);
    let x = net.g.concat(&[&token, &patches], 1);
    let mut x = net.joined(&x, kind.width);
    for index in 0..c.num_hidden_layers {
        x = layer(&mut net, &format!("encoder.layer.{index}"), &x, &counts, kind);
    }
    net.g.part("encoder");
    x = net.norm("layernorm", &x, kind.epsilon);
    image::give_patches(&mut net, &x, 1, &counts, kind.width);
    net.g.finish()
}

/// The positions of the class token [1, 1, D] and of the patches [1, grid², D].
fn positions(net: &mut Net<'_>, c: &Config, grid: usize) -> (Value, Value) {
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

fn layer(net: &mut Net<'_>, name: &str, x: &Value, counts: &Counts, kind: Kind) -> Value {
    net.g.part(name);
    let normed = net.norm(&format!("{name}.norm1"), x, kind.epsilon);
    let part = |part: &str| format!("{name}.attention.attention.{part}");
    let names = [part("query"), part("key"), part("value")];
    let found = image::attention(net, [&names[0], &names[1], &names[2]], &normed, counts, kind);
    let found = net.linear(&format!("{name}.attention.output.dense"), &found);
    let x = image::residual(net, x, &format!("{name}.layer_scale1.lambda1"), &found);
    let normed = net.norm(&format!("{name}.norm2"), &x, kind.epsilon);
    let inner = net.perceptron((&format!("{name}.mlp.fc1"), &format!("{name}.mlp.fc2")), &normed);
    image::residual(net, &x, &format!("{name}.layer_scale2.lambda1"), &inner)
}
