//! The events that the page lists: those of this run, those whose evidence lies on disk, and what people said of them.
//!
//! Invariant: no path comes from outside: an incident's name is looked for among the folders that are there.

use super::lock;
use crate::error::{Error, Result};
use crate::watch::alert::{Alert, Utc};
use crate::watch::marks::{Mark, Marks};
use base64::Engine;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use utoipa::ToSchema;

/// Events of this run that are remembered.
const RECENT: usize = 200;

/// An event as it is listed: as it was told, with links in place of its picture, and its mark.
#[derive(Serialize, ToSchema)]
pub(super) struct Event {
    #[serde(flatten)]
    #[schema(value_type = Alert)]
    told: Map<String, Value>,
    /// The picture's path.
    #[schema(required)]
    thumbnail: Option<String>,
    /// The clip's path.
    #[schema(required)]
    clip: Option<String>,
    /// The path of the curve beside the clip.
    #[schema(required)]
    curve: Option<String>,
    /// `true`: it was one; `false`: a false alarm.
    #[schema(required)]
    mark: Option<bool>,
}

/// All events.
pub(super) struct Events {
    clips: Option<PathBuf>,
    file: PathBuf,
    marks: Mutex<Marks>,
    /// The newest last.
    recent: Mutex<VecDeque<Arc<Alert>>>,
}

impl Events {
    /// With evidence in `clips`, and marks in `marks.json` of a folder.
    pub(super) fn open(clips: Option<PathBuf>, folder: &Path) -> Result<Self> {
        let file = Marks::file(folder);
        let marks = Mutex::new(Marks::read(&file)?.unwrap_or_default());
        Ok(Self { clips, file, marks, recent: Mutex::default() })
    }

    /// Remembers an event of this run; gives it as it is listed.
    pub(super) fn take(&self, alert: &Arc<Alert>) -> Event {
        let mut recent = lock(&self.recent);
        recent.retain(|known| known.incident != alert.incident);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(alert));
        drop(recent);
        self.listed(alert.object())
    }

    /// The newest events, the newest first.
    pub(super) fn list(&self, limit: usize) -> Vec<Event> {
        let mut known: HashMap<String, Map<String, Value>> = HashMap::new();
        let recent: Vec<Arc<Alert>> = lock(&self.recent).iter().cloned().collect();
        known.extend(recent.into_iter().map(|alert| (alert.incident.clone(), alert.object())));
        let mut folders = self.folders();
        // Names end in the time and the number; the newest come first.
        folders.sort_by_key(|folder| std::cmp::Reverse(when(folder)));
        for folder in folders.into_iter().take(limit) {
            if let Some(event) = read(&folder) {
                known.entry(text(&event, "incident")).or_insert(event);
            }
        }
        let mut events: Vec<Event> = known.into_values().map(|event| self.listed(event)).collect();
        events.sort_by_key(|event| std::cmp::Reverse((text(&event.told, "onset"), text(&event.told, "incident"))));
        events.truncate(limit);
        events
    }

    /// One event as it is listed.
    pub(super) fn one(&self, id: &str) -> Option<Event> {
        let recent = self.recent(id).map(|alert| alert.object());
        recent.or_else(|| read(&self.folder(id)?)).map(|event| self.listed(event))
    }

    fn recent(&self, id: &str) -> Option<Arc<Alert>> {
        lock(&self.recent).iter().find(|alert| alert.incident == id).cloned()
    }

    /// A file of an event's evidence.
    pub(super) fn file(&self, id: &str, names: &[&str]) -> Option<PathBuf> {
        let folder = self.folder(id)?;
        names.iter().map(|name| folder.join(name)).find(|file| file.is_file())
    }

    /// An event's picture, JPEG.
    pub(super) fn thumbnail(&self, id: &str) -> Option<Vec<u8>> {
        let kept = self.file(id, &["thumbnail.jpg"]).and_then(|file| fs::read(file).ok());
        kept.or_else(|| {
            let jpeg = base64::engine::general_purpose::STANDARD.decode(&self.recent(id)?.thumbnail);
            jpeg.ok().filter(|jpeg| !jpeg.is_empty())
        })
    }

    /// Notes what somebody said of an event; `None` takes it back.
    ///
    /// # Errors
    /// [`Error::Input`] when there is no such event, [`Error::Output`] when the file can't be written.
    pub(super) fn mark(&self, id: &str, mark: Option<bool>, by: Option<String>) -> Result<Event> {
        let mut event = self.one(id).ok_or_else(|| Error::input(id, "is no event that is known"))?;
        let mut marks = lock(&self.marks);
        let mut changed = marks.clone();
        match mark {
            Some(mark) => {
                let (camera, onset) = (text(&event.told, "camera"), text(&event.told, "onset"));
                let score = event.told.get("score").and_then(Value::as_f64);
                changed.marks.insert(
                    id.into(),
                    Mark { camera, onset, score, is_true: mark, time: Utc(SystemTime::now()).to_string(), by },
                );
            }
            None => drop(changed.marks.remove(id)),
        }
        changed.write(&self.file)?;
        *marks = changed;
        event.mark = mark;
        Ok(event)
    }

    /// The file of marks as it is.
    pub(super) fn marks(&self) -> Marks {
        lock(&self.marks).clone()
    }

    /// An event as it is listed.
    fn listed(&self, mut told: Map<String, Value>) -> Event {
        let id = text(&told, "incident");
        let link = |is_there: bool, name: &str| is_there.then(|| format!("/api/events/{id}/{name}"));
        let has = |names: &[&str]| self.file(&id, names).is_some();
        let picture = !text(&told, "thumbnail").is_empty() || has(&["thumbnail.jpg"]);
        for ours in ["thumbnail", "clip", "curve", "mark"] {
            told.remove(ours);
        }
        Event {
            told,
            thumbnail: link(picture, "thumbnail"),
            clip: link(has(&["clip.mp4", "clip.mkv"]), "clip"),
            curve: link(has(&["curve.json"]), "curve"),
            mark: lock(&self.marks).marks.get(&id).map(|mark| mark.is_true),
        }
    }

    /// The folders of events whose evidence is whole: `<clips>/<camera>/<incident>`.
    fn folders(&self) -> Vec<PathBuf> {
        let Some(clips) = &self.clips else { return Vec::new() };
        let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
        below(clips).flat_map(|camera| below(&camera)).filter(|f| f.join("event.json").is_file()).collect()
    }

    fn folder(&self, id: &str) -> Option<PathBuf> {
        let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !id.starts_with('.');
        let cameras = plain.then(|| fs::read_dir(self.clips.as_ref()?).ok()).flatten()?;
        let mut folders = cameras.flatten().map(|camera| camera.path().join(id));
        folders.find(|folder| folder.join("event.json").is_file())
    }
}

