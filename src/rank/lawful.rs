//! How far apart two lawful videos are at one moment.

use crate::surprise::Baseline;

/// Scenes in which two lawful videos come further apart at some moment than [`Usual::parting`], as a share.
const WRONGLY: f64 = 0.05;
/// Pairs of lawful moments that are drawn.
const PAIRS: usize = 200_000;

/// Differences of the surprise of two lawful moments, from a baseline's sample.
pub struct Usual {
    /// Absolute differences, ascending.
    differences: Vec<f64>,
    /// Seconds from one nearly independent moment to the next.
    independent_s: f64,
}

impl Usual {
    /// From surprises of lawful footage, nearly independent of each other: every `thinned`-th slot of `slot_s` seconds.
    /// `None` when there are fewer than two.
    pub fn new(sample: &[f64], thinned: usize, slot_s: f64) -> Option<Self> {
        if sample.len() < 2 {
            return None;
        }
        let mut rng = fastrand::Rng::with_seed(11);
        let mut one = || {
            let (a, b) = (rng.usize(..sample.len()), rng.usize(..sample.len() - 1));
            (sample[a] - sample[if b < a { b } else { b + 1 }]).abs()
        };
        let mut differences: Vec<f64> = (0..PAIRS).map(|_| one()).collect();
        differences.sort_by(f64::total_cmp);
        Some(Self { differences, independent_s: thinned as f64 * slot_s })
    }

    /// From a baseline; its slots are of `slot_s` seconds.
    pub fn of(baseline: &Baseline, slot_s: f64) -> Option<Self> {
        let sample: Vec<f64> = baseline.sample().iter().copied().map(f64::from).collect();
        Self::new(&sample, baseline.thinned(), slot_s)
    }

    /// The difference that two lawful videos of `moments` slots of `slot_s` seconds exceed somewhere in [`WRONGLY`] of the
    /// cases; the largest that was seen, where the sample is too small to tell.
    pub fn parting(&self, moments: usize, slot_s: f64) -> f64 {
        let independent = (moments as f64 * slot_s / self.independent_s).max(1.0);
        let each = (1.0 - WRONGLY).powf(1.0 / independent);
        let at = (self.differences.len() as f64 * each).ceil() as usize;
        self.differences[at.min(self.differences.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_video_the_further_lawful_ones_come_apart() {
        let sample: Vec<f64> = (0..5000).map(|i| f64::from(i) / 5000.0).collect();
        let usual = Usual::new(&sample, 4, 0.1).unwrap();
        // |a - b| of two uniform numbers exceeds d with probability (1 - d)².
        let one = usual.parting(4, 0.1);
        assert!(((1.0 - one).powi(2) - 0.05).abs() < 0.003, "{one}");
        assert!(usual.parting(400, 0.1) > usual.parting(40, 0.1));
        assert!(Usual::new(&[1.0], 1, 0.1).is_none());
    }
}
