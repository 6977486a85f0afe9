//! Pixels of a drawn picture: averaged down to smooth them, and put into a PNG file.

/// Tight RGB rows as a PNG file.
pub fn encode_png(rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(rgb)?;
    Ok(bytes)
}

/// The mean of each `factor × factor` square of tight RGB rows.
pub fn average_down(rgb: &[u8], width: usize, factor: usize) -> Vec<u8> {
    let (row, small) = (width * 3, width / factor);
    let mut out = Vec::with_capacity(rgb.len() / (factor * factor));
    for rows in rgb.chunks_exact(row * factor) {
        for x in 0..small {
            for channel in 0..3 {
                let at = |dx: usize, dy: usize| u32::from(rows[dy * row + (x * factor + dx) * 3 + channel]);
                let sum: u32 = (0..factor * factor).map(|i| at(i % factor, i / factor)).sum();
                out.push((sum / (factor * factor) as u32) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_averaged_channel_by_channel() {
        let rgb = [0, 10, 20, 4, 10, 20, 8, 0, 0, 8, 0, 0, 8, 10, 20, 12, 10, 20, 8, 0, 0, 8, 0, 4];
        assert_eq!(average_down(&rgb, 4, 2), [6, 10, 20, 8, 0, 1]);
    }
}
