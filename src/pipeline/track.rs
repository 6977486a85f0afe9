//! One rate of a video: windows to slots, curve and events.

use super::around::Around;
use super::describe;
use super::horizons::HorizonMap;
use super::judge::DetectionSettings;
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
use crate::model::WindowErrors;
use crate::record::{CurvePoint, Event, Horizons, RunEvent, Sight, Sink, SlowerRate, VideoSurprise};
use crate::surprise::{Assembler, Baseline, EventFinder, FoundEvent, Past, Slot, ThresholdRule, VideoSurpriseBuilder};

/// Moments whose things are kept at most.
const SIGHTS: usize = 3000;

/// Things that were seen: of every slot, until there are too many; then of every second, fourth, … one.
struct Sights {
    every: usize,
    slots: usize,
    kept: Vec<Sight>,
}

impl Sights {
    fn push(&mut self, sight: Sight) {
        if self.slots.is_multiple_of(self.every) {
            if self.kept.len() == SIGHTS {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.every *= 2;
            }
            if self.slots.is_multiple_of(self.every) {
                self.kept.push(sight);
            }
        }
        self.slots += 1;
    }
}

/// The detector of one rate and what it found so far.
pub(super) struct Track {
    spec: ClipSpec,
    assembler: Assembler,
    finder: EventFinder,
    video: VideoSurpriseBuilder,
    curve: Vec<CurvePoint>,
    events: Vec<Event>,
    /// Moments before which no event is told.
    least: usize,
    sights: Sights,
    horizons: HorizonMap,
    around: Around,
}

/// What a rate came to.
pub(super) struct Tracked {
    pub(super) curve: Vec<CurvePoint>,
    pub(super) events: Vec<Event>,
    pub(super) sights: Vec<Sight>,
    pub(super) horizons: Option<Horizons>,
    pub(super) video_surprise: VideoSurprise,
}

impl Track {
    /// For clips of the shape `spec`.
    pub(super) fn new(spec: &ClipSpec, settings: &DetectionSettings, baseline: Option<&Baseline>) -> Self {
        Self {
            spec: spec.clone(),
            assembler: Assembler::on_baseline(spec, baseline, settings.top_fraction),
            finder: EventFinder::new(baseline, &settings.rules),
            video: VideoSurpriseBuilder::default(),
            curve: Vec::new(),
            events: Vec::new(),
            least: 0,
            sights: Sights { every: 1, slots: 0, kept: Vec::new() },
            horizons: HorizonMap::new(),
            around: Around::default(),
        }
    }

    /// For a slower rate: there is only its own past, and while that is too short to keep any rate of events, none is told
    /// unless a z was asked for.
    pub(super) fn slower(spec: &ClipSpec, settings: &DetectionSettings) -> Self {
        let least = if matches!(settings.rules.rule, ThresholdRule::Z { .. }) { 0 } else { Past::LEAST_SLOTS };
        Self { least, ..Self::new(spec, settings, None) }
    }

    /// Why no event is told yet, if that is so.
    pub(super) fn is_too_short(&self) -> Option<String> {
        let moments = self.curve.len();
        (1..self.least).contains(&moments).then(|| {
            format!(
                "its own past of {moments} moments is too short to tell events by: {} are needed (--z tells them before)",
                self.least
            )
        })
    }

    pub(super) const fn finder(&self) -> &EventFinder {
        &self.finder
    }

    /// Takes the next window of a `size` picture.
    pub(super) fn window(
        &mut self,
        clip: &Clip,
        errors: &WindowErrors,
        size: (u32, u32),
        sinks: &mut [&mut dyn Sink],
    ) -> Result<()> {
        self.video.push(errors);
        for slot in self.assembler.push(clip, errors) {
            self.slot(&slot, size, sinks)?;
        }
        Ok(())
    }

    /// Ends an unbroken run of frames.
    pub(super) fn end_segment(&mut self, size: (u32, u32), sinks: &mut [&mut dyn Sink]) -> Result<()> {
        for slot in self.assembler.finish() {
            self.slot(&slot, size, sinks)?;
        }
        let events = self.finder.end_segment();
        let told = self.tell_events(events, size, sinks);
        self.around.reset();
        told
    }

    /// The curve, the events, what was seen and the literature's numbers.
    pub(super) fn finish(self) -> Tracked {
        let Self { spec, curve, events, sights, horizons, video, .. } = self;
        let horizons = horizons.finish(&spec);
        Tracked { curve, events, sights: sights.kept, horizons, video_surprise: video.finish() }
    }

    /// As the record of a slower rate.
    pub(super) fn finish_slower(self, frame_step: u32) -> SlowerRate {
        let (model_fps, threshold_rule) = (self.spec.model_fps, self.finder.thresholds().words.clone());
        let Tracked { curve, events, video_surprise, .. } = self.finish();
        let baseline = "self".to_owned();
        SlowerRate { frame_step, model_fps, baseline, threshold_rule, curve, events, video_surprise }
    }

    fn slot(&mut self, slot: &Slot, size: (u32, u32), sinks: &mut [&mut dyn Sink]) -> Result<()> {
        let judged = self.finder.push(slot);
        self.around.push(slot);
        self.horizons.push(slot);
        self.tell_events(judged.events, size, sinks)?;
        judged.opened.iter().for_each(|found| self.around.opened(found));
        let point = describe::point(&self.spec, size, slot, judged.verdict);
        tell(sinks, &RunEvent::Point(&point))?;
        self.curve.push(point);
        if let Some(sight) = describe::sight(&self.spec, size, slot) {
            self.sights.push(sight);
        }
        Ok(())
    }

    fn tell_events(&mut self, found: Vec<FoundEvent>, size: (u32, u32), sinks: &mut [&mut dyn Sink]) -> Result<()> {
        for found in found.into_iter().filter(|_| self.curve.len() >= self.least) {
            let id = self.events.len() as u32 + 1;
            let around = self.around.of(id, &found)?;
            let event = Event { around, ..describe::event(&self.spec, size, id, found)? };
            tell(sinks, &RunEvent::Event(&event))?;
            self.events.push(event);
        }
        Ok(())
    }
}

/// Tells every sink.
pub(super) fn tell(sinks: &mut [&mut dyn Sink], event: &RunEvent<'_>) -> Result<()> {
    sinks.iter_mut().try_for_each(|sink| sink.record(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_stays_bounded_and_evenly_spread() {
        let mut sights = Sights { every: 1, slots: 0, kept: Vec::new() };
        for slot in 0..10_000 {
            sights.push(Sight { t_s: f64::from(slot), boxes: Vec::new() });
            assert!(sights.kept.len() <= SIGHTS);
        }
        assert_eq!((sights.every, sights.kept.len()), (4, 2500));
        assert!(sights.kept.windows(2).all(|two| (two[1].t_s - two[0].t_s - 4.0).abs() < 1e-9));
    }
}
