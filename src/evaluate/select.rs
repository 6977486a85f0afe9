//! Which videos are compared with which, and by what number.
//!
//! Invariants: a comparison belongs where its impossible video belongs; a possible video goes wherever a video goes that
//! it is compared with, and by its own labels only if it is compared with none; control pairs stay among themselves.

use super::metrics::{Cell, Track};
use super::{Case, ScoredCase, VideoScores};
use std::collections::BTreeMap;

/// Videos that are compared with each other: every possible one with every impossible one.
#[derive(Debug, Clone, Default)]
pub struct Match<'a> {
    /// The possible videos.
    pub possible: Vec<&'a ScoredCase>,
    /// The impossible videos.
    pub impossible: Vec<&'a ScoredCase>,
}

/// Some of a dataset's videos: in matches, and all of them by sort.
#[derive(Debug, Clone, Default)]
pub struct Selection<'a> {
    /// Videos that are compared with each other.
    pub matches: Vec<Match<'a>>,
    /// Every possible video, once.
    pub possible: Vec<&'a ScoredCase>,
    /// Every impossible video, once.
    pub impossible: Vec<&'a ScoredCase>,
}

/// The videos whose case is `wanted`, with what they are compared with; no control pairs.
pub fn select(cases: &[ScoredCase], wanted: impl Fn(&Case) -> bool) -> Selection<'_> {
    let mut selection = Selection::default();
    for cell in cells(cases, false) {
        let (possible, impossible): (Vec<_>, Vec<_>) = cell.into_iter().partition(|c| c.case.possible);
        let alone = impossible.is_empty();
        let impossible: Vec<_> = impossible.into_iter().filter(|c| wanted(&c.case)).collect();
        if alone {
            selection.possible.extend(possible.into_iter().filter(|c| wanted(&c.case)));
        } else if !impossible.is_empty() {
            selection.add(possible, impossible);
        }
    }
    selection
}

/// The control pairs: both videos are possible, and the second by order of id stands for the impossible one.
pub fn controls(cases: &[ScoredCase]) -> Selection<'_> {
    let mut selection = Selection::default();
    for mut cell in cells(cases, true) {
        let second = cell.split_off(1);
        if !second.is_empty() {
            selection.add(cell, second);
        }
    }
    selection
}

impl<'a> Selection<'a> {
    fn add(&mut self, possible: Vec<&'a ScoredCase>, impossible: Vec<&'a ScoredCase>) {
        self.possible.extend(&possible);
        self.impossible.extend(&impossible);
        self.matches.push(Match { possible, impossible });
    }

    /// The matches' scores by one scorer and one number; videos that have none are left out.
    pub fn cells(&self, scorer: &str, number: impl Fn(&VideoScores) -> Option<f64>) -> Vec<Cell> {
        let of = |m: &Match<'_>| Cell {
            possible: numbers(&m.possible, scorer, &number),
            impossible: numbers(&m.impossible, scorer, &number),
        };
        self.matches.iter().map(of).collect()
    }

    /// The headline maxima by one scorer: of the impossible videos, of the possible videos.
    pub fn scores(&self, scorer: &str) -> (Vec<f64>, Vec<f64>) {
        (numbers(&self.impossible, scorer, &headline_max), numbers(&self.possible, scorer, &headline_max))
    }

    /// The curves of one scorer with their labels; impossible videos without a labelled onset are left out.
    pub fn tracks(&self, scorer: &str) -> Vec<Track<'a>> {
        self.possible.iter().chain(&self.impossible).filter_map(|c| track(c, scorer)).collect()
    }
}

fn numbers(cases: &[&ScoredCase], scorer: &str, number: &impl Fn(&VideoScores) -> Option<f64>) -> Vec<f64> {
    cases.iter().filter_map(|c| number(c.scores.get(scorer)?)).collect()
}

