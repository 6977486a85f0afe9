//! Text on a picture, with the font that is built in.

use crate::error::{Error, Result};
use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use std::collections::HashMap;

/// A drawn letter: how much of each pixel it covers.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Where its left upper corner lies from the pen, pixels; the pen stands on the base line.
    pub at: (i32, i32),
    /// Pixels in a row.
    pub width: usize,
    /// Row by row, 0..1.
    pub cover: Vec<f32>,
    /// How far the pen goes on.
    pub advance: f32,
}

/// A font at one size.
pub struct Pen {
    font: FontRef<'static>,
    scale: PxScale,
    letters: HashMap<char, Letter>,
}

impl Pen {
    /// Letters of so many pixels' height.
    ///
    /// # Errors
    /// [`Error::Internal`] when the built-in font is damaged.
    pub fn new(pixels: f32, bold: bool) -> Result<Self> {
        let bytes = if bold { dejavu::sans::bold() } else { dejavu::sans::regular() };
        let damaged = |e| Error::Internal { stage: "annotate", reason: format!("the built-in font is damaged: {e}") };
        let font = FontRef::try_from_slice(bytes).map_err(damaged)?;
        Ok(Self { font, scale: PxScale::from(pixels), letters: HashMap::new() })
    }

    /// From the base line to the top of a high letter, pixels.
    pub fn ascent(&self) -> f32 {
        self.font.as_scaled(self.scale).ascent()
    }

    /// Width of a text, pixels.
    pub fn width(&mut self, text: &str) -> f32 {
        text.chars().map(|c| self.letter(c).advance).sum()
    }

    /// The text, or as much of its beginning as fits, with an ellipsis.
    pub fn fitted(&mut self, text: &str, limit: f32) -> String {
        if self.width(text) <= limit {
            return text.to_owned();
        }
        let mut room = limit - self.letter('…').advance;
        let mut kept: String = text
            .chars()
            .take_while(|&c| {
                room -= self.letter(c).advance;
                room >= 0.0
            })
            .collect();
        kept.truncate(kept.trim_end().len());
        kept + "…"
    }

    /// A letter as it is drawn.
    pub fn letter(&mut self, c: char) -> &Letter {
        let (font, scale) = (&self.font, self.scale);
        self.letters.entry(c).or_insert_with(|| draw(font, scale, c))
    }
}

fn draw(font: &FontRef<'static>, scale: PxScale, c: char) -> Letter {
    let id = font.glyph_id(c);
    let advance = font.as_scaled(scale).h_advance(id);
    let glyph = Glyph { id, scale, position: point(0.0, 0.0) };
    let Some(outline) = font.outline_glyph(glyph) else {
        return Letter { at: (0, 0), width: 1, cover: Vec::new(), advance };
    };
    let bounds = outline.px_bounds();
    let width = bounds.width().ceil().max(1.0) as usize;
    let mut cover = vec![0.0; width * bounds.height().ceil().max(1.0) as usize];
    outline.draw(|x, y, share| {
        if let Some(pixel) = cover.get_mut(y as usize * width + x as usize) {
            *pixel = share.clamp(0.0, 1.0);
        }
    });
    Letter { at: (bounds.min.x as i32, bounds.min.y as i32), width, cover, advance }
}
