//! The energy of a part on the footing of lawful footage: how rare it is there.

use serde::{Deserialize, Serialize};
use std::f32::consts::LN_10;

/// Knots of the table for each factor of ten in rarity.
const KNOTS: f64 = 16.0;
/// The tail's slope is that of the largest energies, one in so many, but of so many at least.
const TAIL_SHARE: usize = 100;
const TAIL_FEWEST: usize = 10;
/// A tail that is thinner than this, nats on average, says nothing about what lies beyond.
const THINNEST: f32 = 1e-3;
/// More nats than this are as impossible as any.
const MOST: f32 = 1e6;

/// The tail rank of a part's energy: `−log10` of the share of lawful slots whose largest energy is at least as large.
///
/// Between the knots of a table it is interpolated; beyond the largest energy that was seen it goes on in a straight line
/// with the slope of an exponential tail (the mean excess of the largest hundredth), so it stays finite and ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// The part's name.
    part: String,
    /// Energy in nats and its rank, both ascending.
    knots: Vec<(f32, f32)>,
    /// Ranks a nat beyond the last knot.
    slope: f32,
}

impl Rank {
    /// From the largest energies of lawful slots.
    pub fn learn(part: String, mut energies: Vec<f32>) -> Self {
        energies.sort_by(f32::total_cmp);
        let count = energies.len();
        let mut knots: Vec<(f32, f32)> = Vec::new();
        for step in 0.. {
            let reaching = (count as f64 * 10_f64.powf(-f64::from(step) / KNOTS)).round() as usize;
            if reaching == 0 {
                break;
            }
            let energy = energies[count - reaching];
            let tied = count - energies.partition_point(|e| *e < energy);
            if knots.last().is_none_or(|last| energy > last.0) {
                knots.push((energy, (count as f64 / tied as f64).log10() as f32));
            }
        }
        Self { part, knots, slope: slope(&energies) }
    }

    /// The rank of an energy.
    pub fn of(&self, energy: f32) -> f32 {
        let energy = energy.min(MOST);
        let above = self.knots.partition_point(|knot| knot.0 <= energy);
        match (above.checked_sub(1).and_then(|below| self.knots.get(below)), self.knots.get(above)) {
            (Some(&(e0, r0)), Some(&(e1, r1))) => r0 + (r1 - r0) * (energy - e0) / (e1 - e0),
            (Some(&(last, rank)), None) => rank + (energy - last) * self.slope,
            (None, Some(_)) => 0.0,
            (None, None) => energy * self.slope,
        }
    }

    /// Whether its numbers can be used.
    pub(super) fn is_sound(&self) -> bool {
        let finite = self.knots.iter().all(|knot| knot.0.is_finite() && knot.1.is_finite() && knot.1 >= 0.0);
        let ascending = self.knots.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        finite && ascending && self.slope.is_finite() && self.slope > 0.0
    }
}

/// The rank of an energy where no lawful footage is known: as if it were a probability that can be believed.
pub(super) fn plain(energy: f32) -> f32 {
    energy.min(MOST) / LN_10
}

fn slope(ascending: &[f32]) -> f32 {
    let top = (ascending.len() / TAIL_SHARE).max(TAIL_FEWEST).min(ascending.len());
    let tail = &ascending[ascending.len() - top..];
    let from = tail.first().copied().unwrap_or_default();
    let excess = tail.iter().map(|e| e - from).sum::<f32>() / top.max(1) as f32;
    if excess > THINNEST { 1.0 / (excess * LN_10) } else { 1.0 / LN_10 }
}

#[cfg(test)]
mod tests {
    use super::super::uniform;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rank_is_the_share_that_reaches_and_goes_on_straight() {
        // Exponential energies: a share exp(−e) reaches e, so the rank is e / ln 10, inside and beyond.
        let rank = Rank::learn("new".into(), (0..20_000).map(|i| -uniform(i).ln() as f32).collect());
        for energy in [0.5, 1.0, 3.0, 6.0] {
            assert!((rank.of(energy) - energy / LN_10).abs() < 0.1, "{energy}: {}", rank.of(energy));
        }
        let (near, far) = (rank.of(20.0), rank.of(40.0));
        assert!((far - near - 20.0 / LN_10).abs() < 2.0, "{near} {far}");
        assert!(rank.is_sound() && rank.knots.len() < 90);
    }

    #[test]
    fn a_part_that_lawful_footage_never_shows_is_read_in_nats() {
        let rank = Rank::learn("shape".into(), vec![0.0; 500]);
        assert_eq!(rank.of(0.0), 0.0);
        assert!((rank.of(5.0) - plain(5.0)).abs() < 1e-6);
        assert!((Rank::learn("x".into(), Vec::new()).of(2.0) - plain(2.0)).abs() < 1e-6);
    }

    proptest! {
        /// Whatever was seen, a larger energy never has a smaller rank, and every rank is finite.
        #[test]
        fn ranks_are_ordered_and_finite(seen in prop::collection::vec(prop_oneof![Just(0.0f32), 0f32..50.0], 0..300), mut asked in prop::collection::vec(prop_oneof![0f32..80.0, 0f32..1e30], 2..20)) {
            let rank = Rank::learn("p".into(), seen);
            prop_assert!(rank.is_sound());
            asked.sort_by(f32::total_cmp);
            let ranks: Vec<f32> = asked.iter().map(|e| rank.of(*e)).collect();
            prop_assert!(ranks.is_sorted() && ranks.iter().all(|r| r.is_finite() && *r >= 0.0), "{:?}", ranks);
        }
    }
}
