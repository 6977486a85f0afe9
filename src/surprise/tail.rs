//! How often normal footage reaches a value: peaks over a threshold, for rates finer than the footage can count.
//!
//! Source: Siffer, Fouque, Termier, Largouët, *Anomaly detection in streams with extreme value theory* (SPOT), KDD 2017:
//! the excesses of peaks over a high threshold follow a generalised Pareto distribution (Pickands–Balkema–de Haan).
//! Neighbouring slots are not independent, so what is counted are *clusters*: runs over the threshold, neighbours
//! closer than the merge gap joined, each with its peak. That is what an event is, so a rate is one of events.

use serde::{Deserialize, Serialize};

/// Quantiles that are tried as the threshold, until it has enough clusters over it. SPOT takes 0.98.
const QUANTILES: [f64; 4] = [0.98, 0.95, 0.9, 0.8];
/// Clusters that are enough for two parameters.
const ENOUGH: usize = 40;
/// Fewest clusters that give a tail at all.
const FEWEST: usize = 10;
/// Shapes that are believed: below, the likelihood has no maximum; above, the tail has no mean.
const SHAPES: std::ops::RangeInclusive<f64> = -0.5..=0.9;

/// The tail of the peaks of normal footage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// What counts as a peak.
    threshold: f32,
    /// Shape ξ of the generalised Pareto distribution.
    shape: f64,
    /// Its scale σ.
    scale: f64,
    /// Clusters over the threshold.
    clusters: usize,
    /// Seconds of footage.
    seconds: f64,
}

impl Tail {
    /// Fits the tail of some unbroken runs of slots, each slot `slot_s` seconds long; peaks closer than `merge_s` are
    /// one. `None` when there are too few peaks.
    pub fn fit(runs: &[Vec<f32>], slot_s: f64, merge_s: f64) -> Option<Self> {
        let mut sorted: Vec<f32> = runs.iter().flatten().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let seconds = sorted.len() as f64 * slot_s;
        let gap = (merge_s / slot_s).round() as usize;
        let at = |q: f64| sorted.get(((sorted.len() as f64 * q) as usize).min(sorted.len().wrapping_sub(1))).copied();
        let candidates: Vec<(f32, Vec<f32>)> =
            QUANTILES.iter().filter_map(|&q| at(q)).map(|u| (u, peaks(runs, u, gap))).collect();
        let most = candidates.iter().max_by_key(|c| c.1.len());
        let (threshold, peaks) = candidates.iter().find(|c| c.1.len() >= ENOUGH).or(most)?;
        if peaks.len() < FEWEST {
            return None;
        }
        let excesses: Vec<f64> = peaks.iter().map(|p| f64::from(p - threshold)).collect();
        let (shape, scale) = fit_pareto(&excesses)?;
        Some(Self { threshold: *threshold, shape, scale, clusters: peaks.len(), seconds })
    }

    /// Events per second of normal footage whose peak reaches `value`; the rate of the threshold for what is lower.
    pub fn rate(&self, value: f32) -> f64 {
        let y = f64::from(value - self.threshold).max(0.0) / self.scale;
        let survival =
            if self.shape.abs() < 1e-9 { (-y).exp() } else { (1.0 + self.shape * y).max(0.0).powf(-1.0 / self.shape) };
        self.clusters as f64 / self.seconds * survival
    }

    /// The value that peaks of normal footage reach at `rate` events per second; the threshold for a rate that is higher
    /// than its own.
    pub fn level(&self, rate: f64) -> f32 {
        let share = rate * self.seconds / self.clusters as f64;
        if share >= 1.0 {
            return self.threshold;
        }
        let excess = if self.shape.abs() < 1e-9 {
            -self.scale * share.ln()
        } else {
            self.scale / self.shape * (share.powf(-self.shape) - 1.0)
        };
        (f64::from(self.threshold) + excess) as f32
    }

    /// Seconds of footage behind it.
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Whether its numbers can be used.
    pub(super) fn is_sound(&self) -> bool {
        self.threshold.is_finite() && self.scale > 0.0 && SHAPES.contains(&self.shape) && self.seconds > 0.0
    }
}

