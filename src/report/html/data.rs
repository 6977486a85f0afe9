//! What the page's script draws from, as JSON.
//!
//! Invariant: bounded in size however long the video is; thinning keeps every peak. (What was seen is thinned as it is
//! recorded.)

use super::super::{downsample, words};
use crate::media::GapReason;
use crate::record::{Event, Horizons, Report};
use serde_json::{Value, json};

/// Points above which the curve is thinned for drawing; the whole of it stays in `curve.csv`.
const DRAW_LIMIT: usize = 20_000;

/// The script's data.
pub fn data(report: &Report) -> Value {
    let kept = downsample::envelope(&report.curve, DRAW_LIMIT);
    let points = || kept.iter().map(|&i| &report.curve[i]);
    let ends = report.input.gaps.iter().map(|g| g.end_s).chain(report.curve.last().map(|p| p.t_s));
    json!({
        "duration": ends.fold(report.input.duration_s, f64::max),
        "width": report.input.width,
        "height": report.input.height,
        "slot": slot_length(report),
        "threshold": report.config.resolved.threshold,
        "thresholdLow": report.config.resolved.threshold_low,
        "t": points().map(|p| round(p.t_s, 4)).collect::<Vec<_>>(),
        "surprise": points().map(|p| short(p.surprise)).collect::<Vec<_>>(),
        "z": points().map(|p| p.z.map(short)).collect::<Vec<_>>(),
        "p": points().map(|p| p.p_value.map(short)).collect::<Vec<_>>(),
        "motion": points().map(|p| short(p.motion)).collect::<Vec<_>>(),
        "gaps": report.input.gaps.iter().map(|g| json!({
            "start": g.start_s, "end": g.end_s, "cut": g.reason == GapReason::SceneCut, "why": words::gap(g.reason),
        })).collect::<Vec<_>>(),
        "strange": report.strange,
        "horizons": report.horizons.as_ref().map(|map| horizons(map, report)),
        "events": report.events.iter().map(event).collect::<Vec<_>>(),
        "sights": {
            "t": report.sights.iter().map(|s| round(s.t_s, 3)).collect::<Vec<_>>(),
            "boxes": report.sights.iter().map(|s| &s.boxes).collect::<Vec<_>>(),
        },
    })
}

fn event(event: &Event) -> Value {
    json!({
        "id": event.id,
        "onset": event.onset_s,
        "peak": event.peak_s,
        "end": event.end_s,
        "score": event.score,
        "box": event.place,
        "what": event.what.as_ref().map(|what| json!({
            "sentence": what.sentence,
            "expected": what.expected.as_ref().map(|look| look.place),
            "seen": what.seen.as_ref().map(|look| look.place),
        })),
        "heat": {
            "grid": event.heat.grid,
            "area": event.heat.area,
            "values": event.heat.values.iter().map(|v| round(f64::from(*v), 3)).collect::<Vec<_>>(),
        },
    })
}

/// The map of horizons: names of its rows, and `reach`, the value from which a cell stands out: the threshold where that is
/// in the same unit, else the largest value.
fn horizons(map: &Horizons, report: &Report) -> Value {
    let largest = map.values.iter().flatten().flatten().copied().fold(0.0, f32::max);
    let threshold = report.config.resolved.threshold.filter(|_| words::is_of_objects(report));
    json!({
        "rows": map.rows.iter().map(words::horizon).collect::<Vec<_>>(),
        "t": map.t_s,
        "values": map.values.iter().map(|row| row.iter().map(|v| v.map(short)).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "reach": short(threshold.unwrap_or(largest)),
        "limit": threshold.is_some(),
    })
}

/// The usual time between neighbouring points, seconds: one step of the arrow keys.
fn slot_length(report: &Report) -> f64 {
    let mut steps: Vec<f64> = report.curve.windows(2).map(|w| w[1].t_s - w[0].t_s).filter(|d| *d > 0.0).collect();
    steps.sort_unstable_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(0.1)
}

fn round(value: f64, digits: i32) -> f64 {
    let power = 10f64.powi(digits);
    (value * power).round() / power
}

/// Five significant digits: more than a picture or a read-out shows.
fn short(value: f32) -> f64 {
    let size = f64::from(value).abs();
    if size == 0.0 || !size.is_finite() {
        return 0.0;
    }
    round(f64::from(value), (4 - size.log10().floor() as i32).clamp(0, 12))
}
