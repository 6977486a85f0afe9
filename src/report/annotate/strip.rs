//! The strip below the picture: what happens in words, and the curve as it runs.

use super::canvas::{Canvas, Rgb};
use super::text::Pen;
use crate::error::Result;
use crate::media::GapReason;
use crate::record::{CurvePoint, Event, Report};
use crate::report::palette::DARK;
use crate::report::{axis, downsample, words};

/// Seconds of the curve that are in sight.
const SIGHT_S: f64 = 20.0;
/// Where the playhead stands while the curve runs past it, as a share of the width.
const HEAD: f64 = 0.7;

const GROUND: Rgb = DARK.ground;
const PLOT: Rgb = DARK.surface;
const INK: Rgb = DARK.ink;
const MUTED: Rgb = DARK.muted;
const CURVE: Rgb = DARK.curve;
const EVENT: Rgb = DARK.event;
const THRESHOLD: Rgb = DARK.threshold;
const BREAK: Rgb = [70, 80, 94];

/// Draws the strip of one video.
pub struct Strip<'a> {
    report: &'a Report,
    /// Unbroken runs of the curve.
    runs: Vec<&'a [CurvePoint]>,
    pen: Pen,
    bold: Pen,
    font: f32,
    width: f32,
    /// Top and bottom of the strip, and of the curve in it, pixels.
    sides: [f32; 2],
    plot: [f32; 2],
    low: f64,
    high: f64,
    duration: f64,
}

/// Height of the strip below a picture of such a width, pixels; even.
pub fn height(width: usize) -> usize {
    2 * (font(width) * 3.6).round() as usize
}

/// Height of letters, pixels.
pub fn font(width: usize) -> f32 {
    (width as f32 / 56.0).clamp(13.0, 48.0)
}

impl<'a> Strip<'a> {
    /// Below a picture of so many pixels.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] when the built-in font is damaged.
    pub fn new(report: &'a Report, width: usize, picture_height: usize) -> Result<Self> {
        let font = font(width);
        let (top, bottom) = (picture_height as f32, (picture_height + height(width)) as f32);
        let values = || report.curve.iter().map(|p| f64::from(p.surprise));
        let threshold = report.config.resolved.threshold.map_or(0.0, f64::from);
        let high = report.events.iter().map(|e| f64::from(e.score)).chain(values()).fold(threshold, f64::max);
        let low = values().fold(0.0, f64::min);
        let last = report.curve.last().map_or(0.0, |p| p.t_s);
        Ok(Self {
            report,
            runs: downsample::runs(&report.curve, &report.input.gaps, 0.0),
            pen: Pen::new(font, false)?,
            bold: Pen::new(font, true)?,
            font,
            width: width as f32,
            sides: [top, bottom],
            plot: [top + font * 1.9, bottom - font * 1.45],
            low,
            high: if high > low { high + 0.08 * (high - low) } else { low + 1.0 },
            duration: report.input.duration_s.max(last).max(0.1),
        })
    }

    /// Draws the strip at a moment, seconds.
    pub fn draw(&mut self, canvas: &mut Canvas, now: f64, event: Option<&Event>) {
        canvas.fill([0.0, self.sides[0], self.width, self.sides[1]], GROUND, 1.0);
        canvas.fill([0.0, self.plot[0], self.width, self.plot[1]], PLOT, 1.0);
        self.words(canvas, now, event);
        let span = self.duration.min(SIGHT_S);
        let from = (now - HEAD * span).clamp(0.0, self.duration - span);
        let view = View { from, per_second: f64::from(self.width) / span };
        self.bands(canvas, view);
        self.curve(canvas, view, now);
        self.threshold(canvas);
        self.ticks(canvas, view, span);
        let x = view.x(now);
        let half = (self.font / 14.0).max(1.0);
        canvas.fill([x - half, self.plot[0] - 2.0, x + half, self.plot[1] + 2.0], INK, 1.0);
    }

    /// The line of words: what happened on the left, time and surprise on the right.
    fn words(&mut self, canvas: &mut Canvas, now: f64, event: Option<&Event>) {
        let line = self.sides[0] + self.font * 0.45 + self.pen.ascent();
        let margin = self.font * 0.6;
        let surprise = self.surprise(now).map_or("–".to_owned(), |v| words::number(f64::from(v)));
        let right = format!("surprise {surprise}   {}", words::time(now));
        let left = self.width - self.pen.width(&right) - margin;
        let room = left - 2.0 * margin;
        canvas.text(&mut self.pen, &right, (left, line), INK);
        match event {
            None => {
                let text = self.pen.fitted("no event", room);
                canvas.text(&mut self.pen, &text, (margin, line), MUTED);
            }
            Some(event) => {
                let text = self.bold.fitted(&words::event_title(event), room);
                let end = canvas.text(&mut self.bold, &text, (margin, line), EVENT);
                let told = event.what.as_ref().map_or_else(String::new, |what| words::one_line(&what.sentence));
                let text = self.pen.fitted(&told, room - (end - margin) - margin);
                if text.chars().count() > 1 {
                    canvas.text(&mut self.pen, &text, (end + margin, line), INK);
                }
            }
        }
    }

