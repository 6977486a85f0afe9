//! Frames on the model's clock to overlapping clips.

use super::{Clip, ClipSpec, ModelFrame};
use std::collections::VecDeque;
use std::sync::Arc;

/// Cuts the frames of a segment into clips; a new segment starts empty, so no clip crosses a discontinuity.
pub struct Windower {
    frame_step: u32,
    frames_per_clip: usize,
    stride: usize,
    segment: u32,
    next_tick: u64,
    buffer: VecDeque<Arc<ModelFrame>>,
}

impl Windower {
    /// For clips of this shape, `spec.stride` frames apart.
    pub fn new(spec: &ClipSpec) -> Self {
        Self {
            frame_step: 1,
            frames_per_clip: spec.frames_per_clip as usize,
            stride: spec.stride as usize,
            segment: 0,
            next_tick: 0,
            buffer: VecDeque::with_capacity(spec.frames_per_clip as usize),
        }
    }

    /// Marks its clips as those of a slower rate.
    #[must_use]
    pub const fn at_step(mut self, frame_step: u32) -> Self {
        self.frame_step = frame_step;
        self
    }

    /// Takes the next frame of the segment; gives the clip that it completes, if any.
    pub fn push(&mut self, frame: Arc<ModelFrame>) -> Option<Clip> {
        if self.buffer.len() == self.frames_per_clip {
            self.buffer.pop_front();
        }
        self.buffer.push_back(frame);
        self.next_tick += 1;
        let start_tick = self.next_tick.checked_sub(self.frames_per_clip as u64)?;
        start_tick.is_multiple_of(self.stride as u64).then(|| Clip {
            stream: 0,
            frame_step: self.frame_step,
            segment: self.segment,
            start_tick,
            frames: self.buffer.iter().cloned().collect(),
        })
    }

    /// Ends the segment: what is left of it is too short for a clip.
    pub fn break_segment(&mut self) {
        if self.next_tick > 0 {
            self.segment += 1;
        }
        self.next_tick = 0;
        self.buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{frame_for_tests, spec_for_tests};
    use super::*;
    use crate::units::MediaTime;
    use proptest::prelude::*;

    fn frame(index: i64) -> Arc<ModelFrame> {
        Arc::new(frame_for_tests(MediaTime::from_nanos(index)))
    }

    proptest! {
        /// Segments of any lengths: every clip lies in one segment, is consecutive, and starts on the stride.
        #[test]
        fn clips_are_consecutive_and_never_cross_a_break(lengths in prop::collection::vec(0usize..40, 1..6), stride in 1u32..4) {
            let spec = ClipSpec { stride: stride * 2, ..spec_for_tests() };
            let mut windower = Windower::new(&spec);
            let mut index = 0;
            for length in lengths {
                let first = index;
                let mut clips = Vec::new();
                for _ in 0..length {
                    clips.extend(windower.push(frame(index)));
                    index += 1;
                }
                let expected = if length < 8 { 0 } else { (length - 8) / spec.stride as usize + 1 };
                prop_assert_eq!(clips.len(), expected);
                for clip in clips {
                    prop_assert_eq!(clip.start_tick % u64::from(spec.stride), 0);
                    for (offset, f) in clip.frames.iter().enumerate() {
                        prop_assert_eq!(f.time.nanos(), first + clip.start_tick as i64 + offset as i64);
                    }
                }
                windower.break_segment();
            }
        }
    }
}
