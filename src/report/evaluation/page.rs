//! `evaluation.html`: the evaluation as a page that stands alone, without a script.

use super::super::html::parts::{self, section};
use super::super::{plot_evaluation as plot, words};
use super::tables::{self, Table};
use super::text::heading;
use crate::error::Result;
use crate::evaluate::metrics::{precision_recall, roc};
use crate::evaluate::select::select;
use crate::evaluate::{Evaluation, MODEL, PairMargin, Reliability, SCORERS, Scope, ScoredCase};
use maud::{Markup, PreEscaped, html};

/// The page.
///
/// # Errors
/// [`crate::Error::Internal`]: drawing into memory fails only by a fault of ours.
pub fn page(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<String> {
    let body = html! {
        header.top {
            p.brand { "startle · evaluation" }
            h1 { (words::one_line(&evaluation.dataset)) }
            p.lead { (lead(evaluation)) }
            dl.facts { (facts(evaluation)) }
        }
        main {
            (accuracy(evaluation))
            (section("bars", "The model against the best control", &bars(evaluation)?))
            (section("curves", "All videos on one scale", &curves(evaluation, cases)?))
            @if let Some(first) = evaluation.reliability.first() {
                (section("promises", "Promised rates", &reliability(&evaluation.reliability, first.hours)?))
            }
            (metrics(evaluation))
            (section("pairs", "Best and worst pairs", &pairs(evaluation, cases)?))
            (parts::settings("Settings", &settings(evaluation)))
        }
        footer { p {
            "Made by startle " (evaluation.startle_version) ". The numbers behind this page: "
            code { "evaluation.json" } ", " code { "cases.parquet" } "."
        } }
    };
    let css = [include_str!("../assets/evaluation.css"), &plot::style()].concat();
    let title = format!("{} – startle", heading(evaluation));
    Ok(parts::document(&title, Some(&evaluation.startle_version), &css, body, &html! {}))
}

/// The result in a sentence.
fn lead(evaluation: &Evaluation) -> Markup {
    let Some((all, model)) = tables::all(evaluation).and_then(|all| Some((all, all.headline(MODEL)?))) else {
        return html! { "No pair of a possible and an impossible video could be compared." };
    };
    html! {
        strong { (tables::share(Some(model.value))) " %" } " of " (model.n) " pairs told apart ("
        (tables::interval(model)) " %)"
        @if let Some(best) = &all.best_control {
            ". The best control, " (best.scorer) ", gets " (tables::share(Some(best.accuracy))) " %."
        } @else {
            "; no control was run."
        }
    }
}

fn facts(evaluation: &Evaluation) -> Markup {
    let facts = [
        ("dataset", evaluation.dataset.clone()),
        ("layout", evaluation.layout.clone()),
        ("model", evaluation.model.clone()),
        ("videos", evaluation.cases.to_string()),
    ];
    parts::facts(facts.into_iter().filter(|(_, value)| !value.is_empty()))
}

fn accuracy(evaluation: &Evaluation) -> Markup {
    let all = |row: usize| evaluation.rows[row].scope == Scope::All;
    section("accuracy", "Pairwise accuracy", &table(&tables::accuracy(evaluation), all))
}

fn metrics(evaluation: &Evaluation) -> Markup {
    section("metrics", "Every metric, all violations", &table(&tables::metrics(evaluation), |_| false))
}

/// A table with how to read it; rows that are `strong` stand out.
fn table(table: &Table, strong: impl Fn(usize) -> bool) -> Markup {
    html! {
        p.note { (table.note) }
        div.scroll tabindex="0" role="region" aria-label=(table.title) { table.wide {
            thead { tr { @for (i, name) in table.columns.iter().enumerate() { th.num[i > 0] scope="col" { (name) } } } }
            tbody { @for (i, cells) in table.rows.iter().enumerate() {
                tr.rule[table.rules.contains(&i)].strong[strong(i)] {
                    @for (i, text) in cells.iter().enumerate() {
                        @if i == 0 { th scope="row" { (text) } }
                        @else { td.num.own[table.columns[i] == MODEL] { (text) } }
                    }
                }
            } }
        } }
    }
}

fn bars(evaluation: &Evaluation) -> Result<Markup> {
    Ok(html! {
        p.note {
            "Dot and whisker: the model with its 95 % interval (Wilson). Thick mark: the control that does best, in \
             its colour."
        }
        (legend(evaluation))
        div.plot.bars tabindex="0" role="region" aria-label="Pairwise accuracy of the model and of the best control" {
            (PreEscaped(plot::bars(evaluation)?))
        }
    })
}

/// Which colour is which scorer.
fn legend(evaluation: &Evaluation) -> Markup {
    html! {
        ul.legend { @for scorer in &evaluation.scorers {
            li.own[scorer == MODEL] { i style={ "background:var(" (plot::variable(scorer)) ")" } {} (scorer) }
        } }
    }
}

/// ROC and precision–recall curves of every scorer over all violations.
fn curves(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<Markup> {
    let all = select(cases, |_| true);
    let figures = if all.possible.is_empty() || all.impossible.is_empty() {
        html! { p.quiet { "There is nothing to tell apart: all videos are of one sort." } }
    } else {
        let scorers = || SCORERS.into_iter().filter(|s| evaluation.scorers.iter().any(|e| e == s));
        let rocs: Vec<_> = scorers().map(|s| (s, all.scores(s))).map(|(s, (p, n))| (s, roc(&p, &n))).collect();
        let steps: Vec<_> = scorers().map(|s| (s, all.scores(s))).map(|(s, (p, n))| (s, staircase(&p, &n))).collect();
        let positive = all.impossible.len() as f64 / (all.impossible.len() + all.possible.len()) as f64;
        let roc = plot::square(["possible videos called impossible", "impossible videos found"], &rocs, [0.0, 1.0])?;
        let recall = plot::square(["recall", "precision"], &steps, [positive, positive])?;
        html! {
            (figure("ROC over videos; dashed: chance", &roc))
            (figure("Precision and recall over videos; dashed: chance", &recall))
        }
    };
    Ok(html! {
        p.note {
            "Here an impossible video has to stand out from every possible one, not only from its twin. Score: \
             headline maximum."
        }
        (legend(evaluation))
        div.plots { (figures) }
    })
}

/// Promised rates against those that came, in so many hours.
fn reliability(rates: &[Reliability], hours: f64) -> Result<Markup> {
    Ok(html! {
        p.note {
            "Spikes an hour in the possible videos (" (words::number(hours * 60.0)) " minutes) where the baseline \
            promised so many. On the dashed line the promise is kept; between the grey ones it is off by less than a \
            factor of two."
        }
        div.plots {
            (figure("Promised and seen rates, both logarithmic", &plot::reliability(rates)?))
            table {
                thead { tr {
                    @for name in ["promised an hour", "seen an hour", "spikes"] { th.num scope="col" { (name) } }
                } }
                tbody { @for rate in rates {
                    tr {
                        td.num { (words::number(rate.promised_per_hour)) }
                        td.num { (words::number(rate.seen_per_hour)) }
                        td.num { (rate.spikes) }
                    }
                } }
            }
        }
    })
}

/// The precision–recall curve as the steps whose area is the average precision.
fn staircase(positives: &[f64], negatives: &[f64]) -> Vec<(f64, f64)> {
    let points = precision_recall(positives, negatives);
    let before = std::iter::once(0.0).chain(points.iter().map(|p| p.0));
    let rises = points.iter().zip(before).filter(|(point, before)| point.0 > *before);
    rises.flat_map(|(point, before)| [(before, point.1), *point]).collect()
}

fn figure(caption: &str, svg: &str) -> Markup {
    html! { figure.plot { (labelled(svg, caption)) figcaption { (caption) } } }
}

/// The picture with a name for those who do not see it.
fn labelled(svg: &str, name: &str) -> Markup {
    let element = html! { svg role="img" aria-label=(name); }.into_string();
    PreEscaped(svg.replacen("<svg", element.trim_end_matches('>'), 1))
}

/// The curves of the best and of the worst pairs.
fn pairs(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<Markup> {
    Ok(html! {
        p.note {
            "The model's surprise in the " span.hot { "impossible" } " video and in its possible twin (grey). Dashed: \
            the labelled onset. The number is the difference of the maxima; below zero the pair is told wrongly."
        }
        @if evaluation.best.is_empty() {
            p.quiet { "There are no pairs." }
        } @else {
            @for (title, pairs) in [("Told apart best", &evaluation.best), ("Told apart worst", &evaluation.worst)] {
                h3 { (title) }
                div.plots { @for margin in pairs { (pair(margin, cases)?) } }
            }
        }
    })
}

fn pair(pair: &PairMargin, cases: &[ScoredCase]) -> Result<Markup> {
    let PairMargin { kind, possible: right, impossible: wrong, margin, .. } = pair;
    let find = |id: &str| cases.iter().find(|c| c.case.id == id);
    let (Some(possible), Some(impossible)) = (find(right), find(wrong)) else { return Ok(html! {}) };
    let curve = |c: &ScoredCase| c.scores.get(MODEL).map(|s| s.curve.clone()).unwrap_or_default();
    let svg = plot::pair(&curve(possible), &curve(impossible), impossible.case.onset_s)?;
    let sign = if *margin < 0.0 { "" } else { "+" };
    Ok(html! {
        figure.plot {
            figcaption {
                strong { (kind) } " " (sign) (words::number(*margin)) br;
                span.hot { (wrong) } " " span.quiet { "against " (right) }
            }
            (labelled(&svg, &format!("surprise over time of {wrong} and {right}")))
        }
    })
}

fn settings(evaluation: &Evaluation) -> Markup {
    html! {
        table.fields { tbody { @for (key, value) in &evaluation.settings {
            tr { th scope="row" { code { (key) } } td { (value) } }
        } } }
    }
}
