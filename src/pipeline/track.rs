//! One rate of a video: windows to slots, curve and events.

use super::describe;
use super::judge::DetectionSettings;
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
use crate::model::WindowErrors;
use crate::record::{CurvePoint, Event, RunEvent, Sink, SlowerRate, VideoSurprise};
use crate::surprise::{Assembler, Baseline, Found, Slot, VideoSurpriseBuilder, Watch};

/// The detector of one rate and what it found so far.
pub(super) struct Track {
    spec: ClipSpec,
    assembler: Assembler,
    watch: Watch,
    video: VideoSurpriseBuilder,
    curve: Vec<CurvePoint>,
    events: Vec<Event>,
}

impl Track {
    /// For clips of the shape `spec`.
    pub(super) fn new(spec: &ClipSpec, settings: &DetectionSettings, baseline: Option<&Baseline>) -> Self {
        Self {
            spec: spec.clone(),
            assembler: Assembler::on_baseline(spec, baseline, settings.top_fraction),
            watch: Watch::new(baseline, &settings.watch),
            video: VideoSurpriseBuilder::default(),
            curve: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) const fn watch(&self) -> &Watch {
        &self.watch
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
        let events = self.watch.end_segment();
        self.tell_events(events, size, sinks)
    }

    /// The curve, the events and the literature's numbers.
    pub(super) fn finish(self) -> (Vec<CurvePoint>, Vec<Event>, VideoSurprise) {
        (self.curve, self.events, self.video.finish())
    }

    /// As the record of a slower rate.
    pub(super) fn finish_slower(self, frame_step: u32) -> SlowerRate {
        let (model_fps, threshold_rule) = (self.spec.model_fps, self.watch.thresholds().words.clone());
        let (curve, events, video_surprise) = self.finish();
        let baseline = "self".to_owned();
        SlowerRate { frame_step, model_fps, baseline, threshold_rule, curve, events, video_surprise }
    }

    fn slot(&mut self, slot: &Slot, size: (u32, u32), sinks: &mut [&mut dyn Sink]) -> Result<()> {
        let judged = self.watch.push(slot);
        self.tell_events(judged.events, size, sinks)?;
        let point = describe::point(&self.spec, size, slot, judged.verdict);
        tell(sinks, &RunEvent::Point(&point))?;
        self.curve.push(point);
        Ok(())
    }

    fn tell_events(&mut self, found: Vec<Found>, size: (u32, u32), sinks: &mut [&mut dyn Sink]) -> Result<()> {
        for found in found {
            let event = describe::event(&self.spec, size, self.events.len() as u32 + 1, found)?;
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
