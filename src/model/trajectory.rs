//! The path that the features of pictures take: how sharply it turns, and how much its pace changes.
//!
//! Two of the measures of `GeoPhys` (arXiv 2606.20707), of each picture from the two before it. A picture's feature is the mean
//! of its tokens; with steps `d = z − z_before`, the turning angle is that between the last two steps, and the second
//! difference the length of `d − d_before`. Nothing is predicted: the features are those that were seen.

use super::WindowErrors;
use super::jepa::of_slots;
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
use ndarray::{Array1, ArrayView3, Axis};
use std::iter::repeat_n;

/// What the paths of some clips are like.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectories {
    /// Angle between the last two steps, radians, 0..π.
    pub turning: Vec<WindowErrors>,
    /// Length of the difference of the last two steps.
    pub bending: Vec<WindowErrors>,
}

impl Trajectories {
    /// Of the clips whose `features` `[windows, slots · tokens, dim]` were seen; every token of a slot has the slot's number.
    ///
    /// # Errors
    /// [`crate::Error::Inference`] when a number is not finite.
    pub fn of(clips: &[Clip], spec: &ClipSpec, features: ArrayView3<'_, f32>) -> Result<Self> {
        let area = spec.tokens_per_slot();
        let (mut turning, mut bending) = (Vec::new(), Vec::new());
        for (clip, window) in clips.iter().zip(features.outer_iter()) {
            let slots = window.axis_chunks_iter(Axis(0), area);
            let path: Vec<Array1<f64>> =
                slots.map(|slot| slot.mapv(f64::from).mean_axis(Axis(0)).unwrap_or_default()).collect();
            let of = |measure: Measure| -> Result<WindowErrors> {
                let context = |context| {
                    let numbers = spec.target_slots(context).map(|slot| measured(&path, slot, measure) as f32);
                    of_slots(spec, context, numbers.flat_map(|number| repeat_n(number, area)).collect())
                };
                Ok(spec.contexts_of(clip).map(context).collect::<Result<Vec<_>>>()?.into())
            };
            turning.push(of(angle)?);
            bending.push(of(difference)?);
        }
        Ok(Self { turning, bending })
    }
}

/// Of two steps, one after the other.
type Measure = fn(&Array1<f64>, &Array1<f64>) -> f64;

/// A measure of the last two steps to a slot; 0 where there are not two.
fn measured(path: &[Array1<f64>], slot: usize, measure: Measure) -> f64 {
    let step = |to: usize| &path[to] - &path[to - 1];
    if slot < 2 { 0.0 } else { measure(&step(slot - 1), &step(slot)) }
}

fn length(step: &Array1<f64>) -> f64 {
    step.dot(step).sqrt()
}

/// Between two steps; none where one has no length.
fn angle(before: &Array1<f64>, after: &Array1<f64>) -> f64 {
    let lengths = length(before) * length(after);
    if lengths > 0.0 { (before.dot(after) / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 }
}

fn difference(before: &Array1<f64>, after: &Array1<f64>) -> f64 {
    length(&(after - before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::aview1;
    use std::f64::consts::{FRAC_PI_2, PI};

    #[test]
    fn a_straight_path_has_no_turn_and_an_even_one_no_second_difference() {
        let path = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0], [2.0, 0.0], [2.0, 0.0]]
            .map(|place| aview1(&place).to_owned());
        let turns = [0.0, 0.0, 0.0, FRAC_PI_2, PI, 0.0];
        let bends = [0.0, 0.0, 0.0, 5_f64.sqrt(), 4.0, 2.0];
        for slot in 0..path.len() {
            assert!((measured(&path, slot, angle) - turns[slot]).abs() < 1e-9, "{slot}");
            assert!((measured(&path, slot, difference) - bends[slot]).abs() < 1e-9, "{slot}");
        }
    }
}