/// The peak of every cluster at or over `threshold`; clusters with at most `gap` slots under it between them are one.
pub fn peaks(runs: &[Vec<f32>], threshold: f32, gap: usize) -> Vec<f32> {
    let mut found = Vec::new();
    for run in runs {
        let mut last: Option<usize> = None;
        for (i, &value) in run.iter().enumerate().filter(|(_, v)| **v >= threshold) {
            match found.last_mut() {
                Some(peak) if last.is_some_and(|l| i - l <= gap + 1) => *peak = value.max(*peak),
                _ => found.push(value),
            }
            last = Some(i);
        }
    }
    found
}

/// Maximum-likelihood shape and scale of a generalised Pareto distribution, by the profile likelihood in θ = ξ/σ
/// (Grimshaw, *Technometrics* 35, 1993): ξ(θ) = mean ln(1 + θy), σ = ξ/θ. `None` when all excesses are 0.
fn fit_pareto(excesses: &[f64]) -> Option<(f64, f64)> {
    let n = excesses.len() as f64;
    let mean = excesses.iter().sum::<f64>() / n;
    let largest = excesses.iter().copied().fold(0.0, f64::max);
    if mean <= 0.0 {
        return None;
    }
    let at = |theta: f64| -> Option<(f64, f64, f64)> {
        let shape = excesses.iter().map(|y| (theta * y).ln_1p()).sum::<f64>() / n;
        let scale = shape / theta;
        (SHAPES.contains(&shape) && scale > 0.0).then(|| (-(scale.ln() + shape + 1.0), shape, scale))
    };
    let positive = (-60..=60).map(|i| 10_f64.powf(f64::from(i) / 20.0) / mean);
    let negative = (1..200).map(|i| -f64::from(i) / 200.0 / largest);
    let exponential = (-(mean.ln() + 1.0), 0.0, mean);
    let best = positive.chain(negative).filter_map(at).fold(exponential, |a, b| if b.0 > a.0 { b } else { a });
    Some((best.1, best.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of a generalised Pareto distribution in scattered order: a sample without chance.
    fn pareto(n: usize, shape: f64, scale: f64) -> Vec<f64> {
        let quantile = |u: f64| scale / shape * ((1.0 - u).powf(-shape) - 1.0);
        (0..n).map(|i| quantile(((i * 7919 % n) as f64 + 0.5) / n as f64)).collect()
    }

    #[test]
    fn known_shapes_are_found() {
        for (shape, scale) in [(0.3, 2.0), (-0.2, 1.0), (0.05, 0.5)] {
            let (found, found_scale) = fit_pareto(&pareto(2003, shape, scale)).unwrap();
            assert!((found - shape).abs() < 0.03 && (found_scale / scale - 1.0).abs() < 0.04, "{found} {found_scale}");
        }
    }

    #[test]
    fn a_cluster_has_one_peak() {
        let runs = [vec![0.0, 5.0, 7.0, 0.0, 6.0, 0.0, 0.0, 0.0, 9.0], vec![8.0]];
        assert_eq!(peaks(&runs, 5.0, 1), [7.0, 9.0, 8.0]);
        assert_eq!(peaks(&runs, 5.0, 3), [9.0, 8.0]);
    }

    /// A promise made from one stretch of a stream is kept, within counting error, on a much longer one.
    #[test]
    fn promised_rates_are_seen() {
        let stream = |n: usize| -> Vec<f32> { pareto(n, 0.15, 1.0).iter().map(|v| *v as f32).collect() };
        let tail = Tail::fit(&[stream(6007)], 0.2, 0.0).unwrap();
        let long = stream(600_011);
        let seconds = long.len() as f64 * 0.2;
        for per_hour in [60.0, 6.0, 1.0] {
            let level = tail.level(per_hour / 3600.0);
            assert!((tail.rate(level) * 3600.0 / per_hour - 1.0).abs() < 1e-3);
            let seen = long.iter().filter(|v| **v >= level).count() as f64 / seconds * 3600.0;
            assert!((0.5..2.0).contains(&(seen / per_hour)), "promised {per_hour}, seen {seen}");
        }
        assert_eq!(tail.level(1e9), tail.threshold);
    }

    #[test]
    fn too_few_peaks_give_no_tail() {
        assert!(Tail::fit(&[vec![1.0; 5]], 0.2, 0.5).is_none());
        assert!(Tail::fit(&[], 0.2, 0.5).is_none());
    }
}
