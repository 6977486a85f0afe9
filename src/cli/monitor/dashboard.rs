//! The page, where it is asked for.

use super::MonitorArgs;
use super::cameras::state_folder;
use startle::Result;
use startle::watch::engine::Meters;
use startle::watch::web::Dashboard;
use startle::watch::{DashboardConfig, Listener, MonitorConfig};
use std::sync::Arc;

/// Starts the dashboard that the configuration and the flags ask for; a flag's address takes the configured one's place.
pub(super) fn start(
    args: &MonitorArgs,
    config: &MonitorConfig,
    meters: &Arc<Meters>,
) -> Result<Option<Box<dyn Listener>>> {
    let clips = args.clips.clone().or_else(|| config.clips.as_ref().map(|clips| clips.folder.clone()));
    let config = match (config.dashboard.clone(), args.listen) {
        (Some(config), Some(listen)) => DashboardConfig { listen, ..config },
        (Some(config), None) => config,
        (None, Some(listen)) => DashboardConfig::at(listen),
        (None, None) => return Ok(None),
    };
    let state = args.state.clone().map_or_else(|| state_folder("cameras"), Ok)?;
    let dashboard = Dashboard::start(&config, clips, &state, Arc::clone(meters))?;
    // Told even when people want no lines: it is where to look, or what to mend.
    eprintln!("startle: the dashboard is at {}", dashboard.url());
    dashboard.warning().iter().for_each(|words| eprintln!("startle: {words}"));
    Ok(Some(Box::new(dashboard)))
}
