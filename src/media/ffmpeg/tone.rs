//! High dynamic range to what models were trained on: PQ and HLG pictures to BT.709, as an ordinary screen would show them.
//!
//! Rule: signal → light of the display (SMPTE ST 2084; ARIB STD-B67 with the system gamma of a 1,000 cd/m² screen, channel
//! by channel) → the diffuse white of ITU-R BT.2408 (203 cd/m²) as full white, what is brighter bent under it → BT.2020's
//! primaries to BT.709's → BT.709's curve.

use ffmpeg_next::color::{Primaries, TransferCharacteristic as Transfer};
use ffmpeg_next::frame::Video;

/// Diffuse white, cd/m².
const WHITE: f32 = 203.0;
/// Light above this share of full white is bent.
const KNEE: f32 = 0.6;
/// Steps of the curve back to signals.
const STEPS: usize = 4096;

/// A curve of high dynamic range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Pq,
    Hlg,
}

/// How the pictures of a stream are mapped.
pub(super) struct ToneMap {
    curve: Curve,
    wide: bool,
    /// Light of each of 256 signals, in shares of full white, bent.
    light: Vec<f32>,
    /// The signal of each of so many steps of light.
    signal: Vec<u8>,
}

impl ToneMap {
    /// For a frame's tags; `None` where they name no curve of high dynamic range. `earlier` is used again if it fits.
    pub(super) fn of(frame: &Video, earlier: Option<Self>) -> Option<Self> {
        let curve = curve(frame)?;
        let wide = frame.color_primaries() == Primaries::BT2020;
        Some(earlier.filter(|map| map.curve == curve && map.wide == wide).unwrap_or_else(|| Self::new(curve, wide)))
    }

    fn new(curve: Curve, wide: bool) -> Self {
        let light = (0..256).map(|signal| bend(nits(curve, signal as f32 / 255.0) / WHITE)).collect();
        let signal = (0..STEPS).map(|step| (oetf(step as f32 / (STEPS - 1) as f32) * 255.0).round() as u8).collect();
        Self { curve, wide, light, signal }
    }

    /// Maps full-range RGB pixels.
    pub(super) fn apply(&self, rgb: &mut [u8]) {
        for pixel in rgb.chunks_exact_mut(3) {
            let light = [0, 1, 2].map(|channel: usize| self.light[usize::from(pixel[channel])]);
            let light = if self.wide { to_709(light) } else { light };
            for (byte, light) in pixel.iter_mut().zip(light) {
                *byte = self.signal[(light.clamp(0.0, 1.0) * (STEPS - 1) as f32).round() as usize];
            }
        }
    }
}

/// What to tell the reader of a result.
pub(super) fn note(frame: &Video) -> Option<String> {
    let name = match curve(frame)? {
        Curve::Pq => "PQ",
        Curve::Hlg => "HLG",
    };
    Some(format!("high dynamic range ({name}) mapped to BT.709"))
}

fn curve(frame: &Video) -> Option<Curve> {
    match frame.color_transfer_characteristic() {
        Transfer::SMPTE2084 => Some(Curve::Pq),
        Transfer::ARIB_STD_B67 => Some(Curve::Hlg),
        _ => None,
    }
}

/// Light of the display, cd/m².
fn nits(curve: Curve, signal: f32) -> f32 {
    match curve {
        Curve::Pq => {
            let n = signal.powf(1.0 / 78.843_75);
            let share = (n - 0.835_937_5).max(0.0) / (18.851_562 - 18.6875 * n);
            10_000.0 * share.powf(1.0 / 0.159_301_76)
        }
        Curve::Hlg => {
            let scene = if signal <= 0.5 {
                signal * signal / 3.0
            } else {
                (((signal - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0
            };
            1000.0 * scene.powf(1.2)
        }
    }
}

/// Leaves what is darker than the knee as it is and brings the rest under 1.
fn bend(light: f32) -> f32 {
    if light <= KNEE { light } else { 1.0 - (1.0 - KNEE) * (-(light - KNEE) / (1.0 - KNEE)).exp() }
}

/// BT.2020's primaries to BT.709's (ITU-R BT.2087).
fn to_709([r, g, b]: [f32; 3]) -> [f32; 3] {
    [1.6605 * r - 0.5876 * g - 0.0729 * b, -0.1246 * r + 1.1329 * g - 0.0083 * b, -0.0182 * r - 0.1006 * g + 1.1188 * b]
}

/// BT.709's curve.
fn oetf(light: f32) -> f32 {
    if light < 0.018 { 4.5 * light } else { 1.099 * light.powf(0.45) - 0.099 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_stay_grey_and_in_order() {
        for curve in [Curve::Pq, Curve::Hlg] {
            let map = ToneMap::new(curve, true);
            let mut rgb: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
            map.apply(&mut rgb);
            let greys: Vec<u8> = rgb.chunks(3).map(|p| p[1]).collect();
            assert!(rgb.chunks(3).all(|p| p.iter().all(|v| v.abs_diff(p[1]) <= 1)), "{curve:?}");
            assert!(greys.is_sorted() && greys[0] == 0 && greys[255] >= 250, "{curve:?} {greys:?}");
        }
    }

    #[test]
    fn diffuse_white_is_bright_and_not_clipped() {
        // 58 % of PQ and 75 % of HLG are the diffuse white of BT.2408.
        for (curve, signal) in [(Curve::Pq, 0.58), (Curve::Hlg, 0.75)] {
            assert!((nits(curve, signal) / WHITE - 1.0).abs() < 0.05, "{curve:?} {}", nits(curve, signal));
        }
        let mut white = [148, 148, 148];
        ToneMap::new(Curve::Pq, true).apply(&mut white);
        assert!((215..=245).contains(&white[0]), "{white:?}");
    }
}
