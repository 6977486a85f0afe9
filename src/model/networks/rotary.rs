//! The rotary positions of V-JEPA 2.
//!
//! A head's features hold three sections of 2·⌊⌊d/3⌋/2⌋ for time, row and column; what is left is not turned. Pairs of
//! neighbouring features (2i, 2i + 1) are turned, but the angles are tiled over a section, position · 10000^(−(j mod h)/h)
//! for feature j of a section of 2h: so both members of a pair turn by different angles. That is how the weights were
//! trained (`rotate_queries_or_keys` in `src/models/utils/modules.py` of facebookresearch/vjepa2 keeps it as a known bug).
//!
//! The rows of the query and key weights are put in another order first, all even members before all odd ones, so that a
//! rotation is split, concat, multiply and add; a dot product does not change when both its sides are reordered alike.

use crate::model::onnx::proto::{self, Element};
use crate::model::onnx::{Builder, Value};

/// The base of the angles' rates.
const BASE: f64 = 10_000.0;

/// How the features of a head turn.
#[derive(Debug, Clone)]
pub(super) struct Rotary {
    head: usize,
    /// Pairs in a section.
    half: usize,
    /// Patches along a side of the picture.
    grid: usize,
}

/// Cosines and signed sines of the tokens' angles, [windows or 1, tokens, 1, head], and the number of windows.
pub(super) struct RotaryTable {
    cos: Value,
    sin: Value,
    pub windows: Value,
}

impl Rotary {
    /// For heads of `head` features and pictures of `grid`² patches.
    pub const fn new(head: usize, grid: usize) -> Self {
        Self { head, half: head / 3 / 2, grid }
    }

    /// Pairs in all.
    const fn pairs(&self) -> usize {
        3 * self.half
    }

    /// The old feature for each new one: even members of all sections, odd members, the rest.
    fn order(&self) -> Vec<usize> {
        let member = |odd: usize| (0..self.pairs()).map(move |pair| 2 * pair + odd);
        member(0).chain(member(1)).chain(2 * self.pairs()..self.head).collect()
    }

    /// The old row of a query or key weight for each new one.
    pub fn rows(&self, heads: usize) -> Vec<i64> {
        let order = self.order();
        (0..heads).flat_map(|head| order.iter().map(move |feature| (head * self.head + feature) as i64)).collect()
    }

    /// What time, row and column are multiplied by for the angle of each feature, in the new order: [3, head].
    fn rates(&self) -> Vec<f32> {
        let mut rates = vec![0.0; 3 * self.head];
        for (new, old) in self.order().into_iter().enumerate().filter(|(_, old)| *old < 2 * self.pairs()) {
            let (axis, within) = (old / (2 * self.half), old % (2 * self.half));
            let power = (within % self.half) as f64 / self.half as f64;
            rates[axis * self.head + new] = BASE.powf(-power) as f32;
        }
        rates
    }

    /// The table for tokens whose indices (time · grid² + row · grid + column) are `positions`, [windows or 1, tokens].
    pub fn table(&self, g: &mut Builder, positions: &Value, windows: Value) -> RotaryTable {
        let (area, grid) = (g.integers(&[(self.grid * self.grid) as i64]), g.integers(&[self.grid as i64]));
        let time = g.div(positions, &area);
        let before = g.mul(&time, &area);
        let within = g.sub(positions, &before);
        let row = g.div(&within, &grid);
        let above = g.mul(&row, &grid);
        let column = g.sub(&within, &above);
        let place = [time, row, column].map(|axis| g.unsqueeze(&axis, -1));
        let place = g.concat(&[&place[0], &place[1], &place[2]], -1);
        let place = g.cast(&place, Element::F32);
        let rates = g.floats(&[3, self.head], &self.rates());
        // Each column of the rates has one number that is not zero: the product selects and scales exactly.
        let angle = g.matmul(&place, &rates);
        let angle = g.unsqueeze(&angle, 2);
        let (cos, sin) = (g.op("Cos", &[&angle], &[]), g.op("Sin", &[&angle], &[]));
        let signs: Vec<f32> = (0..self.head).map(|at| if at < self.pairs() { -1.0 } else { 1.0 }).collect();
        let signs = g.floats(&[self.head], &signs);
        RotaryTable { cos, sin: g.mul(&sin, &signs), windows }
    }

    /// Turns [windows, tokens, heads, head], features in the new order.
    pub fn turn(&self, g: &mut Builder, x: &Value, table: &RotaryTable) -> Value {
        let (pairs, all) = (self.pairs() as i64, self.head as i64);
        let even = g.range_of(x, -1, 0..pairs);
        let odd = g.range_of(x, -1, pairs..2 * pairs);
        let swapped = if 2 * pairs < all {
            let rest = g.range_of(x, -1, 2 * pairs..all);
            g.op("Concat", &[&odd, &even, &rest], &[proto::int("axis", -1)])
        } else {
            g.concat(&[&odd, &even], -1)
        };
        let (kept, crossed) = (g.mul(x, &table.cos), g.mul(&swapped, &table.sin));
        g.add(&kept, &crossed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_reordered_once_each_and_rates_are_tiled() {
        let rotary = Rotary::new(20, 4); // sections of 6, a rest of 2
        let mut order = rotary.order();
        assert_eq!(order[..4], [0, 2, 4, 6]);
        assert_eq!(order[9..12], [1, 3, 5]);
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        assert_eq!(rotary.rows(2)[20], 20);
        let rates = rotary.rates();
        // Old features 0, 2, 4 and 1, 3, 5 of the section of time: tiled 0, 1, 2, 0, 1, 2 thirds.
        let due = [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|p: f64| BASE.powf(-p) as f32);
        assert_eq!(rates[..3], due);
        assert_eq!(rates[9..12], [1.0 / 3.0, 0.0, 2.0 / 3.0].map(|p: f64| BASE.powf(-p) as f32));
        assert_eq!(rates[18..20], [0.0, 0.0]);
    }
}
