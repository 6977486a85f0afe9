//! What the parts of a run over many inputs leave for each other, and for the next run: a line for each input that is done,
//! in `.startle` of the run's folder, a file for each part.
//!
//! Invariants: of several lines about an input the youngest counts, so the order of the files does not matter; a line is one
//! write, and one that was cut off is passed over; a part is done when its mark holds the plan's hash.

use crate::error::{Error, Result};
use crate::store::{self, Durability};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The folder, in that of the run.
const FOLDER: &str = ".startle";
/// A file that changed more recently than this may change again unseen within one tick of its clock.
const SETTLED: Duration = Duration::from_secs(2);

/// What a file was like when it was read; the same later means the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    size: u64,
    /// Nanoseconds since 1970.
    changed: u128,
}

impl Stamp {
    /// Of a plain file.
    pub fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let changed = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(Self { size: meta.len(), changed })
    }

    /// The same, if the file has been left alone for a while.
    pub fn settled(self) -> Option<Self> {
        (nanoseconds() >= self.changed + SETTLED.as_nanos()).then_some(self)
    }
}

/// A line: how an input went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The input as the user named it.
    pub input: String,
    /// Its report folder; empty when it failed.
    pub folder: PathBuf,
    /// Why there is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the file was like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// What its `result.json` is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Stamp>,
    /// A mark of the model and the settings.
    pub question: String,
    /// Events found.
    pub events: usize,
    /// Whether part of it could not be read.
    pub partial: bool,
    /// When, nanoseconds since 1970.
    pub at: u128,
}

/// Since 1970.
fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// One part's side of the ledger.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    part: (usize, usize),
    plan: String,
    lines: Mutex<File>,
}

impl Ledger {
    /// The ledger of part `part.0` of `part.1` (counted from 1) of a run over `inputs` in `root`. A run that does not go on
    /// begins the part anew.
    ///
    /// # Errors
    /// [`Error::Output`] when it can't be written.
    pub fn open(root: &Path, part: (usize, usize), inputs: impl Iterator<Item = String>, go_on: bool) -> Result<Self> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Error::output(&folder, e))?;
        let path = folder.join(format!("done-{}-of-{}.jsonl", part.0, part.1));
        let mut options = OpenOptions::new();
        let lines = options.create(true).append(true).open(&path).map_err(|e| Error::output(&path, e))?;
        if !go_on {
            lines.set_len(0).map_err(|e| Error::output(&path, e))?;
        }
        let mut plan = Sha256::new();
        inputs.for_each(|input| plan.update(input.into_bytes().into_iter().chain([0]).collect::<Vec<u8>>()));
        Ok(Self { folder, part, plan: hex::encode(plan.finalize()), lines: Mutex::new(lines) })
    }

    /// Adds a line. The time is put in.
    ///
    /// # Errors
    /// [`Error::Output`] when it can't be written.
    pub fn put(&self, entry: Entry) -> Result<()> {
        let at = nanoseconds();
        let fail = |e: serde_json::Error| Error::Internal { stage: "ledger", reason: e.to_string() };
        let mut line = serde_json::to_vec(&Entry { at, ..entry }).map_err(fail)?;
        line.push(b'\n');
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write_all(&line).map_err(|e| Error::output(&self.folder, e))
    }

    /// The youngest line of each of these inputs, from every part's file.
    pub fn entries(&self, wanted: impl Fn(&str) -> bool) -> HashMap<String, Entry> {
        let mut youngest: HashMap<String, Entry> = HashMap::new();
        for path in self.files("done-") {
            let Ok(file) = File::open(path) else { continue };
            for line in BufReader::new(file).split(b'\n').map_while(std::result::Result::ok) {
                let Ok(entry) = serde_json::from_slice::<Entry>(&line) else { continue };
                let known = youngest.get(&entry.input).map_or(0, |known| known.at);
                if entry.at >= known && wanted(&entry.input) {
                    youngest.insert(entry.input.clone(), entry);
                }
            }
        }
        youngest
    }

    /// When the youngest line of any part was written.
    pub fn changed(&self) -> Option<SystemTime> {
        self.files("done-").filter_map(|path| path.metadata().ok()?.modified().ok()).max()
    }

    fn files(&self, prefix: &str) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
        entries.filter(named).map(|entry| entry.path()).collect::<Vec<_>>().into_iter()
    }

    fn mark(&self, part: usize) -> PathBuf {
        self.folder.join(format!("mark-{part}-of-{}", self.part.1))
    }

    /// Whether this part was done to its end when it was last run, over the same inputs.
    pub fn was_done(&self) -> bool {
        self.holds(self.part.0)
    }

    fn holds(&self, part: usize) -> bool {
        fs::read_to_string(self.mark(part)).is_ok_and(|plan| plan == self.plan)
    }

    /// This part begins.
    pub fn begin(&self) {
        // One that is not there is as good.
        fs::remove_file(self.mark(self.part.0)).ok();
    }

    /// This part is done to its end; tells whether all are.
    ///
    /// # Errors
    /// [`Error::Output`] when the mark can't be written.
    pub fn finish(&self) -> Result<bool> {
        let mark = self.mark(self.part.0);
        store::replace(&mark, self.plan.as_bytes(), Durability::Crash).map_err(|e| Error::output(&mark, e))?;
        Ok((1..=self.part.1).all(|part| self.holds(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(input: &str, events: usize) -> Entry {
        let (folder, question) = (PathBuf::from(input), "q".into());
        let (stamp, result, error) = (None, None, None);
        Entry { input: input.into(), folder, error, stamp, result, question, events, partial: false, at: 0 }
    }

    #[test]
    fn the_youngest_line_counts_whatever_the_order_of_the_parts() {
        let dir = tempfile::tempdir().unwrap();
        let names = || ["a", "b", "c"].into_iter().map(String::from);
        let [one, two] = [1, 2].map(|part| Ledger::open(dir.path(), (part, 2), names(), true).unwrap());
        two.put(entry("a", 1)).unwrap();
        one.put(entry("a", 2)).unwrap();
        two.put(entry("b", 3)).unwrap();
        two.lines.lock().unwrap().write_all(b"{\"input\": \"b\", cut off").unwrap();
        for ledger in [&one, &two] {
            let all = ledger.entries(|_| true);
            assert_eq!((all.len(), all["a"].events, all["b"].events), (2, 2, 3));
        }
        assert_eq!(one.entries(|name| name == "b").len(), 1);
        assert!(!two.finish().unwrap() && !one.was_done());
        assert!(one.finish().unwrap() && one.was_done());
        one.begin();
        assert!(!two.finish().unwrap());
        let other = Ledger::open(dir.path(), (2, 2), names().take(2), false).unwrap();
        assert!(!other.was_done(), "another plan");
        assert_eq!(other.entries(|_| true).len(), 1, "begun anew");
    }

    #[test]
    fn a_file_that_just_changed_has_no_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.mp4");
        fs::write(&path, "new").unwrap();
        assert_eq!(Stamp::of(&path).unwrap().settled(), None);
        let set = |ago: u64| {
            let then = SystemTime::now() - Duration::from_secs(ago);
            File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
            Stamp::of(&path).and_then(Stamp::settled).unwrap()
        };
        let (old, older) = (set(100), set(200));
        assert_ne!(old, older);
        assert_eq!(Stamp::of(dir.path()), None, "a folder");
    }
}
