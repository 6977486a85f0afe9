//! A decoded picture to the model's square, and to a small preview for people.
//!
//! Antialiased bilinear (a triangle filter whose support grows with the reduction), as Pillow's `resize` and
//! torchvision's `resize(antialias=True)` do; the difference to them is stated and tested in `tests/golden.rs`. The papers'
//! own interpolation is in [`plain`].

use super::{ClipSpec, ResizeRule, plain};
use crate::error::{Error, Result};
use crate::media::Picture;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer as Engine};

/// Largest width of a preview, pixels.
const PREVIEW_WIDTH: u32 = 320;

/// Pictures to other sizes; keeps its buffers between calls. By the pixels' type, so that the filters of the crate's thirty
/// other types are not built in.
#[derive(Default)]
pub(crate) struct Rescaler(Engine);

impl Rescaler {
    /// Fills `rgb`, `width · height` pixels, with the picture, smaller or larger.
    ///
    /// # Errors
    /// [`Error::Internal`] when the resizing crate refuses.
    pub(crate) fn fill(&mut self, picture: &Picture, [width, height]: [u32; 2], rgb: &mut [u8]) -> Result<()> {
        if (picture.width(), picture.height()) == (width, height) {
            rgb.copy_from_slice(picture.rgb());
            return Ok(());
        }
        let fail = |e: &dyn std::fmt::Display| Error::Internal { stage: "resize", reason: e.to_string() };
        let source = TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.rgb());
        let mut target = TypedImage::<U8x3>::from_buffer(width, height, rgb).map_err(|e| fail(&e))?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.0.resize_typed(&source.map_err(|e| fail(&e))?, &mut target, &options).map_err(|e| fail(&e))
    }
}

/// Brings pictures of any size to the model's square; keeps its buffers between calls.
pub struct Resizer {
    spec: ClipSpec,
    rescaler: Rescaler,
}

impl Resizer {
    /// For one model.
    pub fn new(spec: &ClipSpec) -> Self {
        Self { spec: spec.clone(), rescaler: Rescaler::default() }
    }

    /// The `crop_size²` square that the model sees.
    ///
    /// # Errors
    /// [`Error::Internal`] when the resizing crate refuses.
    pub fn square(&mut self, picture: &Picture) -> Result<Picture> {
        let crop = self.spec.crop_size;
        match self.spec.resize {
            ResizeRule::Squash => self.resize(picture, crop, crop),
            ResizeRule::ShorterSide => {
                let (w, h) = shorter_side_to(self.spec.resize_size, picture.width(), picture.height());
                let resized = self.resize(picture, w, h)?;
                Ok(centre_crop(&resized, crop))
            }
            ResizeRule::PlainSquash => Ok(plain::square(picture, plain::whole(picture), crop as usize)),
            ResizeRule::PlainCentre => Ok(plain::square(picture, plain::centre(picture), crop as usize)),
        }
    }

    /// A copy of at most 320 pixels' width that keeps the aspect ratio.
    ///
    /// # Errors
    /// As [`Resizer::square`].
    pub fn preview(&mut self, picture: &Picture) -> Result<Picture> {
        let width = picture.width().min(PREVIEW_WIDTH);
        let height = (u64::from(picture.height()) * u64::from(width) / u64::from(picture.width())).max(1) as u32;
        self.resize(picture, width, height)
    }

    fn resize(&mut self, picture: &Picture, width: u32, height: u32) -> Result<Picture> {
        if (picture.width(), picture.height()) == (width, height) {
            return Ok(picture.clone());
        }
        let mut rgb = vec![0; width as usize * height as usize * 3];
        self.rescaler.fill(picture, [width, height], &mut rgb)?;
        Ok(Picture::new(width, height, rgb))
    }
}

/// Size after the shorter side became `size`: the longer side is `int(size · long / short)`, as torchvision's
/// `_compute_resized_output_size` truncates it.
fn shorter_side_to(size: u32, width: u32, height: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| (u64::from(size) * u64::from(long) / u64::from(short)) as u32;
    if width <= height { (size, long(height, width)) } else { (long(width, height), size) }
}

/// The centre `crop²` pixels; the offset is `int((side − crop) / 2)`, as `TorchvisionBackend.center_crop` of
/// transformers takes it (torchvision's own `center_crop` rounds halves to even).
fn centre_crop(picture: &Picture, crop: u32) -> Picture {
    let offset = |side: u32| ((side - crop) / 2) as usize;
    let (x0, y0) = (offset(picture.width()), offset(picture.height()));
    let (row_bytes, crop_bytes) = (picture.width() as usize * 3, crop as usize * 3);
    let rows = picture.rgb().chunks_exact(row_bytes).skip(y0).take(crop as usize);
    let rgb = rows.flat_map(|row| row[x0 * 3..][..crop_bytes].iter().copied()).collect();
    Picture::new(crop, crop, rgb)
}

#[cfg(test)]
mod tests {
    use super::super::spec_for_tests;
    use super::*;

    #[test]
    fn sizes_follow_torchvision() {
        assert_eq!(shorter_side_to(292, 640, 360), (519, 292));
        assert_eq!(shorter_side_to(292, 360, 640), (292, 519));
        assert_eq!(shorter_side_to(292, 1, 1000), (292, 292_000));
    }

    #[test]
    fn crop_takes_the_middle() {
        let rgb = (0..5u8).flat_map(|y| (0..8u8).flat_map(move |x| [x, y, 0])).collect();
        let square = centre_crop(&Picture::new(8, 5, rgb), 4);
        assert_eq!(&square.rgb()[..3], &[2, 0, 0]);
    }

    #[test]
    fn a_flat_picture_of_any_size_stays_flat() {
        for (w, h) in [(1, 1), (3, 1), (641, 359), (16, 16), (17, 2000)] {
            let flat = Picture::new(w, h, vec![77; (w * h * 3) as usize]);
            for rule in [ResizeRule::Squash, ResizeRule::ShorterSide] {
                let spec = ClipSpec { resize: rule, resize_size: 20, ..spec_for_tests() };
                let square = Resizer::new(&spec).square(&flat).unwrap();
                assert_eq!((square.width(), square.height()), (16, 16));
                assert!(square.rgb().iter().all(|&v| v == 77));
            }
        }
    }
}
