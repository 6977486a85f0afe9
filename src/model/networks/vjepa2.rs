//! V-JEPA 2 as `transformers.VJEPA2Model` lays it out: encoder and predictor.
//!
//! Shapes and arithmetic: `modeling_vjepa2.py` of transformers 5. What differs, none of it visible beyond rounding: the
//! patch embedding is a matrix product (its convolution does not overlap), the predictor does not sort its tokens
//! (attention with explicit positions ignores order), and its last layer computes the targets alone.

use super::net::{Attended, Kind, Net};
use super::rotary::{Rotary, RotaryTable};
use super::{Facts, Made, NetworkOptions, linear, norm};
use crate::error::{Error, Result};
use crate::model::checkpoint::{Checkpoint, TensorShapes};
use crate::model::mask_token::MaskToken;
use crate::model::onnx::Value;
use crate::model::onnx::proto::{Element, Size};
use serde::Deserialize;
use serde_json::json;

/// The family's name in `config.json` and in manifests.
pub(super) const FAMILY: &str = "vjepa2";

/// The predictor's mask tokens.
const MASK_TOKENS: &str = "predictor.embeddings.mask_tokens";

/// Frames per second that it was trained at.
const FPS: f64 = 4.0;
/// Slots of the self-test: a context and a target, quick with a billion weights on a processor.
const TEST_SLOTS: u32 = 2;

const PATCH: &str = "encoder.embeddings.patch_embeddings.proj";
const EMBED: &str = "predictor.embeddings.predictor_embeddings";

/// The shape of a model: the fields of `VJEPA2Config` that matter here, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Vjepa2Config {
    crop_size: usize,
    patch_size: usize,
    tubelet_size: usize,
    frames_per_clip: usize,
    in_chans: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    mlp_ratio: f64,
    layer_norm_eps: f32,
    qkv_bias: bool,
    hidden_act: String,
    pred_hidden_size: usize,
    pred_num_attention_heads: usize,
    pred_num_hidden_layers: usize,
    pred_num_mask_tokens: usize,
    pred_mlp_ratio: f64,
}

impl Default for Vjepa2Config {
    fn default() -> Self {
        Self {
            crop_size: 256,
            patch_size: 16,
            tubelet_size: 2,
            frames_per_clip: 64,
            in_chans: 3,
            hidden_size: 1024,
            num_attention_heads: 16,
            num_hidden_layers: 24,
            mlp_ratio: 4.0,
            layer_norm_eps: 1e-6,
            qkv_bias: true,
            hidden_act: "gelu".into(),
            pred_hidden_size: 384,
            pred_num_attention_heads: 12,
            pred_num_hidden_layers: 12,
            pred_num_mask_tokens: 10,
            pred_mlp_ratio: 4.0,
        }
    }
}

impl Vjepa2Config {
    /// From `config.json`; `crop` is another side of the picture than it says.
    ///
    /// # Errors
    /// [`Error::Config`] when its numbers are not understood or do not fit together.
    fn read(json: &serde_json::Value, crop: Option<u32>) -> Result<Self> {
        let fail = |reason: String| Error::Config(format!("config.json: {reason}"));
        let mut config: Self = serde_json::from_value(json.clone()).map_err(|error| fail(error.to_string()))?;
        config.crop_size = crop.map_or(config.crop_size, |crop| crop as usize);
        let c = &config;
        let sizes = [c.patch_size, c.tubelet_size, c.frames_per_clip, c.pred_num_mask_tokens, c.pred_num_hidden_layers];
        if sizes.contains(&0) {
            return Err(fail(format!("sizes and numbers of layers and tokens must be at least 1: {c:?}")));
        }
        if c.crop_size < c.patch_size || !c.crop_size.is_multiple_of(c.patch_size) {
            return Err(fail(format!(
                "a picture of {0}×{0} pixels does not divide into patches of {1}×{1}",
                c.crop_size, c.patch_size
            )));
        }
        if c.in_chans != 3 || c.hidden_act != "gelu" {
            return Err(fail(format!(
                "{} channels and activation {:?}; startle writes 3 and \"gelu\"",
                c.in_chans, c.hidden_act
            )));
        }
        super::check_heads(c.hidden_size, c.num_attention_heads).map_err(fail)?;
        super::check_heads(c.pred_hidden_size, c.pred_num_attention_heads).map_err(fail)?;
        Ok(config)
    }

