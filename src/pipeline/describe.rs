//! What the detector found, in the vocabulary of the outputs: the same for a whole file and for a camera.

use super::sentence;
use crate::clip::{ClipSpec, jpeg_base64};
use crate::error::Result;
use crate::record::{CurvePoint, Event, HeatMap, Look, Sight, What};
use crate::surprise::{Account, FoundEvent, Slot, Thing, Verdict, hot_region, hottest};
use crate::units::PixelBox;

/// An event of a `size` picture.
pub(crate) fn event(spec: &ClipSpec, size: (u32, u32), id: u32, found: FoundEvent) -> Result<Event> {
    let FoundEvent { detection, kind, peak, verdict, account } = found;
    let (rows, cols) = hot_region(&peak.heat, spec.grid());
    // Where no thing is known there is nothing to tell of.
    let account = account.filter(|account| account.expected.is_some() || account.seen.is_some());
    let what = account.map(|account| what(spec, size, &account));
    let about = what.as_ref().and_then(|what| what.seen.as_ref().or(what.expected.as_ref()));
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
        place: about.map_or_else(|| spec.cell_box(size, rows, cols), |look| look.place),
        what,
        thumbnail: jpeg_base64(&peak.frame.preview)?,
        around: Vec::new(),
        heat: heat(spec, size, peak.heat),
    })
}

fn what(spec: &ClipSpec, size: (u32, u32), account: &Account) -> What {
    let look = |thing: &Thing| Look {
        place: place(spec, size, thing),
        colour: sentence::colour(thing.colour).to_owned(),
        rgb: thing.colour.map(|share| (share.clamp(0.0, 1.0) * 255.0).round() as u8),
        shape: sentence::shape(thing).to_owned(),
    };
    What {
        kind: account.kind,
        part: account.part.clone(),
        sentence: sentence::of(account),
        expected: account.expected.as_ref().map(look),
        seen: account.seen.as_ref().map(look),
    }
}

/// A thing's box within a `size` picture, pixels.
fn place(spec: &ClipSpec, size: (u32, u32), thing: &Thing) -> PixelBox {
    let [left, top, right, bottom] = spec.visible(size.0, size.1);
    let [x0, y0, x1, y1] = thing.sides();
    let (across, down) = (
        |share: f32| (left + share * (right - left)).clamp(0.0, size.0 as f32),
        |share: f32| (top + share * (bottom - top)).clamp(0.0, size.1 as f32),
    );
    [across(x0), down(y0), across(x1), down(y1)]
}

/// What was seen in a slot; `None` for models that see no things.
pub(crate) fn sight(spec: &ClipSpec, size: (u32, u32), slot: &Slot) -> Option<Sight> {
    let scene = slot.scene.as_ref()?;
    let whole = |thing| place(spec, size, thing).map(|v| v.round() as u16);
    Some(Sight { t_s: slot.middle().secs_f64(), boxes: scene.in_sight().map(whole).collect() })
}

/// Every token's surprise.
pub(crate) fn heat(spec: &ClipSpec, size: (u32, u32), values: Vec<f32>) -> HeatMap {
    HeatMap { grid: spec.grid() as u16, area: spec.visible(size.0, size.1), values }
}

/// A point of the curve.
pub(crate) fn point(spec: &ClipSpec, size: (u32, u32), slot: &Slot, verdict: Verdict) -> CurvePoint {
    let grid = spec.grid();
    let peak = hottest(&slot.heat).unwrap_or(0);
    let (row, col) = (peak / grid, peak % grid);
    let about = slot.signs.first().and_then(|sign| sign.about());
    CurvePoint {
        t_s: slot.middle().secs_f64(),
        surprise: slot.surprise,
        unadjusted: slot.unadjusted,
        z: verdict.z,
        p_value: verdict.p_value,
        raw: slot.raw,
        motion: slot.motion,
        peak_cell: [row as u16, col as u16],
        peak_box: about
            .map_or_else(|| spec.cell_box(size, row..row + 1, col..col + 1), |thing| place(spec, size, thing)),
    }
}
