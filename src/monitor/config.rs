//! `monitor.toml`: which cameras to watch, and how.
//!
//! ```toml
//! [defaults]
//! max_false_alarms = "1/day"
//! stall_s = 10
//!
//! [[camera]]
//! name = "gate"
//! url_env = "GATE_URL"
//! region = [[[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]]
//! ```
//!
//! Invariants: an unknown key is refused; every message names the file, the line and the key; a URL that is given in
//! the environment or in a file of its own appears nowhere, one in the configuration only without its secrets.

use crate::error::{Error, Result};
use crate::media::open::{Input, parse, redacted};
use crate::surprise::ThresholdRule;
use crate::units::{MediaTime, per_hour};
use serde::{Deserialize, Deserializer, de};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// What a camera that says nothing else gets.
const DEFAULT_THRESHOLD: Threshold = Threshold::Rate(1.0 / 24.0);
/// Seconds without a frame after which a camera is connected anew.
const DEFAULT_STALL_S: f64 = 10.0;
/// Spikes closer than this are one event, seconds.
const DEFAULT_MERGE_S: f64 = 0.5;
/// Longest time that may be set, seconds: a day.
const LONGEST_S: f64 = 86_400.0;

/// When a surprise is an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many events an hour on normal footage.
    Rate(f64),
    /// At this p-value.
    PValue(f32),
    /// At so many robust standard deviations.
    Z(f32),
}

impl Threshold {
    /// As the detector takes it.
    pub const fn rule(self) -> ThresholdRule {
        match self {
            Self::Rate(per_hour) => ThresholdRule::Rate { per_hour },
            Self::PValue(p) => ThresholdRule::at_p_value(p),
            Self::Z(z) => ThresholdRule::at_z(z),
        }
    }
}

/// A point of the picture: `[x, y]`, both 0..1 from the upper left.
pub type Point = [f32; 2];
/// A polygon: at least three points.
pub type Region = Vec<Point>;

/// One camera, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// Its name in alerts; no other camera has it.
    pub name: String,
    /// Where its picture comes from. `Display` hides its credentials; `Debug` does not.
    pub input: Input,
    /// When a surprise is an event.
    pub threshold: Threshold,
    /// `bundle`, `self` or a file.
    pub baseline: String,
    /// No alert so soon after the start.
    pub warm_up: MediaTime,
    /// Without a frame for so long it is connected anew.
    pub stall: Duration,
    /// After an event none opens for so long.
    pub cool_down: MediaTime,
    /// Spikes closer than this are one event.
    pub merge: MediaTime,
    /// The parts of the picture to watch; none: all of it.
    pub region: Vec<Region>,
}

impl Camera {
    /// A camera of this name with the defaults.
    pub fn new(name: String, input: Input) -> Self {
        Settings::default().camera(name, input)
    }
}

/// The cameras of a configuration, in its order; never empty, names unique.
#[derive(Debug, Clone, PartialEq)]
pub struct MonitorConfig {
    /// The cameras.
    pub cameras: Vec<Camera>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    defaults: Settings,
    #[serde(default)]
    camera: Vec<Spanned<WrittenCamera>>,
}

/// What `[defaults]` holds; a camera overrides it key by key.
#[derive(Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    max_false_alarms: Option<Rate>,
    p_value: Option<Share>,
    z: Option<Positive>,
    baseline: Option<String>,
    warm_up_s: Option<Seconds>,
    stall_s: Option<Seconds>,
    cool_down_s: Option<Seconds>,
    merge_s: Option<Seconds>,
    region: Option<Vec<Polygon>>,
}

/// One `[[camera]]`. Serde can't flatten and refuse unknown keys at once, so the settings stand here again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCamera {
    name: Spanned<String>,
    url: Option<Spanned<String>>,
    url_env: Option<Spanned<String>>,
    url_file: Option<Spanned<String>>,
    max_false_alarms: Option<Rate>,
    p_value: Option<Share>,
    z: Option<Positive>,
    baseline: Option<String>,
    warm_up_s: Option<Seconds>,
    stall_s: Option<Seconds>,
    cool_down_s: Option<Seconds>,
    merge_s: Option<Seconds>,
    region: Option<Vec<Polygon>>,
}

