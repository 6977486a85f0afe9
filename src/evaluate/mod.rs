//! Violation of expectation as the field measures it: matched videos, what scored them, and the metrics.
//!
//! Pure arithmetic over finished scores; `dataset` reads the published layouts into [`Case`]s, the pipeline
//! scores them, `report::evaluation` writes tables and pages.

pub mod metrics;
pub mod select;
mod summary;

pub use select::Statistic;
pub use summary::{
    Accuracy, BestControl, Evaluation, PairMargin, Reliability, SCHEMA, Scope, ScorerRow, TIES_WRONG, ViolationRow,
    evaluate,
};

use crate::record::{PartKind, VideoSurprise};
use crate::units::PixelBox;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One labelled video of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Unique within the dataset, for example `O1/0001/1`.
    pub id: String,
    /// The video file, or a pattern or folder of numbered pictures.
    pub input: PathBuf,
    /// Frames a second, where `input` is a run of pictures.
    pub image_fps: Option<f64>,
    /// Possible and impossible videos of one scene share it: they are compared with each other.
    pub group: String,
    /// Within a group, videos that are matched one to one share it (identical before the onset). Empty: every possible
    /// video of the group is compared with every impossible one.
    pub pair: String,
    /// Kind of violation, or the dataset's name for its block (`O1`, `permanence`, …).
    pub kind: String,
    /// Whether it could have happened.
    pub possible: bool,
    /// Whether the violation happens out of sight; `None` where the dataset does not say.
    pub hidden: Option<bool>,
    /// What the violation does to the amount of motion.
    pub motion: Option<Motion>,
    /// First visible difference, seconds from the first frame; `None` where the dataset does not say.
    pub onset_s: Option<f64>,
    /// Where, in pixels of the source picture.
    pub place: Option<PixelBox>,
    /// What an event that finds it should be; `None` where the dataset does not say.
    #[serde(default)]
    pub what: Option<PartKind>,
    /// Both videos of the pair are possible: half of such pairs must come out either way.
    pub control: bool,
}

impl Case {
    /// A possible video of a group, of which nothing else is known.
    pub fn unlabelled(id: String, input: PathBuf, group: String) -> Self {
        Self {
            id,
            input,
            image_fps: None,
            group,
            pair: String::new(),
            kind: String::new(),
            possible: true,
            hidden: None,
            motion: None,
            onset_s: None,
            place: None,
            what: None,
            control: false,
        }
    }
}

/// What a violation does to the amount of motion; kinds that add it are easy for a motion detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Motion {
    /// Something moves that would not.
    Adds,
    /// Something stays or is gone that would move.
    Removes,
    /// Neither.
    Neither,
}

/// What one scorer says of one video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VideoScores {
    /// Headline surprise of each slot: middle of the slot in seconds, value.
    pub curve: Vec<(f64, f32)>,
    /// The literature's reductions of window surprise.
    pub literature: VideoSurprise,
    /// Events of the curve; only of scorers that have a baseline.
    pub events: Vec<EventSpan>,
}

/// An event as the metrics need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSpan {
    /// Seconds from the first frame.
    pub onset_s: f64,
    /// Largest surprise.
    pub peak_s: f64,
    /// Last slot above the lower threshold.
    pub end_s: f64,
    /// Surprise at the peak.
    pub score: f32,
    /// Where, in pixels of the source picture.
    #[serde(rename = "box")]
    pub place: PixelBox,
    /// What it is, of scorers that can tell.
    #[serde(default)]
    pub what: Option<SpanWhat>,
}

/// What an event is, as the metrics need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanWhat {
    /// What happened.
    pub kind: PartKind,
    /// Boxes of what was expected and of what was seen, as many as there are.
    pub boxes: Vec<PixelBox>,
}

/// A video and what every scorer says of it, by the scorer's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredCase {
    /// The video.
    pub case: Case,
    /// Scores by scorer: `model`, then the controls.
    pub scores: BTreeMap<String, VideoScores>,
    /// Seconds of video that were scored.
    pub duration_s: f64,
    /// Of a possible video, spikes at each of the rates that a baseline promises, [`PROMISED`]; empty without a baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<usize>,
}

/// Spikes an hour that are promised, for a look at how promises are kept.
pub const PROMISED: [f64; 8] = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Kind of videos that are compared with none: normal footage, on which every event is a false alarm.
pub const NORMAL: &str = "normal";
/// The scorer whose numbers the rest is beside.
pub const MODEL: &str = "model";
/// Random weights of the same shape.
pub const RANDOM: &str = "random weights";
/// Another model on the same clips.
pub const OTHER: &str = "other model";
/// The last context slot's features stay, with the model's own encoder.
pub const COPY: &str = "copy last token";
/// How sharply the path of the pictures' features turns.
pub const TURNING: &str = "turning angle";
/// How much its pace changes.
pub const BENDING: &str = "feature 2nd difference";
/// The last context slot's pixels stay: frame difference of first order.
pub const DIFFERENCE: &str = "frame difference";
/// The last change of the pixels goes on: frame difference of second order.
pub const DIFFERENCE2: &str = "2nd difference";
/// Mean change of the whole picture.
pub const MOTION: &str = "motion energy";
/// Every scorer, in the order of tables.
pub const SCORERS: [&str; 9] = [MODEL, RANDOM, COPY, DIFFERENCE, DIFFERENCE2, MOTION, OTHER, TURNING, BENDING];
