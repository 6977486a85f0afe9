//! What is kept, where, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

/// Bytes in a megabyte of the settings.
pub(in crate::watch) const MEGABYTE: u64 = 1_000_000;
/// How late an event may be told after it began and still be whole in its clip.
const LATEST: Duration = Duration::from_secs(30);

/// When old things go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Nothing older.
    pub age: Duration,
    /// No more bytes than this in the folder.
    pub bytes: u64,
    /// With fewer bytes free on the disk the oldest go.
    pub min_free: u64,
}

impl Default for Keep {
    /// Thirty days, ten gigabytes, half a gigabyte free.
    fn default() -> Self {
        Self { age: Duration::from_hours(30 * 24), bytes: 10_000 * MEGABYTE, min_free: 500 * MEGABYTE }
    }
}

/// Event clips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSettings {
    /// Where they go.
    pub folder: PathBuf,
    /// So much before the event.
    pub pre_roll: Duration,
    /// So much after it.
    pub post_roll: Duration,
    /// No clip is longer.
    pub longest: Duration,
    /// Encoded packets that are kept in memory for each camera, bytes.
    pub buffer: usize,
    /// When old ones go.
    pub keep: Keep,
}

impl ClipSettings {
    /// Five seconds before and after, at most two minutes, 64 megabytes in memory.
    pub fn new(folder: PathBuf) -> Self {
        let roll = Duration::from_secs(5);
        let buffer = 64 * MEGABYTE as usize;
        Self { folder, pre_roll: roll, post_roll: roll, longest: Duration::from_mins(2), buffer, keep: Keep::default() }
    }

    /// Time that the memory must reach back.
    pub fn reach(&self) -> Duration {
        self.pre_roll + LATEST
    }
}

/// The curves on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// Where they go.
    pub folder: PathBuf,
    /// When old days go.
    pub keep: Keep,
}

impl JournalSettings {
    /// With the defaults.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, keep: Keep::default() }
    }
}
