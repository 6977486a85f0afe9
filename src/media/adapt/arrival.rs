//! Time for streams that carry none: a frame is on show from the arrival of the one before it until its own.
//!
//! Pictures in a row over HTTP have no timestamps, and a guessed frame rate would make the model see slow or fast
//! motion. Arrival is late by one frame and as even as the network is.

use super::Adapter;
use crate::error::Result;
use crate::media::{FrameSource, GapReason, Step};
use crate::units::MediaTime;
use std::time::{Duration, Instant};

/// A read that takes this long waited for the network: what came before it had been waiting itself.
const BLOCKED: Duration = Duration::from_millis(15);
/// Frames that had been waiting are passed over for so long at most.
const BACKLOG: Duration = Duration::from_secs(10);
/// A longer hold is a gap.
const LONGEST_HOLD: MediaTime = MediaTime::from_nanos(1_000_000_000);
/// How long the first frame is on show.
const FIRST: MediaTime = MediaTime::from_nanos(40_000_000);
/// Shortest time on show.
const SHORTEST: MediaTime = MediaTime::from_nanos(1_000_000);

/// A source whose frames are placed by the time of their arrival.
pub struct ByArrival {
    inner: Box<dyn FrameSource>,
    /// Time since the opening.
    clock: Box<dyn FnMut() -> Duration>,
    /// Arrival of the first frame that is shown, less the time that it is on show.
    origin: Option<Duration>,
    end: MediaTime,
    held: Option<Step>,
}

impl ByArrival {
    /// By this machine's clock.
    pub fn new(inner: Box<dyn FrameSource>) -> Self {
        let opened = Instant::now();
        Self::with_clock(inner, Box::new(move || opened.elapsed()))
    }

    fn with_clock(inner: Box<dyn FrameSource>, clock: Box<dyn FnMut() -> Duration>) -> Self {
        Self { inner, clock, origin: None, end: MediaTime::ZERO, held: None }
    }

    /// The step of a frame that came after a wait; `None`: it had been waiting since before the opening.
    fn place(&mut self, asked: Duration, arrived: Duration) -> Option<Step> {
        let Some(origin) = self.origin else {
            if arrived.saturating_sub(asked) < BLOCKED && arrived < BACKLOG {
                return None;
            }
            self.origin = Some(arrived);
            self.end = FIRST;
            return Some(Step::Frame { time: MediaTime::ZERO, end: FIRST });
        };
        let since = i64::try_from(arrived.saturating_sub(origin).as_nanos()).unwrap_or(i64::MAX);
        let arrival = FIRST.plus(MediaTime::from_nanos(since));
        let time = self.end;
        if arrival.since(time) > LONGEST_HOLD {
            self.end = arrival.plus(FIRST);
            self.held = Some(Step::Frame { time: arrival, end: self.end });
            return Some(Step::Gap { start: time, end: arrival, reason: GapReason::TimestampGap });
        }
        self.end = arrival.max(time.plus(SHORTEST));
        Some(Step::Frame { time, end: self.end })
    }
}

impl Adapter for ByArrival {
    fn inner(&self) -> &dyn FrameSource {
        &*self.inner
    }

    fn inner_mut(&mut self) -> &mut dyn FrameSource {
        &mut *self.inner
    }

    fn next(&mut self) -> Result<Step> {
        if let Some(step) = self.held.take() {
            return Ok(step);
        }
        loop {
            let asked = (self.clock)();
            match self.inner.next_step()? {
                Step::Frame { .. } => {
                    let arrived = (self.clock)();
                    if let Some(step) = self.place(asked, arrived) {
                        return Ok(step);
                    }
                }
                Step::Gap { reason, .. } => return Ok(Step::Gap { start: self.end, end: self.end, reason }),
                Step::End => return Ok(Step::End),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Picture, VideoInfo};

    /// Says that every frame lasts a second, whatever is true.
    struct Untimed(VideoInfo, u64);

    impl FrameSource for Untimed {
        fn info(&self) -> &VideoInfo {
            &self.0
        }
        fn next_step(&mut self) -> Result<Step> {
            self.1 += 1;
            let at = |n: u64| MediaTime::from_secs_f64(n as f64);
            Ok(Step::Frame { time: at(self.1 - 1), end: at(self.1) })
        }
        fn picture(&mut self) -> Result<Picture> {
            Ok(Picture::new(1, 1, vec![0; 3]))
        }
        fn frames_decoded(&self) -> u64 {
            self.1
        }
    }

    #[test]
    fn frames_lie_where_they_arrive_and_what_had_been_waiting_is_passed_over() {
        let info = VideoInfo {
            width: 1,
            height: 1,
            nominal_fps: 25.0,
            duration_s: None,
            codec: "mjpeg".into(),
            pixel_format: "rgb24".into(),
            notes: Vec::new(),
        };
        // Asked and arrived, milliseconds: two that had been waiting, three at 5 a second, two in a burst, a long hold.
        let times = [0, 1, 1, 2, 2, 150, 150, 350, 350, 550, 551, 551, 551, 551, 551, 3000];
        let mut times = times.into_iter().map(Duration::from_millis);
        let clock = Box::new(move || times.next().unwrap());
        let mut source = ByArrival::with_clock(Box::new(Untimed(info, 0)), clock);
        let ms = |n: i64| MediaTime::from_nanos(n * 1_000_000);
        let expected = [(0, 40), (40, 240), (240, 440), (440, 441), (441, 442)];
        for (time, end) in expected {
            assert_eq!(source.next_step().unwrap(), Step::Frame { time: ms(time), end: ms(end) });
        }
        assert_eq!(source.frames_decoded(), 7, "two had been waiting");
        let (start, end) = (ms(442), ms(2890));
        assert_eq!(source.next_step().unwrap(), Step::Gap { start, end, reason: GapReason::TimestampGap });
        assert_eq!(source.next_step().unwrap(), Step::Frame { time: end, end: ms(2930) });
    }
}
