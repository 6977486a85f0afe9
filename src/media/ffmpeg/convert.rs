//! A decoded frame to an upright, full-range RGB picture with square pixels and tight rows.
//!
//! Rules, in order: colour matrix and range from the frame's tags; an untagged picture is BT.709 when it is at least
//! 1280 wide or more than 576 high and BT.601 otherwise (the rule of common players); untagged range is limited, but
//! full for `yuvj*` and grey. High dynamic range is mapped to BT.709. Alpha is dropped. The width is multiplied by the sample aspect ratio. Then the display
//! matrix turns the picture upright.

use super::raw::{self, Colours, Scaler};
use super::tone::{self, ToneMap};
use crate::media::Picture;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::frame::side_data::Type as FrameData;
use ffmpeg_next::software::scaling;

/// `AVCOL_SPC_BT709`.
const BT709: i32 = 1;
/// `AVCOL_SPC_FCC`.
const FCC: i32 = 4;
/// `AVCOL_SPC_BT470BG`, the same numbers as `SMPTE170M`: BT.601.
const BT601: i32 = 5;
/// `AVCOL_SPC_SMPTE240M`.
const SMPTE240M: i32 = 7;
/// `AVCOL_SPC_BT2020_NCL`.
const BT2020: i32 = 9;
/// Untagged pictures at least this wide are BT.709.
const HD_WIDTH: u32 = 1280;
/// Untagged pictures higher than this (PAL's active lines) are BT.709.
const SD_HEIGHT: u32 = 576;
/// Sample aspect ratios beyond this (or below its inverse) are damage: the widest in use, anamorphic film, is 2.
const WIDEST_SAMPLE: f64 = 4.0;

/// How the picture must be turned to stand upright: first swap the axes, then mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orientation {
    swap: bool,
    flip_x: bool,
    flip_y: bool,
}

impl Orientation {
    /// From a display matrix: nine native-endian 32-bit integers, of which `a b _ c d _` map a stored pixel `(x, y)` to
    /// `(a·x + c·y, b·x + d·y)`. Anything but quarter turns and mirrors is rounded to the nearest of them.
    pub(super) fn from_matrix(bytes: &[u8]) -> Option<Self> {
        let cell = |index: usize| {
            let four = bytes.get(index * 4..index * 4 + 4)?;
            Some(i64::from(i32::from_ne_bytes(four.try_into().ok()?)))
        };
        let (a, b, c, d) = (cell(0)?, cell(1)?, cell(3)?, cell(4)?);
        let swap = b.abs() + c.abs() > a.abs() + d.abs();
        Some(if swap {
            Self { swap, flip_x: c < 0, flip_y: b < 0 }
        } else {
            Self { swap, flip_x: a < 0, flip_y: d < 0 }
        })
    }

    /// Whether the stored picture is already upright.
    pub(super) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// What to tell the reader of a result.
    pub(super) fn describe(self) -> &'static str {
        match (self.swap, self.flip_x, self.flip_y) {
            (false, false, false) => "upright",
            (false, true, false) => "mirrored left to right",
            (false, false, true) => "mirrored top to bottom",
            (false, true, true) => "turned by 180°",
            (true, true, false) => "turned by 90° clockwise",
            (true, false, true) => "turned by 90° counter-clockwise",
            (true, false, false) => "mirrored along the diagonal",
            (true, true, true) => "mirrored along the other diagonal",
        }
    }

    /// Turns a stored picture upright.
    fn apply(self, width: u32, height: u32, rgb: Vec<u8>) -> Picture {
        if self.is_upright() {
            return Picture::new(width, height, rgb);
        }
        let (w, h) = (width as usize, height as usize);
        let (out_w, out_h) = if self.swap { (h, w) } else { (w, h) };
        let mut out = Vec::with_capacity(rgb.len());
        for y in 0..out_h {
            let y = if self.flip_y { out_h - 1 - y } else { y };
            for x in 0..out_w {
                let x = if self.flip_x { out_w - 1 - x } else { x };
                let from = if self.swap { x * w + y } else { y * w + x } * 3;
                out.extend_from_slice(&rgb[from..from + 3]);
            }
        }
        Picture::new(out_w as u32, out_h as u32, out)
    }

    /// Size after [`Orientation::apply`].
    fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.swap { (height, width) } else { (width, height) }
    }
}

/// What the container says of how its pictures are to be shown; a frame's own words go before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Display {
    /// Width of a stored pixel over its height.
    pub sample_aspect: f64,
    /// How to turn it.
    pub orientation: Orientation,
}

