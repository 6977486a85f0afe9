//! `surprise.png` and `surprise.svg`: the curve as a picture, for a README or a slide.
//!
//! Invariants: only the files `plot*.rs` know `plotters`; no font of the system is needed (one is built in); the picture
//! holds a bounded number of shapes however long the video is, and the highest peak is always among them; axes are
//! linear.

use super::plot_colours::{BAND, CURVE, EVENT, GRID, INK, MOTION_FILL, MUTED, THRESHOLD};
use super::{axis, downsample, raster, words};
use crate::error::{Error, Result};
use crate::media::GapReason;
use crate::record::{CurvePoint, Event, Gap, Report};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

/// Picture size in logical pixels.
const SIZE: (u32, u32) = (1200, 480);
/// Device pixels per logical pixel of the PNG, so that it is sharp on dense screens.
const DENSITY: u32 = 2;
/// Further factor at which the PNG is drawn before it is averaged down: `plotters` does not smooth thick lines.
const OVERSAMPLING: u32 = 2;
/// Plot area in logical pixels: left, right, top and bottom of the curve.
const AREA: [f64; 4] = [78.0, 1176.0, 96.0, 344.0];
/// Top and bottom of the motion strip, logical pixels.
const MOTION: [f64; 2] = [360.0, 416.0];
/// More scene cuts than one per so many logical pixels are drawn as ticks at the foot instead of lines.
const CUT_SPACING: f64 = 12.0;

type Area<B> = DrawingArea<B, Shift>;
type Drawn<B> = std::result::Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// The picture as SVG text.
///
/// # Errors
/// [`Error::Internal`]: drawing into memory fails only by a fault of ours.
pub fn svg(report: &Report) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        paint(root, report, 1)?;
    }
    Ok(text)
}

/// The picture as PNG, 2400×960 (twice its nominal size).
///
/// # Errors
/// As [`svg`].
pub fn png(report: &Report) -> Result<Vec<u8>> {
    let scale = DENSITY * OVERSAMPLING;
    let (width, height) = (SIZE.0 * scale, SIZE.1 * scale);
    let mut pixels = vec![255; width as usize * height as usize * 3];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        paint(root, report, scale)?;
    }
    let small = raster::average_down(&pixels, width as usize, OVERSAMPLING as usize);
    raster::encode_png(&small, SIZE.0 * DENSITY, SIZE.1 * DENSITY).map_err(|e| internal(&e))
}

fn internal(reason: &impl std::fmt::Display) -> Error {
    Error::Internal { stage: "plot", reason: reason.to_string() }
}

fn paint<B: DrawingBackend>(root: Area<B>, report: &Report, scale: u32) -> Result<()> {
    let registered = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .and_then(|()| register_font("sans-serif", FontStyle::Bold, dejavu::sans::bold()));
    registered.map_err(|_| internal(&"the built-in font is damaged"))?;
    let canvas = Canvas::new(root, report, f64::from(scale));
    canvas.draw(report).map_err(|e| internal(&e))?;
    canvas.root.present().map_err(|e| internal(&e))
}

/// A drawing area with the mapping from seconds and surprise to its pixels.
struct Canvas<B: DrawingBackend> {
    root: Area<B>,
    scale: f64,
    duration: f64,
    low: f64,
    high: f64,
}

/// How a text sits on its point.
#[derive(Clone, Copy)]
struct Label {
    size: f64,
    bold: bool,
    color: RGBColor,
    horizontal: HPos,
}

impl Label {
    const fn new(size: f64, color: RGBColor, horizontal: HPos) -> Self {
        Self { size, bold: false, color, horizontal }
    }
}

