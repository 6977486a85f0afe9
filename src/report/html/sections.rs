//! The parts of the page that stand without a script: what was found, what it was found with, how to read it.

use super::super::claim::ANNOTATED;
use super::super::{OutputOptions, words};
use super::card::card;
use super::text::escape;
use crate::record::{Event, InputReport, Report, SlowerRate};
use serde::Serialize;
use serde_json::Value;

/// Events beyond this many keep their numbers but lose their pictures, strongest first.
const PICTURES: usize = 300;

/// What was found, in one sentence of HTML.
pub fn lead(report: &Report) -> String {
    let length = words::time(report.input.duration_s);
    if report.curve.is_empty() {
        return format!("Nothing could be scored in {length} of video: it is shorter than one clip of the model.");
    }
    let Some(strongest) = report.events.iter().max_by(|a, b| a.score.total_cmp(&b.score)) else {
        return format!("<strong>No event.</strong> Nothing in {length} of video was surprising enough.");
    };
    let count = words::count(report.events.len(), "event");
    let which = if report.events.len() == 1 { "at" } else { "the strongest at" };
    format!("<strong class=\"hot\">{count}</strong> in {length} of video, {which} {}.", words::time(strongest.peak_s))
}

/// File, model and device, as list items.
pub fn facts(report: &Report) -> String {
    let InputReport { width, height, fps, codec, .. } = &report.input;
    let rate = if *fps > 0.0 { format!(" at {} fps", words::rate(*fps)) } else { String::new() };
    let model = &report.model;
    let provider = model.execution_provider.trim_end_matches("ExecutionProvider");
    let facts = [
        ("length", words::time(report.input.duration_s)),
        ("picture", format!("{width}×{height}{rate}, {codec}")),
        ("model", format!("{} ({})", model.name, model.precision)),
        ("ran on", provider.to_owned()),
        ("analyzed", report.created.replace('T', " ")),
    ];
    let item = |(name, value): &(&str, String)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    facts.iter().map(item).collect()
}

/// A box at the top for what must not be overlooked; empty when there is nothing.
pub fn banner(report: &Report) -> String {
    if !report.truncated {
        return String::new();
    }
    format!(
        "<p class=\"banner\" role=\"status\"><strong>Incomplete.</strong> The run ended after {}, before the video did. \
         What follows holds for that part only.</p>",
        words::time(report.input.duration_s)
    )
}

/// A link to the annotated video, where it lies beside the page.
pub fn film(report: &Report, options: &OutputOptions) -> String {
    let Some(film) = report.annotated.as_ref().filter(|_| options.dir.join(ANNOTATED).is_file()) else {
        return String::new();
    };
    let notes: String = film.notes.iter().flat_map(|note| ["; ".to_owned(), escape(note)]).collect();
    format!(
        "\n<p class=\"note film\"><a href=\"{ANNOTATED}\">{ANNOTATED}</a> is the video with all this drawn in ({}{notes}).</p>",
        escape(&film.encoder)
    )
}

