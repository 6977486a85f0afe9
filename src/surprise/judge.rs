//! What a slot's surprise means: against a calibration sample, or against the stream so far.

use super::{Baseline, Past, Tail, location_scale};

/// A surprise value and its meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// Robust standard deviations above normal; `None` while too little is known.
    pub z: Option<f32>,
    /// Conformal p-value; `None` without a calibration sample.
    pub p_value: Option<f32>,
    /// Events per hour of normal footage that reach so far, from the sample's tail; `None` without one.
    pub per_hour: Option<f64>,
}

/// Puts surprise values on a scale with a meaning. Causal: a verdict depends on earlier slots only.
#[derive(Debug, Clone)]
pub enum Judge {
    /// Against a fixed sample of normal footage.
    Calibrated {
        /// Ascending slot surprises.
        sample: Vec<f32>,
        /// Median of the sample.
        location: f32,
        /// Robust standard deviation of the sample.
        scale: f32,
        /// How often normal footage peaks how high.
        tail: Option<Tail>,
    },
    /// Against the stream so far.
    Running(Past),
}

impl Judge {
    /// Against a baseline's sample.
    pub fn calibrated(baseline: &Baseline) -> Self {
        let sample = baseline.sample().to_vec();
        let (location, scale) = location_scale(&sample).unwrap_or((0.0, 1.0));
        Self::Calibrated { sample, location, scale, tail: baseline.tail().copied() }
    }

    /// Against the stream so far.
    pub fn running() -> Self {
        Self::Running(Past::default())
    }

    /// Judges a slot of `slot_s` seconds, then learns from it (a running judge only).
    pub fn push(&mut self, surprise: f32, slot_s: f64) -> Verdict {
        match self {
            Self::Calibrated { sample, location, scale, tail } => Verdict {
                z: Some((surprise - *location) / *scale),
                p_value: Some(conformal_p(sample, surprise)),
                per_hour: tail.map(|tail| tail.rate(surprise) * 3600.0),
            },
            Self::Running(past) => past.push(surprise, slot_s),
        }
    }

    /// The z that the stream's own past reaches at `rate` events per second; `None` while it is too short, and for a
    /// calibrated judge.
    pub fn z_at_rate(&self, rate: f64) -> Option<f32> {
        match self {
            Self::Calibrated { .. } => None,
            Self::Running(past) => past.z_at_rate(rate),
        }
    }

    /// The surprise whose conformal p-value is just `p`: the smallest value exceeded by at most a share `p` of normal
    /// slots. `None` when the sample is too small to tell (`p < 1 / (n + 1)`) or there is none.
    pub fn surprise_at(&self, p: f32) -> Option<f32> {
        let Self::Calibrated { sample, .. } = self else { return None };
        let exceeding = (p * (sample.len() + 1) as f32).floor() as usize;
        // p-value of s is (1 + #{sample ≥ s}) / (n + 1), so at most `exceeding − 1` sample values may reach s.
        let rank = sample.len().checked_sub(exceeding)?;
        let value = *sample.get(rank)?;
        (exceeding >= 1).then(|| value.next_up())
    }

    /// Sample size; 0 for a running judge.
    pub fn sample_size(&self) -> usize {
        match self {
            Self::Calibrated { sample, .. } => sample.len(),
            Self::Running(_) => 0,
        }
    }

    /// The surprise that lies `z` robust standard deviations above the sample's median; `None` without a sample.
    pub fn surprise_of_z(&self, z: f32) -> Option<f32> {
        match self {
            Self::Calibrated { location, scale, .. } => Some(location + z * scale),
            Self::Running(_) => None,
        }
    }
}

/// `(1 + #{sample ≥ value}) / (n + 1)`: the split-conformal p-value (Vovk et al., *Algorithmic Learning in a Random
/// World*, 2005, ch. 2). Valid in finite samples when the slot and the sample are exchangeable; neighbouring slots
/// are not independent, so read it as a rate over long footage.
fn conformal_p(ascending: &[f32], value: f32) -> f32 {
    let reaching = ascending.len() - ascending.partition_point(|v| *v < value);
    (1 + reaching) as f32 / (ascending.len() + 1) as f32
}

#[cfg(test)]
mod tests {
    use super::super::uniform;
    use super::*;
    use proptest::prelude::*;

    fn judge(sample: &[f32]) -> Judge {
        let mut sample = sample.to_vec();
        sample.sort_by(f32::total_cmp);
        let (location, scale) = location_scale(&sample).unwrap();
        Judge::Calibrated { sample, location, scale, tail: None }
    }

    #[test]
    fn p_values_count_the_sample() {
        assert!((conformal_p(&[1.0, 2.0, 3.0], 2.5) - 0.5).abs() < 1e-6);
        assert!((conformal_p(&[1.0, 2.0, 3.0], 9.0) - 0.25).abs() < 1e-6);
        assert!((conformal_p(&[1.0, 2.0, 3.0], 0.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_stream_without_a_baseline_warms_up_first() {
        let mut judge = Judge::running();
        let verdicts: Vec<_> = (0..40).map(|i| judge.push(1.0 + (i % 5) as f32 * 0.1, 0.2)).collect();
        let known = verdicts.iter().position(|v| v.z.is_some()).unwrap();
        assert_eq!(known, 12);
        assert!(verdicts[known..].iter().all(|v| v.z.unwrap() < 3.0));
        assert!(judge.push(9.0, 0.2).z.unwrap() > 10.0);
    }

    #[test]
    fn a_stream_learns_its_own_tail_but_not_from_events() {
        let mut judge = Judge::running();
        let normal = |i: usize| 1.0 - uniform(i).ln() as f32;
        for i in 0..9000 {
            judge.push(normal(i), 0.2);
        }
        let level = judge.z_at_rate(6.0 / 3600.0).unwrap();
        let hours = 2.0;
        let over = (9000..9000 + 36_000).filter(|i| judge.push(normal(*i), 0.2).z.unwrap() >= level).count();
        assert!((3..=36).contains(&over), "{over} in {hours} hours, 12 were promised");
        let before = judge.z_at_rate(6.0 / 3600.0).unwrap();
        for i in 0..600 {
            judge.push(if i % 20 == 0 { 500.0 } else { normal(i) }, 0.2);
        }
        assert!(judge.z_at_rate(6.0 / 3600.0).unwrap() < 1.5 * before);
    }

    proptest! {
        /// The threshold for p is the tight one: reaching it gives a p-value ≤ p, and it lies at a sample value.
        #[test]
        fn the_threshold_keeps_its_promise(sample in prop::collection::vec(0f32..100.0, 100..300), p in 0.01f32..0.5) {
            let mut judge = judge(&sample);
            let threshold = judge.surprise_at(p).unwrap();
            prop_assert!(judge.push(threshold, 0.2).p_value.unwrap() <= p);
            prop_assert!(judge.push(threshold.next_down(), 0.2).p_value.unwrap() > p - 2.0 / (sample.len() + 1) as f32);
            let exceeded = sample.iter().filter(|v| **v >= threshold).count();
            prop_assert!(exceeded as f32 / sample.len() as f32 <= p);
        }
    }
}
