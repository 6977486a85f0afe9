//! What people said of events on the dashboard: `marks.json` beside the clips.
//!
//! `startle.marks/1`: `{"schema", "marks": {incident: {"camera", "onset", "score", "mark", "time", "by"}}}`; `mark` is `true`
//! (it was one) or `false` (a false alarm), `by` who said so, absent without a login. The dashboard writes it, `startle
//! calibrate --false-alarms` reads it.
//!
//! Invariant: the file is replaced as a whole.

use crate::error::{Error, Result};
use crate::store::{self, Durability};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "marks.json";
/// Its schema.
const SCHEMA: &str = "startle.marks/1";

/// What somebody said of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Mark {
    /// Whose event.
    pub camera: String,
    /// When it began, RFC 3339.
    pub onset: String,
    /// Its surprise, where it is known.
    #[cfg_attr(feature = "serve", schema(required))]
    pub score: Option<f64>,
    /// `true`: it was one; `false`: a false alarm.
    #[serde(rename = "mark")]
    pub is_true: bool,
    /// When it was said, RFC 3339.
    pub time: String,
    /// Who said it; absent without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The file of marks: what was said of each incident, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Marks {
    /// In the order of their names.
    pub marks: BTreeMap<String, Mark>,
    /// `startle.marks/1`.
    schema: String,
}

impl Default for Marks {
    /// Nobody has said anything.
    fn default() -> Self {
        Self { marks: BTreeMap::new(), schema: SCHEMA.into() }
    }
}

impl Marks {
    /// Where a folder's marks are.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Input`] when it can't be read or is no file of marks.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        let here = |reason: String| Error::input(file.display().to_string(), reason);
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::unreadable(file.display().to_string(), e)),
        };
        let marks: Self =
            serde_json::from_str(&text).map_err(|e| here(format!("is no file of marks: {e}; move it away")))?;
        if marks.schema != SCHEMA {
            let reason = format!("has schema {}, this startle reads {SCHEMA}; move it away", marks.schema);
            return Err(here(reason));
        }
        Ok(Some(marks))
    }

    /// Writes a file, and the folder that it is in.
    ///
    /// # Errors
    /// [`Error::Output`] when the disk takes it not; what was there before stays.
    pub fn write(&self, file: &Path) -> Result<()> {
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
            // By way of a value: its keys are sorted.
            let text = serde_json::to_string_pretty(&serde_json::to_value(self)?)?;
            store::replace(file, format!("{text}\n").as_bytes(), Durability::PowerCut)
        };
        write().map_err(|e| Error::output(file, e))
    }
}

/// The clips in a folder of event clips (`[clips] folder`) whose events somebody has marked as false alarms, in the order
/// of the events' names.
///
/// # Errors
/// [`Error::Input`] when the folder holds no marks, or none of a false alarm whose clip is still there.
pub fn false_alarms(clips: &Path) -> Result<Vec<PathBuf>> {
    let file = Marks::file(clips);
    let here = |reason: &str| Error::input(file.display().to_string(), reason);
    let none = || here("is not there: events are marked on the dashboard of `startle monitor`");
    let marks = Marks::read(&file)?.ok_or_else(none)?.marks;
    let cameras: Vec<PathBuf> = std::fs::read_dir(clips).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let clip = |incident: &String| {
        let folders = cameras.iter().map(|camera| camera.join(incident));
        let files = folders.flat_map(|folder| ["clip.mp4", "clip.mkv"].map(|name| folder.join(name)));
        files.into_iter().find(|file| file.is_file())
    };
    let found: Vec<PathBuf> =
        marks.iter().filter(|(_, mark)| !mark.is_true).filter_map(|(incident, _)| clip(incident)).collect();
    if found.is_empty() {
        return Err(here("marks no false alarm whose clip is still there"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_alarms_are_found_by_their_marks_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert!(false_alarms(dir.path()).unwrap_err().to_string().contains("marks.json"));
        for (camera, incident) in [("gate", "gate-1"), ("gate", "gate-2"), ("yard", "yard-1")] {
            write(&format!("{camera}/{incident}/clip.mp4"), "");
        }
        let mark = |value: bool| format!(r#"{{"camera":"x","onset":"","score":1,"mark":{value},"time":""}}"#);
        let marks = format!(r#"{{"gate-1":{},"gate-2":{},"gone-1":{}}}"#, mark(false), mark(true), mark(false));
        write("marks.json", &format!(r#"{{"schema":"startle.marks/1","marks":{marks}}}"#));
        assert_eq!(false_alarms(dir.path()).unwrap(), [dir.path().join("gate/gate-1/clip.mp4")]);
        write("marks.json", r#"{"schema":"startle.marks/2","marks":{}}"#);
        assert!(false_alarms(dir.path()).unwrap_err().to_string().contains("startle.marks/1"));
    }
}