impl<B: DrawingBackend> Canvas<B> {
    fn new(root: Area<B>, report: &Report, scale: f64) -> Self {
        let last = report.curve.last().map_or(0.0, |p| p.t_s);
        let ends = report.input.gaps.iter().map(|g| g.end_s);
        let duration = ends.fold(report.input.duration_s.max(last), f64::max).max(0.1);
        let scores = report.events.iter().map(|e| e.score);
        let values = report.curve.iter().map(|p| p.surprise).chain(scores).map(f64::from);
        let top = values.clone().chain(report.config.resolved.threshold.map(f64::from)).fold(0.0, f64::max);
        let low = values.fold(0.0, f64::min);
        let span = if top - low > 0.0 { top - low } else { 1.0 };
        let low = if low < 0.0 { low - 0.05 * span } else { 0.0 };
        Self { root, scale, duration, low, high: top.max(low + span) + 0.1 * span }
    }

    fn draw(&self, report: &Report) -> Drawn<B> {
        self.root.fill(&WHITE)?;
        self.frame(report)?;
        self.gaps(&report.input.gaps)?;
        self.motion(&report.curve, &report.input.gaps)?;
        for event in &report.events {
            self.event_band(event)?;
        }
        self.curve(&report.curve, &report.input.gaps)?;
        self.thresholds(report)?;
        self.event_marks(&report.events)?;
        self.title(report)
    }

    fn x(&self, t: f64) -> f64 {
        AREA[0] + (t / self.duration).clamp(0.0, 1.0) * (AREA[1] - AREA[0])
    }

    fn y(&self, surprise: f64) -> f64 {
        AREA[3] - ((surprise - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * (AREA[3] - AREA[2])
    }

    fn pixel(&self, x: f64, y: f64) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn stroke(&self, color: &impl Color, width: f64) -> ShapeStyle {
        color.stroke_width((width * self.scale).round().max(1.0) as u32)
    }

    fn line(&self, points: &[(f64, f64)], style: ShapeStyle) -> Drawn<B> {
        self.root.draw(&PathElement::new(points.iter().map(|p| self.pixel(p.0, p.1)).collect::<Vec<_>>(), style))
    }

    fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: &impl Color) -> Drawn<B> {
        self.root.draw(&Rectangle::new([self.pixel(from.0, from.1), self.pixel(to.0, to.1)], color.filled()))
    }

    fn style(&self, label: Label) -> TextStyle<'static> {
        let weight = if label.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::SansSerif, label.size * self.scale, weight);
        font.color(&label.color).pos(Pos::new(label.horizontal, VPos::Center))
    }

    fn text(&self, text: &str, (x, y): (f64, f64), label: Label) -> Drawn<B> {
        self.root.draw(&Text::new(text.to_owned(), self.pixel(x, y), self.style(label)))
    }

    /// Width of a text in logical pixels; a guess where the back end can't tell.
    fn width(&self, text: &str, label: Label) -> f64 {
        let guess = (text.chars().count() as f64 * label.size * 0.6 * self.scale) as u32;
        f64::from(self.root.estimate_text_size(text, &self.style(label)).map_or(guess, |size| size.0)) / self.scale
    }
}

/// The layers, from back to front.
impl<B: DrawingBackend> Canvas<B> {
    fn frame(&self, report: &Report) -> Drawn<B> {
        for tick in axis::ticks(self.low, self.high, 5) {
            let y = self.y(tick);
            self.line(&[(AREA[0], y), (AREA[1], y)], self.stroke(&GRID, 1.0))?;
            self.text(&axis::number(tick), (AREA[0] - 10.0, y), Label::new(13.0, MUTED, HPos::Right))?;
        }
        let (at, step) = axis::time_ticks(self.duration, 10);
        for t in at {
            let x = self.x(t);
            self.line(&[(x, MOTION[1]), (x, MOTION[1] + 5.0)], self.stroke(&MUTED, 1.0))?;
            let label = axis::time_label(t, step, self.duration);
            self.text(&label, (x, MOTION[1] + 16.0), Label::new(13.0, MUTED, HPos::Center))?;
        }
        self.line(&[(AREA[0], MOTION[1]), (AREA[1], MOTION[1])], self.stroke(&MUTED, 1.0))?;
        let unit = axis::time_unit(self.duration, step);
        let centre = f64::midpoint(AREA[0], AREA[1]);
        self.text(&format!("time ({unit})"), (centre, 462.0), Label::new(14.0, INK, HPos::Center))?;
        let name = format!("surprise ({})", words::surprise_unit(report));
        let style = self.style(Label::new(14.0, INK, HPos::Center)).transform(FontTransform::Rotate270);
        self.root.draw(&Text::new(name, self.pixel(22.0, f64::midpoint(AREA[2], AREA[3])), style))
    }

