//! The score thread: takes clips from all cameras in turn and scores them together.

use super::queues::{Notice, Queued, Queues};
use super::{CameraId, CameraState, Options};
use crate::clip::Clip;
use crate::error::{Error, Result};
use crate::model::{Scorer, WindowErrors};
use crate::pipeline::send;
use crossbeam_channel::Sender;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

/// What comes out: a clip with its errors and the time of its last frame's arrival, or what passes through.
pub(super) enum FromScoring {
    Window(Clip, SystemTime, WindowErrors),
    Notice(Notice),
}

impl FromScoring {
    /// Whether it tells that the camera is in this state.
    pub(super) fn tells(&self, state: CameraState) -> bool {
        matches!(self, Self::Notice(Notice::Health(health)) if health.state == state)
    }
}

/// What a camera's tracker gets, in order.
pub(super) type ForTracker = (CameraId, FromScoring);

/// Scores until every camera has ended; after a stop what waits is scored for a short time, then dropped.
pub(super) fn run(
    scorer: &mut (dyn Scorer + Send),
    queues: &Queues,
    options: &Options,
    out: &Sender<ForTracker>,
) -> Result<()> {
    let mut first = 0;
    let mut stopped: Option<Instant> = None;
    while let Some(taken) = queues.take(first, options.batch.max(1)) {
        first += 1;
        if options.stop.requested() {
            let since = *stopped.get_or_insert_with(Instant::now);
            if since.elapsed() > options.drain {
                forget_broken(scorer, &taken);
                pass(taken, Vec::new(), out)?;
                continue;
            }
        }
        let clips: Vec<Clip> = taken.iter().filter_map(clip_of).collect();
        let begun = Instant::now();
        let scores = if clips.is_empty() { Vec::new() } else { scorer.score(&clips)? };
        if !clips.is_empty() {
            options.meters.inference.add(begun.elapsed());
        }
        if scores.len() != clips.len() {
            let reason = format!("{} scores for {} clips", scores.len(), clips.len());
            return Err(Error::Internal { stage: "score", reason });
        }
        for (camera, _) in taken.iter().filter(|(_, item)| matches!(item, Queued::Clip(..))) {
            options.meters.camera(*camera).clips.fetch_add(1, Ordering::Relaxed);
        }
        forget_broken(scorer, &taken);
        pass(taken, scores, out)?;
    }
    Ok(())
}

/// Clips share their frames, so a copy is cheap. Each camera is a stream of its own.
fn clip_of((camera, item): &(CameraId, Queued)) -> Option<Clip> {
    match item {
        Queued::Clip(clip, _) => Some(Clip { stream: camera.stream(), ..clip.clone() }),
        Queued::Notice(_) => None,
    }
}

/// Lets go of what the model keeps of cameras whose run of frames is broken. Only where the break is the last that is known
/// of a camera: what is kept may be of clips after it.
fn forget_broken(scorer: &mut (dyn Scorer + Send), taken: &[(CameraId, Queued)]) {
    let last: HashMap<CameraId, bool> = taken.iter().map(|(camera, item)| (*camera, is_break(item))).collect();
    last.into_iter().filter(|(_, broken)| *broken).for_each(|(camera, _)| scorer.forget(camera.stream()));
}

/// Whether nothing that was seen before bears on what comes after it.
fn is_break(item: &Queued) -> bool {
    match item {
        Queued::Notice(Notice::Gap(_) | Notice::Lost(..)) => true,
        Queued::Notice(Notice::Health(health)) => health.state != CameraState::Watching,
        Queued::Notice(Notice::Opened(_)) | Queued::Clip(..) => false,
    }
}

/// Sends everything on in order; clips without scores are left out.
fn pass(taken: Vec<(CameraId, Queued)>, scores: Vec<WindowErrors>, out: &Sender<ForTracker>) -> Result<()> {
    let mut scores = scores.into_iter();
    for (camera, item) in taken {
        match item {
            Queued::Clip(clip, arrived) => {
                if let Some(errors) = scores.next() {
                    send(out, (camera, FromScoring::Window(clip, arrived, errors)))?;
                }
            }
            Queued::Notice(notice) => send(out, (camera, FromScoring::Notice(notice)))?,
        }
    }
    Ok(())
}
