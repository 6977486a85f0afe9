//! The curves on disk: `<folder>/<camera>/2026-11-25.jsonl`, one JSON object per line.
//!
//! `"type"` is `start` (the program began to watch), `point` (the fields of a point of `result.json`'s curve, `wall`: the
//! slot's middle, `told`: when it was final, `levels`: where events open and close) or `gap`. Days are those of UTC, by
//! `told`. Times named `…_s` count from the camera's first frame since `start`.
//!
//! Invariants: a line is whole or not there: what a full disk or a killed program left of one is cut off; lines that
//! can't be written now wait, up to a number.

use super::settings::JournalSettings;
use super::shelf::{Free, KeptItem, Shelf};
use crate::error::{Error, Result};
use crate::watch::engine::CameraId;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Lines of one camera that wait for the disk; the oldest are lost.
const MOST_WAITING: usize = 20_000;
/// Name of a day's file: `2026-11-25.jsonl`.
const ENDING: &str = ".jsonl";
/// How much is read at once in search of the last line's end.
const BLOCK: u64 = 4096;

/// The journals of all cameras.
pub(super) struct Journal {
    folder: PathBuf,
    /// By folder.
    cameras: BTreeMap<PathBuf, CameraLines>,
    folders: BTreeMap<CameraId, PathBuf>,
    pub(super) shelf: Shelf,
}

struct CameraLines {
    open: Option<Day>,
    /// Day and line.
    waiting: VecDeque<(String, String)>,
    lost: u64,
}

struct Day {
    date: String,
    path: PathBuf,
    file: File,
    /// Length up to the last whole line.
    whole: u64,
}

impl Journal {
    /// In a folder, without a camera.
    pub(super) fn open(settings: &JournalSettings, free: Free) -> Self {
        let shelf = Shelf::new(&settings.folder, settings.keep, free);
        Self { folder: settings.folder.clone(), cameras: BTreeMap::new(), folders: BTreeMap::new(), shelf }
    }

    /// One more camera: makes its folder, cuts off what was half written, and knows what is there. One that has the folder
    /// of another goes on with its file.
    pub(super) fn add_camera(&mut self, id: CameraId, slug: &str) -> Result<()> {
        let folder = self.folder.join(slug);
        self.folders.insert(id, folder.clone());
        if self.cameras.contains_key(&folder) {
            return Ok(());
        }
        self.cameras.insert(folder.clone(), CameraLines { open: None, waiting: VecDeque::new(), lost: 0 });
        std::fs::create_dir_all(&folder).map_err(|e| Error::output(&folder, e))?;
        for (date, path) in days(&folder).map_err(|e| Error::output(&folder, e))? {
            let bytes = cut_half_line(&path).map_err(|e| Error::output(&path, e))?;
            put(&mut self.shelf, &date, path, bytes);
        }
        Ok(())
    }

    /// Nothing follows from a camera; `false` as long as lines of it wait for the disk.
    pub(super) fn remove_camera(&mut self, id: CameraId) -> bool {
        let Some(folder) = self.folders.get(&id) else { return true };
        let is_shared = self.folders.iter().any(|(other, shared)| *other != id && shared == folder);
        if !is_shared && self.cameras.get(folder).is_some_and(|camera| !camera.waiting.is_empty() || camera.lost > 0) {
            return false;
        }
        if let Some(camera) =
            self.folders.remove(&id).filter(|_| !is_shared).and_then(|folder| self.cameras.remove(&folder))
            && let Some(day) = camera.open
        {
            put(&mut self.shelf, &day.date, day.path, day.whole);
        }
        true
    }

    /// Takes a line that was told at a time.
    pub(super) fn add(&mut self, id: CameraId, told: &str, line: String) {
        let Some(camera) = self.folders.get(&id).and_then(|folder| self.cameras.get_mut(folder)) else { return };
        if camera.waiting.len() >= MOST_WAITING {
            camera.waiting.pop_front();
            camera.lost += 1;
        }
        let date = told.split('T').next().unwrap_or(told).to_owned();
        camera.waiting.push_back((date, line));
    }

    /// Lines that were lost since the last question.
    pub(super) fn take_lost(&mut self) -> u64 {
        self.cameras.values_mut().map(|camera| std::mem::take(&mut camera.lost)).sum()
    }

