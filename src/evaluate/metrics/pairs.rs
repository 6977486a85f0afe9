//! Pairwise accuracy: of an impossible video and its possible twin, is the impossible one the more surprising?

use super::Proportion;

/// Scores of the videos that are compared with each other: every possible one with every impossible one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// Scores of the possible videos.
    pub possible: Vec<f64>,
    /// Scores of the impossible videos.
    pub impossible: Vec<f64>,
}

/// What a tie counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// Half: chance is then 0.5 whatever the scores.
    #[default]
    Half,
    /// Nothing, as in the published code of Garrido et al.
    Wrong,
}

impl Ties {
    fn worth(self) -> f64 {
        if self == Self::Half { 0.5 } else { 0.0 }
    }
}

/// Share of comparisons in which the impossible video has the larger score; ties count as told. Chance is 0.5. `n` of the
/// result counts comparisons. It is the relative accuracy of Garrido et al. (arXiv 2502.11831), whose code counts a tie
/// as wrong, and one minus the relative error of IntPhys (arXiv 1803.07616), which compares the sums of a scene's scores:
/// the same for one-to-one pairs.
///
/// Comparisons that share a video are not independent. In a cell of p possible and q impossible videos their mean varies
/// at most like that of min(p, q) independent ones (Birnbaum and Klose, Ann. Math. Stat. 1957), so
/// the interval is Wilson's for (Σ pq)² / Σ (p²q² / min(p, q)) trials. For one-to-one pairs that is their number.
pub fn pairwise_accuracy(cells: &[Cell], ties: Ties) -> Option<Proportion> {
    let (mut won, mut compared, mut spread) = (0.0, 0, 0.0);
    for cell in cells {
        let (p, q) = (cell.possible.len(), cell.impossible.len());
        if p == 0 || q == 0 {
            continue;
        }
        for impossible in &cell.impossible {
            won += cell.possible.iter().map(|possible| won_by(*impossible, *possible, ties)).sum::<f64>();
        }
        compared += p * q;
        spread += (p * q).pow(2) as f64 / p.min(q) as f64;
    }
    Proportion::with_effective(won, compared, (compared as f64).powi(2) / spread)
}

fn won_by(impossible: f64, possible: f64, ties: Ties) -> f64 {
    if impossible == possible { ties.worth() } else { f64::from(u8::from(impossible > possible)) }
}

#[cfg(test)]
mod tests {
    use super::super::wilson;
    use super::*;
    use proptest::prelude::*;

    fn cell(possible: &[f64], impossible: &[f64]) -> Cell {
        Cell { possible: possible.to_vec(), impossible: impossible.to_vec() }
    }

    #[test]
    fn ties_count_half_and_lonely_videos_do_not_count() {
        let cells = [cell(&[1.0], &[2.0]), cell(&[2.0], &[2.0]), cell(&[3.0], &[2.0]), cell(&[], &[9.0])];
        let found = pairwise_accuracy(&cells, Ties::Half).unwrap();
        assert_eq!((found.value, found.n), (0.5, 3));
        assert_eq!(pairwise_accuracy(&cells, Ties::Wrong).unwrap().value, 1.0 / 3.0);
        assert_eq!((found.low, found.high), wilson(0.5, 3.0));
        assert_eq!(pairwise_accuracy(&[cell(&[], &[9.0])], Ties::Half), None);
    }

    #[test]
    fn comparisons_that_share_videos_are_worth_fewer() {
        let found =
            pairwise_accuracy(&[cell(&[1.0, 4.0], &[2.0, 3.0]), cell(&[0.0, 0.0], &[1.0, 1.0])], Ties::Half).unwrap();
        assert_eq!((found.value, found.n), (0.75, 8));
        assert_eq!((found.low, found.high), wilson(0.75, 4.0));
    }

    proptest! {
        #[test]
        fn only_the_order_matters(scores in prop::collection::vec((0u8..9, 0u8..9), 1..30)) {
            let of = |map: fn(f64) -> f64| {
                let cells: Vec<_> = scores.iter().map(|s| cell(&[map(s.0.into())], &[map(s.1.into())])).collect();
                pairwise_accuracy(&cells, Ties::Half).unwrap()
            };
            prop_assert_eq!(of(|v| v), of(|v| (3.0 * v).exp() - 7.0));
            prop_assert!((of(|v| v).value + of(|v| -v).value - 1.0).abs() < 1e-12);
        }
    }
}
