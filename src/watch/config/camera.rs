//! One camera: its settings as they are written, and with the defaults filled in.

use super::schedule::Schedule;
use super::toml_place::{TomlPlace, hide, read};
use super::values::{AlarmRate, Fps, PixelCount, Polygon, Positive, Seconds, Share, Streams, Week};
use crate::clip::Region;
use crate::error::Result;
use crate::media::ffmpeg::{Limits, RtspTransport};
use crate::media::open::{Input, parse};
use crate::surprise::ThresholdRule;
use crate::units::MediaTime;
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What a camera that says nothing else gets.
const DEFAULT_THRESHOLD: Threshold = Threshold::Rate(1.0 / 24.0);
/// Seconds without a frame after which a camera is connected anew.
const DEFAULT_STALL_S: f64 = 10.0;
/// Spikes closer than this are one event, seconds.
const DEFAULT_MERGE_S: f64 = 0.5;
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

/// One camera, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraConfig {
    /// Its name in alerts; no other camera has it.
    pub name: String,
    /// Where its picture comes from. `Display` hides its credentials; `Debug` does not.
    pub input: Input,
    /// When a surprise is an event.
    pub threshold: Threshold,
    /// What normal looks like; `None`: the default of how it is played.
    pub baseline: Option<String>,
    /// No alert before so much was seen; `None`: the default of the baseline.
    pub warm_up: Option<MediaTime>,
    /// Frames per second of its clock; `None`: the model's.
    pub fps: Option<f64>,
    /// When alerts are wanted.
    pub schedule: Schedule,
    /// Without a frame for so long it is connected anew.
    pub stall: Duration,
    /// How the pictures of an RTSP camera travel.
    pub rtsp_transport: RtspTransport,
    /// Whether its server may send on to another host.
    pub follow_redirects: bool,
    /// How much it may take.
    pub limits: Limits,
    /// After an event none opens for so long.
    pub cool_down: MediaTime,
    /// Spikes closer than this are one event.
    pub merge: MediaTime,
    /// The parts of the picture to watch; none: all of it.
    pub region: Vec<Region>,
}

impl CameraConfig {
    /// A camera of this name with the defaults.
    pub fn new(name: String, input: Input) -> Self {
        CameraSettings::default().camera(name, input)
    }
}

/// What `[defaults]` holds; a camera overrides it key by key.
#[derive(Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraSettings {
    max_false_alarms: Option<AlarmRate>,
    p_value: Option<Share>,
    z: Option<Positive>,
    baseline: Option<String>,
    fps: Option<Fps>,
    schedule: Option<Week>,
    warm_up_s: Option<Seconds>,
    stall_s: Option<Seconds>,
    rtsp_transport: Option<RtspTransport>,
    follow_redirects: Option<bool>,
    max_pixels: Option<PixelCount>,
    max_streams: Option<Streams>,
    cool_down_s: Option<Seconds>,
    merge_s: Option<Seconds>,
    region: Option<Vec<Polygon>>,
}

/// One `[[camera]]` after [`fill_in`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCamera {
    pub(super) name: Spanned<String>,
    url: Option<Spanned<String>>,
    url_env: Option<Spanned<String>>,
    url_file: Option<Spanned<String>>,
    pub(super) settings: CameraSettings,
}

/// Keys of a camera that no default can hold.
const OWN: [&str; 4] = ["name", "url", "url_env", "url_file"];
/// A threshold of any kind replaces the default one.
const THRESHOLDS: [&str; 3] = ["max_false_alarms", "p_value", "z"];

/// Brings the settings of each `[[camera]]` into a table `settings` of its own and puts the keys of `[defaults]` there that
/// it does not have; every value keeps its place in the file.
pub(super) fn fill_in(document: &mut DeTable<'_>) {
    let defaults = match document.get("defaults").map(Spanned::get_ref) {
        Some(DeValue::Table(defaults)) => defaults.clone(),
        _ => DeTable::new(),
    };
    let Some(DeValue::Array(cameras)) = document.get_mut("camera").map(Spanned::get_mut) else { return };
    for camera in cameras.iter_mut() {
        let span = camera.span();
        let DeValue::Table(table) = camera.get_mut() else { continue };
        let is_own = |key: &Spanned<DeString<'_>>| OWN.contains(&key.get_ref().as_ref());
        let (mut own, mut settings) = (DeTable::new(), DeTable::new());
        for (key, value) in std::mem::take(table) {
            if is_own(&key) { &mut own } else { &mut settings }.insert(key, value);
        }
        let chosen = THRESHOLDS.iter().any(|key| settings.contains_key(*key));
        for (key, value) in &defaults {
            let name = key.get_ref().as_ref();
            if !(settings.contains_key(name) || chosen && THRESHOLDS.contains(&name)) {
                settings.insert(key.clone(), value.clone());
            }
        }
        own.insert(Spanned::new(span.clone(), "settings".into()), Spanned::new(span, DeValue::Table(settings)));
        *table = own;
    }
}

impl CameraSettings {
    pub(super) fn thresholds(&self) -> usize {
        [self.max_false_alarms.is_some(), self.p_value.is_some(), self.z.is_some()].into_iter().filter(|t| *t).count()
    }

    pub(super) fn camera(self, name: String, input: Input) -> CameraConfig {
        let usual = Limits::default();
        let seconds = |s: Option<Seconds>, default: f64| s.map_or(default, |s| s.0);
        let time = |s, default| MediaTime::from_secs_f64(seconds(s, default));
        let threshold = match (self.max_false_alarms, self.p_value, self.z) {
            (Some(rate), ..) => Threshold::Rate(rate.0),
            (None, Some(p), _) => Threshold::PValue(p.0),
            (None, None, Some(z)) => Threshold::Z(z.0),
            (None, None, None) => DEFAULT_THRESHOLD,
        };
        CameraConfig {
            name,
            input,
            threshold,
            baseline: self.baseline,
            warm_up: self.warm_up_s.map(|s| MediaTime::from_secs_f64(s.0)),
            fps: self.fps.map(|fps| fps.0),
            schedule: self.schedule.unwrap_or_default().0,
            stall: Duration::from_secs_f64(seconds(self.stall_s, DEFAULT_STALL_S)),
            rtsp_transport: self.rtsp_transport.unwrap_or_default(),
            follow_redirects: self.follow_redirects.unwrap_or(false),
            limits: Limits {
                pixels: self.max_pixels.map_or(usual.pixels, |pixels| pixels.0),
                streams: self.max_streams.map_or(usual.streams, |streams| streams.0),
            },
            cool_down: time(self.cool_down_s, 0.0),
            merge: time(self.merge_s, DEFAULT_MERGE_S),
            region: self.region.unwrap_or_default().into_iter().map(|p| p.0).collect(),
        }
    }
}

impl WrittenCamera {
    /// Where the picture comes from: exactly one of `url`, `url_env` and `url_file`.
    pub(super) fn input(
        &self,
        place: &TomlPlace<'_>,
        span: Range<usize>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Input> {
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
        Some([Input::Url(url)]) => Ok(Input::Secret(url.clone())),
        _ => Err("what is there is not a URL such as rtsp://camera/stream".into()),
    }
}
