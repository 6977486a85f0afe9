//! How a run was asked for, and where its time went.

use crate::surprise::Check;
use serde::{Deserialize, Serialize};

/// Where the time went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timings {
    /// From opening the input to the last score, seconds.
    pub wall_s: f64,
    /// The decode thread's busy time (decode, convert, resize), seconds.
    pub decode_s: f64,
    /// The score thread's busy time, seconds.
    pub score_s: f64,
    /// Of that, inside the inference runtime, seconds.
    pub inference_s: f64,
    /// Seconds of video per second of wall time.
    pub realtime_factor: f64,
    /// Peak resident memory of the process, bytes; `None` where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
}

/// Every effective setting of a run, for the result; one table in JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// What was asked for.
    #[serde(flatten)]
    pub asked: Asked,
    /// How the run went about it.
    #[serde(flatten)]
    pub resolved: Resolved,
}

/// What was asked for that changes the numbers: two runs of one model with the same question give the same numbers of a
/// video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Frames between windows.
    pub stride: u32,
    /// Share of a slot's tokens whose mean is the slot's surprise.
    pub top_fraction: f32,
    /// Whether scene cuts were looked for.
    pub scene_cuts: bool,
    /// Slower rates that were analysed beside the model's own: every so many-th frame of its clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frame_steps: Vec<u32>,
    /// Which of several video tracks was asked for, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<u16>,
    /// Pictures per second that were asked for, for a stream that states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Where the calibration came from: `bundle`, a path, or `self` (the stream so far).
    pub baseline: String,
    /// Hash of the calibration's content, so that another one under the same name is told apart; `None` for `self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_sha256: Option<String>,
    /// The table of what a robot did, with the start of its sha256; absent for models that take none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<String>,
    /// The threshold that was asked for, for example `p ≤ 0.001`.
    #[serde(default, rename = "asked")]
    pub threshold: String,
    /// Spikes closer than this are one event, seconds.
    #[serde(default)]
    pub merge_s: f64,
    /// Nothing shorter is an event, seconds.
    #[serde(default)]
    pub min_duration_s: f64,
    /// After an event none opens for so long, seconds.
    #[serde(default)]
    pub cool_down_s: f64,
}

/// What a run was made with and worked out: neither changes the question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Device that was asked for.
    pub device: String,
    /// Threads within an operator of each copy of the model.
    pub threads: usize,
    /// Copies of the model that share each batch; 0: reports made before there could be several.
    #[serde(default)]
    pub sessions: usize,
    /// Windows scored at a time, by all copies together.
    pub batch: usize,
    /// Events per hour that normal footage has at these thresholds; `None` when nothing can be promised.
    #[serde(default)]
    pub promised_per_hour: Option<f64>,
    /// How the baseline's promise was kept on the half of its footage that it was not learnt from.
    #[serde(default)]
    pub check: Option<Check>,
    /// Surprise at which an event opens; `None` while the stream calibrates itself.
    pub threshold: Option<f32>,
    /// Surprise under which an open event closes.
    pub threshold_low: Option<f32>,
    /// How the thresholds came about, in words.
    pub threshold_rule: String,
}