    /// Missing time as hatched bands with their reason; cuts as thin dashed lines, or ticks when there are many.
    fn gaps(&self, gaps: &[Gap]) -> Drawn<B> {
        let cuts: Vec<f64> = gaps.iter().filter(|g| g.reason == GapReason::SceneCut).map(|g| self.x(g.end_s)).collect();
        let crowded = cuts.len() as f64 * CUT_SPACING > AREA[1] - AREA[0];
        let mut free_from = AREA[0];
        for x in cuts {
            if crowded {
                self.line(&[(x, AREA[3] + 2.0), (x, AREA[3] + 8.0)], self.stroke(&MUTED.mix(0.4), 1.0))?;
                continue;
            }
            self.dashed((x, AREA[2]), (x, MOTION[1]), self.stroke(&MUTED.mix(0.6), 1.0))?;
            free_from = self.note(words::gap(GapReason::SceneCut), x + 5.0, free_from)?;
        }
        let mut free_from = AREA[0];
        for gap in gaps.iter().filter(|g| g.reason != GapReason::SceneCut) {
            let from = self.x(gap.start_s);
            let to = self.x(gap.end_s).max(from + 2.0);
            self.rectangle((from, AREA[2]), (to, MOTION[1]), &BAND)?;
            self.hatch(from, to)?;
            free_from = self.note(words::gap(gap.reason), from + 5.0, free_from)?;
        }
        Ok(())
    }

    /// A small remark at the foot of the plot, left out where it would touch the one before; gives its right end.
    fn note(&self, text: &str, x: f64, free_from: f64) -> std::result::Result<f64, DrawingAreaErrorKind<B::ErrorType>> {
        let label = Label::new(11.0, MUTED, HPos::Left);
        let end = x + self.width(text, label);
        if x < free_from || end > AREA[1] {
            return Ok(free_from);
        }
        self.text(text, (x, f64::midpoint(AREA[3], MOTION[0])), label)?;
        Ok(end + 8.0)
    }

    fn hatch(&self, from: f64, to: f64) -> Drawn<B> {
        let height = MOTION[1] - AREA[2];
        let lines = ((to - from + height) / 12.0) as i32;
        for offset in (1..=lines).map(|k| f64::from(k) * 12.0) {
            let (x0, y0) =
                if from + offset <= to { (from + offset, AREA[2]) } else { (to, AREA[2] + from + offset - to) };
            let (x1, y1) =
                if offset <= height { (from, AREA[2] + offset) } else { (from + offset - height, MOTION[1]) };
            self.line(&[(x0, y0), (x1, y1)], self.stroke(&MUTED.mix(0.25), 1.0))?;
        }
        Ok(())
    }

    fn dashed(&self, from: (f64, f64), to: (f64, f64), style: ShapeStyle) -> Drawn<B> {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |d: f64| (from.0 + (to.0 - from.0) * d / length, from.1 + (to.1 - from.1) * d / length);
        let dashes = (length / 9.0).ceil() as i32;
        for start in (0..dashes).map(|k| f64::from(k) * 9.0) {
            self.line(&[at(start), at((start + 5.0).min(length))], style)?;
        }
        Ok(())
    }

