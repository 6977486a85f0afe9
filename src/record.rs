//! The one vocabulary between the engine and the outputs: what happens during a run, and the finished report.
//!
//! [`Report`] is `result.json` (schema `startle.result/1`): enough to render every other output again without the
//! video. Additions to it are fine; a change of meaning bumps the schema.

mod settings;
mod shown;

use crate::error::Result;
use crate::media::{GapReason, VideoInfo};
use crate::model::ModelInfo;
pub use crate::surprise::{ContextSurprise, EventKind, PartKind, VideoSurprise};
use crate::units::PixelBox;
use serde::{Deserialize, Serialize};
pub use settings::{Asked, Resolved, RunConfig, Timings};
pub use shown::{Annotated, Horizon, Horizons, Sight, Still};

/// The schema's name and version in `result.json`.
pub const SCHEMA: &str = "startle.result/1";

/// One point of the surprise curve: one predicted slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CurvePoint {
    /// Middle of the predicted slot, seconds from the start of the container.
    pub t_s: f64,
    /// Headline surprise: each token's error on the footing of its horizon, mean of the top-k tokens, averaged over the
    /// predictions that cover the slot, over what the baseline expects of a slot with so much motion around it. 1 is
    /// usual; plain L1 without a baseline.
    pub surprise: f32,
    /// `surprise` before the expectation was divided out, in units of the baseline's scale.
    #[serde(default)]
    pub unadjusted: f32,
    /// `surprise` against the calibration sample (or, without a baseline, against the stream so far), in robust
    /// standard deviations; `None` while too little is known.
    pub z: Option<f32>,
    /// Conformal p-value against the calibration sample; `None` without a baseline.
    pub p_value: Option<f32>,
    /// Mean L1 error over all tokens, and over the predictions that cover the slot: the plain window mean.
    pub raw: f32,
    /// Mean absolute luma change within the slot, 0..1.
    pub motion: f32,
    /// Token with the largest surprise, `[row, column]`.
    pub peak_cell: [u16; 2],
    /// That token's place in the source picture, pixels.
    pub peak_box: PixelBox,
}

/// A place where the run of frames is broken; no clip crosses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// End of the last good frame, seconds from the start of the container.
    pub start_s: f64,
    /// Time of the next good frame, seconds.
    pub end_s: f64,
    /// What happened.
    pub reason: GapReason,
}

/// The surprise of every token of one slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeatMap {
    /// Tokens along each side.
    pub grid: u16,
    /// The part of the source picture that the grid covers, pixels.
    pub area: PixelBox,
    /// `grid²` values, row-major, in the units of [`CurvePoint::surprise`].
    pub values: Vec<f32>,
}

/// A span of the curve above its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// 1, 2, … in order of time.
    pub id: u32,
    /// A spike, or a slow violation.
    #[serde(default = "spike")]
    pub kind: EventKind,
    /// When the evidence turned, seconds from the start of the container.
    pub onset_s: f64,
    /// Largest surprise.
    pub peak_s: f64,
    /// Last slot above the lower threshold.
    pub end_s: f64,
    /// Surprise at the peak.
    pub score: f32,
    /// Its z at the peak.
    pub z: f32,
    /// Its conformal p-value at the peak; `None` without a baseline.
    pub p_value: Option<f32>,
    /// Spikes per hour of normal footage that reach as far; `None` without a baseline.
    #[serde(default)]
    pub per_hour: Option<f64>,
    /// Where: the connected hot tokens around the peak token, in pixels of the source picture; with `what`, the box of the
    /// thing that it is about.
    #[serde(rename = "box")]
    pub place: PixelBox,
    /// The heat map at the peak.
    pub heat: HeatMap,
    /// What happened, as far as the model can tell: models of objects can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<What>,
    /// The picture at the peak as JPEG, base64, at most 320 pixels wide; empty when none was kept.
    #[serde(default)]
    pub thumbnail: String,
    /// The pictures shortly before its onset and after its end, where the unbroken run of frames has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<Still>,
}

/// What an event is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct What {
    /// `missing`, `new`, `moved`, `size`, `colour` or `shape`.
    pub kind: PartKind,
    /// The part of the model's energy that gave it away.
    pub part: String,
    /// The same for people, a sentence.
    pub sentence: String,
    /// What was expected and where; `None` of what is new.
    pub expected: Option<Look>,
    /// What was seen instead; `None` of what is missing.
    pub seen: Option<Look>,
}

/// A thing as a model of objects sees or expects it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Look {
    /// Its whole box (of what is half hidden, too), in pixels of the source picture.
    #[serde(rename = "box")]
    #[cfg_attr(feature = "serve", schema(value_type = [f32; 4], min_items = 4, max_items = 4))]
    pub place: PixelBox,
    /// Its colour in a word.
    pub colour: String,
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// `ball`, `box`, `cylinder` or `thing`.
    pub shape: String,
}

/// The only kind that earlier versions knew.
const fn spike() -> EventKind {
    EventKind::Spike
}

