//! Pixels as the encoder takes them: `[window, frame, channel, row, column]`, normalised float32.
//!
//! Invariant: bit for bit what `startle_models.reference.normalise` computes in numpy, which is
//! `(v.astype(float32) / 255 − mean) / std` with every step rounded to float32.

use crate::clip::ClipSpec;
use crate::media::Picture;
use ndarray::{ArrayView5, Axis, CowArray, Ix5};

/// Colour channels of a picture.
const CHANNELS: usize = 3;

/// Normalised pixels of whole windows, `[windows, frames, 3, side, side]`.
pub type Pixels<'a> = ArrayView5<'a, f32>;

/// Turns 8-bit channel values into the model's, by a table of 256 entries per channel.
#[derive(Debug, Clone)]
pub struct Normalizer {
    table: [[f32; 256]; CHANNELS],
    mean: [f32; CHANNELS],
    std: [f32; CHANNELS],
}

impl Normalizer {
    /// For a `mean` and a standard deviation `std` of red, green and blue, on the scale 0..1.
    pub fn new(mean: [f32; CHANNELS], std: [f32; CHANNELS]) -> Self {
        let mut table = [[0.0; 256]; CHANNELS];
        for (channel, row) in table.iter_mut().enumerate() {
            for (value, entry) in row.iter_mut().enumerate() {
                *entry = (value as f32 / 255.0 - mean[channel]) / std[channel];
            }
        }
        Self { table, mean, std }
    }

    /// As [`Normalizer::append`], of exact values where the picture has them.
    pub fn append_picture(&self, picture: &Picture, out: &mut Vec<f32>) {
        if picture.values().is_empty() {
            return self.append(picture.rgb(), out);
        }
        for channel in 0..CHANNELS {
            // As the papers' code does: mean and deviation on the scale of the values.
            let (mean, std) = (self.mean[channel] * 255.0, self.std[channel] * 255.0);
            out.extend(picture.values().iter().skip(channel).step_by(CHANNELS).map(|value| (value - mean) / std));
        }
    }

    /// Appends the three planes of an interleaved `R G B` picture to `out`.
    pub fn append(&self, rgb: &[u8], out: &mut Vec<f32>) {
        let plane = rgb.len() / CHANNELS;
        let start = out.len();
        out.resize(start + CHANNELS * plane, 0.0);
        let (red, rest) = out[start..].split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let planes = red.iter_mut().zip(green).zip(blue);
        for (pixel, ((red, green), blue)) in rgb.chunks_exact(CHANNELS).zip(planes) {
            *red = self.table[0][usize::from(pixel[0])];
            *green = self.table[1][usize::from(pixel[1])];
            *blue = self.table[2][usize::from(pixel[2])];
        }
    }
}

/// The first `frames` frames of each window: borrowed where they already lie together (one window, or whole windows), else
/// copied.
pub fn leading_frames(whole: Pixels<'_>, frames: usize) -> CowArray<'_, f32, Ix5> {
    let leading = whole.slice_axis_move(Axis(1), (..frames).into());
    if leading.is_standard_layout() { leading.into() } else { leading.to_owned().into() }
}

/// Bytes without end from a 32-bit linear congruential generator (`x ← 1664525·x + 1013904223`, Press et al., *Numerical
/// Recipes*, 2nd ed., §7.1; each value is `x >> 24` after the step).
pub(super) fn noise(seed: u32) -> impl Iterator<Item = u8> {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(step(&seed), step).map(|state| (state >> 24) as u8)
}

/// The self-test input: `frames_per_clip` square RGB pictures of [`noise`], one after another, as
/// `startle_models.reference.lcg_pixels`.
pub fn noise_frames(spec: &ClipSpec, seed: u32) -> Vec<Vec<u8>> {
    let mut noise = noise(seed);
    let picture = CHANNELS * (spec.crop_size * spec.crop_size) as usize;
    (0..spec.frames_per_clip).map(|_| noise.by_ref().take(picture).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array5, s};

    #[test]
    fn planes_are_split_and_normalised() {
        let normalizer = Normalizer::new([0.5, 0.0, 0.0], [0.25, 1.0, 0.5]);
        let mut out = vec![9.0];
        normalizer.append(&[255, 0, 255, 0, 255, 51], &mut out);
        assert_eq!(out, [9.0, 2.0, -2.0, 0.0, 1.0, 2.0, 0.4]);
    }

    #[test]
    fn exact_values_are_taken_where_a_picture_has_them() {
        let normalizer = Normalizer::new([0.5, 0.0, 0.0], [0.25, 1.0, 0.5]);
        let (mut exact, mut rounded) = (Vec::new(), Vec::new());
        normalizer.append_picture(&Picture::exact(2, 1, vec![127.5, 0.0, 0.0, 63.75, 25.5, 51.0]), &mut exact);
        normalizer.append_picture(&Picture::new(2, 1, vec![128, 0, 0, 64, 26, 51]), &mut rounded);
        assert_eq!(exact, [0.0, -1.0, 0.0, 0.1, 0.0, 0.4]);
        assert!(exact.iter().zip(&rounded).all(|(e, r)| (e - r).abs() < 0.01) && exact != rounded);
    }

    #[test]
    fn leading_frames_of_one_window_are_borrowed_and_of_two_gathered() {
        let data =
            Array5::from_shape_fn((2, 4, 3, 1, 1), |(window, frame, c, ..)| (window * 12 + frame * 3 + c) as f32);
        let one = data.slice(s![..1, .., .., .., ..]);
        let led = leading_frames(one, 2);
        assert!(led.is_view() && led.iter().copied().eq((0..6).map(|v| v as f32)));
        let led = leading_frames(data.view(), 1);
        assert_eq!(led.shape(), [2, 1, 3, 1, 1]);
        assert_eq!(led.as_slice().unwrap(), [0.0, 1.0, 2.0, 12.0, 13.0, 14.0]);
    }

    #[test]
    fn noise_is_the_generator_of_the_exporter() {
        let mut spec = crate::clip::spec_for_tests();
        spec.frames_per_clip = 2;
        // x₁ = 1664525 + 1013904223 = 1015568748; x₁ >> 24 = 60.
        let frames = noise_frames(&spec, 1);
        assert_eq!((frames.len(), frames[0].len(), frames[0][0]), (2, 768, 60));
    }
}
