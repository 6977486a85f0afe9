//! `cases.jsonl`: what is scored, a line each, written as it is done.
//!
//! The first line says with what; an earlier file goes on only if it says the same. A last line without its end was
//! cut off by a crash: it is dropped and its video is done again. Any other line that can't be read is an error.

use serde::{Deserialize, Serialize};
use startle::evaluate::ScoredCase;
use startle::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The schema's name and version in the first line.
const SCHEMA: &str = "startle.cases/1";

/// What the numbers of a file depend on, beside the videos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultKey {
    schema: String,
    layout: String,
    settings: BTreeMap<String, String>,
}

impl ResultKey {
    /// Of a layout and settings.
    pub fn new(layout: String, settings: BTreeMap<String, String>) -> Self {
        Self { schema: SCHEMA.into(), layout, settings }
    }

    /// The first difference, in words: earlier, now.
    fn difference(&self, now: &Self) -> Option<String> {
        if self.schema != now.schema || self.layout != now.layout {
            return Some(format!("{} {}, this run is {} {}", self.schema, self.layout, now.schema, now.layout));
        }
        let names = self.settings.keys().chain(now.settings.keys());
        let value = |key: &Self, name: &str| key.settings.get(name).map_or("nothing", String::as_str).to_owned();
        let mut differences = names.filter(|name| self.settings.get(*name) != now.settings.get(*name));
        let name = differences.next()?;
        Some(format!("{name} = {}, this run has {}", value(self, name), value(now, name)))
    }
}

/// The file, open at its end.
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Begins the file anew or, to resume, goes on with it; gives what it holds.
    ///
    /// # Errors
    /// [`Error::Config`] when the earlier file was made with something else, [`Error::Input`] when it is damaged.
    pub fn open(path: &Path, key: &ResultKey, resume: bool) -> Result<(Self, Vec<ScoredCase>)> {
        let fail = |e| Error::output(path, e);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::output(folder, e))?;
        }
        let earlier = if resume { read(path, key)? } else { None };
        let (length, kept) = earlier.unwrap_or_default();
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(fail)?;
        file.set_len(length).map_err(fail)?;
        drop(file);
        let file = OpenOptions::new().append(true).open(path).map_err(fail)?;
        let log = Self { path: path.to_owned(), file: Mutex::new(file) };
        if length == 0 {
            log.line(key)?;
        }
        Ok((log, kept))
    }

    /// Adds a video.
    pub fn append(&self, scored: &ScoredCase) -> Result<()> {
        self.line(scored)
    }

    /// Writes a line in one go, so that lines of several jobs never mix.
    fn line(&self, value: &impl Serialize) -> Result<()> {
        let internal = |reason: String| Error::Internal { stage: "cases", reason };
        let mut line = serde_json::to_vec(value).map_err(|e| internal(e.to_string()))?;
        line.push(b'\n');
        let mut file = self.file.lock().map_err(|_| internal("a writer panicked".into()))?;
        file.write_all(&line).and_then(|()| file.flush()).map_err(|e| Error::output(&self.path, e))
    }
}

/// The length of the whole lines of a file and what they hold; `None` where there is no file or no whole line.
fn read(path: &Path, key: &ResultKey) -> Result<Option<(u64, Vec<ScoredCase>)>> {
    let name = path.display();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::unreadable(name.to_string(), e)),
    };
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').zip(1..);
    let damaged = |line: u32, e: &serde_json::Error| {
        Error::input(format!("{name}:{line}"), format!("is damaged ({e}); leave out --resume to begin anew"))
    };
    let first = lines.next().map_or(&[][..], |(line, _)| line);
    let earlier: ResultKey = serde_json::from_slice(first).map_err(|e| damaged(1, &e))?;
    if let Some(difference) = earlier.difference(key) {
        return Err(Error::Config(format!(
            "{name} was made with {difference}; give another --out, or leave out --resume to begin anew"
        )));
    }
    let mut kept: BTreeMap<String, ScoredCase> = BTreeMap::new();
    for (line, number) in lines {
        let one: ScoredCase = serde_json::from_slice(line).map_err(|e| damaged(number, &e))?;
        kept.insert(one.case.id.clone(), one);
    }
    Ok(Some((end as u64 + 1, kept.into_values().collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use startle::evaluate::{Case, VideoScores};

    fn key(top: &str) -> ResultKey {
        ResultKey::new("pairs".into(), [("top".to_owned(), top.to_owned())].into())
    }

    fn scored(id: &str) -> ScoredCase {
        let case = Case {
            id: id.into(),
            input: "v.mp4".into(),
            image_fps: None,
            group: "g".into(),
            pair: "p".into(),
            kind: "k".into(),
            possible: true,
            hidden: None,
            motion: None,
            onset_s: Some(0.1),
            place: None,
            what: None,
            control: false,
        };
        let scores = VideoScores { curve: vec![(0.3, 0.1)], ..VideoScores::default() };
        ScoredCase { case, scores: [("model".to_owned(), scores)].into(), duration_s: 2.0, spikes: Vec::new() }
    }

    #[test]
    fn a_cut_off_line_is_done_again_and_other_settings_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/cases.jsonl");
        let (log, kept) = Log::open(&path, &key("0.1"), true).unwrap();
        assert!(kept.is_empty());
        log.append(&scored("a")).unwrap();
        log.append(&scored("b")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let (log, kept) = Log::open(&path, &key("0.1"), true).unwrap();
        assert_eq!(kept, [scored("a")]);
        log.append(&scored("b")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);

        let other = Log::open(&path, &key("0.2"), true).map(|_| ()).unwrap_err().to_string();
        assert!(other.contains("top = 0.1, this run has 0.2"), "{other}");
        std::fs::write(&path, [&whole[..whole.len() - 9], b"\n"].concat()).unwrap();
        let damaged = Log::open(&path, &key("0.1"), true).map(|_| ()).unwrap_err().to_string();
        assert!(damaged.contains("cases.jsonl:3: is damaged"), "{damaged}");
        let (_, kept) = Log::open(&path, &key("0.2"), false).unwrap();
        assert_eq!((kept.len(), std::fs::read_to_string(&path).unwrap().lines().count()), (0, 1));
    }
}
