//! One camera's curve and events: the same assembler and the same watch as for a file.

use super::queue::Item;
use super::score::Message;
use super::{Camera, Health, Incident, Moment, News, Phase, State, WallTimes};
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::pipeline::describe;
use crate::surprise::{Assembler, EventKind, Found, Slot, Watch};
use crate::units::MediaTime;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Hears what there is to tell.
type Each<'a> = &'a mut dyn FnMut(News) -> Result<()>;

/// An incident that was told.
struct Begun {
    onset: MediaTime,
    kind: EventKind,
    id: u32,
    wall: SystemTime,
}

/// Judges one camera.
pub(super) struct Tracker {
    spec: ClipSpec,
    assembler: Assembler,
    watch: Watch,
    warm_up: MediaTime,
    size: (u32, u32),
    events: u32,
    /// What has begun and is not over: when it began by both clocks, what it is, its number.
    open: Vec<Begun>,
    health: Health,
    /// A time of the camera's clock and of this machine's.
    anchor: (MediaTime, SystemTime),
}

impl Tracker {
    pub(super) fn new(spec: &ClipSpec, camera: &Camera<'_>) -> Self {
        Self {
            spec: spec.clone(),
            assembler: Assembler::on_baseline(spec, camera.baseline, camera.detection.top_fraction),
            watch: Watch::new(camera.baseline, &camera.detection.watch),
            warm_up: camera.warm_up,
            size: (1, 1),
            events: 0,
            open: Vec::new(),
            health: Health::default(),
            anchor: (MediaTime::ZERO, SystemTime::now()),
        }
    }

    pub(super) fn take(&mut self, message: Message, each: Each<'_>) -> Result<()> {
        match message {
            Message::Window(clip, arrived, errors) => {
                if let Some(last) = clip.frames.last() {
                    self.anchor = (last.time, arrived);
                }
                let slots = self.assembler.push(&clip, &errors);
                slots.iter().try_for_each(|slot| self.slot(slot, each))
            }
            Message::Pass(Item::Opened(info)) => {
                self.size = (info.width, info.height);
                Ok(())
            }
            Message::Pass(Item::Gap(gap)) => {
                self.finish(each)?;
                each(News::Gap(gap))
            }
            Message::Pass(Item::Lost(gap, clips)) => {
                self.finish(each)?;
                each(News::Gap(gap))?;
                self.health.dropped += clips;
                each(News::Health(self.health.clone()))
            }
            Message::Pass(Item::Health(health)) => {
                if !matches!(health.state, State::Watching) {
                    self.finish(each)?;
                }
                let Health { dropped, strange, .. } = self.health;
                self.health = Health { dropped, strange, ..health };
                each(News::Health(self.health.clone()))
            }
            Message::Pass(Item::Clip(..)) => Ok(()),
        }
    }

    /// The run of frames is over: closes what is open.
    pub(super) fn finish(&mut self, each: Each<'_>) -> Result<()> {
        for slot in self.assembler.finish() {
            self.slot(&slot, each)?;
        }
        let over = self.watch.end_segment();
        over.into_iter().try_for_each(|found| self.tell(Phase::Over, found, each))
    }

    fn slot(&mut self, slot: &Slot, each: Each<'_>) -> Result<()> {
        let judged = self.watch.push(slot);
        judged.events.into_iter().try_for_each(|found| self.tell(Phase::Over, found, each))?;
        let thresholds = self.watch.thresholds();
        let moment = Moment {
            point: describe::point(&self.spec, self.size, slot, judged.verdict),
            wall: self.wall(slot.middle()),
            arrived: self.anchor.1,
            frame: Arc::clone(&slot.frame),
            heat: describe::heat(&self.spec, self.size, slot.heat.clone()),
            levels: (thresholds.high, thresholds.low),
        };
        each(News::Moment(Box::new(moment)))?;
        judged.opened.into_iter().try_for_each(|found| self.tell(Phase::Begun, found, each))?;
        let strange = self.watch.strange().last().is_some_and(|(_, end)| *end == slot.end);
        if strange != self.health.strange {
            self.health.strange = strange;
            each(News::Health(self.health.clone()))?;
        }
        Ok(())
    }

    fn tell(&mut self, phase: Phase, found: Found, each: Each<'_>) -> Result<()> {
        let (times, kind) = (found.detection, found.kind);
        if times.onset < self.warm_up {
            return Ok(());
        }
        let known = self.open.iter().position(|b| b.onset == times.onset && b.kind == kind);
        let begun = if let Some(at) = known {
            self.open.swap_remove(at)
        } else {
            self.events += 1;
            Begun { onset: times.onset, kind, id: self.events, wall: self.wall(times.onset) }
        };
        // Distances by the camera's own clock: arrivals jitter.
        let later = |time: MediaTime| begun.wall + Duration::from_nanos(time.since(times.onset).nanos().unsigned_abs());
        let wall = WallTimes { onset: begun.wall, peak: later(times.peak), end: later(times.end) };
        let event = describe::event(&self.spec, self.size, begun.id, found)?;
        if phase == Phase::Begun {
            self.open.push(begun);
        }
        each(News::Incident(Box::new(Incident { phase, event, wall })))
    }

    /// This machine's time of a time of the camera's.
    fn wall(&self, time: MediaTime) -> SystemTime {
        let (then, at) = self.anchor;
        let nanos = time.since(then).nanos();
        let away = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 { at.checked_sub(away).unwrap_or(at) } else { at.checked_add(away).unwrap_or(at) }
    }
}
