//! One camera: connects, decodes, and connects anew after whatever goes wrong.

use super::camera::WatchedCamera;
use super::clocked::{CameraClock, Clocked, nap};
use super::queues::{Notice, Queues};
use super::{Camera, CameraState, Health, Options, Pace};
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
use crate::media::FrameSource;
use crate::pipeline::{Feed, decode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Everything a camera's thread works with.
pub(super) struct CameraThread<'a, 'b> {
    pub(super) watched: Arc<WatchedCamera>,
    pub(super) camera: Camera<'b>,
    pub(super) queues: &'a Queues,
    pub(super) spec: ClipSpec,
    pub(super) options: &'a Options,
}

impl CameraThread<'_, '_> {
    /// Until the end of the source (where it has one) or a stop.
    pub(super) fn run(mut self) {
        let _told_of = tracing::info_span!("camera", id = self.watched.id.stream()).entered();
        let (mut clock, mut health, mut failures) = (CameraClock::default(), Health::default(), 0);
        let mut ending = None;
        while !self.watched.stop.requested() {
            self.tell(&mut health, CameraState::Opening, None);
            let started = Instant::now();
            let outcome = self.connection(&mut clock, &mut health);
            let stalled = self.watched.pulse.is_stalled();
            self.watched.pulse.relax();
            if self.watched.stop.requested() {
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
            if health.state == CameraState::Watching && started.elapsed() >= self.options.backoff.steady {
                failures = 0;
            }
            let wait = self.options.backoff.wait(failures);
            failures += 1;
            let reason = reason.unwrap_or_else(|| "the stream ended".into());
            self.tell(&mut health, CameraState::Waiting { seconds: wait.as_secs_f64() }, Some(reason));
            nap(wait, &self.watched.stop);
            health.reconnects += 1;
        }
        self.tell(&mut health, CameraState::Ended, ending);
        self.queues.end(self.watched.id);
    }

    fn tell(&self, health: &mut Health, state: CameraState, reason: Option<String>) {
        tracing::info!(?state, reason, "camera");
        health.state = state;
        health.reason = reason;
        self.queues.put(self.watched.id, Notice::Health(health.clone()));
    }

    /// One connection from open to end; gives what ended it early. A panic is a fault like any other.
    fn connection(&mut self, clock: &mut CameraClock, health: &mut Health) -> Result<Option<String>> {
        let Self { watched, camera, queues, spec, options } = self;
        let (id, pulse, stop) = (watched.id, &watched.pulse, watched.stop.child());
        pulse.begin(stop.clone());
        let mut fault = None;
        let (pace, stall) = (camera.pace, camera.stall);
        let mut opener = || -> Result<Box<dyn FrameSource>> {
            pulse.allow(options.open_limit.max(stall));
            let source = (camera.open)(stop.clone())?;
            pulse.relax();
            Ok(source)
        };
        let mut out = |feed: Feed| -> Result<()> {
            match feed {
                Feed::Opened(info) => queues.put(id, Notice::Opened(info)),
                Feed::Gap(gap) => queues.put(id, Notice::Gap(gap)),
                Feed::Clip(clip) if pace == Pace::Model => queues.put_clip_patiently(id, clip, &stop)?,
                Feed::Clip(clip) => queues.put_clip(id, clip, spec.stride as usize),
                Feed::End(summary) => fault = summary.fault,
            }
            if health.state == CameraState::Opening {
                health.state = CameraState::Watching;
                queues.put(id, Notice::Health(health.clone()));
            }
            Ok(())
        };
        let work = || -> Result<()> {
            let mut source = Clocked::new(opener()?, watched, clock, (stall, pace), &stop);
            decode::run_source(&mut source, spec, options.scene_cuts, &stop, &mut out)
        };
        let done = catch_unwind(AssertUnwindSafe(work));
        done.unwrap_or_else(|_| Err(Error::Internal { stage: "decode", reason: "a panic".into() }))?;
        Ok(fault)
    }
}