    /// The surprise that holds at a moment; `None` where nothing was predicted.
    fn surprise(&self, now: f64) -> Option<f32> {
        let curve = &self.report.curve;
        let next = curve.partition_point(|p| p.t_s < now);
        let near = [next.checked_sub(1), Some(next)].into_iter().flatten().filter_map(|i| curve.get(i));
        let near = near.min_by(|a, b| (a.t_s - now).abs().total_cmp(&(b.t_s - now).abs()))?;
        ((near.t_s - now).abs() < 0.35).then_some(near.surprise)
    }

    fn bands(&mut self, canvas: &mut Canvas, view: View) {
        let [top, bottom] = self.plot;
        for event in &self.report.events {
            let from = view.x(event.onset_s);
            canvas.fill([from, top, view.x(event.end_s).max(from + 3.0), bottom], EVENT, 0.28);
        }
        for gap in &self.report.input.gaps {
            let from = view.x(if gap.reason == GapReason::SceneCut { gap.end_s } else { gap.start_s });
            canvas.fill([from, top, view.x(gap.end_s).max(from + 2.0), bottom], BREAK, 0.9);
        }
    }

    /// The curve: bright up to now, faint beyond.
    fn curve(&self, canvas: &mut Canvas, view: View, now: f64) {
        let half = (self.font / 11.0).max(1.0);
        let floor = self.y(self.low);
        for run in &self.runs {
            let first = run.partition_point(|p| view.x(p.t_s) < 0.0).saturating_sub(1);
            for pair in run[first..].windows(2) {
                let (a, b) = (view.x(pair[0].t_s), view.x(pair[1].t_s));
                if a > self.width {
                    break;
                }
                let (ya, yb) = (self.y(f64::from(pair[0].surprise)), self.y(f64::from(pair[1].surprise)));
                let at = |x: f32| ya + (yb - ya) * ((x - a) / (b - a).max(0.01)).clamp(0.0, 1.0);
                let past = pair[0].t_s <= now;
                for x in a.max(0.0) as usize..b.min(self.width).max(0.0) as usize {
                    let (one, two) = (at(x as f32), at(x as f32 + 1.0));
                    if past {
                        canvas.column(x, (one.max(two), floor), CURVE, 0.16);
                    }
                    let line = (one.min(two) - half, one.max(two) + half);
                    canvas.column(x, line, CURVE, if past { 1.0 } else { 0.4 });
                }
            }
        }
    }

    fn threshold(&mut self, canvas: &mut Canvas) {
        let Some(threshold) = self.report.config.resolved.threshold else { return };
        let y = self.y(f64::from(threshold));
        let (thick, dash) = ((self.font / 12.0).max(1.0), self.font * 0.5);
        let mut x = 0.0;
        while x < self.width {
            canvas.fill([x, y - thick / 2.0, x + dash, y + thick / 2.0], THRESHOLD, 0.9);
            x += 2.0 * dash;
        }
    }

    fn ticks(&mut self, canvas: &mut Canvas, view: View, span: f64) {
        let at = axis::ticks(view.from, view.from + span, 10);
        let step = at.get(1).zip(at.first()).map_or(span, |(b, a)| b - a);
        let line = self.plot[1] + self.font * 0.2 + self.pen.ascent();
        for t in at {
            let label = axis::time_label(t, step, self.duration);
            let label = if self.duration < 120.0 { format!("{label} s") } else { label };
            let (x, wide) = (view.x(t), self.pen.width(&label));
            canvas.fill([x - 0.5, self.plot[1], x + 0.5, self.plot[1] + self.font * 0.25], MUTED, 1.0);
            if x - wide / 2.0 >= 0.0 && x + wide / 2.0 <= self.width {
                canvas.text(&mut self.pen, &label, (x - wide / 2.0, line), MUTED);
            }
        }
    }

    fn y(&self, surprise: f64) -> f32 {
        let share = ((surprise - self.low) / (self.high - self.low)).clamp(0.0, 1.0) as f32;
        self.plot[1] - 1.0 - share * (self.plot[1] - self.plot[0] - 2.0)
    }
}

/// Which part of the time lies where.
#[derive(Clone, Copy)]
struct View {
    from: f64,
    per_second: f64,
}

impl View {
    fn x(self, t: f64) -> f32 {
        ((t - self.from) * self.per_second) as f32
    }
}
