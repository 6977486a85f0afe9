//! What makes a moment surprising without making it impossible: motion, a moving camera, a new exposure, a key frame.
//!
//! Surprise follows motion, in this project's model as in the large ones, so its logarithm is regressed on these
//! nuisances over normal footage, and the residual is judged. Only the past and *global* properties of the present may
//! enter: the amount of change at the moment itself, divided out, would let whatever removes motion pass for a
//! violation and hide whatever adds it.

use crate::clip::ModelFrame;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Changes smaller than this (0..1, about one grey level of 255) all count the same.
const FLOOR: f32 = 0.003;
/// Weights of a regression: a constant, and one for each nuisance.
const TERMS: usize = 5;
/// Pull of the weights towards zero, in units of slots: settles nuisances that the footage does not vary.
const RIDGE: f64 = 10.0;

/// No footage gives a larger weight: the logarithm of surprise would change by so much with a single grey level.
const LARGEST_WEIGHT: f64 = 20.0;
/// The logarithm of the smallest number that surprise can be.
const LARGEST_CONSTANT: f64 = 100.0;

/// The nuisances of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Nuisances {
    /// Mean absolute luma change per frame in the slot before, 0..1: how lively it has just been.
    pub past_motion: f32,
    /// The typical cell's change per frame in the slot itself, 0..1: what moves the whole picture.
    pub global_motion: f32,
    /// Change of the mean luma in the slot itself, 0..1.
    pub exposure: f32,
    /// Whether the slot has a key frame of the codec.
    pub key_frame: bool,
}

impl Nuisances {
    /// From the frames of the slot before and of the slot itself.
    pub fn of(before: &[Arc<ModelFrame>], slot: &[Arc<ModelFrame>]) -> Self {
        let mean = |frames: &[Arc<ModelFrame>], of: fn(&ModelFrame) -> f32| {
            frames.iter().map(|frame| of(frame)).sum::<f32>() / frames.len().max(1) as f32
        };
        Self {
            past_motion: mean(before, |f| f.change.motion),
            global_motion: mean(slot, |f| f.change.typical),
            exposure: mean(slot, |f| f.change.exposure),
            key_frame: slot.iter().any(|f| f.key),
        }
    }

    fn terms(&self) -> [f64; TERMS] {
        let log = |change: f32| f64::from((change / FLOOR + 1.0).ln());
        [1.0, log(self.past_motion), log(self.global_motion), log(self.exposure), f64::from(u8::from(self.key_frame))]
    }
}

/// `ln(surprise + offset) ≈ weights · terms`, by least squares over normal footage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NuisanceModel {
    weights: [f64; TERMS],
    /// Added before the logarithm: the footage's median, so that what is less than usual does not vary much.
    offset: f32,
}

impl NuisanceModel {
    /// Expects the same of every slot, and leaves surprise as it is.
    pub const fn identity() -> Self {
        Self { weights: [0.0; TERMS], offset: 0.0 }
    }

