//! Results that lie below a folder, read side by side.

use super::complain;
use indicatif::{ProgressBar, ProgressStyle};
use startle::pipeline::run_all;
use startle::record::Report;
use startle::report::{below, json};
use startle::units::Stop;
use startle::{Error, Result};
use std::path::{Path, PathBuf};

/// A folder that there is.
///
/// # Errors
/// [`Error::Input`] when there is none of that name.
pub fn folder(path: &Path) -> Result<&Path> {
    if path.is_dir() {
        return Ok(path);
    }
    Err(Error::input(path.display().to_string(), "is not a folder of results"))
}

/// A result as it was read, or its folder and why it can't be.
pub type Read<T> = Result<T, (PathBuf, String)>;

/// What `of` takes of each result below `root`, in natural order; of one that can't be read its folder and why, which is
/// told. Also gives the first such error. One result at a time is in memory for each core.
///
/// # Errors
/// [`Error::Config`] when there is no result; [`Error::Stopped`].
pub fn fold_results<T: Send>(
    root: &Path,
    stop: &Stop,
    of: impl Fn(&Report, &Path) -> T + Sync,
) -> Result<(Vec<Read<T>>, Option<Error>)> {
    let folders = below::results(root, stop)?;
    if folders.is_empty() {
        return Err(Error::Config(format!("{}: there is no result.json in it or below it", root.display())));
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} results {eta}").unwrap_or(ProgressStyle::default_bar());
    let bar = ProgressBar::new(folders.len() as u64).with_style(style);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(folders.len());
    let read = |(): &mut (), folder: &PathBuf| {
        bar.inc(1);
        if stop.requested() {
            return None;
        }
        Some(json::read(&folder.join("result.json")).map(|report| of(&report, folder)))
    };
    let read: Option<Vec<Result<T>>> = run_all(&folders, jobs, || Ok(()), read)?.into_iter().collect();
    bar.finish_and_clear();
    let mut first = None;
    let tell = |(one, folder): (Result<T>, PathBuf)| {
        one.map_err(|error| {
            complain(&error);
            let text = error.to_string();
            first.get_or_insert(error);
            (folder, text)
        })
    };
    let all = read.ok_or(Error::Stopped)?.into_iter().zip(folders).map(tell).collect();
    Ok((all, first))
}
