//! A picture that is drawn on: rectangles, lines and text, mixed into what is there.
//!
//! Invariant: whatever lies outside the picture is left out; nothing here panics on odd numbers.

use super::text::Pen;
use crate::units::PixelBox;

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// Tight RGB rows.
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// A rectangle of whole pixels within a canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Canvas {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; width * height * 3] }
    }

    /// Row by row, `R G B` for each pixel.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The first rows, for whoever fills them as a whole.
    pub fn rows_mut(&mut self, rows: usize) -> &mut [u8] {
        &mut self.pixels[..rows * self.width * 3]
    }

    /// Fills a rectangle: left, top, right, bottom.
    pub fn fill(&mut self, place: PixelBox, color: Rgb, opacity: f32) {
        let Span { left, top, right, bottom } = self.span(place);
        for y in top..bottom {
            let row = &mut self.pixels[(y * self.width + left) * 3..(y * self.width + right) * 3];
            if opacity >= 1.0 {
                row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&color));
            } else {
                row.chunks_exact_mut(3).for_each(|pixel| mix(pixel, color, opacity));
            }
        }
    }

    /// The outline of a box, `thick` pixels wide, inside a dark line that sets it off; `dash`: length of dashes and of the
    /// holes between them, 0 for a whole line.
    pub fn outline(&mut self, [x0, y0, x1, y1]: PixelBox, color: Rgb, thick: f32, dash: f32) {
        let edge = (thick / 3.0).max(1.0);
        for (grow, color, dash, opacity) in [(edge, [0, 0, 0], 0.0, 0.45), (0.0, color, dash, 1.0)] {
            let (thick, [x0, y0, x1, y1]) = (thick + 2.0 * grow, [x0 - grow, y0 - grow, x1 + grow, y1 + grow]);
            for y in [y0, y1 - thick] {
                for (from, to) in dashes(x0, x1, dash) {
                    self.fill([from, y, to, y + thick], color, opacity);
                }
            }
            for x in [x0, x1 - thick] {
                for (from, to) in dashes(y0 + thick, y1 - thick, dash) {
                    self.fill([x, from, x + thick, to], color, opacity);
                }
            }
        }
    }

    /// One column of a curve: covers from `top` to `bottom`, smooth at both ends.
    pub fn column(&mut self, x: usize, (top, bottom): (f32, f32), color: Rgb, opacity: f32) {
        if x >= self.width || !(top.is_finite() && bottom.is_finite()) {
            return;
        }
        let rows = top.floor().max(0.0) as usize..(bottom.ceil().max(0.0) as usize).min(self.height);
        for y in rows {
            let cover = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
            let at = (y * self.width + x) * 3;
            mix(&mut self.pixels[at..at + 3], color, cover * opacity);
        }
    }

    /// Text whose base line begins at a point; gives where it ends.
    pub fn text(&mut self, pen: &mut Pen, text: &str, (x, y): (f32, f32), color: Rgb) -> f32 {
        let mut x = x;
        for c in text.chars() {
            let letter = pen.letter(c);
            let (left, top) = (x.round() as i64 + i64::from(letter.at.0), y.round() as i64 + i64::from(letter.at.1));
            for (index, cover) in letter.cover.iter().enumerate().filter(|(_, cover)| **cover > 0.0) {
                let (px, py) = (left + (index % letter.width) as i64, top + (index / letter.width) as i64);
                if (0..self.width as i64).contains(&px) && (0..self.height as i64).contains(&py) {
                    let at = (py as usize * self.width + px as usize) * 3;
                    mix(&mut self.pixels[at..at + 3], color, *cover);
                }
            }
            x += letter.advance;
        }
        x
    }

    fn span(&self, [x0, y0, x1, y1]: PixelBox) -> Span {
        let side = |v: f32, most: usize| (v.round().max(0.0) as usize).min(most);
        let (left, top) = (side(x0, self.width), side(y0, self.height));
        Span { left, top, right: side(x1, self.width).max(left), bottom: side(y1, self.height).max(top) }
    }
}

/// Mixes a colour into a pixel.
pub fn mix(pixel: &mut [u8], color: Rgb, opacity: f32) {
    let share = (opacity.clamp(0.0, 1.0) * 256.0) as i32;
    for (old, new) in pixel.iter_mut().zip(color) {
        *old = (i32::from(*old) + (((i32::from(new) - i32::from(*old)) * share) >> 8)) as u8;
    }
}

/// The drawn parts of a line.
fn dashes(from: f32, to: f32, dash: f32) -> Vec<(f32, f32)> {
    if dash <= 0.0 || to <= from {
        return vec![(from, to)];
    }
    let count = ((to - from) / (2.0 * dash)).ceil().clamp(0.0, 10_000.0) as usize;
    (0..count).map(|k| from + 2.0 * dash * k as f32).map(|start| (start, (start + dash).min(to))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut canvas = Canvas::new(4, 3);
        canvas.fill([-5.0, 1.0, 2.0, 2.0], [255, 0, 0], 1.0);
        canvas.fill([f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.4], [9, 9, 9], 1.0);
        canvas.fill([3.0, 3.0, 1.0, 1.0], [9, 9, 9], 1.0);
        let red: Vec<u8> = canvas.pixels().chunks_exact(3).map(|pixel| pixel[0]).collect();
        assert_eq!(red, [0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0]);
        canvas.column(3, (-1.0, 1.5), [0, 0, 200], 1.0);
        let blue: Vec<u8> = canvas.pixels().chunks_exact(3).skip(3).step_by(4).map(|pixel| pixel[2]).collect();
        assert_eq!(blue, [200, 100, 0]);
        canvas.column(9, (0.0, 1.0), [1, 1, 1], 1.0);
        canvas.column(0, (f32::NAN, 1.0), [1, 1, 1], 1.0);
        let mut pen = Pen::new(20.0, false).unwrap();
        canvas.text(&mut pen, "Wij\n\u{4e00}", (-10.0, 100.0), [1, 1, 1]);
        canvas.outline([-10.0, -10.0, 900.0, 900.0], [1, 1, 1], 2.0, 3.0);
    }

    #[test]
    fn text_is_cut_where_it_does_not_fit() {
        let mut pen = Pen::new(16.0, true).unwrap();
        let whole = pen.width("A red ball");
        assert_eq!(pen.fitted("A red ball", whole + 1.0), "A red ball");
        let cut = pen.fitted("A red ball that was not seen", whole);
        assert!(cut.starts_with("A red") && cut.ends_with('…') && pen.width(&cut) <= whole, "{cut}");
    }
}
