//! The papers' resize: plain bilinear interpolation between four neighbours, however much smaller the picture becomes, and
//! nothing rounded.
//!
//! Source: `random_resized_crop` in `src/utils/video/transforms.py` of facebookresearch/jepa-intuitive-physics and of
//! facebookresearch/IntPhys2, which with a scale of 1 is `torch.nn.functional.interpolate(mode="bilinear",
//! align_corners=False)` of the centre square or of the whole picture; arithmetic in float32 as there.

use crate::media::Picture;

/// Where a destination pixel lies between two source pixels of one axis.
struct Between {
    low: usize,
    high: usize,
    share: f32,
}

/// A part of a picture: left, top, width, height, pixels.
pub(super) type PixelRect = (usize, usize, usize, usize);

/// The centre square; its place is half the rest, rounded down.
pub(super) fn centre(picture: &Picture) -> PixelRect {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let side = width.min(height);
    ((width - side) / 2, (height - side) / 2, side, side)
}

/// The whole of it.
pub(super) fn whole(picture: &Picture) -> PixelRect {
    (0, 0, picture.width() as usize, picture.height() as usize)
}

/// A part of a picture as a square of `side` pixels, with its exact values.
pub(super) fn square(picture: &Picture, (left, top, width, height): PixelRect, side: usize) -> Picture {
    let (columns, rows) = (places(width, side), places(height, side));
    let stride = picture.width() as usize * 3;
    let mut exact = Vec::with_capacity(side * side * 3);
    for row in &rows {
        let line = |at: usize| &picture.rgb()[(top + at) * stride + left * 3..][..width * 3];
        let (upper, lower) = (line(row.low), line(row.high));
        for column in &columns {
            for channel in 0..3 {
                let across = |line: &[u8]| {
                    let at = |x: usize| f32::from(line[x * 3 + channel]);
                    (1.0 - column.share) * at(column.low) + column.share * at(column.high)
                };
                exact.push((1.0 - row.share) * across(upper) + row.share * across(lower));
            }
        }
    }
    Picture::exact(side as u32, side as u32, exact)
}

/// The places of `count` pixels among `source` ones.
fn places(source: usize, count: usize) -> Vec<Between> {
    let scale = source as f32 / count as f32;
    let place = |at: usize| {
        let real = (scale * (at as f32 + 0.5) - 0.5).max(0.0);
        let low = (real as usize).min(source - 1);
        Between { low, high: (low + 1).min(source - 1), share: (real - low as f32).clamp(0.0, 1.0) }
    };
    (0..count).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_those_of_torch() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 10, 20, 30, 40]]]]).expand(1, 1, 5, 5), size=(2, 2),
        // mode="bilinear") → 7.5, 32.5; to (3, 3): 3.3333, 20, 36.6667.
        let rgb: Vec<u8> = (0..5).flat_map(|_| (0..5u8).flat_map(|x| [x * 10; 3])).collect();
        let picture = Picture::new(5, 5, rgb);
        let row = |side: usize| -> Vec<f32> {
            square(&picture, whole(&picture), side).values().iter().step_by(3).take(side).copied().collect()
        };
        assert_eq!(row(2), [7.5, 32.5]);
        let close = |found: &[f32], due: &[f32]| found.iter().zip(due).all(|(f, d)| (f - d).abs() < 1e-5);
        assert!(close(&row(3), &[10.0 / 3.0, 20.0, 110.0 / 3.0]), "{:?}", row(3));
        assert!(close(&row(10), &[0.0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5, 40.0]), "{:?}", row(10));
    }

    #[test]
    fn the_centre_is_the_lower_half_of_the_rest() {
        let picture = Picture::new(8, 5, vec![0; 120]);
        assert_eq!(centre(&picture), (1, 0, 5, 5));
        assert_eq!(square(&picture, centre(&picture), 4).width(), 4);
    }
}
