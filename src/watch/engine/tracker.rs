//! One camera's curve and events: the same assembler and the same watch as for a file.

use super::queues::Notice;
use super::score_thread::FromScoring;
use super::{Camera, CameraState, Health, Incident, Moment, News, OnDuty, Phase, WallTimes};
use crate::clip::{ClipSpec, Region};
use crate::error::Result;
use crate::pipeline::describe;
use crate::surprise::{Assembler, EventFinder, EventKind, FoundEvent, Slot};
use crate::units::{MediaTime, NANOS_PER_SECOND};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Hears what there is to tell.
type Each<'a> = &'a mut dyn FnMut(News) -> Result<()>;

/// An event that has begun.
struct Begun {
    onset: MediaTime,
    kind: EventKind,
    id: u32,
    wall: SystemTime,
    /// Not in the warm-up, and somebody was on duty.
    told: bool,
}

/// What a camera has learnt is told after so long by its own clock, then after twice as long, up to an hour: it is a megabyte
/// to keep, and what is known of a week changes little in an hour.
const LEARNT_FIRST: MediaTime = MediaTime::from_nanos(60 * NANOS_PER_SECOND);
const LEARNT_LEAST_OFTEN: MediaTime = MediaTime::from_nanos(3600 * NANOS_PER_SECOND);

/// Judges one camera.
pub(super) struct Tracker<'a> {
    spec: ClipSpec,
    assembler: Assembler,
    finder: EventFinder,
    warm_up: MediaTime,
    /// It is judged by its own past, which is to be kept.
    adapts: bool,
    /// When what it has learnt is told next.
    tells_next: MediaTime,
    /// How long after that again.
    tells_after: MediaTime,
    region: Vec<Region>,
    on_duty: OnDuty<'a>,
    size: (u32, u32),
    events: u32,
    /// What has begun and is not over.
    open: Vec<Begun>,
    health: Health,
    /// A time of the camera's clock and of this machine's.
    anchor: (MediaTime, SystemTime),
}

impl<'a> Tracker<'a> {
    /// The tracker of a camera, and the rest of the camera.
    pub(super) fn new(spec: &ClipSpec, mut camera: Camera<'a>) -> (Self, Camera<'a>) {
        let adapts = camera.past.is_some();
        let finder = match camera.past.take() {
            Some(past) => EventFinder::going_on(past, &camera.detection.rules),
            None => EventFinder::new(camera.baseline.as_deref(), &camera.detection.rules),
        };
        let tracker = Self {
            spec: spec.clone(),
            assembler: Assembler::on_baseline(spec, camera.baseline.as_deref(), camera.detection.top_fraction),
            finder,
            warm_up: camera.warm_up,
            adapts,
            tells_next: LEARNT_FIRST,
            tells_after: LEARNT_FIRST,
            region: std::mem::take(&mut camera.region),
            on_duty: std::mem::replace(&mut camera.on_duty, Box::new(|_| true)),
            size: (1, 1),
            events: 0,
            open: Vec::new(),
            health: Health::default(),
            anchor: (MediaTime::ZERO, SystemTime::now()),
        };
        (tracker, camera)
    }

    pub(super) fn take(&mut self, message: FromScoring, each: Each<'_>) -> Result<()> {
        match message {
            FromScoring::Window(clip, arrived, errors) => {
                if let Some(last) = clip.frames.last() {
                    self.anchor = (last.time, arrived);
                }
                let slots = self.assembler.push(&clip, &errors);
                slots.iter().try_for_each(|slot| self.slot(slot, each))
            }
            FromScoring::Notice(Notice::Opened(info)) => {
                self.size = (info.width, info.height);
                if !self.region.is_empty() {
                    self.assembler.watch_only(self.spec.tokens_in(&self.region, self.size));
                }
                Ok(())
            }
            FromScoring::Notice(Notice::Gap(gap)) => {
                self.finish(each)?;
                each(News::Gap(gap))
            }
            FromScoring::Notice(Notice::Lost(gap, clips)) => {
                self.finish(each)?;
                each(News::Gap(gap))?;
                self.health.dropped += clips;
                each(News::Health(self.health.clone()))
            }
            FromScoring::Notice(Notice::Health(health)) => {
                if !matches!(health.state, CameraState::Watching) {
                    self.finish(each)?;
                }
                let Health { dropped, strange, learning, .. } = self.health;
                self.health = Health { dropped, strange, learning, ..health };
                each(News::Health(self.health.clone()))
            }
        }
    }

