//! The score stage: owns the model, batches clips, keeps their order.

use super::{Feed, Scored, send};
use crate::error::{Error, Result};
use crate::model::Scorer;
use crossbeam_channel::{Receiver, Sender};
use std::time::{Duration, Instant};

/// Scores until the feed ends. Clips wait until a batch is full or something else comes along, so a file's batches are
/// full and nothing is held back at a break.
pub(super) fn run(
    scorer: &mut (dyn Scorer + Send),
    batch: usize,
    feed: &Receiver<Feed>,
    out: &Sender<Scored>,
) -> Result<()> {
    let mut waiting = Vec::with_capacity(batch);
    let mut busy = Duration::ZERO;
    for message in feed {
        match message {
            Feed::Clip(clip) => {
                waiting.push(clip);
                if waiting.len() >= batch {
                    busy += flush(scorer, &mut waiting, out)?;
                }
            }
            other => {
                busy += flush(scorer, &mut waiting, out)?;
                if matches!(other, Feed::End(_)) {
                    send(out, Scored::Busy(busy))?;
                }
                send(out, Scored::Pass(other))?;
            }
        }
    }
    Ok(())
}

fn flush(
    scorer: &mut (dyn Scorer + Send),
    clips: &mut Vec<crate::clip::Clip>,
    out: &Sender<Scored>,
) -> Result<Duration> {
    if clips.is_empty() {
        return Ok(Duration::ZERO);
    }
    let started = Instant::now();
    let scores = scorer.score(clips)?;
    let busy = started.elapsed();
    if scores.len() != clips.len() {
        let reason = format!("{} scores for {} clips", scores.len(), clips.len());
        return Err(Error::Internal { stage: "score", reason });
    }
    for (clip, errors) in clips.drain(..).zip(scores) {
        send(out, Scored::Window(clip, errors))?;
    }
    Ok(busy)
}
