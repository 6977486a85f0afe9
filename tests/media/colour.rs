//! Colours: patches whose YUV is computed here from the standards' formulas, encoded without loss, must come back as
//! the RGB they were made from.
//!
//! Tolerance ±3 of 255: 8-bit limited-range YUV has 219 steps of luma and 224 of chroma, so that rounding alone moves
//! a saturated colour by up to 2; one more is left for the conversion's own rounding.

use crate::make::{at, decode, ffmpeg, make, mean};
use startle::media::Picture;
use std::path::PathBuf;

/// Largest difference to the exact colour, 0..255.
const TOLERANCE: f64 = 3.0;
/// Patches side by side and above each other.
const GRID: (u32, u32) = (4, 3);
/// The colours, row by row.
const PATCHES: [[u8; 3]; 12] = [
    [0, 0, 0],
    [255, 255, 255],
    [128, 128, 128],
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [0, 255, 255],
    [255, 0, 255],
    [255, 255, 0],
    [224, 172, 105],
    [20, 40, 60],
    [200, 230, 255],
];

/// Weights of red and blue in luma: BT.601.
const BT601: (f64, f64) = (0.299, 0.114);
/// BT.709.
const BT709: (f64, f64) = (0.2126, 0.0722);
/// BT.2020, non-constant luminance.
const BT2020: (f64, f64) = (0.2627, 0.0593);

/// How the patches are stored.
#[derive(Clone, Copy)]
struct Stored {
    size: (u32, u32),
    weights: (f64, f64),
    full: bool,
    bits: u32,
    /// Chroma at half the resolution.
    halved: bool,
}

const SD: Stored = Stored { size: (320, 240), weights: BT601, full: false, bits: 8, halved: true };
const HD: Stored = Stored { size: (1280, 720), weights: BT709, ..SD };

/// Y, U, V of a colour as integers of the stored depth.
fn yuv(rgb: [u8; 3], stored: Stored) -> [u16; 3] {
    let [red, green, blue] = rgb.map(|v| f64::from(v) / 255.0);
    let (kr, kb) = stored.weights;
    let y = kr * red + (1.0 - kr - kb) * green + kb * blue;
    let (u, v) = ((blue - y) / (2.0 * (1.0 - kb)), (red - y) / (2.0 * (1.0 - kr)));
    let top = f64::from((1u32 << stored.bits) - 1);
    let unit = f64::from(1u32 << (stored.bits - 8));
    let half = 128.0 * unit;
    let values = if stored.full {
        [y * top, u * top + half, v * top + half]
    } else {
        [(16.0 + 219.0 * y) * unit, 224.0 * u * unit + half, 224.0 * v * unit + half]
    };
    values.map(|value| value.round().clamp(0.0, top) as u16)
}

fn patch(x: u32, y: u32, (width, height): (u32, u32)) -> [u8; 3] {
    PATCHES[(y * GRID.1 / height * GRID.0 + x * GRID.0 / width) as usize]
}

/// One planar frame.
fn frame(stored: Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    for plane in 0..3 {
        let step = if plane > 0 && stored.halved { 2 } else { 1 };
        for y in 0..stored.size.1.div_ceil(step) {
            for x in 0..stored.size.0.div_ceil(step) {
                let value = yuv(patch(x * step, y * step, stored.size), stored)[plane];
                bytes.push(value as u8);
                if stored.bits > 8 {
                    bytes.push((value >> 8) as u8);
                }
            }
        }
    }
    bytes
}

/// Encodes the patches; `tags` go to the encoder.
fn encode(name: &str, stored: Stored, tags: &str) -> PathBuf {
    let raw = format!("{name}.yuv");
    std::fs::write(at(&raw), frame(stored).repeat(3)).unwrap();
    let format = match (stored.halved, stored.bits) {
        (true, 8) => "yuv420p",
        (false, 8) => "yuv444p",
        (true, _) => "yuv420p10le",
        (false, _) => "yuv444p10le",
    };
    let (width, height) = stored.size;
    ffmpeg(&format!("-f rawvideo -pix_fmt {format} -s {width}x{height} -r 10 -i {raw} {tags} {name}"));
    at(name)
}

fn check(name: &str, picture: &Picture, tolerance: f64) {
    let (width, height) = (picture.width(), picture.height());
    let (cell_w, cell_h) = (width / GRID.0, height / GRID.1);
    for (index, expected) in (0..).zip(PATCHES) {
        let (x, y) = (index % GRID.0 * cell_w, index / GRID.0 * cell_h);
        let inner = [x + cell_w / 4, y + cell_h / 4, x + cell_w * 3 / 4, y + cell_h * 3 / 4];
        let seen = mean(picture, inner);
        for channel in 0..3 {
            let off = seen[channel] - f64::from(expected[channel]);
            assert!(off.abs() <= tolerance, "{name}: {expected:?} came back as {seen:?}");
        }
    }
}

