//! `annotated.mp4`: the same frames at the same times, the same sound, the findings drawn in; and what is refused.

#[path = "report/fixture.rs"]
mod fixture;
mod support;

use fixture::{calm, spike};
use startle::media::ffmpeg::{ENCODERS, OpenOptions};
use startle::media::open::Input;
use startle::record::{Annotated, Report};
use startle::report::annotate::{AnnotateOptions, annotate};
use startle::units::Stop;
use startle::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::cli::{ffmpeg, result, startle};

const GREY: &str = "color=gray:s=640x360:r=30:d=3";

/// A grey film of three seconds, and what FFmpeg is to make of it.
fn film(dir: &Path, name: &str, options: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let inputs = ["-f", "lavfi", "-i", GREY, "-f", "lavfi", "-i", "sine=d=3:r=44100"];
    ffmpeg(&[&inputs[..], options, &[path.to_str().unwrap()]].concat());
    path
}

/// A report of such a film, with an event whose box is known.
fn report() -> Report {
    let mut report = calm(3.0, 0.1);
    let mut event = spike(&mut report, 1, 1.5, 5.5);
    (event.onset_s, event.end_s) = (1.3, 1.7);
    event.place = [400.0, 100.0, 500.0, 200.0];
    report.events = vec![event];
    report
}

