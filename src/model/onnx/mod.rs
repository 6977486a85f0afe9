//! A graph in the making: operators are methods that take tensors and give tensors, so that a network reads as what it
//! computes.
//!
//! Invariant: every tensor has a name of its own; weights are never copied into the graph, which says in which file and
//! at which byte they lie.

pub(in crate::model) mod proto;

use proto::{Element, Place, Size};

/// A tensor of a graph, by its name.
#[derive(Debug, Clone)]
pub(in crate::model) struct Value(String);

/// The graph as far as it is made.
#[derive(Debug, Default)]
pub(in crate::model) struct Builder {
    nodes: Vec<Vec<u8>>,
    constants: Vec<Vec<u8>>,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    scope: String,
    made: usize,
}

impl Builder {
    /// What is made from now on belongs to this part of the network; the names in the graph tell.
    pub fn part(&mut self, name: impl Into<String>) {
        self.scope = name.into();
    }

    /// An input of the graph.
    pub fn input(&mut self, name: &str, element: Element, sizes: &[Size]) -> Value {
        self.inputs.push(proto::sized(name, element, sizes));
        Value(name.to_owned())
    }

    /// Makes `value` an output of the graph, float32.
    pub fn output(&mut self, name: &str, value: &Value, sizes: &[Size]) {
        self.nodes.push(proto::node("Identity", &[&value.0], name, &[]));
        self.outputs.push(proto::sized(name, Element::F32, sizes));
    }

    /// The finished model.
    pub fn finish(self) -> Vec<u8> {
        proto::model(&self.nodes, &self.constants, (&self.inputs, &self.outputs))
    }

    /// A constant whose values lie at a place in another file; as float32, whatever they are there.
    pub fn stored(&mut self, name: &str, element: Element, dims: &[usize], place: &Place) -> Value {
        let stored = self.stored_as_is(name, element, dims, place);
        if element == Element::F32 { stored } else { self.cast(&stored, Element::F32) }
    }

    /// A constant whose values lie at a place in another file.
    pub fn stored_as_is(&mut self, name: &str, element: Element, dims: &[usize], place: &Place) -> Value {
        self.constants.push(proto::external(name, element, dims, place));
        Value(name.to_owned())
    }

    /// A constant of these sizes.
    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> Value {
        let name = self.name("constant");
        self.constants.push(proto::tensor_f32(&name, dims, values));
        Value(name)
    }

    /// A constant number.
    pub fn float(&mut self, value: f32) -> Value {
        self.floats(&[], &[value])
    }

    /// An optional input that is left out.
    pub const fn nothing() -> Value {
        Value(String::new())
    }

    /// A constant row of integers.
    pub fn integers(&mut self, values: &[i64]) -> Value {
        let name = self.name("constant");
        self.constants.push(proto::row_i64(&name, values));
        Value(name)
    }

    /// An operator of ONNX with one output.
    pub fn op(&mut self, operator: &str, inputs: &[&Value], attributes: &[Vec<u8>]) -> Value {
        self.call(("", operator), inputs, attributes)
    }

    /// As [`Builder::op`], of ONNX Runtime's own operators.
    pub fn contrib(&mut self, operator: &str, inputs: &[&Value], attributes: &[Vec<u8>]) -> Value {
        self.call((proto::CONTRIB, operator), inputs, attributes)
    }

    fn call(&mut self, operator: (&str, &str), inputs: &[&Value], attributes: &[Vec<u8>]) -> Value {
        let name = self.name(operator.1);
        let inputs: Vec<&str> = inputs.iter().map(|value| value.0.as_str()).collect();
        self.nodes.push(proto::call(operator, &inputs, &[&name], attributes));
        Value(name)
    }

    fn name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{}/{kind}_{}", self.scope, self.made)
    }
}

/// Operators by their usual names.
impl Builder {
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Add", &[a, b], &[])
    }

    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Sub", &[a, b], &[])
    }

    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Mul", &[a, b], &[])
    }

    /// Of integers: rounded towards zero.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Div", &[a, b], &[])
    }

    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.op("MatMul", &[a, b], &[])
    }

    pub fn cast(&mut self, value: &Value, to: Element) -> Value {
        self.op("Cast", &[value], &[proto::int("to", to as i64)])
    }

    /// To the sizes in the row `shape`, where 0 is "as before" and −1 "what is left".
    pub fn reshape(&mut self, value: &Value, shape: &Value) -> Value {
        self.op("Reshape", &[value, shape], &[])
    }

    /// As [`Builder::reshape`], to constant sizes.
    pub fn reshape_to(&mut self, value: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.reshape(value, &shape)
    }

    pub fn transpose(&mut self, value: &Value, order: &[i64]) -> Value {
        self.op("Transpose", &[value], &[proto::ints("perm", order)])
    }

    pub fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        self.op("Concat", values, &[proto::int("axis", axis)])
    }

    /// The size of one axis, as a row of one integer.
    pub fn size(&mut self, value: &Value, axis: i64) -> Value {
        self.op("Shape", &[value], &[proto::int("start", axis), proto::int("end", axis + 1)])
    }

    /// A new axis of size 1.
    pub fn unsqueeze(&mut self, value: &Value, axis: i64) -> Value {
        let axis = self.integers(&[axis]);
        self.op("Unsqueeze", &[value, &axis], &[])
    }

    /// The elements `first..end` along an axis.
    pub fn slice(&mut self, value: &Value, axis: i64, first: &Value, end: &Value) -> Value {
        let axis = self.integers(&[axis]);
        self.op("Slice", &[value, first, end, &axis], &[])
    }

    /// As [`Builder::slice`], of constant bounds.
    pub fn range_of(&mut self, value: &Value, axis: i64, range: std::ops::Range<i64>) -> Value {
        let (first, end) = (self.integers(&[range.start]), self.integers(&[range.end]));
        self.slice(value, axis, &first, &end)
    }

    /// The rows of `value` in this order.
    pub fn rows(&mut self, value: &Value, rows: &[i64]) -> Value {
        let rows = self.integers(rows);
        self.op("Gather", &[value, &rows], &[proto::int("axis", 0)])
    }

    /// Over the last axis.
    pub fn layer_norm(&mut self, value: &Value, weight: &Value, bias: &Value, epsilon: f32) -> Value {
        let attributes = [proto::int("axis", -1), proto::float("epsilon", epsilon)];
        self.op("LayerNormalization", &[value, weight, bias], &attributes)
    }

    /// x·Φ(x), by the error function: exact.
    pub fn gelu(&mut self, value: &Value) -> Value {
        let (root, one, half) = (self.float(std::f32::consts::SQRT_2), self.float(1.0), self.float(0.5));
        let scaled = self.div(value, &root);
        let error = self.op("Erf", &[&scaled], &[]);
        let both = self.add(&error, &one);
        let product = self.mul(value, &both);
        self.mul(&product, &half)
    }

    /// x·σ(x).
    pub fn silu(&mut self, value: &Value) -> Value {
        let open = self.op("Sigmoid", &[value], &[]);
        self.mul(value, &open)
    }

    /// A [rows, inputs] times the transpose of a weight [outputs, inputs], plus a bias [outputs].
    pub fn affine(&mut self, value: &Value, weight: &Value, bias: Option<&Value>) -> Value {
        let inputs: Vec<&Value> = [value, weight].into_iter().chain(bias).collect();
        self.op("Gemm", &inputs, &[proto::int("transB", 1)])
    }
}
