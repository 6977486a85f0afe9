//! A watch on a thread of its own, for callers that ask for news when they want some.

use super::{Camera, CameraId, News, Options, watch};
use crate::error::{Error, Result};
use crate::model::Scorer;
use crate::units::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::thread::JoinHandle;
use std::time::Duration;

/// News that wait for the caller; one that does not ask holds up the model, and live cameras then drop clips.
const WAITING: usize = 64;

/// What came of waiting for news.
#[derive(Debug)]
pub enum Waited {
    /// Something happened.
    News(CameraId, Box<News>),
    /// Nothing did in the time given.
    Nothing,
    /// All cameras have ended and everything was told.
    End,
}

/// Cameras that are watched until this is dropped.
pub struct Background {
    news: Option<Receiver<(CameraId, News)>>,
    watching: Option<JoinHandle<Result<()>>>,
    stop: Stop,
}

impl Background {
    /// Starts to watch.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no thread.
    pub fn start(
        cameras: Vec<(CameraId, Camera<'static>)>,
        mut scorer: Box<dyn Scorer + Send>,
        options: Options,
    ) -> Result<Self> {
        let (tell, news) = bounded(WAITING);
        let stop = options.stop.clone();
        let host = move |camera, news| tell.send((camera, news)).map_err(|_| Error::Stopped);
        let watching = std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch(cameras, scorer.as_mut(), &options, host))
            .map_err(|e| Error::Internal { stage: "watch", reason: format!("can't start its thread: {e}") })?;
        Ok(Self { news: Some(news), watching: Some(watching), stop })
    }

    /// Waits for news, at most for so long.
    ///
    /// # Errors
    /// What ended the watch, once.
    pub fn next(&mut self, patience: Duration) -> Result<Waited> {
        let Some(news) = &self.news else { return Ok(Waited::End) };
        match news.recv_timeout(patience) {
            Ok((camera, news)) => Ok(Waited::News(camera, Box::new(news))),
            Err(RecvTimeoutError::Timeout) => Ok(Waited::Nothing),
            Err(RecvTimeoutError::Disconnected) => self.end().map(|()| Waited::End),
        }
    }

    /// Ends the watch and waits for its end; what was not asked for is lost.
    ///
    /// # Errors
    /// What had ended it before, if nobody was told.
    pub fn end(&mut self) -> Result<()> {
        self.stop.request();
        self.news = None;
        let Some(watching) = self.watching.take() else { return Ok(()) };
        let panicked = |_| Err(Error::Internal { stage: "watch", reason: "a panic".into() });
        match watching.join().unwrap_or_else(panicked) {
            Err(error) if !error.is_echo() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Whoever wanted to know what ended it has asked.
        self.end().ok();
    }
}
