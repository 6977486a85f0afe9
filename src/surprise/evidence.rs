//! Evidence adds up: what stays unlikely for a few slots is more than a flicker.

use std::collections::VecDeque;

/// Slots (pictures, of a model of objects) whose ranks are averaged. Chosen among 1, 3 and 6 on a validation draw of twins:
/// see the card of the bundled model.
const SLOTS: usize = 3;

/// The mean rank of the last few slots of a segment: causal, so a curve never looks ahead.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    recent: VecDeque<f32>,
}

impl Evidence {
    /// Takes the next slot's rank; gives the mean of the last ones, of as many as there are.
    pub(super) fn push(&mut self, rank: f32) -> f32 {
        if self.recent.len() == SLOTS {
            self.recent.pop_front();
        }
        self.recent.push_back(rank);
        self.recent.iter().sum::<f32>() / self.recent.len() as f32
    }

    /// Forgets: what follows is another segment.
    pub(super) fn reset(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flicker_weighs_less_than_what_stays() {
        let mut evidence = Evidence::default();
        assert_eq!([3.0, 0.0, 0.0, 0.0].map(|rank| evidence.push(rank)), [3.0, 1.5, 1.0, 0.0]);
        assert_eq!([2.0, 2.0, 2.0, 2.0].map(|rank| evidence.push(rank))[2..], [2.0, 2.0]);
        evidence.reset();
        assert_eq!(evidence.push(1.0), 1.0);
    }
}
