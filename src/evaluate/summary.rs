//! The whole evaluation as one record: every kind and group of violations, every scorer, every metric.
//!
//! Invariants: a row exists only if the dataset has such videos; every row has the same scorers, the controls beside the
//! model; the same cases give the same record, in whatever order they come.

use super::metrics::{
    Absolute, BoxHits, EventMetrics, Proportion, Ties, Told, VUS_BUFFER, absolute_accuracy, auroc, average_precision,
    box_hits, event_metrics, false_alarms_at_recall, pairwise_accuracy, slot_auroc, told, vus_pr,
};
use super::select::{Selection, Statistic, controls, headline_max, select};
use super::{Case, MODEL, Motion, NORMAL, PROMISED, SCORERS, ScoredCase};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The schema's name and version in `evaluation.json`.
pub const SCHEMA: &str = "startle.evaluation/1";
/// Best and worst pairs that are named.
const EXTREMES: usize = 3;

/// `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of startle that wrote it.
    pub startle_version: String,
    /// The dataset's name.
    pub dataset: String,
    /// The layout it was read as.
    pub layout: String,
    /// Name of the model.
    pub model: String,
    /// Every effective setting of the run.
    pub settings: BTreeMap<String, String>,
    /// Videos scored.
    pub cases: usize,
    /// The scorers, the model first; the rest are controls.
    pub scorers: Vec<String>,
    /// Kinds of violation, then groups of kinds, then all, then control pairs.
    pub rows: Vec<ViolationRow>,
    /// The pairs that the model tells apart best, best first, each impossible video once.
    pub best: Vec<PairMargin>,
    /// The pairs that the model tells apart worst, worst first, each impossible video once.
    pub worst: Vec<PairMargin>,
    /// How the baseline's promised rates were kept on the possible videos; empty without a baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<Reliability>,
}

/// What a row of the evaluation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scope {
    /// One kind of violation, or block of the dataset.
    Kind,
    /// Kinds taken together: in view or hidden, by motion.
    Group,
    /// Every violation.
    All,
    /// Pairs in which both videos are possible: pairwise accuracy has to be about 0.5.
    Control,
}

/// The numbers of one kind or group of violations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViolationRow {
    /// What it is about.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// Possible videos.
    pub possible: usize,
    /// Impossible videos; in control pairs, those that stand for them.
    pub impossible: usize,
    /// The numbers of every scorer, by its name.
    pub scorers: BTreeMap<String, ScorerRow>,
    /// The control that does best in pairwise accuracy (headline max); `None` without controls or pairs, and in control
    /// pairs, where nobody should do well.
    pub best_control: Option<BestControl>,
}

/// The numbers of one scorer in one row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScorerRow {
    /// Pairwise accuracy by each statistic of a video; the first, `headline max`, is the headline.
    pub accuracy: Vec<Accuracy>,
    /// Accuracy with one threshold for all videos, on headline max.
    pub absolute: Option<Absolute>,
    /// Area under the ROC curve over videos, on headline max, 0..1.
    pub auroc: Option<f64>,
    /// Average precision over videos, on headline max, 0..1.
    pub auprc: Option<f64>,
    /// Area under the ROC curve over slots, 0..1; `None` where no onset is labelled.
    pub slot_auroc: Option<f64>,
    /// Volume under the precision–recall surface over slots, 0..1.
    pub vus_pr: Option<f64>,
    /// False alarms an hour at the threshold that finds half of the onsets.
    pub false_alarms_at_recall_50: Option<f64>,
    /// The same for 85 % of the onsets.
    pub false_alarms_at_recall_85: Option<f64>,
    /// What its events are worth; `None` for scorers that have no event in any video: those without a baseline.
    pub events: Option<EventMetrics>,
    /// Whether its events point at the right place; in-view violations only.
    pub boxes: Option<BoxHits>,
    /// Whether its events say what they are; `None` for scorers that can't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// Pairwise accuracy by one statistic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Accuracy {
    /// The number that videos are compared by ([`Statistic::name`]).
    pub statistic: String,
    /// The same where a tie counts as wrong, as in the published code, if it counts half here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ties_wrong: Option<f64>,
    /// The accuracy, its 95 % interval and the number of comparisons.
    #[serde(flatten)]
    pub share: Proportion,
}

/// The control that the model has to beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BestControl {
    /// Its name.
    pub scorer: String,
    /// Its pairwise accuracy, 0..1.
    pub accuracy: f64,
    /// The model's pairwise accuracy minus its, −1..1.
    pub margin: f64,
}

/// A pair of videos and how clearly the model tells them apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PairMargin {
    /// Id of the possible video.
    pub possible: String,
    /// Id of the impossible video.
    pub impossible: String,
    /// Kind of violation.
    pub kind: String,
    /// Headline max of the impossible video minus that of the possible one; negative: told wrongly.
    pub margin: f64,
}

