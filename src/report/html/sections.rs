//! The parts of the page that stand without a script: what was found, what it was found with, how to read it.

use super::super::claim::ANNOTATED;
use super::super::{OutputOptions, words};
use super::card::card;
use super::parts::{self, jump};
use crate::record::{Gap, InputReport, Report, SlowerRate};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;

/// Events beyond this many keep their numbers but lose their pictures, strongest first.
const PICTURES: usize = 300;

/// What was found, in one sentence.
pub fn lead(report: &Report) -> Markup {
    let length = words::time(report.input.duration_s);
    if report.curve.is_empty() {
        return html! { "Nothing could be scored in " (length) " of video: it is shorter than one clip of the model." };
    }
    let Some(strongest) = report.events.iter().max_by(|a, b| a.score.total_cmp(&b.score)) else {
        return html! { strong { "No event." } " Nothing in " (length) " of video was surprising enough." };
    };
    let count = words::count(report.events.len(), "event");
    let which = if report.events.len() == 1 { "at" } else { "the strongest at" };
    html! { strong.hot { (count) } " in " (length) " of video, " (which) " " (words::time(strongest.peak_s)) "." }
}

/// File, model and device, as list items.
pub fn facts(report: &Report) -> Markup {
    let InputReport { width, height, fps, codec, .. } = &report.input;
    let rate = if *fps > 0.0 { format!(" at {} fps", words::rate(*fps)) } else { String::new() };
    let model = &report.model;
    let provider = model.execution_provider.trim_end_matches("ExecutionProvider");
    parts::facts([
        ("length", words::time(report.input.duration_s)),
        ("picture", format!("{width}×{height}{rate}, {codec}")),
        ("model", format!("{} ({})", model.name, model.precision)),
        ("ran on", provider.to_owned()),
        ("analyzed", report.created.replace('T', " ")),
    ])
}

/// A box at the top for what must not be overlooked; empty when there is nothing.
pub fn banner(report: &Report) -> Markup {
    html! {
        @if report.truncated {
            p.banner role="status" {
                strong { "Incomplete." } " The run ended after " (words::time(report.input.duration_s))
                ", before the video did. What follows holds for that part only."
            }
        }
    }
}

/// A link to the annotated video, where it lies beside the page.
pub fn film(report: &Report, options: &OutputOptions) -> Markup {
    html! {
        @if let Some(film) = report.annotated.as_ref().filter(|_| options.dir.join(ANNOTATED).is_file()) {
            p.note.film {
                a href=(ANNOTATED) { (ANNOTATED) } " is the video with all this drawn in (" (film.encoder)
                @for note in &film.notes { "; " (note) } ")."
            }
        }
    }
}

/// The list of events.
pub fn events(report: &Report) -> Markup {
    if report.events.is_empty() {
        return html! { p.none { "No event was found." (why_none(report)) } };
    }
    let mut scores: Vec<f32> = report.events.iter().map(|e| e.score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let least = scores.get(PICTURES).copied().unwrap_or(f32::NEG_INFINITY);
    html! { ol.events { @for event in &report.events { (card(event, report, event.score > least)) } } }
}

/// What an event would have needed, and how near the video came to it.
fn why_none(report: &Report) -> String {
    let peak = report.curve.iter().map(|p| p.surprise).reduce(f32::max);
    match (report.config.resolved.threshold, peak) {
        (Some(threshold), Some(peak)) => {
            let (peak, threshold) = (words::number(f64::from(peak)), words::number(f64::from(threshold)));
            format!(" The largest surprise was {peak}; an event needs {threshold}.")
        }
        (None, Some(_)) if !report.config.resolved.threshold_rule.is_empty() => {
            let z = report.curve.iter().filter_map(|p| p.z).reduce(f32::max);
            let z = z.map_or(String::new(), |z| format!(" The largest z was {}.", words::number(f64::from(z))));
            format!(" An event {}.{z}", report.config.resolved.threshold_rule)
        }
        _ => String::new(),
    }
}

/// Breaks in the video, notes and warnings; a sentence when there are none.
pub fn breaks(report: &Report) -> Markup {
    let (warnings, notes, gaps) = (&report.warnings, &report.input.notes, &report.input.gaps);
    let missing = |g: &Gap| if g.end_s > g.start_s { words::time(g.end_s - g.start_s) } else { "–".into() };
    html! {
        @if !warnings.is_empty() || !notes.is_empty() {
            ul.warnings { @for text in warnings.iter().chain(notes) { li { (text) } } }
        }
        @if gaps.is_empty() {
            p.quiet { "The video runs through without a break." }
        } @else {
            div.scroll.tall tabindex="0" role="region" aria-label="Breaks" { table {
                thead { tr { th scope="col" { "at" } th.num scope="col" { "missing" } th scope="col" { "reason" } } }
                tbody { @for gap in gaps {
                    tr { td { (jump(gap.start_s)) } td.num { (missing(gap)) } td { (words::gap(gap.reason)) } }
                } }
            } }
        }
    }
}

/// The numbers of the whole video: the literature's, those of slower rates, and what they are.
pub fn numbers(report: &Report) -> Markup {
    html! {
        (video_surprise(report))
        @if !report.slower.is_empty() { (slower(&report.slower)) }
        p.quiet {
            @if words::is_of_objects(report) {
                "Mean over the parts of the energy, nats, by slot."
            } @else {
                "Mean prediction error (L1) over tokens, by window; as in Garrido et al., arXiv 2502.11831."
            }
        }
    }
}

fn video_surprise(report: &Report) -> Markup {
    let all = &report.video_surprise;
    if all.windows == 0 {
        return html! { p.quiet { "No window was scored." } };
    }
    let name = |frames| format!("context of {frames} frames ({:.2} s)", f64::from(frames) / report.model.model_fps);
    let mut rows = vec![
        ("all contexts".to_owned(), all.avg, all.max),
        ("filtered (least of the contexts)".to_owned(), all.filtered_avg, all.filtered_max),
    ];
    rows.extend(all.per_context.iter().map(|(frames, surprise)| (name(*frames), surprise.avg, surprise.max)));
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { (all.windows) " windows" }
                th.num scope="col" { "mean" }
                th.num scope="col" { "maximum" }
            } }
            tbody { @for (name, avg, max) in rows {
                tr { th scope="row" { (name) } td.num { (words::number(avg)) } td.num { (words::number(max)) } }
            } }
        } }
    }
}

