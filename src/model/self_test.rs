//! The self-test of a bundle: noise from a known seed must give the surprise that PyTorch gave at export.

use super::WindowErrors;
use super::bundle::ModelBundle;
use super::jepa::{Jepa, Network};
use crate::error::Result;

/// One figure of the self-test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Context length, frames.
    pub context: u32,
    /// The window surprise that the manifest states.
    pub expected: f64,
    /// The window surprise that the graphs gave.
    pub found: f64,
    /// Largest relative difference allowed.
    pub tolerance: f64,
}

impl Figure {
    /// Relative difference.
    pub fn difference(&self) -> f64 {
        (self.found - self.expected).abs() / self.expected.abs()
    }

    /// Whether it is as expected.
    pub fn passed(&self) -> bool {
        self.difference() <= self.tolerance
    }
}

/// What a self-test gave, for each context length.
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

/// Runs it.
///
/// # Errors
/// As [`super::Scorer::score`].
pub fn run<N: Network>(bundle: &ModelBundle, model: &mut Jepa<N>) -> Result<Outcome> {
    let test = &bundle.manifest().self_test;
    let clip = test.clip(&bundle.manifest().spec());
    let WindowErrors { contexts } = model.score_noise_of(test.seed, &clip)?;
    let figure = |(expected, found): (&super::manifest::Expected, &super::ContextErrors)| Figure {
        context: expected.context,
        expected: expected.value,
        found: found.surprise(),
        tolerance: if model.network().is_reduced() { test.tolerance_rel.max(REDUCED) } else { test.tolerance_rel },
    };
    Ok(Outcome(test.surprise.iter().zip(&contexts).map(figure).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_does_not_pass() {
        let figure = |found| Figure { context: 4, expected: 0.5, found, tolerance: 1e-4 };
        assert!(figure(0.500_04).passed());
        assert!(!figure(0.500_06).passed());
        assert!(!figure(f64::NAN).passed());
        assert!(Outcome(vec![figure(0.5)]).passed() && !Outcome(vec![figure(0.5), figure(0.6)]).passed());
    }
}
