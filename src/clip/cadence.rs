//! Whether pictures come as fast as the model's clock ticks, measured where they are: headers lie, and the rate changes in
//! mid-stream.
//!
//! A picture that is shown by several ticks looks to the model like a world that stands still and jumps. A single long hold
//! is that: a world in which nothing changed, as screen recorders leave it. A row of long holds of about one length is
//! slow footage.

use super::ClipSpec;
use crate::units::MediaTime;
use std::collections::VecDeque;

/// Holds longer than so many ticks are long. The clocks of cameras are uneven by a tenth.
const LONG: f64 = 1.1;
/// Slow footage has holds of so many ticks at least, on average.
const SLOW: f64 = 1.2;
/// So many long holds in a row, of about one length, are slow footage.
const ROW: usize = 4;
/// The longest of them over the shortest.
const ALIKE: f64 = 2.5;
/// So many holds in a row that are not long end it.
const FAST: u32 = 3;

/// What a picture's time on show says of the footage around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// The pictures are fast enough; those before it that were in doubt stood still.
    Fits,
    /// A long hold: the next ones will tell.
    Unsure,
    /// Slow footage, from the first of those that were in doubt.
    Slow,
}

/// Measures the rate of pictures as they come.
#[derive(Debug)]
pub struct Cadence {
    /// Seconds of a tick.
    tick_s: f64,
    /// The last long holds in a row, seconds.
    row: VecDeque<f64>,
    slow: bool,
    fast: u32,
}

impl Cadence {
    /// Most pictures that are in doubt at a time.
    pub const DOUBTS: usize = ROW - 1;

    /// Against the clock of these clips.
    pub fn new(spec: &ClipSpec) -> Self {
        Self { tick_s: spec.model_fps.recip(), row: VecDeque::new(), slow: false, fast: 0 }
    }

    /// Takes the time that the next picture is on show.
    pub fn push(&mut self, hold: MediaTime) -> Tempo {
        let hold = hold.secs_f64();
        if hold <= LONG * self.tick_s {
            return self.short();
        }
        self.fast = 0;
        if self.row.len() == ROW {
            self.row.pop_front();
        }
        self.row.push_back(hold);
        let longest = self.row.iter().copied().fold(0.0, f64::max);
        let shortest = self.row.iter().copied().fold(f64::MAX, f64::min);
        let alike = self.row.len() == ROW && longest <= ALIKE * shortest;
        self.slow |= alike && self.hold_s() > SLOW * self.tick_s;
        if self.slow { Tempo::Slow } else { Tempo::Unsure }
    }

    fn short(&mut self) -> Tempo {
        self.fast += 1;
        if self.slow && self.fast < FAST {
            return Tempo::Slow;
        }
        self.reset();
        Tempo::Fits
    }

    /// Forgets the past: what comes next is another scene.
    pub fn reset(&mut self) {
        (self.slow, self.fast) = (false, 0);
        self.row.clear();
    }

    /// The usual hold of late, seconds; 0 where none was long.
    pub fn hold_s(&self) -> f64 {
        self.row.iter().sum::<f64>() / self.row.len().max(1) as f64
    }

    /// Ticks of the clock from one picture to the next, rounded up.
    pub fn step(&self) -> u32 {
        (self.hold_s() / self.tick_s / LONG).ceil().clamp(1.0, 1e6) as u32
    }

    /// Whether a clock of every `step`-th tick is slow enough for the pictures.
    pub fn fits(&self, step: u32) -> bool {
        self.hold_s() <= LONG * self.tick_s * f64::from(step)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec_for_tests;
    use super::*;
    use proptest::prelude::*;

    fn paces(holds: &[f64]) -> Vec<Tempo> {
        // Ten ticks a second.
        let mut cadence = Cadence::new(&spec_for_tests());
        holds.iter().map(|hold| cadence.push(MediaTime::from_secs_f64(*hold))).collect()
    }

    #[test]
    fn slow_footage_is_told_from_a_still_picture() {
        use Tempo::{Fits, Slow, Unsure};
        assert_eq!(paces(&[0.033, 0.033, 3.0, 0.033]), [Fits, Fits, Unsure, Fits], "nothing changed for three seconds");
        assert_eq!(paces(&[0.033, 3.0, 0.7, 2.0, 9.0]), [Fits, Unsure, Unsure, Unsure, Unsure], "now and then");
        for slow in [0.125, 0.2, 1.0, 30.0] {
            assert_eq!(paces(&[slow; 5]), [Unsure, Unsure, Unsure, Slow, Slow], "{slow}");
        }
        let dark = [0.05, 0.15, 0.2, 0.14, 0.2, 0.2, 0.05, 0.05, 0.05, 0.05];
        let told = [Fits, Unsure, Unsure, Unsure, Slow, Slow, Slow, Slow, Fits, Fits];
        assert_eq!(paces(&dark), told, "a camera that slows down in the dark");
    }

    #[test]
    fn the_step_that_fits_is_named() {
        for (hold, step) in [(0.125, 2), (0.2, 2), (0.25, 3), (1.0, 10)] {
            let mut cadence = Cadence::new(&spec_for_tests());
            (0..6).for_each(|_| _ = cadence.push(MediaTime::from_secs_f64(hold)));
            assert_eq!(cadence.step(), step, "{hold}");
            assert!(cadence.fits(step) && !cadence.fits(step - 1), "{hold}");
        }
    }

    proptest! {
        /// A camera at the model's rate or above it whose clock is uneven by up to 9 % is never slow.
        #[test]
        fn uneven_clocks_fit(holds in prop::collection::vec(0.01f64..0.109, 1..200)) {
            prop_assert!(paces(&holds).iter().all(|pace| *pace == Tempo::Fits));
        }
    }
}
