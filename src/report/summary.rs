//! Many results side by side: `summary.json`, `summary.csv` and an `index.html` that links to each report, with its rows
//! in `index.data.js` beside it.
//!
//! Invariant: a row for every input, in the order given (on the page the most surprising first), also for those that
//! failed. A row takes about a kilobyte, so that a hundred thousand fit in memory.

use super::mini::Mini;
use super::{claim, csv, files, html, words};
use crate::error::{Error, Result};
use crate::record::{Event, Report};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The files of a summary; the first says whose they are.
const FILES: [&str; 4] = ["summary.json", "summary.csv", "index.html", "index.data.js"];

/// How one input went.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct InputRow {
    /// The input as the user named it.
    pub input: String,
    /// Its report folder; empty when it failed or was not its turn yet.
    pub folder: PathBuf,
    /// Why there is no report.
    pub error: Option<String>,
    /// Whether an earlier result was kept.
    pub skipped: bool,
    /// Whether the run ended before the video did.
    pub truncated: bool,
    /// Seconds of video.
    pub duration_s: f64,
    /// Breaks in the run of frames.
    pub gaps: usize,
    /// Events found.
    pub events: usize,
    /// Onset of the first event, seconds.
    pub first_onset_s: Option<f64>,
    /// Largest headline surprise.
    pub peak_surprise: Option<f32>,
    /// Smallest p-value of an event.
    pub best_p_value: Option<f32>,
    /// The literature's mean over windows.
    pub surprise_avg: Option<f64>,
    /// The literature's maximum over windows.
    pub surprise_max: Option<f64>,
    /// The model's name.
    pub model: String,
    /// Largest surprise over the threshold: how clearly there is something, whatever the model.
    pub score: Option<f32>,
    /// What the events are, each once: `missing`, `new`, …; `spike` or `slow` where the model can't tell.
    pub kinds: Vec<&'static str>,
    /// The curve in miniature.
    #[serde(skip)]
    pub mini: Mini,
}

impl InputRow {
    /// The row of a finished report that lies in `folder`; `skipped` when it was there before.
    pub fn of(report: &Report, folder: &Path, skipped: bool) -> Self {
        let peak = report.curve.iter().map(|p| p.surprise).reduce(f32::max);
        let scored = report.video_surprise.windows > 0;
        Self {
            input: report.input.path.clone(),
            folder: folder.to_owned(),
            error: None,
            skipped,
            truncated: report.truncated,
            duration_s: report.input.duration_s,
            gaps: report.input.gaps.len(),
            events: report.events.len(),
            first_onset_s: report.events.first().map(|e| e.onset_s),
            peak_surprise: peak,
            best_p_value: report.events.iter().filter_map(|e| e.p_value).reduce(f32::min),
            surprise_avg: scored.then_some(report.video_surprise.avg),
            surprise_max: scored.then_some(report.video_surprise.max),
            model: report.model.name.clone(),
            score: peak.zip(report.config.resolved.threshold).map(|(peak, threshold)| peak / threshold),
            kinds: kinds(report),
            mini: Mini::of(report),
        }
    }

    /// The row of an input that gave no report.
    pub fn failed(input: &str, error: &str) -> Self {
        Self { input: input.to_owned(), error: Some(error.to_owned()), ..Self::default() }
    }

    /// The row of an input that another part of the run will see to.
    pub fn pending(input: &str) -> Self {
        Self { input: input.to_owned(), ..Self::default() }
    }

    /// Whether there is a report to go to.
    pub fn has_report(&self) -> bool {
        !self.folder.as_os_str().is_empty()
    }

    /// One word for how it went.
    pub fn status(&self) -> &'static str {
        match self {
            Self { error: Some(_), .. } => "failed",
            row if !row.has_report() => "pending",
            Self { truncated: true, .. } => "truncated",
            Self { skipped: true, .. } => "kept",
            _ => "done",
        }
    }
}

/// What the events of a report are, each once, in alphabetical order.
fn kinds(report: &Report) -> Vec<&'static str> {
    let of = |event: &Event| event.what.as_ref().map_or(words::kind(event.kind), |what| what.kind.name());
    report.events.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Checks that a summary may be written to `root`: what lies there under its names is an earlier one.
///
/// # Errors
/// [`Error::Config`] that names the file that is somebody else's.
pub fn check(root: &Path) -> Result<()> {
    claim::check_ours(root, &FILES, FILES[0], "summary")
}

/// Writes the summary of `rows` to `root`.
///
/// # Errors
/// [`Error::Output`] when a file can't be written, and as [`check`].
pub fn write(root: &Path, rows: &[InputRow]) -> Result<Vec<PathBuf>> {
    write_of(root, || rows.to_vec())
}

/// As [`write`], of the rows that `rows` gives once it is this program's turn: what it reads in `root` is still so when
/// the summary is written.
///
/// # Errors
/// As [`write`].
pub fn write_of(root: &Path, rows: impl FnOnce() -> Vec<InputRow>) -> Result<Vec<PathBuf>> {
    files::prepare(root)?;
    let turn = File::open(root).map_err(|e| Error::output(root, e))?;
    // Some network disks know no locks.
    turn.lock().ok();
    check(root)?;
    let rows = &rows()[..];
    let fail = |e: serde_json::Error| Error::Internal { stage: "summary", reason: e.to_string() };
    let json = serde_json::to_vec_pretty(&Summary { inputs: rows, schema: "startle.summary/1" }).map_err(fail)?;
    Ok(vec![
        files::write_atomic(root, FILES[0], &json)?,
        files::write_atomic(root, FILES[1], &table(rows)?)?,
        files::write_atomic(root, FILES[3], html::index::data(root, rows)?.as_bytes())?,
        files::write_atomic(root, FILES[2], html::index::page(root, rows).as_bytes())?,
    ])
}

/// `summary.json`, in the order of its names.
#[derive(Serialize)]
struct Summary<'a> {
    inputs: &'a [InputRow],
    schema: &'static str,
}

fn table(rows: &[InputRow]) -> Result<Vec<u8>> {
    const COLUMNS: [&str; 14] = [
        "input",
        "status",
        "duration_s",
        "gaps",
        "events",
        "first_onset_s",
        "peak_surprise",
        "best_p_value",
        "surprise_avg",
        "surprise_max",
        "report",
        "error",
        "score",
        "kinds",
    ];
    fn cell<T: ToString>(value: Option<T>) -> String {
        value.map(|v| v.to_string()).unwrap_or_default()
    }
    csv::table(
        &COLUMNS,
        rows.iter().map(|row| {
            vec![
                csv::text(&row.input),
                row.status().to_owned(),
                row.duration_s.to_string(),
                row.gaps.to_string(),
                row.events.to_string(),
                cell(row.first_onset_s),
                cell(row.peak_surprise),
                cell(row.best_p_value),
                cell(row.surprise_avg),
                cell(row.surprise_max),
                csv::text(&row.folder.to_string_lossy()),
                csv::text(row.error.as_deref().unwrap_or_default()),
                cell(row.score),
                row.kinds.join(" "),
            ]
        }),
    )
}
