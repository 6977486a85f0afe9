//! Two runs over the same videos: which events came, went, moved or turned into something else.
//!
//! Invariants: each event of each run is in exactly one change or unchanged; the same runs give the same bytes.

use super::html::parts::listing;
use super::{claim, csv, files, words};
use crate::error::{Error, Result};
use crate::record::{Event, Report};
use maud::html;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files of a comparison; the first says whose they are.
const FILES: [&str; 3] = ["compare.json", "compare.csv", "compare.html"];
/// Events of two runs further apart than this are two events, seconds.
const SAME_S: f64 = 1.0;
/// An onset that differs by more has moved, seconds.
const MOVED_S: f64 = 0.15;
/// Lines of the page; the tables hold them all.
const LINES: usize = 2000;

/// An event, small enough to keep for every video of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Brief {
    /// Seconds from the start of the container.
    pub onset_s: f64,
    /// Surprise at the peak over the threshold that was in force.
    pub score: Option<f32>,
    /// `missing`, `new`, …; `spike` or `slow` where the model can't tell.
    pub kind: &'static str,
    /// What happened, a sentence; empty where the model can't tell.
    pub sentence: String,
}

/// A video of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Video {
    /// As the user named it.
    pub input: String,
    /// Its content.
    pub sha256: Option<String>,
    /// Its events, in order of time.
    pub events: Vec<Brief>,
}

impl Video {
    /// What a comparison needs of a report.
    pub fn of(report: &Report) -> Self {
        let brief = |event: &Event| Brief {
            onset_s: event.onset_s,
            score: report.config.resolved.threshold.map(|threshold| event.score / threshold),
            kind: event.what.as_ref().map_or(words::kind(event.kind), |what| what.kind.name()),
            sentence: event.what.as_ref().map(|what| what.sentence.clone()).unwrap_or_default(),
        };
        Self {
            input: report.input.path.clone(),
            sha256: report.input.sha256.clone(),
            events: report.events.iter().map(brief).collect(),
        }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Turn {
    /// In the second run only.
    Appeared,
    /// In the first run only.
    Gone,
    /// In both, of another kind.
    Changed,
    /// In both, at another time.
    Moved,
}

impl Turn {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Moved => "moved",
        }
    }
}

/// An event that is not in both runs alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventChange {
    /// The video as the second run names it.
    pub input: String,
    /// What became of it.
    pub turn: Turn,
    /// In the first run.
    pub before: Option<Brief>,
    /// In the second run.
    pub after: Option<Brief>,
}

impl EventChange {
    /// When: in the second run if it is there.
    pub fn onset_s(&self) -> f64 {
        self.after.as_ref().or(self.before.as_ref()).map_or(0.0, |event| event.onset_s)
    }
}

/// Two runs side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Videos in both runs.
    pub videos: usize,
    /// Events that are in both alike.
    pub unchanged: usize,
    /// The rest: what appeared first, then what is gone, changed, moved.
    pub changes: Vec<EventChange>,
    /// Videos of the first run only.
    pub only_before: Vec<String>,
    /// Videos of the second run only.
    pub only_after: Vec<String>,
}

/// Compares two runs: videos of one name, or else of one content, are one.
pub fn compare(before: Vec<Video>, after: Vec<Video>) -> Comparison {
    let mut out = Comparison::default();
    let mut left: Vec<Option<Video>> = before.into_iter().map(Some).collect();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut by_content: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, video) in left.iter().enumerate().filter_map(|(i, v)| Some((i, v.as_ref()?))) {
        by_name.insert(video.input.clone(), index);
        video.sha256.iter().for_each(|sha256| by_content.entry(sha256.clone()).or_default().push(index));
    }
    let mut unnamed = Vec::new();
    for video in after {
        match by_name.get(&video.input).and_then(|index| left[*index].take()) {
            Some(earlier) => pair(&earlier, video, &mut out),
            None => unnamed.push(video),
        }
    }
    for video in unnamed {
        let same = video.sha256.as_ref().and_then(|sha256| by_content.get(sha256));
        let free = same.and_then(|all| all.iter().copied().find(|index| left[*index].is_some()));
        match free.and_then(|index| left[index].take()) {
            Some(earlier) => pair(&earlier, video, &mut out),
            None => out.only_after.push(video.input),
        }
    }
    out.only_before = left.into_iter().flatten().map(|video| video.input).collect();
    out.changes
        .sort_by(|a, b| (a.turn, &a.input).cmp(&(b.turn, &b.input)).then_with(|| a.onset_s().total_cmp(&b.onset_s())));
    out
}

