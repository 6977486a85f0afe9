//! The last stage: windows to curve, events and report; tells the sinks.

use super::{DecodeSummary, Feed, Scored};
use crate::clip::{Clip, ClipSpec, jpeg_base64};
use crate::error::{Error, Result};
use crate::media::GapReason;
use crate::model::{ModelInfo, WindowErrors};
use crate::record::{CurvePoint, Event, Gap, HeatMap, InputReport, Report, RunConfig, RunEvent, SCHEMA, Sink, Timings};
use crate::surprise::{
    Assembler, Baseline, Detection, Detector, DetectorOptions, Footing, Judge, Slot, Verdict, VideoSurpriseBuilder,
    hot_region, hottest,
};
use crate::units::MediaTime;
use crossbeam_channel::Receiver;
use std::time::{Duration, SystemTime};

/// How errors become a curve and events.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionSettings {
    /// Share of a slot's tokens in the top-k mean.
    pub top_fraction: f32,
    /// Where events open and close.
    pub rule: ThresholdRule,
    /// Spikes closer than this are one event.
    pub merge: MediaTime,
}

/// Where events open (`high`) and close (`low`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdRule {
    /// Conformal p-values against the calibration sample.
    PValue {
        /// An event opens at a p-value of at most this.
        high: f32,
        /// And goes on while the p-value is at most this.
        low: f32,
    },
    /// Robust standard deviations above normal.
    Z {
        /// An event opens at this z.
        high: f32,
        /// And goes on at or above this.
        low: f32,
    },
}

/// Collects a run.
pub(super) struct Recorder {
    spec: ClipSpec,
    model: ModelInfo,
    config: RunConfig,
    assembler: Assembler,
    judge: Judge,
    detector: Detector,
    /// Scores given to the detector are surprises (calibrated) or z (self-calibrating).
    by_surprise: bool,
    open_peak: Option<(Slot, Verdict)>,
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
        let judge = baseline.map_or_else(Judge::running, Judge::calibrated);
        let footing = baseline.map_or_else(Footing::identity, |b| b.footing().clone());
        let mut warnings = Vec::new();
        let thresholds = thresholds(&judge, settings.rule, &mut warnings);
        config.threshold = thresholds.in_surprise.then_some(thresholds.high);
        config.threshold_low = thresholds.in_surprise.then_some(thresholds.low);
        config.threshold_rule = thresholds.words;
        Self {
            spec: spec.clone(),
            model,
            config,
            assembler: Assembler::new(spec, footing, settings.top_fraction),
            judge,
            detector: Detector::new(DetectorOptions {
                high: thresholds.high,
                low: thresholds.low,
                merge: settings.merge,
            }),
            by_surprise: thresholds.in_surprise,
            open_peak: None,
            video: VideoSurpriseBuilder::default(),
            input: None,
            curve: Vec::new(),
            events: Vec::new(),
            summary: None,
            score_busy: Duration::ZERO,
            warnings,
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
            self.slot(slot, sinks)?;
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
            self.slot(slot, sinks)?;
        }
        match self.detector.finish() {
            Some(detection) => self.close(detection, sinks),
            None => Ok(()),
        }
    }

    fn slot(&mut self, slot: Slot, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        let verdict = self.judge.push(slot.surprise);
        let score = if self.by_surprise { Some(slot.surprise) } else { verdict.z };
        let update = self.detector.push((slot.start, slot.end), score);
        if let Some(detection) = update.closed {
            self.close(detection, sinks)?;
        }
        let point = self.point(&slot, verdict);
        tell(sinks, &RunEvent::Point(&point))?;
        self.curve.push(point);
        if update.is_peak {
            self.open_peak = Some((slot, verdict));
        }
        Ok(())
    }

    fn close(&mut self, detection: Detection, sinks: &mut [&mut dyn Sink]) -> Result<()> {
        let (slot, verdict) = self
            .open_peak
            .take()
            .ok_or_else(|| Error::Internal { stage: "detect", reason: "an event without a peak".into() })?;
        let (rows, cols) = hot_region(&slot.heat, self.spec.grid());
        let event = Event {
            id: self.events.len() as u32 + 1,
            onset_s: detection.onset.secs_f64(),
            peak_s: detection.peak.secs_f64(),
            end_s: detection.end.secs_f64(),
            score: slot.surprise,
            z: verdict.z.unwrap_or(0.0),
            p_value: verdict.p_value,
            place: self.spec.cell_box(self.size(), rows, cols),
            thumbnail: jpeg_base64(&slot.frame.preview)?,
            heat: HeatMap {
                grid: self.spec.grid() as u16,
                area: self.spec.visible(self.size().0, self.size().1),
                values: slot.heat,
            },
        };
        tell(sinks, &RunEvent::Event(&event))?;
        self.events.push(event);
        Ok(())
    }

    fn point(&self, slot: &Slot, verdict: Verdict) -> CurvePoint {
        let grid = self.spec.grid();
        let peak = hottest(&slot.heat).unwrap_or(0);
        let (row, col) = (peak / grid, peak % grid);
        CurvePoint {
            t_s: slot.middle().secs_f64(),
            surprise: slot.surprise,
            z: verdict.z,
            p_value: verdict.p_value,
            raw: slot.raw,
            motion: slot.motion,
            peak_cell: [row as u16, col as u16],
            peak_box: self.spec.cell_box(self.size(), row..row + 1, col..col + 1),
        }
    }

    fn size(&self) -> (u32, u32) {
        self.input.as_ref().map_or((1, 1), |i| (i.width, i.height))
    }
}

