//! Raw presentation timestamps to times that only go forward.
//!
//! Containers lie: timestamps are missing, repeated, jump back, jump ahead. Each of these has one named policy here, and
//! a count, so that a reader of a result can see how much was mended. Pure: no FFmpeg, no clock.
//!
//! Invariant: the times of [`Place::At`] are strictly increasing and begin where [`Timeline::new`] was told.

use crate::units::MediaTime;

/// A hold longer than this is a gap, unless three nominal frames are longer still: no camera holds a picture for a
/// second, and motion across such a hole can't be judged.
const LONGEST_HOLD: MediaTime = MediaTime::from_nanos(1_000_000_000);
/// The same where the container keeps the time of every picture and nothing can have been lost on the way: a picture is on
/// show until the next one, as screen recorders mean it. What lasts longer was a pause.
const LONGEST_TRUSTED_HOLD: MediaTime = MediaTime::from_nanos(600_000_000_000);
/// After so many frames in a row with one timestamp the clock is taken to stand still.
const REPEATS: u32 = 5;
/// Least time on show of a frame that is placed by its arrival.
const SHORTEST: MediaTime = MediaTime::from_nanos(1_000_000);
/// Nominal frames that a hold may last in slow footage (time-lapse, dashboards).
const HOLD_FRAMES: i64 = 3;
/// A step back by at most this many nominal frames is a frame out of order: it comes too late to be shown. A longer
/// step back is a clock that was set anew. Four is the deepest common picture reordering.
const LATE_FRAMES: i64 = 4;
/// A jump ahead by more than this isn't believed: damaged timestamps are usually off by years, and 24 h is the longest
/// recording interval in common use.
const LONGEST_JUMP: MediaTime = MediaTime::from_nanos(24 * 3600 * 1_000_000_000);

/// What the container says of one frame, in its own clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameStamp {
    /// Presentation time, from an arbitrary origin.
    pub raw: Option<MediaTime>,
    /// How long the frame should be shown.
    pub duration: Option<MediaTime>,
    /// When it came, from an arbitrary origin: where it has no time of its own and is watched as it happens.
    pub arrived: Option<MediaTime>,
}

/// Where a frame comes to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// After the frame before it, which stays on show until `previous_end`.
    At {
        /// The frame's time.
        time: MediaTime,
        /// End of the frame before it; equal to `time` unless there is a jump.
        previous_end: MediaTime,
        /// How the clock jumped, if it did.
        jump: Option<Jump>,
    },
    /// At the time of the frame before it, which it replaces.
    Repeated,
    /// Before a frame that was already placed: not to be shown.
    Late,
}

/// A break in the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jump {
    /// Ahead, by more than the longest hold.
    Ahead,
    /// Back, or ahead by more than can be believed: the clock was set anew.
    Reset,
}

/// How much had to be mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mended {
    /// Frames without a timestamp, placed one nominal duration after the frame before.
    pub missing: u64,
    /// Frames with the timestamp of the frame before; the later one is shown.
    pub repeated: u64,
    /// Frames that came out of order and were not shown.
    pub late: u64,
    /// Times the clock was set anew.
    pub resets: u64,
    /// Frames whose clock stood still, placed one nominal duration after the frame before, or as they arrived.
    pub stuck: u64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    raw: MediaTime,
    time: MediaTime,
    duration: Option<MediaTime>,
    arrived: Option<MediaTime>,
}

/// The policies as a machine: one [`FrameStamp`] in, one [`Place`] out.
#[derive(Debug)]
pub(crate) struct Timeline {
    nominal: MediaTime,
    start: MediaTime,
    trusted: bool,
    last: Option<Last>,
    /// The last timestamp that the container gave, and how often it has been repeated since.
    repeated: (Option<MediaTime>, u32),
    mended: Mended,
}

impl Timeline {
    /// `nominal` is the usual duration of a frame, and must be positive; the first one appears at `start`. `trusted`: every
    /// frame is there and has its time, so a long hold is a picture that stood still.
    pub(crate) fn new(nominal: MediaTime, start: MediaTime, trusted: bool) -> Self {
        let nominal = nominal.max(MediaTime::from_nanos(1));
        Self { nominal, start, trusted, last: None, repeated: (None, 0), mended: Mended::default() }
    }

