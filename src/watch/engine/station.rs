//! The caller's side of a watch: starts and ends cameras, and turns scores into news.

use super::queue::Queues;
use super::score::Scored;
use super::tend::Tender;
use super::track::Tracker;
use super::{Camera, CameraId, Change, Host, Options, State};
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::pipeline::spawn;
use crate::units::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the host is asked for changes at least.
const ASK: Duration = Duration::from_millis(200);

/// What the caller keeps of a camera.
pub(super) struct Post<'a> {
    tracker: Tracker<'a>,
    stop: Stop,
}

/// All cameras that have not ended, or of which not everything was told.
pub(super) struct Station<'scope, 'env, 'a> {
    pub(super) scope: &'scope std::thread::Scope<'scope, 'env>,
    pub(super) queues: &'scope Queues,
    pub(super) options: &'scope Options,
    pub(super) model: ClipSpec,
    pub(super) posts: BTreeMap<CameraId, Post<'a>>,
}

impl<'scope, 'a: 'scope> Station<'scope, '_, 'a> {
    /// Starts one more camera.
    pub(super) fn add(&mut self, id: CameraId, camera: Camera<'a>) -> Result<()> {
        let (spec, stop) = (camera.spec(&self.model), self.options.stop.child());
        let (tracker, camera) = Tracker::new(&spec, camera);
        let pulse = self.queues.add(id);
        self.posts.insert(id, Post { tracker, stop: stop.clone() });
        let tender = Tender { id, camera, queues: self.queues, pulse, spec, options: self.options, stop };
        spawn(self.scope, "camera", move || {
            tender.run();
            Ok(())
        })?;
        Ok(())
    }

    /// No camera will put anything any more.
    pub(super) fn end_all(&self) {
        self.posts.keys().for_each(|camera| self.queues.end(*camera));
    }

    /// Takes scores until nothing follows; tells the host, and does what it asks for.
    pub(super) fn consume(&mut self, scores: &Receiver<Scored>, host: &mut impl Host<'a>) -> Result<()> {
        loop {
            match scores.recv_timeout(ASK) {
                Ok((camera, message)) => {
                    let ended = message.tells(State::Ended);
                    if let Some(post) = self.posts.get_mut(&camera) {
                        post.tracker.take(message, &mut |news| host.news(camera, news))?;
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
                host.changes().into_iter().partition(|change| matches!(change, Change::Add(..)));
            coming.into_iter().chain(going).try_for_each(|change| self.apply(change))?;
        }
        while let Some(camera) = self.posts.keys().next().copied() {
            self.end(camera, host)?;
        }
        Ok(())
    }

    fn apply(&mut self, change: Change<'a>) -> Result<()> {
        match change {
            Change::Add(id, camera) => self.add(id, *camera),
            Change::Remove(camera) => {
                self.posts.get(&camera).into_iter().for_each(|post| post.stop.request());
                Ok(())
            }
        }
    }

    /// Tells the last of a camera, and lets it go.
    fn end(&mut self, camera: CameraId, host: &mut impl Host<'a>) -> Result<()> {
        let Some(mut post) = self.posts.remove(&camera) else { return Ok(()) };
        post.tracker.end(&mut |news| host.news(camera, news))?;
        host.gone(camera);
        Ok(())
    }
}
