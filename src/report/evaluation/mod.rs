//! The outputs of an evaluation: `evaluation.json`, `cases.parquet`, `evaluation.html`, and its tables as text
//! (`evaluation.md`).
//!
//! Invariants: no number of the model is shown without those of the controls beside it; the terminal, Markdown and the
//! page show the same tables; the same evaluation gives the same bytes.

mod page;
mod parquet;
mod tables;
mod text;

pub use page::page;
pub use text::{markdown, table};

use super::{prepare, write_atomic};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, ScoredCase};
use std::path::{Path, PathBuf};

/// Writes the outputs of an evaluation to `dir` and gives their paths, `evaluation.json` first: should a later one fail,
/// the numbers are safe.
///
/// # Errors
/// [`Error::Output`] when a file can't be written.
pub fn write_all(evaluation: &Evaluation, cases: &[ScoredCase], dir: &Path) -> Result<Vec<PathBuf>> {
    prepare(dir)?;
    let fail = |e: serde_json::Error| Error::Internal { stage: "evaluation", reason: e.to_string() };
    let mut json = serde_json::to_vec_pretty(evaluation).map_err(fail)?;
    json.push(b'\n');
    Ok(vec![
        write_atomic(dir, "evaluation.json", &json)?,
        write_atomic(dir, "cases.parquet", &parquet::cases(evaluation, cases)?)?,
        write_atomic(dir, "evaluation.html", page(evaluation, cases)?.as_bytes())?,
        write_atomic(dir, "evaluation.md", markdown(evaluation).as_bytes())?,
    ])
}
