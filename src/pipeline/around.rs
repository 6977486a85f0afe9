//! The pictures before and after an event, for people: kept while they pass by.

use crate::clip::{ModelFrame, jpeg_base64};
use crate::error::Result;
use crate::record::Still;
use crate::surprise::{EventKind, FoundEvent, Slot};
use crate::units::MediaTime;
use std::collections::VecDeque;
use std::sync::Arc;

/// Slots whose pictures are kept: some seconds, about 0.2 MB each.
const RECENT: usize = 32;
/// How far from the event its pictures lie where there are such.
const APART: MediaTime = MediaTime::from_nanos(300_000_000);
/// Events that get pictures; a result should not grow without end.
const EVENTS: u32 = 300;

/// The pictures of the last slots of an unbroken run, and those before events that are not over.
#[derive(Default)]
pub(super) struct Around {
    recent: VecDeque<Arc<ModelFrame>>,
    before: Vec<(MediaTime, EventKind, Arc<ModelFrame>)>,
}

impl Around {
    pub(super) fn push(&mut self, slot: &Slot) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(&slot.frame));
    }

    /// An event has begun.
    pub(super) fn opened(&mut self, found: &FoundEvent) {
        let onset = found.detection.onset;
        let earlier = || self.recent.iter().filter(|frame| frame.time < onset);
        let well_before = earlier().rfind(|frame| frame.time.plus(APART) <= onset);
        if let Some(frame) = well_before.or_else(|| earlier().next()) {
            self.before.push((onset, found.kind, Arc::clone(frame)));
        }
    }

    /// The pictures around an event that is over.
    pub(super) fn of(&mut self, id: u32, found: &FoundEvent) -> Result<Vec<Still>> {
        let (onset, end) = (found.detection.onset, found.detection.end);
        let at = self.before.iter().position(|(began, kind, _)| (*began, *kind) == (onset, found.kind));
        let before = at.map(|at| self.before.swap_remove(at).2);
        if id > EVENTS {
            return Ok(Vec::new());
        }
        let later = || self.recent.iter().filter(|frame| frame.time > end);
        let after = later().find(|frame| frame.time >= end.plus(APART)).or_else(|| later().next_back());
        let still =
            |frame: &Arc<ModelFrame>| Ok(Still { t_s: frame.time.secs_f64(), picture: jpeg_base64(&frame.preview)? });
        before.iter().chain(after).map(still).collect()
    }

    /// The run of frames is broken: what came before says nothing of what follows.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
