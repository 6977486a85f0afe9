//! A control that expects the last change of the pixels to go on: frame difference of second order.

use super::persistence::{STD, control_info, control_sha256, score_slots};
use super::{FeatureScorer, ModelInfo, Scorer, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;

/// The error of a token is the mean of |p − 2 q + r| over its patch's pixels, in standard deviations of a channel: p
/// of the predicted slot, q of the last context slot, r of the one before it (of a context of one slot: q again, so
/// what is left is the first difference).
#[derive(Debug, Clone)]
pub struct SecondDifference {
    spec: ClipSpec,
    sha256: String,
}

impl SecondDifference {
    /// For clips of the shape `spec`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the spec does not fit together.
    pub fn new(spec: ClipSpec) -> Result<Self> {
        spec.check()?;
        let sha256 = control_sha256("second-difference", &spec);
        Ok(Self { spec, sha256 })
    }

    /// The errors of the tokens of `slot` after a context of `seen` slots.
    fn slot_errors(&self, clip: &Clip, slot: usize, seen: usize) -> Vec<f32> {
        let tubelet = self.spec.tubelet_size as usize;
        let grid = self.spec.grid();
        let mut sums = vec![0.0_f64; grid * grid];
        for index in 0..tubelet {
            let frame = |slot: usize| clip.frames[slot * tubelet + index].square.rgb();
            self.add_frame([frame(slot), frame(seen - 1), frame(seen.saturating_sub(2))], &mut sums);
        }
        let values = tubelet * 3 * (self.spec.patch_size * self.spec.patch_size) as usize;
        sums.into_iter().map(|sum| (sum / values as f64) as f32).collect()
    }

    /// Adds the second differences of one frame to its tokens' sums.
    fn add_frame(&self, [now, last, before]: [&[u8]; 3], sums: &mut [f64]) {
        let (side, patch) = (self.spec.crop_size as usize, self.spec.patch_size as usize);
        let pixels = now.chunks_exact(3).zip(last.chunks_exact(3)).zip(before.chunks_exact(3));
        for (place, ((now, last), before)) in pixels.enumerate() {
            let token = (place / side / patch) * (side / patch) + place % side / patch;
            for channel in 0..3 {
                let value = |pixel: &[u8]| i32::from(pixel[channel]);
                let difference = (value(now) - 2 * value(last) + value(before)).abs();
                sums[token] += f64::from(difference) / (255.0 * f64::from(STD[channel]));
            }
        }
    }
}

impl Scorer for SecondDifference {
    fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    fn info(&self) -> ModelInfo {
        control_info("second difference", &self.sha256, &self.spec)
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        score_slots(&self.spec, clips, |clip, slot, seen| self.slot_errors(clip, slot, seen))
    }
}

impl FeatureScorer for SecondDifference {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{picture_for_tests, spec_for_tests};
    use crate::media::Picture;
    use crate::units::MediaTime;
    use std::sync::Arc;

    /// A clip whose slots of two frames are flat greys, but for the first pixel of token 6, which is `level + 40`.
    fn clip(levels: [u8; 4]) -> Clip {
        let frames = (0..8).map(|index| {
            let mut rgb = vec![levels[index / 2]; 16 * 16 * 3];
            let place = (4 * 16 + 8) * 3;
            rgb[place..place + 3].fill(levels[index / 2] + 40);
            Arc::new(picture_for_tests(MediaTime::ZERO, Picture::new(16, 16, rgb)))
        });
        Clip { stream: 0, frame_step: 1, segment: 0, start_tick: 0, frames: frames.collect() }
    }

    #[test]
    fn a_steady_change_is_expected_and_a_break_of_it_is_not() {
        let mut control = SecondDifference::new(spec_for_tests()).unwrap();
        let scored = control.score(&[clip([10, 20, 30, 30])]).unwrap();
        let [first, second] = &scored[0].contexts[..] else { panic!("two context lengths") };
        assert!(first.errors.row(0).iter().all(|e| *e == 0.0), "10, 20, 30 goes on as it began");
        // 30 − 2 · 20 + 10 = 0 at the next slot, at the one after it too; from slots 2 and 1 it is 30 − 60 + 20 = −10.
        let expected = 10.0 / 255.0 * (1.0 / 0.229 + 1.0 / 0.224 + 1.0 / 0.225) / 3.0;
        assert!(first.errors.row(1).iter().all(|e| *e == 0.0));
        assert!(second.errors.iter().all(|e| (e - expected).abs() < 1e-5), "{:?}", second.errors);
    }
}
