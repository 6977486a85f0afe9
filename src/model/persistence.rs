//! A model without weights, which expects everything to stay where it is.
//!
//! It is the control that every evaluation prints beside the real model (surprise follows motion; this is motion and
//! nothing else), and the stand-in that lets the rest of the program be tested without ONNX Runtime.

use super::jepa::{check_clip, of_slots};
use super::{FeatureScorer, ModelInfo, Scorer, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Standard deviation of red, green and blue over the `ImageNet` pictures, on the scale 0..1: the usual unit of normalised pixels.
pub(super) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Predicts that the pixels of the last context slot stay; the error of a token is the mean absolute difference of
/// its patch's pixels, in standard deviations of a channel.
#[derive(Debug, Clone)]
pub struct Persistence {
    spec: ClipSpec,
    sha256: String,
}

impl Persistence {
    /// For clips of the shape `spec`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the spec does not fit together.
    pub fn new(spec: ClipSpec) -> Result<Self> {
        spec.check()?;
        let sha256 = control_sha256("persistence", &spec);
        Ok(Self { spec, sha256 })
    }

    /// The mean difference, in standard deviations, between the patch of `now` and of `then` at `row`, `col`.
    fn patch_error(&self, now: &[u8], then: &[u8], (row, col): (usize, usize)) -> f64 {
        let (side, patch) = (self.spec.crop_size as usize, self.spec.patch_size as usize);
        let mut sums = [0_u64; 3];
        for y in row * patch..(row + 1) * patch {
            let line = (y * side + col * patch) * 3..(y * side + (col + 1) * patch) * 3;
            add_differences(&now[line.clone()], &then[line], &mut sums);
        }
        let scaled = sums.iter().zip(STD).map(|(&sum, std)| sum as f64 / (255.0 * f64::from(std)));
        scaled.sum::<f64>() / (3 * patch * patch) as f64
    }

    fn slot_errors(&self, clip: &Clip, frames: &Range<usize>, last: usize) -> Vec<f32> {
        let grid = self.spec.grid();
        let error = |cell| {
            let errors = frames.clone().enumerate().map(|(index, frame)| {
                let (now, then) = (&clip.frames[frame].square, &clip.frames[last + index].square);
                self.patch_error(now.rgb(), then.rgb(), (cell / grid, cell % grid))
            });
            (errors.sum::<f64>() / frames.len() as f64) as f32
        };
        (0..grid * grid).map(error).collect()
    }
}

/// What a control without weights is.
pub(super) fn control_info(name: &str, sha256: &str, spec: &ClipSpec) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        sha256: sha256.into(),
        family: "control".into(),
        precision: "exact".into(),
        execution_provider: "none".into(),
        frames_per_clip: spec.frames_per_clip,
        model_fps: spec.model_fps,
        contexts: spec.context_lengths.clone(),
        stride: spec.stride,
    }
}

/// The identity of a control's numbers.
pub(super) fn control_sha256(name: &str, spec: &ClipSpec) -> String {
    hex::encode(Sha256::digest(format!("startle.{name}/1 {spec:?}")))
}

/// The errors of a control for each clip: `slot_errors` gives the errors of the tokens of one predicted slot, given
/// the clip, the slot and the number of slots in the context.
pub(super) fn score_slots(
    spec: &ClipSpec,
    clips: &[Clip],
    slot_errors: impl Fn(&Clip, usize, usize) -> Vec<f32>,
) -> Result<Vec<WindowErrors>> {
    let score_one = |clip: &Clip| -> Result<WindowErrors> {
        check_clip(clip, spec)?;
        let mut contexts = Vec::with_capacity(spec.context_lengths.len());
        for context in spec.contexts_of(clip) {
            let slots = spec.target_slots(context);
            let errors = slots.clone().flat_map(|slot| slot_errors(clip, slot, slots.start));
            contexts.push(of_slots(spec, context, errors.collect())?);
        }
        Ok(contexts.into())
    };
    clips.iter().map(score_one).collect()
}

fn add_differences(now: &[u8], then: &[u8], sums: &mut [u64; 3]) {
    for (now, then) in now.chunks_exact(3).zip(then.chunks_exact(3)) {
        for (sum, (&now, &then)) in sums.iter_mut().zip(now.iter().zip(then)) {
            *sum += u64::from(now.abs_diff(then));
        }
    }
}

impl Scorer for Persistence {
    fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    fn info(&self) -> ModelInfo {
        control_info("persistence", &self.sha256, &self.spec)
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        let tubelet = self.spec.tubelet_size as usize;
        score_slots(&self.spec, clips, |clip, slot, seen| {
            self.slot_errors(clip, &(slot * tubelet..(slot + 1) * tubelet), (seen - 1) * tubelet)
        })
    }
}

impl FeatureScorer for Persistence {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{picture_for_tests, spec_for_tests};
    use crate::media::Picture;
    use crate::units::MediaTime;
    use std::sync::Arc;

    /// Grey 100; in frames `bright`, the 4×4 patch at row 1, column 2 is 151.
    fn clip(bright: Range<usize>) -> Clip {
        let frames = (0..8).map(|index| {
            let mut rgb = vec![100_u8; 16 * 16 * 3];
            for (pixel, value) in rgb.iter_mut().enumerate() {
                let (x, y) = (pixel / 3 % 16, pixel / 3 / 16);
                if bright.contains(&index) && (4..8).contains(&y) && (8..12).contains(&x) {
                    *value = 151;
                }
            }
            Arc::new(picture_for_tests(MediaTime::ZERO, Picture::new(16, 16, rgb)))
        });
        Clip { stream: 0, frame_step: 1, segment: 0, start_tick: 0, frames: frames.collect() }
    }

    #[test]
    fn what_appears_is_surprising_where_and_when_it_appears() {
        let mut model = Persistence::new(spec_for_tests()).unwrap();
        let scored = model.score(&[clip(0..0), clip(6..8), clip(5..8)]).unwrap();
        assert!(scored[0].contexts.iter().all(|c| c.errors.iter().all(|&e| e == 0.0)));
        let [first, second] = &scored[1].contexts[..] else { panic!("two context lengths") };
        assert_eq!((first.first_slot, first.errors.len(), second.errors.len()), (2, 32, 16));
        // 51 levels of 255 = 0.2; over the channels' standard deviations.
        let expected = 0.2 * (1.0 / 0.229 + 1.0 / 0.224 + 1.0 / 0.225) / 3.0;
        let cell = 4 + 2;
        assert!((first.errors[[1, cell]] - expected).abs() < 1e-5);
        assert!((scored[2].contexts[0].errors[[0, cell]] - expected / 2.0).abs() < 1e-5);
        assert_eq!(first.errors.iter().filter(|&&e| e > 0.0).count(), 1);
    }

    #[test]
    fn a_clip_of_another_shape_is_refused() {
        let mut short = clip(0..0);
        short.frames.pop();
        let error = Persistence::new(spec_for_tests()).unwrap().score(&[short]).unwrap_err();
        assert!(error.to_string().contains("7 frames, the model takes 8"), "{error}");
    }
}