    /// Patches along a side of the picture.
    const fn grid(&self) -> usize {
        self.crop_size / self.patch_size
    }

    const fn encoder_kind(&self) -> Kind {
        Kind { width: self.hidden_size, heads: self.num_attention_heads, epsilon: self.layer_norm_eps }
    }

    const fn predictor_kind(&self) -> Kind {
        Kind { width: self.pred_hidden_size, heads: self.pred_num_attention_heads, epsilon: self.layer_norm_eps }
    }

    fn facts(&self) -> Facts {
        let size = |layers: usize, kind: Kind| format!("{layers} layers, width {}, {} heads", kind.width, kind.heads);
        Facts {
            family: FAMILY,
            description: "V-JEPA 2 world model: encoder and predictor.",
            reference: "`transformers.VJEPA2Model`",
            crop: self.crop_size as u32,
            patch: self.patch_size as u32,
            tubelet: self.tubelet_size as u32,
            frames: self.frames_per_clip as u32,
            contexts: Vec::new(),
            horizon: None,
            fps: FPS,
            dim: self.hidden_size,
            architecture: Some(json!({
                "hidden_size": self.hidden_size,
                "num_hidden_layers": self.num_hidden_layers,
                "mlp_ratio": self.mlp_ratio,
                "pred_hidden_size": self.pred_hidden_size,
                "pred_num_hidden_layers": self.pred_num_hidden_layers,
                "pred_mlp_ratio": self.pred_mlp_ratio,
            })),
            test_slots: TEST_SLOTS,
            rows: vec![
                ("encoder", size(self.num_hidden_layers, self.encoder_kind())),
                ("predictor", size(self.pred_num_hidden_layers, self.predictor_kind())),
            ],
        }
    }

    /// Numbers in a patch of all frames of a slot.
    const fn patch_values(&self) -> usize {
        self.in_chans * self.tubelet_size * self.patch_size * self.patch_size
    }
}

/// The network of a checkpoint.
///
/// # Errors
/// As [`super::make`]; also when the mask token was never trained.
pub(super) fn make(checkpoint: &Checkpoint, asked: NetworkOptions) -> Result<Made> {
    let config = Vjepa2Config::read(&checkpoint.config, asked.crop)?;
    let tensors = checkpoint.exactly(&expected(&config), rename)?;
    let values = checkpoint.values(&tensors[MASK_TOKENS])?;
    let token = MaskToken::choose(asked.mask_token.unwrap_or(0), &values, config.pred_hidden_size)
        .map_err(|reason| Error::Config(format!("{}: {reason}", checkpoint.folder().display())))?;
    let numbers = asked.numbers;
    let graphs = vec![
        ("encoder", encoder(&config, Net::new(&tensors, numbers))),
        ("predictor", predictor(&config, Net::new(&tensors, numbers), token.index)),
    ];
    Ok(Made { facts: config.facts(), tensors, mask_token: Some(token), graphs })
}

/// Every tensor's name and sizes.
fn expected(config: &Vjepa2Config) -> TensorShapes {
    let (c, mut shapes) = (config, TensorShapes::new());
    let kernel = vec![c.hidden_size, c.in_chans, c.tubelet_size, c.patch_size, c.patch_size];
    shapes.insert(format!("{PATCH}.weight"), kernel);
    shapes.insert(format!("{PATCH}.bias"), vec![c.hidden_size]);
    layers(&mut shapes, "encoder", (c.num_hidden_layers, c.hidden_size, c.mlp_ratio), c.qkv_bias);
    norm(&mut shapes, "encoder.layernorm", c.hidden_size);
    shapes.insert(MASK_TOKENS.into(), vec![c.pred_num_mask_tokens, 1, 1, c.pred_hidden_size]);
    linear(&mut shapes, EMBED, (c.hidden_size, c.pred_hidden_size), true);
    layers(&mut shapes, "predictor", (c.pred_num_hidden_layers, c.pred_hidden_size, c.pred_mlp_ratio), c.qkv_bias);
    norm(&mut shapes, "predictor.layernorm", c.pred_hidden_size);
    linear(&mut shapes, "predictor.proj", (c.pred_hidden_size, c.hidden_size), true);
    shapes
}

