//! Who wants to hear what happens: lines, deliveries, recordings, the dashboard.

use super::CameraConfig;
use super::alert::{self, Alert};
use super::engine::{CameraId, News};
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A piece of news as listeners get it; cheap to copy.
#[derive(Debug, Clone)]
pub struct Bulletin {
    /// Which camera.
    pub id: CameraId,
    /// Whose news it is.
    pub camera: Arc<CameraConfig>,
    /// What happened.
    pub news: Arc<News>,
    /// When it was told.
    pub at: SystemTime,
    /// Where the clip of an incident will be, if there will be one.
    pub clip: Option<PathBuf>,
    /// An incident as everybody outside gets it; made once for all.
    pub alert: Option<Arc<Alert>>,
}

impl Bulletin {
    /// Of news that is told at a time.
    pub fn new(id: CameraId, camera: Arc<CameraConfig>, news: News, at: SystemTime, clip: Option<PathBuf>) -> Self {
        let alert = match &news {
            News::Incident(incident) => Some(Arc::new(Alert::new(&camera.name, incident, at))),
            _ => None,
        };
        Self { id, camera, news: Arc::new(news), at, clip, alert }
    }

    /// The news as a line of JSON; `None` for points of the curve and what was learnt.
    pub fn line(&self) -> Option<String> {
        alert::line(self)
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
    fn take(&mut self, bulletin: &Bulletin) -> Result<()>;

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
