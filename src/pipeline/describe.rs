//! What the detector found, in the vocabulary of the outputs: the same for a whole file and for a camera.

use crate::clip::{ClipSpec, jpeg_base64};
use crate::error::Result;
use crate::record::{CurvePoint, Event, HeatMap};
use crate::surprise::{Found, Slot, Verdict, hot_region, hottest};

/// An event of a `size` picture.
pub(super) fn event(spec: &ClipSpec, size: (u32, u32), id: u32, found: Found) -> Result<Event> {
    let Found { detection, kind, peak, verdict } = found;
    let (rows, cols) = hot_region(&peak.heat, spec.grid());
    Ok(Event {
        id,
        kind,
        onset_s: detection.onset.secs_f64(),
        peak_s: detection.peak.secs_f64(),
        end_s: detection.end.secs_f64(),
        score: peak.surprise,
        z: verdict.z.unwrap_or(0.0),
        p_value: verdict.p_value,
        per_hour: verdict.per_hour,
        place: spec.cell_box(size, rows, cols),
        thumbnail: jpeg_base64(&peak.frame.preview)?,
        heat: heat(spec, size, peak.heat),
    })
}

/// Every token's surprise.
pub(super) fn heat(spec: &ClipSpec, size: (u32, u32), values: Vec<f32>) -> HeatMap {
    HeatMap { grid: spec.grid() as u16, area: spec.visible(size.0, size.1), values }
}

/// A point of the curve.
pub(super) fn point(spec: &ClipSpec, size: (u32, u32), slot: &Slot, verdict: Verdict) -> CurvePoint {
    let grid = spec.grid();
    let peak = hottest(&slot.heat).unwrap_or(0);
    let (row, col) = (peak / grid, peak % grid);
    CurvePoint {
        t_s: slot.middle().secs_f64(),
        surprise: slot.surprise,
        unadjusted: slot.unadjusted,
        z: verdict.z,
        p_value: verdict.p_value,
        raw: slot.raw,
        motion: slot.motion,
        peak_cell: [row as u16, col as u16],
        peak_box: spec.cell_box(size, row..row + 1, col..col + 1),
    }
}