/// The list of events.
pub fn events(report: &Report) -> String {
    if report.events.is_empty() {
        return format!("<p class=\"none\">No event was found.{}</p>", escape(&why_none(report)));
    }
    let mut scores: Vec<f32> = report.events.iter().map(|e| e.score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let least = scores.get(PICTURES).copied().unwrap_or(f32::NEG_INFINITY);
    let cards: String = report.events.iter().map(|e| card(e, report, e.score > least)).collect();
    format!("<ol class=\"events\">{cards}</ol>")
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
pub fn breaks(report: &Report) -> String {
    let item = |text: &String| format!("<li>{}</li>", escape(text));
    let mut html: String = report.warnings.iter().chain(&report.input.notes).map(item).collect();
    if !html.is_empty() {
        html = format!("<ul class=\"warnings\">{html}</ul>");
    }
    if report.input.gaps.is_empty() {
        return html + "<p class=\"quiet\">The video runs through without a break.</p>";
    }
    let row = |g: &crate::record::Gap| {
        let (from, missing) = (words::time(g.start_s), (g.end_s - g.start_s).max(0.0));
        let missing = if missing > 0.0 { words::time(missing) } else { "–".into() };
        format!(
            "<tr><td><button class=\"jump\" data-t=\"{}\">{from}</button></td><td class=\"num\">{missing}</td><td>{}</td></tr>",
            g.start_s,
            words::gap(g.reason)
        )
    };
    let rows: String = report.input.gaps.iter().map(row).collect();
    format!(
        "{html}<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"Breaks\"><table><thead><tr>\
         <th scope=\"col\">at</th><th scope=\"col\" class=\"num\">missing</th><th scope=\"col\">reason</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

/// The literature's numbers for the whole video.
pub fn video_surprise(report: &Report) -> String {
    let all = &report.video_surprise;
    if all.windows == 0 {
        return "<p class=\"quiet\">No window was scored.</p>".into();
    }
    let row = |name: &str, avg: f64, max: f64| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
            words::number(avg),
            words::number(max)
        )
    };
    let context = |(frames, surprise): (&u32, &crate::record::ContextSurprise)| {
        let seconds = f64::from(*frames) / report.model.model_fps;
        row(&format!("context of {frames} frames ({seconds:.2} s)"), surprise.avg, surprise.max)
    };
    let contexts: String = all.per_context.iter().map(context).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">{} windows</th><th scope=\"col\" class=\"num\">mean</th>\
         <th scope=\"col\" class=\"num\">maximum</th></tr></thead><tbody>{}{}{contexts}</tbody></table></div>",
        all.windows,
        row("all contexts", all.avg, all.max),
        row("filtered (least of the contexts)", all.filtered_avg, all.filtered_max),
    )
}

/// Slower rates: what each of their detectors found; empty where none was asked for.
pub fn slower(report: &Report) -> String {
    let row = |rate: &SlowerRate| {
        let peak = rate.curve.iter().max_by(|a, b| a.surprise.total_cmp(&b.surprise));
        let peak = peak.map_or("–".into(), |p| {
            format!("<button class=\"jump\" data-t=\"{}\">{}</button>", p.t_s, words::time(p.t_s))
        });
        let jump =
            |e: &Event| format!("<button class=\"jump\" data-t=\"{}\">{}</button>", e.onset_s, words::time(e.onset_s));
        let events: String = rate.events.iter().take(PICTURES).map(jump).collect();
        let events = if events.is_empty() { "none".to_owned() } else { events };
        format!(
            "<tr><th scope=\"row\">every {}. frame ({} fps)</th><td class=\"num\">{}</td><td>{peak}</td><td>{events}</td></tr>",
            rate.frame_step,
            words::rate(rate.model_fps),
            rate.curve.len()
        )
    };
    if report.slower.is_empty() {
        return String::new();
    }
    let rows: String = report.slower.iter().map(row).collect();
    format!(
        "<h3>Slower rates</h3><p class=\"quiet\">The same frames with larger steps, each with a detector that learnt from \
         its own past, so that no rate of false alarms is promised. Curves: curve_step….csv.</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">frames</th>\
         <th scope=\"col\" class=\"num\">points</th><th scope=\"col\">largest surprise at</th><th scope=\"col\">events</th>\
         </tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// What surprise is, for this kind of model; HTML.
pub fn reading(report: &Report) -> &'static str {
    if words::is_of_objects(report) {
        "<p>A model finds the things in every picture, keeps a file of each, and says how likely every next picture is. \
         <strong>Surprise</strong> is how rare the least likely part of it is: 3 is what a lawful moment in a thousand has. \
         An event says what it was: a thing that is missing, new, elsewhere, or of another size, colour or shape. The \
         dashed box is where it was expected, the solid one where it was seen; faint boxes are all things in sight.</p>"
    } else {
        "<p>A model watches the start of every clip, predicts what comes next, and compares. <strong>Surprise</strong> is \
         how far reality was from the prediction: low when the future follows from the past, high when something appears, \
         vanishes, jumps or changes without a cause. Each point of the curve belongs to the moment that was \
         <em>predicted</em>.</p>"
    }
}

/// How to read the map below the curve; HTML.
pub fn horizons(report: &Report) -> &'static str {
    match &report.horizons {
        None => "",
        Some(_) if words::is_of_objects(report) => {
            "<p>The <strong>map</strong> below the curve has a row for each part of the surprise: what was missing, new, \
             elsewhere, of another size, colour or shape; where a part was predicted from a certain time before, the row says \
             so. The stronger the colour, the rarer; red: beyond the threshold by itself.</p>"
        }
        Some(_) => {
            "<p>The <strong>map</strong> below the curve shows how surprised each prediction was, by how long before the \
             moment it was made: near ones at the top, far ones at the bottom. Where all are surprised, \
             it came at that very moment; where only the far ones are, it had been seen by the time of the near ones. The stronger the colour, the more surprised.</p>"
        }
    }
}

/// What the numbers of the whole video are.
pub fn raw_words(report: &Report) -> &'static str {
    if words::is_of_objects(report) {
        "Mean over the parts of the energy, nats, by slot."
    } else {
        "Mean prediction error (L1) over tokens, by window; as in Garrido et al., arXiv 2502.11831."
    }
}

/// A record of the result as a table of its fields, under the names that `result.json` uses.
pub fn fields(title: &str, record: &impl Serialize, leave_out: &[&str]) -> String {
    let Ok(Value::Object(map)) = serde_json::to_value(record) else { return String::new() };
    let row = |(key, value): (&String, &Value)| {
        let shown = match value {
            Value::String(text) => text.clone(),
            Value::Null => "–".into(),
            Value::Number(n) if n.is_f64() => words::number(n.as_f64().unwrap_or_default()),
            other => other.to_string(),
        };
        format!("<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>", escape(key), escape(&shown))
    };
    let rows: String = map.iter().filter(|(key, _)| !leave_out.contains(&key.as_str())).map(row).collect();
    format!("<table class=\"fields\"><caption>{title}</caption><tbody>{rows}</tbody></table>")
}
