//! What each camera has shown of itself, kept from run to run.

use super::{Bulletin, Listener};
use crate::error::{Error, Result};
use crate::store::{self, Durability};
use crate::surprise::{CurveKey, Past};
use crate::watch::engine::News;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The schema's name and version.
const SCHEMA: &str = "startle.camera/1";

/// The folder with a file for each camera.
///
/// Invariant: a file is replaced as a whole, so that a crash leaves the one before.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
    key: CurveKey,
    contexts: Vec<u32>,
}

/// A camera's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryFile<P> {
    schema: String,
    camera: String,
    key: CurveKey,
    contexts: Vec<u32>,
    past: P,
}

impl Memory {
    /// In `folder`, which is made; for curves of this key and these contexts.
    ///
    /// # Errors
    /// [`Error::Output`] when the folder can't be made.
    pub fn open(folder: &Path, key: CurveKey, contexts: Vec<u32>) -> Result<Self> {
        fs::create_dir_all(folder).and_then(|()| store::sweep(folder)).map_err(|e| Error::output(folder, e))?;
        Ok(Self { folder: folder.to_owned(), key, contexts })
    }

    /// What a camera has shown of itself; nothing when it is new.
    ///
    /// # Errors
    /// Why what is there can't be used: it is of another model, or was damaged. The camera begins anew then.
    pub fn recall(&self, camera: &str, source: &str) -> Result<Past> {
        let path = self.path(camera, source);
        let fail = |reason: String| Error::input(path.display().to_string(), reason);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Past::default()),
            Err(e) => return Err(Error::unreadable(path.display().to_string(), e)),
        };
        let kept: MemoryFile<Past> =
            serde_json::from_str(&text).map_err(|e| fail(format!("is not what was written: {e}")))?;
        if kept.schema != SCHEMA || !kept.past.is_sound() {
            return Err(fail(format!("is not a whole {SCHEMA}")));
        }
        if kept.key != self.key || kept.contexts != self.contexts {
            return Err(fail("was learnt with another model or other settings".into()));
        }
        Ok(kept.past)
    }

    fn keep(&self, camera: &str, source: &str, past: &Past) -> Result<()> {
        let path = self.path(camera, source);
        let kept = MemoryFile {
            schema: SCHEMA.into(),
            camera: camera.into(),
            key: self.key.clone(),
            contexts: self.contexts.clone(),
            past,
        };
        let text = serde_json::to_string(&kept)
            .map_err(|e| Error::Internal { stage: "camera's memory", reason: e.to_string() })?;
        store::replace(&path, text.as_bytes(), Durability::PowerCut).map_err(|e| Error::output(&path, e))
    }

    /// A name that people know, and one that no other camera or source has.
    fn path(&self, camera: &str, source: &str) -> PathBuf {
        let fit = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
        let name: String = camera.chars().map(fit).take(60).collect();
        let hash = Sha256::digest(format!("{camera}\n{source}"));
        let hash = hex::encode(&hash[..4]);
        self.folder.join(format!("{name}-{hash}.json"))
    }
}

impl Listener for Memory {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        match bulletin.news.as_ref() {
            News::Learnt(past) => self.keep(&bulletin.camera.name, &bulletin.camera.input.to_string(), past),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CurveKey {
        CurveKey { model_sha256: "a".into(), stride: 2, top_fraction: 0.06 }
    }

    #[test]
    fn what_was_kept_comes_back_and_what_is_damaged_or_of_another_model_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let memory = Memory::open(&folder, key(), vec![20]).unwrap();
        assert_eq!(memory.recall("gate", "rtsp://a").unwrap(), Past::default());
        let mut past = Past::default();
        (0..500).for_each(|i| past.learn(1.0 + (i % 7) as f32, 0.2));
        memory.keep("gate", "rtsp://a", &past).unwrap();
        assert_eq!(memory.recall("gate", "rtsp://a").unwrap(), past);
        assert_eq!(memory.recall("gate", "rtsp://b").unwrap(), Past::default(), "another source is another camera");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let other = Memory::open(&folder, key(), vec![8, 20]).unwrap();
        let error = other.recall("gate", "rtsp://a").unwrap_err().to_string();
        assert!(error.contains("other settings") && error.contains("gate-"), "{error}");
        let path = memory.path("gate", "rtsp://a");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(memory.recall("gate", "rtsp://a").unwrap_err().to_string().contains("is not what was written"));
    }
}
