//! Shapes: rotation, sample aspect ratio, odd sizes, sizes that change on the way, cover art, image sequences.

use crate::make::{at, decode, ffmpeg, input, make, mean, open};
use startle::media::ffmpeg::FfmpegSource;
use startle::media::{FrameSource, GapReason, Picture};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Left half red, right half blue, upper quarter darker: every turn and mirror looks different.
const CORNERS: &str =
    "color=red:size=96x64:rate=10:duration=0.5,drawbox=48:0:48:64:blue:fill,drawbox=0:0:96:16:gray:fill";

/// First frame as the `ffmpeg` program shows it, turned upright by itself.
fn reference(path: &Path, (width, height): (u32, u32)) -> Picture {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", path.to_str().unwrap()])
        .args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    Picture::new(width, height, output.stdout)
}

fn assert_alike(a: &Picture, b: &Picture, what: &str) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()), "{what}");
    let (cols, rows) = (a.width() / 8, a.height() / 8);
    for y in 0..8 {
        for x in 0..8 {
            // Not the rims: there the two programs interpolate chroma differently.
            let cell = [x * cols + 2, y * rows + 2, (x + 1) * cols - 2, (y + 1) * rows - 2];
            let (ours, theirs) = (mean(a, cell), mean(b, cell));
            let off = ours.iter().zip(theirs).map(|(o, t)| (o - t).abs()).fold(0.0, f64::max);
            assert!(off < 12.0, "{what}: cell {x},{y} is {ours:?}, not {theirs:?}");
        }
    }
}

/// Overwrites the display matrix in an MP4's track header.
fn with_matrix(from: &Path, name: &str, [a, b, c, d]: [i32; 4]) -> PathBuf {
    let mut bytes = std::fs::read(from).unwrap();
    let header = bytes.windows(4).position(|four| four == b"tkhd").unwrap() + 4;
    let one = 1 << 16;
    let matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
    for (index, value) in matrix.iter().enumerate() {
        bytes[header + 40 + index * 4..][..4].copy_from_slice(&i32::to_be_bytes(*value));
    }
    std::fs::write(at(name), bytes).unwrap();
    at(name)
}

#[test]
fn pictures_are_turned_upright() {
    let stored = make("corners.mp4", CORNERS, "-c:v libx264 -pix_fmt yuv420p -qp 10");
    let cases = [
        ("turn-90.mp4", [0, 1, -1, 0], (64, 96), "90° clockwise"),
        ("turn-180.mp4", [-1, 0, 0, -1], (96, 64), "180°"),
        ("turn-270.mp4", [0, -1, 1, 0], (64, 96), "counter-clockwise"),
        ("mirror.mp4", [-1, 0, 0, 1], (96, 64), "left to right"),
        ("flip.mp4", [1, 0, 0, -1], (96, 64), "top to bottom"),
    ];
    for (name, matrix, size, words) in cases {
        let path = with_matrix(&stored, name, matrix);
        let decoded = decode(&path);
        assert_eq!((decoded.info.width, decoded.info.height), size, "{name}");
        assert!(decoded.info.notes.iter().any(|note| note.contains(words)), "{name}: {:?}", decoded.info.notes);
        assert_alike(&decoded.pictures[0], &reference(&path, size), name);
    }
    let plain = decode(&stored);
    assert_eq!(plain.info.notes, Vec::<String>::new());
    assert_alike(&plain.pictures[0], &reference(&stored, (96, 64)), "stored");
}

#[test]
fn pixels_become_square() {
    let cases = [
        ("wide.mp4", "120x120", "setsar=4/3", "-c:v libx264 -pix_fmt yuv420p", (160, 120)),
        ("pal.mkv", "720x576", "setsar=16/15", "-c:v mpeg2video", (768, 576)),
        ("narrow.mkv", "120x120", "setsar=1/2", "-c:v ffv1 -pix_fmt gbrp", (60, 120)),
        ("mad.mkv", "120x120", "setsar=100/1", "-c:v ffv1", (120, 120)),
    ];
    for (name, size, aspect, encode, expected) in cases {
        let graph = format!("color=red:size={size}:rate=10:duration=0.3,drawbox=iw/2:0:iw/2:ih:blue:fill,{aspect}");
        let decoded = decode(&make(name, &graph, encode));
        let picture = &decoded.pictures[0];
        assert_eq!((picture.width(), picture.height()), expected, "{name}: {:?}", decoded.info);
        assert_eq!((decoded.info.width, decoded.info.height), expected, "{name}");
        let (w, h) = expected;
        let (left, right) = (mean(picture, [0, 0, w / 2 - 4, h]), mean(picture, [w / 2 + 4, 0, w, h]));
        assert!(left[0] > 240.0 && left[2] < 15.0 && right[2] > 240.0 && right[0] < 15.0, "{name}: {left:?} {right:?}");
    }
}

