//! A run: decode → score → judge and record, as threads over bounded channels.
//!
//! ```text
//! [decode] source → clock → square → windows ──Feed, bounded──▶ [score] owns the scorer, batches
//!                                         ──Scored, bounded──▶ [caller] curve → detector → sinks
//! ```
//!
//! Invariant: stages take their channel ends by value, so a stage that returns, for whatever reason, closes both and
//! its neighbours end; the cause of a failure outranks its echoes; nothing here grows with the length of the video but
//! the curve (about 100 bytes a slot) and the events.

mod around;
mod batch;
mod copies;
pub(crate) mod decode;
pub(crate) mod describe;
mod horizons;
mod judge;
mod score_stage;
mod sentence;
mod slow;
mod track;

use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::media::{FrameSource, VideoInfo};
use crate::model::{Scorer, WindowErrors};
use crate::record::{Gap, Report, RunConfig, Sink};
use crate::surprise::Baseline;
use crate::units::{MediaTime, Stop};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::time::{Duration, Instant};

pub use batch::run_all;
pub use copies::Copies;
pub use judge::DetectionSettings;

/// Clips waiting for the model. Clips share frames, so one more costs `stride` frames: about 0.4 MB at a crop of 256
/// with previews.
const CLIP_QUEUE: usize = 8;
/// Scored windows waiting for the caller; each holds one clip and its error maps.
const SCORE_QUEUE: usize = 16;

/// Opens a source inside the thread that uses it.
pub type Open<'a> = Box<dyn FnOnce() -> Result<Box<dyn FrameSource>> + Send + 'a>;

/// Everything a run needs beside the model.
pub struct Job<'a> {
    /// The input's display name, for results.
    pub path: String,
    /// Content hash of the input, if it has one.
    pub sha256: Option<String>,
    /// Opens the source.
    pub open: Open<'a>,
    /// How errors become a curve and events.
    pub detection: DetectionSettings,
    /// What surprise looks like on normal footage; `None`: the stream so far.
    pub baseline: Option<&'a Baseline>,
    /// The settings; the thresholds that follow from them are filled in.
    pub config: RunConfig,
    /// Pulled to end the run early; the report is then valid and marked truncated.
    pub stop: Stop,
}

/// From the decode thread, in order.
pub(crate) enum Feed {
    /// The input is open.
    Opened(VideoInfo),
    /// A clip to score.
    Clip(Clip),
    /// The run of frames is broken; every clip before it has been sent.
    Gap(Gap),
    /// Nothing follows.
    End(DecodeSummary),
}

/// What the decode thread knows at its end.
pub(crate) struct DecodeSummary {
    pub(crate) frames_decoded: u64,
    /// When the first picture appears.
    pub(crate) starts_at: MediaTime,
    pub(crate) duration: MediaTime,
    pub(crate) busy: Duration,
    pub(crate) stopped: bool,
    /// All of the source's notes, those about the decoding included.
    pub(crate) notes: Vec<String>,
    /// What limits the reading of the numbers: slow footage, a frozen feed.
    pub(crate) warnings: Vec<String>,
    /// A decode error that ended the video early, in words.
    pub(crate) fault: Option<String>,
}

/// From the score thread, in order.
pub(crate) enum Scored {
    /// Everything but clips passes through.
    Pass(Feed),
    /// A clip and its errors.
    Window(Clip, WindowErrors),
    /// The model's time, at the end.
    Busy(Duration),
}

/// Runs a video through the model and the detector; tells the sinks as it goes; gives the report.
///
/// # Errors
/// When nothing could be analysed, a graph fails or a sink can't write. A video that breaks off part-way is not an
/// error: the report holds what could be analysed, its gaps, and `truncated`.
pub fn analyze(job: Job<'_>, scorer: &mut (dyn Scorer + Send), sinks: &mut [&mut dyn Sink]) -> Result<Report> {
    let started = Instant::now();
    let spec = scorer.spec().clone();
    let model = scorer.info();
    let inference_before = scorer.inference_seconds();
    let Job { path, sha256, open, detection, baseline, config, stop } = job;
    let steps = config.asked.frame_steps.clone();
    let stages =
        Stages { open, steps: &steps, batch: config.resolved.batch, scene_cuts: config.asked.scene_cuts, stop: &stop };
    let mut recorder = judge::Recorder::new(&spec, model, &detection, baseline, config);
    stages.run(&spec, scorer, |scores| recorder.run(&path, sha256, scores, sinks))?;
    let mut report = recorder.finish()?;
    let wall = started.elapsed().as_secs_f64();
    report.timings.wall_s = wall;
    report.timings.inference_s = scorer.inference_seconds() - inference_before;
    report.timings.realtime_factor = if wall > 0.0 { report.input.duration_s / wall } else { 0.0 };
    report.timings.peak_rss_bytes = peak_rss_bytes();
    Ok(report)
}