impl Display {
    /// How this frame is to be shown.
    fn of(self, frame: &Video) -> (f64, Orientation) {
        let own = frame.side_data(FrameData::DisplayMatrix).and_then(|data| Orientation::from_matrix(data.data()));
        let aspect =
            if self.sample_aspect > 0.0 { self.sample_aspect } else { believable_aspect(frame.aspect_ratio()) };
        (if aspect > 0.0 { aspect } else { 1.0 }, own.unwrap_or(self.orientation))
    }

    /// Size of the frame's picture, upright and in square pixels.
    pub(super) fn size(self, frame: &Video) -> (u32, u32) {
        let (aspect, orientation) = self.of(frame);
        orientation.size(square_pixels(frame.width(), frame.height(), aspect))
    }

    /// What a reader of the result should know of how this frame's picture is made.
    pub(super) fn notes(self, frame: &Video, rule: ColourRule) -> Vec<String> {
        let (aspect, orientation) = self.of(frame);
        let (_, alpha) = raw::rgb_and_alpha(frame.format());
        let mut notes = Vec::new();
        if (aspect - 1.0).abs() > f64::EPSILON {
            notes.push(format!("pixels are not square (aspect {aspect:.4}): width scaled"));
        }
        if !orientation.is_upright() {
            notes.push(format!("picture {} as the file asks", orientation.describe()));
        }
        if alpha {
            notes.push("alpha dropped".into());
        }
        if frame.is_interlaced() {
            notes.push("interlaced: shown as stored, not deinterlaced".into());
        }
        if rule == ColourRule::Careful {
            notes.extend(tone::note(frame));
        }
        notes.extend(colour_note(frame));
        notes
    }
}

/// A sample aspect ratio as a number; 0 when there is none or it can't be believed.
pub(super) fn believable_aspect(ratio: ffmpeg::Rational) -> f64 {
    let (num, den) = (ratio.numerator(), ratio.denominator());
    if num <= 0 || den <= 0 {
        return 0.0;
    }
    let aspect = f64::from(num) / f64::from(den);
    if (1.0 / WIDEST_SAMPLE..=WIDEST_SAMPLE).contains(&aspect) { aspect } else { 0.0 }
}

fn square_pixels(width: u32, height: u32, aspect: f64) -> (u32, u32) {
    ((f64::from(width) * aspect).round().max(1.0) as u32, height)
}

/// How YUV becomes RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourRule {
    /// Rounded exactly, half-size colour planes interpolated; untagged pictures by their size.
    #[default]
    Careful,
    /// As decord and FFmpeg's own scale filter do by default: half-size colour planes repeated, rounded roughly, untagged
    /// pictures BT.601 whatever their size, HDR as if it were none.
    Plain,
}

/// Which YUV the frame is.
fn colours(frame: &Video, rule: ColourRule) -> Colours {
    let format = frame.format();
    let (rgb, _) = raw::rgb_and_alpha(format);
    let matrix = match frame.color_space() {
        Space::BT709 => BT709,
        Space::FCC => FCC,
        Space::BT470BG | Space::SMPTE170M => BT601,
        Space::SMPTE240M => SMPTE240M,
        Space::BT2020NCL | Space::BT2020CL => BT2020,
        _ if rule == ColourRule::Plain => BT601,
        _ if frame.width() >= HD_WIDTH || frame.height() > SD_HEIGHT => BT709,
        _ => BT601,
    };
    let full_range = match frame.color_range() {
        _ if rgb => true,
        Range::JPEG => true,
        Range::MPEG => false,
        Range::Unspecified => {
            let name = format.descriptor().map_or("", |d| d.name());
            name.starts_with("yuvj") || name.starts_with("gray") || name.starts_with("mono")
        }
    };
    Colours { matrix, full_range }
}

/// Colours that the conversion does not do justice to.
fn colour_note(frame: &Video) -> Option<String> {
    let known = [Space::RGB, Space::Unspecified, Space::Reserved, Space::BT709, Space::FCC, Space::BT470BG];
    let known_too = [Space::SMPTE170M, Space::SMPTE240M, Space::BT2020NCL, Space::BT2020CL];
    let space = frame.color_space();
    (!known.contains(&space) && !known_too.contains(&space))
        .then(|| format!("colour matrix {} is not supported: converted by the size rule", space.name().unwrap_or("?")))
}

/// Everything that a conversion depends on; a change of it asks for a new scaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ConverterKey {
    format: Pixel,
    from: (u32, u32),
    to: (u32, u32),
    colours: Colours,
    rule: ColourRule,
}

/// Converts frames; keeps its scaler and buffer while the pictures stay alike.
pub(super) struct Converter {
    scaler: Option<(ConverterKey, Scaler)>,
    buffer: Video,
    rule: ColourRule,
    tone: Option<ToneMap>,
}