#[test]
fn odd_sizes_lose_no_column_and_no_row() {
    for (name, encode) in [
        ("odd-420.mkv", "-c:v ffv1 -pix_fmt yuv420p"),
        ("odd-444.mp4", "-c:v libx264 -qp 1 -pix_fmt yuv444p"),
        ("odd-vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
    ] {
        let graph = "color=0x404040:size=321x241:rate=10:duration=0.3,format=rgb24,drawbox=319:0:2:241:white:fill,drawbox=0:239:321:2:white:fill";
        let decoded = decode(&make(name, graph, encode));
        let picture = &decoded.pictures[0];
        assert_eq!((picture.width(), picture.height()), (321, 241), "{name}");
        for rim in [[320, 0, 321, 241], [0, 240, 321, 241]] {
            assert!(mean(picture, rim)[0] > 230.0, "{name}: {:?}", mean(picture, rim));
        }
        assert!(mean(picture, [0, 0, 300, 220])[0] < 75.0, "{name}");
    }
    for size in ["1x1", "2x2", "3x5", "16x1"] {
        let name = format!("tiny-{size}.png");
        ffmpeg(&format!("-f lavfi -i color=red:size={size},format=rgb24 -frames:v 1 {name}"));
        let picture = &decode(&at(&name)).pictures[0];
        assert_eq!(format!("{}x{}", picture.width(), picture.height()), size);
        assert!(picture.rgb().chunks(3).all(|rgb| rgb[0] > 250 && rgb[1] < 4 && rgb[2] < 4), "{size}");
    }
}

#[test]
fn a_change_of_size_is_a_break() {
    make("size-a.ts", "testsrc2=size=160x120:rate=20:duration=1", "-c:v mpeg2video -q:v 3");
    make("size-b.ts", "testsrc2=size=96x64:rate=20:duration=1", "-c:v mpeg2video -q:v 3 -output_ts_offset 1");
    let mut bytes = std::fs::read(at("size-a.ts")).unwrap();
    bytes.extend(std::fs::read(at("size-b.ts")).unwrap());
    std::fs::write(at("size-change.ts"), bytes).unwrap();
    let mut source = open(&at("size-change.ts")).unwrap();
    let decoded = crate::make::drain(&mut source, |_| true);
    assert!(decoded.reasons().contains(&GapReason::FormatChange), "{:?}", decoded.gaps);
    assert!(decoded.frames.len() >= 38, "{}", decoded.frames.len());
    assert_eq!((decoded.info.width, decoded.info.height), (160, 120), "the first size stays in the info");
    let sizes: Vec<u32> = decoded.pictures.iter().map(Picture::width).collect();
    let break_at = decoded.frames.iter().position(|(time, _)| *time >= decoded.gaps[0].1).unwrap();
    assert!(sizes[..break_at].iter().all(|&w| w == 160) && sizes[break_at..].iter().all(|&w| w == 96), "{sizes:?}");
}

#[test]
fn cover_art_is_not_the_video() {
    ffmpeg("-f lavfi -i color=red:size=640x480 -frames:v 1 cover.png");
    make("bare.mp4", "testsrc2=size=160x120:rate=20:duration=0.5", "-c:v mpeg4");
    ffmpeg("-i cover.png -i bare.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic covered.mp4");
    let decoded = decode(&at("covered.mp4"));
    assert_eq!((decoded.info.width, decoded.frames.len()), (160, 10), "{:?}", decoded.info);
    assert!(decoded.info.notes.is_empty(), "a picture on the cover is no second video: {:?}", decoded.info.notes);
}

#[test]
fn one_of_several_videos_is_chosen_by_number() {
    make("one.mp4", "testsrc2=size=160x120:rate=20:duration=0.5", "-c:v mpeg4");
    make("two.mp4", "testsrc2=size=96x64:rate=20:duration=0.5", "-c:v mpeg4");
    ffmpeg("-i one.mp4 -i two.mp4 -map 0 -map 1 -c copy tracks.mkv");
    let width = |track| {
        let options = startle::media::ffmpeg::OpenOptions { track, ..Default::default() };
        FfmpegSource::open(&input(&at("tracks.mkv")), &options)
            .map(|source| (source.info().width, source.info().notes.clone()))
    };
    let (largest, notes) = width(None).unwrap();
    assert!(
        largest == 160 && notes[0].contains("2 video streams: number 1") && notes[0].contains("--track"),
        "{notes:?}"
    );
    assert_eq!(width(Some(2)).unwrap().0, 96);
    assert!(width(Some(3)).unwrap_err().to_string().contains("from 1 to 2"));
}

#[test]
fn images_are_a_video_at_the_asked_rate() {
    let _ = std::fs::create_dir_all(at("frames"));
    ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=10:duration=1.2 -start_number 1 frames/shot%d.png");
    let whole = decode(&at("frames"));
    assert_eq!(whole.frames.len(), 12);
    assert!((whole.times()[11] - 11.0 / 25.0).abs() < 1e-6 && whole.gaps.is_empty(), "{:?}", whole.times());
    assert_eq!(whole.info.codec, "png");

    std::fs::remove_file(at("frames/shot5.png")).unwrap();
    let holed = decode(&at("frames/shot%d.png"));
    assert_eq!(holed.frames.len(), 11);
    assert!((holed.times()[4] - 5.0 / 25.0).abs() < 1e-6, "a missing number is a hole in time: {:?}", holed.times());

    std::fs::write(at("frames/shot7.png"), b"not a picture").unwrap();
    let damaged = decode(&at("frames"));
    assert_eq!((damaged.frames.len(), damaged.reasons()), (10, vec![GapReason::Corrupt]));
    let mut slow = startle::media::ffmpeg::OpenOptions { image_fps: 2.0, ..Default::default() };
    let images = crate::make::input(&at("frames"));
    let mut source = startle::media::ffmpeg::FfmpegSource::open(&images, &slow).unwrap();
    assert!((source.info().nominal_fps - 2.0).abs() < 1e-9 && source.next_step().is_ok());
    slow.image_fps = 0.0;
    assert!(startle::media::ffmpeg::FfmpegSource::open(&images, &slow).is_err());
}

#[test]
fn interlaced_footage_is_noted() {
    let path = make(
        "fields.ts",
        "testsrc2=size=160x120:rate=25:duration=0.5",
        "-vf interlace -c:v mpeg2video -flags +ildct+ilme",
    );
    let decoded = decode(&path);
    assert!(decoded.info.notes.iter().any(|note| note.contains("interlaced")), "{:?}", decoded.info.notes);
}
