//! Slow violations: an object that fades, drifts or grows surprises a little in every slot and never spikes.
//!
//! Source: Page, *Continuous inspection schemes*, Biometrika 41, 1954 (CUSUM): evidence adds up while it lies above an
//! allowance, and is forgotten when it does not.

use super::{Tail, location_scale};
use serde::{Deserialize, Serialize};

/// What a slot may be above normal for nothing, robust standard deviations of log-surprise: half of the smallest shift that is
/// looked for (1.5), which is Page's choice.
const ALLOWANCE: f32 = 0.75;
/// One slot counts for at most so much, so that a spike, which has its own detector, is not a slow violation as well.
const CAP: f32 = 3.0;

/// What the sum looks like on normal footage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowBaseline {
    /// Median of log-surprise.
    location: f32,
    /// Its robust standard deviation.
    scale: f32,
    /// The tail of the sum's peaks.
    pub(super) tail: Tail,
}

impl SlowBaseline {
    /// From unbroken runs of slots; `None` when they have too few peaks.
    pub fn fit(runs: &[Vec<f32>], slot_s: f64, merge_s: f64) -> Option<Self> {
        let logs: Vec<f32> = runs.iter().flatten().map(|s| s.max(f32::MIN_POSITIVE).ln()).collect();
        let (location, scale) = location_scale(&logs)?;
        let sums = |run: &Vec<f32>| {
            let mut sum = Cusum { location, scale, value: 0.0 };
            run.iter().map(|s| sum.push(*s)).collect()
        };
        let sums: Vec<Vec<f32>> = runs.iter().map(sums).collect();
        Some(Self { location, scale, tail: Tail::fit(&sums, slot_s, merge_s)? })
    }

    /// A sum that starts at nothing.
    pub const fn cusum(&self) -> Cusum {
        Cusum { location: self.location, scale: self.scale, value: 0.0 }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.location.is_finite() && self.scale > 0.0 && self.tail.is_sound()
    }
}

/// The running sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cusum {
    location: f32,
    scale: f32,
    value: f32,
}

impl Cusum {
    /// Takes the next slot's surprise; gives the sum.
    pub fn push(&mut self, surprise: f32) -> f32 {
        let z = (surprise.max(f32::MIN_POSITIVE).ln() - self.location) / self.scale;
        self.value = (self.value + z.min(CAP) - ALLOWANCE).max(0.0);
        self.value
    }

    /// Forgets all evidence.
    pub const fn reset(&mut self) {
        self.value = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::uniform;
    use super::*;

    /// Log-logistic noise.
    fn noise(i: usize) -> f32 {
        let u = uniform(i);
        (0.5 * (u / (1.0 - u)).ln()).exp() as f32
    }

    #[test]
    fn a_small_lasting_shift_is_found_and_a_spike_is_not() {
        let run: Vec<f32> = (0..5000).map(noise).collect();
        let slow = SlowBaseline::fit(&[run], 0.2, 0.5).unwrap();
        let level = slow.tail.level(1.0 / 3600.0);
        let mut sum = slow.cusum();
        let alarms = (0..18_000).filter(|i| sum.push(noise(i + 10_000)) >= level).count();
        assert!(alarms < 40, "{alarms} slots of an hour of normal footage");
        sum.reset();
        let shift = (1.5_f32 * 0.9).exp();
        let reached = (0..40).position(|i| sum.push(noise(i) * shift) >= level);
        assert!(reached.is_some_and(|slots| slots > 4), "{reached:?}");
        sum.reset();
        assert!(sum.push(1e6) < level && sum.push(1.0) < level, "one spike is not slow");
    }
}
