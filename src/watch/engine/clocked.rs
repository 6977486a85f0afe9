//! A connection's frames on the clock of their camera, which goes on while the camera is away.

use super::Pace;
use super::camera::WatchedCamera;
use crate::error::{Error, Result};
use crate::media::adapt::Adapter;
use crate::media::{FrameSource, GapReason, Step};
use crate::units::{MediaTime, Stop};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longest sleep between looks at the stop token.
const NAP: Duration = Duration::from_millis(20);

/// The camera's own clock, which goes on while it is away.
#[derive(Default)]
pub(super) struct CameraClock {
    /// When its very first frame came.
    first: Option<Instant>,
    /// End of the last frame.
    end: MediaTime,
}

/// A source on the camera's clock: watched for stalls, slowed to its own pace where that is asked for.
pub(super) struct Clocked<'a> {
    inner: Box<dyn FrameSource>,
    camera: &'a WatchedCamera,
    clock: &'a mut CameraClock,
    stall: Duration,
    pace: Pace,
    /// Ends the connection.
    stop: &'a Stop,
    /// The camera's time at this connection's first frame.
    shift: Option<MediaTime>,
    /// The connection's first frame, while the gap before it is told.
    first_step: Option<Step>,
    /// When that frame came.
    begun: Option<Instant>,
}

impl<'a> Clocked<'a> {
    /// A connection that was just made; without a frame for `stall` it is ended.
    pub(super) const fn new(
        inner: Box<dyn FrameSource>,
        camera: &'a WatchedCamera,
        clock: &'a mut CameraClock,
        (stall, pace): (Duration, Pace),
        stop: &'a Stop,
    ) -> Self {
        Self { inner, camera, clock, stall, pace, stop, shift: None, first_step: None, begun: None }
    }

    /// Places the connection's first frame on the camera's clock.
    fn start(&mut self) -> MediaTime {
        let now = Instant::now();
        self.begun = Some(now);
        let first = *self.clock.first.get_or_insert(now);
        let away = MediaTime::from_secs_f64(now.duration_since(first).as_secs_f64());
        let shift = if self.pace == Pace::Live { self.clock.end.max(away) } else { self.clock.end };
        self.shift = Some(shift);
        shift
    }

    /// Waits until a frame is due by the source's own clock.
    fn keep_pace(&self, time: MediaTime) {
        if let (Some(begun), Pace::Once | Pace::Loop) = (self.begun, self.pace) {
            let due = Duration::from_nanos(u64::try_from(time.nanos()).unwrap_or(0));
            nap(due.saturating_sub(begun.elapsed()), self.stop);
        }
    }
}

impl Adapter for Clocked<'_> {
    fn inner(&self) -> &dyn FrameSource {
        &*self.inner
    }

    fn inner_mut(&mut self) -> &mut dyn FrameSource {
        &mut *self.inner
    }

    fn next(&mut self) -> Result<Step> {
        if let Some(step) = self.first_step.take() {
            return Ok(step);
        }
        self.camera.pulse.allow(self.stall);
        let step = self.inner.next_step();
        self.camera.pulse.relax();
        if self.stop.requested() {
            return Err(Error::Stopped);
        }
        match step? {
            Step::Frame { time, end } => {
                self.camera.meters.frames.fetch_add(1, Ordering::Relaxed);
                let fresh = self.shift.is_none();
                let shift = self.shift.unwrap_or_else(|| self.start());
                self.keep_pace(time);
                self.inner.placed(time.plus(shift));
                let step = Step::Frame { time: time.plus(shift), end: end.plus(shift) };
                let before = std::mem::replace(&mut self.clock.end, end.plus(shift));
                if fresh && before > MediaTime::ZERO {
                    self.first_step = Some(step);
                    return Ok(Step::Gap { start: before, end: shift, reason: GapReason::ConnectionLost });
                }
                Ok(step)
            }
            Step::Gap { start, end, reason } => {
                let shift = self.shift.unwrap_or(self.clock.end);
                Ok(Step::Gap { start: start.plus(shift), end: end.plus(shift), reason })
            }
            Step::End => Ok(Step::End),
        }
    }
}

/// Sleeps, but not past a stop.
pub(super) fn nap(wait: Duration, stop: &Stop) {
    let begun = Instant::now();
    while !stop.requested() {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(NAP));
    }
}
