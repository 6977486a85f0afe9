//! One camera: connects, decodes, and connects anew after whatever goes wrong.

use super::queue::{Item, Queues};
use super::{Backoff, Camera, CameraId, CameraMeters, Health, Options, Pace, State};
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
use crate::media::{FrameSource, GapReason, Picture, Step, VideoInfo};
use crate::pipeline::{Feed, decode};
use crate::units::{MediaTime, Stop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest sleep between looks at the stop token.
const NAP: Duration = Duration::from_millis(20);
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

    fn begin(&self, stop: Stop) {
        self.relax();
        self.stalled.store(false, Ordering::Relaxed);
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = stop;
    }

    fn allow(&self, wait: Duration) {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(NEVER);
        self.deadline_ms.store(self.now_ms().saturating_add(ms), Ordering::Relaxed);
    }

    fn relax(&self) {
        self.deadline_ms.store(NEVER, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(NEVER)
    }
}

/// Everything a camera's thread works with.
pub(super) struct Tender<'a, 'b> {
    pub(super) id: CameraId,
    pub(super) camera: Camera<'b>,
    pub(super) queues: &'a Queues,
    pub(super) pulse: Arc<Pulse>,
    pub(super) spec: ClipSpec,
    pub(super) options: &'a Options,
    /// Ends this camera alone.
    pub(super) stop: Stop,
}

/// The camera's own clock, which goes on while it is away.
#[derive(Default)]
struct Clock {
    /// When its very first frame came.
    first: Option<Instant>,
    /// End of the last frame.
    end: MediaTime,
}

impl Tender<'_, '_> {
    /// Until the end of the source (where it has one) or a stop.
    pub(super) fn run(mut self) {
        let _told_of = tracing::info_span!("camera", id = self.id.stream()).entered();
        let (mut clock, mut health, mut failures) = (Clock::default(), Health::default(), 0);
        let mut ending = None;
        while !self.stop.requested() {
            self.tell(&mut health, State::Opening, None);
            let started = Instant::now();
            let outcome = self.connection(&mut clock, &mut health);
            let stalled = self.pulse.stalled.load(Ordering::Relaxed);
            self.pulse.relax();
            if self.stop.requested() {
                break;
            }
            let reason = match outcome {
                _ if stalled => Some(format!("no frame for {:.1} s", self.camera.stall.as_secs_f64())),
                Ok(fault) => fault,
                Err(error) => Some(error.to_string()),
            };
            match self.camera.pace {
                Pace::Loop if reason.is_none() => continue,
                Pace::Once | Pace::Model => {
                    ending = reason;
                    break;
                }
                Pace::Live | Pace::Loop => {}
            }
            if health.state == State::Watching && started.elapsed() >= self.options.backoff.steady {
                failures = 0;
            }
            let wait = self.options.backoff.wait(failures);
            failures += 1;
            let reason = reason.unwrap_or_else(|| "the stream ended".into());
            self.tell(&mut health, State::Waiting { seconds: wait.as_secs_f64() }, Some(reason));
            nap(wait, &self.stop);
            health.reconnects += 1;
        }
        self.tell(&mut health, State::Ended, ending);
        self.queues.end(self.id);
    }

    fn tell(&self, health: &mut Health, state: State, reason: Option<String>) {
        tracing::info!(?state, reason, "camera");
        health.state = state;
        health.reason = reason;
        self.queues.put(self.id, Item::Health(health.clone()));
    }

    /// One connection from open to end; gives what ended it early. A panic is a fault like any other.
    fn connection(&mut self, clock: &mut Clock, health: &mut Health) -> Result<Option<String>> {
        let stop = self.stop.child();
        self.pulse.begin(stop.clone());
        let mut fault = None;
        let (queues, id, pulse, pace, stall) =
            (self.queues, self.id, &*self.pulse, self.camera.pace, self.camera.stall);
        let (spec, options) = (&self.spec, self.options);
        let open = &mut self.camera.open;
        let mut opener = || -> Result<Box<dyn FrameSource>> {
            pulse.allow(options.open_limit.max(stall));
            let source = open(stop.clone())?;
            pulse.relax();
            Ok(source)
        };
        let mut out = |feed: Feed| -> Result<()> {
            match feed {
                Feed::Opened(info) => queues.put(id, Item::Opened(info)),
                Feed::Gap(gap) => queues.put(id, Item::Gap(gap)),
                Feed::Clip(clip) if pace == Pace::Model => queues.put_clip_patiently(id, clip, &stop)?,
                Feed::Clip(clip) => queues.put_clip(id, clip, spec.stride as usize),
                Feed::End(summary) => fault = summary.fault,
            }
            if health.state == State::Opening {
                health.state = State::Watching;
                queues.put(id, Item::Health(health.clone()));
            }
            Ok(())
        };
        let work = || -> Result<()> {
            let inner = opener()?;
            let (meters, stop) = (options.meters.camera(id), &stop);
            let (shift, first_step, begun) = (None, None, None);
            let mut tended = Tended { inner, clock, pulse, stall, pace, meters, stop, shift, first_step, begun };
            decode::run_source(&mut tended, spec, options.scene_cuts, stop, &mut out)
        };
        let done = catch_unwind(AssertUnwindSafe(work));
        done.unwrap_or_else(|_| Err(Error::Internal { stage: "decode", reason: "a panic".into() }))?;
        Ok(fault)
    }
}

/// A source on the camera's clock: watched for stalls, slowed to its own pace where that is asked for.
struct Tended<'a> {
    inner: Box<dyn FrameSource>,
    clock: &'a mut Clock,
    pulse: &'a Pulse,
    stall: Duration,
    pace: Pace,
    meters: Arc<CameraMeters>,
    stop: &'a Stop,
    /// The camera's time at this connection's first frame.
    shift: Option<MediaTime>,
    /// The connection's first frame, while the gap before it is told.
    first_step: Option<Step>,
    /// When that frame came.
    begun: Option<Instant>,
}

impl Tended<'_> {
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

impl FrameSource for Tended<'_> {
    fn info(&self) -> &VideoInfo {
        self.inner.info()
    }

    fn next_step(&mut self) -> Result<Step> {
        if let Some(step) = self.first_step.take() {
            return Ok(step);
        }
        self.pulse.allow(self.stall);
        let step = self.inner.next_step();
        self.pulse.relax();
        if self.stop.requested() {
            return Err(Error::Stopped);
        }
        match step? {
            Step::Frame { time, end } => {
                self.meters.frames.fetch_add(1, Ordering::Relaxed);
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

    fn picture(&mut self) -> Result<Picture> {
        self.inner.picture()
    }

    fn key_frame(&self) -> bool {
        self.inner.key_frame()
    }

    fn frames_decoded(&self) -> u64 {
        self.inner.frames_decoded()
    }
}

/// Sleeps, but not past a stop.
fn nap(wait: Duration, stop: &Stop) {
    let begun = Instant::now();
    while !stop.requested() {
        let left = wait.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(NAP));
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
