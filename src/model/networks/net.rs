//! A transformer in the making: a graph, and the checkpoint that it takes its weights from.
//!
//! The residual stream is [windows · tokens, width]; only attention sees windows apart.

use super::Numbers;
use super::rotary::{Rotary, RotaryTable};
use crate::model::checkpoint::Tensors;
use crate::model::onnx::proto::{self, Element};
use crate::model::onnx::{Builder, Value};
use serde::Deserialize;

/// The graph and its weights.
pub(super) struct Net<'a> {
    pub g: Builder,
    tensors: &'a Tensors,
    numbers: Numbers,
}

/// What the layers of a network share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Width of the residual stream.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Of layer norms.
    pub epsilon: f32,
}

impl Kind {
    /// Width of a head.
    pub const fn head(self) -> usize {
        self.width / self.heads
    }
}

/// Activation of a perceptron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Act {
    /// x·Φ(x).
    Gelu,
    /// x·σ(x).
    Silu,
}

/// Queries, keys and values of a layer.
pub(super) struct Attended<'v> {
    pub query: &'v Value,
    pub key: &'v Value,
    pub value: &'v Value,
}

impl<'a> Net<'a> {
    /// With nothing in it yet.
    pub fn new(tensors: &'a Tensors, numbers: Numbers) -> Self {
        Self { g: Builder::default(), tensors, numbers }
    }

    /// Float32 as an operand of a product.
    fn narrow(&mut self, x: &Value) -> Value {
        match self.numbers {
            Numbers::Fp32 => x.clone(),
            Numbers::Half(element) => self.g.cast(x, element),
            Numbers::Rounded(element) => {
                let rounded = self.g.cast(x, element);
                self.g.cast(&rounded, Element::F32)
            }
        }
    }

    /// What a product gives as float32.
    fn widen(&mut self, x: &Value) -> Value {
        match self.numbers {
            Numbers::Fp32 => x.clone(),
            Numbers::Half(_) => self.g.cast(x, Element::F32),
            Numbers::Rounded(_) => self.narrow(x),
        }
    }

    /// A tensor of the checkpoint as an operand of a product; as it is stored, if it is stored so.
    fn operand(&mut self, name: &str, dims: &[usize]) -> Value {
        let stored = &self.tensors[name];
        if let Some(element) = stored.element.filter(|element| Some(*element) == self.numbers.element()) {
            return self.g.stored_as_is(name, element, dims, &stored.place);
        }
        let full = self.weight_as(name, dims);
        self.narrow(&full)
    }

    /// A tensor of the checkpoint; the names are those that were checked. Sizes may be others with as many elements.
    fn weight_as(&mut self, name: &str, dims: &[usize]) -> Value {
        let stored = &self.tensors[name];
        let element = stored.element.unwrap_or(proto::Element::F32);
        self.g.stored(name, element, dims, &stored.place)
    }

    /// A tensor of the checkpoint.
    pub fn weight(&mut self, name: &str) -> Value {
        let dims = self.tensors[name].dims.clone();
        self.weight_as(name, &dims)
    }

    /// Row `index` of a tensor of the checkpoint, in these sizes.
    pub fn row_as(&mut self, name: &str, index: usize, dims: &[usize]) -> Value {
        let stored = &self.tensors[name];
        let element = stored.element.unwrap_or(proto::Element::F32);
        let length = dims.iter().product::<usize>() as u64 * element.bytes();
        let place =
            proto::Place { offset: stored.place.offset + index as u64 * length, length, ..stored.place.clone() };
        self.g.stored(name, element, dims, &place)
    }

    /// x·Wᵀ + b.
    pub fn linear(&mut self, name: &str, x: &Value) -> Value {
        let dims = self.tensors[&format!("{name}.weight")].dims.clone();
        self.linear_in(name, x, &dims, None)
    }

    /// As [`Net::linear`], of a weight that is stored in other sizes than [outputs, inputs].
    pub fn linear_as(&mut self, name: &str, x: &Value, sizes: [usize; 2]) -> Value {
        self.linear_in(name, x, &sizes, None)
    }

    /// As [`Net::linear`], with its outputs in the order `rows`.
    fn linear_in(&mut self, name: &str, x: &Value, dims: &[usize], rows: Option<&[i64]>) -> Value {
        let bias = format!("{name}.bias");
        let mut weight = self.operand(&format!("{name}.weight"), dims);
        let mut bias = self.tensors.contains_key(&bias).then(|| self.operand(&bias, &dims[..1]));
        if let Some(rows) = rows {
            weight = self.g.rows(&weight, rows);
            bias = bias.map(|bias| self.g.rows(&bias, rows));
        }
        let x = self.narrow(x);
        let product = self.g.affine(&x, &weight, bias.as_ref());
        self.widen(&product)
    }

    /// A layer norm with the checkpoint's scale and offset.
    pub fn norm(&mut self, name: &str, x: &Value, epsilon: f32) -> Value {
        let (weight, bias) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        self.g.layer_norm(x, &weight, &bias, epsilon)
    }

    /// [windows · tokens, width] → [windows, tokens, width].
    pub fn windows_apart(&mut self, x: &Value, windows: &Value, width: usize) -> Value {
        let rest = self.g.integers(&[-1, width as i64]);
        let shape = self.g.concat(&[windows, &rest], 0);
        self.g.reshape(x, &shape)
    }

    /// [windows, tokens, width] → [windows · tokens, width].
    pub fn joined(&mut self, x: &Value, width: usize) -> Value {
        self.g.reshape_to(x, &[-1, width as i64])
    }

    /// softmax(q·kᵀ/√d)·v over each window's tokens; all of it [windows, tokens, width], the result joined.
    pub fn attention(&mut self, of: &Attended<'_>, kind: Kind) -> Value {
        let heads = [proto::int("num_heads", kind.heads as i64)];
        let [query, key, value] = [of.query, of.key, of.value].map(|x| self.narrow(x));
        let found = self.g.contrib("MultiHeadAttention", &[&query, &key, &value], &heads);
        let found = self.widen(&found);
        self.joined(&found, kind.width)
    }

    /// The linear layer `name` of x [windows · tokens, width], turned by the tokens' places: [windows, tokens, width].
    pub fn turned(&mut self, name: &str, x: &Value, (rotary, table): (&Rotary, &RotaryTable), kind: Kind) -> Value {
        let sizes = self.tensors[&format!("{name}.weight")].dims.clone();
        let product = self.linear_in(name, x, &sizes, Some(&rotary.rows(kind.heads)));
        let sizes = self.g.integers(&[-1, kind.heads as i64, kind.head() as i64]);
        let shape = self.g.concat(&[&table.windows, &sizes], 0);
        let heads = self.g.reshape(&product, &shape);
        let turned = rotary.turn(&mut self.g, &heads, table);
        self.g.reshape_to(&turned, &[0, 0, -1])
    }

    /// fc2(gelu(fc1(x))).
    pub fn perceptron(&mut self, (first, second): (&str, &str), x: &Value) -> Value {
        let inner = self.linear(first, x);
        let inner = self.g.gelu(&inner);
        self.linear(second, &inner)
    }

    /// `last`(act(a) · b), where a is the gate and b what it lets through.
    pub fn gated(&mut self, last: &str, (gate, through): (&Value, &Value), act: Act) -> Value {
        let open = match act {
            Act::Gelu => self.g.gelu(gate),
            Act::Silu => self.g.silu(gate),
        };
        let inner = self.g.mul(&open, through);
        self.linear(last, &inner)
    }
}
