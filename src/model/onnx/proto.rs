//! ONNX models (`onnx.proto3`) as bytes. The dozen messages that startle needs are written by hand: fewer lines than a
//! generated schema with its build step, and nothing to keep in step with.

/// Element types of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Element {
    F32 = 1,
    I64 = 7,
    F16 = 10,
    Bf16 = 16,
}

impl Element {
    /// Bytes of one.
    pub(in crate::model) const fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::I64 => 8,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A size of an input or output.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) enum Size {
    /// It differs from call to call; sizes of one name are equal.
    Free(&'static str),
    /// Always this.
    Is(usize),
}

/// Where a tensor's values lie: a file beside the model, and the bytes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct Place {
    pub file: String,
    pub offset: u64,
    pub length: u64,
}

/// Operator set of every model here.
pub(in crate::model) const OPSET: u64 = 17;

/// ONNX Runtime's own operators.
pub(in crate::model) const CONTRIB: &str = "com.microsoft";

/// A model of ONNX operator set [`OPSET`] and ONNX Runtime's own operators that computes `outputs` from `inputs`.
pub(in crate::model) fn model(
    nodes: &[Vec<u8>],
    constants: &[Vec<u8>],
    (inputs, outputs): (&[Vec<u8>], &[Vec<u8>]),
) -> Vec<u8> {
    let all = |number, parts: &[Vec<u8>]| parts.iter().flat_map(|part| field(number, part)).collect::<Vec<u8>>();
    let graph = [all(1, nodes), text(2, "graph"), all(5, constants), all(11, inputs), all(12, outputs)].concat();
    let opset = |domain, version| field(8, &[text(1, domain), number(2, version)].concat());
    [number(1, 8), text(2, "startle"), opset("", OPSET), opset(CONTRIB, 1), field(7, &graph)].concat()
}

/// A node; attributes are made by [`ints`] and [`float`] and [`int`].
pub(in crate::model) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    call(("", operator), inputs, &[output], attributes)
}

/// As [`node`], of an operator of a domain and with several outputs; it is named after its first.
pub(in crate::model) fn call(
    (domain, operator): (&str, &str),
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Vec<u8>],
) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    node.extend(outputs.iter().flat_map(|name| text(2, name)));
    node.extend(outputs.first().map(|name| text(3, name)).unwrap_or_default());
    node.extend(text(4, operator));
    node.extend(attributes.iter().flat_map(|attribute| field(5, attribute)));
    node.extend(if domain.is_empty() { Vec::new() } else { text(7, domain) });
    node
}

/// An input or output whose `rank` sizes are all free.
pub(in crate::model) fn value(name: &str, element: Element, rank: usize) -> Vec<u8> {
    // A size that is not stated is free.
    let shape: Vec<u8> = (0..rank).flat_map(|_| field(1, &[])).collect();
    let tensor = [number(1, element as u64), field(2, &shape)].concat();
    [text(1, name), field(2, &field(1, &tensor))].concat()
}

/// An input or output of these sizes.
pub(in crate::model) fn sized(name: &str, element: Element, sizes: &[Size]) -> Vec<u8> {
    let size = |size: &Size| match size {
        Size::Free(name) => field(1, &text(2, name)),
        Size::Is(size) => field(1, &number(1, *size as u64)),
    };
    let shape: Vec<u8> = sizes.iter().flat_map(size).collect();
    let tensor = [number(1, element as u64), field(2, &shape)].concat();
    [text(1, name), field(2, &field(1, &tensor))].concat()
}

/// A constant whose values lie in another file.
pub(in crate::model) fn external(name: &str, element: Element, dims: &[usize], place: &Place) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[text(1, key), text(2, value)].concat());
    let parts = [
        dims.iter().flat_map(|&size| number(1, size as u64)).collect(),
        number(2, element as u64),
        text(8, name),
        entry("location", &place.file),
        entry("offset", &place.offset.to_string()),
        entry("length", &place.length.to_string()),
        number(14, 1),
    ];
    parts.concat()
}

/// A constant of these sizes.
pub(in crate::model) fn tensor_f32(name: &str, dims: &[usize], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, Element::F32, dims, &raw)
}

/// A constant row of numbers.
pub(in crate::model) fn row_f32(name: &str, values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, Element::F32, &[values.len()], &raw)
}

/// A constant row of integers.
pub(in crate::model) fn row_i64(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, Element::I64, &[values.len()], &raw)
}

/// An attribute that is a list of integers.
pub(in crate::model) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| number(8, value.cast_unsigned())).collect();
    [text(1, name), values, number(20, 7)].concat()
}

/// An attribute that is an integer.
pub(in crate::model) fn int(name: &str, value: i64) -> Vec<u8> {
    [text(1, name), number(3, value.cast_unsigned()), number(20, 2)].concat()
}

/// An attribute that is a number.
pub(in crate::model) fn float(name: &str, value: f32) -> Vec<u8> {
    // Field 2, four bytes.
    [text(1, name), vec![2 << 3 | 5], value.to_le_bytes().to_vec(), number(20, 1)].concat()
}

/// An attribute that is a word.
pub(in crate::model) fn string(name: &str, value: &str) -> Vec<u8> {
    [text(1, name), text(4, value), number(20, 3)].concat()
}

fn tensor(name: &str, element: Element, dims: &[usize], raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&size| number(1, size as u64)).collect();
    [dims, number(2, element as u64), text(8, name), field(9, raw)].concat()
}

fn text(number: u64, value: &str) -> Vec<u8> {
    field(number, value.as_bytes())
}

/// A length-delimited field.
fn field(number: u64, body: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(body.len() as u64), body.to_vec()].concat()
}

/// An integer field.
fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// Seven bits a byte, the lowest first; all but the last have their highest bit set.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn integers_have_seven_bits_a_byte() {
        // The examples of the protocol's documentation.
        assert_eq!(super::varint(1), [1]);
        assert_eq!(super::varint(150), [0x96, 1]);
        assert_eq!(super::varint((-1_i64).cast_unsigned()).len(), 10);
    }
}