impl ViolationRow {
    /// Pairwise accuracy of a scorer by headline max.
    pub fn headline(&self, scorer: &str) -> Option<&Proportion> {
        self.scorers.get(scorer)?.accuracy_by(&Statistic::HeadlineMax.name())
    }
}

impl ScorerRow {
    /// Pairwise accuracy by a statistic, by its name.
    pub fn accuracy_by(&self, statistic: &str) -> Option<&Proportion> {
        self.accuracy.iter().find(|a| a.statistic == statistic).map(|a| &a.share)
    }
}

/// What `settings["ties"]` says where a tie counts as wrong.
pub const TIES_WRONG: &str = "count as wrong";

fn ties_are_wrong(settings: &BTreeMap<String, String>) -> bool {
    settings.get("ties").is_some_and(|said| said == TIES_WRONG)
}

impl Evaluation {
    /// Whether a tie counts as wrong in pairwise accuracy, and not half.
    pub fn ties_are_wrong(&self) -> bool {
        ties_are_wrong(&self.settings)
    }
}

/// How one promised rate was kept on possible videos, which the baseline has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reliability {
    /// Spikes an hour that were promised.
    pub promised_per_hour: f64,
    /// Spikes that came.
    pub spikes: usize,
    /// Hours of video that were looked at.
    pub hours: f64,
    /// Spikes an hour that came.
    pub seen_per_hour: f64,
}

/// How the baseline's promises were kept; empty where no case tells.
fn reliability(cases: &[ScoredCase]) -> Vec<Reliability> {
    let lawful: Vec<&ScoredCase> = cases.iter().filter(|c| c.spikes.len() == PROMISED.len()).collect();
    let hours = lawful.iter().map(|c| c.duration_s).sum::<f64>() / 3600.0;
    if lawful.is_empty() || hours <= 0.0 {
        return Vec::new();
    }
    let of = |(index, promised): (usize, f64)| {
        let spikes = lawful.iter().map(|c| c.spikes[index]).sum();
        Reliability { promised_per_hour: promised, spikes, hours, seen_per_hour: spikes as f64 / hours }
    };
    PROMISED.into_iter().enumerate().map(of).collect()
}

/// Evaluates scored cases. `settings["model"]` is the model's name; ties count half unless `settings["ties"]` is
/// [`TIES_WRONG`].
pub fn evaluate(dataset: &str, layout: &str, settings: BTreeMap<String, String>, cases: &[ScoredCase]) -> Evaluation {
    let scorers: Vec<&str> = SCORERS.into_iter().filter(|s| cases.iter().any(|c| c.scores.contains_key(*s))).collect();
    let with_events: BTreeSet<&str> = scorers.iter().copied().filter(|s| has_events(cases, s)).collect();
    let ties = if ties_are_wrong(&settings) { Ties::Wrong } else { Ties::Half };
    let row = |(scope, name, selection): (Scope, String, Selection<'_>)| {
        let of = |s: &&str| ((*s).to_owned(), scorer_row(scope, &selection, (s, ties), with_events.contains(s)));
        let mut row = ViolationRow {
            scope,
            name,
            possible: selection.possible.len(),
            impossible: selection.impossible.len(),
            scorers: scorers.iter().map(of).collect(),
            best_control: None,
        };
        row.best_control = best_control(&row, &scorers);
        row
    };
    let rows = selections(cases).into_iter().map(row).collect();
    let (best, worst) = extremes(&select(cases, |_| true));
    Evaluation {
        schema: SCHEMA.into(),
        startle_version: env!("CARGO_PKG_VERSION").into(),
        dataset: dataset.into(),
        layout: layout.into(),
        model: settings.get("model").cloned().unwrap_or_default(),
        settings,
        cases: cases.len(),
        scorers: scorers.iter().map(ToString::to_string).collect(),
        rows,
        best,
        worst,
        reliability: reliability(cases),
    }
}

