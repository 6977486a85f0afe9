//! The log of `--log`: nothing without it, parts and levels, JSON, FFmpeg's own words, causes of errors, spans of cameras.

mod support;

use serde_json::Value;
use std::path::Path;
use support::cli::{startle, testsrc};

/// Standard error of a run with these arguments.
fn told(dir: &Path, arguments: &[&str]) -> String {
    let out = startle().env_remove("STARTLE_LOG").current_dir(dir).args(arguments).output().unwrap();
    String::from_utf8(out.stderr).unwrap()
}

/// A file that FFmpeg has something to say about.
fn broken(dir: &Path) {
    std::fs::write(dir.join("broken.mp4"), [&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..], &[0; 4096]].concat()).unwrap();
}

#[test]
fn ffmpeg_is_quiet_until_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    broken(dir.path());
    let analyze = ["analyze", "--model", "persistence", "--quiet", "broken.mp4"];
    let plain = told(dir.path(), &analyze);
    assert!(plain.starts_with("startle: ") && !plain.contains("ffmpeg:"), "{plain}");
    let logged = told(dir.path(), &[&["--log", "ffmpeg=error"][..], &analyze].concat());
    let (events, words): (Vec<&str>, Vec<&str>) = logged.lines().partition(|line| line.contains("ERROR ffmpeg: "));
    assert!(!events.is_empty(), "{logged}");
    assert_eq!(words.join("\n").trim(), plain.trim(), "what is said to people stays");
}

#[test]
fn json_is_an_object_a_line_with_what_is_said_to_people() {
    let dir = tempfile::tempdir().unwrap();
    broken(dir.path());
    let logged =
        told(dir.path(), &["--log-format", "json", "analyze", "--model", "persistence", "--quiet", "broken.mp4"]);
    let lines: Vec<Value> =
        logged.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
    let own = |line: &&Value| line["level"] == "ERROR" && line["target"].as_str().unwrap().starts_with("startle");
    let message = lines.iter().find(own).unwrap_or_else(|| panic!("{logged}"))["fields"]["message"].as_str().unwrap();
    assert!(message.contains("broken.mp4"), "{message}");
    assert!(lines.iter().any(|line| line["target"] == "ffmpeg"), "{logged}");
}

#[test]
fn debug_tells_the_causes_of_an_error() {
    let dir = tempfile::tempdir().unwrap();
    broken(dir.path());
    let report = ["analyze", "--model", "persistence", "--baseline", "gone.json", "broken.mp4"];
    let plain = told(dir.path(), &report);
    assert!(plain.contains("No such file") && !plain.contains("caused by"), "{plain}");
    let logged = told(dir.path(), &[&["--log", "startle=debug"][..], &report].concat());
    assert!(logged.contains("DEBUG") && logged.contains("caused by: No such file"), "{logged}");
    assert!(told(dir.path(), &["--log", "startle=loud", "doctor"]).contains("--log: "));
}

#[test]
fn what_a_camera_tells_is_in_its_span() {
    let dir = tempfile::tempdir().unwrap();
    testsrc(dir.path(), "clip.mp4", 4, 10);
    let monitor = ["--log", "info", "monitor", "--quiet", "--model", "persistence", "clip.mp4"];
    let logged = told(dir.path(), &monitor);
    assert!(logged.lines().any(|line| line.contains("camera{id=0}") && line.contains("Ended")), "{logged}");
}