    /// Hands all that waits to the system. On an error it goes on waiting.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for (folder, camera) in &mut self.cameras {
            while let Some((date, _)) = camera.waiting.front() {
                let date = date.clone();
                if camera.open.as_ref().is_none_or(|day| day.date != date) {
                    // A day that is over can go.
                    if let Some(day) = camera.open.take() {
                        put(&mut self.shelf, &day.date, day.path, day.whole);
                    }
                    camera.open = Some(Day::open(folder, &date)?);
                }
                let Some(day) = &mut camera.open else { continue };
                let count = camera.waiting.iter().take_while(|(d, _)| *d == date).count();
                let lines: String = camera.waiting.iter().take(count).flat_map(|(_, line)| [line, "\n"]).collect();
                day.write(&lines)?;
                camera.waiting.drain(..count);
            }
        }
        Ok(())
    }
}

impl Day {
    fn open(folder: &Path, date: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{date}{ENDING}"));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let whole = file.metadata()?.len();
        Ok(Self { date: date.to_owned(), path, file, whole })
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            // What a full disk took of them is taken back, and written again later.
            self.file.set_len(self.whole)?;
            return Err(error);
        }
        self.whole += lines.len() as u64;
        Ok(())
    }
}

fn put(shelf: &mut Shelf, date: &str, path: PathBuf, bytes: u64) {
    // The end of its day: nothing in it is younger.
    if let Ok(begin) = humantime::parse_rfc3339(&format!("{date}T00:00:00Z")) {
        let item = KeptItem { files: vec![path], folder: None, bytes };
        shelf.put(begin + Duration::from_hours(24), item);
    }
}

/// The days' files in a folder.
fn days(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(date) = name.to_str().and_then(|name| name.strip_suffix(ENDING)) else { continue };
        if date.len() == 10 && humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).is_ok() {
            if today.starts_with(date) {
                cut_half_line(&entry.path())?;
            } else {
                found.push((date.to_owned(), entry.path()));
            }
        }
    }
    Ok(found)
}

/// Cuts off what follows the last line end; gives the length that is left.
fn cut_half_line(path: &Path) -> io::Result<u64> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        let mut block = vec![0; (end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::evidence::settings::Keep;

    const GATE: CameraId = CameraId::new(0);
    const YARD: CameraId = GATE.next();

    fn journal(folder: &Path) -> Journal {
        let settings = JournalSettings { keep: Keep { min_free: 0, ..Keep::default() }, folder: folder.to_owned() };
        let mut journal = Journal::open(&settings, Box::new(|_| Ok(u64::MAX)));
        for (id, slug) in [(GATE, "gate"), (YARD, "yard")] {
            journal.add_camera(id, slug).unwrap();
        }
        journal
    }

    #[test]
    fn lines_go_to_the_file_of_their_day_and_a_half_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = journal(dir.path());
        first.add(GATE, "2026-11-25T23:59:59.900Z", "{\"a\":1}".into());
        first.add(GATE, "2026-11-26T00:00:00.100Z", "{\"a\":2}".into());
        first.add(YARD, "2026-11-26T00:00:00.100Z", "{\"b\":1}".into());
        first.flush().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("gate/2026-11-25.jsonl"), "{\"a\":1}\n");
        assert_eq!(read("gate/2026-11-26.jsonl"), "{\"a\":2}\n");
        assert_eq!(read("yard/2026-11-26.jsonl"), "{\"b\":1}\n");
        drop(first);
        // Half lines, one longer than a block.
        let half = format!("{{\"a\":2}}\n{{\"a\":{}", "3".repeat(3 * BLOCK as usize));
        std::fs::write(dir.path().join("gate/2026-11-26.jsonl"), half).unwrap();
        std::fs::write(dir.path().join("yard/2026-11-26.jsonl"), "{\"b\"").unwrap();
        std::fs::write(dir.path().join("yard/notes.txt"), "half").unwrap();
        let _second = journal(dir.path());
        assert_eq!(read("gate/2026-11-26.jsonl"), "{\"a\":2}\n");
        assert_eq!(read("yard/2026-11-26.jsonl"), "");
        assert_eq!(read("yard/notes.txt"), "half");
    }

    #[test]
    fn what_can_not_be_written_waits_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = journal(dir.path());
        // A folder where the file should be.
        std::fs::create_dir(dir.path().join("gate/2026-11-25.jsonl")).unwrap();
        for number in 0..MOST_WAITING + 3 {
            journal.add(GATE, "2026-11-25T10:00:00Z", number.to_string());
        }
        assert!(journal.flush().is_err());
        std::fs::remove_dir(dir.path().join("gate/2026-11-25.jsonl")).unwrap();
        journal.flush().unwrap();
        let text = std::fs::read_to_string(dir.path().join("gate/2026-11-25.jsonl")).unwrap();
        assert_eq!((text.lines().next(), text.lines().count()), (Some("3"), MOST_WAITING));
        assert_eq!(journal.take_lost(), 3);
    }
}
