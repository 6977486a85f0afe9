//! Many cameras, one model: each is decoded on a thread of its own, all share one score thread.
//!
//! ```text
//! [decode camera 1] ──▶ short queue ─╮
//! [decode camera 2] ──▶ short queue ─┼─▶ [score] fair, batched ──▶ [caller] a Watch per camera ──▶ news
//! [decode camera n] ──▶ short queue ─╯
//! [watchman] ends waits that are too long
//! ```
//!
//! Invariants: a camera's fault (it is away, silent, sends garbage, makes the decoder panic) touches no other; a live
//! camera is never held back: what the model can't keep up with is dropped as whole clips and told as a gap; only the
//! model's own failure ends the whole.

mod background;
mod meters;
mod queue;
mod score;
mod station;
mod tend;
mod track;

use super::{DetectionSettings, join, root_cause, spawn};
use crate::clip::{ClipSpec, ModelFrame, Region};
use crate::error::Result;
use crate::media::FrameSource;
use crate::model::Scorer;
use crate::record::{CurvePoint, Event, Gap, HeatMap};
use crate::surprise::{Baseline, Past};
use crate::units::{MediaTime, Stop};
pub use background::{Background, Heard};
use crossbeam_channel::bounded;
pub use meters::{CameraMeters, Histogram, Meters};
use queue::Queues;
use serde::{Deserialize, Serialize};
use station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often the watchman looks.
const ROUND: Duration = Duration::from_millis(50);
/// Scored things that wait for the caller.
const SCORE_QUEUE: usize = 64;

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
    fn spec(&self, model: &ClipSpec) -> ClipSpec {
        ClipSpec { model_fps: self.fps.unwrap_or(model.model_fps), ..model.clone() }
    }
}

/// Waits between attempts to connect.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// Never more.
    pub longest: Duration,
    /// A connection that held for so long makes the next wait the first again.
    pub steady: Duration,
}

impl Default for Backoff {
    /// From 1 s, doubling to 60 s; ten seconds are steady.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(1), steady: Duration::from_secs(10) }
    }
}

/// Whose news, clips and counters something is: a number that no other camera of the program gets, now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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
    const fn stream(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for CameraId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What all cameras share.
#[derive(Debug, Clone)]
pub struct Options {
    /// Clips per inference call.
    pub batch: usize,
    /// Clips of one camera that wait at most.
    pub queue: usize,
    /// Whether scene cuts are looked for.
    pub scene_cuts: bool,
    /// Waits between attempts to connect.
    pub backoff: Backoff,
    /// Longest time that opening may take (a stall time that is longer counts instead).
    pub open_limit: Duration,
    /// After a stop, what waits is still scored for so long.
    pub drain: Duration,
    /// What is counted meanwhile.
    pub meters: Arc<Meters>,
    /// Ends the watch.
    pub stop: Stop,
}

impl Options {
    /// Four clips a call, eight waiting, cuts looked for, 20 s to open, 3 s to drain.
    pub fn new(stop: Stop) -> Self {
        let (open_limit, drain) = (Duration::from_secs(20), Duration::from_secs(3));
        let (backoff, meters) = (Backoff::default(), Arc::default());
        Self { batch: 4, queue: 8, scene_cuts: true, backoff, open_limit, drain, meters, stop }
    }
}

/// What a camera is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
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
pub struct Health {
    /// What it is doing.
    #[serde(flatten)]
    pub state: State,
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

/// Who hears the news, and says which cameras come and go.
pub trait Host<'a> {
    /// Takes a piece of news.
    ///
    /// # Errors
    /// What must end the watch.
    fn news(&mut self, camera: CameraId, news: News) -> Result<()>;

    /// Nothing follows from this camera, and nothing is known of it here any more.
    fn gone(&mut self, camera: CameraId) {
        let _ = camera;
    }

    /// Which cameras come and go; asked several times a second.
    fn changes(&mut self) -> Vec<Change<'a>> {
        Vec::new()
    }
}

impl<F: FnMut(CameraId, News) -> Result<()>> Host<'_> for F {
    fn news(&mut self, camera: CameraId, news: News) -> Result<()> {
        self(camera, news)
    }
}

/// A camera comes or goes while the others are watched.
pub enum Change<'a> {
    /// One more, under a number that no camera had before.
    Add(CameraId, Box<Camera<'a>>),
    /// This one ends; what was seen of it is still told.
    Remove(CameraId),
}

/// Watches cameras until all have ended or a stop is asked for; tells the host what happens.
///
/// # Errors
/// When the model fails or the host does; never because of a camera.
pub fn watch<'a>(
    cameras: Vec<(CameraId, Camera<'a>)>,
    scorer: &mut (dyn Scorer + Send),
    options: &Options,
    mut host: impl Host<'a>,
) -> Result<()> {
    let model = scorer.spec().clone();
    let queues = Queues::new(options);
    let (scores_in, scores_out) = bounded(SCORE_QUEUE);
    let queues = &queues;
    std::thread::scope(|scope| {
        let mut station = Station { scope, queues, options, model, posts: BTreeMap::new() };
        let started = cameras.into_iter().try_for_each(|(id, camera)| station.add(id, camera));
        if started.is_err() {
            options.stop.request();
            station.end_all();
            return started;
        }
        let watching = spawn(scope, "watchman", || {
            while !queues.all_ended() {
                queues.check_pulses();
                std::thread::sleep(ROUND);
            }
            Ok(())
        });
        let scoring = spawn(scope, "score", move || score::run(scorer, queues, options, &scores_in));
        let consumed = station.consume(&scores_out, &mut host);
        drop(scores_out);
        // Without a consumer or a model there is nothing to watch for.
        if consumed.is_err() {
            options.stop.request();
        }
        let scored = join(scoring, "score");
        if scored.is_err() {
            options.stop.request();
        }
        root_cause(consumed, [scored, join(watching, "watchman")])
    })
}
