//! Whether this machine's clock can be trusted to say how old things are.
//!
//! A clock that jumps ahead (a battery that is empty, a time server that is wrong) makes everything old at once. After a
//! jump nothing is taken for old until the new time has gone on steadily for a day.

use crate::store::{self, Durability};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A step ahead that no clock makes that is being set right.
const JUMP: Duration = Duration::from_hours(1);
/// For so long the program may not have run; longer ones are taken for a jump.
const AWAY: Duration = Duration::from_hours(48);
/// For so long the new time must go on.
const CONFIRMED: Duration = Duration::from_hours(24);
/// How often the time is written down.
const NOTED: Duration = Duration::from_mins(10);

/// Watches the clock. The time last seen is kept in a file, so that a jump while the program did not run is seen too.
pub(super) struct ClockCheck {
    file: PathBuf,
    last: Option<(SystemTime, Instant)>,
    noted: Option<Instant>,
    /// When it jumped.
    jumped: Option<Instant>,
}

impl ClockCheck {
    /// `file` is where the time is written down.
    pub(super) const fn new(file: PathBuf) -> Self {
        Self { file, last: None, noted: None, jumped: None }
    }

    /// Looks at the clock; gives what people must know. `now` and `steady` are the same moment by this machine's clock and by
    /// one that can't be set.
    pub(super) fn look(&mut self, now: SystemTime, steady: Instant) -> Option<String> {
        let ahead = match self.last {
            Some((last, then)) => now.duration_since(last + steady.duration_since(then)).ok().filter(|by| *by > JUMP),
            None => self.read().and_then(|last| now.duration_since(last).ok()).filter(|by| *by > AWAY),
        };
        self.last = Some((now, steady));
        if ahead.is_some() {
            self.jumped = Some(steady);
        }
        if self.jumped.is_some_and(|then| steady.duration_since(then) >= CONFIRMED) {
            self.jumped = None;
        }
        if self.noted.is_none_or(|then| steady.duration_since(then) >= NOTED) {
            self.noted = Some(steady);
            let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            // Without the file a jump is seen while the program runs.
            let _ = store::replace(&self.file, format!("{seconds}\n").as_bytes(), Durability::Crash);
        }
        ahead.map(|by| {
            let hours = by.as_secs_f64() / 3600.0;
            format!(
                "the clock is {hours:.0} hours ahead of what was expected: nothing goes because of its age for a day"
            )
        })
    }

    /// Whether things are as old as the clock says.
    pub(super) const fn is_trusted(&self) -> bool {
        self.jumped.is_none()
    }

    fn read(&self) -> Option<SystemTime> {
        let seconds = std::fs::read_to_string(&self.file).ok()?.trim().parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_jump_ahead_is_told_and_not_believed_for_a_day_a_restart_included() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".clock");
        let (wall, steady) = (SystemTime::now(), Instant::now());
        let mut clock = ClockCheck::new(file.clone());
        assert_eq!(clock.look(wall, steady), None);
        // Set right by half an hour, and back by a day.
        let minute = Duration::from_mins(1);
        assert_eq!(clock.look(wall + minute * 31, steady + minute), None);
        assert_eq!(clock.look(wall - DAY, steady + minute * 2), None);
        assert_eq!(clock.look(wall - DAY + minute, steady + minute * 3), None);
        assert!(clock.is_trusted());
        let said = clock.look(wall + DAY * 400, steady + minute * 20).unwrap();
        assert!(said.contains("9624 hours ahead"), "{said}");
        assert!(!clock.is_trusted());
        assert_eq!(clock.look(wall + DAY * 400 + DAY / 2, steady + minute * 20 + DAY / 2), None);
        assert!(!clock.is_trusted());
        assert_eq!(clock.look(wall + DAY * 401, steady + minute * 20 + DAY), None);
        assert!(clock.is_trusted());
        // The next run, by the clock as it was noted last.
        let mut next = ClockCheck::new(file.clone());
        assert_eq!(next.look(wall + DAY * 402, steady), None);
        assert!(next.is_trusted());
        let mut later = ClockCheck::new(file);
        assert!(later.look(wall + DAY * 500, steady).is_some() && !later.is_trusted());
    }
}
