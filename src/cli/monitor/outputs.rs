//! What is kept of events and curves, and where alerts go.

use super::MonitorArgs;
use super::cameras::state_folder;
use startle::Result;
use startle::watch::deliver::Delivery;
use startle::watch::evidence::{ClipSettings, Evidence, JournalSettings};
use startle::watch::{MonitorConfig, Say};

/// Keeps what the configuration and the flags ask for; a flag's folder takes the place of the configured one.
pub(super) fn evidence(args: &MonitorArgs, config: &MonitorConfig, say: Say) -> Result<Option<Evidence>> {
    let clips = match (config.clips.clone(), args.clips.clone()) {
        (Some(settings), Some(folder)) => Some(ClipSettings { folder, ..settings }),
        (settings, folder) => settings.or(folder.map(ClipSettings::new)),
    };
    let journal = match (config.journal.clone(), args.curve.clone()) {
        (Some(settings), Some(folder)) => Some(JournalSettings { folder, ..settings }),
        (settings, folder) => settings.or(folder.map(JournalSettings::new)),
    };
    if clips.is_none() && journal.is_none() {
        return Ok(None);
    }
    Evidence::start(clips, journal, say).map(Some)
}

/// Sends alerts where the configuration says.
pub(super) fn delivery(config: &MonitorConfig, say: Say) -> Result<Option<Delivery>> {
    let Some(settings) = config.delivery.clone() else { return Ok(None) };
    let folder = settings.folder.clone().map_or_else(|| state_folder("spool"), Ok)?;
    let names: Vec<String> = config.cameras.iter().map(|camera| camera.name.clone()).collect();
    Delivery::start(settings, &folder, &names, say).map(Some)
}
