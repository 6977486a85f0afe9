//! `monitor.toml`: which cameras to watch, and how.
//!
//! ```toml
//! [defaults]
//! max_false_alarms = "1/day"
//! stall_s = 10
//!
//! [[camera]]
//! name = "gate"
//! url_env = "GATE_URL"
//! region = [[[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]]
//! ```
//!
//! Invariants: an unknown key is refused; every message names the file, the line and the key; a URL that is given in
//! the environment or in a file of its own appears nowhere, one in the configuration only without its secrets.

mod camera;
mod dashboard;
mod delivery;
mod evidence;
mod schedule;
mod toml_place;
mod values;

pub use camera::{CameraConfig, Threshold};
pub use dashboard::DashboardConfig;
pub use schedule::Schedule;

use super::deliver::DeliverySettings;
use super::evidence::{ClipSettings, JournalSettings};
use crate::error::Result;
use camera::{CameraSettings, WrittenCamera, fill_in};
use dashboard::WrittenDashboard;
use delivery::{Reader, WrittenCommand, WrittenMqtt, WrittenSpool, WrittenWebhook};
use evidence::{WrittenClips, WrittenJournal};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;
use toml_place::{TomlPlace, read};

/// The cameras of a configuration, in its order; never empty, names unique.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MonitorConfig {
    /// The cameras.
    pub cameras: Vec<CameraConfig>,
    /// `[clips]`: clips of the events.
    pub clips: Option<ClipSettings>,
    /// `[journal]`: the curves on disk.
    pub journal: Option<JournalSettings>,
    /// `[[webhook]]`, `[[command]]`, `[mqtt]`: where alerts go.
    pub delivery: Option<DeliverySettings>,
    /// `[dashboard]`: the page, where there is one.
    pub dashboard: Option<DashboardConfig>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    defaults: CameraSettings,
    #[serde(default)]
    camera: Vec<Spanned<WrittenCamera>>,
    clips: Option<WrittenClips>,
    journal: Option<WrittenJournal>,
    #[serde(default)]
    spool: WrittenSpool,
    #[serde(default)]
    webhook: Vec<Spanned<WrittenWebhook>>,
    #[serde(default)]
    command: Vec<WrittenCommand>,
    mqtt: Option<WrittenMqtt>,
    dashboard: Option<Spanned<WrittenDashboard>>,
}

impl MonitorConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Input`] when a file can't be read, [`Error::Config`] with file, line and key for the first thing that
    /// is wrong in it.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read(path)?;
        Self::from_toml(&text, &path.display().to_string(), &|name| std::env::var(name).ok())
    }

    /// Reads a configuration; `file` is its name in messages, `env` looks up environment variables.
    ///
    /// # Errors
    /// As [`MonitorConfig::load`].
    pub fn from_toml(text: &str, file: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let place = TomlPlace { text, file };
        let mut document = DeTable::parse(text).map_err(|e| place.of(&e))?;
        fill_in(document.get_mut());
        let written = Written::deserialize(toml::de::Deserializer::from(document)).map_err(|e| place.of(&e))?;
        if written.defaults.thresholds() > 1 {
            return Err(place.error(None, "[defaults] has several of max_false_alarms, p_value and z: keep one"));
        }
        if written.camera.is_empty() {
            return Err(place.error(None, "no camera: add a [[camera]] with a name and a url"));
        }
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut cameras = Vec::new();
        for spanned in written.camera {
            let span = spanned.span();
            let camera = spanned.into_inner();
            let name = camera.name.get_ref().clone();
            if name.is_empty() {
                return Err(place.error(Some(camera.name.span()), "the name is empty: name the camera"));
            }
            if let Some(line) = lines.insert(name.clone(), place.line(camera.name.span())) {
                let words = format!("two cameras are called \"{name}\" (the other in line {line}): rename one");
                return Err(place.error(Some(camera.name.span()), &words));
            }
            let input = camera.input(&place, span.clone(), env)?;
            let settings = camera.settings;
            if settings.thresholds() > 1 {
                let words = format!("camera \"{name}\" has several of max_false_alarms, p_value and z: keep one");
                return Err(place.error(Some(span), &words));
            }
            cameras.push(settings.camera(name, input));
        }
        let clips = written.clips.map(WrittenClips::settings).transpose().map_err(|words| place.error(None, &words))?;
        let journal = written.journal.map(WrittenJournal::settings);
        let names: Vec<String> = cameras.iter().map(|camera| camera.name.clone()).collect();
        let reader = Reader { place: &place, env, cameras: &names };
        let delivery = reader.delivery(written.spool, written.webhook, written.command, written.mqtt)?;
        let dashboard = written.dashboard.map(|spanned| {
            let span = spanned.span();
            spanned.into_inner().config(&place, span)
        });
        Ok(Self { cameras, clips, journal, delivery, dashboard: dashboard.transpose()? })
    }
}

#[cfg(test)]
mod tests;