/// Runs a video through the model alone and hands every scored window to `each`: what `calibrate` learns from.
///
/// # Errors
/// As [`analyze`].
pub fn score_windows(
    open: Open<'_>,
    scorer: &mut (dyn Scorer + Send),
    batch: usize,
    stop: &Stop,
    mut each: impl FnMut(&ClipSpec, &Clip, &WindowErrors),
) -> Result<()> {
    let spec = scorer.spec().clone();
    let stages = Stages { open, steps: &[], batch, scene_cuts: true, stop };
    stages.run(&spec, scorer, |scores| {
        for message in scores {
            if let Scored::Window(clip, errors) = message {
                each(&spec, &clip, &errors);
            }
        }
        Ok(())
    })?;
    if stop.requested() { Err(Error::Stopped) } else { Ok(()) }
}

/// The threads of a run.
struct Stages<'a> {
    open: Open<'a>,
    /// Slower rates that share the decode.
    steps: &'a [u32],
    batch: usize,
    scene_cuts: bool,
    stop: &'a Stop,
}

impl Stages<'_> {
    /// Decodes and scores on threads of their own while `consume` takes the scores on the caller's.
    fn run(
        self,
        spec: &ClipSpec,
        scorer: &mut (dyn Scorer + Send),
        consume: impl FnOnce(Receiver<Scored>) -> Result<()>,
    ) -> Result<()> {
        let Self { open, steps, batch, scene_cuts, stop } = self;
        let ((clips_in, clips_out), (scores_in, scores_out)) = (bounded(CLIP_QUEUE), bounded(SCORE_QUEUE));
        std::thread::scope(|scope| {
            let decoding = spawn(scope, "decode", move || {
                decode::run(open, (spec, steps), scene_cuts, stop, &mut |feed| send(&clips_in, feed))
            });
            let scoring = spawn(scope, "score", move || score_stage::run(scorer, batch, &clips_out, &scores_in));
            let consumed = consume(scores_out);
            if consumed.is_err() {
                stop.request();
            }
            root_cause(consumed, [join(scoring, "score"), join(decoding, "decode")])
        })
    }
}

pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    name: &'static str,
    stage: impl FnOnce() -> Result<T> + Send + 'scope,
) -> Result<std::thread::ScopedJoinHandle<'scope, Result<T>>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn_scoped(scope, stage)
        .map_err(|e| Error::Internal { stage: name, reason: format!("can't start its thread: {e}") })
}

pub(crate) fn join<T>(handle: Result<std::thread::ScopedJoinHandle<'_, Result<T>>>, stage: &'static str) -> Result<T> {
    handle?.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let reason = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into());
        Err(Error::Internal { stage, reason })
    })
}

/// The error to report when several stages failed: the first that is not the echo of another's end. A stage that only
/// heard its neighbour go does not spoil what the consumer brought to an end.
pub(crate) fn root_cause(consumed: Result<()>, others: [Result<()>; 2]) -> Result<()> {
    if consumed.as_ref().is_err_and(|e| !e.is_echo()) {
        return consumed;
    }
    others.into_iter().find(|end| end.as_ref().is_err_and(|e| !e.is_echo())).unwrap_or(consumed)
}

/// Sends, or says that the neighbour has gone.
pub(crate) fn send<T>(to: &Sender<T>, message: T) -> Result<()> {
    to.send(message).map_err(|_| Error::Stopped)
}

/// Highest resident memory of this process so far, bytes: `VmHWM` of `/proc/self/status`.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
