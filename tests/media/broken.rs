//! Broken inputs: cut off, damaged, or not videos at all. Whatever they are, decoding ends in bounded time with frames
//! and gaps, or with an error that says what is wrong.

use crate::make::{Decoded, at, decode, drain, ffmpeg, folder, input, make, open};
use proptest::prelude::*;
use startle::media::GapReason;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Two seconds with enough motion that every part of the file matters.
const SCENE: &str = "testsrc2=size=160x120:rate=20:duration=2";
/// No small file, however broken, may take longer (debug build, loaded machine).
const PATIENCE: Duration = Duration::from_secs(10);

/// Containers to break, with how to make them.
fn whole() -> Vec<(&'static str, PathBuf)> {
    [
        ("mp4", "-c:v libx264 -preset ultrafast -bf 2 -g 10 -pix_fmt yuv420p -movflags faststart"),
        ("mkv", "-c:v libx264 -preset ultrafast -bf 2 -g 10 -pix_fmt yuv420p"),
        ("ts", "-c:v mpeg2video -g 10"),
        ("webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 10"),
        ("avi", "-c:v mjpeg -q:v 5"),
        ("gif", "-vf scale=80:60 -c:v gif"),
    ]
    .into_iter()
    .map(|(ending, encode)| {
        let path = at(&format!("whole.{ending}"));
        (ending, if path.exists() { path } else { make(&format!("whole.{ending}"), SCENE, encode) })
    })
    .collect()
}

/// Decodes what may be broken; `None` when it can't be opened. Panics and endless loops are what is looked for.
fn survive(path: &Path) -> Result<Decoded, String> {
    let begun = Instant::now();
    let decoded = open(path).map_err(|e| e.to_string()).map(|mut source| drain(&mut source, |index| index % 8 == 0));
    assert!(begun.elapsed() < PATIENCE, "{} took {:?}", path.display(), begun.elapsed());
    decoded
}

