//! What is drawn over the picture: the heat map of an event, the boxes of what was expected and what was seen, and of all
//! things in sight.

use super::canvas::{Canvas, Rgb, mix};
use super::strip;
use super::text::Pen;
use crate::error::Result;
use crate::record::{Event, HeatMap, Report};
use crate::units::PixelBox;

/// Least time for which an event's boxes are shown, seconds: what is over in two frames could not be seen.
const HOLD_S: f64 = 1.0;
/// Share of the heat map's cells that count as calm.
const CALM: f32 = 0.6;
/// Opacity of the hottest place; where a thing is known, less: its own colour may be what the event is about.
const HOTTEST: [f32; 2] = [0.58, 0.26];

const SEEN: Rgb = [255, 77, 103];
const EXPECTED: Rgb = [255, 194, 61];
const LABEL: Rgb = [24, 28, 36];
const THING: Rgb = [255, 255, 255];

/// Draws over the pictures of one video.
pub struct Overlay<'a> {
    report: &'a Report,
    pen: Pen,
    /// Pixels of the canvas for each of the source's, across and down.
    scale: [f32; 2],
    size: [usize; 2],
    font: f32,
    /// How long a moment's things are in sight.
    stale_s: f64,
    /// Which event's heat is painted, and how much of it lies on each pixel from `first` on.
    heat: Option<u32>,
    first: usize,
    shades: Vec<u8>,
}

impl<'a> Overlay<'a> {
    /// Over pictures of `width`×`height` pixels.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the built-in font is damaged.
    pub fn new(report: &'a Report, width: usize, height: usize) -> Result<Self> {
        let (input, font) = (&report.input, strip::font(width) * 0.9);
        let mut steps: Vec<f64> = report.sights.windows(2).map(|two| two[1].t_s - two[0].t_s).collect();
        steps.sort_unstable_by(f64::total_cmp);
        Ok(Self {
            report,
            pen: Pen::new(font, true)?,
            scale: [width as f32 / input.width.max(1) as f32, height as f32 / input.height.max(1) as f32],
            size: [width, height],
            font,
            stale_s: 2.0 * steps.get(steps.len() / 2).copied().unwrap_or(0.1),
            heat: None,
            first: 0,
            shades: Vec::new(),
        })
    }