    /// Learns from the slots of normal footage; the identity when there are none.
    pub fn fit(slots: &[(Nuisances, f32)]) -> Self {
        let Some((offset, _)) = super::location_scale(&slots.iter().map(|s| s.1).collect::<Vec<_>>()) else {
            return Self::identity();
        };
        let offset = offset.max(f32::MIN_POSITIVE);
        let (mut gram, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
        for (nuisances, surprise) in slots {
            let (terms, log) = (nuisances.terms(), f64::from((surprise + offset).ln()));
            for i in 0..TERMS {
                right[i] += terms[i] * log;
                (0..TERMS).for_each(|j| gram[i][j] += terms[i] * terms[j]);
            }
        }
        (1..TERMS).for_each(|i| gram[i][i] += RIDGE);
        Self { weights: solve(gram, right), offset }
    }

    /// What is left of a surprise: how many times what normal footage with these nuisances has. Without a regression,
    /// the surprise itself.
    pub fn adjust(&self, surprise: f32, nuisances: &Nuisances) -> f32 {
        let expected: f64 = self.weights.iter().zip(nuisances.terms()).map(|(w, t)| w * t).sum();
        ((f64::from(surprise) + f64::from(self.offset)) / expected.exp()) as f32
    }

    /// Whether its numbers can have been learnt: they expect neither nothing nor everything of any slot.
    pub fn is_sound(&self) -> bool {
        let small = |weight: &f64| weight.abs() <= LARGEST_WEIGHT;
        let constant = self.weights[0].abs() <= LARGEST_CONSTANT;
        constant && self.weights[1..].iter().all(small) && self.offset.is_finite() && self.offset >= 0.0
    }

    /// Weights of past motion, global motion, exposure and key frames in the logarithm of surprise.
    pub fn slopes(&self) -> [f64; TERMS - 1] {
        [self.weights[1], self.weights[2], self.weights[3], self.weights[4]]
    }
}

/// Solves a symmetric positive definite system by elimination (it needs no pivots).
fn solve(mut a: [[f64; TERMS]; TERMS], mut b: [f64; TERMS]) -> [f64; TERMS] {
    for i in 0..TERMS {
        for below in i + 1..TERMS {
            let factor = a[below][i] / a[i][i];
            let row = a[i];
            a[below].iter_mut().zip(row).for_each(|(x, y)| *x -= factor * y);
            b[below] -= factor * b[i];
        }
    }
    let mut x = [0.0; TERMS];
    for i in (0..TERMS).rev() {
        let known: f64 = (i + 1..TERMS).map(|j| a[i][j] * x[j]).sum();
        x[i] = (b[i] - known) / a[i][i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic footage whose surprise is `2 · (past/FLOOR + 1)^0.5`, and ten times so much where the codec has its key
    /// frames.
    fn footage() -> Vec<(Nuisances, f32)> {
        (0..4000)
            .map(|i| {
                let past_motion = FLOOR * (i % 37) as f32;
                let key_frame = i % 50 == 0;
                let nuisances =
                    Nuisances { past_motion, global_motion: 0.01 * (i % 3) as f32, exposure: 0.0, key_frame };
                (nuisances, 2.0 * (past_motion / FLOOR + 1.0).sqrt() * if key_frame { 10.0 } else { 1.0 })
            })
            .collect()
    }

    #[test]
    fn what_the_nuisances_explain_is_gone_and_what_they_do_not_stays() {
        let footage = footage();
        let model = NuisanceModel::fit(&footage);
        let [past, global, exposure, key] = model.slopes();
        assert!((0.15..0.5).contains(&past) && global.abs() < 0.02 && exposure.abs() < 1e-9 && key > 1.0, "{model:?}");
        let adjusted: Vec<f32> = footage.iter().map(|(n, s)| model.adjust(*s, n)).collect();
        let spread = |of: &[f32]| {
            let (location, scale) = super::super::location_scale(of).unwrap();
            scale / location
        };
        let raw: Vec<f32> = footage.iter().map(|f| f.1).collect();
        assert!(spread(&adjusted) < 0.3 * spread(&raw), "{} {}", spread(&adjusted), spread(&raw));
        let lively = Nuisances { past_motion: FLOOR * 30.0, ..Nuisances::default() };
        assert!(model.adjust(60.0, &lively) > 3.0 * model.adjust(11.0, &lively));
    }

    #[test]
    fn without_a_regression_nothing_changes() {
        let slot = Nuisances { past_motion: 0.3, ..Nuisances::default() };
        assert_eq!(NuisanceModel::identity().adjust(1.25, &slot), 1.25);
        assert_eq!(NuisanceModel::fit(&[]), NuisanceModel::identity());
    }

    #[test]
    fn elimination_solves() {
        let mut a = [[0.0; TERMS]; TERMS];
        (0..TERMS)
            .for_each(|i| (0..TERMS).for_each(|j| a[i][j] = 1.0 / (i + j + 1) as f64 + f64::from(u8::from(i == j))));
        let x = [1.0, -2.0, 3.0, 0.5, -0.25];
        let b: Vec<f64> = a.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect();
        let found = solve(a, b.try_into().unwrap());
        assert!(found.iter().zip(x).all(|(f, x)| (f - x).abs() < 1e-9), "{found:?}");
    }
}