/// The events of one video in both runs: the closest in time belong together.
fn pair(before: &Video, after: Video, out: &mut Comparison) {
    out.videos += 1;
    let mut near: Vec<(usize, usize)> = Vec::new();
    for (a, old) in before.events.iter().enumerate() {
        let close = after.events.iter().enumerate().filter(|(_, new)| (new.onset_s - old.onset_s).abs() <= SAME_S);
        near.extend(close.map(|(b, _)| (a, b)));
    }
    let apart = |(a, b): &(usize, usize)| (before.events[*a].onset_s - after.events[*b].onset_s).abs();
    near.sort_by(|x, y| apart(x).total_cmp(&apart(y)));
    let mut partner: Vec<Option<usize>> = vec![None; after.events.len()];
    let mut taken = vec![false; before.events.len()];
    for (a, b) in near {
        if !taken[a] && partner[b].is_none() {
            taken[a] = true;
            partner[b] = Some(a);
        }
    }
    let gone = before.events.iter().zip(taken).filter(|(_, taken)| !taken).map(|(event, _)| EventChange {
        input: after.input.clone(),
        turn: Turn::Gone,
        before: Some(event.clone()),
        after: None,
    });
    out.changes.extend(gone);
    for (event, partner) in after.events.into_iter().zip(partner) {
        let old = partner.map(|a| before.events[a].clone());
        let turn = match &old {
            None => Turn::Appeared,
            Some(old) if old.kind != event.kind => Turn::Changed,
            Some(old) if (old.onset_s - event.onset_s).abs() > MOVED_S => Turn::Moved,
            Some(_) => {
                out.unchanged += 1;
                continue;
            }
        };
        out.changes.push(EventChange { input: after.input.clone(), turn, before: old, after: Some(event) });
    }
}

/// Writes `compare.json`, `compare.csv` and `compare.html` to `dir` and gives the page; `runs`: how the user named them.
///
/// # Errors
/// [`Error::Output`] when a file can't be written; [`Error::Config`] when one is there and not startle's.
pub fn write(dir: &Path, runs: [&str; 2], comparison: &Comparison) -> Result<PathBuf> {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: &'static str,
        before: &'a str,
        after: &'a str,
        #[serde(flatten)]
        comparison: &'a Comparison,
    }
    files::prepare(dir)?;
    claim::check_ours(dir, &FILES, FILES[0], "comparison")?;
    let whole = Whole { schema: "startle.comparison/1", before: runs[0], after: runs[1], comparison };
    let fail = |e: serde_json::Error| Error::Internal { stage: "compare", reason: e.to_string() };
    let mut json = serde_json::to_vec_pretty(&whole).map_err(fail)?;
    json.push(b'\n');
    files::write_atomic(dir, FILES[0], &json)?;
    files::write_atomic(dir, FILES[1], &table(comparison)?)?;
    files::write_atomic(dir, FILES[2], page(runs, comparison).as_bytes())
}

fn table(comparison: &Comparison) -> Result<Vec<u8>> {
    const COLUMNS: [&str; 10] = [
        "turn",
        "input",
        "onset_before_s",
        "onset_after_s",
        "kind_before",
        "kind_after",
        "score_before",
        "score_after",
        "sentence_before",
        "sentence_after",
    ];
    let row = |change: &EventChange| {
        let sides = [change.before.as_ref(), change.after.as_ref()];
        let mut row = vec![change.turn.name().to_owned(), csv::text(&change.input)];
        row.extend(sides.map(|e| e.map(|e| e.onset_s.to_string()).unwrap_or_default()));
        row.extend(sides.map(|e| e.map(|e| e.kind.to_owned()).unwrap_or_default()));
        row.extend(sides.map(|e| e.and_then(|e| e.score).map(|s| s.to_string()).unwrap_or_default()));
        row.extend(sides.map(|e| e.map(|e| csv::text(&e.sentence)).unwrap_or_default()));
        row
    };
    csv::table(&COLUMNS, comparison.changes.iter().map(row))
}

