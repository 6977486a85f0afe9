//! ONNX models of a few nodes (`onnx.proto3`), written by hand.

/// Element types of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element {
    F32 = 1,
    I64 = 7,
    F16 = 10,
    Bf16 = 16,
}

/// A model of ONNX operator set 17 that computes `outputs` from `inputs`.
pub(super) fn model(nodes: &[Vec<u8>], constants: &[Vec<u8>], (inputs, outputs): (&[Vec<u8>], &[Vec<u8>])) -> Vec<u8> {
    let all = |number, parts: &[Vec<u8>]| parts.iter().flat_map(|part| field(number, part)).collect::<Vec<u8>>();
    let graph = [all(1, nodes), text(2, "graph"), all(5, constants), all(11, inputs), all(12, outputs)].concat();
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), field(8, &opset), field(7, &graph)].concat()
}

/// A node; attributes are made by [`ints`] and [`float`] and [`int`].
pub(super) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| text(1, name));
    let attributes = attributes.iter().flat_map(|attribute| field(5, attribute));
    inputs.chain(text(2, output)).chain(text(4, operator)).chain(attributes).collect()
}

/// An input or output whose `rank` sizes are all free.
pub(super) fn value(name: &str, element: Element, rank: usize) -> Vec<u8> {
    // A size that is not stated is free.
    let shape: Vec<u8> = (0..rank).flat_map(|_| field(1, &[])).collect();
    let tensor = [number(1, element as u64), field(2, &shape)].concat();
    [text(1, name), field(2, &field(1, &tensor))].concat()
}

/// A constant row of numbers.
pub(super) fn row_f32(name: &str, values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    row(name, Element::F32, values.len(), &raw)
}

/// A constant row of integers.
pub(super) fn row_i64(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    row(name, Element::I64, values.len(), &raw)
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| number(8, value.cast_unsigned())).collect();
    [text(1, name), values, number(20, 7)].concat()
}

/// An attribute that is an integer.
pub(super) fn int(name: &str, value: i64) -> Vec<u8> {
    [text(1, name), number(3, value.cast_unsigned()), number(20, 2)].concat()
}

/// An attribute that is a number.
pub(super) fn float(name: &str, value: f32) -> Vec<u8> {
    // Field 2, four bytes.
    [text(1, name), vec![2 << 3 | 5], value.to_le_bytes().to_vec(), number(20, 1)].concat()
}

fn row(name: &str, element: Element, len: usize, raw: &[u8]) -> Vec<u8> {
    [number(1, len as u64), number(2, element as u64), text(8, name), field(9, raw)].concat()
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
