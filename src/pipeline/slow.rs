//! Stretches whose pictures come slower than the model's clock: nothing is scored there, and it is said.

use crate::clip::Cadence;
use crate::units::MediaTime;

/// After so long a stretch is told for the first time, seconds; then whenever it has become twice as long.
const FIRST_TOLD_S: f64 = 10.0;

/// The stretch in progress and what was seen of earlier ones.
#[derive(Debug, Default)]
pub(super) struct SlowStretch {
    /// Where it begins, and where what was not yet told of it begins.
    since: Option<(MediaTime, MediaTime)>,
    count: u32,
    seconds: f64,
    /// Longest usual hold, seconds, and the step of the clock that fits it.
    slowest: (f64, u32),
}

impl SlowStretch {
    /// A stretch begins, unless one is in progress; whether it does.
    pub(super) fn begin(&mut self, from: MediaTime) -> bool {
        if self.since.is_some() {
            return false;
        }
        self.since = Some((from, from));
        self.count += 1;
        true
    }

    pub(super) fn measure(&mut self, cadence: &Cadence) {
        if cadence.hold_s() > self.slowest.0 {
            self.slowest = (cadence.hold_s(), cadence.step());
        }
    }

    /// It is over; where what was not yet told of it begins.
    pub(super) fn end(&mut self, time: MediaTime) -> Option<MediaTime> {
        let (began, untold) = self.since.take()?;
        self.seconds += time.since(began).secs_f64();
        Some(untold)
    }

    /// Where the piece begins that is to be told now, if one is.
    pub(super) fn piece(&mut self, now: MediaTime) -> Option<MediaTime> {
        let (began, untold) = self.since?;
        let due = untold.since(began).secs_f64().max(FIRST_TOLD_S);
        if now.since(untold).secs_f64() < due {
            return None;
        }
        self.since = Some((began, now));
        Some(untold)
    }

    /// What to tell the reader of the result.
    pub(super) fn warning(&self, model_fps: f64) -> Option<String> {
        let (hold_s, step) = self.slowest;
        (self.count > 0).then(|| {
            format!(
                "the pictures come slower than the model's clock ({model_fps} a second) for {:.1} s, down to {:.2} a second: \
                 nothing is scored there and no rate of false alarms is promised; `--frame-steps {step}` looks at that rate",
                self.seconds,
                hold_s.max(1e-9).recip()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_told_in_pieces_that_grow_and_counted_whole() {
        let s = |seconds: f64| MediaTime::from_secs_f64(seconds);
        let mut slow = SlowStretch::default();
        assert!(slow.warning(10.0).is_none() && slow.end(s(1.0)).is_none());
        assert!(slow.begin(s(5.0)) && !slow.begin(s(6.0)));
        let told: Vec<Option<MediaTime>> =
            [10.0, 15.0, 24.9, 25.0, 45.0].into_iter().map(|t| slow.piece(s(t))).collect();
        assert_eq!(told, [None, Some(s(5.0)), None, Some(s(15.0)), Some(s(25.0))]);
        assert_eq!(slow.end(s(50.0)), Some(s(45.0)));
        assert!(slow.warning(10.0).unwrap().contains("for 45.0 s"));
    }
}
