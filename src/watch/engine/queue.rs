//! What waits for the model: a short queue of clips for each camera, and the fair choice among them.
//!
//! Invariant: a queue holds at most its capacity of clips and a fixed number of other things, so latency and memory are
//! bounded whatever the model's speed. What is dropped is whole clips, the oldest first, half a queue at once (so that
//! what is left are unbroken runs), and a gap stands in their place.

use super::tend::Pulse;
use super::{CameraId, CameraMeters, Health, Meters, Options};
use crate::clip::Clip;
use crate::error::{Error, Result};
use crate::media::{GapReason, VideoInfo};
use crate::record::Gap;
use crate::units::Stop;
use std::collections::{BTreeMap, VecDeque};
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

/// The queue of one camera; gone once it has ended and nothing waits.
struct Line {
    items: VecDeque<Item>,
    clips: usize,
    ended: bool,
    meters: Arc<CameraMeters>,
    pulse: Arc<Pulse>,
}

/// The queues of all cameras.
pub(super) struct Queues {
    lines: Mutex<BTreeMap<CameraId, Line>>,
    changed: Condvar,
    capacity: usize,
    meters: Arc<Meters>,
}

impl Queues {
    pub(super) fn new(options: &Options) -> Self {
        let capacity = options.queue.max(2);
        Self { lines: Mutex::default(), changed: Condvar::new(), capacity, meters: Arc::clone(&options.meters) }
    }

    /// One more camera; gives what the watchman looks at.
    pub(super) fn add(&self, camera: CameraId) -> Arc<Pulse> {
        let (meters, pulse) = (self.meters.camera(camera), Arc::new(Pulse::new()));
        let line = Line { items: VecDeque::new(), clips: 0, ended: false, meters, pulse: Arc::clone(&pulse) };
        self.lock().insert(camera, line);
        pulse
    }

    /// Ends waits that are too long.
    pub(super) fn check_pulses(&self) {
        self.lock().values().for_each(|line| line.pulse.check());
    }

    /// Puts something that is no clip.
    pub(super) fn put(&self, camera: CameraId, item: Item) {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(&camera) else { return };
        let full = line.items.len() > MOST_OTHERS;
        match (item, line.items.back_mut()) {
            (Item::Gap(new), Some(Item::Gap(last))) if full => last.end_s = new.end_s,
            (Item::Health(new), Some(Item::Health(last))) if full => *last = new,
            (item, _) => line.items.push_back(item),
        }
        self.changed.notify_all();
    }

    /// Puts a clip. When the queue is full its older half makes room.
    pub(super) fn put_clip(&self, camera: CameraId, clip: Clip, stride: usize) {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(&camera) else { return };
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
    pub(super) fn put_clip_patiently(&self, camera: CameraId, clip: Clip, stop: &Stop) -> Result<()> {
        let mut lines = self.lock();
        while lines.get(&camera).is_some_and(|line| line.clips >= self.capacity) {
            if stop.requested() {
                return Err(Error::Stopped);
            }
            lines = self.changed.wait_timeout(lines, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
        let Some(line) = lines.get_mut(&camera) else { return Err(Error::Stopped) };
        line.items.push_back(Item::Clip(clip, SystemTime::now()));
        line.count(line.clips + 1);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing follows from this camera.
    pub(super) fn end(&self, camera: CameraId) {
        let mut lines = self.lock();
        lines.get_mut(&camera).into_iter().for_each(|line| line.ended = true);
        lines.retain(|_, line| !line.is_over());
        self.changed.notify_all();
    }

    /// Whether every camera has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.lock().values().all(|line| line.ended)
    }

    /// The next things, each camera's in its order: round after round one clip of each camera that has one, from
    /// the `first`th on, until there are `batch` clips or nothing is left. Waits for something; `None`: nothing follows.
    pub(super) fn take(&self, first: usize, batch: usize) -> Option<Vec<(CameraId, Item)>> {
        let mut lines = self.lock();
        loop {
            let taken = take_round(&mut lines, first, batch);
            if !taken.is_empty() {
                lines.retain(|_, line| !line.is_over());
                self.changed.notify_all();
                return Some(taken);
            }
            if lines.values().all(|line| line.ended) {
                return None;
            }
            lines = self.changed.wait_timeout(lines, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic elsewhere must not take the other cameras with it; the queues are whole between any two calls.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CameraId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_round(lines: &mut BTreeMap<CameraId, Line>, first: usize, batch: usize) -> Vec<(CameraId, Item)> {
    let mut taken = Vec::new();
    let mut lines: Vec<(CameraId, &mut Line)> = lines.iter_mut().map(|(camera, line)| (*camera, line)).collect();
    let turn = first % lines.len().max(1);
    lines.rotate_left(turn);
    let mut clips = 0;
    loop {
        let before = taken.len();
        for (camera, line) in &mut lines {
            while let Some(item) = line.items.front() {
                let is_clip = matches!(item, Item::Clip(..));
                if is_clip && clips == batch {
                    break;
                }
                taken.extend(line.items.pop_front().map(|item| (*camera, item)));
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
    fn is_over(&self) -> bool {
        self.ended && self.items.is_empty()
    }

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
