//! The tables of an evaluation, once, for every form they are shown in.
//!
//! Invariant: the model's column never stands without the controls'.

use super::super::words;
use crate::evaluate::metrics::Proportion;
use crate::evaluate::{BestControl, Evaluation, MODEL, Scope, ScorerRow, ViolationRow};

/// What stands where there is no number.
const NONE: &str = "–";

/// A table as text; the first column names the row, the others hold numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// How to read it, one sentence or two.
    pub note: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
    /// Before which rows a line is drawn.
    pub rules: Vec<usize>,
}

/// Pairwise accuracy of every kind and group.
pub fn accuracy(evaluation: &Evaluation) -> Table {
    let controls = || evaluation.scorers.iter().filter(|s| *s != MODEL);
    let heads = ["violation", "pairs", "model", "95 %"].map(str::to_owned).into_iter();
    let columns =
        heads.chain(controls().map(|s| words::short_scorer(s).to_owned())).chain(["over best control".into()]);
    let line = |row: &ViolationRow| {
        let model = row.headline(MODEL);
        let mut cells = vec![words::one_line(&row.name)];
        cells.push(model.map_or(NONE.into(), |m| m.n.to_string()));
        cells.push(share(model.map(|m| m.value)));
        cells.push(model.map_or(NONE.into(), interval));
        cells.extend(controls().map(|s| share(row.headline(s).map(|p| p.value))));
        let margin = |b: &BestControl| format!("{:+.1} {}", 100.0 * b.margin, words::short_scorer(&b.scorer));
        cells.push(row.best_control.as_ref().map_or(NONE.into(), margin));
        cells
    };
    let starts = evaluation.rows.windows(2).enumerate().filter(|(_, pair)| pair[0].scope != pair[1].scope);
    Table {
        title: "Pairwise accuracy".into(),
        note: "Of an impossible video and its possible twin, how often the impossible one has the larger headline maximum, \
               percent; chance is 50. Beside the model what needs no understanding gets, and how far the model is above \
               the best of these. In control pairs both videos are possible: every scorer should be at 50."
            .into(),
        columns: columns.collect(),
        rows: evaluation.rows.iter().map(line).collect(),
        rules: starts.map(|(i, _)| i + 1).collect(),
    }
}

/// The row of all violations.
pub fn all(evaluation: &Evaluation) -> Option<&ViolationRow> {
    evaluation.rows.iter().find(|r| r.scope == Scope::All)
}

/// Every metric of every scorer over all violations.
pub fn metrics(evaluation: &Evaluation) -> Table {
    let Some(all) = all(evaluation) else { return Table::default() };
    let scorers: Vec<&ScorerRow> = evaluation.scorers.iter().filter_map(|s| all.scorers.get(s)).collect();
    let line = |name: &str, cell: &dyn Fn(&ScorerRow) -> String| {
        std::iter::once(name.to_owned()).chain(scorers.iter().map(|s| cell(s))).collect::<Vec<_>>()
    };
    let pairwise = |statistic: String| {
        let by = |s: &ScorerRow| s.accuracy.iter().find(|a| a.statistic == statistic).cloned();
        let half = line(&format!("pairwise, {statistic}"), &|s| share(by(s).map(|a| a.share.value)));
        let tied =
            scorers.iter().filter_map(|s| by(s)).any(|a| a.ties_wrong.is_some_and(|wrong| wrong < a.share.value));
        let wrong = line(&format!("pairwise, {statistic}, ties wrong"), &|s| share(by(s).and_then(|a| a.ties_wrong)));
        std::iter::once(half).chain(tied.then_some(wrong)).collect::<Vec<_>>()
    };
    let blocks = [
        statistics(&scorers).into_iter().flat_map(pairwise).collect(),
        video_rows(&line),
        slot_rows(&line),
        event_rows(&line),
    ];
    let told = |row: &Vec<String>| row[1..].iter().any(|cell| cell != NONE);
    let blocks = blocks.map(|block: Vec<_>| block.into_iter().filter(told).collect::<Vec<_>>());
    let ends = blocks.iter().scan(0, |end, block| Some(std::mem::replace(end, *end + block.len())));
    let rules: Vec<usize> = ends.skip(1).zip(&blocks[1..]).filter(|b| !b.1.is_empty()).map(|b| b.0).collect();
    let scorers = evaluation.scorers.iter().map(|s| words::short_scorer(s).to_owned());
    Table {
        title: "Every metric, all violations".into(),
        note: format!(
            "Percent, unless a unit is given. In pairwise accuracy a tie counts {}. Videos are ranked by their headline \
             maximum. Slots within 0.5 s after an onset are positive, later ones of that video are left out. Scorers without \
             a calibrated baseline have no events; the false alarms at a fixed recall need none.",
            if evaluation.ties_are_wrong() {
                "as wrong, as in the published code"
            } else {
                "half; where there are ties, a second row counts them as wrong, as the published code does"
            }
        ),
        columns: std::iter::once("metric".to_owned()).chain(scorers).collect(),
        rows: blocks.concat(),
        rules,
    }
}

