//! What there is to tell of a camera.

use crate::clip::ModelFrame;
use crate::record::{CurvePoint, Event, Gap, HeatMap};
use crate::surprise::Past;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::SystemTime;

/// What a camera is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub enum CameraState {
    /// Connecting.
    #[default]
    Opening,
    /// Frames are expected.
    Watching,
    /// Away; the next attempt comes in a while.
    Waiting {
        /// How long, seconds.
        seconds: f64,
    },
    /// Nothing follows.
    Ended,
}

/// How a camera is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Health {
    /// What it is doing.
    #[serde(flatten)]
    pub state: CameraState,
    /// Times it was connected anew.
    pub reconnects: u64,
    /// Clips dropped because inference could not keep up.
    pub dropped: u64,
    /// Its picture is unlike the baseline's footage: no events are looked for.
    pub strange: bool,
    /// It warms up: its curve is shown, no events are told.
    pub learning: bool,
    /// What was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// When an event happened, by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTimes {
    /// When the evidence turned.
    pub onset: SystemTime,
    /// Largest surprise.
    pub peak: SystemTime,
    /// Last slot above the lower threshold.
    pub end: SystemTime,
}

/// A slot's surprise, final, with what it was seen in.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The point of the curve.
    pub point: CurvePoint,
    /// The slot's middle by this machine's clock.
    pub wall: SystemTime,
    /// When the newest frame behind it arrived.
    pub arrived: SystemTime,
    /// The slot's last frame; its `preview` is a small picture of the whole.
    pub frame: Arc<ModelFrame>,
    /// The surprise of every token.
    pub heat: HeatMap,
    /// Where events open and close, on the scale of the surprise (of `z` where the thresholds are in it).
    pub levels: (f32, f32),
    /// The levels are on the scale of `z`.
    pub levels_in_z: bool,
}

/// How far an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub enum Phase {
    /// It has reached its threshold; peak and end are those so far.
    Begun,
    /// It is over.
    Over,
}

/// An event of a camera: told when it begins and again, under the same number, when it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// How far it is.
    pub phase: Phase,
    /// The event as far as it is known; its `id` counts the camera's events.
    pub event: Event,
    /// Its times by this machine's clock; the onset is the same in both phases.
    pub wall: WallTimes,
}

/// What there is to tell of a camera. Times count from its first frame and go on while it is away.
#[derive(Debug, Clone)]
pub enum News {
    /// A slot's surprise is final.
    Moment(Box<Moment>),
    /// An event has begun or is over.
    Incident(Box<Incident>),
    /// The run of frames is broken.
    Gap(Gap),
    /// The camera's health has changed.
    Health(Health),
    /// What the camera has shown of itself so far, from time to time: to be kept for the next run.
    Learnt(Box<Past>),
}