    fn motion(&self, points: &[CurvePoint], gaps: &[Gap]) -> Drawn<B> {
        let top = points.iter().map(|p| p.motion).fold(0.0, f32::max);
        self.text("motion", (AREA[0] - 10.0, MOTION[1] - 22.0), Label::new(12.0, MUTED, HPos::Right))?;
        if top <= 0.0 {
            return Ok(());
        }
        let most = format!("≤ {}", words::number(f64::from(top)));
        self.text(&most, (AREA[0] - 10.0, MOTION[1] - 7.0), Label::new(10.0, MUTED, HPos::Right))?;
        for run in downsample::runs(points, gaps, self.hairline()) {
            let columns = self.columns(run);
            let y = |v: f32| MOTION[1] - f64::from(v / top) * (MOTION[1] - MOTION[0]);
            let mut outline: Vec<_> = columns.iter().map(|c| (c.0, y(c.1))).collect();
            if let (Some(first), Some(last)) = (columns.first(), columns.last()) {
                outline.extend([(last.0, MOTION[1]), (first.0, MOTION[1])]);
            }
            let outline: Vec<_> = outline.into_iter().map(|p| self.pixel(p.0, p.1)).collect();
            self.root.draw(&Polygon::new(outline, MOTION_FILL.mix(0.7).filled()))?;
        }
        Ok(())
    }

    /// Seconds that are too short to see: a hole in the curve that is no wider than a line.
    fn hairline(&self) -> f64 {
        2.0 * self.duration / (AREA[1] - AREA[0])
    }

    /// The largest motion in each logical pixel column of a run: `(x, motion)`.
    fn columns(&self, points: &[CurvePoint]) -> Vec<(f64, f32)> {
        let mut columns: Vec<(f64, f32)> = Vec::new();
        for point in points {
            let x = self.x(point.t_s);
            match columns.last_mut() {
                Some(last) if x - last.0 < 1.0 => last.1 = last.1.max(point.motion),
                _ => columns.push((x, point.motion)),
            }
        }
        columns
    }

    fn thresholds(&self, report: &Report) -> Drawn<B> {
        let ends = |y: f64| ((AREA[0], y), (AREA[1], y));
        if let Some(low) = report.config.resolved.threshold_low {
            let (from, to) = ends(self.y(f64::from(low)));
            self.dashed(from, to, self.stroke(&THRESHOLD.mix(0.35), 1.0))?;
        }
        let Some(threshold) = report.config.resolved.threshold else { return Ok(()) };
        let y = self.y(f64::from(threshold));
        let (from, to) = ends(y);
        self.dashed(from, to, self.stroke(&THRESHOLD, 1.5))?;
        let text = format!("threshold {}", words::number(f64::from(threshold)));
        let label = Label::new(12.0, THRESHOLD, HPos::Right);
        let from = (AREA[1] - 6.0 - self.width(&text, label), y - 17.0);
        self.rectangle(from, (AREA[1], y - 2.0), &WHITE.mix(0.8))?;
        self.text(&text, (AREA[1] - 2.0, y - 9.0), label)
    }

    fn curve(&self, points: &[CurvePoint], gaps: &[Gap]) -> Drawn<B> {
        let budget = 2.0 * (AREA[1] - AREA[0]) / points.len().max(1) as f64;
        for run in downsample::runs(points, gaps, self.hairline()) {
            let kept = downsample::envelope(run, (budget * run.len() as f64) as usize);
            let path: Vec<_> = kept.iter().map(|&i| (self.x(run[i].t_s), self.y(f64::from(run[i].surprise)))).collect();
            let width = if run.len() > kept.len() { 1.0 } else { 2.0 };
            match path[..] {
                [only] => self.root.draw(&Circle::new(self.pixel(only.0, only.1), 2.0 * self.scale, CURVE.filled()))?,
                _ => self.polyline(&path, width)?,
            }
        }
        Ok(())
    }

