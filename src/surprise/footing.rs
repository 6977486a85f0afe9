//! The errors of every context and horizon, and of every place before a fixed camera, on one scale.

use super::rank::{self, Rank};
use super::{WindowErrors, location_scale};
use crate::clip::ClipSpec;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// Errors that a cell must have shown before it gets a footing of its own.
const CELL_ERRORS: usize = 100;
/// A cell's scale is at least this share of the whole picture's: a wall that never moved may still be touched by light.
const CELL_SCALE: f32 = 0.25;

/// Location and scale of token errors for one context length and horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foot {
    context: u32,
    /// Slots between the end of the context and the predicted slot; 0 is the next slot.
    horizon: usize,
    location: f32,
    scale: f32,
    /// Location and scale of every cell, row-major; empty unless the camera is fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cells: Vec<(f32, f32)>,
}

/// Brings the errors of every context and horizon to one scale: far horizons are harder, so their errors are larger
/// on any video. For a fixed camera the same holds for places: a tree in the wind is no news.
///
/// The energies of a model of objects are brought to one scale by part: how rare so much of it is on lawful footage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Footing {
    /// Of token errors, by context and horizon.
    Tokens(Vec<Foot>),
    /// Of energies, by part.
    Parts(Vec<Rank>),
}

impl Footing {
    /// Leaves errors as they are, and takes energies for logarithms of probabilities.
    pub const fn identity() -> Self {
        Self::Tokens(Vec::new())
    }

    /// The rank of a part's energy.
    pub fn rank(&self, part: usize, energy: f32) -> f32 {
        match self {
            Self::Parts(ranks) => ranks.get(part).map_or_else(|| rank::plain(energy), |rank| rank.of(energy)),
            Self::Tokens(_) => rank::plain(energy),
        }
    }

    /// Whether it was learnt from a model of objects.
    pub const fn is_by_parts(&self) -> bool {
        matches!(self, Self::Parts(_))
    }

    /// Whether its numbers can be used: every location and scale a number and no scale zero, every rank finite and ascending.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |(location, scale): (f32, f32)| location.is_finite() && scale.is_finite() && scale > 0.0;
        let is_foot = |foot: &Foot| sound((foot.location, foot.scale)) && foot.cells.iter().copied().all(sound);
        match self {
            Self::Tokens(feet) => feet.iter().all(is_foot),
            Self::Parts(ranks) => ranks.iter().all(Rank::is_sound),
        }
    }

    /// `(error − location) / scale` of the context, the horizon and (fixed cameras) the cell, floored at 0: an error
    /// below the normal location is simply unsurprising. Horizons that the footing does not know are left as they are.
    /// `errors` is one slot, row-major.
    pub fn apply(&self, context: u32, horizon: usize, errors: ArrayView1<'_, f32>) -> Vec<f32> {
        let Self::Tokens(feet) = self else { return errors.to_vec() };
        let Some(foot) = feet.iter().find(|f| f.context == context && f.horizon == horizon) else {
            return errors.to_vec();
        };
        let of = |cell: usize| foot.cells.get(cell).copied().unwrap_or((foot.location, foot.scale));
        let put = |(cell, error): (usize, &f32)| {
            let (location, scale) = of(cell);
            ((error - location) / scale).max(0.0)
        };
        errors.iter().enumerate().map(put).collect()
    }
}

/// Learns the footing from the windows of normal footage.
///
/// Memory: four bytes per token error seen, about 20 MB an hour of footage for the bundled model.
#[derive(Default)]
pub struct FootingBuilder {
    errors: Vec<(u32, usize, Vec<f32>)>,
    /// Of each part, its name and its largest energy in each slot.
    parts: Vec<(String, Vec<f32>)>,
}

impl FootingBuilder {
    /// Takes the errors of one window.
    pub fn push(&mut self, spec: &ClipSpec, window: &WindowErrors) {
        if let Some(scene) = &window.scene {
            if self.parts.is_empty() {
                self.parts = scene.parts.iter().map(|part| (part.name.clone(), Vec::new())).collect();
            }
            self.parts.iter_mut().zip(scene.largest()).for_each(|((_, all), energy)| all.push(energy));
            return;
        }
        for context in &window.contexts {
            let first = (context.context / spec.tubelet_size) as usize;
            for (offset, errors) in context.errors.outer_iter().enumerate() {
                let horizon = context.first_slot + offset - first;
                match self.errors.iter_mut().find(|(c, h, _)| (*c, *h) == (context.context, horizon)) {
                    Some((_, _, all)) => all.extend(errors),
                    None => self.errors.push((context.context, horizon, errors.to_vec())),
                }
            }
        }
    }

    /// Median and robust standard deviation for each context and horizon; with `cells`, the tokens of a slot, for each
    /// cell as well. Of energies, the rank of each part.
    pub fn footing(&self, cells: Option<usize>) -> Footing {
        if !self.parts.is_empty() {
            let learn = |(name, energies): &(String, Vec<f32>)| Rank::learn(name.clone(), energies.clone());
            return Footing::Parts(self.parts.iter().map(learn).collect());
        }
        let foot = |(context, horizon, errors): &(u32, usize, Vec<f32>)| {
            let (location, scale) = location_scale(errors)?;
            let cells = cells.map_or(Vec::new(), |cells| by_cell(errors, cells, (location, scale)));
            Some(Foot { context: *context, horizon: *horizon, location, scale, cells })
        };
        Footing::Tokens(self.errors.iter().filter_map(foot).collect())
    }
}

fn by_cell(errors: &[f32], cells: usize, (location, scale): (f32, f32)) -> Vec<(f32, f32)> {
    let one = |cell: usize| {
        let own: Vec<f32> = errors.iter().skip(cell).step_by(cells).copied().collect();
        let found = if own.len() < CELL_ERRORS { None } else { location_scale(&own) };
        found.map_or((location, scale), |(l, s)| (l, s.max(CELL_SCALE * scale)))
    };
    (0..cells).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ContextErrors;
    use super::*;
    use crate::clip::spec_for_tests;
    use ndarray::{Array2, aview1};

    #[test]
    fn every_horizon_and_cell_gets_its_own_footing() {
        let spec = spec_for_tests();
        let mut builder = FootingBuilder::default();
        for i in 0..200 {
            let wave = (i % 10) as f32;
            // Cell 5 is restless, the second slot ten times harder than the first.
            let error = |(slot, cell)| [1.0_f32, 10.0][slot] * (if cell == 5 { 50.0 } else { 1.0 }) * wave;
            let errors = Array2::from_shape_fn((2, 16), error);
            builder.push(&spec, &vec![ContextErrors { context: 4, first_slot: 2, errors }].into());
        }
        let picture = builder.footing(None);
        let (near, far) = (picture.apply(4, 0, aview1(&[9.0])), picture.apply(4, 1, aview1(&[90.0])));
        assert!((near[0] - far[0]).abs() < 1e-4, "{near:?} {far:?}");
        assert_eq!(picture.apply(4, 9, aview1(&[0.75])), [0.75]);
        let camera = builder.footing(Some(16)).apply(4, 0, aview1(&[40.0; 16]));
        assert!(camera[5] < 1.0 && camera[4] > 5.0, "{camera:?}");
    }
}
