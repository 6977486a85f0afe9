//! What a window costs at least: the multiplications of its matrix products, counted from the architecture.
//!
//! A multiplication with its addition is two operations. Counted are the matrix products alone, as the graphs do them:
//! patch embedding; in each layer queries, keys and values (3·N·D²), scores and weighted sums (2·N²·D), the projection
//! (N·D²) and the two halves of the multi-layer perceptron (2·r·N·D²); the predictor's embedding, layers and projection,
//! its last layer for the targets alone. Normalisation, softmax and activations are left out: they are what a floor is
//! missed by.
//!
//! What the graphs of a model of objects cost is not a formula of its widths: their convolutions and matrix products are
//! counted when the bundle is made.

use crate::clip::ClipSpec;
use serde::{Deserialize, Serialize};

/// Operations of the convolutions and matrix products of a model of objects for one picture of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// To see what is in the picture.
    pub encoder: u64,
    /// One step of the stream.
    pub predictor: u64,
}

impl Operations {
    /// Of both.
    pub const fn picture(self) -> f64 {
        (self.encoder + self.predictor) as f64
    }
}

/// One network of a bundle: the fields of `VJEPA2Config` that its products depend on.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Encoder: width, layers, width of the perceptron over that of the network.
    pub hidden_size: u64,
    /// See `hidden_size`.
    pub num_hidden_layers: u64,
    /// See `hidden_size`.
    pub mlp_ratio: f64,
    /// Predictor: the same three.
    #[serde(default)]
    pub pred_hidden_size: u64,
    /// See `pred_hidden_size`.
    #[serde(default)]
    pub pred_num_hidden_layers: u64,
    /// See `pred_hidden_size`.
    #[serde(default)]
    pub pred_mlp_ratio: f64,
}

/// The networks of a bundle: `[architecture]` in its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// Encoder and predictor.
    pub model: Architecture,
    /// The targets' own encoder.
    #[serde(default)]
    pub target: Option<Architecture>,
}

impl Networks {
    /// Operations of one window with all contexts of `spec`; the targets are encoded once.
    pub fn window(&self, spec: &ClipSpec) -> f64 {
        let slot = spec.tokens_per_slot() as u64;
        let all = spec.slots() as u64 * slot;
        let targets = self.target.unwrap_or(self.model).encode(spec, all);
        let of_context = |context: &u32| {
            let seen = u64::from(context / spec.tubelet_size) * slot;
            let asked = spec.target_slots(*context).len() as u64 * slot;
            self.model.encode(spec, seen) + self.model.predict(seen, asked)
        };
        targets + spec.context_lengths.iter().map(of_context).sum::<f64>()
    }
}

impl Architecture {
    fn encode(&self, spec: &ClipSpec, tokens: u64) -> f64 {
        let pixels = f64::from(3 * spec.tubelet_size * spec.patch_size * spec.patch_size);
        let embedding = 2.0 * tokens as f64 * pixels * self.hidden_size as f64;
        embedding + self.num_hidden_layers as f64 * layer(self.hidden_size, self.mlp_ratio, tokens, tokens)
    }

    fn predict(&self, context: u64, targets: u64) -> f64 {
        let (width, all) = (self.pred_hidden_size, context + targets);
        let ends = 2.0 * (context + targets) as f64 * (self.hidden_size * width) as f64;
        let layers = self.pred_num_hidden_layers as f64;
        let full = layer(width, self.pred_mlp_ratio, all, all);
        ends + (layers - 1.0).max(0.0) * full + layers.min(1.0) * layer(width, self.pred_mlp_ratio, all, targets)
    }
}

/// A layer in which `asking` of `tokens` tokens are computed.
fn layer(width: u64, ratio: f64, tokens: u64, asking: u64) -> f64 {
    let (width, tokens, asking) = (width as f64, tokens as f64, asking as f64);
    let keys = 2.0 * tokens * width * width;
    let of_asking = asking * width * width * (2.0 + 2.0 * ratio);
    2.0 * (keys + of_asking + 2.0 * asking * tokens * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::ResizeRule;

    #[test]
    fn a_picture_of_a_model_of_objects_costs_both_graphs() {
        assert_eq!(Operations { encoder: 40, predictor: 2 }.picture(), 42.0);
    }

    #[test]
    fn a_small_model_is_what_a_hand_counts() {
        let spec = ClipSpec {
            crop_size: 4,
            patch_size: 2,
            tubelet_size: 2,
            frames_per_clip: 6,
            model_fps: 1.0,
            context_lengths: vec![2],
            opening_contexts: Vec::new(),
            horizon: Some(1),
            stride: 2,
            resize: ResizeRule::Squash,
            resize_size: 4,
        };
        let model = Architecture {
            hidden_size: 8,
            num_hidden_layers: 1,
            mlp_ratio: 4.0,
            pred_hidden_size: 4,
            pred_num_hidden_layers: 2,
            pred_mlp_ratio: 2.0,
        };
        // 24 values a patch; 4 tokens a slot, 3 slots.
        let embed = |tokens: f64| 2.0 * tokens * 24.0 * 8.0;
        let layer8 = |n: f64| 2.0 * (4.0 * n * 64.0 + 2.0 * n * n * 8.0 + 8.0 * n * 64.0);
        let encode = |n: f64| embed(n) + layer8(n);
        let full4 = 2.0 * (4.0 * 8.0 * 16.0 + 2.0 * 64.0 * 4.0 + 4.0 * 8.0 * 16.0);
        let last4 = 2.0 * (2.0 * 8.0 * 16.0 + 2.0 * 4.0 * 16.0 + 2.0 * 4.0 * 8.0 * 4.0 + 4.0 * 4.0 * 16.0);
        let predict = 2.0 * 4.0 * 32.0 + 2.0 * 4.0 * 32.0 + full4 + last4;
        let expected = encode(12.0) + encode(4.0) + predict;
        assert_eq!(Networks { model, target: None }.window(&spec), expected);
        let layerless = Architecture { num_hidden_layers: 0, ..model };
        let own = Networks { model, target: Some(layerless) }.window(&spec);
        assert_eq!(own, embed(12.0) + encode(4.0) + predict);
    }
}
