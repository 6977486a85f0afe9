//! Arithmetic on tokens: the norm of targets and the distance of predictions from them.

/// Added to the variance by PyTorch's `F.layer_norm`.
pub(super) const LAYER_NORM_EPS: f64 = 1e-5;

/// `F.layer_norm(tokens, (dim,))` for each `dim` values, without affine parameters: biased variance, sums in float64.
pub(super) fn layer_norm(tokens: &mut [f32], dim: usize) {
    for token in tokens.chunks_exact_mut(dim) {
        let mean = sum_of(token, token, |value, _| f64::from(value)) / dim as f64;
        let variance = sum_of(token, token, |value, _| (f64::from(value) - mean).powi(2)) / dim as f64;
        let scale = 1.0 / (variance + LAYER_NORM_EPS).sqrt();
        for value in token {
            *value = ((f64::from(*value) - mean) * scale) as f32;
        }
    }
}

/// Mean absolute difference, summed in float64.
pub(super) fn mean_distance(prediction: &[f32], target: &[f32]) -> f32 {
    (sum_of(prediction, target, |p, t| f64::from((p - t).abs())) / prediction.len() as f64) as f32
}

/// The sum of `term` over pairs, in eight interleaved partial sums: the order is fixed, and the compiler can use
/// vector instructions.
fn sum_of(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    const LANES: usize = 8;
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += term(left[lane], right[lane]);
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(&l, &r)| term(l, r)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_norm_equals_pytorch() {
        // torch.nn.functional.layer_norm(torch.tensor([1., 2., 4., -3.]), (4,)): the variance is 6.5.
        let mut token = [1.0, 2.0, 4.0, -3.0];
        layer_norm(&mut token, 4);
        let expected = [0.0, 0.392_232, 1.176_696, -1.568_928];
        for (value, expected) in token.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
        }
        let mut flat = [3.0; 4];
        layer_norm(&mut flat, 4);
        assert!(flat.iter().all(|value| value.abs() < f32::EPSILON));
    }

    #[test]
    fn distance_is_the_mean_over_features() {
        assert!((mean_distance(&[1.0, -1.0, 0.5], &[0.0, 1.0, 0.5]) - 1.0).abs() < 1e-7);
        assert!(mean_distance(&[f32::NAN], &[0.0]).is_nan());
    }
}
