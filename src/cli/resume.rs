//! Whether an input was analyzed before, with the same content, model and settings.

use super::one::Setup;
use startle::record::{Report, RunConfig};
use startle::report::json;
use std::path::Path;

/// The earlier report, if it answers the same question; `None` also for an input without a content hash.
pub fn finished_before(folder: &Path, sha256: Option<&str>, setup: &Setup<'_>) -> Option<Report> {
    let report = json::read(&folder.join("result.json")).ok()?;
    let same = sha256.is_some()
        && report.input.sha256.as_deref() == sha256
        && report.model.sha256 == setup.key.model_sha256
        && asked(&report.config) == asked(&setup.config);
    same.then_some(report)
}

/// The settings without what a run works out from them, and without those that do not change the numbers.
fn asked(config: &RunConfig) -> RunConfig {
    RunConfig {
        threads: 0,
        sessions: 0,
        batch: 0,
        device: String::new(),
        threshold: None,
        threshold_low: None,
        threshold_rule: String::new(),
        ..config.clone()
    }
}
