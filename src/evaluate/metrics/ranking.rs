//! How well scores rank: areas under the ROC and the precision–recall curve, and the curves.
//!
//! "Positive" is what should score high: impossible videos, or slots in which the impossible happens. Thresholds are
//! the distinct scores; equal scores fall on the same side of every threshold.

/// What lies at or above each distinct score, from the largest on: positives and negatives.
fn steps(positives: &[f64], negatives: &[f64]) -> Vec<(usize, usize)> {
    let labelled = positives.iter().map(|s| (*s, true)).chain(negatives.iter().map(|s| (*s, false)));
    let mut sorted: Vec<(f64, bool)> = labelled.collect();
    sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut counts = (0, 0);
    let mut steps = Vec::new();
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let found = tied.iter().filter(|s| s.1).count();
        counts = (counts.0 + found, counts.1 + tied.len() - found);
        steps.push(counts);
    }
    steps
}

/// The ROC curve from (0, 0) to (1, 1): false-positive rate, true-positive rate, one point for each distinct score.
/// Empty when one of the sorts is missing.
pub fn roc(positives: &[f64], negatives: &[f64]) -> Vec<(f64, f64)> {
    if positives.is_empty() || negatives.is_empty() {
        return Vec::new();
    }
    let (p, n) = (positives.len() as f64, negatives.len() as f64);
    let points = steps(positives, negatives).into_iter().map(|(tp, fp)| (fp as f64 / n, tp as f64 / p));
    std::iter::once((0.0, 0.0)).chain(points).collect()
}

/// Area under the ROC curve by trapezoids, 0..1: the probability that a positive outranks a negative, ties half
/// (Hanley and `McNeil`, Radiology 1982; as `sklearn.metrics.roc_auc_score`). Chance is 0.5.
pub fn auroc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let curve = roc(positives, negatives);
    let area = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
    (!curve.is_empty()).then(|| curve.windows(2).map(area).sum())
}

/// The precision–recall curve with rising recall: recall, precision, one point for each distinct score. Empty when one
/// of the sorts is missing.
pub fn precision_recall(positives: &[f64], negatives: &[f64]) -> Vec<(f64, f64)> {
    if positives.is_empty() || negatives.is_empty() {
        return Vec::new();
    }
    let point = |(tp, fp): (usize, usize)| (tp as f64 / positives.len() as f64, tp as f64 / (tp + fp) as f64);
    steps(positives, negatives).into_iter().map(point).collect()
}

/// Average precision, 0..1: Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores, without interpolation (as
/// `sklearn.metrics.average_precision_score`). Chance is the share of positives. Not the AUPRC of Garrido et al., whose
/// code takes the possible videos as positive and trapezoids.
pub fn average_precision(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let curve = precision_recall(positives, negatives);
    let before = std::iter::once(0.0).chain(curve.iter().map(|p| p.0));
    let sum = curve.iter().zip(before).map(|(point, before)| (point.0 - before) * point.1).sum();
    (!curve.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_are_right() {
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(auroc(&[1.0, 1.0], &[1.0]), Some(0.5));
        assert_eq!(average_precision(&[2.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!((auroc(&[], &[1.0]), average_precision(&[1.0], &[])), (None, None));
        assert_eq!(roc(&[2.0], &[1.0]), [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
    }

    proptest! {
        #[test]
        fn the_area_is_the_probability_to_outrank(
            positives in prop::collection::vec(0u8..12, 1..40),
            negatives in prop::collection::vec(0u8..12, 1..40),
        ) {
            let of = |values: &[u8], map: fn(f64) -> f64| values.iter().map(|v| map(f64::from(*v))).collect::<Vec<_>>();
            let (p, n) = (of(&positives, |v| v), of(&negatives, |v| v));
            let area = auroc(&p, &n).unwrap();
            let outranked: f64 = p.iter().flat_map(|a| n.iter().map(move |b| if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 })).sum();
            prop_assert!((area - outranked / (p.len() * n.len()) as f64).abs() < 1e-12);
            let negated = auroc(&of(&positives, |v| -v), &of(&negatives, |v| -v)).unwrap();
            prop_assert!((area + negated - 1.0).abs() < 1e-12);
            let stretched = |map| average_precision(&of(&positives, map), &of(&negatives, map)).unwrap();
            prop_assert_eq!(stretched(|v| v), stretched(|v| v.powi(3) - 5.0));
        }
    }
}
