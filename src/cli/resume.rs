//! Whether an input was analyzed before, with the same content, model and settings.

use super::one::Setup;
use startle::media::GapReason;
use startle::record::{Report, RunConfig};
use startle::report::claim::{Owner, owner};
use startle::report::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Reports that lie under one folder, by the content of their inputs.
#[derive(Debug, Default)]
pub struct Earlier(HashMap<String, Vec<PathBuf>>);

impl Earlier {
    /// Looks through the folders of `root`; none when it is not there.
    pub fn below(root: &Path) -> Self {
        let mut found = Self::default();
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders {
            if let Owner::Report(subject) = owner(&folder)
                && let Some(sha256) = subject.sha256
                // A video that still lies where it was keeps its report to itself.
                && !Path::new(&subject.path).exists()
            {
                found.0.entry(sha256).or_default().push(folder);
            }
        }
        found
    }

    /// The finished report of this content, and its folder: `folder`, or where the same video was called otherwise.
    pub fn find(&self, folder: &Path, sha256: &str, setup: &Setup<'_>) -> Option<(Report, PathBuf)> {
        let moved = self.0.get(sha256).into_iter().flatten().map(PathBuf::as_path);
        let mut folders = std::iter::once(folder).chain(moved);
        folders.find_map(|folder| Some((finished_before(folder, sha256, setup)?, folder.to_owned())))
    }
}

/// The report in `folder`, if it answers the same question to its end.
fn finished_before(folder: &Path, sha256: &str, setup: &Setup<'_>) -> Option<Report> {
    let report = json::read(&folder.join("result.json")).ok()?;
    let same = report.input.sha256.as_deref() == Some(sha256)
        && report.model.sha256 == setup.key.model_sha256
        && asked(&report.config) == asked(&setup.config);
    (same && !was_interrupted(&report)).then_some(report)
}

/// Whether the run ended before its video did; a file that is itself cut off has been analyzed to its end.
fn was_interrupted(report: &Report) -> bool {
    report.truncated && !report.input.gaps.iter().any(|gap| gap.reason == GapReason::Truncated)
}

/// What was asked for that changes the numbers: neither what a run works out from it, nor how fast it was to go.
fn asked(config: &RunConfig) -> impl PartialEq + use<'_> {
    let RunConfig {
        stride,
        top_fraction,
        scene_cuts,
        frame_steps,
        track,
        fps,
        baseline,
        baseline_sha256,
        actions,
        asked,
        merge_s,
        min_duration_s,
        cool_down_s,
        device: _,
        threads: _,
        sessions: _,
        batch: _,
        promised_per_hour: _,
        check: _,
        threshold: _,
        threshold_low: _,
        threshold_rule: _,
    } = config;
    let detection = (asked, merge_s, min_duration_s, cool_down_s, top_fraction);
    (stride, scene_cuts, (frame_steps, track, fps), (baseline, baseline_sha256), actions, detection)
}
