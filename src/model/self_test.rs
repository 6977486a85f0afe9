//! The self-test of a bundle: noise from a known seed must give the surprise that PyTorch gave at export.

use super::WindowErrors;
use super::bundle::ModelBundle;
use super::jepa::{Jepa, Network};
use super::objects::{ObjectJepa, ObjectNetwork};
use crate::error::Result;
use ndarray::{ArrayViewD, Axis};

/// One figure of the self-test.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is of: a context length, or a part of the energy.
    pub name: String,
    /// What the manifest states.
    pub expected: f64,
    /// What the graphs gave.
    pub found: f64,
    /// What differences are relative to.
    pub scale: f64,
    /// Largest relative difference allowed.
    pub tolerance: f64,
}

impl Figure {
    /// Relative difference.
    pub fn difference(&self) -> f64 {
        (self.found - self.expected).abs() / self.scale
    }

    /// Whether it is as expected.
    pub fn passed(&self) -> bool {
        self.difference() <= self.tolerance
    }
}

/// What a self-test gave, for each context length or part.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome(pub Vec<Figure>);

impl Outcome {
    /// Whether every figure is as expected.
    pub fn passed(&self) -> bool {
        self.0.iter().all(Figure::passed)
    }
}

/// Largest relative difference allowed to a device that computes in bf16, as to bundles of that precision
/// (`startle_models.parity.LIMITS`).
const REDUCED: f64 = 2e-2;

/// Energies less than this are calm.
const ONE_NAT: f64 = 1.0;

/// Runs that of a model that predicts features.
///
/// # Errors
/// As [`super::Scorer::score`].
pub fn run<N: Network>(bundle: &ModelBundle, model: &mut Jepa<N>) -> Result<Outcome> {
    let test = &bundle.manifest().self_test;
    let tolerance = allowed(bundle, model.network().is_reduced());
    let clip = test.clip(&bundle.manifest().spec());
    let WindowErrors { contexts, .. } = model.score_noise_of(test.seed, &clip)?;
    let figure = |(expected, found): (&super::manifest::Expected, &super::ContextErrors)| Figure {
        name: format!("context {:>3}: surprise", expected.context),
        expected: expected.value,
        found: found.surprise(),
        scale: expected.value.abs(),
        tolerance,
    };
    Ok(Outcome(test.surprise.iter().zip(&contexts).map(figure).collect()))
}

/// Runs that of a model of objects. A part may be calm, so differences of energies are relative to the largest of them, or
/// to one nat.
///
/// # Errors
/// As [`super::Scorer::score`].
pub fn run_objects<N: ObjectNetwork>(bundle: &ModelBundle, model: &mut ObjectJepa<N>) -> Result<Outcome> {
    let test = &bundle.manifest().self_test;
    let tolerance = allowed(bundle, model.network().is_reduced());
    let (seen, last) = model.run_noise(test.seed)?;
    let scale = test.energy.iter().map(|expected| expected.value.abs()).fold(ONE_NAT, f64::max);
    let mean = |values: ArrayViewD<'_, f32>| {
        values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / values.len().max(1) as f64
    };
    let stage = |(name, expected, values): (&str, f64, ArrayViewD<'_, f32>)| Figure {
        name: format!("{name:>6}: mean size"),
        expected,
        found: mean(values),
        scale: expected.abs(),
        tolerance,
    };
    let figure = |(part, expected): (usize, &super::manifest::ExpectedPart)| Figure {
        name: format!("part {:>12}: energy", expected.part),
        expected: expected.value,
        found: last.energy.index_axis(Axis(2), part).iter().map(|e| f64::from(*e)).sum(),
        scale,
        tolerance,
    };
    let stages = test.stages.map(|s| {
        let arrays = [seen.tokens.view().into_dyn(), seen.maps.view().into_dyn(), last.next_state.view().into_dyn()];
        ["tokens", "maps", "state"].into_iter().zip([s.tokens, s.maps, s.state]).zip(arrays)
    });
    let stages = stages.into_iter().flatten().map(|((name, expected), values)| stage((name, expected, values)));
    Ok(Outcome(stages.chain(test.energy.iter().enumerate().map(figure)).collect()))
}

fn allowed(bundle: &ModelBundle, reduced: bool) -> f64 {
    let own = bundle.manifest().self_test.tolerance_rel;
    if reduced { own.max(REDUCED) } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_does_not_pass() {
        let figure = |found| Figure { name: "4".into(), expected: 0.5, found, scale: 0.5, tolerance: 1e-4 };
        assert!(figure(0.500_04).passed());
        assert!(!figure(0.500_06).passed());
        assert!(!figure(f64::NAN).passed());
        assert!(Outcome(vec![figure(0.5)]).passed() && !Outcome(vec![figure(0.5), figure(0.6)]).passed());
    }
}
