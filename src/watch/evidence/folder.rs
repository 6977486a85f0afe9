//! The folder of one incident: what is in it while it is written, what when it is done, and how one becomes the other.
//!
//! ```text
//! <clips>/<camera>/<incident>/clip.mp4 curve.json thumbnail.jpg event.json
//! ```
//!
//! While it is written: `event.json.part` (the alert), `clip.mp4.part`, `curve.json.part` (a line a point). Finishing reads
//! nothing but these files, so a program that was killed finishes at its next start.
//!
//! Invariants: `event.json` comes last and all at once: where it is, everything is; no file is touched whose name is not
//! one of ours in a folder whose name is an incident's.

use super::shelf::KeptItem;
use crate::media::ffmpeg::{measure, seal};
use crate::store::{self, Durability};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The alert, and proof that all is there.
pub(super) const EVENT: &str = "event.json";
/// The points of the curve.
pub(super) const CURVE: &str = "curve.json";
/// The picture.
const THUMBNAIL: &str = "thumbnail.jpg";
/// The clip, one or the other.
const CLIPS: [&str; 2] = ["clip.mp4", "clip.mkv"];
/// Ending of what is still being written.
pub(super) const PART: &str = ".part";
/// Ending of what is about to take its place.
const NEW: &str = ".new";

/// What finishing found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finished {
    /// Everything is there.
    Clip,
    /// Everything but a clip.
    NoClip,
}

/// The folder of one incident.
#[derive(Debug, Clone)]
pub(super) struct IncidentFolder {
    path: PathBuf,
}

impl IncidentFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn part(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}{PART}"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins, or knows more: the alert, with what is known of the clip.
    pub(super) fn note(&self, alert: &Map<String, Value>) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        store::replace(&self.part(EVENT), Value::Object(alert.clone()).to_string().as_bytes(), Durability::PowerCut)
    }

    /// Makes the finished files of those that were being written.
    pub(super) fn finish(&self, mut alert: Map<String, Value>) -> io::Result<Finished> {
        let clip = self.finish_clip(alert.remove("clip"));
        let finished = if clip.is_some() { Finished::Clip } else { Finished::NoClip };
        alert.insert("clip".into(), clip.unwrap_or_default());
        if let Some(Value::String(picture)) = alert.remove("thumbnail")
            && let Ok(bytes) = STANDARD.decode(picture)
        {
            self.replace(THUMBNAIL, &bytes)?;
        }
        if self.part(CURVE).exists() || !self.file(CURVE).exists() {
            let text = fs::read_to_string(self.part(CURVE)).unwrap_or_default();
            self.replace(CURVE, curve(&alert, &text).to_string().as_bytes())?;
        }
        self.replace(EVENT, Value::Object(alert).to_string().as_bytes())?;
        self.remove_unfinished();
        Ok(finished)
    }

    /// Makes the clip of its part; what is known of it, with what was measured. `None`: there is none.
    fn finish_clip(&self, known: Option<Value>) -> Option<Value> {
        let mut known = known.filter(Value::is_object)?;
        let name = CLIPS.into_iter().find(|name| known["file"] == *name)?;
        let (part, new, clip) = (self.part(name), self.file(&format!("{name}{NEW}")), self.file(name));
        if part.exists() {
            // Without room for a second copy the first will do: it is readable as it is.
            let (sealed, from) = match seal(&part, &new) {
                Ok(sealed) => (sealed, &new),
                Err(_) => (measure(&part).ok()?, &part),
            };
            known["duration_s"] = json!((sealed.duration_s * 1000.0).round() / 1000.0);
            store::rename(from, &clip).ok()?;
        }
        clip.exists().then_some(known)
    }

    /// Puts a file there all at once.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        store::replace(&self.file(name), bytes, Durability::PowerCut)
    }

    /// Removes what was being written.
    fn remove_unfinished(&self) {
        let _ = store::sweep(&self.path);
        for name in [EVENT, CURVE, THUMBNAIL].into_iter().chain(CLIPS) {
            for ending in [PART, NEW] {
                let _ = fs::remove_file(self.file(&format!("{name}{ending}")));
            }
        }
    }

    /// The finished files as something that is kept, and when the event was.
    pub(super) fn item(&self) -> Option<(SystemTime, KeptItem)> {
        let event: Value = serde_json::from_str(&fs::read_to_string(self.file(EVENT)).ok()?).ok()?;
        self.is_of(&event).then_some(())?;
        let onset = humantime::parse_rfc3339(event["onset"].as_str()?).ok()?;
        let names = [EVENT, CURVE, THUMBNAIL].into_iter().chain(CLIPS);
        let files: Vec<PathBuf> = names.map(|name| self.file(name)).filter(|file| file.exists()).collect();
        let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|meta| meta.len()).sum();
        Some((onset, KeptItem { files, folder: Some(self.path.clone()), bytes }))
    }

    /// Whether an alert is this folder's.
    fn is_of(&self, alert: &Value) -> bool {
        alert["incident"].as_str().is_some_and(|id| self.path.file_name().is_some_and(|name| name == id))
    }

    /// After a start: finishes or removes what another run of the program left. `Some`: it was not finished.
    fn recover(&self) -> Option<io::Result<Option<Finished>>> {
        if self.file(EVENT).exists() {
            self.remove_unfinished();
            return None;
        }
        let text = fs::read_to_string(self.part(EVENT)).unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(alert) if self.is_of(&alert) => {
                let Value::Object(mut alert) = alert else { return None };
                if let Some(Value::Object(clip)) = alert.get_mut("clip") {
                    clip.insert("incomplete".into(), true.into());
                }
                Some(self.finish(alert).map(Some))
            }
            // Killed before the alert was written: there is nothing to tell what it was.
            _ => {
                self.remove_unfinished();
                for name in [CURVE, THUMBNAIL].into_iter().chain(CLIPS) {
                    let _ = fs::remove_file(self.file(name));
                }
                let _ = fs::remove_dir(&self.path);
                Some(Ok(None))
            }
        }
    }
}