/// A row of a table from its name and what to show of each scorer.
type RowCells<'a> = dyn Fn(&str, &dyn Fn(&ScorerRow) -> String) -> Vec<String> + 'a;

fn video_rows(line: &RowCells<'_>) -> Vec<Vec<String>> {
    vec![
        line("one threshold, all videos", &|s| share(s.absolute.map(|a| a.accuracy))),
        line("one threshold, balanced", &|s| share(s.absolute.map(|a| a.balanced))),
        line("AUROC, videos", &|s| share(s.auroc)),
        line("AUPRC, videos", &|s| share(s.auprc)),
    ]
}

fn slot_rows(line: &RowCells<'_>) -> Vec<Vec<String>> {
    vec![
        line("AUROC, slots", &|s| share(s.slot_auroc)),
        line("VUS-PR, slots", &|s| share(s.vus_pr)),
        line("false alarms/h, recall 50 %", &|s| number(s.false_alarms_at_recall_50)),
        line("false alarms/h, recall 85 %", &|s| number(s.false_alarms_at_recall_85)),
    ]
}

fn event_rows(line: &RowCells<'_>) -> Vec<Vec<String>> {
    let seconds = |v: Option<f64>| v.map_or(NONE.into(), |v| format!("{v:+.2}"));
    vec![
        line("events: F1, ±0.5 s", &|s| share(s.events.as_ref().and_then(|e| e.f1))),
        line("events: recall", &|s| share(s.events.as_ref().and_then(|e| e.recall).map(|r| r.value))),
        line("events: precision", &|s| share(s.events.as_ref().and_then(|e| e.precision))),
        line("events: false alarms/h", &|s| number(s.events.as_ref().and_then(|e| e.false_alarms_per_hour))),
        line("events: median delay, s", &|s| seconds(s.events.as_ref().and_then(|e| e.delay_median_s))),
        line("events: 90 % delay, s", &|s| seconds(s.events.as_ref().and_then(|e| e.delay_p90_s))),
        line("events: right place", &|s| share(s.boxes.map(|b| b.share.value))),
        line("events: same, by chance", &|s| share(s.boxes.and_then(|b| b.chance))),
        line("events: right kind", &|s| share(s.told.and_then(|t| t.kind).map(|p| p.value))),
        line("events: thing's box right", &|s| share(s.told.and_then(|t| t.place).map(|p| p.value))),
    ]
}

/// The statistics of pairwise accuracy that any scorer has, in the order of the first scorer that has it.
fn statistics(scorers: &[&ScorerRow]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for accuracy in scorers.iter().flat_map(|s| &s.accuracy) {
        if !names.contains(&accuracy.statistic) {
            names.push(accuracy.statistic.clone());
        }
    }
    names
}

/// A share as percent with one decimal.
pub fn share(value: Option<f64>) -> String {
    value.map_or(NONE.into(), |v| format!("{:.1}", 100.0 * v))
}

/// A 95 % interval in percent.
pub fn interval(p: &Proportion) -> String {
    format!("{:.1}–{:.1}", 100.0 * p.low, 100.0 * p.high)
}

fn number(value: Option<f64>) -> String {
    value.map_or(NONE.into(), words::number)
}