#[test]
fn tagged_and_untagged_colours_come_back() {
    const LOSSLESS: &str = "-c:v ffv1";
    const H264: &str = "-c:v libx264 -preset ultrafast -qp 0";
    let cases = [
        ("sd-untagged.mkv", SD, LOSSLESS.to_owned()),
        ("sd-601.mkv", SD, format!("{LOSSLESS} -colorspace smpte170m -color_range tv")),
        ("sd-709.mkv", Stored { weights: BT709, ..SD }, format!("{LOSSLESS} -colorspace bt709 -color_range tv")),
        ("sd-601-full.mkv", Stored { full: true, ..SD }, format!("{LOSSLESS} -colorspace bt470bg -color_range pc")),
        ("sd-full.mp4", Stored { full: true, ..SD }, format!("{H264} -color_range pc")),
        ("sd-709.mp4", Stored { weights: BT709, ..SD }, format!("{H264} -colorspace bt709")),
        ("hd-untagged.mkv", HD, LOSSLESS.to_owned()),
        ("hd-601.mp4", Stored { weights: BT601, ..HD }, format!("{H264} -colorspace smpte170m")),
        ("hd-709-full.mp4", Stored { full: true, ..HD }, format!("{H264} -colorspace bt709 -color_range pc")),
        ("pal-untagged.mkv", Stored { size: (720, 576), ..SD }, LOSSLESS.to_owned()),
        ("tall-untagged.mkv", Stored { size: (480, 720), weights: BT709, ..SD }, LOSSLESS.to_owned()),
        ("ten-bit.mkv", Stored { bits: 10, ..SD }, LOSSLESS.to_owned()),
        ("ten-bit-444.mkv", Stored { bits: 10, halved: false, ..SD }, LOSSLESS.to_owned()),
        ("ten-bit-full.mkv", Stored { bits: 10, full: true, ..SD }, format!("{LOSSLESS} -color_range pc")),
        ("uhd.mkv", Stored { bits: 10, weights: BT2020, ..SD }, format!("{LOSSLESS} -colorspace bt2020nc")),
        ("444.mkv", Stored { halved: false, ..SD }, LOSSLESS.to_owned()),
        ("444-full.mp4", Stored { halved: false, full: true, ..SD }, format!("{H264} -color_range pc")),
    ];
    for (name, stored, tags) in cases {
        let decoded = decode(&encode(name, stored, &tags));
        assert_eq!(decoded.frames.len(), 3, "{name}");
        check(name, &decoded.pictures[0], TOLERANCE);
    }
}

#[test]
fn rgb_and_grey_come_back_exactly() {
    let (width, height) = (64, 48);
    let rgb: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| patch(x, y, (width, height)))).collect();
    std::fs::write(at("patches.rgb"), &rgb).unwrap();
    let raw = "-f rawvideo -pix_fmt rgb24 -s 64x48 -r 10 -i patches.rgb";
    for (name, encode) in [
        ("patches.png", "-c:v png"),
        ("patches-alpha.png", "-pix_fmt rgba -c:v png"),
        ("patches.bmp", "-c:v bmp"),
        ("patches-gbrp.mkv", "-pix_fmt gbrp -c:v ffv1"),
        ("patches-rgb.mp4", "-c:v libx264rgb -preset ultrafast -qp 0"),
        (
            "patches-pal.png",
            "-vf split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none -c:v png",
        ),
    ] {
        ffmpeg(&format!("{raw} {encode} {name}"));
        let decoded = decode(&at(name));
        assert_eq!(decoded.pictures[0].rgb(), rgb, "{name}: {:?}", decoded.info);
        let says_alpha = decoded.info.notes.iter().any(|note| note.contains("alpha"));
        assert_eq!(says_alpha, name.contains("alpha"), "{name}: {:?}", decoded.info.notes);
    }
    let grey: Vec<u8> = (0..=255).collect();
    std::fs::write(at("ramp.gray"), grey.repeat(4)).unwrap();
    ffmpeg("-f rawvideo -pix_fmt gray -s 256x4 -i ramp.gray -c:v png ramp.png");
    let ramp = &decode(&at("ramp.png")).pictures[0];
    assert!(ramp.rgb()[..768].chunks(3).zip(0..=255).all(|(rgb, value)| rgb == [value; 3]));
}

#[test]
fn jpeg_is_full_range_601_whatever_its_size() {
    for (name, stored) in [("small.jpg", SD), ("large.jpg", Stored { weights: BT601, ..HD })] {
        let stored = Stored { full: true, halved: false, ..stored };
        let path = encode(
            name,
            stored,
            "-frames:v 1 -vf scale=in_range=full:out_range=full -pix_fmt yuvj444p -c:v mjpeg -qmin 1 -q:v 1",
        );
        // JPEG is lossy even here; the wrong matrix or range would be off by 16 and more.
        check(name, &decode(&path).pictures[0], 8.0);
    }
}

#[test]
fn high_dynamic_range_comes_back_as_an_ordinary_picture() {
    // Diffuse white, and the grey that both show at 26 cd/m²: an eighth of it.
    let cases = [
        ("hlg-white.mkv", "arib-std-b67", 0.75, 234.0),
        ("hlg-grey.mkv", "arib-std-b67", 0.38, 86.0),
        ("pq-white.mkv", "smpte2084", 0.58, 234.0),
        ("pq-grey.mkv", "smpte2084", 0.38, 86.0),
    ];
    for (name, curve, signal, expected) in cases {
        let code = (64.0 + 876.0 * signal) as u32;
        let scene =
            format!("color=c=gray:size=64x48:rate=5:duration=0.4,format=yuv444p10le,geq=lum={code}:cb=512:cr=512");
        let tags = format!("-color_range tv -colorspace bt2020nc -color_primaries bt2020 -color_trc {curve}");
        let decoded = decode(&make(name, &scene, &format!("-c:v ffv1 {tags}")));
        assert!(
            decoded.info.notes.iter().any(|note| note.contains("mapped to BT.709")),
            "{name}: {:?}",
            decoded.info.notes
        );
        let got = mean(&decoded.pictures[0], [0, 0, 64, 48]);
        assert!(got.iter().all(|v| (v - expected).abs() < 6.0), "{name}: {got:?} is not {expected}");
    }
}
