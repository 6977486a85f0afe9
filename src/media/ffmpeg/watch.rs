//! What FFmpeg asks while it waits: whether to give up.

use crate::units::Stop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Network operations that one packet may need (look-up, connect, several reads), each of which FFmpeg itself limits
/// to the timeout; the watch is the net under protocols that ignore it.
const OPERATIONS: u32 = 3;

/// Ends a blocked call when a stop is asked for or, for a network, when nothing came for too long.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    stop: Stop,
    limit: Option<Duration>,
    born: Instant,
    armed_ms: Arc<AtomicU64>,
}

impl Watch {
    /// `timeout` is the limit of one network operation; `None` waits as long as it takes.
    pub(super) fn new(stop: Stop, timeout: Option<Duration>) -> Self {
        let limit = timeout.map(|t| t.saturating_mul(OPERATIONS));
        Self { stop, limit, born: Instant::now(), armed_ms: Arc::default() }
    }

    /// A call begins: the time counts from here.
    pub(super) fn arm(&self) {
        self.armed_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub(super) fn stopped(&self) -> bool {
        self.stop.requested()
    }

    /// Whether the call in progress should end.
    pub(super) fn gives_up(&self) -> bool {
        let waited = self.now_ms().saturating_sub(self.armed_ms.load(Ordering::Relaxed));
        self.stopped() || self.limit.is_some_and(|limit| u128::from(waited) > limit.as_millis())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_and_a_long_silence_both_end_a_call() {
        let stop = Stop::new();
        let patient = Watch::new(stop.clone(), None);
        let hasty = Watch::new(Stop::new(), Some(Duration::from_millis(1)));
        hasty.arm();
        std::thread::sleep(Duration::from_millis(8));
        assert!(hasty.gives_up() && !patient.gives_up());
        hasty.arm();
        assert!(!hasty.gives_up());
        stop.request();
        assert!(patient.gives_up());
    }
}