fn drawn(report: &Report, video: &Path, dir: &Path, encoders: &[&'static str]) -> Result<Annotated> {
    let options = AnnotateOptions { open: OpenOptions::default(), encoders, progress: &mut |_| {} };
    annotate(report, &Input::File(video.to_owned()), dir, options)
}

/// What `ffprobe` says of the packets of the first stream of a kind.
fn probed(video: &Path, kind: &str) -> Vec<serde_json::Value> {
    let entries = ["-show_entries", "packet=pts_time,data_hash", "-show_data_hash", "md5", "-of", "json"];
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", kind])
        .args(entries)
        .arg(video)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    all["packets"].as_array().cloned().unwrap_or_default()
}

/// Times of showing of the packets, sorted.
fn shown(video: &Path, kind: &str) -> Vec<f64> {
    let time = |packet: &serde_json::Value| packet["pts_time"].as_str().unwrap().parse().unwrap();
    let mut times: Vec<f64> = probed(video, kind).iter().map(time).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Times of showing of the pictures.
fn times(video: &Path) -> Vec<f64> {
    shown(video, "v:0")
}

/// Hashes of the packets of the sound.
fn sound(video: &Path) -> Vec<String> {
    probed(video, "a:0").iter().map(|packet| packet["data_hash"].to_string()).collect()
}

/// A frame as tight RGB rows, and its width.
fn frame(video: &Path, at_s: f64) -> (usize, Vec<u8>) {
    let out = video.with_extension("ppm");
    ffmpeg(&["-i", video.to_str().unwrap(), "-ss", &at_s.to_string(), "-frames:v", "1", out.to_str().unwrap()]);
    let bytes = std::fs::read(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    let head: Vec<&[u8]> = bytes.splitn(4, |b| *b == b'\n').collect();
    let width = std::str::from_utf8(head[1]).unwrap().split(' ').next().unwrap().parse().unwrap();
    (width, head[3].to_vec())
}

fn pixel((width, rgb): &(usize, Vec<u8>), x: usize, y: usize) -> [i32; 3] {
    let at = (y * width + x) * 3;
    [rgb[at], rgb[at + 1], rgb[at + 2]].map(i32::from)
}

fn is_grey([r, g, b]: [i32; 3]) -> bool {
    [r, g, b].iter().all(|v| (v - 128).abs() < 8)
}

fn left(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_frame_keeps_its_time_and_the_sound_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p"];
    let with = |more: &[&'static str]| [&h264[..], more].concat();
    // Frames left out here and there: the distance of the others varies.
    let uneven = "select='not(eq(mod(n,7),3))*not(between(n,40,52))'";
    let cases = [
        film(dir.path(), "plain.mp4", &with(&["-c:a", "aac", "-shortest"])),
        film(dir.path(), "uneven.mkv", &with(&["-vf", uneven, "-vsync", "vfr", "-c:a", "libopus"])),
        film(dir.path(), "slow.mov", &with(&["-r", "24000/1001", "-c:a", "aac"])),
        film(dir.path(), "broadcast.ts", &with(&["-c:a", "mp2"])),
        film(dir.path(), "silent.mp4", &with(&["-map", "0:v"])),
    ];
    for video in cases {
        let name = video.file_name().unwrap().to_string_lossy().into_owned();
        let made = drawn(&report(), &video, dir.path(), &ENCODERS).unwrap();
        let annotated = dir.path().join("annotated.mp4");
        assert_eq!((made.file.as_str(), made.notes.len()), ("annotated.mp4", 0), "{name}: {made:?}");
        let (was, is) = (times(&video), times(&annotated));
        assert_eq!((was.len(), made.frames), (is.len(), is.len() as u64), "{name}");
        let zero = if name.ends_with("ts") { was[0] - is[0] } else { 0.0 };
        for (was, is) in was.iter().zip(&is) {
            assert!((was - is - zero).abs() < 2e-5, "{name}: a frame at {was} is at {is}");
        }
        assert_eq!(sound(&video), sound(&annotated), "{name}");
        let (was, is) = (shown(&video, "a:0"), shown(&annotated, "a:0"));
        assert_eq!((was.len(), made.sound_packets), (is.len(), is.len() as u64), "{name}");
        for (was, is) in was.iter().zip(&is) {
            assert!((was - is - zero).abs() < 2e-3, "{name}: sound at {was} is at {is}");
        }
        assert_eq!(support::cli::frame_hashes(&annotated).len(), made.frames as usize, "{name}");
    }
}

#[test]
fn the_findings_are_drawn_where_and_when_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "film.mp4", &["-pix_fmt", "yuv420p"]);
    let made = drawn(&report(), &video, dir.path(), &ENCODERS).unwrap();
    let annotated = dir.path().join("annotated.mp4");
    let (before, at) = (frame(&annotated, 0.5), frame(&annotated, 1.5));
    assert_eq!((before.0, made.width, made.height > 360), (640, 640, true));
    // The left edge of the event's box, a corner that has nothing to do with it, and the strip.
    for y in [120, 150, 180] {
        assert!(is_grey(pixel(&before, 401, y)), "{:?}", pixel(&before, 401, y));
        let [r, g, b] = pixel(&at, 401, y);
        assert!(r > g + 60 && r > b + 40, "{:?}", [r, g, b]);
    }
    assert!(is_grey(pixel(&before, 20, 20)) && is_grey(pixel(&at, 20, 20)));
    let strip = |frame: &(usize, Vec<u8>)| frame.1[360 * 640 * 3..].to_vec();
    let changed = strip(&before).iter().zip(strip(&at)).filter(|(a, b)| a.abs_diff(*b) > 60).count();
    assert!(changed > 200, "the playhead and the words move: {changed}");
}

#[test]
fn without_an_h264_encoder_it_is_mpeg4_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "film.mkv", &["-c:a", "pcm_s16le", "-pix_fmt", "yuv420p"]);
    let made = drawn(&report(), &video, dir.path(), &["no-such-encoder", "mpeg4"]).unwrap();
    assert_eq!((made.encoder.as_str(), made.frames, made.sound_packets), ("mpeg4", 90, 0));
    assert!(made.notes.iter().any(|note| note.contains("MPEG-4 part 2")), "{made:?}");
    assert!(made.notes.iter().any(|note| note.contains("no pcm_s16le")), "{made:?}");
    let annotated = dir.path().join("annotated.mp4");
    let apart = times(&video).iter().zip(times(&annotated)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 2e-5, "{apart}");
    let none = drawn(&report(), &video, dir.path(), &["no-such-encoder"]).unwrap_err().to_string();
    assert!(none.contains("no-such-encoder") && none.contains("annotated.mp4"), "{none}");
}

#[test]
fn what_is_stopped_leaves_the_earlier_film_alone_and_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "film.mp4", &["-pix_fmt", "yuv420p"]);
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("annotated.mp4"), "earlier").unwrap();
    let stop = Stop::new();
    let pulled = stop.clone();
    let mut progress = |now: f64| {
        if now > 1.0 {
            pulled.request();
        }
    };
    let open = OpenOptions { stop, ..OpenOptions::default() };
    let options = AnnotateOptions { open, encoders: &ENCODERS, progress: &mut progress };
    let error = annotate(&report(), &Input::File(video), &out, options).unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error}");
    assert_eq!(left(&out), ["annotated.mp4"]);
    assert_eq!(std::fs::read(out.join("annotated.mp4")).unwrap(), b"earlier");
}