/// `curve.json`: whose it is, and the lines as points and gaps. A half-written line is left out.
fn curve(alert: &Map<String, Value>, lines: &str) -> Value {
    let of = |key: &str| alert.get(key).cloned().unwrap_or_default();
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let only = |what: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == what).collect() };
    json!({"camera": of("camera"), "incident": of("incident"), "points": only("point"), "gaps": only("gap")})
}

/// What a start found.
#[derive(Default)]
pub(super) struct FoundEvents {
    /// Finished incidents.
    pub(super) items: Vec<(SystemTime, KeptItem)>,
    /// Incidents that were finished now.
    pub(super) recovered: usize,
    /// Leftovers that were removed.
    pub(super) removed: usize,
    /// What could not be finished.
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

/// Goes through all incidents of all cameras in the folder of clips.
pub(super) fn look_through(clips: &Path) -> io::Result<FoundEvents> {
    let mut found = FoundEvents::default();
    for camera in folders(clips)? {
        for path in folders(&camera)? {
            if !path.file_name().and_then(|name| name.to_str()).is_some_and(is_incident_id) {
                continue;
            }
            let folder = IncidentFolder::new(path);
            match folder.recover() {
                Some(Ok(Some(_))) => found.recovered += 1,
                Some(Ok(None)) => found.removed += 1,
                Some(Err(error)) => found.failed.push((folder.path().to_owned(), error)),
                None => {}
            }
            found.items.extend(folder.item());
        }
    }
    Ok(found)
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Links lead to what may not be ours.
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a name is an incident's: `…-20261125T074530.123Z-4`.
fn is_incident_id(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '-');
    let (number, stamp, camera) = (parts.next(), parts.next(), parts.next());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_stamp = |stamp: &str| {
        let pieces = (stamp.get(..8), stamp.get(8..9), stamp.get(9..15), stamp.get(15..16), stamp.get(16..19));
        let (Some(day), Some("T"), Some(time), Some("."), Some(milli)) = pieces else { return false };
        digits(day) && digits(time) && digits(milli) && stamp.get(19..) == Some("Z")
    };
    camera.is_some() && number.is_some_and(digits) && stamp.is_some_and(is_stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "the-gate-20261125T074530.123Z-4";

    fn alert() -> Map<String, Value> {
        let alert = json!({"type": "event", "incident": ID, "camera": "the gate", "onset": "2026-11-25T07:45:30.123Z",
            "thumbnail": STANDARD.encode(b"picture"), "clip": null});
        let Value::Object(alert) = alert else { unreachable!() };
        alert
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn names_of_incidents_are_told_from_others() {
        assert!(is_incident_id(ID) && is_incident_id("-20261125T074530.123Z-40"));
        for other in
            ["", "holidays", "20261125T074530.123Z-4", "gate-20261125-4", "gate-20261125T074530.123Z-", "é-é-é"]
        {
            assert!(!is_incident_id(other), "{other}");
        }
    }

    #[test]
    fn what_was_begun_is_finished_at_the_next_start_and_what_is_foreign_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = IncidentFolder::new(dir.path().join("the-gate").join(ID));
        folder.note(&alert()).unwrap();
        fs::write(folder.part(CURVE), "{\"type\":\"point\",\"t_s\":1.0}\n{\"type\":\"gap\"}\n{\"type\":\"poi").unwrap();
        // Killed before its alert was whole; someone else's folder; someone else's file in ours.
        let torn = dir.path().join("the-gate/the-gate-20261125T074531.123Z-5");
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join("event.json.part"), "{\"inci").unwrap();
        let foreign = dir.path().join("the-gate/holidays");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("clip.mp4.part"), "mine").unwrap();
        let shared = dir.path().join("the-gate/the-gate-20261125T074532.123Z-6");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("notes.txt"), "mine").unwrap();

        let found = look_through(dir.path()).unwrap();
        assert_eq!((found.recovered, found.removed, found.failed.len(), found.items.len()), (1, 2, 0, 1));
        assert_eq!(names(folder.path()), ["curve.json", "event.json", "thumbnail.jpg"]);
        assert_eq!(fs::read(folder.file(THUMBNAIL)).unwrap(), b"picture");
        let curve: Value = serde_json::from_slice(&fs::read(folder.file(CURVE)).unwrap()).unwrap();
        assert_eq!((curve["points"][0]["t_s"].as_f64(), curve["points"].as_array().unwrap().len()), (Some(1.0), 1));
        assert_eq!((curve["gaps"].as_array().unwrap().len(), curve["camera"].as_str()), (1, Some("the gate")));
        assert!(!torn.exists());
        assert_eq!(names(&foreign), ["clip.mp4.part"]);
        assert_eq!(names(&shared), ["notes.txt"]);
        // The next start finds nothing to do.
        let again = look_through(dir.path()).unwrap();
        assert_eq!((again.recovered, again.items.len()), (0, 1));
        assert_eq!(again.items[0].1.files.len(), 3);
    }
}
