//! What the command-line tests share: the program, generated videos, results.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program under test, in the repository's root.
pub fn startle() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("startle"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs the `ffmpeg` program quietly; it must succeed.
pub fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-y", "-loglevel", "error"]).args(args).output().unwrap();
    assert!(output.status.success(), "ffmpeg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `node` with a script that drives a real browser; `None`, and says so, where that is not installed.
pub fn browser(script: &str) -> Option<Command> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let there = Path::new("/usr/bin/chromium").exists()
        && tests.join("node_modules/playwright-core").exists()
        && Command::new("node").arg("-v").output().is_ok();
    if !there {
        eprintln!("skipped: chromium, node or playwright-core is missing (.ci/setup.sh tests installs them)");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(tests.join(script));
    Some(command)
}

/// A moving test picture of some seconds.
pub fn testsrc(dir: &Path, name: &str, seconds: u32, fps: u32) -> PathBuf {
    let path = dir.join(name);
    let source = format!("testsrc2=size=160x120:rate={fps}:duration={seconds}");
    ffmpeg(&["-f", "lavfi", "-i", &source, "-preset", "ultrafast", "-pix_fmt", "yuv420p", path.to_str().unwrap()]);
    path
}

/// `result.json` of a report folder.
pub fn result(folder: &Path) -> serde_json::Value {
    let path = folder.join("result.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Real footage, fetched by the tests' set-up.
pub fn footage() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/footage");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}; run `make setup-tests`", dir.display()));
    let mut clips: Vec<_> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "mp4")).collect();
    clips.sort();
    assert!(clips.len() >= 4, "footage is missing: run `make setup-tests`");
    clips
}

/// A hash of every decoded frame of a video, in the order of showing; decoding must go without an error.
pub fn frame_hashes(video: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-i",
            video.to_str().unwrap(),
            "-map",
            "0:v",
            "-vsync",
            "0",
            "-f",
            "framemd5",
            "-",
        ])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    // A clip that begins within an open group of pictures: orders to forget frames that it never had.
    let complaints: String = complaints.lines().filter(|l| !l.is_empty() && !l.contains("mmco: unref short")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", video.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|l| !l.starts_with('#')).map(|l| l.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// A packet as `ffprobe` sees it.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// When its frame is shown, seconds.
    pub pts: f64,
    /// Whether it is a key frame's.
    pub key: bool,
}

/// The packets of a video in the order of the file.
pub fn packets(video: &Path) -> Vec<Packet> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"])
        .arg(video)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packet = |line: &str| {
        let (pts, flags) = line.split_once(',')?;
        Some(Packet { pts: pts.parse().ok()?, key: flags.starts_with('K') })
    };
    text.lines().filter(|line| !line.is_empty()).map(|line| packet(line).unwrap_or_else(|| panic!("{line}"))).collect()
}
