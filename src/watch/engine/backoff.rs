//! How long to wait before the next attempt: longer and longer, and never two at the same time.

use std::time::Duration;

/// Waits between attempts to connect.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// Never more.
    pub longest: Duration,
    /// A connection that held for so long makes the next wait the first again.
    pub steady: Duration,
}

impl Default for Backoff {
    /// From 1 s, doubling to 60 s; ten seconds are steady.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(1), steady: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row: doubled each time up to the longest, less up to a quarter, so that
    /// cameras behind one switch do not all come back at once.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        let full = self.first.saturating_mul(1 << failures.min(20)).min(self.longest);
        full.mul_f64(1.0 - fastrand::f64() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_with_jitter_below() {
        let backoff = Backoff::default();
        for (failures, full) in [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (u32::MAX, 60.0)] {
            for _ in 0..20 {
                let wait = backoff.wait(failures).as_secs_f64();
                assert!((0.75 * full..=full).contains(&wait), "{failures}: {wait}");
            }
        }
    }
}
