//! From decoded pictures to clips: the model's clock, its picture size, scene cuts and windows.

mod cadence;
mod cut;
mod freeze;
mod plain;
mod region;
mod resample;
mod resize;
mod thumbnail;
mod window;

pub use cadence::{Cadence, Tempo};
pub use cut::{CutDetector, FrameChange};
pub use freeze::FreezeWatch;
pub use region::{Point, Region};
pub use resample::ticks_shown;
pub(crate) use resize::Rescaler;
pub use resize::Resizer;
pub use thumbnail::jpeg_base64;
pub use window::Windower;

use crate::error::{Error, Result};
use crate::media::Picture;
use crate::units::{MediaTime, NANOS_PER_SECOND, PixelBox};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a picture is brought to the model's square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResizeRule {
    /// The whole picture is squeezed to the square: nothing is lost at the sides, aspect is not kept.
    Squash,
    /// The shorter side becomes `resize_size` pixels, then the centre square is cut out
    /// (the Hugging Face `VJEPA2VideoProcessor`'s rule).
    ShorterSide,
    /// As [`ResizeRule::Squash`], by the papers' plain bilinear interpolation, nothing rounded.
    PlainSquash,
    /// The picture's centre square becomes the square, by the papers' plain bilinear interpolation, nothing rounded.
    PlainCentre,
}

/// Most frames of a clip, and from one to the next: 64 are the longest in use.
const MOST_FRAMES: u32 = 4096;
/// Largest side of the model's square, pixels.
const LARGEST_SIDE: u32 = 8192;
/// Most pixels of all frames of a clip: three gigabytes as the model takes them.
const MOST_PIXELS: u64 = 1 << 28;

/// The shape of a clip and how it is made from pictures. It comes from the bundle, never from flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipSpec {
    /// Side of the model's square picture, pixels.
    pub crop_size: u32,
    /// Side of a token's patch, pixels.
    pub patch_size: u32,
    /// Frames that share tokens (one slot).
    pub tubelet_size: u32,
    /// Frames in a clip.
    pub frames_per_clip: u32,
    /// Frames per second of the model's clock.
    pub model_fps: f64,
    /// Context lengths in frames, ascending.
    pub context_lengths: Vec<u32>,
    /// Shorter contexts, ascending, from which the first window of a video alone is predicted too: without them nothing is
    /// predicted in a video's first frames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opening_contexts: Vec<u32>,
    /// Slots predicted after the context; `None`: all up to the end of the clip.
    #[serde(default)]
    pub horizon: Option<u32>,
    /// Frames between the starts of neighbouring windows.
    pub stride: u32,
    /// How a picture becomes the model's square.
    pub resize: ResizeRule,
    /// Target of the shorter side for [`ResizeRule::ShorterSide`], pixels.
    pub resize_size: u32,
}

