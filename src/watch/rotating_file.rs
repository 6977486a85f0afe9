//! A file of lines that does not grow for ever: past a size it becomes `NAME.1`, the one before `NAME.2`, …
//!
//! Invariant: a line is whole or not there, whatever the disk does; lines that can't be written wait, up to a number.

use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Lines that wait for the disk; the oldest are lost.
const MOST_WAITING: usize = 10_000;

/// Appends lines to a file; keeps the last few.
pub struct RotatingFile {
    path: PathBuf,
    /// `None`: to be opened.
    file: Option<File>,
    /// Length up to the last whole line.
    size: u64,
    waiting: VecDeque<String>,
    limit: u64,
    keep: u32,
}

impl RotatingFile {
    /// Opens `path` to append; past `limit` bytes it is renamed, and `keep` renamed ones stay.
    ///
    /// # Errors
    /// [`Error::Output`] when it can't be opened.
    pub fn open(path: &Path, limit: u64, keep: u32) -> Result<Self> {
        let (file, size) = append(path).map_err(|e| Error::output(path, e))?;
        Ok(Self { path: path.to_owned(), file: Some(file), size, waiting: VecDeque::new(), limit, keep })
    }

    /// Writes a line and its end at once, after those that wait; a line is never split over two files.
    ///
    /// # Errors
    /// [`Error::Output`] when it can't be written now: it waits, and is tried with the next one.
    pub fn line(&mut self, text: &str) -> Result<()> {
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(text.to_owned());
        self.flush()
    }

    /// Writes the lines that wait.
    ///
    /// # Errors
    /// [`Error::Output`] when they can't be written: how many wait.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(line) = self.waiting.pop_front() {
            if let Err(error) = self.write(&line) {
                self.waiting.push_front(line);
                let words = format!("{error}; {} lines wait for it", self.waiting.len());
                return Err(Error::output(&self.path, std::io::Error::new(error.kind(), words)));
            }
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        let length = text.len() as u64 + 1;
        if self.size > 0 && self.size + length > self.limit {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, size) = append(&self.path)?;
                self.size = size;
                none.insert(file)
            }
        };
        if let Err(error) = file.write_all(format!("{text}\n").as_bytes()) {
            // What a full disk took of it is taken back, and written again later.
            file.set_len(self.size)?;
            return Err(error);
        }
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        if self.keep == 0 {
            std::fs::remove_file(&self.path)?;
        }
        for number in (0..self.keep).rev() {
            let from = self.numbered(number);
            if from.exists() {
                std::fs::rename(from, self.numbered(number + 1))?;
            }
        }
        (self.file, self.size) = (None, 0);
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_move_on_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let mut file = RotatingFile::open(&path, 10, 2).unwrap();
        for text in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "a line longer than the limit", "z"] {
            file.line(text).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("alerts.jsonl"), "z\n");
        assert_eq!(read("alerts.jsonl.1"), "a line longer than the limit\n");
        assert_eq!(read("alerts.jsonl.2"), "eeee\nffff\n");
        assert!(!dir.path().join("alerts.jsonl.3").exists());
        RotatingFile::open(&path, 10, 2).unwrap().line("y").unwrap();
        assert_eq!(read("alerts.jsonl"), "z\ny\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = RotatingFile::open(Path::new("/nowhere/alerts.jsonl"), 10, 2).err().unwrap();
        assert!(error.to_string().contains("/nowhere/alerts.jsonl"));
    }
}