/// Slower rates: what each of their detectors found.
fn slower(rates: &[SlowerRate]) -> Markup {
    let row = |rate: &SlowerRate| {
        let peak = rate.curve.iter().max_by(|a, b| a.surprise.total_cmp(&b.surprise));
        html! {
            tr {
                th scope="row" { "every " (rate.frame_step) ". frame (" (words::rate(rate.model_fps)) " fps)" }
                td.num { (rate.curve.len()) }
                td { @if let Some(peak) = peak { (jump(peak.t_s)) } @else { "–" } }
                td {
                    @for event in rate.events.iter().take(PICTURES) { (jump(event.onset_s)) }
                    @if rate.events.is_empty() { "none" }
                }
            }
        }
    };
    html! {
        h3 { "Slower rates" }
        p.quiet {
            "The same frames with larger steps, each with a detector that learnt from its own past, so that no rate of \
             false alarms is promised. Curves: curve_step….csv."
        }
        div.scroll { table {
            thead { tr {
                th scope="col" { "frames" }
                th.num scope="col" { "points" }
                th scope="col" { "largest surprise at" }
                th scope="col" { "events" }
            } }
            tbody { @for rate in rates { (row(rate)) } }
        } }
    }
}

/// What surprise is, for this kind of model, and how to read the map, events and breaks.
pub fn reading(report: &Report) -> Markup {
    html! {
        p { @if words::is_of_objects(report) {
            "A model finds the things in every picture, keeps a file of each, and says how likely every next picture \
            is. " strong { "Surprise" } " is how rare the least likely part of it is: 3 is what a lawful moment in a \
            thousand has. An event says what it was: a thing that is missing, new, elsewhere, or of another size, \
            colour or shape. The dashed box is where it was expected, the solid one where it was seen; faint boxes are \
            all things in sight."
        } @else {
            "A model watches the start of every clip, predicts what comes next, and compares. " strong { "Surprise" }
            " is how far reality was from the prediction: low when the future follows from the past, high when \
            something appears, vanishes, jumps or changes without a cause. Each point of the curve belongs to the \
            moment that was " em { "predicted" } "."
        } }
        @if report.horizons.is_some() { p { "The " strong { "map" } (map_words(report)) } }
        p {
            "An " strong { "event" } " is a stretch above the threshold (dashed)."
            @if !report.config.resolved.threshold_rule.is_empty() { " Here: " (report.config.resolved.threshold_rule) "." }
            " Its " strong { "p-value" } " is the share of normal footage that surprises the model at least as much, \
            and " strong { "on normal footage" } " says how often such a peak would occur there; its "
            strong { "place" } " is the box around the tokens that were hottest at the peak, and the heat map shows \
            all of them, relative to that moment."
        }
        p {
            "Surprise grows with " strong { "motion" } " (the grey band under the curve), even when nothing is wrong. \
            A peak that only mirrors the motion deserves doubt. A " strong { "scene cut" } " or a gap (marks in the \
            band " em { "breaks" } ") is not an event: the model starts afresh after it, so the curve begins a little \
            later. A high surprise says that this model did not expect what it saw; it is a reason to look, not a \
            proof."
        }
    }
}

/// How to read the map below the curve.
fn map_words(report: &Report) -> &'static str {
    if words::is_of_objects(report) {
        " below the curve has a row for each part of the surprise: what was missing, new, elsewhere, of another size, \
         colour or shape; where a part was predicted from a certain time before, the row says so. The stronger the \
         colour, the rarer; red: beyond the threshold by itself."
    } else {
        " below the curve shows how surprised each prediction was, by how long before the moment it was made: near \
         ones at the top, far ones at the bottom. Where all are surprised, it came at that very moment; where only the \
         far ones are, it had been seen by the time of the near ones. The stronger the colour, the more surprised."
    }
}

/// A record of the result as a table of its fields, under the names that `result.json` uses.
pub fn fields(title: &str, record: &impl Serialize, leave_out: &[&str]) -> Markup {
    let Ok(Value::Object(map)) = serde_json::to_value(record) else { return html! {} };
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        Value::Number(n) if n.is_f64() => words::number(n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    };
    html! {
        table.fields {
            caption { (title) }
            tbody { @for (key, value) in map.iter().filter(|(key, _)| !leave_out.contains(&key.as_str())) {
                tr { th scope="row" { code { (key) } } td { (shown(value)) } }
            } }
        }
    }
}