/// Tells every sink.
fn tell(sinks: &mut [&mut dyn Sink], event: &RunEvent<'_>) -> Result<()> {
    sinks.iter_mut().try_for_each(|sink| sink.record(event))
}

struct Thresholds {
    high: f32,
    low: f32,
    in_surprise: bool,
    words: String,
}

/// The rule in the units of the curve where there is a calibration sample, else in z of the stream so far.
fn thresholds(judge: &Judge, rule: ThresholdRule, warnings: &mut Vec<String>) -> Thresholds {
    let calibrated = judge.sample_size() > 0;
    match rule {
        ThresholdRule::PValue { high, low } if calibrated => {
            let smallest = 1.0 / (judge.sample_size() + 1) as f32;
            if high < smallest {
                warnings.push(format!(
                    "p-value {high} is finer than the calibration sample of {} slots can tell; {smallest:.5} is used",
                    judge.sample_size()
                ));
            }
            let at = |p: f32| judge.surprise_at(p.max(smallest)).unwrap_or(f32::INFINITY);
            let words = format!(
                "opens at p ≤ {}, closes above p = {}; {} calibration slots",
                share(high.max(smallest)),
                share(low),
                judge.sample_size()
            );
            Thresholds { high: at(high), low: at(low), in_surprise: true, words }
        }
        ThresholdRule::PValue { .. } => {
            warnings.push(
                "there is no baseline for this model, so surprise is compared with the stream's own past: \
                 no false-alarm rate can be stated (see `startle calibrate`)"
                    .into(),
            );
            self_calibrating(SELF_Z_HIGH, SELF_Z_LOW)
        }
        ThresholdRule::Z { high, low } => match (judge.surprise_of_z(high), judge.surprise_of_z(low)) {
            (Some(high_value), Some(low_value)) => {
                let words = format!("opens at z ≥ {high}, closes under z = {low} of the calibration sample");
                Thresholds { high: high_value, low: low_value, in_surprise: true, words }
            }
            _ => self_calibrating(high, low),
        },
    }
}

/// A p-value to two significant digits, without the noise of `f32`.
fn share(p: f32) -> String {
    let digits = (2.0 - p.log10().ceil()).clamp(0.0, 9.0) as usize;
    let text = format!("{p:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Without a calibration sample an event opens this many robust standard deviations above the stream's past. Chosen
/// wide: surprise is heavy-tailed on lively footage.
const SELF_Z_HIGH: f32 = 8.0;
/// And closes under this.
const SELF_Z_LOW: f32 = 4.0;

fn self_calibrating(high: f32, low: f32) -> Thresholds {
    let words = format!("opens at z ≥ {high}, closes under z = {low} of the stream's own past");
    Thresholds { high, low, in_surprise: false, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_told_without_noise() {
        assert_eq!(share(0.002 * 20.0), "0.04");
        assert_eq!(share(0.002), "0.002");
        assert_eq!(share(1.0 / 3241.0), "0.00031");
    }
}
