//! The path that the features of pictures take: how sharply it turns, and how much its pace changes.
//!
//! Two of the measures of `GeoPhys` (arXiv 2606.20707), of each picture from the two before it. A picture's feature is the mean
//! of its tokens; with steps `d = z − z_before`, the turning angle is that between the last two steps, and the second
//! difference the length of `d − d_before`. Nothing is predicted: the features are those that were seen.

use super::{ContextErrors, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
use crate::units::Surprise;

/// What the paths of some clips are like.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectories {
    /// Angle between the last two steps, radians, 0..π.
    pub turning: Vec<WindowErrors>,
    /// Length of the difference of the last two steps.
    pub bending: Vec<WindowErrors>,
}

impl Trajectories {
    /// Of the clips whose `features` (windows · slots · tokens · `dim`) were seen; every token of a slot has the slot's number.
    ///
    /// # Errors
    /// [`crate::Error::Inference`] when a number is not finite.
    pub fn of(clips: &[Clip], spec: &ClipSpec, features: &[f32], dim: usize) -> Result<Self> {
        let (area, slots) = (spec.tokens_per_slot(), spec.slots());
        let (mut turning, mut bending) = (Vec::new(), Vec::new());
        for (clip, window) in clips.iter().zip(features.chunks_exact(slots * area * dim)) {
            let path: Vec<Vec<f64>> = window.chunks_exact(area * dim).map(|slot| mean(slot, dim)).collect();
            let of = |measure: fn(&[f64], &[f64]) -> f64| -> Result<WindowErrors> {
                let context = |context| {
                    let seen = spec.target_slots(context);
                    let first_slot = seen.start;
                    let numbers =
                        seen.map(|slot| Surprise::new(measured(&path, slot, measure) as f32).map(Surprise::get));
                    let numbers = numbers.collect::<Result<Vec<f32>>>()?;
                    let errors = numbers.into_iter().flat_map(|number| vec![number; area]).collect();
                    Ok(ContextErrors { context, first_slot, errors })
                };
                Ok(spec.contexts_of(clip).map(context).collect::<Result<Vec<_>>>()?.into())
            };
            turning.push(of(angle)?);
            bending.push(of(difference)?);
        }
        Ok(Self { turning, bending })
    }
}

/// A measure of the last two steps to a slot; 0 where there are not two.
fn measured(path: &[Vec<f64>], slot: usize, measure: fn(&[f64], &[f64]) -> f64) -> f64 {
    let step = |to: usize| -> Vec<f64> { path[to].iter().zip(&path[to - 1]).map(|(a, b)| a - b).collect() };
    if slot < 2 { 0.0 } else { measure(&step(slot - 1), &step(slot)) }
}

fn mean(tokens: &[f32], dim: usize) -> Vec<f64> {
    let mut sum = vec![0.0; dim];
    for token in tokens.chunks_exact(dim) {
        sum.iter_mut().zip(token).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = (tokens.len() / dim) as f64;
    sum.into_iter().map(|sum| sum / count).collect()
}

fn length(step: &[f64]) -> f64 {
    step.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Between two steps; none where one has no length.
fn angle(before: &[f64], after: &[f64]) -> f64 {
    let lengths = length(before) * length(after);
    let product: f64 = before.iter().zip(after).map(|(a, b)| a * b).sum();
    if lengths > 0.0 { (product / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 }
}

fn difference(before: &[f64], after: &[f64]) -> f64 {
    length(&before.iter().zip(after).map(|(a, b)| b - a).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    #[test]
    fn a_straight_path_has_no_turn_and_an_even_one_no_second_difference() {
        let path = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0], [2.0, 0.0], [2.0, 0.0]].map(Vec::from);
        let turns = [0.0, 0.0, 0.0, FRAC_PI_2, PI, 0.0];
        let bends = [0.0, 0.0, 0.0, 5_f64.sqrt(), 4.0, 2.0];
        for slot in 0..path.len() {
            assert!((measured(&path, slot, angle) - turns[slot]).abs() < 1e-9, "{slot}");
            assert!((measured(&path, slot, difference) - bends[slot]).abs() < 1e-9, "{slot}");
        }
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
    }
}