    /// Nothing follows from this camera.
    pub(super) fn end(&mut self, each: Each<'_>) -> Result<()> {
        self.finish(each)?;
        self.learnt(each)
    }

    /// The run of frames is over: closes what is open.
    fn finish(&mut self, each: Each<'_>) -> Result<()> {
        for slot in self.assembler.finish() {
            self.slot(&slot, each)?;
        }
        let over = self.finder.end_segment();
        over.into_iter().try_for_each(|found| self.tell(Phase::Over, found, each))
    }

    /// Tells what is to be kept for the next run.
    fn learnt(&self, each: Each<'_>) -> Result<()> {
        match self.finder.past() {
            Some(past) if self.adapts => each(News::Learnt(Box::new(past.clone()))),
            _ => Ok(()),
        }
    }

    /// Whether the camera warms up at a time of its clock.
    fn learns(&self, time: MediaTime) -> bool {
        match self.finder.past() {
            _ if self.warm_up == MediaTime::ZERO => false,
            Some(past) if self.adapts => past.seconds() < self.warm_up.secs_f64() || !past.is_long_enough(),
            _ => time < self.warm_up,
        }
    }

    fn slot(&mut self, slot: &Slot, each: Each<'_>) -> Result<()> {
        let judged = self.finder.push(slot);
        judged.events.into_iter().try_for_each(|found| self.tell(Phase::Over, found, each))?;
        let thresholds = self.finder.thresholds();
        let moment = Moment {
            point: describe::point(&self.spec, self.size, slot, judged.verdict),
            wall: self.wall(slot.middle()),
            arrived: self.anchor.1,
            frame: Arc::clone(&slot.frame),
            heat: describe::heat(&self.spec, self.size, slot.heat.clone()),
            levels: (thresholds.high, thresholds.low),
            levels_in_z: !thresholds.in_surprise,
        };
        each(News::Moment(Box::new(moment)))?;
        judged.opened.into_iter().try_for_each(|found| self.tell(Phase::Begun, found, each))?;
        if slot.end >= self.tells_next {
            self.tells_after = self.tells_after.plus(self.tells_after).min(LEARNT_LEAST_OFTEN);
            self.tells_next = slot.end.plus(self.tells_after);
            self.learnt(each)?;
        }
        let strange = self.finder.strange().last().is_some_and(|(_, end)| *end == slot.end);
        let learning = self.learns(slot.end);
        if (strange, learning) != (self.health.strange, self.health.learning) {
            (self.health.strange, self.health.learning) = (strange, learning);
            each(News::Health(self.health.clone()))?;
        }
        Ok(())
    }

    fn tell(&mut self, phase: Phase, found: FoundEvent, each: Each<'_>) -> Result<()> {
        let (times, kind) = (found.detection, found.kind);
        let known = self.open.iter().position(|b| b.onset == times.onset && b.kind == kind);
        let begun = if let Some(at) = known {
            self.open.swap_remove(at)
        } else {
            let wall = self.wall(times.onset);
            let told = !self.learns(times.onset) && (self.on_duty)(wall);
            self.events += u32::from(told);
            Begun { onset: times.onset, kind, id: self.events, wall, told }
        };
        let (wall, id, told) = (begun.wall, begun.id, begun.told);
        if phase == Phase::Begun {
            self.open.push(begun);
        }
        if !told {
            return Ok(());
        }
        // Distances by the camera's own clock: arrivals jitter.
        let later = |time: MediaTime| wall + Duration::from_nanos(time.since(times.onset).nanos().unsigned_abs());
        let wall = WallTimes { onset: wall, peak: later(times.peak), end: later(times.end) };
        let event = describe::event(&self.spec, self.size, id, found)?;
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