impl ClipSpec {
    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`Error::Config`] that names the value, its range and the rule.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Config(what));
        if self.patch_size == 0 || !self.crop_size.is_multiple_of(self.patch_size) || self.crop_size == 0 {
            return fail(format!("crop_size {} is not a multiple of patch_size {}", self.crop_size, self.patch_size));
        }
        if self.tubelet_size == 0
            || !self.frames_per_clip.is_multiple_of(self.tubelet_size)
            || self.frames_per_clip < 2 * self.tubelet_size
        {
            return fail(format!(
                "frames_per_clip {} must be a multiple of tubelet_size {} and at least twice as long",
                self.frames_per_clip, self.tubelet_size
            ));
        }
        let pixels = u64::from(self.crop_size).pow(2).saturating_mul(u64::from(self.frames_per_clip));
        let longest = self.frames_per_clip.max(self.stride);
        if longest > MOST_FRAMES || self.crop_size.max(self.resize_size) > LARGEST_SIDE || pixels > MOST_PIXELS {
            return fail(format!(
                "clips of {} frames of {}² pixels (resize to {}, stride {}) are larger than startle makes them: at most \
                 {MOST_FRAMES} frames, sides of {LARGEST_SIDE} and {MOST_PIXELS} pixels in all",
                self.frames_per_clip, self.crop_size, self.resize_size, self.stride
            ));
        }
        if !(self.model_fps.is_finite() && self.model_fps > 0.0 && self.model_fps <= 1000.0) {
            return fail(format!("model_fps {} must lie in (0, 1000]", self.model_fps));
        }
        if self.context_lengths.is_empty() || !self.context_lengths.is_sorted_by(|a, b| a < b) {
            return fail("context_lengths must be ascending and not empty".into());
        }
        for &context in self.context_lengths.iter().chain(&self.opening_contexts) {
            if context == 0 || context >= self.frames_per_clip || !context.is_multiple_of(self.tubelet_size) {
                return fail(format!(
                    "context length {context} must be a multiple of {} and less than {} frames",
                    self.tubelet_size, self.frames_per_clip
                ));
            }
        }
        if self.stride == 0 || !self.stride.is_multiple_of(self.tubelet_size) {
            return fail(format!("stride {} must be a multiple of tubelet_size {}", self.stride, self.tubelet_size));
        }
        if self.horizon == Some(0) {
            return fail("horizon must be at least 1 slot".into());
        }
        if self.resize == ResizeRule::ShorterSide && self.resize_size < self.crop_size {
            return fail(format!("resize_size {} is smaller than crop_size {}", self.resize_size, self.crop_size));
        }
        Ok(())
    }

    /// The context lengths from which a clip is predicted: those of every clip, then the opening ones.
    pub(crate) fn contexts_of(&self, clip: &Clip) -> impl Iterator<Item = u32> {
        let opening = if clip.is_first() { &self.opening_contexts[..] } else { &[] };
        self.context_lengths.iter().chain(opening).copied()
    }

    /// For live streams: the longest context and the slot after it alone, so that a slot is judged as soon as its last
    /// frame is there and no later window has anything to add.
    #[must_use]
    pub fn prompt(&self) -> Self {
        let context_lengths = vec![self.frames_per_clip - self.tubelet_size];
        Self { context_lengths, opening_contexts: Vec::new(), horizon: Some(1), ..self.clone() }
    }

    /// The same clips with every `step`-th frame of the clock: a longer look with less detail in time.
    #[must_use]
    pub fn slower(&self, step: u32) -> Self {
        Self { model_fps: self.model_fps / f64::from(step), ..self.clone() }
    }

    /// Tokens along one side of the picture.
    pub const fn grid(&self) -> usize {
        (self.crop_size / self.patch_size) as usize
    }

    /// Tokens of one slot.
    pub const fn tokens_per_slot(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Slots of a clip.
    pub const fn slots(&self) -> usize {
        (self.frames_per_clip / self.tubelet_size) as usize
    }

    /// The slots that are predicted from a context of `context` frames, as a range within the clip.
    pub fn target_slots(&self, context: u32) -> std::ops::Range<usize> {
        let first = (context / self.tubelet_size) as usize;
        let last = self.horizon.map_or(self.slots(), |h| (first + h as usize).min(self.slots()));
        first..last
    }

    /// Time of a tick of the model's clock: tick `k` is at `k / model_fps` seconds from the start of its segment.
    pub fn tick_time(&self, tick: u64) -> MediaTime {
        MediaTime::from_nanos((tick as f64 * NANOS_PER_SECOND as f64 / self.model_fps).round() as i64)
    }

    /// Length of a slot, seconds.
    pub fn slot_s(&self) -> f64 {
        f64::from(self.tubelet_size) / self.model_fps
    }

    /// The part of a `width × height` picture that the model sees.
    pub fn visible(&self, width: u32, height: u32) -> PixelBox {
        let (w, h) = (width as f32, height as f32);
        match self.resize {
            ResizeRule::Squash | ResizeRule::PlainSquash => [0.0, 0.0, w, h],
            ResizeRule::PlainCentre => {
                let side = w.min(h);
                let (x, y) = (((w - side) / 2.0).floor(), ((h - side) / 2.0).floor());
                [x, y, x + side, y + side]
            }
            ResizeRule::ShorterSide => {
                let side = w.min(h) * self.crop_size as f32 / self.resize_size as f32;
                [(w - side) / 2.0, (h - side) / 2.0, f32::midpoint(w, side), f32::midpoint(h, side)]
            }
        }
    }

    /// The pixels of a `width × height` picture under the tokens `rows × cols` (end exclusive).
    pub fn cell_box(
        &self,
        (width, height): (u32, u32),
        rows: std::ops::Range<usize>,
        cols: std::ops::Range<usize>,
    ) -> PixelBox {
        let [x0, y0, x1, y1] = self.visible(width, height);
        let grid = self.grid() as f32;
        let at = |from: f32, to: f32, cell: usize| from + (to - from) * cell as f32 / grid;
        [at(x0, x1, cols.start), at(y0, y1, rows.start), at(x0, x1, cols.end), at(y0, y1, rows.end)]
    }
}