    /// Places the next frame.
    pub(crate) fn place(&mut self, stamp: FrameStamp) -> Place {
        let Some(last) = self.last else {
            self.mended.missing += u64::from(stamp.raw.is_none());
            let raw = stamp.raw.unwrap_or_default();
            self.repeated = (stamp.raw, 0);
            self.last = Some(Last { raw, time: self.start, duration: stamp.duration, arrived: stamp.arrived });
            return Place::At { time: self.start, previous_end: self.start, jump: None };
        };
        let hold = self.hold(last.duration);
        let stuck = self.is_stuck(stamp.raw);
        self.mended.stuck += u64::from(stuck);
        self.mended.missing += u64::from(stamp.raw.is_none());
        let raw = stamp.raw.filter(|_| !stuck).unwrap_or_else(|| {
            let since = stamp.arrived.zip(last.arrived).map(|(now, then)| now.since(then).max(SHORTEST));
            last.raw.plus(since.unwrap_or(hold))
        });
        let step = raw.since(last.raw);
        if step == MediaTime::ZERO {
            self.mended.repeated += 1;
            let duration = stamp.duration.or(last.duration);
            self.last = Some(Last { duration, arrived: stamp.arrived.or(last.arrived), ..last });
            return Place::Repeated;
        }
        if step < MediaTime::ZERO && step.nanos() >= -LATE_FRAMES.saturating_mul(self.nominal.nanos()) {
            self.mended.late += 1;
            return Place::Late;
        }
        let jump = self.jump(step);
        let held_until = last.time.plus(hold);
        let (time, previous_end) = match jump {
            None => (last.time.plus(step), last.time.plus(step)),
            Some(Jump::Ahead) => (last.time.plus(step), held_until.min(last.time.plus(step))),
            Some(Jump::Reset) => (held_until, held_until),
        };
        self.mended.resets += u64::from(jump == Some(Jump::Reset));
        self.last = Some(Last { raw, time, duration: stamp.duration, arrived: stamp.arrived });
        Place::At { time, previous_end, jump }
    }

    /// End of the last placed frame, if nothing follows it.
    pub(crate) fn end(&self) -> MediaTime {
        self.last.map_or(MediaTime::ZERO, |last| last.time.plus(self.hold(last.duration)))
    }

    /// The time, on this timeline, of a time on the container's clock as it stands now.
    pub(crate) fn time_of(&self, raw: MediaTime) -> Option<MediaTime> {
        self.last.map(|last| last.time.plus(raw.since(last.raw)))
    }

    /// The usual duration of a frame.
    pub(crate) const fn nominal(&self) -> MediaTime {
        self.nominal
    }

    /// What was mended so far.
    pub(crate) const fn mended(&self) -> Mended {
        self.mended
    }

    /// Whether the container gives the same time again and again.
    fn is_stuck(&mut self, raw: Option<MediaTime>) -> bool {
        let repeats = if raw.is_some() && raw == self.repeated.0 { self.repeated.1.saturating_add(1) } else { 0 };
        self.repeated = (raw, repeats);
        repeats > REPEATS
    }

    fn jump(&self, step: MediaTime) -> Option<Jump> {
        if step < MediaTime::ZERO || step > LONGEST_JUMP {
            Some(Jump::Reset)
        } else if step > self.longest_hold() {
            Some(Jump::Ahead)
        } else {
            None
        }
    }

    fn longest_hold(&self) -> MediaTime {
        let longest = if self.trusted { LONGEST_TRUSTED_HOLD } else { LONGEST_HOLD };
        longest.max(MediaTime::from_nanos(self.nominal.nanos().saturating_mul(HOLD_FRAMES)))
    }