#[test]
fn files_that_end_early_say_so() {
    for (ending, path) in whole() {
        let bytes = std::fs::read(&path).unwrap();
        for percent in [99, 90, 60, 50, 30] {
            let name = format!("cut-{percent}.{ending}");
            std::fs::write(at(&name), &bytes[..bytes.len() * percent / 100]).unwrap();
            let decoded = survive(&at(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let last = decoded.frames.last().unwrap().1.secs_f64();
            assert!(!decoded.frames.is_empty() && last < 2.02, "{name}: {last}");
            assert!(
                decoded.frames.len() * 100 >= 40 * percent.saturating_sub(40),
                "{name}: {} frames",
                decoded.frames.len()
            );
            // AVI's reader corrects the stated length by the size of the file; the others state none.
            let stated = matches!(ending, "mp4" | "mkv" | "webm");
            if stated && percent <= 60 {
                assert_eq!(
                    decoded.reasons().last(),
                    Some(&GapReason::Truncated),
                    "{name}: {:?} {last} {:?}",
                    decoded.gaps,
                    decoded.info
                );
                let (start, end, _) = decoded.gaps.last().unwrap();
                assert!((start.secs_f64() - last).abs() < 1e-6, "{name}");
                assert!((end.secs_f64() - 2.0).abs() < 0.15, "{name}: should end at 2 s, says {end}");
            }
        }
        let intact = survive(&path).unwrap();
        assert!(intact.gaps.is_empty() && intact.frames.len() == 40, "{ending}: {:?}", intact.gaps);
    }
}

#[test]
fn half_a_recording_without_index_says_what_to_do() {
    let path = make("late-index.mp4", SCENE, "-c:v mpeg4");
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(at("no-index.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    let error = open(&at("no-index.mp4")).err().unwrap().to_string();
    assert!(error.contains("without a usable index") && error.contains("cut off"), "{error}");
}

/// Knuth's 64-bit linear congruential generator: the same damage on every machine.
struct Damage(u64);

impl Damage {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn flipped_bits_never_panic_hang_or_lie_about_time() {
    let mut opened = 0;
    for (ending, path) in whole() {
        let bytes = std::fs::read(&path).unwrap();
        for seed in 0..16 {
            let mut damage = Damage(seed * 7919 + bytes.len() as u64);
            let mut broken = bytes.clone();
            let flips = [1, 4, 32, 256][seed as usize % 4];
            // The first half of the seeds leaves the header alone, so that the damage is in the pictures.
            let spared = if seed < 8 { broken.len() / 10 } else { 0 };
            for _ in 0..flips {
                let place = spared + damage.below(broken.len() - spared);
                broken[place] ^= 1 << damage.below(8);
            }
            let name = format!("flipped.{ending}");
            std::fs::write(at(&name), broken).unwrap();
            match survive(&at(&name)) {
                Ok(decoded) => {
                    opened += 1;
                    assert!(!decoded.frames.is_empty(), "{name} {seed}");
                }
                Err(error) => assert!(error.contains(&name), "{error}"),
            }
        }
    }
    assert!(opened > 60, "most files survive some flips: {opened} of 96 did");
}

#[test]
fn damage_in_the_middle_is_a_gap_and_the_rest_is_seen() {
    for (ending, path) in whole() {
        // GIF's demuxer takes damage for the end. WebM's steps over it in silence to the next cluster, so that what is
        // missing looks like a long hold; AVI's does the same and doesn't even leave the hold.
        if matches!(ending, "gif" | "webm" | "avi") {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        for (index, byte) in bytes[middle..middle + middle / 8].iter_mut().enumerate() {
            *byte = (index * 37) as u8;
        }
        let name = format!("hole.{ending}");
        std::fs::write(at(&name), bytes).unwrap();
        let decoded = survive(&at(&name)).unwrap();
        assert!(
            decoded.reasons().contains(&GapReason::Corrupt),
            "{name}: {:?} {:?} {:?}",
            decoded.gaps,
            decoded.times(),
            decoded.info
        );
        let last = decoded.frames.last().unwrap().1.secs_f64();
        assert!(last > 1.5 && decoded.frames.len() < 40, "{name}: {} frames to {last}", decoded.frames.len());
        assert!(decoded.info.notes.iter().any(|note| note.contains("faults")), "{name}: {:?}", decoded.info.notes);
    }
}

#[test]
fn a_broadcast_joined_late_begins_at_its_next_key_frame() {
    let encode = "-c:v libx264 -preset veryfast -bf 3 -g 10 -pix_fmt yuv420p -x264-params open-gop=1:scenecut=0";
    let bytes = std::fs::read(make("from-start.ts", SCENE, encode)).unwrap();
    for percent in [20, 37, 55] {
        let begin = bytes.len() * percent / 100 / 188 * 188;
        std::fs::write(at("joined.ts"), &bytes[begin..]).unwrap();
        let decoded = survive(&at("joined.ts")).unwrap();
        let left = 40 * (100 - percent) / 100;
        assert!(
            decoded.frames.len() + 16 > left && decoded.frames.len() <= left + 2,
            "{percent}: {:?}",
            decoded.times()
        );
        assert!(decoded.gaps.is_empty(), "{percent}: nothing was shown that could be broken off: {:?}", decoded.gaps);
    }
}

#[test]
fn what_is_not_a_video_is_told_apart() {
    ffmpeg("-f lavfi -i sine=duration=1 -c:a flac sound.flac");
    ffmpeg("-f lavfi -i color=red:size=64x64 -frames:v 1 art.png");
    ffmpeg("-i sound.flac -i art.png -map 0 -map 1 -c:a copy -c:v png -disposition:v attached_pic covered.flac");
    std::fs::write(at("empty.mp4"), b"").unwrap();
    std::fs::write(at("words.mp4"), "This is not a video.\n".repeat(50)).unwrap();
    std::fs::write(at("words.txt"), "This is not a video.\n".repeat(50)).unwrap();
    std::fs::write(at("noise.mp4"), (0..5000u32).map(|n| ((n * n) >> 3) as u8).collect::<Vec<_>>()).unwrap();
    std::fs::write(at("lines.srt"), "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n".repeat(9)).unwrap();
    let mkv = std::fs::read(make("codec.mkv", SCENE, "-c:v mpeg4")).unwrap();
    let name = mkv.windows(7).position(|seven| seven == b"V_MPEG4").unwrap();
    std::fs::write(at("alien.mkv"), [&mkv[..name], b"V_WXYZ9", &mkv[name + 7..]].concat()).unwrap();
    let cases = [
        ("sound.flac", "only sound"),
        ("covered.flac", "cover picture"),
        ("empty.mp4", "0 bytes"),
        ("words.mp4", "text file"),
        ("words.txt", "text file"),
        ("noise.mp4", "not a video"),
        ("lines.srt", "subtitles"),
        ("alien.mkv", "can't be decoded by this build"),
    ];
    for (name, words) in cases {
        let error = open(&at(name)).err().unwrap_or_else(|| panic!("{name} opened")).to_string();
        assert!(error.contains(words) && error.contains(name), "{name}: {error}");
    }
}

#[test]
fn what_can_not_be_read_is_told_apart() {
    use startle::media::open::{Input, parse};
    use std::os::unix::fs::PermissionsExt;
    let missing = Input::File(at("missing.mp4"));
    let error = FfmpegSource::open(&missing, &OpenOptions::default()).err().unwrap().to_string();
    assert!(error.contains("no such file"), "{error}");
    let error = FfmpegSource::open(&Input::File(folder().into()), &OpenOptions::default()).err().unwrap().to_string();
    assert!(error.contains("folder"), "{error}");
    let error =
        FfmpegSource::open(&Input::File("/dev/zero".into()), &OpenOptions::default()).err().unwrap().to_string();
    assert!(error.contains("device"), "{error}");
    let _ = std::fs::create_dir_all(at("bare-folder"));
    let error = parse(at("bare-folder").to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("without a video"), "{error}");

    let locked = make("locked.mkv", "color=red:size=16x16:duration=0.1", "-c:v ffv1");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&locked).is_ok() {
        println!("skipped: this user (root?) reads files without permission");
    } else {
        let error = open(&locked).err().unwrap().to_string();
        assert!(error.contains("no permission"), "{error}");
    }
}

#[test]
fn names_that_ffmpeg_would_misread_are_just_names() {
    let plain = make("plain.mkv", "color=red:size=16x16:rate=10:duration=0.3", "-c:v ffv1");
    for name in ["with:colon.mkv", "100%d.mkv", "sp ace.mkv", "pipe:0", "-dash.mkv", "über.mkv", "[x]*.mkv"] {
        std::fs::copy(&plain, at(name)).unwrap();
        assert_eq!(decode(&at(name)).frames.len(), 3, "{name}");
        assert_eq!(input(&at(name)).path(), Some(at(name).as_path()));
    }
    let odd = folder().join(std::ffi::OsStr::from_bytes(b"not-utf8-\xff.mkv"));
    std::fs::copy(&plain, &odd).unwrap();
    let source = FfmpegSource::open(&startle::media::open::Input::File(odd), &OpenOptions::default());
    assert!(source.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes, with or without the beginning of a real container, are refused or decoded, in bounded time.
    #[test]
    fn arbitrary_bytes_never_panic(
        head in prop::sample::select(vec![
            &b""[..], b"\0\0\0\x18ftypisom\0\0\0\0isom", b"\x1a\x45\xdf\xa3", b"RIFF\x10\0\0\0AVI LIST", b"GIF89a", b"\x47\x40\0\x10",
            b"YUV4MPEG2 W16 H16 F25:1 C420\nFRAME\n", b"\x89PNG\r\n\x1a\n", b"\0\0\0\x01\x67", b"\xff\xd8\xff\xe0", b"FLV\x01", b"OggS",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..6000),
    ) {
        let path = at("arbitrary.bin");
        std::fs::write(&path, [head, &tail].concat()).unwrap();
        let _ = survive(&path);
    }
}
