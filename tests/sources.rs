//! Every kind of source with a real peer on this machine: each is watched, and its planted violation is told.

#[path = "support/film.rs"]
mod film;
#[path = "support/live.rs"]
mod live;
mod support;

use film::{H264, LOOP_S, ONSET_S, film, rtsp_server};
use live::{Running, free_port, is_state, monitor, no_ffmpeg, sender, terminate, until};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Watches a source until its violation is told; gives the line.
fn tells_the_violation(url: &str, more: &[&str]) -> Value {
    let mut args = vec!["--baseline", "bundle", "--max-false-alarms", "30/hour", "--stall", "5", url];
    args.extend(more);
    let (running, lines) = monitor(&args);
    until(&lines, "connected", |l| is_state(l, "watching"));
    let seen = until(&lines, "the violation", |l| l["type"] == "event" && l["phase"] == "begun");
    terminate(running);
    seen.last().unwrap().clone()
}

#[test]
fn rtsp_over_tcp_with_a_password_that_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(_server) = rtsp_server(&film(dir.path(), 12), port, Some(("watcher", "secret-word"))) else { return };
    let url = format!("rtsp://watcher:secret-word@127.0.0.1:{port}/cam");
    let event = tells_the_violation(&url, &["--rtsp-transport", "tcp"]);
    let onset = event["onset_s"].as_f64().unwrap() % LOOP_S;
    assert!((onset - ONSET_S).abs() < 0.5, "{onset}");
    assert!(!event.to_string().contains("secret-word"), "{event}");
}

#[test]
fn rtsp_over_udp() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(_server) = rtsp_server(&film(dir.path(), 12), port, None) else { return };
    tells_the_violation(&format!("rtsp://127.0.0.1:{port}/cam"), &["--rtsp-transport", "udp"]);
}

/// Watches what `ffmpeg` sends of the film to `to`.
fn sent_by_ffmpeg(format: &[&str], to: &str, url: &str) {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let _sender = sender(&film(dir.path(), 1), &[&H264[..], format].concat(), to);
    tells_the_violation(url, &[]);
}

#[test]
fn rtmp() {
    let url = format!("rtmp://127.0.0.1:{}/live/cam", free_port());
    sent_by_ffmpeg(&["-f", "flv", "-listen", "1"], &url, &url);
}

#[test]
fn srt() {
    let url = format!("srt://127.0.0.1:{}", free_port());
    sent_by_ffmpeg(&["-f", "mpegts"], &format!("{url}?mode=listener"), &url);
}

#[test]
fn mpeg_ts_over_tcp() {
    let url = format!("tcp://127.0.0.1:{}", free_port());
    sent_by_ffmpeg(&["-f", "mpegts"], &format!("{url}?listen=1"), &url);
}

#[test]
fn hls() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let server = Command::new("/usr/bin/python3")
        .args(["-m", "http.server", &port, "--bind", "127.0.0.1", "--directory"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let (Ok(server), false) = (server, no_ffmpeg()) else { return };
    let _server = Running(server);
    let list = dir.path().join("cam.m3u8");
    let live = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "delete_segments"];
    let _sender = sender(&film(dir.path(), 1), &[&H264[..], &live].concat(), list.to_str().unwrap());
    let begun = std::time::Instant::now();
    while !list.exists() && begun.elapsed() < live::PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    tells_the_violation(&format!("http://127.0.0.1:{port}/cam.m3u8"), &[]);
}

#[test]
fn a_camera_at_this_machine() {
    let camera = (0..10).map(|n| format!("/dev/video{n}")).find(|path| Path::new(path).exists());
    let Some(camera) = camera else {
        eprintln!("skipped: there is no /dev/video… here (v4l2loopback makes one where the kernel has it)");
        let (running, lines) = monitor(&["--model", "persistence", "/dev/video99"]);
        let seen = until(&lines, "why not", |l| is_state(l, "waiting"));
        assert!(seen.last().unwrap()["reason"].as_str().unwrap().contains("no such file"), "{seen:?}");
        return terminate(running);
    };
    let (running, lines) = monitor(&["--model", "persistence", &camera]);
    until(&lines, "connected", |l| is_state(l, "watching"));
    terminate(running);
}
