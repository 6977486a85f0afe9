//! Spikes of a curve to events: hysteresis, merge, one incremental machine.

use crate::units::MediaTime;

/// Settings of a [`Detector`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectorOptions {
    /// An event opens when the score reaches this.
    pub high: f32,
    /// An open event goes on while the score stays at or above this.
    pub low: f32,
    /// An event closes when the score was under `low` for longer than this; two spikes closer than it are one event.
    pub merge: MediaTime,
    /// What is over faster than this, from onset to end, is no event.
    pub min_duration: MediaTime,
    /// After an event's end none opens for so long.
    pub cool_down: MediaTime,
}

/// One detected span. Times are slot boundaries; peak is the middle of its slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Start of the first slot of the unbroken run at or above `low` that led to the spike.
    pub onset: MediaTime,
    /// Middle of the slot with the largest score.
    pub peak: MediaTime,
    /// End of the last slot at or above `low`.
    pub end: MediaTime,
    /// The largest score.
    pub score: f32,
}

/// What a slot did to the detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// An event that is over.
    pub closed: Option<Detection>,
    /// An event that is sure since this slot: at or above `high`, and longer than the shortest; told once.
    pub opened: Option<Detection>,
    /// The slot is the (new) peak of the open event.
    pub is_peak: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Quiet,
    /// At or above `low` since this time, `high` not yet reached.
    Raised(MediaTime),
    Open(Detection),
}

/// Turns scores into disjoint events in order of time.
#[derive(Debug)]
pub struct Detector {
    options: DetectorOptions,
    state: State,
    /// The open event was told.
    told: bool,
    /// No event opens before.
    rests_until: Option<MediaTime>,
}

impl Detector {
    /// `low` above `high` is brought down to `high`.
    pub fn new(options: DetectorOptions) -> Self {
        Self {
            options: DetectorOptions { low: options.low.min(options.high), ..options },
            state: State::Quiet,
            told: false,
            rests_until: None,
        }
    }

    /// Takes the score of the slot `[start, end)`; `None` is a slot about which nothing is known yet.
    pub fn push(&mut self, slot: (MediaTime, MediaTime), score: Option<f32>) -> Update {
        let mut update = self.advance(slot, score);
        if let State::Open(open) = self.state
            && !self.told
            && self.long_enough(&open)
        {
            self.told = true;
            update.opened = Some(open);
        }
        update
    }

    fn advance(&mut self, (start, end): (MediaTime, MediaTime), score: Option<f32>) -> Update {
        let DetectorOptions { high, low, merge, .. } = self.options;
        let score = score.unwrap_or(f32::NEG_INFINITY);
        let middle = start.midpoint(end);
        let fresh = |onset| Detection { onset, peak: middle, end, score };
        let mut update = Update { closed: None, opened: None, is_peak: false };
        if let State::Open(open) = &mut self.state {
            if score >= low {
                open.end = end;
                if score > open.score {
                    (open.peak, open.score) = (middle, score);
                    update.is_peak = true;
                }
                return update;
            }
            if end.since(open.end) <= merge {
                return update;
            }
            let closed = *open;
            self.state = State::Quiet;
            update.closed = self.admit(closed);
        }
        let onset = if let State::Raised(since) = self.state { since } else { start };
        let rests = self.rests_until.is_some_and(|until| start < until);
        self.state = if score >= high && !rests {
            update.is_peak = true;
            self.told = false;
            State::Open(fresh(onset))
        } else if score >= low {
            State::Raised(onset)
        } else {
            State::Quiet
        };
        update
    }

    /// Moves the levels; an open event stays open.
    pub const fn set_levels(&mut self, high: f32, low: f32) {
        self.options.high = high;
        self.options.low = low.min(high);
    }

