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

/// Files that an evaluation leaves in its folder.
pub const OUTPUTS: [&str; 4] = ["evaluation.json", "cases.parquet", "evaluation.html", "evaluation.md"];

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
        write_atomic(dir, OUTPUTS[0], &json)?,
        write_atomic(dir, OUTPUTS[1], &parquet::cases(evaluation, cases)?)?,
        write_atomic(dir, OUTPUTS[2], page(evaluation, cases)?.as_bytes())?,
        write_atomic(dir, OUTPUTS[3], markdown(evaluation).as_bytes())?,
    ])
}