fn track<'a>(scored: &'a ScoredCase, scorer: &str) -> Option<Track<'a>> {
    let (case, scores) = (&scored.case, scored.scores.get(scorer)?);
    let onset_s = if case.possible { None } else { Some(case.onset_s?) };
    let place = case.place.filter(|_| !case.possible && case.hidden != Some(true));
    let what = case.what.filter(|_| !case.possible);
    Some(Track { scores, onset_s, place, what, duration_s: scored.duration_s })
}

/// Videos with the same group and pair, in order of group, pair and id.
fn cells(cases: &[ScoredCase], control: bool) -> Vec<Vec<&ScoredCase>> {
    let mut cells: BTreeMap<(&str, &str), Vec<&ScoredCase>> = BTreeMap::new();
    for scored in cases.iter().filter(|c| c.case.control == control) {
        cells.entry((&scored.case.group, &scored.case.pair)).or_default().push(scored);
    }
    let sorted = |mut cell: Vec<_>| {
        cell.sort_by(|a: &&ScoredCase, b| a.case.id.cmp(&b.case.id));
        cell
    };
    cells.into_values().map(sorted).collect()
}

/// Largest value of the curve: the headline number of a video. `None` of an empty curve.
pub fn headline_max(scores: &VideoScores) -> Option<f64> {
    scores.curve.iter().map(|p| f64::from(p.1)).reduce(f64::max).filter(|v| v.is_finite())
}

/// Mean of the curve; `None` of an empty one.
pub fn headline_mean(scores: &VideoScores) -> Option<f64> {
    let mean = scores.curve.iter().map(|p| f64::from(p.1)).sum::<f64>() / scores.curve.len() as f64;
    Some(mean).filter(|v| v.is_finite())
}

/// A number that a video is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistic {
    /// [`headline_max`].
    HeadlineMax,
    /// [`headline_mean`].
    HeadlineMean,
    /// The literature's mean over windows and context lengths.
    Avg,
    /// Its maximum over windows of the mean over context lengths.
    Max,
    /// Its mean over windows of the minimum over context lengths.
    FilteredAvg,
    /// Its maximum over windows of the minimum over context lengths.
    FilteredMax,
    /// Its mean over windows for one context length, frames.
    ContextAvg(u32),
    /// Its maximum over windows for one context length, frames.
    ContextMax(u32),
}

impl Statistic {
    /// The statistics that a video has.
    pub fn of(scores: &VideoScores) -> Vec<Self> {
        let fixed = [Self::HeadlineMax, Self::HeadlineMean, Self::Avg, Self::Max, Self::FilteredAvg, Self::FilteredMax];
        let contexts = scores.literature.per_context.keys().flat_map(|k| [Self::ContextAvg(*k), Self::ContextMax(*k)]);
        fixed.into_iter().chain(contexts).filter(|s| s.value(scores).is_some()).collect()
    }

    /// Its value for one video; `None` where nothing was scored.
    pub fn value(self, scores: &VideoScores) -> Option<f64> {
        let literature = (scores.literature.windows > 0).then_some(&scores.literature);
        match self {
            Self::HeadlineMax => headline_max(scores),
            Self::HeadlineMean => headline_mean(scores),
            Self::Avg => Some(literature?.avg),
            Self::Max => Some(literature?.max),
            Self::FilteredAvg => Some(literature?.filtered_avg),
            Self::FilteredMax => Some(literature?.filtered_max),
            Self::ContextAvg(frames) => Some(literature?.per_context.get(&frames)?.avg),
            Self::ContextMax(frames) => Some(literature?.per_context.get(&frames)?.max),
        }
        .filter(|v| v.is_finite())
    }

    /// Its name in tables and files.
    pub fn name(self) -> String {
        match self {
            Self::HeadlineMax => "headline max".into(),
            Self::HeadlineMean => "headline mean".into(),
            Self::Avg => "avg".into(),
            Self::Max => "max".into(),
            Self::FilteredAvg => "filtered_avg".into(),
            Self::FilteredMax => "filtered_max".into(),
            Self::ContextAvg(frames) => format!("context {frames} avg"),
            Self::ContextMax(frames) => format!("context {frames} max"),
        }
    }
}