    /// The event that is shown at a moment, seconds: the last that has begun, until it is over (and a second longer than it
    /// began at least).
    pub fn event(&self, now: f64) -> Option<&'a Event> {
        let half = 0.05;
        let begun = self.report.events.iter().take_while(|event| event.onset_s - half <= now);
        begun.last().filter(|event| now <= (event.end_s + half).max(event.onset_s + HOLD_S))
    }

    /// Draws what belongs to a moment.
    pub fn draw(&mut self, canvas: &mut Canvas, now: f64, event: Option<&Event>) {
        let thick = (self.font / 7.0).max(2.0).round();
        if let Some(event) = event {
            self.warm(canvas, event);
        }
        self.things(canvas, now, thick);
        let Some(event) = event else { return };
        let what = event.what.as_ref();
        let expected = what.and_then(|what| what.expected.as_ref()).map(|look| look.place);
        let seen = what.and_then(|what| what.seen.as_ref()).map(|look| look.place);
        if let Some(place) = expected {
            let place = self.placed(place);
            canvas.outline(place, EXPECTED, thick, 3.0 * thick);
            self.label(canvas, place, ("expected", EXPECTED), false);
        }
        if let Some(place) = seen.or(if expected.is_none() { Some(event.place) } else { None }) {
            let place = self.placed(place);
            canvas.outline(place, SEEN, thick, 0.0);
            self.label(canvas, place, (if seen.is_some() { "seen" } else { "here" }, SEEN), true);
        }
    }

    /// Boxes of all things that the model sees.
    fn things(&self, canvas: &mut Canvas, now: f64, thick: f32) {
        let sights = &self.report.sights;
        let next = sights.partition_point(|sight| sight.t_s <= now + 0.05);
        let Some(sight) = next.checked_sub(1).map(|at| &sights[at]).filter(|s| now - s.t_s < self.stale_s) else {
            return;
        };
        let line = (thick / 2.0).max(1.0);
        for place in &sight.boxes {
            let [x0, y0, x1, y1] = self.placed(place.map(f32::from));
            for side in
                [[x0, y0, x1, y0 + line], [x0, y1 - line, x1, y1], [x0, y0, x0 + line, y1], [x1 - line, y0, x1, y1]]
            {
                canvas.fill(side, THING, 0.5);
            }
        }
    }

    fn placed(&self, [x0, y0, x1, y1]: PixelBox) -> PixelBox {
        let [across, down] = self.scale;
        [x0 * across, y0 * down, x1 * across, y1 * down]
    }

    /// A label on its own ground, above the box (or below), within the picture.
    fn label(&mut self, canvas: &mut Canvas, place: PixelBox, (text, color): (&str, Rgb), above: bool) {
        let (wide, high) = (self.pen.width(text) + self.font * 0.7, self.font * 1.3);
        let [width, height] = self.size.map(|side| side as f32);
        let left = place[0].clamp(0.0, (width - wide).max(0.0));
        let (over, under) = (place[1] - high - 2.0, place[3] + 2.0);
        let top = if above {
            if over >= 0.0 { over } else { under }
        } else if under + high <= height {
            under
        } else {
            over
        };
        let top = top.clamp(0.0, (height - high).max(0.0));
        canvas.fill([left, top, left + wide, top + high], color, 0.95);
        let line = top + self.font * 0.12 + self.pen.ascent();
        canvas.text(&mut self.pen, text, (left + self.font * 0.35, line), LABEL);
    }

    /// The heat map of an event, relative to its own calm and its own peak, as the page paints it.
    fn warm(&mut self, canvas: &mut Canvas, event: &Event) {
        if self.heat != Some(event.id) {
            self.heat = Some(event.id);
            self.paint(&event.heat);
        }
        let hottest = HOTTEST[usize::from(event.what.is_some())];
        let (from, width) = (self.first, self.size[0]);
        let rows = canvas.rows_mut(self.size[1]);
        for (pixel, &shade) in rows[from * width * 3..].chunks_exact_mut(3).zip(&self.shades) {
            if shade > 0 {
                let heat = f32::from(shade) / 255.0;
                let color = [255, (205.0 - 165.0 * heat) as u8, (70.0 - 20.0 * heat) as u8];
                mix(pixel, color, hottest * heat.powf(0.8));
            }
        }
    }

    /// Spreads the map's cells over the pixels, smoothly.
    fn paint(&mut self, heat: &HeatMap) {
        self.shades.clear();
        let grid = usize::from(heat.grid);
        if grid == 0 || heat.values.len() != grid * grid {
            return;
        }
        let mut sorted = heat.values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let (calm, peak) = (sorted[((sorted.len() - 1) as f32 * CALM) as usize], sorted[sorted.len() - 1]);
        if peak <= calm {
            return;
        }
        let share: Vec<f32> = heat.values.iter().map(|v| ((v - calm) / (peak - calm)).clamp(0.0, 1.0)).collect();
        let [x0, y0, x1, y1] = self.placed(heat.area);
        let [width, height] = self.size;
        let across = weights(width, (x0, x1), grid);
        let down = weights(height, (y0, y1), grid);
        let inside = |w: &Option<Weight>| w.is_some();
        self.first = down.iter().position(inside).unwrap_or(height);
        let last = down.iter().rposition(inside).map_or(self.first, |last| last + 1);
        for row in &down[self.first..last] {
            let shade = |column: &Option<Weight>| match (row, column) {
                (Some((y, ny, dy)), Some((x, nx, dx))) => {
                    let at = |y: usize, x: usize| share[y * grid + x];
                    let upper = at(*y, *x) * (1.0 - dx) + at(*y, *nx) * dx;
                    let lower = at(*ny, *x) * (1.0 - dx) + at(*ny, *nx) * dx;
                    ((upper * (1.0 - dy) + lower * dy) * 255.0) as u8
                }
                _ => 0,
            };
            self.shades.extend(across.iter().map(shade));
        }
    }
}

/// Between which two cells a pixel lies, and how near to the second.
type Weight = (usize, usize, f32);

/// For each pixel of a side of `length`, the cells of a map that lies from `from` to `to`.
fn weights(length: usize, (from, to): (f32, f32), grid: usize) -> Vec<Option<Weight>> {
    let one = |pixel: usize| {
        let share = (pixel as f32 + 0.5 - from) / (to - from);
        if !(0.0..1.0).contains(&share) {
            return None;
        }
        let at = (share * grid as f32 - 0.5).clamp(0.0, grid as f32 - 1.0);
        let cell = at.floor() as usize;
        Some((cell, (cell + 1).min(grid - 1), at - at.floor()))
    };
    (0..length).map(one).collect()
}
