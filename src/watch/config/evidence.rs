//! `[clips]` and `[journal]`: what is kept of the events and of the curves.

use super::values::{Positive, Seconds};
use crate::watch::evidence::{ClipSettings, JournalSettings, Keep, MEGABYTE};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// `[clips]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenClips {
    folder: PathBuf,
    pre_roll_s: Option<Seconds>,
    post_roll_s: Option<Seconds>,
    longest_s: Option<Seconds>,
    buffer_mb: Option<Positive>,
    keep_days: Option<Positive>,
    keep_mb: Option<Positive>,
    min_free_mb: Option<u32>,
}

/// `[journal]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenJournal {
    folder: PathBuf,
    keep_days: Option<Positive>,
    keep_mb: Option<Positive>,
    min_free_mb: Option<u32>,
}

impl WrittenClips {
    /// The words say what is wrong.
    pub(super) fn settings(self) -> Result<ClipSettings, String> {
        let default = ClipSettings::new(self.folder);
        let seconds = |s: Option<Seconds>, or| s.map_or(or, |s| Duration::from_secs_f64(s.0));
        let settings = ClipSettings {
            pre_roll: seconds(self.pre_roll_s, default.pre_roll),
            post_roll: seconds(self.post_roll_s, default.post_roll),
            longest: seconds(self.longest_s, default.longest),
            buffer: self.buffer_mb.map_or(default.buffer, |mb| megabytes(mb) as usize),
            keep: keep(self.keep_days, self.keep_mb, self.min_free_mb),
            ..default
        };
        if settings.longest < settings.pre_roll + settings.post_roll {
            return Err("[clips] longest_s is less than pre_roll_s and post_roll_s together: raise it".into());
        }
        Ok(settings)
    }
}

impl WrittenJournal {
    pub(super) fn settings(self) -> JournalSettings {
        JournalSettings { folder: self.folder, keep: keep(self.keep_days, self.keep_mb, self.min_free_mb) }
    }
}

fn keep(days: Option<Positive>, mb: Option<Positive>, min_free_mb: Option<u32>) -> Keep {
    let default = Keep::default();
    // A longer time than a hundred years is for ever.
    let age = |days: Positive| Duration::from_secs_f64(f64::from(days.0).min(36_500.0) * 86_400.0);
    Keep {
        age: days.map_or(default.age, age),
        bytes: mb.map_or(default.bytes, megabytes),
        min_free: min_free_mb.map_or(default.min_free, |mb| u64::from(mb) * MEGABYTE),
    }
}

fn megabytes(mb: Positive) -> u64 {
    (f64::from(mb.0) * MEGABYTE as f64) as u64
}
