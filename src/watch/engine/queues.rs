//! What waits for the model: a short queue of clips for each camera, and the fair choice among them.
//!
//! Invariant: a queue holds at most its capacity of clips and a fixed number of other things, so latency and memory are
//! bounded whatever the model's speed. What is dropped is whole clips, the oldest first, half a queue at once (so that
//! what is left are unbroken runs), and a gap stands in their place.

use super::camera::WatchedCamera;
use super::{CameraId, Health};
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
pub(super) enum Queued {
    /// A clip, and when its last frame arrived.
    Clip(Clip, SystemTime),
    /// What is told in its place among the clips, and not scored.
    Notice(Notice),
}

/// What happened to a camera between two clips.
pub(super) enum Notice {
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
struct CameraQueue {
    camera: Arc<WatchedCamera>,
    items: VecDeque<Queued>,
    clips: usize,
    ended: bool,
}

/// The queues of all cameras.
pub(super) struct Queues {
    by_camera: Mutex<BTreeMap<CameraId, CameraQueue>>,
    changed: Condvar,
    capacity: usize,
}

impl Queues {
    /// Without a camera; at most `capacity` clips of each wait.
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_camera: Mutex::default(), changed: Condvar::new(), capacity: capacity.max(2) }
    }

    /// One more camera.
    pub(super) fn add(&self, camera: Arc<WatchedCamera>) {
        let id = camera.id;
        self.lock().insert(id, CameraQueue { camera, items: VecDeque::new(), clips: 0, ended: false });
    }

    /// Ends waits that are too long.
    pub(super) fn check_pulses(&self) {
        self.lock().values().for_each(|queue| queue.camera.pulse.check());
    }

    /// Puts something that is no clip.
    pub(super) fn put(&self, camera: CameraId, notice: Notice) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&camera) else { return };
        let full = queue.items.len() > MOST_OTHERS;
        match (notice, queue.items.back_mut()) {
            (Notice::Gap(new), Some(Queued::Notice(Notice::Gap(last)))) if full => last.end_s = new.end_s,
            (Notice::Health(new), Some(Queued::Notice(Notice::Health(last)))) if full => *last = new,
            (notice, _) => queue.items.push_back(Queued::Notice(notice)),
        }
        self.changed.notify_all();
    }

    /// Puts a clip. When the queue is full its older half makes room.
    pub(super) fn put_clip(&self, camera: CameraId, clip: Clip, stride: usize) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&camera) else { return };
        if queue.clips >= self.capacity {
            queue.drop_to(self.capacity / 2, stride);
        }
        queue.items.push_back(Queued::Clip(clip, SystemTime::now()));
        queue.count(queue.clips + 1);
        self.changed.notify_all();
    }

    /// Puts a clip, waiting for room.
    ///
    /// # Errors
    /// [`Error::Stopped`] when a stop was asked for meanwhile.
    pub(super) fn put_clip_patiently(&self, camera: CameraId, clip: Clip, stop: &Stop) -> Result<()> {
        let mut queues = self.lock();
        while queues.get(&camera).is_some_and(|queue| queue.clips >= self.capacity) {
            if stop.requested() {
                return Err(Error::Stopped);
            }
            queues = self.changed.wait_timeout(queues, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
        let Some(queue) = queues.get_mut(&camera) else { return Err(Error::Stopped) };
        queue.items.push_back(Queued::Clip(clip, SystemTime::now()));
        queue.count(queue.clips + 1);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing follows from this camera.
    pub(super) fn end(&self, camera: CameraId) {
        let mut queues = self.lock();
        queues.get_mut(&camera).into_iter().for_each(|queue| queue.ended = true);
        queues.retain(|_, queue| !queue.is_over());
        self.changed.notify_all();
    }

    /// Whether every camera has ended.
    pub(super) fn all_ended(&self) -> bool {
        self.lock().values().all(|queue| queue.ended)
    }

    /// The next things, each camera's in its order: round after round one clip of each camera that has one, from
    /// the `first`th on, until there are `batch` clips or nothing is left. Waits for something; `None`: nothing follows.
    pub(super) fn take(&self, first: usize, batch: usize) -> Option<Vec<(CameraId, Queued)>> {
        let mut queues = self.lock();
        loop {
            let taken = take_round(&mut queues, first, batch);
            if !taken.is_empty() {
                queues.retain(|_, queue| !queue.is_over());
                self.changed.notify_all();
                return Some(taken);
            }
            if queues.values().all(|queue| queue.ended) {
                return None;
            }
            queues = self.changed.wait_timeout(queues, NAP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic elsewhere must not take the other cameras with it; the queues are whole between any two calls.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CameraId, CameraQueue>> {
        self.by_camera.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_round(queues: &mut BTreeMap<CameraId, CameraQueue>, first: usize, batch: usize) -> Vec<(CameraId, Queued)> {
    let mut taken = Vec::new();
    let mut queues: Vec<(CameraId, &mut CameraQueue)> =
        queues.iter_mut().map(|(camera, queue)| (*camera, queue)).collect();
    let turn = first % queues.len().max(1);
    queues.rotate_left(turn);
    let mut clips = 0;
    loop {
        let before = taken.len();
        for (camera, queue) in &mut queues {
            while let Some(item) = queue.items.front() {
                let is_clip = matches!(item, Queued::Clip(..));
                if is_clip && clips == batch {
                    break;
                }
                taken.extend(queue.items.pop_front().map(|item| (*camera, item)));
                if is_clip {
                    queue.count(queue.clips - 1);
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

impl CameraQueue {
    fn is_over(&self) -> bool {
        self.ended && self.items.is_empty()
    }

    /// So many clips wait now.
    fn count(&mut self, clips: usize) {
        self.clips = clips;
        self.camera.meters.queued.store(clips as u64, Ordering::Relaxed);
    }

    /// Drops the oldest clips down to `keep`; each run of them leaves a gap.
    fn drop_to(&mut self, keep: usize, stride: usize) {
        let mut kept = VecDeque::with_capacity(self.items.len());
        while let Some(item) = self.items.pop_front() {
            match item {
                Queued::Clip(clip, _) if self.clips > keep => {
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
fn lose(kept: &mut VecDeque<Queued>, clip: &Clip, stride: usize) {
    let newest = clip.frames.len().saturating_sub(stride);
    let (Some(from), Some(to)) = (clip.frames.get(newest), clip.frames.last()) else { return };
    let (start_s, end_s) = (from.time.secs_f64(), to.time.secs_f64());
    if let Some(Queued::Notice(Notice::Lost(gap, clips))) = kept.back_mut() {
        gap.end_s = end_s;
        *clips += 1;
    } else {
        let gap = Gap { start_s, end_s, reason: GapReason::Overload };
        kept.push_back(Queued::Notice(Notice::Lost(gap, 1)));
    }
}
