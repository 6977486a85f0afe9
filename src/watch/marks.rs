//! What people said of events on the dashboard, for `startle calibrate`.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What of the file of marks is read here; `startle monitor` writes more.
#[derive(Deserialize)]
struct Marks {
    schema: String,
    marks: BTreeMap<String, Mark>,
}

#[derive(Deserialize)]
struct Mark {
    mark: bool,
}

/// The clips in a folder of event clips (`[clips] folder`) whose events somebody has marked as false alarms, in the order
/// of the events' names.
///
/// # Errors
/// [`Error::Input`] when the folder holds no marks, or none of a false alarm whose clip is still there.
pub fn false_alarms(clips: &Path) -> Result<Vec<PathBuf>> {
    let file = clips.join("marks.json");
    let here = |reason: String| Error::input(file.display().to_string(), reason);
    let text = std::fs::read_to_string(&file)
        .map_err(|e| here(format!("can't be read: {e}; events are marked on the dashboard of `startle monitor`")))?;
    let marks: Marks = serde_json::from_str(&text).map_err(|e| here(format!("is no file of marks: {e}")))?;
    if marks.schema != "startle.marks/1" {
        return Err(here(format!("has schema {}, this startle reads startle.marks/1", marks.schema)));
    }
    let cameras: Vec<PathBuf> = std::fs::read_dir(clips).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let clip = |incident: &String| {
        let folders = cameras.iter().map(|camera| camera.join(incident));
        let files = folders.flat_map(|folder| ["clip.mp4", "clip.mkv"].map(|name| folder.join(name)));
        files.into_iter().find(|file| file.is_file())
    };
    let found: Vec<PathBuf> =
        marks.marks.iter().filter(|(_, mark)| !mark.mark).filter_map(|(incident, _)| clip(incident)).collect();
    if found.is_empty() {
        return Err(here("marks no false alarm whose clip is still there".into()));
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