    /// How long a frame is shown when the next frame's time doesn't say.
    fn hold(&self, declared: Option<MediaTime>) -> MediaTime {
        declared.filter(|&d| d > MediaTime::ZERO && d <= LONGEST_HOLD.max(self.nominal)).unwrap_or(self.nominal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: i64) -> MediaTime {
        MediaTime::from_nanos(millis * 1_000_000)
    }

    const fn stamp(millis: i64) -> FrameStamp {
        FrameStamp { raw: Some(ms(millis)), ..NONE }
    }

    const NONE: FrameStamp = FrameStamp { raw: None, duration: None, arrived: None };

    fn timeline(nominal: MediaTime) -> Timeline {
        Timeline::new(nominal, MediaTime::ZERO, false)
    }

    fn at(time: i64, previous_end: i64, jump: Option<Jump>) -> Place {
        Place::At { time: ms(time), previous_end: ms(previous_end), jump }
    }

    #[test]
    fn the_first_frame_is_zero_and_holds_reach_to_the_next() {
        let mut line = timeline(ms(40));
        assert_eq!(line.place(stamp(1400)), at(0, 0, None));
        assert_eq!(line.place(stamp(1440)), at(40, 40, None));
        assert_eq!(line.place(stamp(2400)), at(1000, 1000, None));
        assert_eq!(line.end(), ms(1040));
    }

    #[test]
    fn each_fault_has_its_policy() {
        let mut line = timeline(ms(40));
        line.place(stamp(0));
        assert_eq!(line.place(NONE), at(40, 40, None), "missing: one nominal frame later");
        assert_eq!(line.place(stamp(40)), Place::Repeated);
        assert_eq!(line.place(stamp(0)), Place::Late);
        assert_eq!(line.place(stamp(1041)), at(1041, 80, Some(Jump::Ahead)));
        assert_eq!(line.place(stamp(500)), at(1081, 1081, Some(Jump::Reset)));
        assert_eq!(line.place(stamp(540)), at(1121, 1121, None), "time goes on after a reset");
        assert_eq!(line.place(stamp(2 * 3600 * 1000 + 540)), at(7_201_121, 1161, Some(Jump::Ahead)), "two hours ahead");
        assert_eq!(line.place(stamp(9_000 * 3600 * 1000)), at(7_201_161, 7_201_161, Some(Jump::Reset)), "a year ahead");
        assert_eq!(line.mended(), Mended { missing: 1, repeated: 1, late: 1, resets: 2, stuck: 0 });
    }

    #[test]
    fn a_clock_that_stands_still_gives_way_to_the_usual_rate_or_to_arrival() {
        let mut line = timeline(ms(40));
        let placed = (0..180).filter(|_| matches!(line.place(stamp(7)), Place::At { .. })).count();
        assert_eq!(placed, 180 - REPEATS as usize);
        assert_eq!(line.end(), ms(40 * placed as i64));
        assert_eq!(line.mended().stuck, placed as u64 - 1);

        let mut live = timeline(ms(40));
        for n in 0..20 {
            live.place(FrameStamp { arrived: Some(ms(100 * n)), ..stamp(7) });
        }
        assert_eq!(live.end(), ms(100 * (19 - i64::from(REPEATS)) + 40));
    }

    #[test]
    fn where_nothing_can_be_lost_a_long_hold_is_a_picture_that_stood_still() {
        let mut line = Timeline::new(ms(33), ms(2000), true);
        assert_eq!(line.place(stamp(500)), at(2000, 2000, None), "the sound began two seconds before");
        assert_eq!(line.place(stamp(3500)), at(5000, 5000, None));
        assert_eq!(line.place(stamp(603_501)), at(605_001, 5033, Some(Jump::Ahead)), "a pause of ten minutes");
    }

    #[test]
    fn slow_footage_is_not_full_of_gaps() {
        let mut line = timeline(ms(10_000));
        line.place(stamp(0));
        assert_eq!(line.place(stamp(30_000)), at(30_000, 30_000, None));
        assert_eq!(line.place(stamp(60_001)), at(60_001, 40_000, Some(Jump::Ahead)));
    }

    proptest! {
        /// Whatever the container says: times strictly increase and the frame before ends no later than the next begins.
        #[test]
        fn times_only_go_forward(
            nominal in 1i64..2_000_000_000,
            stamps in prop::collection::vec(prop::option::of(prop_oneof![any::<i64>(), -5_000_000_000i64..5_000_000_000]), 1..80),
            duration in prop::option::of(any::<i64>()),
        ) {
            let mut line = timeline(MediaTime::from_nanos(nominal));
            let mut last: Option<MediaTime> = None;
            for raw in stamps {
                let stamp =
                    FrameStamp { raw: raw.map(MediaTime::from_nanos), duration: duration.map(MediaTime::from_nanos), arrived: None };
                if let Place::At { time, previous_end, .. } = line.place(stamp) {
                    if let Some(last) = last {
                        prop_assert!(time > last && previous_end > last && previous_end <= time);
                    } else {
                        prop_assert_eq!(time, MediaTime::ZERO);
                    }
                    last = Some(time);
                }
                prop_assert!(line.end() > last.unwrap_or_default());
            }
        }
    }
}
