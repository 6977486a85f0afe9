//! `startle compare`: what changed between two runs over the same videos.

use super::below::{fold_results, folder};
use super::exit::Outcome;
use super::plain;
use clap::Args;
use startle::Result;
use startle::report::compare::{Video, compare, sentence, write};
use startle::units::Stop;
use std::io::Write;
use std::path::PathBuf;

/// Compare two runs over the same videos, of two models or two builds: which events came, went, moved or changed.
///
/// Standard output gets a line for each change: what, the video, when (seconds), the kind.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The folder of the first run's results.
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The folder of the second run's results.
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Where the comparison goes [default: AFTER].
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit with status 3 when an event appeared, is gone, moved or changed.
    #[arg(long)]
    fail_on_change: bool,
}

/// Runs the command.
pub fn run(args: &CompareArgs, stop: &Stop) -> Result<Outcome> {
    let mut outcome = Outcome::Done;
    let mut read = |root: &PathBuf| -> Result<Vec<Video>> {
        let (videos, failed) = fold_results(folder(root)?, stop, |report, _| Video::of(report))?;
        if failed.is_some() {
            outcome = outcome.worse(Outcome::Failed);
        }
        Ok(videos.into_iter().filter_map(std::result::Result::ok).collect())
    };
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let comparison = compare(before, after);
    let runs = [&args.before, &args.after].map(|run| run.display().to_string());
    let page = write(args.out.as_ref().unwrap_or(&args.after), [&runs[0], &runs[1]], &comparison)?;
    let mut out = std::io::stdout().lock();
    for change in &comparison.changes {
        let kind = change.after.as_ref().or(change.before.as_ref()).map_or("", |event| event.kind);
        // Nobody listening is fine.
        let _ = writeln!(out, "{}\t{}\t{:.2}\t{kind}", change.turn.name(), plain(&change.input), change.onset_s());
    }
    eprintln!("{}", sentence(&comparison));
    eprintln!("comparison: {}", page.display());
    let changed = args.fail_on_change && !comparison.changes.is_empty();
    Ok(if changed { outcome.worse(Outcome::EventsFound) } else { outcome })
}