/// What was analysed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputReport {
    /// As the user named it (credentials removed from URLs).
    pub path: String,
    /// Content hash; `None` for streams and standard input.
    pub sha256: Option<String>,
    /// When the last picture ends, seconds.
    pub duration_s: f64,
    /// When the first picture appears, seconds: all times count from the start of the container, as players do, and its
    /// sound may begin before its picture.
    #[serde(default)]
    pub starts_at_s: f64,
    /// Stated frame rate.
    pub fps: f64,
    /// Upright width, pixels.
    pub width: u32,
    /// Upright height, pixels.
    pub height: u32,
    /// Codec name.
    pub codec: String,
    /// Pixel format name.
    pub pixel_format: String,
    /// Frames decoded.
    pub frames_decoded: u64,
    /// Breaks in the run of frames.
    pub gaps: Vec<Gap>,
    /// What else the reader should know (interlaced, rotated, alpha dropped, …).
    pub notes: Vec<String>,
}

impl InputReport {
    /// The report of an input of which only the header is known.
    pub fn new(path: String, sha256: Option<String>, info: &VideoInfo) -> Self {
        Self {
            path,
            sha256,
            duration_s: 0.0,
            starts_at_s: 0.0,
            fps: info.nominal_fps,
            width: info.width,
            height: info.height,
            codec: info.codec.clone(),
            pixel_format: info.pixel_format.clone(),
            frames_decoded: 0,
            gaps: Vec::new(),
            notes: info.notes.clone(),
        }
    }
}

/// A slower rate of the same video: a curve and a detector of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SlowerRate {
    /// Frames of the model's clock between its frames.
    pub frame_step: u32,
    /// Its frames per second.
    pub model_fps: f64,
    /// What normal was: always `self`, the rate's own past, because a baseline holds for one rate.
    pub baseline: String,
    /// How its thresholds came about, in words.
    pub threshold_rule: String,
    /// Its curve, in order of time.
    pub curve: Vec<CurvePoint>,
    /// Its events, in order of time, numbered for themselves.
    pub events: Vec<Event>,
    /// The literature's numbers at this rate.
    pub video_surprise: VideoSurprise,
}

/// `result.json`.
///
/// ```
/// let mut engine = startle::engine::Engine::open("startle-o1")?;
/// let report = engine.analyze("samples/colour_0_impossible.mp4".as_ref())?;
/// let (event, curve) = (&report.events[0], &report.curve);
/// let peak = curve.iter().map(|point| point.surprise).fold(0.0, f32::max);
/// assert!(event.onset_s <= event.peak_s && event.peak_s <= event.end_s && event.score == peak);
/// let text = serde_json::to_string(&report).expect("finite numbers");
/// assert_eq!(serde_json::from_str::<startle::record::Report>(&text).expect("what was written"), report);
/// # Ok::<(), startle::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of startle that wrote it.
    pub startle_version: String,
    /// When, RFC 3339 in UTC.
    pub created: String,
    /// What was analysed.
    pub input: InputReport,
    /// What it was analysed with.
    pub model: ModelInfo,
    /// Every effective setting.
    pub config: RunConfig,
    /// The surprise curve, in order of time.
    pub curve: Vec<CurvePoint>,
    /// The events, in order of time.
    pub events: Vec<Event>,
    /// Stretches, seconds, in which the video was unlike the baseline's footage: no event was looked for.
    #[serde(default)]
    pub strange: Vec<[f64; 2]>,
    /// The literature's numbers for the whole video.
    pub video_surprise: VideoSurprise,
    /// Slower rates, as they were asked for; they do not touch the curve and the events above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slower: Vec<SlowerRate>,
    /// What a model of objects saw: at most 3000 moments, of longer videos every second, fourth, … one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sights: Vec<Sight>,
    /// How surprising each kind of prediction was; absent from reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizons: Option<Horizons>,
    /// The video with all this drawn in, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotated: Option<Annotated>,
    /// Whether the run ended before the video did (interrupted, or the file is cut off).
    pub truncated: bool,
    /// What went wrong without ending the run, and what limits the reading of the numbers.
    pub warnings: Vec<String>,
    /// Where the time went.
    pub timings: Timings,
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// The input is open and the model is loaded.
    Started {
        /// The input, header only.
        input: &'a InputReport,
        /// The model.
        model: &'a ModelInfo,
        /// Length that the container states, seconds.
        duration_s: Option<f64>,
    },
    /// A slot's surprise is final.
    Point(&'a CurvePoint),
    /// The run of frames is broken.
    Gap(&'a Gap),
    /// An event is over.
    Event(&'a Event),
    /// The run is over.
    Finished(&'a Report),
}

/// Something that hears a run.
pub trait Sink {
    /// Takes one happening.
    ///
    /// # Errors
    /// [`crate::Error::Output`] when it can't be passed on; the run stops.
    fn record(&mut self, event: &RunEvent<'_>) -> Result<()>;
}
