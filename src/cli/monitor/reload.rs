//! The watch's host: passes news on to the listeners, and reads the configuration again when it is told to.

use super::cameras::CameraBuilder;
use startle::Result;
use startle::watch::engine::{CameraChange, CameraId, Host, News};
use startle::watch::{Bulletin, CameraConfig, Listener, MonitorConfig, Say};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Knows which camera has which number.
pub(super) struct Control<'a> {
    path: Option<&'a Path>,
    /// As it was read at the start.
    config: MonitorConfig,
    cameras: BTreeMap<CameraId, ListedCamera>,
    /// The number of the next camera.
    next: CameraId,
    builder: &'a CameraBuilder<'a>,
    listeners: &'a mut Vec<Box<dyn Listener>>,
    hang_up: Arc<AtomicBool>,
    say: Say,
}

/// A camera, until all of it was told.
struct ListedCamera {
    camera: Arc<CameraConfig>,
    /// The configuration still names it.
    wanted: bool,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        (path, config): (Option<&'a Path>, MonitorConfig),
        cameras: &[(CameraId, Arc<CameraConfig>)],
        builder: &'a CameraBuilder<'a>,
        listeners: &'a mut Vec<Box<dyn Listener>>,
        (hang_up, say): (Arc<AtomicBool>, Say),
    ) -> Self {
        let next = cameras.last().map_or(CameraId::new(0), |(id, _)| id.next());
        let watched = |(id, camera): &(CameraId, Arc<CameraConfig>)| {
            (*id, ListedCamera { camera: Arc::clone(camera), wanted: true })
        };
        Self { path, config, cameras: cameras.iter().map(watched).collect(), next, builder, listeners, hang_up, say }
    }

    /// The differences between what is watched and what the configuration says now.
    fn reload(&mut self, path: &Path) -> Result<Vec<CameraChange<'static>>> {
        let config = MonitorConfig::load(path)?;
        let rest = |config: &MonitorConfig| MonitorConfig { cameras: Vec::new(), ..config.clone() };
        if rest(&config) != rest(&self.config) {
            (self.say)("only changes of cameras are taken over now; the rest needs a new start");
        }
        let wanted: Vec<Arc<CameraConfig>> = config.cameras.into_iter().map(Arc::new).collect();
        let is_watched =
            |camera: &Arc<CameraConfig>| self.cameras.values().any(|known| known.wanted && known.camera == *camera);
        let fresh: Vec<Arc<CameraConfig>> = wanted.iter().filter(|camera| !is_watched(camera)).cloned().collect();
        let fresh: Vec<_> = std::iter::successors(Some(self.next), |id| Some(id.next())).zip(fresh).collect();
        // Everything that can fail comes before anything changes; what was made for those before is given back.
        let added = self.builder.watched_all(&fresh)?;
        let mut changes: Vec<CameraChange<'static>> =
            added.into_iter().map(|(id, camera)| CameraChange::Add(id, Box::new(camera))).collect();
        for (id, watched) in
            self.cameras.iter_mut().filter(|(_, known)| known.wanted && !wanted.contains(&known.camera))
        {
            (self.say)(&format!("camera {} ends: the configuration has changed", watched.camera.name));
            watched.wanted = false;
            changes.push(CameraChange::Remove(*id));
        }
        for (id, camera) in fresh {
            (self.say)(&format!("camera {} begins", camera.name));
            self.next = id.next();
            self.cameras.insert(id, ListedCamera { camera, wanted: true });
        }
        Ok(changes)
    }
}

impl Host<'static> for Control<'_> {
    fn news(&mut self, id: CameraId, news: News) -> Result<()> {
        let Some(ListedCamera { camera, .. }) = self.cameras.get(&id) else { return Ok(()) };
        let clip = self.builder.clip(id, &camera.name, &news);
        let bulletin = Bulletin::new(id, Arc::clone(camera), news, SystemTime::now(), clip);
        self.listeners.iter_mut().try_for_each(|listener| listener.take(&bulletin))
    }

    fn gone(&mut self, id: CameraId) {
        // One that has ended by itself is still shown.
        if self.cameras.get(&id).is_some_and(|watched| !watched.wanted) {
            self.cameras.remove(&id);
            self.listeners.iter_mut().for_each(|listener| listener.gone(id));
        }
    }

    fn changes(&mut self) -> Vec<CameraChange<'static>> {
        if !self.hang_up.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let Some(path) = self.path else {
            (self.say)("there is no configuration to read again: the cameras were named on the command line");
            return Vec::new();
        };
        self.reload(path).unwrap_or_else(|error| {
            (self.say)(&format!("everything stays as it was: {error}"));
            Vec::new()
        })
    }
}