impl WrittenCamera {
    /// Its own settings where it has them, else the defaults; a threshold of any kind replaces the default one.
    fn settings(&self, defaults: &Settings) -> Settings {
        let defaults = defaults.clone();
        let own = self.max_false_alarms.is_some() || self.p_value.is_some() || self.z.is_some();
        let (rate, p_value, z) = if own {
            (self.max_false_alarms, self.p_value, self.z)
        } else {
            (defaults.max_false_alarms, defaults.p_value, defaults.z)
        };
        Settings {
            max_false_alarms: rate,
            p_value,
            z,
            baseline: self.baseline.clone().or(defaults.baseline),
            warm_up_s: self.warm_up_s.or(defaults.warm_up_s),
            stall_s: self.stall_s.or(defaults.stall_s),
            cool_down_s: self.cool_down_s.or(defaults.cool_down_s),
            merge_s: self.merge_s.or(defaults.merge_s),
            region: self.region.clone().or(defaults.region),
        }
    }
}

impl Settings {
    fn thresholds(&self) -> usize {
        [self.max_false_alarms.is_some(), self.p_value.is_some(), self.z.is_some()].into_iter().filter(|t| *t).count()
    }

    fn camera(self, name: String, input: Input) -> Camera {
        let seconds = |s: Option<Seconds>, default: f64| s.map_or(default, |s| s.0);
        let time = |s, default| MediaTime::from_secs_f64(seconds(s, default));
        let threshold = match (self.max_false_alarms, self.p_value, self.z) {
            (Some(rate), ..) => Threshold::Rate(rate.0),
            (None, Some(p), _) => Threshold::PValue(p.0),
            (None, None, Some(z)) => Threshold::Z(z.0),
            (None, None, None) => DEFAULT_THRESHOLD,
        };
        Camera {
            name,
            input,
            threshold,
            baseline: self.baseline.unwrap_or_else(|| "bundle".into()),
            warm_up: time(self.warm_up_s, 0.0),
            stall: Duration::from_secs_f64(seconds(self.stall_s, DEFAULT_STALL_S)),
            cool_down: time(self.cool_down_s, 0.0),
            merge: time(self.merge_s, DEFAULT_MERGE_S),
            region: self.region.unwrap_or_default().into_iter().map(|p| p.0).collect(),
        }
    }
}

