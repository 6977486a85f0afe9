//! Arithmetic on tokens: the norm of targets and the distance of predictions from them.

use ndarray::{Array1, Array3, ArrayView1, ArrayView2, Axis, Zip};

/// Added to the variance by PyTorch's `F.layer_norm`.
pub(super) const LAYER_NORM_EPS: f64 = 1e-5;

/// `F.layer_norm(tokens, (dim,))` of tokens `[windows, tokens, features]`, for each `dim` features, without affine parameters:
/// biased variance, sums in float64.
pub(super) fn layer_norm(tokens: &mut Array3<f32>, dim: usize) {
    for mut token in tokens.exact_chunks_mut((1, 1, dim)) {
        let row = token.index_axis(Axis(0), 0);
        let row = row.index_axis(Axis(0), 0);
        let mean = sum_of(row, row, |value, _| f64::from(value)) / dim as f64;
        let variance = sum_of(row, row, |value, _| (f64::from(value) - mean).powi(2)) / dim as f64;
        let scale = 1.0 / (variance + LAYER_NORM_EPS).sqrt();
        token.mapv_inplace(|value| ((f64::from(value) - mean) * scale) as f32);
    }
}

/// Mean absolute difference, summed in float64.
pub(super) fn mean_distance(prediction: ArrayView1<'_, f32>, target: ArrayView1<'_, f32>) -> f32 {
    (sum_of(prediction, target, |p, t| f64::from((p - t).abs())) / prediction.len() as f64) as f32
}

/// Of the tokens of two pictures `[tokens, features]`, each with its own.
pub(super) fn mean_distances(predictions: ArrayView2<'_, f32>, targets: ArrayView2<'_, f32>) -> Array1<f32> {
    Zip::from(predictions.rows())
        .and(targets.rows())
        .map_collect(|prediction, target| mean_distance(prediction, target))
}

/// The sum of `term` over pairs, in eight interleaved partial sums: the order is fixed, and the compiler can use
/// vector instructions.
fn sum_of(left: ArrayView1<'_, f32>, right: ArrayView1<'_, f32>, term: impl Fn(f32, f32) -> f64) -> f64 {
    const LANES: usize = 8;
    let (Some(left), Some(right)) = (left.to_slice(), right.to_slice()) else {
        return left.iter().zip(right).map(|(&l, &r)| term(l, r)).sum();
    };
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
    use ndarray::array;

    #[test]
    fn layer_norm_equals_pytorch() {
        // torch.nn.functional.layer_norm(torch.tensor([1., 2., 4., -3.]), (4,)): the variance is 6.5.
        let mut token = array![[[1.0, 2.0, 4.0, -3.0]]];
        layer_norm(&mut token, 4);
        let expected = [0.0, 0.392_232, 1.176_696, -1.568_928];
        for (value, expected) in token.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
        }
        let mut flat = Array3::from_elem((1, 2, 4), 3.0);
        layer_norm(&mut flat, 4);
        assert!(flat.iter().all(|value| value.abs() < f32::EPSILON));
    }

    #[test]
    fn distance_is_the_mean_over_features() {
        let (left, right) = (array![1.0, -1.0, 0.5], array![0.0, 1.0, 0.5]);
        assert!((mean_distance(left.view(), right.view()) - 1.0).abs() < 1e-7);
        assert!(mean_distance(array![f32::NAN].view(), array![0.0].view()).is_nan());
    }
}
