//! `index.html`: a line for each input of a run over many, with its curve in miniature.

use super::super::summary::Row;
use super::super::words;
use super::text::{escape, fill, href};
use std::path::Path;

/// Size of a miniature curve, in its own pixels.
const MINI: (f64, f64) = (240.0, 44.0);

/// The table's head.
const HEAD: &str = "<table class=\"wide\"><thead><tr><th scope=\"col\">input</th><th scope=\"col\">surprise</th>\
    <th scope=\"col\" class=\"num\">length</th><th scope=\"col\" class=\"num\">peak</th>\
    <th scope=\"col\" class=\"num\">breaks</th><th scope=\"col\">found</th></tr></thead>";

/// The page; links to reports are relative to `root`.
pub fn index(root: &Path, rows: &[Row]) -> String {
    let events: usize = rows.iter().map(|r| r.events).sum();
    let hit = rows.iter().filter(|r| r.events > 0).count();
    let failed = rows.iter().filter(|r| r.error.is_some()).count();
    let inputs = words::count(rows.len(), "input");
    let among = if hit == 0 { inputs } else { format!("{hit} of {inputs}") };
    let lead = format!("{} in {among}", words::count(events, "event"));
    let failures = if failed > 0 { format!("; {failed} could not be analyzed") } else { String::new() };
    let lead = lead + &failures;
    let body: String = rows.iter().map(|row| line(root, row)).collect();
    let css = include_str!("../assets/report.css");
    let table = format!("{HEAD}<tbody>\n{body}</tbody></table>");
    let values = [("css", css), ("title", "Summary"), ("lead", &escape(&lead)), ("table", &table)];
    fill(include_str!("../assets/index.html"), &values)
}

fn line(root: &Path, row: &Row) -> String {
    let name = escape(&row.input);
    if let Some(error) = &row.error {
        return format!(
            "<tr class=\"failed\"><th scope=\"row\">{name}</th><td colspan=\"5\"><span class=\"tag bad\">failed</span> \
             {}</td></tr>\n",
            escape(error.strip_prefix(&format!("{}: ", row.input)).unwrap_or(error))
        );
    }
    if !row.has_report() {
        return format!(
            "<tr><th scope=\"row\">{name}</th><td colspan=\"5\"><span class=\"tag\">pending</span></td></tr>\n"
        );
    }
    let report = row.folder.strip_prefix(root).unwrap_or(&row.folder).join("report.html");
    let status = match row.status() {
        "done" => String::new(),
        other => format!(" <span class=\"tag\">{other}</span>"),
    };
    let found = match row.first_onset_s {
        Some(onset) => format!(
            "<strong class=\"hot\">{}</strong><br><small>first at {}</small>",
            words::count(row.events, "event"),
            words::time(onset)
        ),
        None => "<span class=\"quiet\">no events</span>".to_owned(),
    };
    let peak = row.peak_surprise.map_or("–".to_owned(), |peak| words::number(f64::from(peak)));
    format!(
        "<tr><th scope=\"row\"><a href=\"{}\">{name}</a>{status}</th><td>{}</td><td class=\"num\">{}</td>\
         <td class=\"num\">{peak}</td><td class=\"num\">{}</td><td>{found}</td></tr>\n",
        href(&report.to_string_lossy()),
        miniature(row),
        words::time(row.duration_s),
        row.gaps,
    )
}

fn miniature(row: &Row) -> String {
    let (width, height) = MINI;
    let duration = row.curve.last().map_or(0.0, |p| p.0).max(row.duration_s).max(0.1);
    let top = row.curve.iter().map(|p| p.1).chain(row.threshold).fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    let low = row.curve.iter().map(|p| p.1).fold(0.0, f32::min);
    let x = |t: f64| t / duration * width;
    let y = |v: f32| height - 2.0 - f64::from((v - low) / (top - low)) * (height - 4.0);
    let band = |s: &(f64, f64)| {
        let across = (x(s.1) - x(s.0)).max(2.0);
        format!("<rect class=\"band\" x=\"{:.1}\" width=\"{across:.1}\" height=\"{height}\"/>", x(s.0))
    };
    let bands: String = row.spans.iter().map(band).collect();
    let threshold = row.threshold.map_or(String::new(), |v| {
        format!("<line class=\"threshold\" x2=\"{width}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/>", y(v))
    });
    let path: Vec<String> = row.curve.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
    format!(
        "<svg class=\"mini\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"surprise over time\" \
         preserveAspectRatio=\"none\">{bands}{threshold}<polyline points=\"{}\"/></svg>",
        path.join(" ")
    )
}
