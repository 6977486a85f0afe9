//! The last stage: windows to curve, events and report; tells the sinks.

use super::track::{Track, Tracked, tell};
use super::{DecodeSummary, Feed, Scored};
use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::media::GapReason;
use crate::model::{ModelInfo, WindowErrors};
use crate::record::{Gap, InputReport, Report, RunConfig, RunEvent, SCHEMA, Sink, SlowerRate, Timings};
use crate::surprise::{Baseline, EventRules};
use crossbeam_channel::Receiver;
use std::time::{Duration, SystemTime};

/// How errors become a curve and events.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionSettings {
    /// Share of a slot's tokens in the top-k mean.
    pub top_fraction: f32,
    /// Where events open and close.
    pub rules: EventRules,
}

/// Collects a run.
pub(super) struct Recorder {
    spec: ClipSpec,
    model: ModelInfo,
    config: RunConfig,
    /// The model's own rate.
    track: Track,
    slower: Vec<(u32, Track)>,
    input: Option<InputReport>,
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
        let track = Track::new(spec, settings, baseline);
        let thresholds = track.finder().thresholds().clone();
        config.resolved.threshold = thresholds.in_surprise.then_some(thresholds.high);
        config.resolved.threshold_low = thresholds.in_surprise.then_some(thresholds.low);
        config.resolved.promised_per_hour = thresholds.promised_per_hour;
        config.resolved.check = baseline.and_then(Baseline::check).copied();
        config.resolved.threshold_rule = thresholds.words;
        let slower = |&step: &u32| (step, Track::slower(&spec.slower(step), settings));
        Self {
            spec: spec.clone(),
            model,
            slower: config.asked.frame_steps.iter().map(slower).collect(),
            config,
            track,
            input: None,
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
        input.starts_at_s = summary.starts_at.secs_f64();
        input.duration_s = summary.duration.secs_f64();
        let cut_off = input.gaps.iter().any(|g| g.reason == GapReason::Truncated) || summary.fault.is_some();
        let mut warnings = self.warnings;
        warnings.extend(summary.warnings);
        warnings.extend(summary.fault.map(|f| format!("decoding ended early: {f}")));
        let strange: Vec<[f64; 2]> =
            self.track.finder().strange().iter().map(|(start, end)| [start.secs_f64(), end.secs_f64()]).collect();
        if let Some([start, _]) = strange.first() {
            warnings.push(format!(
                "from {start:.1} s on the video is unlike the baseline's footage (the camera has moved, or the scene is \
                 another): no events are looked for where that is so, in {} stretches; calibrate on footage like it",
                strange.len()
            ));
        }
        let short = self.slower.iter().filter_map(|(step, track)| Some((step, track.is_too_short()?)));
        warnings.extend(short.map(|(step, reason)| format!("at frame step {step} {reason}")));
        let slower: Vec<SlowerRate> = self.slower.into_iter().map(|(step, track)| track.finish_slower(step)).collect();
        warnings.extend(slower.iter().filter_map(|rate| nothing_scored(rate, self.spec.frames_per_clip)));
        let Tracked { curve, events, sights, horizons, video_surprise } = self.track.finish();
        let mut config = self.config;
        if curve.is_empty() {
            config.resolved.promised_per_hour = None;
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
            config,
            curve,
            events,
            strange,
            video_surprise,
            slower,
            sights,
            horizons,
            annotated: None,
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
        let size = self.size();
        match self.slower.iter_mut().find(|(step, _)| *step == clip.frame_step) {
            Some((_, track)) => track.window(clip, errors, size, &mut []),
            None => self.track.window(clip, errors, size, sinks),
        }
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
        let size = self.size();
        self.slower.iter_mut().try_for_each(|(_, track)| track.end_segment(size, &mut []))?;
        self.track.end_segment(size, sinks)
    }

    fn size(&self) -> (u32, u32) {
        self.input.as_ref().map_or((1, 1), |i| (i.width, i.height))
    }
}

/// Says so when a slower rate has no curve.
fn nothing_scored(rate: &SlowerRate, frames_per_clip: u32) -> Option<String> {
    let clip_s = f64::from(frames_per_clip) / rate.model_fps;
    rate.curve.is_empty().then(|| {
        format!(
            "at frame step {} nothing could be scored: no unbroken run of frames is as long as its clip ({clip_s:.2} s)",
            rate.frame_step
        )
    })
}
