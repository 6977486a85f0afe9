//! Many cameras, one model: each is decoded on a thread of its own, all share one score thread.
//!
//! ```text
//! [decode camera 1] ──▶ short queue ─╮
//! [decode camera 2] ──▶ short queue ─┼─▶ [score] fair, batched ──▶ [caller] a tracker per camera ──▶ news
//! [decode camera n] ──▶ short queue ─╯
//! [watchman] ends waits that are too long
//! ```
//!
//! Invariants: a camera's fault (it is away, silent, sends garbage, makes the decoder panic) touches no other; a live
//! camera is never held back: what the model can't keep up with is dropped as whole clips and told as a gap; only the
//! model's own failure ends the whole.

mod background;
mod backoff;
mod camera;
mod camera_thread;
mod clocked;
mod meters;
mod news;
mod pulse;
mod queues;
mod score_thread;
mod station;
mod tracker;

use crate::error::Result;
use crate::model::Scorer;
use crate::pipeline::{join, root_cause, spawn};
use crate::units::Stop;
pub use background::{Background, Waited};
pub use backoff::Backoff;
pub use camera::{Camera, CameraId, OnDuty, OpenAgain, Pace};
use crossbeam_channel::bounded;
pub use meters::{CameraMeters, Histogram, Meters};
pub use news::{CameraState, Health, Incident, Moment, News, Phase, WallTimes};
use queues::Queues;
use station::Station;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the watchman looks.
const ROUND: Duration = Duration::from_millis(50);
/// Scored things that wait for the caller.
const SCORE_QUEUE: usize = 64;

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
    fn changes(&mut self) -> Vec<CameraChange<'a>> {
        Vec::new()
    }
}

impl<F: FnMut(CameraId, News) -> Result<()>> Host<'_> for F {
    fn news(&mut self, camera: CameraId, news: News) -> Result<()> {
        self(camera, news)
    }
}

/// A camera comes or goes while the others are watched.
pub enum CameraChange<'a> {
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
    let queues = Queues::new(options.queue);
    let (scores_in, scores_out) = bounded(SCORE_QUEUE);
    let queues = &queues;
    std::thread::scope(|scope| {
        let mut station = Station { scope, queues, options, model, cameras: BTreeMap::new() };
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
        let scoring = spawn(scope, "score", move || score_thread::run(scorer, queues, options, &scores_in));
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
