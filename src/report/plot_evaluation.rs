//! The plots of an evaluation's page, as SVG to stand inside it.
//!
//! Invariants: no background, and every colour stands for a variable of the page's style ([`style`]), so that the plots
//! follow light and dark; bounded in size however many videos there are.

use super::palette::LIGHT;
use super::plot_colours::{EVENT, GRID, INK, MUTED, rgb};
use super::{axis, words};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, MODEL, Reliability, SCORERS, ViolationRow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

/// Units of the drawing for each logical pixel: `plotters` knows whole units only.
const SCALE: f64 = 4.0;
/// Points above which a curve is thinned.
const DRAW_LIMIT: usize = 600;
/// Height of one line of the bars, logical pixels.
const LINE: f64 = 24.0;
/// Longest name of a line of the bars, characters.
const NAME: usize = 26;

/// The colours of [`SCORERS`], in their order.
const SCORER_COLORS: [RGBColor; 9] = [
    rgb(LIGHT.curve),
    rgb(LIGHT.threshold),
    RGBColor(47, 125, 91),
    RGBColor(160, 70, 127),
    RGBColor(15, 138, 157),
    RGBColor(110, 120, 133),
    RGBColor(178, 34, 52),
    RGBColor(94, 74, 168),
    RGBColor(120, 130, 20),
];
/// The variables that stand for them in the page.
const SCORER_VARIABLES: [&str; 9] = ["--curve", "--s1", "--s2", "--s3", "--s4", "--s5", "--s6", "--s7", "--s8"];

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Rules that turn the plots' colours into the variables of the page.
pub fn style() -> String {
    let scorers = SCORER_COLORS.into_iter().zip(SCORER_VARIABLES);
    let fixed = [(INK, "--ink"), (MUTED, "--muted"), (GRID, "--line"), (EVENT, "--event")];
    let rule = |(RGBColor(r, g, b), variable): (RGBColor, &str)| {
        let hex = format!("#{r:02X}{g:02X}{b:02X}");
        format!(".plot [fill=\"{hex}\"]{{fill:var({variable})}}.plot [stroke=\"{hex}\"]{{stroke:var({variable})}}\n")
    };
    fixed.into_iter().chain(scorers).map(rule).collect()
}

/// The variable of a scorer's colour.
pub fn variable(scorer: &str) -> &'static str {
    SCORERS.iter().position(|s| *s == scorer).map_or("--muted", |i| SCORER_VARIABLES[i])
}

fn color(scorer: &str) -> RGBColor {
    SCORERS.iter().position(|s| *s == scorer).map_or(MUTED, |i| SCORER_COLORS[i])
}

/// Curves over the unit square, one for each scorer: `names` of the axes, then scorer and points, and the height of the
/// line of chance at the left and at the right end.
///
/// # Errors
/// [`Error::Internal`]: drawing into memory fails only by a fault of ours.
pub fn square(names: [&str; 2], curves: &[(&str, Vec<(f64, f64)>)], chance: [f64; 2]) -> Result<String> {
    drawing((400.0, 360.0), |root| {
        let axes = Axes { root, frame: [54.0, 388.0, 12.0, 312.0], x: (0.0, 1.0), y: (0.0, 1.0) };
        axes.frame(names)?;
        axes.dashed((0.0, chance[0]), (1.0, chance[1]), MUTED)?;
        for (scorer, points) in curves.iter().rev() {
            let width = if *scorer == MODEL { 2.5 } else { 1.25 };
            axes.line(points, color(scorer), width)?;
        }
        Ok(())
    })
}

/// Rates that were promised against those that came, an hour, both in powers of ten.
///
/// # Errors
/// As [`square`].
pub fn reliability(rates: &[Reliability]) -> Result<String> {
    // What never came has no logarithm: it lies at the foot.
    let log = |rate: f64| rate.max(1.0).log10();
    let points: Vec<(f64, f64)> = rates.iter().map(|r| (log(r.promised_per_hour), log(r.seen_per_hour))).collect();
    let top = points.iter().flat_map(|p| [p.0, p.1]).fold(1.0, f64::max).ceil();
    drawing((400.0, 360.0), |root| {
        let axes = Axes { root, frame: [54.0, 388.0, 12.0, 312.0], x: (0.0, top), y: (0.0, top) };
        axes.frame(["promised an hour (power of ten)", "seen an hour (power of ten)"])?;
        axes.dashed((0.0, 0.0), (top, top), INK)?;
        let two = 2.0_f64.log10();
        axes.dashed((0.0, two), (top - two, top), MUTED)?;
        axes.dashed((two, 0.0), (top, top - two), MUTED)?;
        axes.line(&points, color(MODEL), 2.5)
    })
}

