//! The caller's side of a watch: starts and ends cameras, and turns scores into news.

use super::queue::Queues;
use super::score::Scored;
use super::tend::{Pulse, Tender};
use super::track::Tracker;
use super::{Camera, Change, Host, News, Options, State};
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::pipeline::spawn;
use crate::units::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the host is asked for changes at least.
const ASK: Duration = Duration::from_millis(200);

/// What the caller keeps of a camera.
pub(super) struct Post<'a> {
    /// `None` when it has ended and everything was told.
    tracker: Option<Tracker<'a>>,
    stop: Stop,
}

/// All cameras.
pub(super) struct Station<'scope, 'env, 'a> {
    pub(super) scope: &'scope std::thread::Scope<'scope, 'env>,
    pub(super) queues: &'scope Queues,
    pub(super) pulses: &'scope Mutex<Vec<Arc<Pulse>>>,
    pub(super) options: &'scope Options,
    pub(super) model: ClipSpec,
    pub(super) posts: Vec<Post<'a>>,
}

impl<'scope, 'a: 'scope> Station<'scope, '_, 'a> {
    /// Starts one more camera.
    pub(super) fn add(&mut self, camera: Camera<'a>) -> Result<()> {
        let (spec, stop, pulse) = (camera.spec(&self.model), self.options.stop.child(), Arc::new(Pulse::new()));
        let (tracker, camera) = Tracker::new(&spec, camera);
        let index = self.queues.add();
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        self.posts.push(Post { tracker: Some(tracker), stop: stop.clone() });
        let tender = Tender { index, camera, queues: self.queues, pulse, spec, options: self.options, stop };
        spawn(self.scope, "camera", move || {
            tender.run();
            Ok(())
        })?;
        Ok(())
    }

    /// No camera will put anything any more.
    pub(super) fn end_all(&self) {
        (0..self.posts.len()).for_each(|camera| self.queues.end(camera));
    }

    /// Takes scores until nothing follows; tells the host, and does what it asks for.
    pub(super) fn consume(&mut self, scores: &Receiver<Scored>, host: &mut impl Host<'a>) -> Result<()> {
        loop {
            match scores.recv_timeout(ASK) {
                Ok((camera, message)) => {
                    let ended = message.tells(State::Ended);
                    self.tell(camera, host, |tracker, each| tracker.take(message, each))?;
                    if ended {
                        self.tell(camera, host, |tracker, each| tracker.end(each))?;
                        self.posts[camera].tracker = None;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Those that come first: a watch without a camera would end.
            let (coming, going): (Vec<_>, Vec<_>) =
                host.changes().into_iter().partition(|change| matches!(change, Change::Add(_)));
            coming.into_iter().chain(going).try_for_each(|change| self.apply(change))?;
        }
        (0..self.posts.len()).try_for_each(|camera| self.tell(camera, host, |tracker, each| tracker.end(each)))
    }

    fn apply(&mut self, change: Change<'a>) -> Result<()> {
        match change {
            Change::Add(camera) => self.add(*camera),
            Change::Remove(camera) => {
                self.posts.iter().skip(camera).take(1).for_each(|post| post.stop.request());
                Ok(())
            }
        }
    }

    fn tell(
        &mut self,
        camera: usize,
        host: &mut impl Host<'a>,
        what: impl FnOnce(&mut Tracker<'a>, &mut dyn FnMut(News) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        match &mut self.posts[camera].tracker {
            Some(tracker) => what(tracker, &mut |news| host.news(camera, news)),
            None => Ok(()),
        }
    }
}
