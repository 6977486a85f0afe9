//! One camera's curve and events: the same assembler and the same watch as for a file.

use super::queue::Item;
use super::score::Message;
use super::{Camera, Health, News, State, WallTimes};
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::pipeline::describe;
use crate::surprise::{Assembler, Found, Slot, Watch};
use crate::units::MediaTime;
use std::time::{Duration, SystemTime};

/// Hears what there is to tell.
type Each<'a> = &'a mut dyn FnMut(News) -> Result<()>;

/// Judges one camera.
pub(super) struct Tracker {
    spec: ClipSpec,
    assembler: Assembler,
    watch: Watch,
    warm_up: MediaTime,
    size: (u32, u32),
    events: u32,
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
        let events = self.watch.end_segment();
        self.tell(events, each)
    }

    fn slot(&mut self, slot: &Slot, each: Each<'_>) -> Result<()> {
        let judged = self.watch.push(slot);
        self.tell(judged.events, each)?;
        each(News::Point(describe::point(&self.spec, self.size, slot, judged.verdict)))?;
        let strange = self.watch.strange().last().is_some_and(|(_, end)| *end == slot.end);
        if strange != self.health.strange {
            self.health.strange = strange;
            each(News::Health(self.health.clone()))?;
        }
        Ok(())
    }

    fn tell(&mut self, found: Vec<Found>, each: Each<'_>) -> Result<()> {
        for found in found.into_iter().filter(|found| found.detection.onset >= self.warm_up) {
            self.events += 1;
            let times = found.detection;
            let wall =
                WallTimes { onset: self.wall(times.onset), peak: self.wall(times.peak), end: self.wall(times.end) };
            let event = describe::event(&self.spec, self.size, self.events, found)?;
            each(News::Event(Box::new(event), wall))?;
        }
        Ok(())
    }

    /// This machine's time of a time of the camera's.
    fn wall(&self, time: MediaTime) -> SystemTime {
        let (then, at) = self.anchor;
        let nanos = time.since(then).nanos();
        let away = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 { at.checked_sub(away).unwrap_or(at) } else { at.checked_add(away).unwrap_or(at) }
    }
}