/// The curves of an impossible video and of its possible twin, seconds and surprise, with the labelled onset.
///
/// # Errors
/// As [`square`].
pub fn pair(possible: &[(f64, f32)], impossible: &[(f64, f32)], onset_s: Option<f64>) -> Result<String> {
    let both = || possible.iter().chain(impossible);
    let last = both().map(|p| p.0).chain(onset_s).fold(0.1, f64::max);
    let values = || both().map(|p| f64::from(p.1));
    let (low, top) = (values().fold(0.0, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    drawing((360.0, 190.0), |root| {
        let axes = Axes { root, frame: [44.0, 350.0, 10.0, 146.0], x: (0.0, last), y: (low, 1.06 * top) };
        axes.frame(["time (s)", "surprise"])?;
        if let Some(onset) = onset_s {
            axes.dashed((onset, axes.y.0), (onset, axes.y.1), INK)?;
        }
        axes.line(&thinned(possible), MUTED, 1.5)?;
        axes.line(&thinned(impossible), EVENT, 2.0)
    })
}

/// The largest value of every stretch of a long curve.
fn thinned(curve: &[(f64, f32)]) -> Vec<(f64, f64)> {
    let stretch = curve.len().div_ceil(DRAW_LIMIT).max(1);
    let top = |part: &[(f64, f32)]| part.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
    curve.chunks(stretch).filter_map(top).map(|p| (p.0, f64::from(p.1))).collect()
}

/// Pairwise accuracy of the model in each row with its 95 % interval, and the best control as a mark.
///
/// # Errors
/// As [`square`].
pub fn bars(evaluation: &Evaluation) -> Result<String> {
    let rows: Vec<&ViolationRow> = evaluation.rows.iter().filter(|r| r.headline(MODEL).is_some()).collect();
    let foot = 8.0 + LINE * rows.len() as f64;
    drawing((720.0, foot + 44.0), |root| {
        let axes = Axes { root, frame: [190.0, 590.0, 8.0, foot], x: (0.0, 100.0), y: (rows.len() as f64, 0.0) };
        for tick in [0.0, 25.0, 50.0, 75.0, 100.0] {
            axes.segment((tick, axes.y.0), (tick, axes.y.1), GRID, 1.0)?;
            let at = (axes.logical(tick, axes.y.0).0, foot + 13.0);
            axes.text(&axis::number(tick), at, MUTED, HPos::Center)?;
        }
        let centre = f64::midpoint(axes.frame[0], axes.frame[1]);
        axes.text("pairwise accuracy, %", (centre, foot + 32.0), MUTED, HPos::Center)?;
        axes.dashed((50.0, axes.y.0), (50.0, axes.y.1), MUTED)?;
        rows.iter().enumerate().try_for_each(|(i, row)| bar(&axes, row, i as f64))
    })
}

fn bar(axes: &Axes<'_, '_>, row: &ViolationRow, top: f64) -> Drawn {
    let Some(model) = row.headline(MODEL) else { return Ok(()) };
    let (middle, y) = (top + 0.5, axes.logical(0.0, top + 0.5).1);
    let name = words::one_line(&row.name);
    let short: String = name.chars().take(NAME).collect();
    let short = if short == name { short } else { format!("{short}…") };
    axes.text(&short, (axes.frame[0] - 8.0, y), INK, HPos::Right)?;
    axes.fill((0.0, top + 0.2), (100.0 * model.value, top + 0.8), &color(MODEL).mix(0.18))?;
    axes.segment((100.0 * model.low, middle), (100.0 * model.high, middle), color(MODEL), 1.5)?;
    for end in [model.low, model.high] {
        axes.segment((100.0 * end, middle - 0.14), (100.0 * end, middle + 0.14), color(MODEL), 1.5)?;
    }
    axes.dot((100.0 * model.value, middle), 4.0, color(MODEL))?;
    let Some(best) = &row.best_control else { return Ok(()) };
    let at = 100.0 * best.accuracy;
    axes.segment((at, top + 0.12), (at, top + 0.88), color(&best.scorer), 3.0)?;
    let text = format!("{:+.1} vs {}", 100.0 * best.margin, words::short_scorer(&best.scorer));
    let tone = if best.margin < 0.0 { EVENT } else { MUTED };
    axes.text(&text, (axes.frame[1] + 10.0, y), tone, HPos::Left)
}

/// Draws a picture of `size` logical pixels.
fn drawing(size: (f64, f64), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let fail = |reason: String| Error::Internal { stage: "plot", reason };
    let registered = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    registered.map_err(|_| fail("the built-in font is damaged".into()))?;
    let mut text = String::new();
    {
        let units = ((size.0 * SCALE) as u32, (size.1 * SCALE) as u32);
        let root = SVGBackend::with_string(&mut text, units).into_drawing_area();
        draw(&root).map_err(|e| fail(e.to_string()))?;
        root.present().map_err(|e| fail(e.to_string()))?;
    }
    Ok(text)
}

/// A plot area with its mapping from data to drawing units.
struct Axes<'a, 'b> {
    root: &'a Area<'b>,
    /// Left, right, top and bottom, logical pixels.
    frame: [f64; 4],
    /// Data at the left and at the right.
    x: (f64, f64),
    /// Data at the bottom and at the top.
    y: (f64, f64),
}

impl Axes<'_, '_> {
    fn logical(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |v: f64, (from, to): (f64, f64)| ((v - from) / (to - from)).clamp(0.0, 1.0);
        let [left, right, top, bottom] = self.frame;
        (left + share(x, self.x) * (right - left), bottom - share(y, self.y) * (bottom - top))
    }

    fn units(point: (f64, f64)) -> (i32, i32) {
        ((point.0 * SCALE).round() as i32, (point.1 * SCALE).round() as i32)
    }

    fn at(&self, point: (f64, f64)) -> (i32, i32) {
        Self::units(self.logical(point.0, point.1))
    }

    /// Grid, ticks and the names of both axes.
    fn frame(&self, [x_name, y_name]: [&str; 2]) -> Drawn {
        let [left, right, top, bottom] = self.frame;
        for tick in axis::ticks(self.y.0, self.y.1, 5) {
            self.segment((self.x.0, tick), (self.x.1, tick), GRID, 1.0)?;
            self.text(&axis::number(tick), (left - 7.0, self.logical(0.0, tick).1), MUTED, HPos::Right)?;
        }
        for tick in axis::ticks(self.x.0, self.x.1, 5) {
            let x = self.logical(tick, 0.0).0;
            self.text(&axis::number(tick), (x, bottom + 12.0), MUTED, HPos::Center)?;
        }
        self.segment((self.x.0, self.y.0), (self.x.1, self.y.0), MUTED, 1.0)?;
        self.text(x_name, (f64::midpoint(left, right), bottom + 31.0), MUTED, HPos::Center)?;
        let style = Self::font(MUTED, HPos::Center).transform(FontTransform::Rotate270);
        let place = Self::units((9.0, f64::midpoint(top, bottom)));
        self.root.draw(&Text::new(y_name.to_owned(), place, style))
    }

    /// A line through points; what falls on the same spot is drawn once.
    fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Drawn {
        let mut path: Vec<_> = points.iter().map(|p| self.at(*p)).collect();
        path.dedup();
        match path[..] {
            [only] => self.root.draw(&Circle::new(only, (2.0 * SCALE) as i32, color.filled())),
            _ => self.root.draw(&PathElement::new(path, color.stroke_width((width * SCALE) as u32))),
        }
    }

    fn segment(&self, from: (f64, f64), to: (f64, f64), color: RGBColor, width: f64) -> Drawn {
        self.root.draw(&PathElement::new([self.at(from), self.at(to)], color.stroke_width((width * SCALE) as u32)))
    }

    fn dashed(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Drawn {
        let (from, to) = (self.logical(from.0, from.1), self.logical(to.0, to.1));
        let length = (to.0 - from.0).hypot(to.1 - from.1).max(1.0);
        let at = |d: f64| Self::units((from.0 + (to.0 - from.0) * d / length, from.1 + (to.1 - from.1) * d / length));
        let starts = (0..(length / 7.0).ceil() as i32).map(|k| f64::from(k) * 7.0);
        for start in starts {
            let dash = [at(start), at((start + 4.0).min(length))];
            self.root.draw(&PathElement::new(dash, color.stroke_width(SCALE as u32)))?;
        }
        Ok(())
    }

    fn fill(&self, from: (f64, f64), to: (f64, f64), color: &impl Color) -> Drawn {
        self.root.draw(&Rectangle::new([self.at(from), self.at(to)], color.filled()))
    }

    fn dot(&self, at: (f64, f64), radius: f64, color: RGBColor) -> Drawn {
        self.root.draw(&Circle::new(self.at(at), (radius * SCALE) as i32, color.filled()))
    }

    fn font(color: RGBColor, horizontal: HPos) -> TextStyle<'static> {
        let font = FontDesc::new(FontFamily::SansSerif, 12.0 * SCALE, FontStyle::Normal);
        font.color(&color).pos(Pos::new(horizontal, VPos::Center))
    }

    /// A text at a place in logical pixels.
    fn text(&self, text: &str, at: (f64, f64), color: RGBColor, horizontal: HPos) -> Drawn {
        self.root.draw(&Text::new(text.to_owned(), Self::units(at), Self::font(color, horizontal)))
    }
}
