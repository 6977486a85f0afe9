//! A camera: its number, what it is to be watched with, and the one record that the engine's threads share of it.

use super::meters::CameraMeters;
use super::pulse::Pulse;
use crate::clip::{ClipSpec, Region};
use crate::error::Result;
use crate::media::FrameSource;
use crate::pipeline::DetectionSettings;
use crate::surprise::{Baseline, Past};
use crate::units::{MediaTime, Stop};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Whose news, clips and counters something is: a number that no other camera of the program gets, now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct CameraId(u32);

impl CameraId {
    /// Of this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// As the model tells streams apart.
    pub(super) const fn stream(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for CameraId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Opens a source, again and again; the token ends its waits.
pub type OpenAgain<'a> = Box<dyn FnMut(Stop) -> Result<Box<dyn FrameSource>> + Send + 'a>;

/// Whether somebody wants to hear of an event that begins at this time.
pub type OnDuty<'a> = Box<dyn Fn(SystemTime) -> bool + Send + 'a>;

/// At what speed a source is read, and what its end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As frames come; an end is a fault, and it is connected anew.
    Live,
    /// A file at its own pace, once.
    Once,
    /// A file at its own pace, over and over.
    Loop,
    /// A file as fast as the model can, once: nothing is dropped.
    Model,
}

/// One camera.
pub struct Camera<'a> {
    /// Connects to it.
    pub open: OpenAgain<'a>,
    /// At what speed.
    pub pace: Pace,
    /// Without a frame for so long it is connected anew.
    pub stall: Duration,
    /// No event is told that begins so soon after its first frame; with a past, before so much of it was seen in all.
    pub warm_up: MediaTime,
    /// How errors become events.
    pub detection: DetectionSettings,
    /// What is normal; `None`: the stream so far.
    pub baseline: Option<Arc<Baseline>>,
    /// What this camera has shown of itself in earlier runs: it is judged by its own past, and the baseline only brings
    /// its errors to one scale. `None`: the baseline judges.
    pub past: Option<Past>,
    /// Frames per second of its clock; `None`: the model's.
    pub fps: Option<f64>,
    /// The parts of the picture to watch; none: all of it.
    pub region: Vec<Region>,
    /// Whether an event that begins at a time is told.
    pub on_duty: OnDuty<'a>,
}

impl Camera<'_> {
    /// The model's clips on this camera's clock.
    pub(super) fn spec(&self, model: &ClipSpec) -> ClipSpec {
        ClipSpec { model_fps: self.fps.unwrap_or(model.model_fps), ..model.clone() }
    }
}

/// What the engine's threads share of a camera, from its first attempt to connect to the last that is told of it.
///
/// What one thread alone works with is not here: waiting clips lie under the one lock of all queues, which a fair choice
/// needs; the tracker is the station's; packets for clips are kept by whoever opened the source.
pub(super) struct WatchedCamera {
    pub(super) id: CameraId,
    /// What it counts.
    pub(super) meters: Arc<CameraMeters>,
    /// Until when its current wait may last.
    pub(super) pulse: Pulse,
    /// Ends this camera alone.
    pub(super) stop: Stop,
}