/// How it came out, as a sentence.
pub fn sentence(comparison: &Comparison) -> String {
    let counted = |turn| comparison.changes.iter().filter(|change| change.turn == turn).count();
    let of = |turn: Turn| format!("{} {}", counted(turn), turn.name());
    let turns = [Turn::Appeared, Turn::Gone, Turn::Changed, Turn::Moved].map(of).join(", ");
    let alone = comparison.only_before.len() + comparison.only_after.len();
    let alone = if alone > 0 { format!("; {} in one run only", words::count(alone, "video")) } else { String::new() };
    format!("{turns}, {} unchanged in {}{alone}", comparison.unchanged, words::count(comparison.videos, "video"))
}

fn page(runs: [&str; 2], comparison: &Comparison) -> String {
    let event = |event: Option<&Brief>| {
        html! {
            @if let Some(e) = event {
                (words::time(e.onset_s))
                @if let Some(score) = e.score { " · " (words::number(f64::from(score))) "× threshold" }
                br;
                small { @if e.sentence.is_empty() { (e.kind) } @else { (e.sentence) } }
            } @else { "–" }
        }
    };
    let only = |title: &str, names: &[String]| {
        html! {
            @if !names.is_empty() {
                h2 { (title) }
                ul { @for name in names.iter().take(LINES) { li { (words::one_line(name)) } } }
            }
        }
    };
    let more = comparison.changes.len().saturating_sub(LINES);
    let tables = html! {
        table.wide {
            thead { tr {
                th scope="col" { "what" }
                th scope="col" { "input" }
                @for run in runs { th scope="col" { (words::one_line(run)) } }
            } }
            tbody { @for change in comparison.changes.iter().take(LINES) {
                tr {
                    td { span.tag { (change.turn.name()) } }
                    th scope="row" { (words::one_line(&change.input)) }
                    td { (event(change.before.as_ref())) }
                    td { (event(change.after.as_ref())) }
                }
            } }
        }
        @if more > 0 { p.note { "… and " (more) " more in compare.csv." } }
        (only("In the first run only", &comparison.only_before))
        (only("In the second run only", &comparison.only_after))
    };
    listing("Comparison", &sentence(comparison), &tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(onset_s: f64, kind: &'static str) -> Brief {
        Brief { onset_s, score: Some(1.5), kind, sentence: String::new() }
    }

    fn video(input: &str, sha256: &str, events: &[Brief]) -> Video {
        Video { input: input.into(), sha256: Some(sha256.into()), events: events.to_vec() }
    }

    #[test]
    fn each_event_has_one_turn() {
        let before = vec![
            video("a", "1", &[event(1.0, "new"), event(3.0, "colour"), event(5.0, "size"), event(9.0, "new")]),
            video("old name", "2", &[event(1.0, "new")]),
            video("lost", "3", &[]),
        ];
        let after = vec![
            video("a", "1", &[event(1.05, "new"), event(3.0, "shape"), event(5.4, "size"), event(7.0, "new")]),
            video("new name", "2", &[event(1.0, "new")]),
            video("fresh", "4", &[]),
        ];
        let found = compare(before, after);
        let turns: Vec<_> = found.changes.iter().map(|c| (c.turn, c.onset_s())).collect();
        assert_eq!(turns, [(Turn::Appeared, 7.0), (Turn::Gone, 9.0), (Turn::Changed, 3.0), (Turn::Moved, 5.4)]);
        assert_eq!((found.videos, found.unchanged), (2, 2));
        assert_eq!((found.only_before.join(" "), found.only_after.join(" ")), ("lost".into(), "fresh".into()));
        assert!(
            sentence(&found)
                .starts_with("1 appeared, 1 gone, 1 changed, 1 moved, 2 unchanged in 2 videos; 2 videos in")
        );
    }

    #[test]
    fn the_closest_events_belong_together() {
        let before = vec![video("a", "1", &[event(2.0, "new"), event(2.9, "new")])];
        let after = vec![video("a", "1", &[event(2.85, "new")])];
        let found = compare(before, after);
        assert_eq!(found.changes.iter().map(|c| (c.turn, c.onset_s())).collect::<Vec<_>>(), [(Turn::Gone, 2.0)]);
    }
}
