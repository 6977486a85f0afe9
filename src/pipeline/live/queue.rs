//! What waits for the model: a short queue of clips for each camera, and the fair choice among them.
//!
//! Invariant: a queue holds at most its capacity of clips and a fixed number of other things, so latency and memory are
//! bounded whatever the model's speed. What is dropped is whole clips, the oldest first, half a queue at once (so that
//! what is left are unbroken runs), and a gap stands in their place.

use super::{CameraMeters, Health, Meters, Options};
use crate::clip::Clip;
use crate::error::{Error, Result};
use crate::media::{GapReason, VideoInfo};
use crate::record::Gap;
use crate::units::Stop;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Breaks without a clip between them are drawn together past this many.
const MOST_OTHERS: usize = 64;
/// Longest sleep between looks at the stop token.
const NAP: Duration = Duration::from_millis(50);

/// One thing that waits.
pub(super) enum Item {
    /// A clip, and when its last frame arrived.
    Clip(Clip, SystemTime),
    /// A connection is up.
    Opened(VideoInfo),
    /// The run of frames is broken.
    Gap(Gap),
    /// So many clips were dropped.
    Lost(Gap, u64),
    /// How the camera is.
    Health(Health),
}

/// The queue of one camera.
#[derive(Default)]
struct Line {
    items: VecDeque<Item>,
    clips: usize,
    ended: bool,
    meters: Arc<CameraMeters>,
}

/// The queues of all cameras.
pub(super) struct Queues {
    lines: Mutex<Vec<Line>>,
    changed: Condvar,
    capacity: usize,
    meters: Arc<Meters>,
}

impl Queues {
    pub(super) fn new(options: &Options) -> Self {
        let capacity = options.queue.max(2);
        Self { lines: Mutex::default(), changed: Condvar::new(), capacity, meters: Arc::clone(&options.meters) }
    }

    /// One more camera; gives its index.
    pub(super) fn add(&self) -> usize {
        let mut lines = self.lock();
        let meters = self.meters.camera(lines.len());
        lines.push(Line { meters, ..Line::default() });
        lines.len() - 1
    }

    /// Puts something that is no clip.
    pub(super) fn put(&self, camera: usize, item: Item) {
        let mut lines = self.lock();
        let line = &mut lines[camera];
        let full = line.items.len() > MOST_OTHERS;
        match (item, line.items.back_mut()) {
            (Item::Gap(new), Some(Item::Gap(last))) if full => last.end_s = new.end_s,
            (Item::Health(new), Some(Item::Health(last))) if full => *last = new,
            (item, _) => line.items.push_back(item),
        }
        self.changed.notify_all();
    }

    /// Puts a clip. When the queue is full its older half makes room.
    pub(super) fn put_clip(&self, camera: usize, clip: Clip, stride: usize) {
        let mut lines = self.lock();
        let line = &mut lines[camera];
        if line.clips >= self.capacity {
            line.drop_to(self.capacity / 2, stride);
        }
        line.items.push_back(Item::Clip(clip, SystemTime::now()));
        line.count(line.clips + 1);
        self.changed.notify_all();
    }

    /// Puts a clip, waiting for room.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for meanwhile.
    pub(super) fn put_clip_patiently(&self, camera: usize, clip: Clip, stop: &Stop) -> Result<()> {
        let mut lines = self.lock();
        while lines[camera].clips >= self.capacity {
            if stop.requested() {
                return Err(Error::Stopped);
            }
            lines = self.changed.wait_timeout(lines, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
        let line = &mut lines[camera];
        line.items.push_back(Item::Clip(clip, SystemTime::now()));
        line.count(line.clips + 1);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing follows from this camera.
    pub(super) fn end(&self, camera: usize) {
        self.lock()[camera].ended = true;
        self.changed.notify_all();
    }

    /// Whether every camera has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.lock().iter().all(|line| line.ended)
    }

    /// The next things, each camera's in its order: round after round one clip of each camera that has one, from
    /// `first` on, until there are `batch` clips or nothing is left. Waits for something; `None`: nothing follows.
    pub(super) fn take(&self, first: usize, batch: usize) -> Option<Vec<(usize, Item)>> {
        let mut lines = self.lock();
        loop {
            let taken = take_round(&mut lines, first, batch);
            if !taken.is_empty() {
                self.changed.notify_all();
                return Some(taken);
            }
            if lines.iter().all(|line| line.ended) {
                return None;
            }
            lines = self.changed.wait_timeout(lines, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic elsewhere must not take the other cameras with it; the queues are whole between any two calls.
    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_round(lines: &mut [Line], first: usize, batch: usize) -> Vec<(usize, Item)> {
    let mut taken = Vec::new();
    let mut clips = 0;
    loop {
        let before = taken.len();
        for offset in 0..lines.len() {
            let camera = (first + offset) % lines.len();
            let line = &mut lines[camera];
            while let Some(item) = line.items.front() {
                let is_clip = matches!(item, Item::Clip(..));
                if is_clip && clips == batch {
                    break;
                }
                taken.extend(line.items.pop_front().map(|item| (camera, item)));
                if is_clip {
                    line.count(line.clips - 1);
                    clips += 1;
                    break;
                }
            }
        }
        if taken.len() == before || clips == batch {
            return taken;
        }
    }
}

impl Line {
    /// So many clips wait now.
    fn count(&mut self, clips: usize) {
        self.clips = clips;
        self.meters.queued.store(clips as u64, Ordering::Relaxed);
    }

    /// Drops the oldest clips down to `keep`; each run of them leaves a gap.
    fn drop_to(&mut self, keep: usize, stride: usize) {
        let mut kept = VecDeque::with_capacity(self.items.len());
        while let Some(item) = self.items.pop_front() {
            match item {
                Item::Clip(clip, _) if self.clips > keep => {
                    self.clips -= 1;
                    lose(&mut kept, &clip, stride);
                }
                other => kept.push_back(other),
            }
        }
        self.items = kept;
    }
}

/// Notes that a clip is lost: what it alone would have judged is its last `stride` frames.
fn lose(kept: &mut VecDeque<Item>, clip: &Clip, stride: usize) {
    let newest = clip.frames.len().saturating_sub(stride);
    let (Some(from), Some(to)) = (clip.frames.get(newest), clip.frames.last()) else { return };
    let (start_s, end_s) = (from.time.secs_f64(), to.time.secs_f64());
    match kept.back_mut() {
        Some(Item::Lost(gap, clips)) => {
            gap.end_s = end_s;
            *clips += 1;
        }
        _ => kept.push_back(Item::Lost(Gap { start_s, end_s, reason: GapReason::Overload }, 1)),
    }
}
