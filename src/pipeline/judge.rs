//! The last stage: windows to curve, events and report; tells the sinks.

use super::{DecodeSummary, Feed, Scored, describe};
use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::media::GapReason;
use crate::model::{ModelInfo, WindowErrors};
use crate::record::{CurvePoint, Event, Gap, InputReport, Report, RunConfig, RunEvent, SCHEMA, Sink, Timings};
use crate::surprise::{Assembler, Baseline, Found, Slot, VideoSurpriseBuilder, Watch, WatchOptions};
use crossbeam_channel::Receiver;
use std::time::{Duration, SystemTime};

/// How errors become a curve and events.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionSettings {
    /// Share of a slot's tokens in the top-k mean.
    pub top_fraction: f32,
    /// Where events open and close.
    pub watch: WatchOptions,
}

/// Collects a run.
pub(super) struct Recorder {
    spec: ClipSpec,
    model: ModelInfo,
    config: RunConfig,
    assembler: Assembler,
    watch: Watch,
    video: VideoSurpriseBuilder,
    input: Option<InputReport>,
    curve: Vec<CurvePoint>,
    events: Vec<Event>,
    summary: Option<DecodeSummary>,
    score_busy: Duration,
    warnings: Vec<String>,
}

impl Recorder {
    pub(super) fn new(
        spec: &ClipSpec,
        model: ModelInfo,
        settings: &DetectionSettings,
        baseline: Option<&Baseline>,
        mut config: RunConfig,
    ) -> Self {
        let watch = Watch::new(baseline, &settings.watch);
        let thresholds = watch.thresholds().clone();
        config.threshold = thresholds.in_surprise.then_some(thresholds.high);
        config.threshold_low = thresholds.in_surprise.then_some(thresholds.low);
        config.promised_per_hour = thresholds.promised_per_hour;
        config.check = baseline.and_then(Baseline::check).copied();
        config.threshold_rule = thresholds.words;
        Self {
            spec: spec.clone(),
            model,
            config,
            assembler: Assembler::on_baseline(spec, baseline, settings.top_fraction),
            watch,
            video: VideoSurpriseBuilder::default(),
            input: None,
            curve: Vec::new(),
            events: Vec::new(),
            summary: None,
            score_busy: Duration::ZERO,
            warnings: thresholds.warnings,
        }
    }

    /// Reads until the feed ends; tells the sinks.
    pub(super) fn run(
        &mut self,
        path: &str,
        mut sha256: Option<String>,
        scores: Receiver<Scored>,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<()> {
        for message in scores {
            match message {
                Scored::Window(clip, errors) => self.window(&clip, &errors, sinks)?,
                Scored::Busy(busy) => self.score_busy = busy,
                Scored::Pass(Feed::Opened(info)) => {
                    let input = InputReport::new(path.to_owned(), sha256.take(), &info);
                    let started = RunEvent::Started { input: &input, model: &self.model, duration_s: info.duration_s };
                    tell(sinks, &started)?;
                    self.input = Some(input);
                }
                Scored::Pass(Feed::Gap(gap)) => self.gap(gap, sinks)?,
                Scored::Pass(Feed::End(summary)) => {
                    self.end_segment(sinks)?;
                    self.summary = Some(summary);
                    return Ok(());
                }
                Scored::Pass(Feed::Clip(_)) => {}
            }
        }
        Err(Error::Stopped)
    }

    /// The report of the whole run.
    pub(super) fn finish(self) -> Result<Report> {
        let missing = |what: &str| Error::Internal { stage: "record", reason: format!("the run ended without {what}") };
        let mut input = self.input.ok_or_else(|| missing("opening"))?;
        let summary = self.summary.ok_or_else(|| missing("its end"))?;
        input.notes = summary.notes;
        input.frames_decoded = summary.frames_decoded;
        input.duration_s = summary.duration.secs_f64();
        let cut_off = input.gaps.iter().any(|g| g.reason == GapReason::Truncated) || summary.fault.is_some();
        let mut warnings = self.warnings;
        warnings.extend(summary.fault.map(|f| format!("decoding ended early: {f}")));
        let strange: Vec<[f64; 2]> =
            self.watch.strange().iter().map(|(start, end)| [start.secs_f64(), end.secs_f64()]).collect();
        if let Some([start, _]) = strange.first() {
            warnings.push(format!(
                "from {start:.1} s on the video is unlike the baseline's footage (the camera has moved, or the scene is \
                 another): no events are looked for where that is so, in {} stretches; calibrate on footage like it",
                strange.len()
            ));
        }
        if self.curve.is_empty() {
            let clip_s = self.spec.tick_time(u64::from(self.spec.frames_per_clip)).secs_f64();
            warnings.push(format!(
                "nothing could be scored: no unbroken run of frames is as long as the model's clip ({clip_s:.2} s)"
            ));
        }
        Ok(Report {
            schema: SCHEMA.into(),
            startle_version: env!("CARGO_PKG_VERSION").into(),
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            input,
            model: self.model,
            config: self.config,
            curve: self.curve,
            events: self.events,
            strange,
            video_surprise: self.video.finish(),
            truncated: summary.stopped || cut_off,
            warnings,
            timings: Timings {
                decode_s: summary.busy.as_secs_f64(),
                score_s: self.score_busy.as_secs_f64(),
                ..Timings::default()
            },
        })
    }

    fn window(&mut self, clip: &Clip, errors: &WindowErrors, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        self.video.push(errors);
        for slot in self.assembler.push(clip, errors) {
            self.slot(&slot, sinks)?;
        }
        Ok(())
    }

    fn gap(&mut self, gap: Gap, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        self.end_segment(sinks)?;
        tell(sinks, &RunEvent::Gap(&gap))?;
        if let Some(input) = &mut self.input {
            input.gaps.push(gap);
        }
        Ok(())
    }

    fn end_segment(&mut self, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        for slot in self.assembler.finish() {
            self.slot(&slot, sinks)?;
        }
        let events = self.watch.end_segment();
        self.tell_events(events, sinks)
    }

    fn slot(&mut self, slot: &Slot, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        let judged = self.watch.push(slot);
        self.tell_events(judged.events, sinks)?;
        let point = describe::point(&self.spec, self.size(), slot, judged.verdict);
        tell(sinks, &RunEvent::Point(&point))?;
        self.curve.push(point);
        Ok(())
    }

    fn tell_events(&mut self, found: Vec<Found>, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        for found in found {
            let event = describe::event(&self.spec, self.size(), self.events.len() as u32 + 1, found)?;
            tell(sinks, &RunEvent::Event(&event))?;
            self.events.push(event);
        }
        Ok(())
    }

    fn size(&self) -> (u32, u32) {
        self.input.as_ref().map_or((1, 1), |i| (i.width, i.height))
    }
}

/// Tells every sink.
fn tell(sinks: &mut [&mut dyn Sink], event: &RunEvent<'_>) -> Result<()> {
    sinks.iter_mut().try_for_each(|sink| sink.record(event))
}
