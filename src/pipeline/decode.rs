//! The decode stage: source → model clock → model square → windows.

use super::slow::SlowStretch;
use super::{DecodeSummary, Feed, Open};
use crate::clip::{
    Cadence, Clip, ClipSpec, CutDetector, FrameChange, FreezeWatch, ModelFrame, Resizer, Tempo, Windower, ticks_shown,
};
use crate::error::{Error, Result};
use crate::media::{FrameSource, GapReason, Picture, Step};
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
    run_rates(open()?.as_mut(), (spec, steps), (cuts, false), stop, out)
}

/// As [`run`], with a source that is open and at the model's rate alone.
pub(crate) fn run_source(
    source: &mut dyn FrameSource,
    spec: &ClipSpec,
    cuts: bool,
    stop: &Stop,
    out: Outlet<'_>,
) -> Result<()> {
    run_rates(source, (spec, &[]), (cuts, true), stop, out)
}

fn run_rates(
    source: &mut dyn FrameSource,
    (spec, steps): (&ClipSpec, &[u32]),
    (cuts, live): (bool, bool),
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
        cadence: Cadence::new(spec),
        doubtful: Vec::new(),
        slow: SlowStretch::default(),
        live,
        freezes: FreezeWatch::default(),
        frozen: Vec::new(),
        origin: None,
        starts_at: None,
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
            Err(e) if stage.starts_at.is_none() => return Err(e),
            Err(e) => {
                fault = Some(e.to_string());
                stage.gap(stage.end, stage.end, GapReason::Corrupt)?;
                break;
            }
        }
    }
    stage.settle()?;
    stage.end_slow(stage.end)?;
    let summary = DecodeSummary {
        frames_decoded: source.frames_decoded(),
        starts_at: stage.starts_at.unwrap_or_default(),
        warnings: stage.warnings(),
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
    /// Whether the pictures come as fast as the clock ticks.
    cadence: Cadence,
    /// Pictures on long hold, of which the next ones will tell whether they stood still.
    doubtful: Vec<Shown>,
    slow: SlowStretch,
    /// Whether what goes on is told before it is over.
    live: bool,
    freezes: FreezeWatch,
    /// Frozen stretches.
    frozen: Vec<(MediaTime, MediaTime)>,
    /// Time of the segment's first frame: tick 0 of its clock.
    origin: Option<MediaTime>,
    /// Time of the first frame.
    starts_at: Option<MediaTime>,
    /// End of the last frame.
    end: MediaTime,
    out: Outlet<'a>,
    waited: Duration,
}

/// A picture at the model's size, and when it is on show.
struct Shown {
    time: MediaTime,
    end: MediaTime,
    square: Picture,
    preview: Picture,
    key: bool,
}

