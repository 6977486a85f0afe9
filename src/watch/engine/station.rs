//! The caller's side of a watch: starts and ends cameras, and turns scores into news.

use super::camera::WatchedCamera;
use super::camera_thread::CameraThread;
use super::pulse::Pulse;
use super::queues::Queues;
use super::score_thread::ForTracker;
use super::tracker::Tracker;
use super::{Camera, CameraChange, CameraId, CameraState, Host, Options};
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::pipeline::spawn;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the host is asked for changes at least.
const ASK: Duration = Duration::from_millis(200);

/// A camera and what turns its scores into news.
pub(super) struct TrackedCamera<'a> {
    watched: Arc<WatchedCamera>,
    tracker: Tracker<'a>,
}

/// All cameras that have not ended, or of which not everything was told.
pub(super) struct Station<'scope, 'env, 'a> {
    pub(super) scope: &'scope std::thread::Scope<'scope, 'env>,
    pub(super) queues: &'scope Queues,
    pub(super) options: &'scope Options,
    pub(super) model: ClipSpec,
    pub(super) cameras: BTreeMap<CameraId, TrackedCamera<'a>>,
}

impl<'scope, 'a: 'scope> Station<'scope, '_, 'a> {
    /// Starts one more camera.
    pub(super) fn add(&mut self, id: CameraId, camera: Camera<'a>) -> Result<()> {
        let spec = camera.spec(&self.model);
        let (tracker, camera) = Tracker::new(&spec, camera);
        let (meters, stop) = (self.options.meters.camera(id), self.options.stop.child());
        let watched = Arc::new(WatchedCamera { id, meters, pulse: Pulse::new(), stop });
        self.queues.add(Arc::clone(&watched));
        self.cameras.insert(id, TrackedCamera { watched: Arc::clone(&watched), tracker });
        let thread = CameraThread { watched, camera, queues: self.queues, spec, options: self.options };
        spawn(self.scope, "camera", move || {
            thread.run();
            Ok(())
        })?;
        Ok(())
    }

    /// No camera will put anything any more.
    pub(super) fn end_all(&self) {
        self.cameras.keys().for_each(|camera| self.queues.end(*camera));
    }

    /// Takes scores until nothing follows; tells the host, and does what it asks for.
    pub(super) fn consume(&mut self, scores: &Receiver<ForTracker>, host: &mut impl Host<'a>) -> Result<()> {
        loop {
            match scores.recv_timeout(ASK) {
                Ok((camera, message)) => {
                    let ended = message.tells(CameraState::Ended);
                    if let Some(tracked) = self.cameras.get_mut(&camera) {
                        tracked.tracker.take(message, &mut |news| host.news(camera, news))?;
                    }
                    if ended {
                        self.end(camera, host)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Those that come first: a watch without a camera would end.
            let (coming, going): (Vec<_>, Vec<_>) =
                host.changes().into_iter().partition(|change| matches!(change, CameraChange::Add(..)));
            coming.into_iter().chain(going).try_for_each(|change| self.apply(change))?;
        }
        while let Some(camera) = self.cameras.keys().next().copied() {
            self.end(camera, host)?;
        }
        Ok(())
    }

    fn apply(&mut self, change: CameraChange<'a>) -> Result<()> {
        match change {
            CameraChange::Add(id, camera) => self.add(id, *camera),
            CameraChange::Remove(camera) => {
                self.cameras.get(&camera).into_iter().for_each(|tracked| tracked.watched.stop.request());
                Ok(())
            }
        }
    }

    /// Tells the last of a camera, and lets it go.
    fn end(&mut self, camera: CameraId, host: &mut impl Host<'a>) -> Result<()> {
        let Some(mut tracked) = self.cameras.remove(&camera) else { return Ok(()) };
        tracked.tracker.end(&mut |news| host.news(camera, news))?;
        host.gone(camera);
        Ok(())
    }
}
