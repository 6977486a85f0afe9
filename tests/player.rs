//! Times as players count them: what is told of a file is what a real browser shows there, wherever its streams begin.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::cli::{browser, ffmpeg, result, startle};

const WIDTH: u32 = 320;
const SECONDS: f64 = 12.0;
/// When the square jumps.
const JUMP_S: f64 = 9.0;
/// A picture of the bar is read to a pixel or two; a player may show the picture before.
const CLOSE_S: f64 = 0.12;

/// A white bar that grows with time over the whole width, and a square that jumps; as H.264 and as VP9.
fn films(dir: &Path) -> [PathBuf; 2] {
    let graph = format!(
        "[0][1]overlay=x='-{WIDTH}+{WIDTH}*t/{SECONDS}':y=0,\
         drawbox=x=40:y=80:w=50:h=50:color=white:t=fill:enable='lt(t,{JUMP_S})',\
         drawbox=x=220:y=80:w=50:h=50:color=white:t=fill:enable='gte(t,{JUMP_S})'"
    );
    let [back, bar] = [format!("color=gray:s={WIDTH}x180"), format!("color=white:s={WIDTH}x24")]
        .map(|source| format!("{source}:r=30:d={SECONDS}"));
    let inputs =
        ["-f", "lavfi", "-i", &back, "-f", "lavfi", "-i", &bar, "-filter_complex", &graph, "-pix_fmt", "yuv420p"];
    let h264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-bf", "2"];
    let vp9: &[&str] = &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "60"];
    [("film.mp4", h264), ("film.webm", vp9)].map(|(name, encode)| {
        let path = dir.join(name);
        ffmpeg(&[&inputs[..], encode, &[path.to_str().unwrap()]].concat());
        path
    })
}

/// The same pictures in another file, copied: with sound from the beginning, or not, and a first input's options.
fn copied(from: &Path, name: &str, sound: Option<&str>, options: &[&str]) -> PathBuf {
    let path = from.with_file_name(name);
    let video = [options, &["-i", from.to_str().unwrap()]].concat();
    let arguments = match sound {
        Some(codec) => [
            &["-f", "lavfi", "-i", "sine=d=14:r=48000"],
            &video[..],
            &["-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", codec],
        ]
        .concat(),
        None => [&video[..], &["-c", "copy"]].concat(),
    };
    ffmpeg(&[&arguments[..], &[path.to_str().unwrap()]].concat());
    path
}

fn analyzed(video: &Path) -> (PathBuf, Value) {
    let out = video.with_extension("out").join(video.extension().unwrap());
    startle().args(["analyze", "--quiet", "--model", "persistence", "--out"]).arg(&out).arg(video).assert().success();
    let result = result(&out);
    (out, result)
}

/// Pairs of a time and the time that the picture shown there tells.
fn looked_at(what: &Path, times: &[f64]) -> Option<Vec<(f64, f64)>> {
    let mut command = browser("player.mjs")?;
    command.args([WIDTH.to_string(), SECONDS.to_string()]).arg(what).args(times.iter().map(f64::to_string));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}: {}", what.display(), String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&done.stdout).unwrap())
}

#[test]
fn events_lie_where_a_browser_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let [mp4, webm] = films(dir.path());
    let late = ["-itsoffset", "2"];
    // How much later than in the film itself everything is.
    let cases = [
        (mp4.clone(), 0.0),
        (copied(&mp4, "late.mp4", Some("aac"), &late), 2.0),
        (copied(&webm, "late.webm", Some("libopus"), &late), 2.0),
        (copied(&webm, "late.mkv", Some("libopus"), &late), 2.0),
        (copied(&webm, "alone.webm", None, &late), 2.0),
        (copied(&mp4, "alone.mkv", None, &late), 2.0),
        // The cut lies between two key frames: an edit list hides what is decoded before it.
        (copied(&mp4, "cut.mp4", None, &["-ss", "4.5"]), -4.5),
    ];
    for (video, shift) in cases {
        let (out, result) = analyzed(&video);
        let name = video.file_name().unwrap().to_string_lossy();
        let events = result["events"].as_array().unwrap();
        assert_eq!(events.len(), 1, "{name}: {events:?}");
        let [onset, peak] = ["onset_s", "peak_s"].map(|key| events[0][key].as_f64().unwrap());
        assert!((onset - JUMP_S - shift).abs() < 0.4, "{name}: the jump at {} is told at {onset}", JUMP_S + shift);
        let starts_at = result["input"]["starts_at_s"].as_f64().unwrap();
        assert!((starts_at - shift.max(0.0)).abs() < 0.03, "{name} begins at {starts_at}");
        let csv = std::fs::read_to_string(out.join("events.csv")).unwrap();
        assert!(csv.lines().nth(1).unwrap().starts_with(&format!("1,{onset},{peak},")), "{name}: {csv}");
        // Browsers play Matroska, but not by its name: there the page has no player.
        let pairs = if name.ends_with("mkv") {
            looked_at(&video, &[onset, peak])
        } else {
            looked_at(&out.join("report.html"), &[])
        };
        for (time, shown) in pairs.unwrap_or_default() {
            assert!((time - shown - shift).abs() < CLOSE_S, "{name}: at {time} the browser shows what is at {shown}");
        }
    }
}

#[test]
fn a_file_of_which_all_begins_late_is_counted_from_the_zero_of_its_clock() {
    let dir = tempfile::tempdir().unwrap();
    let [mp4, _] = films(dir.path());
    let late = copied(&mp4, "alone.mp4", None, &["-itsoffset", "2"]);
    let (out, result) = analyzed(&late);
    let onset = result["events"][0]["onset_s"].as_f64().unwrap();
    assert!((onset - JUMP_S - 2.0).abs() < 0.4, "{onset}");
    // Chromium's own seek ends two seconds before such a file does.
    for (time, shown) in looked_at(&out.join("report.html"), &[]).unwrap_or_default() {
        assert!((time - shown - 2.0).abs() < CLOSE_S, "at {time} the browser shows what is at {shown}");
    }
}
