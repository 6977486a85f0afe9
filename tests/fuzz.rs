//! What comes from outside, bent in every way: files that FFmpeg demuxes, numbered images, playlists, manifests, baselines
//! and results. Nothing panics, nothing takes for ever, and what is read keeps its contract.
//!
//! `make fuzz` runs many cases; an ordinary run of the tests a few (`STARTLE_FUZZ_CASES`).

#[path = "media/make.rs"]
#[allow(dead_code, reason = "it shares its helpers with other tests")]
mod make;

use make::{at, drain};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::{Input, parse};
use startle::model::bundle::ModelBundle;
use startle::report::{self, OutputOptions, json};
use startle::surprise::Baseline;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// No case takes longer, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(share: u32) -> Config {
    let cases = std::env::var("STARTLE_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    Config { cases: (cases / share).max(4), failure_persistence: None, max_shrink_iters: 64, ..Config::default() }
}

/// One change to some bytes.
#[derive(Debug, Clone)]
enum Bend {
    Set(Index, u8),
    Number(Index, u32),
    Cut(Index),
    Drop(Index, u8),
    Double(Index, u8),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let edge = prop_oneof![Just(0_u32), Just(u32::MAX), Just(0x7fff_ffff), Just(0x8000_0000), any::<u32>()];
    let one = prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Bend::Set(at, byte)),
        3 => (any::<Index>(), edge).prop_map(|(at, number)| Bend::Number(at, number)),
        1 => any::<Index>().prop_map(Bend::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Bend::Drop(at, length)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Bend::Double(at, length)),
    ];
    prop::collection::vec(one, 1..12)
}