fn text(event: &Map<String, Value>, key: &str) -> String {
    event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn read(folder: &Path) -> Option<Map<String, Value>> {
    let event: Map<String, Value> = serde_json::from_str(&fs::read_to_string(folder.join("event.json")).ok()?).ok()?;
    let named = folder.file_name().is_some_and(|name| name == &*text(&event, "incident"));
    named.then_some(event)
}

/// What of an incident's name says when it was: all after the last but one `-`.
fn when(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.rsplit('-').nth(1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(clips: &Path, id: &str) {
        let folder = clips.join("gate").join(id);
        fs::create_dir_all(&folder).unwrap();
        let event = json!({"incident": id, "camera": "gate", "onset": "2026-01-01T00:00:00.000Z", "score": 2.5});
        fs::write(folder.join("event.json"), event.to_string()).unwrap();
    }

    #[test]
    fn marks_outlive_a_restart_and_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let id = "gate-20260101T000000.000Z-1";
        event(dir.path(), id);
        let open = || Events::open(Some(dir.path().into()), dir.path()).unwrap();
        assert_eq!(open().mark(id, Some(false), Some("anna".into())).unwrap().mark, Some(false));
        assert_eq!(open().list(9)[0].mark, Some(false));
        assert_eq!(open().marks().marks[id].by.as_deref(), Some("anna"));
        open().mark(id, None, None).unwrap();
        assert_eq!(open().list(9)[0].mark, None);
        assert!(open().mark("gate-unknown", Some(true), None).is_err());
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let clips = dir.path().join("clips");
        event(&clips, "a-20260101T000000.000Z-1");
        fs::create_dir_all(dir.path().join("secret")).unwrap();
        fs::write(dir.path().join("secret/event.json"), "{}").unwrap();
        let events = Events::open(Some(clips), dir.path()).unwrap();
        for id in ["..", "../../secret", ".", "", "%2e%2e", "a/../../secret"] {
            assert_eq!(events.file(id, &["event.json"]), None, "{id}");
        }
        assert!(events.file("a-20260101T000000.000Z-1", &["event.json"]).is_some());
    }

    #[test]
    fn a_damaged_file_of_marks_is_refused_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("marks.json"), "{").unwrap();
        let error = Events::open(None, dir.path()).err().unwrap().to_string();
        assert!(error.contains("marks.json") && error.contains("move it away"), "{error}");
    }
}
