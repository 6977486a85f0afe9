//! What waits for one destination: a folder with a file for each alert, named by its place in the queue.
//!
//! Invariants: a file is whole or not there (written under another name, synchronised, renamed); it goes when its alert
//! was acknowledged, never before; the folder holds no more than its bytes. What the disk can't take waits in memory, so
//! that a full disk delays nothing.

use crate::error::{Error, Result};
use crate::store::{self, Durability};
use crate::watch::engine::Phase;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Alerts that wait in memory at most while the disk takes none.
const MOST_IN_MEMORY: usize = 1000;
/// What no destination will ever take, kept for people.
const ASIDE: &str = "rejected";
/// So many of them at most.
const MOST_ASIDE: usize = 1000;

/// One alert on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueuedAlert {
    /// The incident's name.
    pub(super) incident: String,
    pub(super) phase: Phase,
    pub(super) camera: String,
    /// The alert as JSON.
    pub(super) line: String,
}

impl QueuedAlert {
    /// The same whenever it is sent: who gets it twice can tell.
    pub(super) fn delivery(&self) -> String {
        let phase = match self.phase {
            Phase::Begun => "begun",
            Phase::Over => "over",
        };
        format!("{}-{phase}", self.incident)
    }
}

struct SpoolEntry {
    number: u64,
    size: u64,
    /// Not on the disk.
    held: Option<Arc<QueuedAlert>>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<SpoolEntry>,
    next: u64,
    dropped: u64,
    /// It was said that the disk takes nothing.
    complained: bool,
    /// The last attempt failed: it makes no sense to wait for the rest.
    stuck: bool,
    /// What people must know of files that somebody else has touched.
    notice: Option<String>,
}

/// The queue of one destination.
pub(super) struct Spool {
    folder: PathBuf,
    most: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Spool {
    /// Opens a queue, with what waits in it; half-written files are removed.
    pub(super) fn open(folder: &Path, most: u64) -> Result<Self> {
        let fail = |e: io::Error| Error::output(folder, e);
        fs::create_dir_all(folder).and_then(|()| store::sweep(folder)).map_err(fail)?;
        let mut entries: Vec<SpoolEntry> = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            let (path, size) = entry.and_then(|e| Ok((e.path(), e.metadata()?.len()))).map_err(fail)?;
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let (Some(number), Some("json")) = (number, path.extension().and_then(|e| e.to_str())) {
                entries.push(SpoolEntry { number, size, held: None });
            }
        }
        entries.sort_by_key(|entry| entry.number);
        let next = entries.last().map_or(0, |entry| entry.number + 1);
        let queue = Mutex::new(Queue { entries: entries.into(), next, ..Queue::default() });
        Ok(Self { folder: folder.to_owned(), most, queue, changed: Condvar::new() })
    }

    /// Puts an alert at the end; gives what people must know.
    pub(super) fn put(&self, message: &QueuedAlert) -> Option<String> {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        let (size, held, mut words) = match self.write(number, message) {
            Ok(size) => {
                queue.complained = false;
                (size, None, None)
            }
            Err(error) => {
                let words = format!("{}: alerts wait in memory, the disk takes none: {error}", self.folder.display());
                let first = !std::mem::replace(&mut queue.complained, true);
                (0, Some(Arc::new(message.clone())), first.then_some(words))
            }
        };
        queue.entries.push_back(SpoolEntry { number, size, held });
        let mut gone = 0;
        while queue.entries.len() > 1 && self.is_too_much(&queue) {
            if let Some(oldest) = queue.entries.pop_front() {
                self.remove(&oldest);
            }
            gone += 1;
        }
        if gone > 0 {
            queue.dropped += gone;
            let total = queue.dropped;
            words = Some(format!("{}: full, the oldest alerts are lost ({total} so far)", self.folder.display()));
        }
        self.changed.notify_all();
        words
    }

    fn is_too_much(&self, queue: &Queue) -> bool {
        let bytes: u64 = queue.entries.iter().map(|entry| entry.size).sum();
        bytes > self.most || queue.entries.iter().filter(|entry| entry.held.is_some()).count() > MOST_IN_MEMORY
    }

    /// The oldest alert and its number; waits for one, but not past `patience`.
    ///
    /// # Errors
    /// Why it can't be read now: it stays, and is to be asked for again after a while.
    pub(super) fn front(&self, patience: Duration) -> io::Result<Option<(u64, Arc<QueuedAlert>)>> {
        let mut queue = self.lock();
        if queue.entries.is_empty() {
            queue = self.changed.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        loop {
            let Some((number, held)) = queue.entries.front().map(|entry| (entry.number, entry.held.clone())) else {
                return Ok(None);
            };
            if let Some(message) = held {
                return Ok(Some((number, message)));
            }
            let path = self.path(number, "json");
            match fs::read(&path).map(|bytes| serde_json::from_slice::<QueuedAlert>(&bytes)) {
                Ok(Ok(message)) => return Ok(Some((number, Arc::new(message)))),
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(io::Error::new(e.kind(), format!("{}: can't be read: {e}", path.display())));
                }
                damaged => {
                    if damaged.is_ok() {
                        let _ = self.put_aside(&format!("damaged-{number}"), |to| fs::rename(&path, to));
                    }
                    queue.entries.pop_front();
                    queue.dropped += 1;
                    queue.notice =
                        Some(format!("{}: somebody has changed or removed it, it is not sent", path.display()));
                }
            }
        }
    }

    /// What people must know since the last question.
    pub(super) fn notice(&self) -> Option<String> {
        self.lock().notice.take()
    }

    /// An alert was acknowledged: it goes.
    pub(super) fn done(&self, number: u64) {
        if let Some(entry) = self.take(number) {
            self.remove(&entry);
        }
    }

