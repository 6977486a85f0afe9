//! What is kept, oldest first, and the order in which it goes.
//!
//! Invariant: only what was put on the shelf is ever removed from the disk, file by file; a folder goes only once it is
//! empty.

use super::clock_check::ClockCheck;
use super::settings::Keep;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// One thing that is kept: some files of ours.
#[derive(Debug, Clone)]
pub(super) struct KeptItem {
    /// Its files, the one that makes it complete first, so that what is half removed is not taken for whole.
    pub(super) files: Vec<PathBuf>,
    /// The folder that is theirs alone; goes with them.
    pub(super) folder: Option<PathBuf>,
    /// Bytes of all.
    pub(super) bytes: u64,
}

impl KeptItem {
    fn remove(&self) -> io::Result<()> {
        for file in &self.files {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if let Some(folder) = &self.folder {
            // What someone else put there stays, and the folder with it.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }
}

/// Why something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Age,
    Bytes,
    DiskFull,
}

/// Free bytes of the disk under a folder; the tests have a disk of their own.
pub(super) type Free = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

/// Everything that is kept in one folder.
pub(super) struct Shelf {
    folder: PathBuf,
    keep: Keep,
    items: BTreeMap<(SystemTime, PathBuf), KeptItem>,
    bytes: u64,
    free: Free,
    clock: ClockCheck,
}

impl Shelf {
    pub(super) fn new(folder: &Path, keep: Keep, free: Free) -> Self {
        let clock = ClockCheck::new(folder.join(".clock"));
        Self { folder: folder.to_owned(), keep, items: BTreeMap::new(), bytes: 0, free, clock }
    }

    /// Puts something there, or replaces it.
    pub(super) fn put(&mut self, time: SystemTime, item: KeptItem) {
        let Some(first) = item.files.first() else { return };
        self.bytes += item.bytes;
        if let Some(old) = self.items.insert((time, first.clone()), item) {
            self.bytes -= old.bytes;
        }
    }

    /// Whether so little of the disk is free that things must go.
    pub(super) fn is_disk_full(&self) -> bool {
        // A disk that does not say how full it is is taken to have room: writing will tell.
        (self.free)(&self.folder).is_ok_and(|free| free < self.keep.min_free)
    }

    /// Looks at the clock, which says what is old; gives what people must know.
    pub(super) fn look_at_clock(&mut self, now: SystemTime) -> Option<String> {
        self.clock.look(now, Instant::now())
    }

    /// Removes what must go, oldest first; tells of each. Nothing is old for a clock that has jumped.
    pub(super) fn prune(&mut self, now: SystemTime, mut each: impl FnMut(Why, &Path, io::Result<()>)) {
        loop {
            let Some(((time, _), _)) = self.items.first_key_value() else { return };
            let old = self.clock.is_trusted() && now.duration_since(*time).is_ok_and(|age| age > self.keep.age);
            let why = match (old, self.bytes > self.keep.bytes) {
                (true, _) => Why::Age,
                (_, true) => Why::Bytes,
                // The youngest stays: what is left to tell of the last event is worth more than its few bytes.
                _ if self.items.len() > 1 && self.is_disk_full() => Why::DiskFull,
                _ => return,
            };
            let Some(((_, name), item)) = self.items.pop_first() else { return };
            self.bytes -= item.bytes;
            each(why, item.folder.as_ref().unwrap_or(&name), item.remove());
        }
    }
}

/// Free bytes of the disk under a folder that this user may take.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    const DAY: Duration = Duration::from_hours(24);

    fn shelf(dir: &Path, keep: Keep, now: SystemTime) -> (Shelf, Arc<AtomicU64>) {
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let seen = Arc::clone(&free);
        let mut shelf = Shelf::new(dir, keep, Box::new(move |_| Ok(seen.load(Ordering::Relaxed))));
        // Put out of order: the order of time counts.
        for day in [2, 0, 3, 1] {
            let folder = dir.join(day.to_string());
            fs::create_dir(&folder).unwrap();
            let files = vec![folder.join("event.json"), folder.join("clip.mp4")];
            for file in &files {
                fs::write(file, [0; 50]).unwrap();
            }
            let item = KeptItem { files, folder: Some(folder), bytes: 100 };
            shelf.put(now - DAY * (4 - day), item);
        }
        (shelf, free)
    }

    fn left(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_the_many_and_the_oldest_on_a_full_disk_go() {
        let now = SystemTime::now();
        let forever = Keep { age: DAY * 1000, bytes: u64::MAX, min_free: 10 };
        for (keep, expected) in [
            (forever, vec!["0", "1", "2", "3"]),
            (Keep { age: DAY * 5 / 2, ..forever }, vec!["2", "3"]),
            (Keep { bytes: 299, ..forever }, vec!["2", "3"]),
            (Keep { bytes: 300, ..forever }, vec!["1", "2", "3"]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (mut shelf, _) = shelf(dir.path(), keep, now);
            shelf.prune(now, |why, _, done| {
                assert_eq!(why, if keep.bytes < 1000 { Why::Bytes } else { Why::Age });
                done.unwrap();
            });
            assert_eq!(left(dir.path()), expected);
            assert_eq!((shelf.items.len(), shelf.bytes), (expected.len(), expected.len() as u64 * 100));
        }
    }

    #[test]
    fn a_clock_that_jumps_ahead_takes_nothing_away() {
        let (dir, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let keep = Keep { age: DAY * 5, bytes: u64::MAX, min_free: 0 };
        let (mut shelf, _) = shelf(dir.path(), keep, now);
        assert_eq!(shelf.look_at_clock(now), None);
        assert!(shelf.look_at_clock(now + DAY * 365).unwrap().contains("hours ahead"));
        shelf.prune(now + DAY * 365, |_, path, _| panic!("{} went", path.display()));
        assert_eq!(shelf.items.len(), 4);
    }

    #[test]
    fn a_full_disk_is_emptied_only_as_far_as_needed_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let keep = Keep { age: DAY * 1000, bytes: u64::MAX, min_free: 10 };
        let (mut shelf, free) = shelf(dir.path(), keep, now);
        fs::write(dir.path().join("0/notes.txt"), "mine").unwrap();
        free.store(5, Ordering::Relaxed);
        let mut gone = 0;
        shelf.prune(now, |why, _, _| {
            assert_eq!(why, Why::DiskFull);
            gone += 1;
            if gone == 2 {
                free.store(50, Ordering::Relaxed);
            }
        });
        assert_eq!(gone, 2);
        assert_eq!(left(dir.path()), ["0", "2", "3"]);
        assert_eq!(left(&dir.path().join("0")), ["notes.txt"]);
        free.store(5, Ordering::Relaxed);
        shelf.prune(now, |_, _, done| done.unwrap());
        assert_eq!(left(dir.path()), ["0", "3"], "the youngest stays");
    }

    #[test]
    fn the_disk_says_how_full_it_is() {
        assert!(free_bytes(Path::new(".")).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere")).is_err());
    }
}
