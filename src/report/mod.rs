//! What people look at: every output of a run, made from its [`Report`] alone.
//!
//! Invariants: nothing here runs a model, and nothing but [`annotate`](mod@annotate) decodes video; each file is complete or absent; the same report gives the
//! same bytes.

pub mod annotate;
mod axis;
pub mod below;
pub mod claim;
pub mod compare;
pub mod csv;
mod downsample;
pub mod evaluation;
mod files;
mod head;
pub mod html;
pub mod json;
pub mod jsonl;
pub mod ledger;
pub mod mini;
mod palette;
pub mod parquet;
pub mod plot;
mod plot_colours;
mod plot_evaluation;
pub mod ranking;
mod raster;
pub mod summary;
pub mod words;

pub use downsample::envelope;
pub use files::{prepare, write_atomic};
pub use jsonl::JsonLines;

use crate::error::Result;
use crate::record::Report;
use std::path::PathBuf;

/// Largest video that is put inside `report.html`, bytes. Base64 makes it a third larger, and browsers hold it in
/// memory; above this the report links to the original.
pub const EMBED_LIMIT: u64 = 25 << 20;

/// Where the outputs go and what goes into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputOptions {
    /// The output folder.
    pub dir: PathBuf,
    /// The analysed file, for the player; `None` for streams, or when it is no longer there.
    pub source_video: Option<PathBuf>,
    /// Largest video to embed in `report.html`, bytes; 0 always links.
    pub embed_limit: u64,
}

impl OutputOptions {
    /// Outputs in `dir`, without a player.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), source_video: None, embed_limit: EMBED_LIMIT }
    }

    /// With a player for `path`.
    #[must_use]
    pub fn with_video(mut self, path: impl Into<PathBuf>) -> Self {
        self.source_video = Some(path.into());
        self
    }
}

/// Writes `result.json` alone, so that the numbers are safe before what takes long.
///
/// # Errors
/// As [`write_all`].
pub fn write_result(report: &Report, dir: &std::path::Path) -> Result<PathBuf> {
    prepare(dir)?;
    write_atomic(dir, "result.json", &json::to_bytes(report)?)
}

/// Writes every output of a run and gives their paths, `result.json` first: should a later one fail, the numbers are
/// safe.
///
/// # Errors
/// [`crate::Error::Output`] when a file can't be written.
pub fn write_all(report: &Report, options: &OutputOptions) -> Result<Vec<PathBuf>> {
    let dir = options.dir.as_path();
    prepare(dir)?;
    let mut written = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| -> Result<()> {
        written.push(write_atomic(dir, name, bytes)?);
        Ok(())
    };
    put("result.json", &json::to_bytes(report)?)?;
    put("curve.csv", &csv::curve(&report.curve)?)?;
    put("events.csv", &csv::events(&report.events)?)?;
    for rate in &report.slower {
        put(&format!("curve_step{}.csv", rate.frame_step), &csv::curve(&rate.curve)?)?;
        put(&format!("events_step{}.csv", rate.frame_step), &csv::events(&rate.events)?)?;
    }
    put("curve.parquet", &parquet::curve(report)?)?;
    put("surprise.svg", plot::svg(report)?.as_bytes())?;
    put("surprise.png", &plot::png(report)?)?;
    put("report.html", html::page(report, options).as_bytes())?;
    Ok(written)
}
