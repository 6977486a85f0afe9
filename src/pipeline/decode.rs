//! The decode stage: source → model clock → model square → windows.

use super::{DecodeSummary, Feed, Open};
use crate::clip::{Change, Clip, ClipSpec, CutDetector, ModelFrame, Resizer, Windower, ticks_shown};
use crate::error::{Error, Result};
use crate::media::{FrameSource, GapReason, Step};
use crate::record::Gap;
use crate::units::{MediaTime, Stop};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes what the stage has to say; an error ends the stage.
pub(super) type Outlet<'a> = &'a mut dyn FnMut(Feed) -> Result<()>;

/// Decodes until the end, a stop, or the consumer's end.
/// Beside the clips of the clock of `spec`, those of every slower rate of `steps` are cut from the same frames.
pub(super) fn run(
    open: Open<'_>,
    (spec, steps): (&ClipSpec, &[u32]),
    cuts: bool,
    stop: &Stop,
    out: Outlet<'_>,
) -> Result<()> {
    run_rates(open()?.as_mut(), (spec, steps), cuts, stop, out)
}

/// As [`run`], with a source that is open and at the model's rate alone.
pub(super) fn run_source(
    source: &mut dyn FrameSource,
    spec: &ClipSpec,
    cuts: bool,
    stop: &Stop,
    out: Outlet<'_>,
) -> Result<()> {
    run_rates(source, (spec, &[]), cuts, stop, out)
}

fn run_rates(
    source: &mut dyn FrameSource,
    (spec, steps): (&ClipSpec, &[u32]),
    cuts: bool,
    stop: &Stop,
    out: Outlet<'_>,
) -> Result<()> {
    out(Feed::Opened(source.info().clone()))?;
    let mut stage = Stage {
        spec,
        resizer: Resizer::new(spec),
        changes: CutDetector::default(),
        look_for_cuts: cuts,
        windower: Windower::new(spec),
        slower: steps.iter().map(|&step| Slower::new(spec, step)).collect(),
        origin: None,
        end: MediaTime::ZERO,
        out,
        waited: Duration::ZERO,
    };
    let started = Instant::now();
    let mut fault = None;
    while !stop.requested() {
        match source.next_step() {
            Ok(Step::Frame { time, end }) => stage.frame(source, time, end)?,
            Ok(Step::Gap { start, end, reason }) => stage.gap(start, end, reason)?,
            Ok(Step::End) => break,
            Err(Error::Stopped) if stop.requested() => break,
            Err(e) if stage.end == MediaTime::ZERO => return Err(e),
            Err(e) => {
                fault = Some(e.to_string());
                stage.gap(stage.end, stage.end, GapReason::Corrupt)?;
                break;
            }
        }
    }
    let summary = DecodeSummary {
        frames_decoded: source.frames_decoded(),
        duration: stage.end,
        busy: started.elapsed().saturating_sub(stage.waited),
        stopped: stop.requested(),
        notes: source.info().notes.clone(),
        fault,
    };
    (stage.out)(Feed::End(summary))
}

struct Stage<'a> {
    spec: &'a ClipSpec,
    resizer: Resizer,
    /// Measures motion, and finds cuts if they are looked for.
    changes: CutDetector,
    look_for_cuts: bool,
    windower: Windower,
    slower: Vec<Slower>,
    /// Time of the segment's first frame: tick 0 of its clock.
    origin: Option<MediaTime>,
    /// End of the last frame.
    end: MediaTime,
    out: Outlet<'a>,
    waited: Duration,
}

impl Stage<'_> {
    /// Puts a frame on the model's clock: it is shown by zero, one or several ticks.
    fn frame(&mut self, source: &mut dyn FrameSource, time: MediaTime, end: MediaTime) -> Result<()> {
        let mut origin = *self.origin.get_or_insert(time);
        let mut ticks = ticks_shown(self.spec, time.since(origin), end.since(origin));
        self.end = end;
        if ticks.is_empty() {
            return Ok(());
        }
        let picture = source.picture()?;
        let square = self.resizer.square(&picture)?;
        let preview = self.resizer.preview(&picture)?;
        let change = self.changes.push(&square);
        if change.is_none() && self.look_for_cuts {
            self.break_at(time, time, GapReason::SceneCut)?;
            origin = time;
            self.origin = Some(origin);
            ticks = ticks_shown(self.spec, MediaTime::ZERO, end.since(origin));
        }
        let (mut change, mut key) = (change.unwrap_or_default(), source.key_frame());
        for tick in ticks {
            let time = origin.plus(self.spec.tick_time(tick));
            let frame = Arc::new(ModelFrame { time, square: square.clone(), preview: preview.clone(), change, key });
            (change, key) = (Change::default(), false);
            let slower: Vec<Clip> = self.slower.iter_mut().filter_map(|rate| rate.push(tick, &frame)).collect();
            for clip in self.windower.push(frame).into_iter().chain(slower) {
                self.send(Feed::Clip(clip))?;
            }
        }
        Ok(())
    }

    /// A break of the source: the past says nothing about the next picture.
    fn gap(&mut self, start: MediaTime, end: MediaTime, reason: GapReason) -> Result<()> {
        self.changes.reset();
        self.origin = None;
        self.end = self.end.max(start);
        self.break_at(start, end, reason)
    }

    fn break_at(&mut self, start: MediaTime, end: MediaTime, reason: GapReason) -> Result<()> {
        self.windower.break_segment();
        self.slower.iter_mut().for_each(Slower::break_segment);
        self.send(Feed::Gap(Gap { start_s: start.secs_f64(), end_s: end.secs_f64(), reason }))
    }

    fn send(&mut self, message: Feed) -> Result<()> {
        let waiting = Instant::now();
        let sent = (self.out)(message);
        self.waited += waiting.elapsed();
        sent
    }
}

/// Every `step`-th frame of the model's clock, as clips of their own.
struct Slower {
    step: u32,
    windower: Windower,
    /// Between its own frames; it looks for no cuts.
    changes: CutDetector,
    /// Whether a frame since its last one was coded without reference to others.
    key: bool,
}

impl Slower {
    fn new(spec: &ClipSpec, step: u32) -> Self {
        let windower = Windower::new(&spec.slower(step)).at_step(step);
        Self { step, windower, changes: CutDetector::default(), key: false }
    }

    fn push(&mut self, tick: u64, frame: &ModelFrame) -> Option<Clip> {
        self.key |= frame.key;
        if !tick.is_multiple_of(u64::from(self.step)) {
            return None;
        }
        let change = self.changes.push(&frame.square).unwrap_or_default();
        let (square, preview) = (frame.square.clone(), frame.preview.clone());
        let key = std::mem::take(&mut self.key);
        self.windower.push(Arc::new(ModelFrame { time: frame.time, square, preview, change, key }))
    }

    fn break_segment(&mut self) {
        self.windower.break_segment();
        self.changes.reset();
        self.key = false;
    }
}
