//! A control that looks at nothing but how much the whole picture changes.
//!
//! Surprise follows motion; a detector that is no better than this one has learnt nothing about physics.

use super::persistence::{control_info, control_sha256, score_slots};
use super::{FeatureScorer, ModelInfo, Scorer, WindowErrors};
use crate::clip::{Clip, ClipSpec};
use crate::error::Result;

/// The error of every token of a slot is the mean absolute luma change of the slot's frames, 0..1: one value a slot.
#[derive(Debug, Clone)]
pub struct MotionEnergy {
    spec: ClipSpec,
    sha256: String,
}

impl MotionEnergy {
    /// For clips of the shape `spec`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when the spec does not fit together.
    pub fn new(spec: ClipSpec) -> Result<Self> {
        spec.check()?;
        let sha256 = control_sha256("motion-energy", &spec);
        Ok(Self { spec, sha256 })
    }
}

impl Scorer for MotionEnergy {
    fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    fn info(&self) -> ModelInfo {
        control_info("motion energy", &self.sha256, &self.spec)
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        let tubelet = self.spec.tubelet_size as usize;
        score_slots(&self.spec, clips, |clip, slot, _| {
            let frames = &clip.frames[slot * tubelet..(slot + 1) * tubelet];
            let mean = frames.iter().map(|frame| frame.change.motion).sum::<f32>() / frames.len() as f32;
            vec![mean; self.spec.tokens_per_slot()]
        })
    }
}

impl FeatureScorer for MotionEnergy {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{FrameChange, ModelFrame, picture_for_tests, spec_for_tests};
    use crate::media::Picture;
    use crate::units::MediaTime;
    use std::sync::Arc;

    #[test]
    fn a_slot_has_the_mean_motion_of_its_frames_everywhere() {
        let frames = (0..8_u8).map(|index| {
            let change = FrameChange { motion: f32::from(index) / 10.0, ..FrameChange::default() };
            let still = picture_for_tests(MediaTime::ZERO, Picture::new(16, 16, vec![0; 16 * 16 * 3]));
            Arc::new(ModelFrame { change, ..still })
        });
        let clip = Clip { stream: 0, frame_step: 1, segment: 0, start_tick: 0, frames: frames.collect() };
        let scored = MotionEnergy::new(spec_for_tests()).unwrap().score(&[clip]).unwrap();
        let [first, second] = &scored[0].contexts[..] else { panic!("two context lengths") };
        assert_eq!((first.errors.len(), second.errors.len()), (32, 16));
        assert!(first.errors.row(0).iter().all(|e| (e - 0.45).abs() < 1e-6));
        assert!(second.errors.iter().all(|e| (e - 0.65).abs() < 1e-6));
    }
}