    /// An alert that the destination will never take is put aside; gives where, if that could be done.
    pub(super) fn reject(&self, number: u64, message: &QueuedAlert) -> Option<PathBuf> {
        let entry = self.take(number)?;
        let text = serde_json::to_string(message).unwrap_or_default();
        let kept = self.put_aside(&message.delivery(), |to| fs::write(to, text)).ok();
        self.remove(&entry);
        kept
    }

    /// Makes a file among what was put aside; the oldest go when there are too many.
    fn put_aside(&self, name: &str, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
        let aside = self.folder.join(ASIDE);
        fs::create_dir_all(&aside)?;
        let path = aside.join(format!("{name}.json"));
        make(&path)?;
        let listed =
            fs::read_dir(&aside)?.flatten().filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())));
        let mut all: Vec<_> = listed.collect();
        all.sort();
        let too_many = all.len().saturating_sub(MOST_ASIDE);
        for (_, path) in all.iter().take(too_many) {
            let _ = fs::remove_file(path);
        }
        Ok(path)
    }

    fn take(&self, number: u64) -> Option<SpoolEntry> {
        let mut queue = self.lock();
        queue.stuck = false;
        let at = queue.entries.iter().position(|entry| entry.number == number)?;
        queue.entries.remove(at)
    }

    /// The destination can't take anything now.
    pub(super) fn stick(&self) {
        self.lock().stuck = true;
    }

    /// Whether something waits that may soon be gone.
    pub(super) fn is_lively(&self) -> bool {
        let queue = self.lock();
        !queue.entries.is_empty() && !queue.stuck
    }

    /// Alerts that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Ends the wait of [`Spool::front`].
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    fn write(&self, number: u64, message: &QueuedAlert) -> io::Result<u64> {
        let text = serde_json::to_string(message)?;
        store::replace(&self.path(number, "json"), text.as_bytes(), Durability::PowerCut)?;
        Ok(text.len() as u64)
    }

    fn remove(&self, entry: &SpoolEntry) {
        if entry.held.is_none() {
            let _ = fs::remove_file(self.path(entry.number, "json"));
        }
    }

    fn path(&self, number: u64, ending: &str) -> PathBuf {
        self.folder.join(format!("{number:020}.{ending}"))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues in `folder` that nobody sends from, and how many alerts wait in each.
pub(super) fn left_behind(folder: &Path, used: &HashSet<PathBuf>) -> Vec<(PathBuf, usize)> {
    let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_alert = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let unused = below(folder).filter(|path| path.is_dir() && !used.contains(path));
    let counted = unused.map(|queue| (below(&queue).filter(is_alert).count(), queue));
    counted.filter(|(waiting, _)| *waiting > 0).map(|(waiting, queue)| (queue, waiting)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn message(n: u32) -> QueuedAlert {
        QueuedAlert { incident: format!("gate-{n}"), phase: Phase::Begun, camera: "gate".into(), line: "{}".into() }
    }

    fn names(spool: &Spool) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((number, message)) = spool.front(NOW).unwrap() {
            names.push(message.incident.clone());
            spool.done(number);
        }
        names
    }

    #[test]
    fn what_waits_survives_in_its_order_and_goes_when_it_is_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        (0..12).for_each(|n| assert_eq!(spool.put(&message(n)), None));
        let (first, _) = spool.front(NOW).unwrap().unwrap();
        spool.done(first);
        drop(spool);
        // Killed in the middle of a write, and somebody else's file.
        fs::write(dir.path().join(".startle-x.part"), "{\"inc").unwrap();
        fs::write(dir.path().join("note.txt"), "mine").unwrap();
        let again = Spool::open(dir.path(), 1 << 20).unwrap();
        again.put(&message(99));
        let expected: Vec<String> = (1..12).chain([99]).map(|n| format!("gate-{n}")).collect();
        assert_eq!(names(&again), expected);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["note.txt"]);
    }

    #[test]
    fn when_it_is_full_the_oldest_go_and_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let one = serde_json::to_string(&message(0)).unwrap().len() as u64;
        let spool = Spool::open(dir.path(), 3 * one).unwrap();
        let said: Vec<Option<String>> = (0..5).map(|n| spool.put(&message(n))).collect();
        assert!(said[..3].iter().all(Option::is_none) && said[4].as_ref().unwrap().contains("(2 so far)"), "{said:?}");
        assert_eq!(names(&spool), ["gate-2", "gate-3", "gate-4"]);
    }

    #[test]
    fn what_is_rejected_is_put_aside_and_a_damaged_file_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        (0..3).for_each(|n| assert_eq!(spool.put(&message(n)), None));
        let (number, first) = spool.front(NOW).unwrap().unwrap();
        let aside = spool.reject(number, &first).unwrap();
        assert!(aside.ends_with("rejected/gate-0-begun.json") && aside.is_file());
        // Bytes that are no text.
        fs::write(spool.path(1, "json"), [b'{', 0xff, 0xfe]).unwrap();
        assert_eq!(names(&spool), ["gate-2"]);
        assert!(spool.notice().unwrap().contains("is not sent"));
        assert_eq!(fs::read_dir(aside.parent().unwrap()).unwrap().count(), 2, "the damaged one too");
    }

    #[test]
    fn what_the_disk_does_not_take_waits_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("queue");
        let spool = Spool::open(&folder, 1 << 20).unwrap();
        fs::remove_dir(&folder).unwrap();
        assert!(spool.put(&message(0)).unwrap().contains("wait in memory"));
        assert_eq!(spool.put(&message(1)), None, "said once");
        assert_eq!(names(&spool), ["gate-0", "gate-1"]);
    }
}
