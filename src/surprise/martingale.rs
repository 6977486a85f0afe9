//! Has the stream left the world in which the thresholds were calibrated? A bet against exchangeability.
//!
//! Source: Vovk, Petej, Nouretdinov, Ahlberg, Carlsson, Gammerman, *Retrain or not retrain: conformal test martingales
//! for change-point detection*, COPA 2021: the Simple Jumper, whose gambler bets on small (ε = 1) or on any (ε = 0)
//! p-values and changes his mind at a rate J. (He could bet on large ones too; but a stream that is calmer than the
//! calibration's footage keeps every promise, and needs no warning.)

/// The rate at which the gambler changes his mind, as in the paper.
const JUMP: f64 = 0.01;
/// The capital at which the warning is given: under exchangeability a fair game reaches a thousandfold with probability at
/// most 1/1000 (Ville's inequality).
const ALARM: f64 = 1e3;
/// The warning ends, and the game begins anew, when the gambler has so little left on small p-values: he has learnt that
/// they are as they should be.
const ALL_CLEAR: f64 = 0.2;

/// Bets on p-values, one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Martingale {
    /// Capital on ε = 0 and 1.
    capital: [f64; 2],
    warned: bool,
}

impl Default for Martingale {
    fn default() -> Self {
        Self { capital: [0.5; 2], warned: false }
    }
}

impl Martingale {
    /// Takes the next p-value; the p-values should be of moments far enough apart to be independent.
    pub fn push(&mut self, p_value: f32) {
        let total: f64 = self.capital.iter().sum();
        for (capital, epsilon) in self.capital.iter_mut().zip([0.0, 1.0]) {
            *capital = (1.0 - JUMP) * *capital + JUMP * total / 2.0;
            *capital *= 1.0 - epsilon * (f64::from(p_value) - 0.5);
        }
        let total: f64 = self.capital.iter().sum();
        // The game begins anew whenever he has lost (the CUSUM form, section 5), so that old losses do not delay a
        // warning; the mean time to a false one is then at least ALARM bets.
        let kept = total.clamp(1.0, ALARM);
        self.capital.iter_mut().for_each(|capital| *capital *= kept / total);
        if self.warned && self.capital[1] < ALL_CLEAR * kept {
            *self = Self::default();
        } else {
            self.warned |= kept >= ALARM;
        }
    }

    /// Whether the stream has left the calibration's world.
    pub const fn warned(&self) -> bool {
        self.warned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(i: usize) -> f32 {
        super::super::uniform(i) as f32
    }

    #[test]
    fn a_stream_of_the_calibrations_world_is_left_alone() {
        let mut martingale = Martingale::default();
        for i in 1..100_000 {
            martingale.push(uniform(i));
            assert!(!martingale.warned(), "after {i}");
        }
    }

    #[test]
    fn a_violation_is_no_new_world_but_a_moved_camera_is_until_it_is_put_back() {
        let mut martingale = Martingale::default();
        (1..1000).for_each(|i| martingale.push(uniform(i)));
        (0..10).for_each(|_| martingale.push(0.001));
        assert!(!martingale.warned(), "ten surprising slots are an event");
        (0..40).for_each(|i| martingale.push(0.1 * uniform(i)));
        assert!(martingale.warned());
        (1..1000).for_each(|i| martingale.push(uniform(i)));
        assert!(!martingale.warned(), "back to normal");
    }

    #[test]
    fn a_calmer_stream_keeps_every_promise() {
        let mut martingale = Martingale::default();
        (0..1000).for_each(|i| martingale.push(0.7 + 0.3 * uniform(i)));
        assert!(!martingale.warned());
    }
}
