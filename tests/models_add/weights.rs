//! Safetensors files that a test may change.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Tensors by name: type, sizes, bytes.
#[derive(Clone, Default)]
pub struct Weights(BTreeMap<String, (String, Vec<usize>, Vec<u8>)>);

impl Weights {
    /// Of the checkpoint in a folder.
    pub fn read(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let begin = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..begin]).unwrap();
        let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__").map(|(name, entry)| {
            let at = |index: usize| begin + usize::try_from(entry["data_offsets"][index].as_u64().unwrap()).unwrap();
            let dims = serde_json::from_value(entry["shape"].clone()).unwrap();
            (name, (entry["dtype"].as_str().unwrap().to_owned(), dims, bytes[at(0)..at(1)].to_vec()))
        });
        Self(tensors.collect())
    }

    /// Writes a checkpoint with the configuration of another.
    pub fn write(&self, like: &Path, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(like.join("config.json"), folder.join("config.json")).unwrap();
        self.write_file(&folder.join("model.safetensors"));
    }

    /// As [`Weights::write`], in `count` files.
    pub fn write_shards(&self, like: &Path, folder: &Path, count: usize) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(like.join("config.json"), folder.join("config.json")).unwrap();
        let mut map = BTreeMap::new();
        for shard in 0..count {
            let file = format!("model-{shard}-of-{count}.safetensors");
            let own = self.0.iter().enumerate().filter(|(index, _)| index % count == shard);
            let own = Self(own.map(|(_, (name, tensor))| (name.clone(), tensor.clone())).collect());
            own.write_file(&folder.join(&file));
            map.extend(own.0.keys().map(|name| (name.clone(), file.clone())));
        }
        let index = json!({"weight_map": map}).to_string();
        std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    }

    fn write_file(&self, path: &Path) {
        let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
        for (name, (kind, dims, bytes)) in &self.0 {
            let offsets = [body.len(), body.len() + bytes.len()];
            header.insert(name.clone(), json!({"dtype": kind, "shape": dims, "data_offsets": offsets}));
            body.extend(bytes);
        }
        let mut header = Value::Object(header).to_string();
        header += &" ".repeat((8 - header.len() % 8) % 8);
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(path, [&length[..], header.as_bytes(), &body].concat()).unwrap();
    }

    pub fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        Self(self.0.iter().map(|(old, tensor)| (name(old), tensor.clone())).collect())
    }

    pub fn without(&self, name: &str) -> Self {
        let mut fewer = self.clone();
        fewer.0.remove(name).unwrap();
        fewer
    }

    /// With a tensor of zeros.
    pub fn with(&self, name: &str, dims: Vec<usize>) -> Self {
        self.with_kind(name, "F32", dims)
    }

    pub fn with_kind(&self, name: &str, kind: &str, dims: Vec<usize>) -> Self {
        let mut more = self.clone();
        let bytes = dims.iter().product::<usize>() * if kind == "F64" { 8 } else { 4 };
        more.0.insert(name.into(), (kind.into(), dims, vec![0; bytes]));
        more
    }

    /// With a float32 tensor of one value.
    pub fn with_value(&self, name: &str, dims: Vec<usize>, value: f32) -> Self {
        let mut more = self.with(name, dims);
        let bytes = &mut more.0.get_mut(name).unwrap().2;
        *bytes = value.to_le_bytes().repeat(bytes.len() / 4);
        more
    }

    /// With zeros at these places of a float32 tensor.
    pub fn with_zeros(&self, name: &str, places: std::ops::Range<usize>) -> Self {
        let mut changed = self.clone();
        changed.0.get_mut(name).unwrap().2[places.start * 4..places.end * 4].fill(0);
        changed
    }

    /// With every value cut to a half: `BF16`, or `F16` (those here lie in its range or become zero).
    pub fn in_halves(&self, kind: &str) -> Self {
        let cut = |bits: u32| {
            if kind == "BF16" {
                return (bits >> 16) as u16;
            }
            let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
            let sign = (bits >> 16 & 0x8000) as u16;
            if exponent <= 0 { sign } else { sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16 }
        };
        let halves = |bytes: &[u8]| {
            bytes.chunks_exact(4).flat_map(|b| cut(u32::from_le_bytes(b.try_into().unwrap())).to_le_bytes()).collect()
        };
        let all =
            self.0.iter().map(|(name, (_, dims, bytes))| (name.clone(), (kind.into(), dims.clone(), halves(bytes))));
        Self(all.collect())
    }

    /// Halves as float32 of the same values.
    pub fn in_floats(&self) -> Self {
        let widen = |kind: &str, half: u16| {
            if kind == "BF16" {
                return u32::from(half) << 16;
            }
            let (sign, exponent) = (u32::from(half >> 15) << 31, u32::from(half >> 10 & 0x1f));
            if exponent == 0 { sign } else { sign | (exponent + 127 - 15) << 23 | u32::from(half & 0x3ff) << 13 }
        };
        let all = self.0.iter().map(|(name, (kind, dims, bytes))| {
            let halves = bytes.chunks_exact(2).map(|b| u16::from_le_bytes(b.try_into().unwrap()));
            let floats = halves.flat_map(|half| widen(kind, half).to_le_bytes()).collect();
            (name.clone(), ("F32".into(), dims.clone(), floats))
        });
        Self(all.collect())
    }
}
