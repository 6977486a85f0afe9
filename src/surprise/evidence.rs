//! Evidence adds up: what stays unlikely for a few slots is more than a flicker.

/// What is kept of the evidence from slot to slot (a picture, of a model of objects): half of it for three slots. Chosen
/// among sums over 1 to 8 slots and fading ones on a validation draw of twins: see the card of the bundled model.
const KEPT: f32 = 0.8;

/// The fading mean of the ranks of a segment's slots: causal, so a curve never looks ahead.
#[derive(Debug, Default)]
pub(super) struct FadingMean {
    mean: f32,
}

impl FadingMean {
    /// Takes the next slot's rank; gives the mean, in which recent slots weigh most.
    pub(super) fn push(&mut self, rank: f32) -> f32 {
        self.mean += (1.0 - KEPT) * (rank - self.mean);
        self.mean
    }

    /// Forgets: what follows is another segment.
    pub(super) fn reset(&mut self) {
        self.mean = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flicker_weighs_less_than_what_stays() {
        let peak = |ranks: &[f32]| {
            let mut evidence = FadingMean::default();
            ranks.iter().map(|rank| evidence.push(*rank)).fold(0.0, f32::max)
        };
        let (flicker, stays) = (peak(&[4.0, 0.0, 0.0, 0.0]), peak(&[2.0; 4]));
        assert!((flicker - 0.8).abs() < 1e-6 && stays > flicker, "{flicker} {stays}");
    }

    #[test]
    fn another_segment_begins_with_nothing() {
        let mut evidence = FadingMean::default();
        evidence.push(5.0);
        evidence.reset();
        assert_eq!(evidence.push(0.0), 0.0);
    }
}