impl Stage<'_> {
    /// Puts a frame on the model's clock: it is shown by zero, one or several ticks.
    fn frame(&mut self, source: &mut dyn FrameSource, time: MediaTime, end: MediaTime) -> Result<()> {
        self.starts_at.get_or_insert(time);
        self.end = end;
        let pace = self.cadence.push(end.since(time));
        if pace == Tempo::Fits {
            self.end_slow(time)?;
            self.settle()?;
        }
        let origin = *self.origin.get_or_insert(time);
        let shown = !ticks_shown(self.spec, time.since(origin), end.since(origin)).is_empty();
        // In slow footage only slower clocks look.
        let wanted = shown && (pace != Tempo::Slow || !self.slower.is_empty());
        let picture = wanted.then(|| self.take(source, time, end)).transpose()?;
        match (pace, picture) {
            (Tempo::Fits, Some(picture)) => self.show(picture, true)?,
            (Tempo::Unsure, Some(picture)) => {
                self.doubtful.push(picture);
                if self.doubtful.len() > Cadence::DOUBTS {
                    let first = self.doubtful.remove(0);
                    self.show(first, true)?;
                }
            }
            (Tempo::Slow, picture) => {
                self.begin_slow(time);
                for doubtful in std::mem::take(&mut self.doubtful).into_iter().chain(picture) {
                    self.show(doubtful, false)?;
                }
                self.slow_so_far(end)?;
            }
            (Tempo::Fits | Tempo::Unsure, None) => {}
        }
        Ok(())
    }

    fn take(&mut self, source: &mut dyn FrameSource, time: MediaTime, end: MediaTime) -> Result<Shown> {
        let picture = source.picture()?;
        let (square, preview) = (self.resizer.square(&picture)?, self.resizer.preview(&picture)?);
        Ok(Shown { time, end, square, preview, key: source.key_frame() })
    }

    /// Gives the ticks that show a picture to the windows: all of them, or (`fast` is false) those of the slower clocks that
    /// the pictures are fast enough for.
    fn show(&mut self, shown: Shown, fast: bool) -> Result<()> {
        let Shown { time, end, square, preview, mut key } = shown;
        let mut origin = *self.origin.get_or_insert(time);
        let mut ticks = ticks_shown(self.spec, time.since(origin), end.since(origin));
        let change = self.changes.push(&square);
        if change.is_none() && self.look_for_cuts {
            self.break_at(time, time, GapReason::SceneCut)?;
            self.freezes.reset();
            origin = time;
            self.origin = Some(origin);
            ticks = ticks_shown(self.spec, MediaTime::ZERO, end.since(origin));
        }
        let mut change = change.unwrap_or_default();
        for tick in ticks {
            let time = origin.plus(self.spec.tick_time(tick));
            self.frozen.extend(self.freezes.push(time, change.motion));
            let frame = Arc::new(ModelFrame { time, square: square.clone(), preview: preview.clone(), change, key });
            (change, key) = (FrameChange::default(), false);
            let cadence = &self.cadence;
            let rates = self.slower.iter_mut().filter(|rate| fast || cadence.fits(rate.step));
            let slower: Vec<Clip> = rates.filter_map(|rate| rate.push(tick, &frame)).collect();
            let own = if fast { self.windower.push(frame) } else { None };
            for clip in own.into_iter().chain(slower) {
                self.send(Feed::Clip(clip))?;
            }
        }
        Ok(())
    }

    /// What was in doubt stood still.
    fn settle(&mut self) -> Result<()> {
        let doubtful = std::mem::take(&mut self.doubtful);
        doubtful.into_iter().try_for_each(|shown| self.show(shown, true))
    }

    /// The footage is slow from the first picture that was in doubt, or from `time`.
    fn begin_slow(&mut self, time: MediaTime) {
        let from = self.doubtful.first().map_or(time, |shown| shown.time);
        if self.slow.begin(from) {
            self.windower.break_segment();
            let cadence = &self.cadence;
            self.slower.iter_mut().filter(|rate| !cadence.fits(rate.step)).for_each(Slower::break_segment);
        }
        self.slow.measure(&self.cadence);
    }

    /// The footage is fast again, or over.
    fn end_slow(&mut self, time: MediaTime) -> Result<()> {
        let Some(from) = self.slow.end(time) else { return Ok(()) };
        self.changes.reset();
        self.freezes.reset();
        self.origin = None;
        self.break_at(from, time, GapReason::SlowFootage)
    }

    /// A stream without an end says now and then that it is too slow.
    fn slow_so_far(&mut self, now: MediaTime) -> Result<()> {
        let piece = if self.live { self.slow.piece(now) } else { None };
        match piece {
            Some(from) => self.break_at(from, now, GapReason::SlowFootage),
            None => Ok(()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let frozen = self.frozen.iter().map(|(from, to)| {
            format!(
                "the picture stands still from {:.1} to {:.1} s and goes on elsewhere, as a feed does that is stuck: an event \
                 there may be no more than that",
                from.secs_f64(),
                to.secs_f64()
            )
        });
        self.slow.warning(self.spec.model_fps).into_iter().chain(frozen).collect()
    }

    /// A break of the source: the past says nothing about the next picture.
    fn gap(&mut self, start: MediaTime, end: MediaTime, reason: GapReason) -> Result<()> {
        self.settle()?;
        self.end_slow(start)?;
        self.cadence.reset();
        self.freezes.reset();
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
