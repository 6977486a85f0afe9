//! Every n-th frame of a source, by counting: how the papers sample videos.
//!
//! Startle's own clock goes by presentation time; the papers' code takes frames 0, n, 2n, … whatever their times are.
//! Invariant: the frames that are given lie exactly on the ticks of the model's clock, one each.

use super::Adapter;
use crate::clip::ClipSpec;
use crate::error::Result;
use crate::media::{FrameSource, Step};
use crate::units::MediaTime;

/// A source of which every `step`-th frame is on show until the next such frame.
pub struct Counted {
    inner: Box<dyn FrameSource>,
    spec: ClipSpec,
    step: u64,
    limit: Option<u64>,
    /// Frames that are still to be passed over.
    first: u64,
    /// Frames of the inner source in this segment.
    seen: u64,
    /// Frames given in all, and in this segment.
    given: u64,
    ticks: u64,
    /// Time of the segment's first frame.
    origin: MediaTime,
}

impl Counted {
    /// Every `step`-th frame (at least 1) of `inner`, `limit` frames at most, at the ticks of the clock of `spec`.
    pub fn new(inner: Box<dyn FrameSource>, spec: &ClipSpec, step: u32, limit: Option<u64>) -> Self {
        let (spec, step) = (spec.clone(), u64::from(step.max(1)));
        Self { inner, spec, step, limit, first: 0, seen: 0, given: 0, ticks: 0, origin: MediaTime::ZERO }
    }

    /// The same without its `first` frames: counting begins after them.
    #[must_use]
    pub fn after(self, first: u64) -> Self {
        Self { first, ..self }
    }
}

impl Adapter for Counted {
    fn inner(&self) -> &dyn FrameSource {
        &*self.inner
    }

    fn inner_mut(&mut self) -> &mut dyn FrameSource {
        &mut *self.inner
    }

    fn next(&mut self) -> Result<Step> {
        loop {
            if self.limit.is_some_and(|limit| self.given >= limit) {
                return Ok(Step::End);
            }
            match self.inner.next_step()? {
                Step::Frame { .. } if self.first > 0 => self.first -= 1,
                Step::Frame { time, .. } => {
                    let index = self.seen;
                    self.seen += 1;
                    if index == 0 {
                        // A rate that the header states wrongly must not make two segments overlap.
                        self.origin = time.max(self.origin.plus(self.spec.tick_time(self.ticks)));
                        self.ticks = 0;
                    }
                    if !index.is_multiple_of(self.step) {
                        continue;
                    }
                    let at = |tick| self.origin.plus(self.spec.tick_time(tick));
                    let shown = Step::Frame { time: at(self.ticks), end: at(self.ticks + 1) };
                    self.ticks += 1;
                    self.given += 1;
                    return Ok(shown);
                }
                gap @ Step::Gap { .. } => {
                    self.seen = 0;
                    return Ok(gap);
                }
                Step::End => return Ok(Step::End),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{spec_for_tests, ticks_shown};
    use crate::media::{GapReason, Picture, VideoInfo};

    /// Frames at odd times, a gap in the middle; the picture names the frame.
    struct Odd {
        info: VideoInfo,
        at: u8,
    }

    impl FrameSource for Odd {
        fn info(&self) -> &VideoInfo {
            &self.info
        }

        fn next_step(&mut self) -> Result<Step> {
            self.at += 1;
            let ms = |m: u8| MediaTime::from_nanos(i64::from(m) * 33_000_000 + i64::from(m % 3) * 900_000);
            Ok(match self.at {
                8 => Step::Gap { start: ms(8), end: ms(9), reason: GapReason::Corrupt },
                20.. => Step::End,
                at => Step::Frame { time: ms(at - 1), end: ms(at) },
            })
        }

        fn picture(&mut self) -> Result<Picture> {
            Ok(Picture::new(1, 1, vec![self.at; 3]))
        }

        fn frames_decoded(&self) -> u64 {
            u64::from(self.at)
        }
    }

    fn shown(step: u32, limit: Option<u64>, first: u64) -> Vec<u8> {
        let spec = ClipSpec { model_fps: 30.0 / f64::from(step), ..spec_for_tests() };
        let info = VideoInfo {
            width: 1,
            height: 1,
            nominal_fps: 30.0,
            duration_s: None,
            codec: String::new(),
            pixel_format: String::new(),
            notes: Vec::new(),
        };
        let mut source = Counted::new(Box::new(Odd { info, at: 0 }), &spec, step, limit).after(first);
        let (mut found, mut origin, mut tick) = (Vec::new(), None, 0);
        loop {
            match source.next_step().unwrap() {
                Step::Frame { time, end } => {
                    let origin = *origin.get_or_insert(time);
                    assert_eq!(ticks_shown(&spec, time.since(origin), end.since(origin)), tick..tick + 1);
                    tick += 1;
                    found.push(source.picture().unwrap().rgb()[0]);
                }
                Step::Gap { .. } => (origin, tick) = (None, 0),
                Step::End => return found,
            }
        }
    }

    #[test]
    fn frames_are_counted_and_each_has_its_tick() {
        assert_eq!(shown(2, None, 0), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        assert_eq!(shown(3, None, 0), [1, 4, 7, 9, 12, 15, 18]);
        assert_eq!(shown(3, Some(2), 0), [1, 4]);
        assert_eq!(shown(3, Some(2), 2), [3, 6]);
        assert_eq!(shown(1, None, 0).len(), 18);
    }
}