fn layers(shapes: &mut TensorShapes, network: &str, (count, width, ratio): (usize, usize, f64), qkv_bias: bool) {
    let inner = (width as f64 * ratio) as usize;
    for index in 0..count {
        let layer = format!("{network}.layer.{index}");
        norm(shapes, &format!("{layer}.norm1"), width);
        norm(shapes, &format!("{layer}.norm2"), width);
        for part in ["query", "key", "value"] {
            linear(shapes, &format!("{layer}.attention.{part}"), (width, width), qkv_bias);
        }
        linear(shapes, &format!("{layer}.attention.proj"), (width, width), true);
        linear(shapes, &format!("{layer}.mlp.fc1"), (width, inner), true);
        linear(shapes, &format!("{layer}.mlp.fc2"), (inner, width), true);
    }
}

/// The usual name of a tensor: early conversions wrote `attention.attention.` for what is now `attention.`.
fn rename(name: &str) -> String {
    name.replace(".attention.attention.", ".attention.")
}

/// `pixel_values [B, T, 3, S, S]`, normalised → `tokens [B, T/tubelet · grid², D]`, the last layer norm included.
fn encoder(config: &Vjepa2Config, mut net: Net<'_>) -> Vec<u8> {
    let (c, kind) = (config, config.encoder_kind());
    let side = Size::Is(c.crop_size);
    let sizes = [Size::Free("batch"), Size::Free("frames"), Size::Is(c.in_chans), side, side];
    let pixels = net.g.input("pixel_values", Element::F32, &sizes);
    net.g.part("encoder.embeddings");
    let windows = net.g.size(&pixels, 0);
    let frames = net.g.size(&pixels, 1);
    let tubelet = net.g.integers(&[c.tubelet_size as i64]);
    let slots = net.g.div(&frames, &tubelet);
    let patches = patches(&mut net, c, &pixels, (&windows, &slots));
    let mut x = net.linear_as(PATCH, &patches, [c.hidden_size, c.patch_values()]);

    let area = net.g.integers(&[(c.grid() * c.grid()) as i64]);
    let tokens = net.g.mul(&slots, &area);
    let positions = count_to(&mut net, &tokens);
    let rotary = Rotary::new(kind.head(), c.grid());
    let table = rotary.table(&mut net.g, &positions, windows);
    for index in 0..c.num_hidden_layers {
        let layer = format!("encoder.layer.{index}");
        net.g.part(layer.as_str());
        x = self::layer(&mut net, &layer, &x, (&rotary, &table), kind);
    }
    net.g.part("encoder");
    x = net.norm("encoder.layernorm", &x, kind.epsilon);
    x = net.windows_apart(&x, &table.windows, kind.width);
    net.g.output("tokens", &x, &[Size::Free("batch"), Size::Free("tokens"), Size::Is(kind.width)]);
    net.g.finish()
}

/// Pixels → [windows · tokens, values of a patch], in the order of the convolution's weights.
fn patches(net: &mut Net<'_>, c: &Vjepa2Config, pixels: &Value, (windows, slots): (&Value, &Value)) -> Value {
    let (grid, patch) = (c.grid() as i64, c.patch_size as i64);
    // The leading size is spelled out: frames that are no multiple of the tubelet must fail, not run across the batch.
    let leading = net.g.mul(windows, slots);
    let sizes = net.g.integers(&[c.tubelet_size as i64, c.in_chans as i64, grid, patch, grid, patch]);
    let shape = net.g.concat(&[&leading, &sizes], 0);
    let split = net.g.reshape(pixels, &shape);
    let ordered = net.g.transpose(&split, &[0, 3, 5, 2, 1, 4, 6]);
    net.joined(&ordered, c.patch_values())
}

/// 0, 1, 2, … below a number that is a row of one integer: [1, number].
fn count_to(net: &mut Net<'_>, number: &Value) -> Value {
    let g = &mut net.g;
    let none = g.integers(&[]);
    let end = g.reshape(number, &none);
    let (zero, one) = (g.integers(&[0]), g.integers(&[1]));
    let (zero, one) = (g.reshape(&zero, &none), g.reshape(&one, &none));
    let row = g.op("Range", &[&zero, &end, &one], &[]);
    g.unsqueeze(&row, 0)
}

/// One transformer layer that normalises first.
fn layer(net: &mut Net<'_>, name: &str, x: &Value, turn: (&Rotary, &RotaryTable), kind: Kind) -> Value {
    let normed = net.norm(&format!("{name}.norm1"), x, kind.epsilon);
    let found = attended(net, name, (&normed, &normed), (turn.0, turn.1, turn.1), kind);
    rest(net, name, x, &found, kind)
}