/// A picture on the model's clock.
#[derive(Debug)]
pub struct ModelFrame {
    /// When the frame is due, from the first frame of the input.
    pub time: MediaTime,
    /// The model's square, `crop_size²`.
    pub square: Picture,
    /// A small copy of the whole picture, for people.
    pub preview: Picture,
    /// How it differs from the frame before it on the model's clock.
    pub change: FrameChange,
    /// Coded without reference to others: the picture may change a little here for the codec's sake alone.
    pub key: bool,
}

/// Exactly `frames_per_clip` consecutive frames of one segment at the model's cadence.
#[derive(Debug, Clone)]
pub struct Clip {
    /// The stream that it is cut from, among those that share a model: a camera's number, 0 for a file.
    pub stream: usize,
    /// Ticks of the model's clock between its frames: 1, or more for a clip of a slower rate (see
    /// [`ClipSpec::slower`]).
    pub frame_step: u32,
    /// The segment (uncut run of frames) that the clip lies in, counted from 0.
    pub segment: u32,
    /// Index of the clip's first frame within the segment.
    pub start_tick: u64,
    /// The frames; shared between overlapping clips.
    pub frames: Vec<Arc<ModelFrame>>,
}

impl Clip {
    /// Whether it is the first of its video.
    pub(crate) const fn is_first(&self) -> bool {
        self.segment == 0 && self.start_tick == 0
    }

    /// The clip's last frame alone, as a clip.
    #[must_use]
    pub fn last_alone(&self) -> Self {
        let start_tick = self.start_tick + self.frames.len().saturating_sub(1) as u64;
        Self { start_tick, frames: self.frames.last().cloned().into_iter().collect(), ..self.clone() }
    }

    /// The same clip with its pictures shrunk to a dot: for keeping many clips' times without their pixels.
    #[must_use]
    pub fn without_pixels(&self) -> Self {
        let dot = || Picture::new(1, 1, vec![0; 3]);
        let frame = |f: &Arc<ModelFrame>| {
            Arc::new(ModelFrame { time: f.time, square: dot(), preview: dot(), change: f.change, key: f.key })
        };
        let frames = self.frames.iter().map(frame).collect();
        let Self { stream, frame_step, segment, start_tick, .. } = *self;
        Self { stream, frame_step, segment, start_tick, frames }
    }
}

/// A frame of one pixel at `time`.
#[cfg(test)]
pub(crate) fn frame_for_tests(time: MediaTime) -> ModelFrame {
    picture_for_tests(time, Picture::new(1, 1, vec![0; 3]))
}

/// A frame that shows `square`, unchanged from the one before.
#[cfg(test)]
pub(crate) fn picture_for_tests(time: MediaTime, square: Picture) -> ModelFrame {
    ModelFrame { time, preview: square.clone(), square, change: FrameChange::default(), key: false }
}

#[cfg(test)]
pub(crate) fn spec_for_tests() -> ClipSpec {
    ClipSpec {
        crop_size: 16,
        patch_size: 4,
        tubelet_size: 2,
        frames_per_clip: 8,
        model_fps: 10.0,
        context_lengths: vec![4, 6],
        opening_contexts: Vec::new(),
        horizon: None,
        stride: 2,
        resize: ResizeRule::Squash,
        resize_size: 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_does_not_fit_together_says_which_number() {
        let mut spec = spec_for_tests();
        spec.check().unwrap();
        spec.context_lengths = vec![4, 8];
        assert!(spec.check().unwrap_err().to_string().contains("context length 8"));
        spec.context_lengths = vec![4];
        spec.stride = 3;
        assert!(spec.check().unwrap_err().to_string().contains("stride 3"));
        spec.stride = 2;
        spec.patch_size = 5;
        assert!(spec.check().unwrap_err().to_string().contains("crop_size 16"));
    }

    #[test]
    fn cells_map_back_to_source_pixels() {
        let mut spec = spec_for_tests();
        assert_eq!(spec.cell_box((640, 360), 0..1, 3..4), [480.0, 0.0, 640.0, 90.0]);
        spec.resize = ResizeRule::ShorterSide;
        assert_eq!(spec.cell_box((640, 360), 0..4, 0..4), [140.0, 0.0, 500.0, 360.0]);
        assert_eq!(spec.target_slots(4), 2..4);
        spec.horizon = Some(1);
        assert_eq!(spec.target_slots(4), 2..3);
    }
}
