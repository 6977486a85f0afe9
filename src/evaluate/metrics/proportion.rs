//! Shares with their uncertainty.

use serde::{Deserialize, Serialize};

/// Standard deviations of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// A share with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// The share, 0..1.
    pub value: f64,
    /// Lower end of the interval, 0..1.
    pub low: f64,
    /// Upper end of the interval, 0..1.
    pub high: f64,
    /// What it is a share of: trials.
    pub n: usize,
}

impl Proportion {
    /// `successes` (halves allowed) out of `n` independent trials; `None` when there are none.
    pub fn of(successes: f64, n: usize) -> Option<Self> {
        Self::with_effective(successes, n, n as f64)
    }

    /// As [`Proportion::of`], for `n` trials that are worth only `effective` independent ones.
    pub fn with_effective(successes: f64, n: usize, effective: f64) -> Option<Self> {
        if n == 0 {
            return None;
        }
        let value = successes / n as f64;
        let (low, high) = wilson(value, effective);
        Some(Self { value, low, high, n })
    }
}

/// Wilson's score interval at 95 % of a share of `n` > 0 trials: lower and upper end, 0..1 (Wilson, JASA 1927; as
/// `statsmodels.stats.proportion.proportion_confint(method="wilson")`).
pub fn wilson(share: f64, n: f64) -> (f64, f64) {
    let spread = Z * Z / n;
    let centre = (share + spread / 2.0) / (1.0 + spread);
    let half = Z / (1.0 + spread) * (share * (1.0 - share) / n + spread / (4.0 * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_the_textbooks() {
        // Newcombe, Statistics in Medicine 1998, table I, method 3: the four examples.
        for (k, n, low, high) in [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ] {
            let found = wilson(k / n, n);
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{k}/{n}: {found:?}");
        }
        assert_eq!(Proportion::of(0.0, 0), None);
    }
}