    /// Whether an event is open.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    fn long_enough(&self, event: &Detection) -> bool {
        event.end.since(event.onset) >= self.options.min_duration
    }

    /// An event that is over, if it was long enough.
    fn admit(&mut self, event: Detection) -> Option<Detection> {
        if !self.long_enough(&event) {
            return None;
        }
        self.rests_until = Some(event.end.plus(self.options.cool_down));
        Some(event)
    }

    /// The segment is over: closes the open event. What follows is a new scene.
    pub fn finish(&mut self) -> Option<Detection> {
        match std::mem::replace(&mut self.state, State::Quiet) {
            State::Open(open) => self.admit(open),
            State::Quiet | State::Raised(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options() -> DetectorOptions {
        DetectorOptions {
            high: 5.0,
            low: 2.0,
            merge: MediaTime::from_nanos(20),
            min_duration: MediaTime::ZERO,
            cool_down: MediaTime::ZERO,
        }
    }

    /// Slots of 10 ns.
    fn run(scores: &[f32]) -> Vec<Detection> {
        let mut detector = Detector::new(options());
        let at = |i: usize| MediaTime::from_nanos(i as i64 * 10);
        let mut found: Vec<_> =
            scores.iter().enumerate().filter_map(|(i, s)| detector.push((at(i), at(i + 1)), Some(*s)).closed).collect();
        found.extend(detector.finish());
        found
    }

    fn nanos(d: &Detection) -> (i64, i64, i64) {
        (d.onset.nanos(), d.peak.nanos(), d.end.nanos())
    }

    #[test]
    fn onset_is_where_the_evidence_turned_and_end_where_it_left() {
        let found = run(&[0.0, 2.5, 3.0, 9.0, 6.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(found.iter().map(nanos).collect::<Vec<_>>(), [(10, 35, 60)]);
    }

    #[test]
    fn a_rise_that_falls_again_is_nothing_and_close_spikes_are_one() {
        assert!(run(&[0.0, 3.0, 4.9, 3.0, 0.0]).is_empty());
        assert_eq!(run(&[6.0, 0.0, 0.0, 7.0, 0.0]).len(), 1);
        assert_eq!(run(&[6.0, 0.0, 0.0, 0.0, 7.0, 0.0]).len(), 2);
    }

    #[test]
    fn short_ones_are_nothing_and_after_an_event_there_is_rest() {
        let run = |options: DetectorOptions, scores: &[f32]| {
            let mut detector = Detector::new(options);
            let at = |i: usize| MediaTime::from_nanos(i as i64 * 10);
            let closed = |(i, s): (usize, &f32)| detector.push((at(i), at(i + 1)), Some(*s)).closed;
            scores.iter().enumerate().filter_map(closed).count()
        };
        let spikes = [9.0, 0.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(run(options(), &spikes), 2);
        assert_eq!(run(DetectorOptions { min_duration: MediaTime::from_nanos(15), ..options() }, &spikes), 1);
        assert_eq!(run(DetectorOptions { cool_down: MediaTime::from_nanos(60), ..options() }, &spikes), 1);
    }

    proptest! {
        /// Events are ordered and disjoint, their peaks inside, each reached `high`, and every slot that reached
        /// `high` lies in one.
        #[test]
        fn events_are_ordered_disjoint_and_complete(scores in prop::collection::vec(0f32..8.0, 0..200)) {
            let found = run(&scores);
            for pair in found.windows(2) {
                prop_assert!(pair[0].end < pair[1].onset);
            }
            for event in &found {
                prop_assert!(event.onset < event.peak && event.peak < event.end && event.score >= 5.0);
            }
            for (i, score) in scores.iter().enumerate() {
                let middle = MediaTime::from_nanos(i as i64 * 10 + 5);
                let inside = found.iter().any(|e| e.onset < middle && middle < e.end);
                prop_assert!(*score < 5.0 || inside);
            }
        }

        /// Scaling scores and thresholds together changes nothing but the score.
        #[test]
        fn scale_does_not_matter(scores in prop::collection::vec(0f32..8.0, 0..100)) {
            let mut scaled = Detector::new(DetectorOptions { high: 20.0, low: 8.0, ..options() });
            let at = |i: usize| MediaTime::from_nanos(i as i64 * 10);
            let mut found: Vec<_> = scores.iter().enumerate()
                .filter_map(|(i, s)| scaled.push((at(i), at(i + 1)), Some(s * 4.0)).closed).collect();
            found.extend(scaled.finish());
            prop_assert_eq!(found.iter().map(nanos).collect::<Vec<_>>(), run(&scores).iter().map(nanos).collect::<Vec<_>>());
        }
    }
}