/// What the tokens `asking` attend to among `all`; the tables are of `asking` and of `all`.
fn attended(
    net: &mut Net<'_>,
    name: &str,
    (asking, all): (&Value, &Value),
    (rotary, asked, every): (&Rotary, &RotaryTable, &RotaryTable),
    kind: Kind,
) -> Value {
    let part = |part: &str| format!("{name}.attention.{part}");
    let query = net.turned(&part("query"), asking, (rotary, asked), kind);
    let key = net.turned(&part("key"), all, (rotary, every), kind);
    let value = net.linear(&part("value"), all);
    let value = net.windows_apart(&value, &every.windows, kind.width);
    net.attention(&Attended { query: &query, key: &key, value: &value }, kind)
}

/// What follows attention: projection, residual sums and the perceptron.
fn rest(net: &mut Net<'_>, name: &str, x: &Value, found: &Value, kind: Kind) -> Value {
    let projected = net.linear(&format!("{name}.attention.proj"), found);
    let x = net.g.add(x, &projected);
    let normed = net.norm(&format!("{name}.norm2"), &x, kind.epsilon);
    let inner = net.perceptron((&format!("{name}.mlp.fc1"), &format!("{name}.mlp.fc2")), &normed);
    net.g.add(&x, &inner)
}

/// `context [B, Nc, D]`, `context_pos [B, Nc]`, `target_pos [B, Nt]` → `prediction [B, Nt, D]`; it asks with the mask token
/// `mask`.
fn predictor(config: &Vjepa2Config, mut net: Net<'_>, mask: usize) -> Vec<u8> {
    let (c, kind) = (config, config.predictor_kind());
    let [batch, known, unknown] = ["batch", "context_tokens", "target_tokens"].map(Size::Free);
    let context = net.g.input("context", Element::F32, &[batch, known, Size::Is(c.hidden_size)]);
    let context_pos = net.g.input("context_pos", Element::I64, &[batch, known]);
    let target_pos = net.g.input("target_pos", Element::I64, &[batch, unknown]);
    net.g.part("predictor.embeddings");
    let windows = net.g.size(&context, 0);
    let seen = net.joined(&context, c.hidden_size);
    let seen = net.linear(EMBED, &seen);
    let seen = net.windows_apart(&seen, &windows, kind.width);
    let token = net.row_as(MASK_TOKENS, mask, &[1, 1, kind.width]);
    let asked = net.g.size(&target_pos, 1);
    let one = net.g.integers(&[1]);
    let shape = net.g.concat(&[&windows, &asked, &one], 0);
    let asking = net.g.op("Expand", &[&token, &shape], &[]);
    let x = net.g.concat(&[&seen, &asking], 1);
    let mut x = net.joined(&x, kind.width);

    let positions = net.g.concat(&[&context_pos, &target_pos], 1);
    let rotary = Rotary::new(kind.head(), c.grid());
    let table = rotary.table(&mut net.g, &positions, windows.clone());
    let targets = rotary.table(&mut net.g, &target_pos, windows);
    let first = net.g.size(&context, 1);
    for index in 0..c.pred_num_hidden_layers {
        let layer = format!("predictor.layer.{index}");
        net.g.part(layer.as_str());
        if index + 1 < c.pred_num_hidden_layers {
            x = self::layer(&mut net, &layer, &x, (&rotary, &table), kind);
            continue;
        }
        let normed = net.norm(&format!("{layer}.norm1"), &x, kind.epsilon);
        let asking = after(&mut net, &normed, &table, &first, kind);
        x = after(&mut net, &x, &table, &first, kind);
        let found = attended(&mut net, &layer, (&asking, &normed), (&rotary, &targets, &table), kind);
        x = rest(&mut net, &layer, &x, &found, kind);
    }
    net.g.part("predictor");
    x = net.norm("predictor.layernorm", &x, kind.epsilon);
    x = net.linear("predictor.proj", &x);
    x = net.windows_apart(&x, &table.windows, c.hidden_size);
    net.g.output("prediction", &x, &[batch, unknown, Size::Is(c.hidden_size)]);
    net.g.finish()
}

/// The tokens of each window from the `first` on.
fn after(net: &mut Net<'_>, x: &Value, table: &RotaryTable, first: &Value, kind: Kind) -> Value {
    let apart = net.windows_apart(x, &table.windows, kind.width);
    let end = net.g.integers(&[i64::MAX]);
    let last = net.g.slice(&apart, 1, first, &end);
    net.joined(&last, kind.width)
}
