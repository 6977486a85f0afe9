//! The header of a safetensors file: which tensors lie where.
//!
//! Invariant: a [`Stored`] lies inside its file, its bytes are those of its type and sizes, and it begins at a multiple
//! of its element's size in the file as [`TensorFile::put`] leaves it.

use crate::error::{Error, Result};
use crate::model::onnx::proto::{Element, Place};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The format's limit for its header, bytes.
const LONGEST_HEADER: u64 = 100_000_000;
/// The length of the header's length.
const LENGTH_BYTES: u64 = 8;

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(in crate::model) struct Stored {
    /// Its name in the checkpoint.
    pub name: String,
    /// The type of its values; `None`: one that no network here takes.
    pub element: Option<Element>,
    /// What the file calls that type.
    pub kind: String,
    /// Its sizes.
    pub dims: Vec<usize>,
    /// Where it lies.
    pub place: Place,
}

/// A safetensors file.
#[derive(Debug, Clone)]
pub(in crate::model) struct TensorFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes that its header is short of a multiple of 8: files of early versions of the format.
    pad: u64,
    header: u64,
}

impl TensorFile {
    /// Reads the header of the file at `path`, which a bundle will call `name`.
    ///
    /// # Errors
    /// [`Error::Input`] when it is not such a file, or not a whole one.
    pub fn open(path: &Path, name: &str) -> Result<(Self, Vec<Stored>)> {
        let fail = |reason: String| Error::input(path.display().to_string(), reason);
        let unreadable = |error: std::io::Error| fail(format!("can't be read: {error}"));
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut bytes = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut bytes).map_err(unreadable)?;
        let header = u64::from_le_bytes(bytes);
        if header > LONGEST_HEADER.min(length.saturating_sub(LENGTH_BYTES)) {
            return Err(fail("is not a safetensors file, or is cut off".into()));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(unreadable)?;
        let entries = entries(&text).map_err(|reason| fail(format!("its header can't be read: {reason}")))?;
        let due = LENGTH_BYTES + header + entries.iter().map(|(_, entry)| entry.data_offsets.1).max().unwrap_or(0);
        if length != due {
            return Err(fail(format!("has {length} bytes where its header promises {due}: it is cut off or damaged")));
        }
        let pad = (LENGTH_BYTES - header % LENGTH_BYTES) % LENGTH_BYTES;
        let begin = LENGTH_BYTES + header + pad;
        let mut tensors = Vec::new();
        for (tensor, entry) in entries {
            let (from, to) = entry.data_offsets;
            let element = entry.element();
            let place = Place { file: name.to_owned(), offset: begin + from, length: to - from };
            let due = entry.shape.iter().product::<usize>() as u64 * element.map_or(0, Element::bytes);
            if element.is_some() && place.length != due {
                return Err(fail(format!("{tensor} has {} bytes where {due} are due", place.length)));
            }
            if element.is_some_and(|element| !place.offset.is_multiple_of(element.bytes())) {
                return Err(fail(format!("{tensor} does not begin at a whole number; save the file again")));
            }
            tensors.push(Stored { name: tensor, element, kind: entry.dtype, dims: entry.shape, place });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((Self { path: path.to_owned(), pad, header }, tensors))
    }

    /// Puts the file at `to`: as a second name of the same bytes, or a copy where that can't be (another disk, or a
    /// header that has to be lengthened). Gives the bytes that were copied.
    ///
    /// # Errors
    /// [`Error::Output`] when it can't be written.
    pub fn put(&self, to: &Path) -> Result<u64> {
        // A link of the hub's cache stands for the file behind it.
        let from = std::fs::canonicalize(&self.path).map_err(|error| Error::output(&self.path, error))?;
        if self.pad == 0 && std::fs::hard_link(&from, to).is_ok() {
            return Ok(0);
        }
        self.copy(&from, to).map_err(|error| Error::output(to, error))
    }

    fn copy(&self, from: &Path, to: &Path) -> std::io::Result<u64> {
        if self.pad == 0 {
            return std::fs::copy(from, to);
        }
        let (mut from, mut to) = (File::open(from)?, File::create_new(to)?);
        from.seek(SeekFrom::Start(LENGTH_BYTES))?;
        std::io::copy(&mut (self.header + self.pad).to_le_bytes().as_slice(), &mut to)?;
        let header = std::io::copy(&mut (&mut from).take(self.header), &mut to)?;
        // Blanks at the end of a header mean nothing.
        std::io::copy(&mut std::io::repeat(b' ').take(self.pad), &mut to)?;
        Ok(LENGTH_BYTES + header + self.pad + std::io::copy(&mut from, &mut to)?)
    }

    /// The values of a tensor of this file, as float32.
    ///
    /// # Errors
    /// [`Error::Input`] when they can't be read or are of another type.
    pub fn values(&self, stored: &Stored) -> Result<Vec<f32>> {
        let fail = |reason: String| Error::input(self.path.display().to_string(), reason);
        let unreadable = |error: std::io::Error| fail(format!("can't be read: {error}"));
        let mut file = File::open(&self.path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(stored.place.offset - self.pad)).map_err(unreadable)?;
        let mut bytes = vec![0; stored.place.length as usize];
        file.read_exact(&mut bytes).map_err(unreadable)?;
        let halves = || bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        match stored.element {
            Some(Element::F32) => {
                Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            Some(Element::Bf16) => Ok(halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
            Some(Element::F16) => Ok(halves().map(half).collect()),
            _ => Err(fail(format!("{} is {}, expected F32, F16 or BF16", stored.name, stored.kind))),
        }
    }
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct TensorEntry {
    dtype: String,
    shape: Vec<usize>,
    /// First byte and the one after the last, from the end of the header.
    data_offsets: (u64, u64),
}

impl TensorEntry {
    fn element(&self) -> Option<Element> {
        match self.dtype.as_str() {
            "F32" => Some(Element::F32),
            "F16" => Some(Element::F16),
            "BF16" => Some(Element::Bf16),
            _ => None,
        }
    }
}

/// The entries of a header, in the order of their bytes, which must follow one another without a gap.
fn entries(header: &[u8]) -> Result<Vec<(String, TensorEntry)>, String> {
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    all.remove("__metadata__");
    let read = |(name, value)| serde_json::from_value(value).map(|entry: TensorEntry| (name, entry));
    let mut entries = all.into_iter().map(read).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut end = 0;
    for (name, entry) in &entries {
        let (from, to) = entry.data_offsets;
        if from != end || to < from {
            return Err(format!("{name} lies at bytes {from} to {to}, after one that ends at {end}"));
        }
        end = to;
    }
    Ok(entries)
}

/// An IEEE half.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff) / 1024.0);
    let size = match exponent {
        0 => fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2_f32.powi(exponent - 15),
    };
    if sign == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one tensor `a` of two numbers, its header as it comes: no multiple of 8.
    fn file(dir: &Path, dtype: &str, body: &[u8]) -> PathBuf {
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{}]}}}}"#, body.len());
        assert!(!header.len().is_multiple_of(8), "choose another name");
        let path = dir.join("odd.safetensors");
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), body].concat()).unwrap();
        path
    }

    #[test]
    fn a_header_of_an_odd_length_is_lengthened_and_the_values_stay() {
        let dir = tempfile::tempdir().unwrap();
        let body: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let (odd, tensors) = TensorFile::open(&file(dir.path(), "F32", &body), "odd").unwrap();
        assert_eq!(odd.values(&tensors[0]).unwrap(), [1.5, -2.0]);
        let even = dir.path().join("even.safetensors");
        assert!(odd.put(&even).unwrap() > 0);
        let (even, again) = TensorFile::open(&even, "odd").unwrap();
        assert_eq!((even.pad, again[0].place.clone()), (0, tensors[0].place.clone()));
        assert_eq!(even.values(&again[0]).unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn an_aligned_file_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_owned();
        let header = header.clone() + &" ".repeat((8 - header.len() % 8) % 8);
        let path = dir.path().join("one.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        std::fs::write(&path, &bytes).unwrap();
        let (one, _) = TensorFile::open(&path, "one").unwrap();
        assert_eq!(one.put(&dir.path().join("two")).unwrap(), 0);
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cut = TensorFile::open(&path, "one").unwrap_err().to_string();
        assert!(cut.contains("cut off or damaged"), "{cut}");
        std::fs::write(&path, b"not a safetensors file at all").unwrap();
        let other = TensorFile::open(&path, "one").unwrap_err().to_string();
        assert!(other.contains("is not a safetensors file"), "{other}");
    }

    #[test]
    fn halves_are_read() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0x3555, 0.333_251_95)]
        {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }
}