impl Converter {
    /// With nothing built yet.
    pub(super) fn new(rule: ColourRule) -> Self {
        Self { scaler: None, buffer: Video::empty(), rule, tone: None }
    }

    /// The frame as a picture.
    pub(super) fn picture(&mut self, frame: &Video, display: Display) -> Result<Picture, ffmpeg::Error> {
        let (aspect, orientation) = display.of(frame);
        let from = (frame.width(), frame.height());
        let to = square_pixels(from.0, from.1, aspect);
        let (colours, rule) = (colours(frame, self.rule), self.rule);
        let key = ConverterKey { format: frame.format(), from, to, colours, rule };
        let mut scaler = match self.scaler.take() {
            Some((old, scaler)) if old == key => scaler,
            _ => {
                self.buffer = Video::empty();
                build(key)?
            }
        };
        let converted = scaler.run(frame, &mut self.buffer);
        self.scaler = Some((key, scaler));
        converted?;
        let mut rgb = tight_rows(&self.buffer, to);
        self.tone = match rule {
            ColourRule::Careful => ToneMap::of(frame, self.tone.take()),
            ColourRule::Plain => None,
        };
        if let Some(tone) = &self.tone {
            tone.apply(&mut rgb);
        }
        Ok(orientation.apply(to.0, to.1, rgb))
    }
}

fn build(key: ConverterKey) -> Result<Scaler, ffmpeg::Error> {
    use scaling::Flags;
    if matches!(key.format, Pixel::None) || key.from.0 == 0 || key.from.1 == 0 {
        return Err(ffmpeg::Error::InvalidData);
    }
    let flags = match key.rule {
        // Accurate rounding and chroma interpolated at every pixel: colours within ±1 rather than ±4 of the exact ones.
        ColourRule::Careful => Flags::BILINEAR | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT | Flags::FULL_CHR_H_INP,
        ColourRule::Plain => Flags::BILINEAR,
    };
    let (from, to) = (key.from, key.to);
    let context = scaling::Context::get(key.format, from.0, from.1, Pixel::RGB24, to.0, to.1, flags)?;
    Ok(Scaler::new(context, key.colours))
}

/// Copies the rows of an RGB24 frame without their padding.
fn tight_rows(frame: &Video, (width, height): (u32, u32)) -> Vec<u8> {
    let row = width as usize * 3;
    let mut rgb = Vec::with_capacity(row * height as usize);
    for line in frame.data(0).chunks(frame.stride(0)).take(height as usize) {
        rgb.extend_from_slice(&line[..row]);
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FFmpeg's own matrices for its four clockwise turns (`av_display_rotation_set` of −0, −90, −180, −270).
    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Vec<u8> {
        let one = 1 << 16;
        [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30].iter().flat_map(|v: &i32| v.to_ne_bytes()).collect()
    }

    #[test]
    fn display_matrices_turn_pictures_upright() {
        // Stored:  1 2 3
        //          4 5 6
        let rgb = || (1..=6u8).flat_map(|v| [v; 3]).collect::<Vec<_>>();
        let turned = |a, b, c, d| {
            let picture = Orientation::from_matrix(&matrix(a, b, c, d)).unwrap().apply(3, 2, rgb());
            (picture.width(), picture.rgb().iter().step_by(3).copied().collect::<Vec<_>>())
        };
        assert_eq!(turned(1, 0, 0, 1), (3, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(turned(0, 1, -1, 0), (2, vec![4, 1, 5, 2, 6, 3]), "90° clockwise");
        assert_eq!(turned(-1, 0, 0, -1), (3, vec![6, 5, 4, 3, 2, 1]), "180°");
        assert_eq!(turned(0, -1, 1, 0), (2, vec![3, 6, 2, 5, 1, 4]), "90° counter-clockwise");
        assert_eq!(turned(-1, 0, 0, 1), (3, vec![3, 2, 1, 6, 5, 4]), "mirrored");
        assert_eq!(turned(0, 1, 1, 0), (2, vec![1, 4, 2, 5, 3, 6]), "transposed");
        assert_eq!(Orientation::from_matrix(&[0; 7]), None);
    }

    #[test]
    fn aspects_out_of_this_world_are_ignored() {
        assert!((believable_aspect(ffmpeg::Rational(4, 3)) - 4.0 / 3.0).abs() < 1e-12);
        for (num, den) in [(0, 1), (1, 0), (-4, 3), (100, 1), (1, 100)] {
            assert!(believable_aspect(ffmpeg::Rational(num, den)) == 0.0);
        }
        assert_eq!(square_pixels(720, 576, 16.0 / 15.0), (768, 576));
        assert_eq!(square_pixels(1, 5, 0.25), (1, 5));
    }
}
