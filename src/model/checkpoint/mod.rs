//! A model as Hugging Face lays it out: `config.json` and one or several safetensors files, in a folder.
//!
//! Invariant: what [`Checkpoint::exactly`] gives is exactly what was expected: every name, shape and type; nothing is left
//! over and nothing is missing.

#[cfg(feature = "hub")]
pub mod hub;
pub(super) mod tensors;

use self::tensors::{Stored, TensorFile};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A tensor's name and the sizes that it must have.
pub(super) type TensorShapes = BTreeMap<String, Vec<usize>>;

/// Tensors by their names.
pub(super) type Tensors = BTreeMap<String, Stored>;

/// The weights of a model without shards, and the list of the shards of one with.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// How pictures are made ready; the first that is there.
const PROCESSORS: [&str; 2] = ["video_preprocessor_config.json", "preprocessor_config.json"];
/// Faults that are told one by one.
const TOLD: usize = 12;

/// A folder with a model.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    /// `config.json`.
    pub(super) config: serde_json::Value,
    /// How pictures are made ready.
    pub(super) processor: Processor,
    /// The files with the weights, by the names that a bundle gives them.
    pub(super) files: BTreeMap<String, TensorFile>,
    tensors: Vec<Stored>,
}

/// What the folder says of pictures; what it does not say is empty.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Processor {
    #[serde(default)]
    pub image_mean: Option<[f64; 3]>,
    #[serde(default)]
    pub image_std: Option<[f64; 3]>,
    #[serde(default)]
    pub size: Option<serde_json::Value>,
    #[serde(default)]
    pub crop_size: Option<serde_json::Value>,
}

impl Processor {
    /// Side of the square that is cut out, or that the picture is made.
    pub fn side(&self) -> Option<u32> {
        let of = |size: &Option<serde_json::Value>| size.as_ref()?.get("height")?.as_u64();
        of(&self.crop_size).or_else(|| of(&self.size)).and_then(|side| u32::try_from(side).ok())
    }

    /// Pixels of the shorter side before the crop.
    pub fn shortest_edge(&self) -> Option<u32> {
        let edge = self.size.as_ref()?.get("shortest_edge")?.as_u64()?;
        u32::try_from(edge).ok()
    }
}

impl Checkpoint {
    /// Reads what lies in `folder`, but for the weights themselves.
    ///
    /// # Errors
    /// [`Error::Input`] that says which file is missing or not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        let fail = |reason: String| Error::input(folder.display().to_string(), reason);
        if folder.is_file() {
            return Err(fail(
                "is a file; name the folder with config.json and model.safetensors. For .pt and .pth.tar files there is \
                 the Python exporter, see models/README.md"
                    .into(),
            ));
        }
        let config = json(&folder.join("config.json"))?.ok_or_else(|| fail("holds no config.json".into()))?;
        let index = json::<Index>(&folder.join(INDEX))?;
        let names: BTreeSet<String> = match index {
            Some(index) => index.weight_map.into_values().collect(),
            None => [SINGLE.to_owned()].into(),
        };
        let (mut files, mut tensors) = (BTreeMap::new(), Vec::new());
        for name in names {
            let path = folder.join(&name);
            if !path.is_file() || Path::new(&name).components().count() != 1 {
                return Err(fail(format!("holds no {name}, where its weights should be")));
            }
            let (file, found) = TensorFile::open(&path, &name)?;
            files.insert(name, file);
            tensors.extend(found);
        }
        let mut processor = None;
        for name in PROCESSORS {
            processor = processor.map_or_else(|| json(&folder.join(name)), |found| Ok(Some(found)))?;
        }
        Ok(Self { folder: folder.to_owned(), config, processor: processor.unwrap_or_default(), files, tensors })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The architecture's name in `config.json`; empty if it has none.
    pub fn model_type(&self) -> &str {
        self.config.get("model_type").and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// The tensors, if they are exactly those of `expected`; `rename` gives the usual name of one that has an older one.
    ///
    /// # Errors
    /// [`Error::Input`] that names each fault.
    pub(super) fn exactly(&self, expected: &TensorShapes, rename: impl Fn(&str) -> String) -> Result<Tensors> {
        let (mut tensors, mut faults) = (Tensors::new(), Vec::new());
        for stored in &self.tensors {
            let name = rename(&stored.name);
            match expected.get(&name) {
                None => faults.push(format!("not used by the model: {} {:?}", stored.name, stored.dims)),
                Some(dims) if *dims != stored.dims => {
                    faults.push(format!("wrong shape: {} is {:?}, expected {dims:?}", stored.name, stored.dims));
                }
                Some(_) if stored.element.is_none() => {
                    faults.push(format!("wrong type: {} is {}, expected F32, F16 or BF16", stored.name, stored.kind));
                }
                Some(_) => {}
            }
            if tensors.insert(name.clone(), stored.clone()).is_some() {
                faults.push(format!("twice there: {name}"));
            }
        }
        let missing = expected.iter().filter(|(name, _)| !tensors.contains_key(*name));
        faults.extend(missing.map(|(name, dims)| format!("missing: {name} {dims:?}")));
        if faults.is_empty() {
            return Ok(tensors);
        }
        let more = faults.len().saturating_sub(TOLD);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        let told = faults[..faults.len().min(TOLD)].join("\n  ");
        let reason = format!("its weights do not fit its config.json ({} faults):\n  {told}{more}", faults.len());
        Err(Error::input(self.folder.display().to_string(), reason))
    }

    /// The values of a tensor, as float32.
    ///
    /// # Errors
    /// [`Error::Input`] when they can't be read.
    pub(super) fn values(&self, stored: &Stored) -> Result<Vec<f32>> {
        let file = self.files.get(&stored.place.file);
        file.ok_or_else(|| Error::input(&stored.place.file, "is not a file of this checkpoint"))?.values(stored)
    }
}

/// The list of shards.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// A JSON file; `None` where there is none.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let fail = |reason: String| Error::input(path.display().to_string(), reason);
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| fail(format!("is not understood: {e}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(format!("can't be read: {error}"))),
    }
}
