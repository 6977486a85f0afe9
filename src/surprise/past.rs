//! What a stream has shown of itself: the baseline of a stream that has no other, or that follows its own.

use super::{MERGE_S, Tail, Verdict, location_scale};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Slots of the past that a stream without a baseline is compared with.
const MEMORY: usize = 600;
/// Slots that must have been seen before the stream's own past says anything: enough for a median absolute deviation
/// that one odd slot does not move.
const WARM_UP: usize = 12;

/// Slots whose z make the tail of a stream's own past: six hours of the bundled model's.
const HISTORY: usize = 108_000;
/// Slots after which the tail is first fitted, and then at least as many until it is fitted again.
pub(super) const FIRST_FIT: usize = 300;
/// The tail is fitted again when so large a share of the past is new.
const REFIT_SHARE: usize = 20;
/// A slot teaches no more than what the past reaches so many times as rarely as what is an event: an event must not become
/// normal, but what recurs may, and the tail must not be cut where it is read.
const TEACHES_MOST: f64 = 0.1;
/// What is an event when nobody says: events per second, one an hour.
const USUAL_RATE: f64 = 1.0 / 3600.0;

/// What a stream without a baseline has shown of itself.
///
/// Source: DSPOT (Siffer et al., KDD 2017, section 4.3): drift is taken out by the recent past, the tail of what is left is
/// fitted anew as the stream goes on, and an event hardly teaches (there it does not at all, and the tail shrinks).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Surprises of the last [`MEMORY`] slots: median and spread of now.
    recent: VecDeque<f32>,
    /// z of the last [`HISTORY`] slots that were no events.
    z: VecDeque<f32>,
    tail: Option<Tail>,
    /// Slots since the tail was fitted.
    since_fit: usize,
    /// Seconds of footage seen.
    seconds: f64,
    /// Events per second that are to be told; not part of what was seen.
    #[serde(skip)]
    rate: Option<f64>,
    /// The scale of now is at least this; not part of what was seen.
    #[serde(skip)]
    least: f32,
}

impl Past {
    /// Judges a slot of `slot_s` seconds, then learns from it.
    pub(super) fn push(&mut self, surprise: f32, slot_s: f64) -> Verdict {
        let seen: Vec<f32> = self.recent.iter().copied().collect();
        let known = if seen.len() < WARM_UP { None } else { location_scale(&seen) };
        keep(&mut self.recent, surprise, MEMORY);
        let z = known.map(|(location, scale)| (surprise - location) / scale.max(self.least));
        let per_hour = z.and_then(|z| self.tail.map(|tail| tail.rate(z) * 3600.0));
        if let Some(z) = z {
            let most = self.tail.map_or(z, |tail| tail.level(TEACHES_MOST * self.rate.unwrap_or(USUAL_RATE)));
            keep(&mut self.z, z.min(most), HISTORY);
            self.since_fit += 1;
        }
        self.seconds += slot_s;
        let due = FIRST_FIT.max(self.z.len() / REFIT_SHARE);
        if self.z.len() >= FIRST_FIT && (self.tail.is_none() || self.since_fit >= due) {
            let run: Vec<f32> = self.z.iter().copied().collect();
            self.tail = Tail::fit(&[run], slot_s, MERGE_S);
            self.since_fit = 0;
        }
        Verdict { z, p_value: None, per_hour }
    }

    /// Learns from a slot of `slot_s` seconds.
    pub fn learn(&mut self, surprise: f32, slot_s: f64) {
        self.push(surprise, slot_s);
    }

    /// So many events per second are to be told: what is much rarer does not teach.
    pub(super) const fn tells(&mut self, rate: Option<f64>) {
        self.rate = rate;
    }

    /// Differences of the surprise that are a small part of this are none, however still the past.
    pub(super) const fn differs_by(&mut self, least: f32) {
        self.least = least;
    }

    /// Slots from which on a tail is fitted: before them no rate can be kept.
    pub const LEAST_SLOTS: usize = FIRST_FIT;

    /// Whether enough was seen to fit a tail (a picture that stands still has none all the same).
    pub fn is_long_enough(&self) -> bool {
        self.z.len() >= FIRST_FIT
    }

    /// The z that is reached at `rate` events per second; `None` while too little was seen.
    pub fn z_at_rate(&self, rate: f64) -> Option<f32> {
        self.tail.map(|tail| tail.level(rate))
    }

    /// Seconds of footage seen.
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Whether every number in it can be used: it may have been read from a file.
    pub fn is_sound(&self) -> bool {
        let finite = self.recent.iter().chain(&self.z).all(|v| v.is_finite());
        finite
            && self.recent.len() <= MEMORY
            && self.z.len() <= HISTORY
            && self.tail.is_none_or(|tail| tail.is_sound())
            && self.seconds.is_finite()
    }
}

/// Adds to a memory of the last `most` values.
fn keep(memory: &mut VecDeque<f32>, value: f32, most: usize) {
    if memory.len() == most {
        memory.pop_front();
    }
    memory.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::super::uniform;
    use super::*;

    const SLOT_S: f64 = 0.2;
    const RATE: f64 = 6.0 / 3600.0;

    fn past() -> Past {
        let mut past = Past::default();
        past.tells(Some(RATE));
        past
    }

    fn normal(i: usize) -> f32 {
        1.0 - uniform(i).ln() as f32
    }

    /// Runs of slots at or over the level of [`RATE`], as `push` finds them.
    fn told(past: &mut Past, slots: impl Iterator<Item = f32>) -> usize {
        let (mut count, mut over) = (0, false);
        for surprise in slots {
            let level = past.z_at_rate(RATE).unwrap_or(f32::INFINITY);
            let is_over = past.push(surprise, SLOT_S).z.is_some_and(|z| z >= level);
            count += usize::from(is_over && !over);
            over = is_over;
        }
        count
    }

    #[test]
    fn light_that_changes_through_the_day_is_followed_and_the_promise_kept() {
        let mut past = past();
        let drifting = |i: usize| normal(i) * (1.0 + 3.0 * (i as f32 / 36_000.0));
        told(&mut past, (0..18_000).map(drifting));
        let hours = 3.0;
        let count = told(&mut past, (18_000..18_000 + 54_000).map(drifting));
        assert!((4..=54).contains(&count), "{count} in {hours} hours, 18 were promised");
        let before = past.z_at_rate(RATE).unwrap();
        let violations = told(&mut past, (0..3000).map(|i| if i % 300 == 150 { 900.0 } else { drifting(72_000 + i) }));
        assert!(violations >= 10, "{violations} of 10");
        assert!(past.z_at_rate(RATE).unwrap() < 1.3 * before, "violations teach");
    }

    #[test]
    fn what_was_learnt_survives_a_restart() {
        let mut before = past();
        told(&mut before, (0..2000).map(normal));
        let text = serde_json::to_string(&before).unwrap();
        let mut after: Past = serde_json::from_str(&text).unwrap();
        assert!(after.is_sound() && after.is_long_enough());
        after.tells(Some(RATE));
        assert_eq!(after, before);
        let next: Vec<_> = (2000..2100).map(|i| before.push(normal(i), SLOT_S)).collect();
        assert_eq!(next, (2000..2100).map(|i| after.push(normal(i), SLOT_S)).collect::<Vec<_>>());
        assert!(
            serde_json::from_str::<Past>(r#"{"recent":[],"z":[],"tail":null,"since_fit":0,"seconds":0,"x":1}"#)
                .is_err()
        );
    }
}