    /// The curve's line. On pixels `plotters` lengthens sharp corners into spikes that the data does not have, so each
    /// stretch is drawn by itself there, with round joints.
    fn polyline(&self, path: &[(f64, f64)], width: f64) -> Drawn<B> {
        let style = self.stroke(&CURVE, width);
        if self.scale <= 1.0 {
            return self.line(path, style);
        }
        let radius = (width * self.scale / 2.0) as i32 - 1;
        for (pair, &(x, y)) in path.windows(2).zip(path) {
            self.line(pair, style)?;
            self.root.draw(&Circle::new(self.pixel(x, y), radius, CURVE.filled()))?;
        }
        Ok(())
    }

    fn event_band(&self, event: &Event) -> Drawn<B> {
        let from = self.x(event.onset_s);
        let to = self.x(event.end_s).max(from + 2.0);
        self.rectangle((from, AREA[2]), (to, MOTION[1]), &EVENT.mix(0.14))?;
        self.line(&[(from, AREA[2] - 6.0), (from, MOTION[1])], self.stroke(&EVENT.mix(0.8), 1.5))
    }

    /// A dot on each peak and, above its onset mark, the event's number, with its time where there is room.
    fn event_marks(&self, events: &[Event]) -> Drawn<B> {
        let label = Label { bold: true, ..Label::new(12.0, EVENT, HPos::Left) };
        let mut free_from = 0.0;
        for (index, event) in events.iter().enumerate() {
            let peak = self.pixel(self.x(event.peak_s), self.y(f64::from(event.score)));
            self.root.draw(&Circle::new(peak, (3.5 * self.scale) as i32, EVENT.filled()))?;
            let free_to = events.get(index + 1).map_or(AREA[1], |next| self.x(next.onset_s) - 4.0);
            let left = self.x(event.onset_s) - 2.0;
            let short = format!("#{}", event.id);
            let long = format!("{short} at {}", words::time(event.onset_s));
            let last = index + 1 == events.len();
            for text in [long, short] {
                let width = self.width(&text, label);
                let x = if last { left.min(AREA[1] - width) } else { left };
                if x >= free_from && x + width <= free_to {
                    self.text(&text, (x, AREA[2] - 15.0), label)?;
                    free_from = x + width + 4.0;
                    break;
                }
            }
        }
        Ok(())
    }

    fn title(&self, report: &Report) -> Drawn<B> {
        let title = Label { bold: true, ..Label::new(20.0, INK, HPos::Left) };
        let name = self.shortened(&words::one_line(&words::input_name(report)), title, 800.0);
        self.text(&name, (24.0, 28.0), title)?;
        let about = format!("{}  ·  {}", words::time(report.input.duration_s), words::one_line(&report.model.name));
        let label = Label::new(14.0, MUTED, HPos::Left);
        self.text(&self.shortened(&about, label, 800.0), (24.0, 54.0), label)?;
        let (color, count) = (if report.events.is_empty() { MUTED } else { EVENT }, report.events.len());
        let found = Label { bold: true, ..Label::new(16.0, color, HPos::Right) };
        self.text(&words::count(count, "event"), (AREA[1], 28.0), found)?;
        let state = if report.truncated { "run ended early" } else { "" };
        self.text(state, (AREA[1], 54.0), Label::new(13.0, THRESHOLD, HPos::Right))
    }

    /// The text, cut in the middle to fit `limit` logical pixels.
    fn shortened(&self, text: &str, label: Label, limit: f64) -> String {
        let chars: Vec<char> = text.chars().collect();
        let width = self.width(text, label);
        if width <= limit {
            return text.to_owned();
        }
        let half = ((chars.len() as f64 * limit / width) as usize).saturating_sub(2) / 2;
        let part = |range: &[char]| range.iter().collect::<String>();
        format!("{}…{}", part(&chars[..half]), part(&chars[chars.len() - half..]))
    }
}
