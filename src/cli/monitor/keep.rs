//! What is kept of events and curves.

use super::MonitorArgs;
use startle::Result;
use startle::monitor::MonitorConfig;
use startle::monitor::evidence::{ClipSettings, Evidence, JournalSettings};
use std::sync::Arc;

/// Keeps what the configuration and the flags ask for; a flag's folder takes the place of the configured one.
pub(super) fn evidence(args: &MonitorArgs, config: &MonitorConfig) -> Result<Option<Evidence>> {
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
    let say = Arc::new(|words: &str| eprintln!("startle: {words}"));
    Evidence::start(clips, journal, say).map(Some)
}
