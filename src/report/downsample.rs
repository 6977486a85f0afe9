//! Thinning a curve to what a picture can show.
//!
//! Invariant: the largest value of every stretch survives, whatever the length of the curve; a peak never gets lost.

use crate::record::{CurvePoint, Gap};

/// Indices of at most `limit` points that draw the same picture: the curve is cut into stretches of equal count, and
/// the smallest and the largest surprise of each are kept, in order of time. `limit` below 2 counts as 2.
pub fn envelope(points: &[CurvePoint], limit: usize) -> Vec<usize> {
    let stretches = (limit / 2).max(1);
    if points.len() <= stretches * 2 {
        return (0..points.len()).collect();
    }
    let mut kept = Vec::with_capacity(stretches * 2);
    for stretch in 0..stretches {
        let from = stretch * points.len() / stretches;
        let to = (stretch + 1) * points.len() / stretches;
        let by = |a: &usize, b: &usize| points[*a].surprise.total_cmp(&points[*b].surprise);
        let low = (from..to).min_by(by).unwrap_or(from);
        let high = (from..to).max_by(by).unwrap_or(from);
        kept.push(low.min(high));
        if low != high {
            kept.push(low.max(high));
        }
    }
    kept
}

/// Parts of the curve that no gap breaks. A hole of less than `hairline` seconds is too narrow to see and breaks
/// nothing: a crowd of scene cuts would only tear a long curve to shreds.
pub fn runs<'a>(points: &'a [CurvePoint], gaps: &[Gap], hairline: f64) -> Vec<&'a [CurvePoint]> {
    let wide = |&end: &usize| end == 0 || end >= points.len() || points[end].t_s - points[end - 1].t_s >= hairline;
    let after = gaps.iter().map(|gap| points.partition_point(|p| p.t_s < gap.end_s));
    let mut ends: Vec<usize> = after.filter(wide).chain([0, points.len()]).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2).map(|pair| &points[pair[0]..pair[1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[f32]) -> Vec<CurvePoint> {
        let point = |(i, &surprise): (usize, &f32)| CurvePoint {
            t_s: i as f64,
            surprise,
            unadjusted: surprise,
            z: None,
            p_value: None,
            raw: 0.0,
            motion: 0.0,
            peak_cell: [0, 0],
            peak_box: [0.0; 4],
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_single_spike_in_a_long_curve_survives() {
        for at in [0, 1, 77_777, 359_999] {
            let mut values = vec![1.0; 360_000];
            values[at] = 9.0;
            let kept = envelope(&points(&values), 2000);
            assert!(kept.len() <= 2000 && kept.contains(&at), "spike at {at}");
        }
    }

    proptest! {
        #[test]
        fn kept_points_are_few_in_order_and_hold_the_extremes(
            values in prop::collection::vec(-10.0f32..10.0, 0..500), limit in 2usize..100
        ) {
            let kept = envelope(&points(&values), limit);
            prop_assert!(kept.len() <= limit.max(2));
            prop_assert!(kept.is_sorted_by(|a, b| a < b));
            let extreme = |of: fn(f32, f32) -> f32, all: Vec<f32>| all.into_iter().reduce(of);
            let thin: Vec<f32> = kept.iter().map(|&i| values[i]).collect();
            prop_assert_eq!(extreme(f32::max, thin.clone()), extreme(f32::max, values.clone()));
            prop_assert_eq!(extreme(f32::min, thin), extreme(f32::min, values));
        }
    }
}
