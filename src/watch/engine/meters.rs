//! What a watch counts while it runs, for whoever wants to know.

use super::CameraId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of a histogram's buckets, seconds.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The counters of a watch; shared, and only ever added to.
#[derive(Debug, Default)]
pub struct Meters {
    /// How long an inference call took.
    pub inference: Histogram,
    cameras: Mutex<BTreeMap<CameraId, Arc<CameraMeters>>>,
}

/// The counters of one camera.
#[derive(Debug, Default)]
pub struct CameraMeters {
    /// Frames received.
    pub frames: AtomicU64,
    /// Clips scored.
    pub clips: AtomicU64,
    /// Clips that wait now.
    pub queued: AtomicU64,
}

impl Meters {
    /// The counters of a camera.
    pub fn camera(&self, camera: CameraId) -> Arc<CameraMeters> {
        Arc::clone(self.cameras.lock().unwrap_or_else(PoisonError::into_inner).entry(camera).or_default())
    }

    /// Lets go of the counters of a camera that nobody asks for any more.
    pub fn forget(&self, camera: CameraId) {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner).remove(&camera);
    }
}

impl CameraMeters {
    /// The three counters: frames, clips, clips that wait.
    pub fn read(&self) -> [u64; 3] {
        [&self.frames, &self.clips, &self.queued].map(|n| n.load(Ordering::Relaxed))
    }
}

/// Durations, counted by size.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS.len()],
    all: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    /// Counts one more.
    pub fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let fits = BOUNDS.iter().zip(&self.counts).filter(|(bound, _)| seconds <= **bound);
        for (_, count) in fits {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were up to each bound (seconds), how many in all, and their sum in seconds.
    pub fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let buckets = BOUNDS.iter().zip(&self.counts).map(|(bound, count)| (*bound, count.load(Ordering::Relaxed)));
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        (buckets.collect(), self.all.load(Ordering::Relaxed), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_is_smaller() {
        let histogram = Histogram::default();
        for ms in [3, 60, 99_000] {
            histogram.add(Duration::from_millis(ms));
        }
        let (buckets, all, sum) = histogram.read();
        assert_eq!((buckets[0].1, buckets[4].1, buckets[11].1, all), (1, 2, 2, 3));
        assert!((sum - 99.063).abs() < 1e-9, "{sum}");
    }
}
