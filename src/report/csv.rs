//! `curve.csv` and `events.csv`: one row for each point and event, for spreadsheets.
//!
//! Invariants: column names carry units; an unknown value is an empty field; numbers are written in the shortest form
//! that reads back equal.

use super::words;
use crate::error::{Error, Result};
use crate::record::{CurvePoint, Event, Look, What};

/// The columns of `curve.csv`, and of `curve.parquet`.
pub const CURVE_COLUMNS: [&str; 13] = [
    "t_s",
    "surprise",
    "z",
    "p_value",
    "raw",
    "motion",
    "peak_row",
    "peak_col",
    "x0_px",
    "y0_px",
    "x1_px",
    "y1_px",
    "unadjusted",
];

/// The columns of `events.csv`.
pub const EVENT_COLUMNS: [&str; 24] = [
    "id",
    "onset_s",
    "peak_s",
    "end_s",
    "score",
    "z",
    "p_value",
    "x0_px",
    "y0_px",
    "x1_px",
    "y1_px",
    "kind",
    "per_hour",
    "what",
    "part",
    "sentence",
    "expected_x0_px",
    "expected_y0_px",
    "expected_x1_px",
    "expected_y1_px",
    "seen_x0_px",
    "seen_y0_px",
    "seen_x1_px",
    "seen_y1_px",
];

/// `curve.csv`.
///
/// # Errors
/// Never for a report in memory; a fault of the writer is [`Error::Internal`].
pub fn curve(points: &[CurvePoint]) -> Result<Vec<u8>> {
    table(
        &CURVE_COLUMNS,
        points.iter().map(|p| {
            let mut row = vec![p.t_s.to_string(), p.surprise.to_string(), optional(p.z), optional(p.p_value)];
            row.extend([p.raw, p.motion].map(|v| v.to_string()));
            row.extend(p.peak_cell.map(|v| v.to_string()));
            row.extend(p.peak_box.map(|v| v.to_string()));
            row.push(p.unadjusted.to_string());
            row
        }),
    )
}

/// `events.csv`.
///
/// # Errors
/// As [`curve`].
pub fn events(events: &[Event]) -> Result<Vec<u8>> {
    table(
        &EVENT_COLUMNS,
        events.iter().map(|e| {
            let mut row = vec![e.id.to_string()];
            row.extend([e.onset_s, e.peak_s, e.end_s].map(|v| v.to_string()));
            row.extend([e.score.to_string(), e.z.to_string(), optional(e.p_value)]);
            row.extend(e.place.map(|v| v.to_string()));
            row.push(words::kind(e.kind).to_owned());
            row.push(e.per_hour.map(|v| v.to_string()).unwrap_or_default());
            row.extend(what(e.what.as_ref()));
            row
        }),
    )
}

/// Kind, part, sentence and both boxes; empty where the model can't tell.
fn what(what: Option<&What>) -> Vec<String> {
    let place = |look: Option<&Look>| look.map_or_else(Default::default, |look| look.place.map(|v| v.to_string()));
    let words = what.map_or_else(Default::default, |w| [w.kind.name().into(), text(&w.part), w.sentence.clone()]);
    let (expected, seen) = (what.and_then(|w| w.expected.as_ref()), what.and_then(|w| w.seen.as_ref()));
    [&words[..], &place(expected), &place(seen)].concat()
}

/// A text from outside as a cell: a spreadsheet would run one that begins like a formula, so that one gets a quote before it.
pub(super) fn text(value: &str) -> String {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{value}") } else { value.to_owned() }
}

/// Rows of text under a header.
pub(super) fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let fail = |reason: String| Error::Internal { stage: "csv", reason };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).map_err(|e| fail(e.to_string()))?;
    for row in rows {
        writer.write_record(&row).map_err(|e| fail(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| fail(e.to_string()))
}

fn optional(value: Option<f32>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
