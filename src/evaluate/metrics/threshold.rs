//! Absolute accuracy: one threshold for all videos, set by the possible ones.

use serde::{Deserialize, Serialize};

/// Share of the possible videos that lie at or below the threshold.
const PERCENTILE: f64 = 0.9;

/// What a single threshold achieves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Absolute {
    /// Scores above it are called impossible; 90th percentile of the possible videos' scores.
    pub threshold: f64,
    /// Share of all videos called right, 0..1.
    pub accuracy: f64,
    /// Mean of the shares of possible and of impossible videos called right, 0..1; chance is 0.5.
    pub balanced: f64,
}

/// The quantile `share` (0..=1) of `values`, with linear interpolation, as `numpy.percentile`; `None` of nothing.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (*sorted.get(at.floor() as usize)?, *sorted.get(at.ceil() as usize)?);
    Some(below + (above - below) * at.fract())
}

/// Accuracy of calling a video impossible when its score exceeds the 90th percentile of the possible videos' scores:
/// the absolute accuracy of Garrido et al., arXiv 2502.11831, whose code takes the next larger score where this
/// interpolates, and counts the video at the threshold as wrong. The threshold is set on the very videos that are judged,
/// so about 90 % of the possible ones are right by construction: compare scorers by it, do not read it as a rate in the
/// field. `None` when one of the sorts is missing.
pub fn absolute_accuracy(possible: &[f64], impossible: &[f64]) -> Option<Absolute> {
    if impossible.is_empty() {
        return None;
    }
    let threshold = percentile(possible, PERCENTILE)?;
    let kept = possible.iter().filter(|s| **s <= threshold).count() as f64;
    let found = impossible.iter().filter(|s| **s > threshold).count() as f64;
    let (p, q) = (possible.len() as f64, impossible.len() as f64);
    Some(Absolute { threshold, accuracy: (kept + found) / (p + q), balanced: f64::midpoint(kept / p, found / q) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        assert_eq!(percentile(&[3.0, 1.0, 2.0, 4.0], 0.5), Some(2.5));
        assert!((percentile(&[0.0, 10.0, 20.0, 30.0], 0.9).unwrap() - 27.0).abs() < 1e-12);
        assert_eq!(percentile(&[7.0], 0.9), Some(7.0));
        assert_eq!(percentile(&[], 0.9), None);
    }

    #[test]
    fn a_tie_with_the_threshold_is_called_possible() {
        let found = absolute_accuracy(&[1.0, 1.0, 1.0], &[1.0, 2.0]).unwrap();
        assert_eq!((found.threshold, found.accuracy, found.balanced), (1.0, 0.8, 0.75));
        assert_eq!(absolute_accuracy(&[], &[1.0]), None);
        assert_eq!(absolute_accuracy(&[1.0], &[]), None);
    }
}
