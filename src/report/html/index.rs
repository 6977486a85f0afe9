//! `index.html`: a line for each input of a run over many, with its curve in miniature, the most surprising first; and
//! `index.data.js`, the rows for its script.
//!
//! Invariants: the first lines can be read without a script; the script draws only the lines on show, so that the page
//! stays quick with a hundred thousand.

use super::super::mini::{COLUMNS, Mini, TOP};
use super::super::summary::InputRow;
use super::super::words;
use super::parts::{document, href, script_text};
use super::player::relative_link;
use crate::error::{Error, Result};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use std::cmp::Reverse;
use std::path::Path;

/// Lines that the page itself holds.
const STATIC: usize = 100;

/// The page; links to reports are relative to `root`.
pub fn page(root: &Path, rows: &[InputRow]) -> String {
    let events: usize = rows.iter().map(|r| r.events).sum();
    let hit = rows.iter().filter(|r| r.events > 0).count();
    let failed = rows.iter().filter(|r| r.error.is_some()).count();
    let inputs = words::count(rows.len(), "input");
    let among = if hit == 0 { inputs } else { format!("{hit} of {inputs}") };
    let lead = format!("{} in {among}", words::count(events, "event"));
    let failures = if failed > 0 { format!("; {failed} could not be analyzed") } else { String::new() };
    let order = worst_first(rows);
    let body = html! {
        header.top {
            p.brand { "startle" }
            h1 { "Summary" }
            p.lead { (lead) (failures) }
        }
        main {
            (filters())
            p.note id="count" role="status" hidden {}
            div.scroll id="static" tabindex="0" role="region" aria-label="Inputs" {
                table.wide {
                    thead { tr {
                        th scope="col" { "input" }
                        th scope="col" { "surprise" }
                        @for name in ["length", "peak", "breaks"] { th.num scope="col" { (name) } }
                        th scope="col" { "found" }
                    } }
                    tbody { @for index in order.iter().take(STATIC) { (line(root, &rows[*index])) } }
                }
                @if order.len() > STATIC { p.note { "… and " (order.len() - STATIC) " more, with a script." } }
            }
            div id="list" role="table" aria-label="Inputs" hidden {
                div id="heads" role="row" {}
                div id="view" role="rowgroup" tabindex="0" aria-label="Rows" { div id="space" {} }
            }
        }
    };
    let scripts = html! {
        script { (PreEscaped(include_str!("../assets/index.js"))) }
        script src="index.data.js" {}
    };
    document("startle: summary", None, include_str!("../assets/index.css"), body, &scripts)
}

/// The script's filters; it fills those without options.
fn filters() -> Markup {
    let states = ["events", "quiet", "failed", "truncated", "pending"];
    let shown = ["with events", "without events", "failed", "truncated", "pending"];
    html! {
        form id="filters" hidden {
            label.grow { "Find " input id="find" type="search" placeholder="part of a name" autocomplete="off"; }
            label { "Show " select id="status" {
                option value="" { "all" }
                @for (state, shown) in states.iter().zip(shown) { option value=(state) { (shown) } }
            } }
            @for (id, name) in [("kind", "Kind "), ("model", "Model "), ("folder", "Folder ")] {
                label { (name) select id=(id) { option value="" { "any" } } }
            }
            label { "Score ≥ " input id="least" type="number" min="0" step="0.1" inputmode="decimal"
                title="Largest surprise over the threshold: an event has 1 or more"; }
        }
    }
}

/// A line for the script: name, link, status, error, seconds, breaks, events, first onset, peak, score, kinds, model,
/// miniature, place in the list.
#[derive(Serialize)]
struct IndexLine<'a>(
    String,
    Option<String>,
    &'static str,
    Option<String>,
    f64,
    usize,
    usize,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    &'a [&'static str],
    usize,
    Option<Small<'a>>,
    usize,
);

/// A miniature for the script: levels, threshold, events.
#[derive(Serialize)]
struct Small<'a>(&'a str, Option<u8>, &'a [[u8; 2]]);