#[test]
fn an_interrupt_while_it_is_drawn_leaves_the_report_and_no_film() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("long.mp4");
    let source = "testsrc2=size=640x360:rate=30:duration=30";
    ffmpeg(&["-f", "lavfi", "-i", source, "-preset", "ultrafast", "-pix_fmt", "yuv420p", long.to_str().unwrap()]);
    let out = dir.path().join("out");
    let mut running = Command::new(assert_cmd::cargo::cargo_bin!("startle"))
        .args(["analyze", "--quiet", "--annotate", "--model", "persistence", "--out"])
        .args([&out, &long])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .spawn()
        .unwrap();
    let drawing = || out.join("result.json").exists() && left(&out).iter().any(|name| name.starts_with(".startle-"));
    while !drawing() {
        assert!(running.try_wait().unwrap().is_none(), "it ended before it drew");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let names = left(&out);
    assert!(names.contains(&"report.html".into()) && !names.contains(&"annotated.mp4".into()), "{names:?}");
    assert!(
        names.iter().all(|name| !name.starts_with(".startle-")) && result(&out)["annotated"].is_null(),
        "{names:?}"
    );
}

#[test]
fn the_command_makes_it_beside_the_rest_and_the_result_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "film.mp4", &["-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]);
    let out = dir.path().join("out");
    let run = |more: &[&str]| {
        let mut command = startle();
        command.args(["analyze", "--quiet", "--model", "persistence", "--out"]).arg(&out).args(more);
        command
    };
    run(&["--annotate"]).arg(&video).assert().success().stderr("");
    let annotated = &result(&out)["annotated"];
    assert_eq!((&annotated["file"], &annotated["frames"]), (&"annotated.mp4".into(), &90.into()), "{annotated}");
    assert!(["libx264", "libopenh264"].contains(&annotated["encoder"].as_str().unwrap()), "{annotated}");
    assert_eq!(times(&out.join("annotated.mp4")), times(&video));
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("href=\"annotated.mp4\""));
    // Resumed, it is made where it is missing; rendered again, from the file.
    std::fs::remove_file(out.join("annotated.mp4")).unwrap();
    run(&["--annotate", "--resume"]).arg(&video).assert().success();
    let first = std::fs::read(out.join("annotated.mp4")).unwrap();
    startle().args(["report", "--annotate"]).arg(&out).assert().success();
    assert!(first == std::fs::read(out.join("annotated.mp4")).unwrap(), "the same film, byte for byte");
    // Another video under the same name is not drawn into.
    film(dir.path(), "film.mp4", &["-pix_fmt", "yuv420p", "-t", "1"]);
    let refused = startle().args(["report", "--annotate"]).arg(&out).assert().code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(told.contains("another content"), "{told}");
}

#[test]
fn streams_and_the_input_itself_are_refused_and_a_full_disk_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for stream in ["-", "http://127.0.0.1:9/film.mp4"] {
        let refused = startle().args(["analyze", "--annotate", "--model", "persistence", stream]).assert().code(1);
        let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
        assert!(told.contains("reads a video twice") && told.contains("save it to a file"), "{told}");
    }
    let own = film(dir.path(), "annotated.mp4", &["-pix_fmt", "yuv420p"]);
    let before = std::fs::read(&own).unwrap();
    let out = dir.path().to_str().unwrap();
    let refused = startle()
        .args(["analyze", "--annotate", "--model", "persistence", "--out", out, own.to_str().unwrap()])
        .assert()
        .code(1);
    let told = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(told.contains("annotated.mp4") && told.contains("--out"), "{told}");
    assert!(before == std::fs::read(&own).unwrap());

    let noise = dir.path().join("noise.mp4");
    let source = "color=gray:s=160x120:r=30:d=3,noise=alls=50:allf=t";
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        source,
        "-crf",
        "38",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        noise.to_str().unwrap(),
    ]);
    let full = dir.path().join("full");
    // A limit on a file's size fails as a full disk does, in the middle.
    let line = "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", line, assert_cmd::cargo::cargo_bin!("startle").to_str().unwrap()])
        .args(["analyze", "--quiet", "--annotate", "--model", "persistence", "--out"])
        .args([&full, &noise])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("annotated.mp4: File too large"), "{told}");
    let names = left(&full);
    assert!(names.contains(&"report.html".into()) && names.iter().all(|name| !name.contains("part")), "{names:?}");
    assert!(!names.contains(&"annotated.mp4".into()) && result(&full)["annotated"].is_null());
}
