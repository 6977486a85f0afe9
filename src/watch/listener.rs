//! Who wants to hear what happens: lines, deliveries, recordings, the dashboard.

use super::{Camera, alert};
use crate::error::Result;
use crate::watch::engine::{CameraId, News};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A piece of news.
#[derive(Clone, Copy)]
pub struct Heard<'a> {
    /// Which camera.
    pub id: CameraId,
    /// Whose news it is.
    pub camera: &'a Arc<Camera>,
    /// What happened.
    pub news: &'a Arc<News>,
    /// When it was told.
    pub at: SystemTime,
    /// Where the clip of an incident will be, if there will be one.
    pub clip: Option<&'a Path>,
}

impl Heard<'_> {
    /// The news as a line of JSON; `None` for points of the curve.
    pub fn line(&self) -> Option<String> {
        alert::line_with_clip(&self.camera.name, self.news, self.at, self.clip)
    }
}

/// Hears everything that happens, in order, on one thread.
///
/// Implementers: return soon; what takes time (the network, a disk) is done elsewhere. What fails in a way that goes on
/// is kept and tried again; an error ends the whole watch.
pub trait Listener {
    /// Takes the next piece of news.
    ///
    /// # Errors
    /// When nothing sensible can be done without it.
    fn take(&mut self, heard: Heard<'_>) -> Result<()>;

    /// Nothing follows from this camera: what is kept of it in memory can go.
    fn gone(&mut self, camera: CameraId) {
        let _ = camera;
    }

    /// Nothing follows: finishes what is begun, but takes no longer than `limit`.
    ///
    /// # Errors
    /// When something that was taken is lost.
    fn finish(&mut self, limit: Duration) -> Result<()> {
        let _ = limit;
        Ok(())
    }
}
