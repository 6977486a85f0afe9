//! The watch's host: passes news on to the listeners, and reads the configuration again when it is told to.

use super::cameras::Yard;
use startle::Result;
use startle::monitor::{Camera, Heard, Listener, MonitorConfig};
use startle::pipeline::live::{Change, Host, News};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Knows the cameras by their index.
pub(super) struct Control<'a> {
    path: Option<&'a Path>,
    /// As it was read at the start.
    config: MonitorConfig,
    /// Every camera that ever was, and whether it is watched.
    cameras: Vec<(Arc<Camera>, bool)>,
    yard: &'a Yard<'a>,
    listeners: &'a mut Vec<Box<dyn Listener>>,
    hang_up: Arc<AtomicBool>,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        (path, config): (Option<&'a Path>, MonitorConfig),
        cameras: Vec<Arc<Camera>>,
        yard: &'a Yard<'a>,
        listeners: &'a mut Vec<Box<dyn Listener>>,
        hang_up: Arc<AtomicBool>,
    ) -> Self {
        let cameras = cameras.into_iter().map(|camera| (camera, true)).collect();
        Self { path, config, cameras, yard, listeners, hang_up }
    }

    /// The differences between what is watched and what the configuration says now.
    fn reload(&mut self, path: &Path) -> Result<Vec<Change<'static>>> {
        let config = MonitorConfig::load(path)?;
        let rest = |config: &MonitorConfig| MonitorConfig { cameras: Vec::new(), ..config.clone() };
        if rest(&config) != rest(&self.config) {
            eprintln!("startle: only changes of cameras are taken over now; the rest needs a new start");
        }
        let wanted: Vec<Arc<Camera>> = config.cameras.into_iter().map(Arc::new).collect();
        let is_watched = |camera: &Arc<Camera>| self.cameras.iter().any(|(known, on)| *on && known == camera);
        let fresh: Vec<Arc<Camera>> = wanted.iter().filter(|camera| !is_watched(camera)).cloned().collect();
        // Everything that can fail comes before anything changes.
        let added = fresh.iter().map(|camera| self.yard.watched(camera)).collect::<Result<Vec<_>>>()?;
        let mut changes: Vec<Change<'static>> = added.into_iter().map(|camera| Change::Add(Box::new(camera))).collect();
        let gone = self.cameras.iter_mut().enumerate().filter(|(_, (camera, on))| *on && !wanted.contains(camera));
        for (index, (camera, on)) in gone {
            eprintln!("startle: camera {} ends: the configuration has changed", camera.name);
            *on = false;
            changes.push(Change::Remove(index));
        }
        for camera in fresh {
            eprintln!("startle: camera {} begins", camera.name);
            self.cameras.push((camera, true));
        }
        Ok(changes)
    }
}

impl Host<'static> for Control<'_> {
    fn news(&mut self, index: usize, news: News) -> Result<()> {
        let camera = self.cameras[index].0.as_ref();
        let clip = self.yard.clip(index, &camera.name, &news);
        let heard = Heard { index, camera, news: &news, at: SystemTime::now(), clip: clip.as_deref() };
        self.listeners.iter_mut().try_for_each(|listener| listener.take(heard))
    }

    fn changes(&mut self) -> Vec<Change<'static>> {
        if !self.hang_up.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let Some(path) = self.path else {
            eprintln!("startle: there is no configuration to read again: the cameras were named on the command line");
            return Vec::new();
        };
        self.reload(path).unwrap_or_else(|error| {
            eprintln!("startle: everything stays as it was: {error}");
            Vec::new()
        })
    }
}