fn bent(mut bytes: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    for bend in bends {
        if bytes.len() < 8 {
            break;
        }
        let end = |at: usize, length: u8, len: usize| (at + usize::from(length)).min(len);
        match bend {
            Bend::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Bend::Number(at, number) => {
                let at = at.index(bytes.len() - 4);
                bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            Bend::Cut(at) => bytes.truncate(at.index(bytes.len()).max(8)),
            Bend::Drop(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..end(at, *length, bytes.len()));
            }
            Bend::Double(at, length) => {
                let at = at.index(bytes.len());
                let piece = bytes[at..end(at, *length, bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Small videos of several kinds, and their endings.
fn films() -> &'static [(&'static str, Vec<u8>)] {
    static FILMS: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    FILMS.get_or_init(|| {
        let scene = "testsrc2=size=48x32:rate=10:duration=0.8";
        let x264 = "-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p";
        [
            ("mp4", x264),
            ("mkv", "-c:v mpeg4"),
            ("webm", "-c:v libvpx -deadline realtime -cpu-used 8"),
            ("ts", "-c:v mpeg2video"),
            ("avi", "-c:v mjpeg"),
            ("gif", ""),
            ("flv", "-c:v flv"),
            ("mjpeg", "-c:v mjpeg -f mjpeg"),
            ("h264", &format!("{x264} -f h264")),
            ("y4m", "-pix_fmt yuv420p"),
        ]
        .map(|(ending, encode)| (ending, std::fs::read(make::make(&format!("seed.{ending}"), scene, encode)).unwrap()))
        .to_vec()
    })
}

/// Decodes what may be anything, under the contract of every source.
fn survive(input: &Input) {
    let begun = Instant::now();
    let options = OpenOptions { timeout: Duration::from_secs(2), threads: 1, ..OpenOptions::default() };
    if let Ok(mut source) = FfmpegSource::open(input, &options) {
        drain(&mut source, |index| index % 3 == 0);
    }
    assert!(begun.elapsed() < PATIENCE, "{input} took {:?}", begun.elapsed());
}

fn fresh(name: &str) -> PathBuf {
    let folder = at(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A baseline that some bundle of the repository has.
fn a_baseline() -> Option<String> {
    let bundles = std::fs::read_dir(in_repository("models")).unwrap();
    bundles.flatten().find_map(|bundle| std::fs::read_to_string(bundle.path().join("baseline.json")).ok())
}

/// Bends a text without making it other than text.
fn bent_text(text: &str, bends: &[Bend]) -> String {
    String::from_utf8_lossy(&bent(text.as_bytes().to_vec(), bends)).into_owned()
}

/// Puts another number in the place of one of a text's.
fn renumbered(text: &str, which: Index, number: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let starts: Vec<usize> = text
        .char_indices()
        .filter(|(at, c)| c.is_ascii_digit() && !text[..*at].ends_with(|c: char| is_number(c) || c.is_alphanumeric()))
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return text.to_owned();
    }
    let start = starts[which.index(starts.len())];
    let rest = text[start..].trim_start_matches(is_number);
    format!("{}{number}{rest}", &text[..start])
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("4294967294".to_owned()),
        Just("1e308".to_owned()),
        Just("-1e308".to_owned()),
        Just("1e-308".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f32>().prop_filter("a number", |n| n.is_finite()).prop_map(|n| n.to_string()),
    ]
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn bent_videos(which in any::<Index>(), bends in bends()) {
        let (ending, bytes) = which.get(films());
        let path = at(&format!("bent.{ending}"));
        std::fs::write(&path, bent(bytes.clone(), &bends)).unwrap();
        survive(&Input::File(path));
    }

    #[test]
    fn bent_image_sequences(bends in prop::collection::vec(bends(), 3), sizes in prop::collection::vec(1_u32..40, 3), hole in 0_u8..9) {
        let folder = fresh("bent-images");
        for (index, (bends, side)) in bends.iter().zip(sizes).enumerate() {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, side, 24);
            encoder.set_color(png::ColorType::Rgb);
            encoder.write_header().unwrap().write_image_data(&vec![index as u8 * 40; side as usize * 72]).unwrap();
            // The first one is whole more often than not, so that the others are reached.
            let whole = index == 0 && hole % 3 != 0;
            let number = index + usize::from(index > 1) * usize::from(hole);
            let bytes = if whole { bytes } else { bent(bytes, bends) };
            std::fs::write(folder.join(format!("f{number:04}.png")), bytes).unwrap();
        }
        for input in parse(folder.to_str().unwrap()).unwrap() {
            survive(&input);
        }
        for input in parse(&format!("{}/f%04d.png", folder.display())).unwrap() {
            survive(&input);
        }
    }

    #[test]
    fn playlists_of_any_lines(lines in prop::collection::vec(prop_oneof![
        Just("#EXT-X-STREAM-INF:BANDWIDTH=1".to_owned()), Just("#EXTINF:1,".to_owned()), Just("#EXT-X-ENDLIST".to_owned()),
        Just("#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"a\",URI=\"any.m3u8\"".to_owned()), Just("any.m3u8".to_owned()),
        Just("seed.ts".to_owned()), Just("any.ffconcat".to_owned()), Just("file any.ffconcat".to_owned()),
        Just("file seed.ts".to_owned()), Just("#EXT-X-TARGETDURATION:1".to_owned()), "[ -~]{0,20}",
    ], 0..12)) {
        films();
        let text = |head: &str| format!("{head}\n{}\n", lines.join("\n"));
        std::fs::write(at("any.m3u8"), text("#EXTM3U")).unwrap();
        std::fs::write(at("any.ffconcat"), text("ffconcat version 1.0")).unwrap();
        // A list that names pieces and does not end is given up after the patience of a silent disk.
        let quick = OpenOptions { timeout: Duration::from_millis(150), threads: 1, ..OpenOptions::default() };
        for name in ["any.m3u8", "any.ffconcat"] {
            let begun = Instant::now();
            if let Ok(mut source) = FfmpegSource::open(&Input::File(at(name)), &quick) {
                drain(&mut source, |_| false);
            }
            assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", begun.elapsed());
        }
    }

    #[test]
    fn bent_manifests(bends in bends(), which in any::<Index>(), number in numbers()) {
        let folder = fresh("bent-bundle");
        let tiny = in_repository("tests/data/bundles/tiny-random");
        for entry in std::fs::read_dir(&tiny).unwrap().flatten() {
            let name = entry.file_name();
            std::os::unix::fs::symlink(entry.path(), folder.join(name)).unwrap();
        }
        let manifest = std::fs::read_to_string(tiny.join("bundle.toml")).unwrap();
        let path = folder.join("bundle.toml");
        for text in [bent_text(&manifest, &bends), renumbered(&manifest, which, &number)] {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, text).unwrap();
            if let Ok(bundle) = ModelBundle::load(&folder) {
                bundle.spec().check().unwrap();
                let _ = startle::clip::Windower::new(bundle.spec());
            }
        }
    }

    #[test]
    fn bent_baselines(bends in bends(), which in any::<Index>(), number in numbers()) {
        let Some(text) = a_baseline() else { return Ok(()) };
        for text in [bent_text(&text, &bends), renumbered(&text, which, &number)] {
            if let Ok(baseline) = Baseline::from_json(&text) {
                let still = startle::surprise::Nuisances::default();
                let adjusted = baseline.nuisances().adjust(1.0, &still);
                prop_assert!(adjusted.is_finite() && adjusted > 0.0, "a surprise of 1 becomes {}", adjusted);
            }
        }
    }
}

proptest! {
    // Each of them draws its figures.
    #![proptest_config(config(4))]

    #[test]
    fn bent_results(bends in bends(), which in any::<Index>(), number in numbers()) {
        let text = std::fs::read_to_string(in_repository("reports/example/result.json")).unwrap();
        let folder = fresh("bent-results");
        let path = folder.join("bent.json");
        for text in [bent_text(&text, &bends), renumbered(&text, which, &number)] {
            std::fs::write(&path, text).unwrap();
            if let Ok(result) = json::read(&path) {
                // It may be refused; it does not fall.
                let _ = report::write_all(&result, &OutputOptions::new(folder.join("out")));
            }
        }
    }
}
