//! Whether an input was analyzed before, with the same content, model and settings.

use super::exit::Outcome;
use super::one::{Finished, Setup};
use super::plan::OutputPlan;
use startle::media::GapReason;
use startle::record::Report;
use startle::report::claim::{ANNOTATED, OUTPUTS, Owner, owner};
use startle::report::json;
use startle::report::ledger::{Entry, Stamp};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What earlier runs have left.
#[derive(Debug, Default)]
pub struct Earlier {
    /// What the ledger says of the plan's inputs; none without `--resume`.
    ledger: HashMap<String, Entry>,
    root: PathBuf,
    /// Reports of videos that lie elsewhere now, by their content; looked for when one is wanted.
    moved: OnceLock<HashMap<String, Vec<PathBuf>>>,
}

impl Earlier {
    /// For a run that goes on, or not.
    pub fn new(resume: bool, root: &Path, plan: &OutputPlan<'_>) -> Self {
        let ledger = if resume { plan.entries() } else { HashMap::new() };
        Self { ledger, root: root.to_owned(), moved: OnceLock::new() }
    }

    /// How an input went, if it has not changed since and its report is whole: nothing but the ledger is read.
    pub fn known(&self, name: &str, stamp: Option<Stamp>, setup: &Setup<'_>) -> Option<Finished> {
        let entry = self.ledger.get(name)?;
        let same = entry.error.is_none() && entry.question == setup.question && entry.stamp == Some(stamp?);
        let at = |output: &&str| entry.folder.join(output);
        let untouched = same && entry.result.is_some() && Stamp::of(&at(&OUTPUTS[0])) == entry.result;
        let film = setup.args.annotate.then_some(ANNOTATED);
        let whole = untouched && OUTPUTS.iter().copied().chain(film).all(|output| at(&output).is_file());
        let outcome = match (entry.partial, entry.events) {
            (true, _) => Outcome::Partial,
            (false, 1..) if setup.args.fail_on_event => Outcome::EventsFound,
            _ => Outcome::Done,
        };
        whole.then_some(Finished { outcome, events: entry.events, row: None, stamp })
    }

    /// The finished report of this content, and its folder: `folder`, or where the same video was called otherwise.
    pub fn find(&self, folder: &Path, sha256: &str, setup: &Setup<'_>) -> Option<(Report, PathBuf)> {
        let before = |folder: &Path| Some((finished_before(folder, sha256, setup)?, folder.to_owned()));
        before(folder).or_else(|| {
            let moved = self.moved.get_or_init(|| moved(&self.root));
            moved.get(sha256).into_iter().flatten().find_map(|folder| before(folder))
        })
    }
}

/// Looks through the folders of `root`; none when it is not there.
fn moved(root: &Path) -> HashMap<String, Vec<PathBuf>> {
    let mut found: HashMap<String, Vec<PathBuf>> = HashMap::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders {
        if let Owner::Report(subject) = owner(&folder)
            && let Some(sha256) = subject.sha256
            // A video that still lies where it was keeps its report to itself.
            && !Path::new(&subject.path).exists()
        {
            found.entry(sha256).or_default().push(folder);
        }
    }
    found
}

/// The report in `folder`, if it answers the same question to its end.
fn finished_before(folder: &Path, sha256: &str, setup: &Setup<'_>) -> Option<Report> {
    let report = json::read(&folder.join("result.json")).ok()?;
    let same = report.input.sha256.as_deref() == Some(sha256)
        && report.model.sha256 == setup.key.model_sha256
        && report.config.asked == setup.config.asked;
    (same && !was_interrupted(&report)).then_some(report)
}

/// Whether the run ended before its video did; a file that is itself cut off has been analyzed to its end.
fn was_interrupted(report: &Report) -> bool {
    report.truncated && !report.input.gaps.iter().any(|gap| gap.reason == GapReason::Truncated)
}
