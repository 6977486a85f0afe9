//! From prediction errors to a curve and its events: pure arithmetic and state machines.
//!
//! ```text
//! WindowErrors ─▶ Assembler ─▶ Slot ─▶ EventFinder: Judge (z, p-value, rate) ─▶ Detector, Cusum ─▶ FoundEvent
//!                 (Footing, NuisanceModel)     (Baseline: sample, Tail)   (Martingale: still this world?)
//! ```
//!
//! A model of objects gives a `Scene` with each window; the assembler ranks its parts (`sign`), and from there on all is the
//! same; at an event's peak the strongest `Sign` says what it was.
//!
//! Invariant: everything is causal. A slot's numbers depend on frames up to the end of the last window that predicts
//! it and on nothing later; a whole file is a fold over the same machines that a live stream drives.

mod assemble;
mod baseline;
mod detect;
mod evidence;
mod finder;
mod footing;
mod judge;
mod learn;
mod martingale;
mod nuisance;
mod past;
mod place;
mod rank;
mod reduce;
mod scene;
mod sign;
mod slow;
mod tail;
mod threshold;

pub use assemble::{Assembler, Slot};
pub use baseline::{Baseline, Check, CurveKey, MERGE_S, NormalSlot};
pub use detect::{Detection, Detector, DetectorOptions};
pub use finder::{EventFinder, EventKind, EventRules, FoundEvent, Judged};
pub use footing::{Footing, FootingBuilder};
pub use judge::{Judge, Verdict};
pub use learn::Learner;
pub use martingale::Martingale;
pub use nuisance::{NuisanceModel, Nuisances};
pub use past::Past;
pub use place::{hot_region, hottest};
pub use rank::Rank;
pub use reduce::{ContextSurprise, VideoSurprise, VideoSurpriseBuilder};
pub use scene::{Part, PartKind, Scene, THING, Thing};
pub use sign::{Account, Sign};
pub use slow::{Cusum, SlowBaseline};
pub use tail::Tail;
pub use threshold::{ThresholdRule, Thresholds};

use ndarray::Array2;
use std::sync::Arc;

/// Share of a slot's tokens whose mean is the slot's surprise. A small object touches few tokens and the plain mean of a
/// fine grid drowns it; a single token is at the mercy of noise. On the bundled model's coarse grid the ways that were
/// compared (mean, top-k, max; mean absolute error, energy, Mahalanobis) differ by less than can be measured:
/// `reports/benchmark/reductions.md`.
pub const DEFAULT_TOP_FRACTION: f32 = 0.06;

/// Tokens that make the top-k mean of a slot with `tokens` tokens: at least one.
pub fn top_count(tokens: usize, fraction: f32) -> usize {
    ((tokens as f32 * fraction).round() as usize).clamp(1, tokens.max(1))
}

/// The prediction errors of one window for one context length.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextErrors {
    /// Frames that the context encoder saw.
    pub context: u32,
    /// The first predicted slot, within the clip.
    pub first_slot: usize,
    /// The surprise of each token: mean absolute difference over features between prediction and target, `[slots, grid²]`,
    /// the tokens of a slot row by row; each finite and ≥ 0.
    pub errors: Array2<f32>,
}

impl ContextErrors {
    /// The window surprise, as the literature takes it: mean error over the predicted tokens.
    pub fn surprise(&self) -> f64 {
        self.errors.iter().map(|&error| f64::from(error)).sum::<f64>() / self.errors.len().max(1) as f64
    }
}

/// The prediction errors of one window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowErrors {
    /// One entry per context length, ascending.
    pub contexts: Vec<ContextErrors>,
    /// What a model of objects says of the last slot; its context's errors are then the largest energy of each part.
    pub scene: Option<Arc<Scene>>,
}

impl From<Vec<ContextErrors>> for WindowErrors {
    /// Those of a model of tokens.
    fn from(contexts: Vec<ContextErrors>) -> Self {
        Self { contexts, scene: None }
    }
}

/// Mean of the `k` largest values; 0 for an empty slice.
pub(crate) fn top_k_mean(values: &[f32], k: usize) -> f32 {
    let k = k.min(values.len());
    if k == 0 {
        return 0.0;
    }
    let mut sorted = values.to_vec();
    sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    sorted[..k].iter().sum::<f32>() / k as f32
}

/// Factor that makes the median absolute deviation a consistent estimate of a normal's standard deviation,
/// `1 / Φ⁻¹(3/4)`.
const MAD_TO_SIGMA: f32 = 1.482_602_2;

/// Median and robust standard deviation (median absolute deviation × 1.4826) of some values; `None` when there are
/// none. The scale is floored at a thousandth of the location and at 10⁻⁴ (errors are of the order of 0.1; less than
/// that is rounding), so that a perfectly still past does not make every flicker infinitely surprising.
pub(crate) fn location_scale(values: &[f32]) -> Option<(f32, f32)> {
    let location = median(values.to_vec())?;
    let deviation = median(values.iter().map(|v| (v - location).abs()).collect())?;
    let floor = (location.abs() * 1e-3).max(1e-4);
    Some((location, (deviation * MAD_TO_SIGMA).max(floor)))
}

fn median(mut values: Vec<f32>) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// The i-th of a fixed sequence of random numbers in (0, 1): `SplitMix64` (Steele, Lea, Flood 2014), for tests.
#[cfg(test)]
pub(crate) fn uniform(i: usize) -> f64 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_is_the_mean_of_the_largest() {
        assert!((top_k_mean(&[1.0, 5.0, 3.0, 4.0], 2) - 4.5).abs() < 1e-6);
        assert!((top_k_mean(&[2.0], 3) - 2.0).abs() < 1e-6);
        assert_eq!((top_count(36, 0.06), top_count(64, 0.06), top_count(4, 0.06)), (2, 4, 1));
    }

    #[test]
    fn robust_scale_ignores_an_outlier() {
        let (location, scale) = location_scale(&[1.0, 2.0, 3.0, 4.0, 1000.0]).unwrap();
        assert!((location - 3.0).abs() < 1e-6 && (scale - 1.482_602_2).abs() < 1e-5);
        assert!(location_scale(&[2.0; 9]).unwrap().1 > 0.0);
        assert!(location_scale(&[]).is_none());
    }
}