/// The rows for the page's script, as a call of it: the most surprising first. One line at a time is in memory beside the
/// text.
///
/// # Errors
/// [`Error::Internal`] when a row can't be written as JSON.
pub fn data(root: &Path, rows: &[InputRow]) -> Result<String> {
    let mut models: Vec<&str> = Vec::new();
    let mut text = String::from("startleSummary({\"rows\":[\n");
    for (at, index) in worst_first(rows).into_iter().enumerate() {
        let row = &rows[index];
        let model = models.iter().position(|name| *name == row.model).unwrap_or_else(|| {
            models.push(&row.model);
            models.len() - 1
        });
        let mini = &row.mini;
        let line = IndexLine(
            words::one_line(&row.input),
            row.has_report().then(|| link(root, row)),
            row.status(),
            row.error.as_deref().map(|error| words::one_line(reason(row, error))),
            round(row.duration_s),
            row.gaps,
            row.events,
            row.first_onset_s.map(round),
            row.peak_surprise.map(|v| round(f64::from(v))),
            row.score.map(|v| round(f64::from(v))),
            &row.kinds,
            model,
            (!mini.levels.is_empty()).then_some(Small(&mini.levels, mini.threshold, &mini.events)),
            index,
        );
        text.push_str(if at > 0 { ",\n" } else { "" });
        text.push_str(&script(&line)?);
    }
    text.push_str("\n],\"models\":");
    text.push_str(&script(&models)?);
    text.push_str("});\n");
    Ok(text)
}

/// As JSON that can stand in a script.
fn script(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value);
    text.map(|text| script_text(&text)).map_err(|e| Error::Internal { stage: "summary", reason: e.to_string() })
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Indices of the rows: the most surprising first, then those without events, those that failed, those to come.
fn worst_first(rows: &[InputRow]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let sort = |row: &InputRow| match (row.events > 0, row.error.is_some(), row.has_report()) {
        (true, ..) => 0,
        (_, false, true) => 1,
        (_, true, _) => 2,
        _ => 3,
    };
    // By bits, since floats have no order; scores are not negative.
    let surprise = |row: &InputRow| row.score.or(row.peak_surprise).unwrap_or(0.0).max(0.0).to_bits();
    order.sort_by_key(|index| (sort(&rows[*index]), Reverse(surprise(&rows[*index]))));
    order
}

/// Why there is no report, without the input's name before it.
fn reason<'a>(row: &InputRow, error: &'a str) -> &'a str {
    error.strip_prefix(&format!("{}: ", row.input)).unwrap_or(error)
}

fn link(root: &Path, row: &InputRow) -> String {
    match row.folder.strip_prefix(root) {
        Ok(below) => href(&below.join("report.html").to_string_lossy()),
        Err(_) => relative_link(&row.folder.join("report.html"), root),
    }
}

fn line(root: &Path, row: &InputRow) -> Markup {
    if let Some(error) = &row.error {
        return html! {
            tr.failed {
                th scope="row" { (row.input) }
                td colspan="5" { span.tag.bad { "failed" } " " (reason(row, error)) }
            }
        };
    }
    if !row.has_report() {
        return html! { tr { th scope="row" { (row.input) } td colspan="5" { span.tag { "pending" } } } };
    }
    let status = Some(row.status()).filter(|status| *status != "done");
    html! {
        tr {
            th scope="row" {
                a href=(link(root, row)) { (row.input) }
                @if let Some(status) = status { " " span.tag { (status) } }
            }
            td { (miniature(&row.mini)) }
            td.num { (words::time(row.duration_s)) }
            td.num { (row.peak_surprise.map_or("–".to_owned(), |peak| words::number(f64::from(peak)))) }
            td.num { (row.gaps) }
            td {
                @if let Some(onset) = row.first_onset_s {
                    strong.hot { (words::count(row.events, "event")) } " " (row.kinds.join(", "))
                    br;
                    small { "first at " (words::time(onset)) }
                } @else {
                    span.quiet { "no events" }
                }
            }
        }
    }
}

/// The miniature, as the script draws it.
fn miniature(mini: &Mini) -> Markup {
    let y = |level: u8| TOP + 2 - level;
    let path: Vec<String> = mini.points().map(|(column, level)| format!("{column},{}", y(level))).collect();
    html! {
        svg.mini viewBox={ "0 0 " (COLUMNS) " 66" } role="img" aria-label="surprise over time"
            preserveAspectRatio="none" {
            @for [from, to] in &mini.events {
                rect.band x=(from) width=(to.saturating_sub(*from).max(1)) height="66" {}
            }
            @if let Some(level) = mini.threshold {
                line.threshold x2=(COLUMNS) y1=(y(level)) y2=(y(level)) {}
            }
            polyline points=(path.join(" ")) {}
        }
    }
}