/// The rows' videos, in the order of tables.
fn selections(cases: &[ScoredCase]) -> Vec<(Scope, String, Selection<'_>)> {
    let impossible = |c: &&ScoredCase| !c.case.possible && !c.case.control;
    let kinds: BTreeSet<&str> = cases.iter().filter(impossible).map(|c| c.case.kind.as_str()).collect();
    let of_kind = |kind: &str| (Scope::Kind, kind.to_owned(), select(cases, |c| c.kind == kind));
    let group = |name: &str, wanted: fn(&Case) -> bool| (Scope::Group, name.to_owned(), select(cases, wanted));
    let groups = [
        group("in view", |c| c.hidden == Some(false)),
        group("hidden", |c| c.hidden == Some(true)),
        group("adds motion", |c| c.motion == Some(Motion::Adds)),
        group("removes motion", |c| c.motion == Some(Motion::Removes)),
        group("neither", |c| c.motion == Some(Motion::Neither)),
    ];
    let some = |row: &(Scope, String, Selection<'_>)| !row.2.impossible.is_empty();
    let mut rows: Vec<_> = kinds.into_iter().map(of_kind).chain(groups).filter(some).collect();
    rows.push((Scope::All, "all".into(), select(cases, |c| c.kind != NORMAL)));
    let normal = select(cases, |c| c.kind == NORMAL);
    if !normal.possible.is_empty() {
        rows.push((Scope::Group, NORMAL.into(), normal));
    }
    rows.extend([(Scope::Control, "control".into(), controls(cases))].into_iter().filter(some));
    rows
}

fn has_events(cases: &[ScoredCase], scorer: &str) -> bool {
    cases.iter().any(|c| c.scores.get(scorer).is_some_and(|s| !s.events.is_empty()))
}

fn scorer_row(scope: Scope, selection: &Selection<'_>, (scorer, ties): (&str, Ties), with_events: bool) -> ScorerRow {
    let (impossible, possible) = selection.scores(scorer);
    let row = ScorerRow {
        accuracy: accuracies(selection, scorer, ties),
        auroc: auroc(&impossible, &possible),
        auprc: average_precision(&impossible, &possible),
        ..ScorerRow::default()
    };
    if scope == Scope::Control {
        return row;
    }
    let tracks = selection.tracks(scorer);
    ScorerRow {
        absolute: absolute_accuracy(&possible, &impossible),
        slot_auroc: slot_auroc(&tracks),
        vus_pr: vus_pr(&tracks, VUS_BUFFER),
        false_alarms_at_recall_50: false_alarms_at_recall(&tracks, 0.5),
        false_alarms_at_recall_85: false_alarms_at_recall(&tracks, 0.85),
        events: with_events.then(|| event_metrics(&tracks)),
        boxes: box_hits(&tracks),
        told: told(&tracks),
        ..row
    }
}

/// Pairwise accuracy by every statistic that a video of the selection has.
fn accuracies(selection: &Selection<'_>, scorer: &str, ties: Ties) -> Vec<Accuracy> {
    let videos = selection.impossible.iter().filter_map(|c| c.scores.get(scorer));
    let statistics: BTreeSet<Statistic> = videos.flat_map(Statistic::of).collect();
    let of = |statistic: Statistic| {
        let cells = selection.cells(scorer, |scores| statistic.value(scores));
        let wrong = || pairwise_accuracy(&cells, Ties::Wrong).map(|share| share.value);
        let ties_wrong = if ties == Ties::Half { wrong() } else { None };
        Some(Accuracy { statistic: statistic.name(), ties_wrong, share: pairwise_accuracy(&cells, ties)? })
    };
    statistics.into_iter().filter_map(of).collect()
}

fn best_control(row: &ViolationRow, scorers: &[&str]) -> Option<BestControl> {
    let model = row.headline(MODEL).filter(|_| row.scope != Scope::Control)?.value;
    let controls = scorers.iter().filter(|s| **s != MODEL).filter_map(|s| Some((*s, row.headline(s)?.value)));
    let (scorer, accuracy) = controls.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(BestControl { scorer: scorer.into(), accuracy, margin: model - accuracy })
}

/// The pairs with the largest and the smallest margins; an impossible video is in one of the lists only, and once.
fn extremes(all: &Selection<'_>) -> (Vec<PairMargin>, Vec<PairMargin>) {
    let value = |c: &ScoredCase| headline_max(c.scores.get(MODEL)?);
    let mut pairs: Vec<(f64, &Case, &Case)> = Vec::new();
    for matched in &all.matches {
        for (impossible, possible) in
            matched.impossible.iter().flat_map(|i| matched.possible.iter().map(move |p| (i, p)))
        {
            if let (Some(high), Some(low)) = (value(impossible), value(possible)) {
                pairs.push((high - low, &possible.case, &impossible.case));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.id.cmp(&b.2.id)));
    let videos = pairs.iter().map(|p| &p.2.id).collect::<BTreeSet<_>>().len();
    let mut named = BTreeSet::new();
    let best = first(pairs.iter(), EXTREMES.min(videos.div_ceil(2)), &mut named);
    let worst = first(pairs.iter().rev(), EXTREMES.min(videos / 2), &mut named);
    (best, worst)
}

/// The first `limit` pairs of impossible videos that are not `named` yet.
fn first<'a>(
    pairs: impl Iterator<Item = &'a (f64, &'a Case, &'a Case)>,
    limit: usize,
    named: &mut BTreeSet<&'a str>,
) -> Vec<PairMargin> {
    let record = |&(margin, possible, impossible): &(f64, &Case, &Case)| PairMargin {
        possible: possible.id.clone(),
        impossible: impossible.id.clone(),
        kind: impossible.kind.clone(),
        margin,
    };
    let mut found = Vec::new();
    for pair in pairs {
        if found.len() == limit {
            break;
        }
        if named.insert(&pair.2.id) {
            found.push(record(pair));
        }
    }
    found
}
