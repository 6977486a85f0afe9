//! The one plan of a run over many inputs: every part of it (`--shard`), and every worker of a part (`--jobs`), takes its
//! inputs from the same list; what is done is in the ledger, and the last part writes the summary of all.

use super::analyze::{AnalyzeArgs, Shard};
use super::exit::Outcome;
use super::one::{self, Finished};
use super::places::{self, Places};
use startle::engine::plan::cores;
use startle::media::open::Input;
use startle::pipeline::run_all;
use startle::report::json;
use startle::report::ledger::{Entry, Ledger, Stamp};
use startle::report::summary::{self, InputRow};
use startle::units::Stop;
use startle::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Up to so many inputs each part writes the summary of what is there; of more, reading all results each time would cost
/// more than the rest.
const SMALL: usize = 2000;

/// What is to be done, and what is known of it.
pub struct OutputPlan<'a> {
    args: &'a AnalyzeArgs,
    inputs: &'a [Input],
    places: &'a Places,
    shard: Shard,
    root: PathBuf,
    /// `None`: one input, alone.
    ledger: Option<Ledger>,
}

impl<'a> OutputPlan<'a> {
    /// Of the inputs that were named.
    ///
    /// # Errors
    /// When the folder of the reports is somebody else's, or can't be written to.
    pub fn new(args: &'a AnalyzeArgs, inputs: &'a [Input], places: &'a Places) -> Result<Self> {
        let root = places::root(args.out.as_deref());
        let shard = args.shard.unwrap_or(Shard { index: 1, of: 1 });
        let mut ledger = None;
        if inputs.len() > 1 {
            summary::check(&root)?;
            let names = inputs.iter().map(ToString::to_string);
            ledger = Some(Ledger::open(&root, (shard.index, shard.of), names, args.resume)?);
        }
        Ok(Self { args, inputs, places, shard, root, ledger })
    }

    /// This part's inputs: every `of`-th, the same for the same list, whatever the machine.
    pub fn items(&self) -> Vec<&'a Input> {
        part(self.inputs, self.shard)
    }

    /// What the ledger says of this part's inputs.
    pub fn entries(&self) -> HashMap<String, Entry> {
        let Some(ledger) = &self.ledger else { return HashMap::new() };
        let own: HashSet<String> = self.items().into_iter().map(ToString::to_string).collect();
        ledger.entries(|name| own.contains(name))
    }

    /// This part begins; tells whether the summary that lies there was made of all parts when all were done.
    pub fn begin(&self) -> bool {
        let Some(ledger) = &self.ledger else { return false };
        let written = std::fs::metadata(self.root.join("summary.json")).and_then(|meta| meta.modified()).ok();
        let whole = ledger.was_done() && written.zip(ledger.changed()).is_some_and(|(summary, line)| summary >= line);
        ledger.begin();
        whole
    }

    /// Writes down how an input went.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn note(&self, input: &Input, finished: &Finished, question: &str) -> Result<()> {
        let (Some(ledger), Some(row)) = (&self.ledger, &finished.row) else { return Ok(()) };
        if finished.outcome == Outcome::Interrupted {
            return Ok(());
        }
        ledger.put(Entry {
            input: input.to_string(),
            folder: row.folder.clone(),
            error: row.error.clone(),
            stamp: finished.stamp,
            result: Stamp::of(&row.folder.join("result.json")),
            question: question.to_owned(),
            events: finished.events,
            partial: finished.outcome == Outcome::Partial,
            at: 0,
        })
    }

    /// This part is done. The summary is written by the last part, by each of a small run, and not anew where all that it
    /// says was so `before`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(&self, items: &[&Input], done: &[Finished], before: bool, stop: &Stop) -> Result<()> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let last = !stop.requested() && ledger.finish()?;
        let unchanged = before && done.iter().all(|finished| finished.row.is_none());
        let mut told = self.root.join("index.html").display().to_string();
        if !last && self.inputs.len() > SMALL {
            told = format!("when every shard is done, or now: startle report {}", self.root.display());
        } else if !unchanged {
            summary::write_of(&self.root, || self.rows(ledger, items, done))?;
        }
        if !self.args.quiet {
            one::print_summary(done, &told);
        }
        Ok(())
    }

    /// A row for each input of the list: what this run did, and for all others what lies there of them.
    fn rows(&self, ledger: &Ledger, items: &[&Input], done: &[Finished]) -> Vec<InputRow> {
        let own: HashMap<&Input, &Finished> = items.iter().copied().zip(done).collect();
        let read = |input: &&Input| own.get(input).is_some_and(|finished| finished.row.is_some());
        let others: HashSet<String> = self.inputs.iter().filter(|one| !read(one)).map(ToString::to_string).collect();
        let known = ledger.entries(|name| others.contains(name));
        let row = |input: &Input| match own.get(input) {
            Some(Finished { row: Some(row), .. }) => row.clone(),
            mine => elsewhere(input, known.get(&input.to_string()), self.places, mine.is_some()),
        };
        // Nothing can fail here.
        run_all(self.inputs, cores(), || Ok::<(), Error>(()), |(), input| row(input)).unwrap_or_default()
    }
}

/// The row of an input that another part, or an earlier run, has seen to.
fn elsewhere(input: &Input, entry: Option<&Entry>, places: &Places, skipped: bool) -> InputRow {
    let name = input.to_string();
    if let Some(error) = entry.and_then(|entry| entry.error.as_ref()) {
        return InputRow::failed(&name, error);
    }
    let read = |folder: &Path| json::read(&folder.join("result.json")).ok().filter(|report| report.input.path == name);
    let folder = entry.map_or_else(|| places.of(input), |entry| entry.folder.clone());
    read(&folder).map_or_else(|| InputRow::pending(&name), |report| InputRow::of(&report, &folder, skipped))
}

/// Every `of`-th, starting with the `index`-th.
fn part<T>(all: &[T], Shard { index, of }: Shard) -> Vec<&T> {
    all.iter().skip(index - 1).step_by(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_disjoint_and_complete() {
        let all: Vec<i32> = (0..10).collect();
        let parts: Vec<Vec<i32>> =
            (1..=3).map(|index| part(&all, Shard { index, of: 3 }).into_iter().copied().collect()).collect();
        assert_eq!(parts, [vec![0, 3, 6, 9], vec![1, 4, 7], vec![2, 5, 8]]);
    }
}
