//! Waits that are too long: each camera says until when its current one may last, one thread for all (the watchman) ends
//! those that last longer.

use crate::units::Stop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// What the watchman knows of a camera: until when its current wait may last, and how to end it.
pub(super) struct Pulse {
    born: Instant,
    deadline_ms: AtomicU64,
    stalled: AtomicBool,
    stop: Mutex<Stop>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let stop = Mutex::new(Stop::new());
        Self { born: Instant::now(), deadline_ms: AtomicU64::new(NEVER), stalled: AtomicBool::new(false), stop }
    }

    /// Ends the wait if it lasts too long.
    pub(super) fn check(&self) {
        if self.now_ms() > self.deadline_ms.load(Ordering::Relaxed) {
            self.stalled.store(true, Ordering::Relaxed);
            self.stop.lock().unwrap_or_else(PoisonError::into_inner).request();
        }
    }

    /// A connection begins; `stop` ends it.
    pub(super) fn begin(&self, stop: Stop) {
        self.relax();
        self.stalled.store(false, Ordering::Relaxed);
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }

    /// A wait begins that may take so long.
    pub(super) fn allow(&self, wait: Duration) {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(NEVER);
        self.deadline_ms.store(self.now_ms().saturating_add(ms), Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn relax(&self) {
        self.deadline_ms.store(NEVER, Ordering::Relaxed);
    }

    /// Whether the connection was ended because a wait lasted too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(NEVER)
    }
}
