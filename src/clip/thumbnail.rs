//! Small pictures for people: a preview as base64 JPEG, as an event carries it.

use crate::error::{Error, Result};
use crate::media::Picture;
use base64::Engine;

/// JPEG quality: artefacts invisible at thumbnail size, about 10 kB for 320×180.
const QUALITY: u8 = 80;

/// The picture as JPEG, in base64 without line breaks.
///
/// # Errors
/// [`Error::Internal`] when a side is longer than JPEG allows (65 535 pixels).
pub fn jpeg_base64(picture: &Picture) -> Result<String> {
    let fail = |reason: String| Error::Internal { stage: "thumbnail", reason };
    let side = |length: u32| {
        u16::try_from(length).map_err(|_| fail(format!("a side of {length} pixels is too long for JPEG")))
    };
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, QUALITY)
        .encode(picture.rgb(), side(picture.width())?, side(picture.height())?, jpeg_encoder::ColorType::Rgb)
        .map_err(|e| fail(e.to_string()))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_is_a_whole_jpeg() {
        let text = jpeg_base64(&Picture::new(33, 17, vec![120; 33 * 17 * 3])).unwrap();
        let jpeg = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
}