impl MonitorConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Input`] when a file can't be read, [`Error::Config`] with file, line and key for the first thing that
    /// is wrong in it.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read(path)?;
        Self::from_toml(&text, &path.display().to_string(), &|name| std::env::var(name).ok())
    }

    /// Reads a configuration; `file` is its name in messages, `env` looks up environment variables.
    ///
    /// # Errors
    /// As [`MonitorConfig::load`].
    pub fn from_toml(text: &str, file: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let place = Place { text, file };
        let written: Written = toml::from_str(text).map_err(|e| place.of(&e))?;
        if written.defaults.thresholds() > 1 {
            return Err(place.error(None, "[defaults] has several of max_false_alarms, p_value and z: keep one"));
        }
        if written.camera.is_empty() {
            return Err(place.error(None, "no camera: add a [[camera]] with a name and a url"));
        }
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut cameras = Vec::new();
        for spanned in written.camera {
            let span = spanned.span();
            let camera = spanned.into_inner();
            let name = camera.name.get_ref().clone();
            if name.is_empty() {
                return Err(place.error(Some(camera.name.span()), "the name is empty: name the camera"));
            }
            if let Some(line) = lines.insert(name.clone(), place.line(camera.name.span())) {
                let words = format!("two cameras are called \"{name}\" (the other in line {line}): rename one");
                return Err(place.error(Some(camera.name.span()), &words));
            }
            let input = camera.input(&place, span.clone(), env)?;
            let settings = camera.settings(&written.defaults);
            if settings.thresholds() > 1 {
                let words = format!("camera \"{name}\" has several of max_false_alarms, p_value and z: keep one");
                return Err(place.error(Some(span), &words));
            }
            cameras.push(settings.camera(name, input));
        }
        Ok(Self { cameras })
    }
}

impl WrittenCamera {
    /// Where the picture comes from: exactly one of `url`, `url_env` and `url_file`.
    fn input(&self, place: &Place<'_>, span: Range<usize>, env: &dyn Fn(&str) -> Option<String>) -> Result<Input> {
        let name = self.name.get_ref();
        match (&self.url, &self.url_env, &self.url_file) {
            (Some(url), None, None) => one_input(url.get_ref()).map_err(|e| place.error(Some(url.span()), &e)),
            (None, Some(variable), None) => {
                let unset = format!("url_env: the environment variable {} is not set", variable.get_ref());
                let url = env(variable.get_ref()).ok_or_else(|| place.error(Some(variable.span()), &unset))?;
                secret_input(&url).map_err(|e| place.error(Some(variable.span()), &format!("url_env: {e}")))
            }
            (None, None, Some(path)) => {
                let fail = |e: &str| place.error(Some(path.span()), &format!("url_file: {e}"));
                let text = read(Path::new(path.get_ref())).map_err(|e| fail(&e.to_string()))?;
                secret_input(text.trim()).map_err(|e| fail(&e))
            }
            _ => Err(place.error(Some(span), &format!("camera \"{name}\" needs one of url, url_env and url_file"))),
        }
    }
}

/// The one input that a name gives.
fn one_input(name: &str) -> Result<Input, String> {
    let mut inputs = parse(name).map_err(|e| format!("url: {}", hide(&e.to_string())))?;
    match (inputs.pop(), inputs.len()) {
        (Some(input), 0) => Ok(input),
        _ => Err(format!("url: \"{name}\" names several videos: give each a camera of its own")),
    }
}

/// A URL that must not be shown, not even in part.
fn secret_input(url: &str) -> Result<Input, String> {
    match parse(url).ok().as_deref() {
        Some([Input::Url(url)]) => Ok(Input::Url(url.clone())),
        _ => Err("what is there is not a URL such as rtsp://camera/stream".into()),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::input(path.display().to_string(), format!("can't be read: {e}; check its name and mode")))
}

/// Where in the configuration something is wrong.
struct Place<'a> {
    text: &'a str,
    file: &'a str,
}

impl Place<'_> {
    /// Line of a span, counted from 1.
    fn line(&self, span: Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text[..end].matches('\n').count() + 1
    }

    fn error(&self, span: Option<Range<usize>>, words: &str) -> Error {
        match span {
            Some(span) => Error::Config(format!("{}, line {}: {words}", self.file, self.line(span))),
            None => Error::Config(format!("{}: {words}", self.file)),
        }
    }

    /// The parser's message with the key of its line; never the line itself, which may hold a password.
    fn of(&self, error: &toml::de::Error) -> Error {
        let message = hide(error.message());
        let Some(span) = error.span() else { return self.error(None, &message) };
        let line = self.text.lines().nth(self.line(span.clone()) - 1).unwrap_or_default();
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !message.contains(key));
        let words = key.map_or(message.clone(), |key| format!("{key}: {message}"));
        self.error(Some(span), &words)
    }
}

/// The text with every URL in it redacted.
fn hide(text: &str) -> String {
    let parts = text.split_inclusive(|c: char| c.is_whitespace() || "\"'`".contains(c));
    parts.map(|part| if part.contains("://") { redacted(part) } else { part.to_owned() }).collect()
}

/// Events per hour, written as `1/day`.
#[derive(Clone, Copy)]
struct Rate(f64);

/// A share in (0, 1].
#[derive(Clone, Copy)]
struct Share(f32);

/// A positive number.
#[derive(Clone, Copy)]
struct Positive(f32);

/// Seconds, up to a day.
#[derive(Clone, Copy)]
struct Seconds(f64);

/// At least three points in the picture.
#[derive(Clone)]
struct Polygon(Region);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        per_hour(&String::deserialize(from)?).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f32::deserialize(from)?;
        let fine = value > 0.0 && value <= 1.0;
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} does not lie in (0, 1]"))) }
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f32::deserialize(from)?;
        let fine = value > 0.0 && value.is_finite();
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} is not a positive number"))) }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f64::deserialize(from)?;
        let fine = (0.0..=LONGEST_S).contains(&value);
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} does not lie in 0..{LONGEST_S} s"))) }
    }
}

impl<'de> Deserialize<'de> for Polygon {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let points = Region::deserialize(from)?;
        let inside = points.iter().flatten().all(|v| (0.0..=1.0).contains(v));
        if points.len() < 3 {
            return Err(de::Error::custom("a polygon of the region needs at least three points"));
        }
        if !inside {
            return Err(de::Error::custom("a point of the region lies outside 0..1 (shares of width and height)"));
        }
        if area(&points) < 1e-4 {
            return Err(de::Error::custom("a polygon of the region has no area"));
        }
        Ok(Self(points))
    }
}

/// Area of a polygon (the shoelace formula).
fn area(points: &[Point]) -> f32 {
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>().abs() / 2.0
}

#[cfg(test)]
mod tests;
