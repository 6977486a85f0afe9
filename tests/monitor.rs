//! `startle monitor` as a user runs it: files at their own pace, real senders on this machine, breaks, the end.

#[path = "support/live.rs"]
mod live;
mod support;

use live::{Running, free_port, is_state, monitor, no_ffmpeg, parse, sample, sender, terminate, until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::cli::{ffmpeg, startle, testsrc};

#[test]
fn a_violation_in_a_file_is_an_alert_with_place_picture_and_both_clocks() {
    let dir = tempfile::tempdir().unwrap();
    let alerts = dir.path().join("alerts.jsonl");
    let out = startle()
        .args(["monitor", "--max-false-alarms", "30/hour", "--alerts", alerts.to_str().unwrap()])
        .args([sample("colour_0_impossible.mp4"), sample("colour_0_possible.mp4")])
        .assert()
        .success();
    let text = String::from_utf8(out.get_output().stdout.clone()).unwrap();
    assert_eq!(text, fs::read_to_string(&alerts).unwrap());
    let lines = parse(&text);
    let events: Vec<&Value> = lines.iter().filter(|l| l["type"] == "event").collect();
    let phases: Vec<_> =
        events.iter().map(|e| (e["phase"].as_str().unwrap(), e["incident"].as_str().unwrap())).collect();
    assert!(matches!(phases[..], [("begun", a), ("over", b)] if a == b), "{phases:?}");
    let event = events[1];
    assert!(event["camera"].as_str().unwrap().contains("colour_0_impossible"));
    assert!(event["onset_s"].as_f64().unwrap() <= event["peak_s"].as_f64().unwrap());
    for time in ["time", "onset", "peak", "end"] {
        assert!(humantime::parse_rfc3339(event[time].as_str().unwrap()).is_ok(), "{time}");
    }
    assert_eq!(event["box"].as_array().unwrap().len(), 4);
    assert!(event["thumbnail"].as_str().unwrap().len() > 200);
    assert_eq!(lines.iter().filter(|l| is_state(l, "ended")).count(), 2);
}

#[test]
fn a_camera_in_the_configuration_that_is_not_there_touches_no_other_and_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "yard.mp4", 3, 10);
    let config = dir.path().join("m.toml");
    let text = format!(
        "[defaults]\nbaseline = \"self\"\nz = 8\n[[camera]]\nname = \"gate\"\nurl = \"http://user:word@127.0.0.1:{}/?token=word\"\n\
         [[camera]]\nname = \"yard\"\nurl = {:?}\n",
        free_port(),
        video.display().to_string()
    );
    fs::write(&config, text).unwrap();
    let args = ["--model", "persistence", "--realtime", "--loop", "--config", config.to_str().unwrap()];
    let (running, lines) = monitor(&args);
    let mut seen = until(&lines, "the gate is away", |l| l["camera"] == "gate" && is_state(l, "waiting"));
    seen.extend(until(&lines, "the yard goes round", |l| l["camera"] == "yard" && l["type"] == "gap"));
    let text: String = seen.iter().map(Value::to_string).collect();
    assert!(text.contains("can't connect") && !text.contains("word"), "{text}");
    terminate(running);
}

/// A sample without a violation, there and back, so that nothing jumps where it begins again.
fn possible(dir: &Path) -> PathBuf {
    let path = dir.join("possible.mp4");
    let there_and_back = "[0]split[a][b];[b]reverse[r];[a][r]concat=n=2:v=1";
    let input = sample("colour_0_possible.mp4");
    ffmpeg(&["-i", &input, "-filter_complex", there_and_back, "-pix_fmt", "yuv420p", path.to_str().unwrap()]);
    path
}

/// Watches a sender that is killed in the middle and comes back with other footage: connected anew, the break is no
/// event, and the violation in the footage after it is one.
fn breaks_and_comes_back(url: &str, mut send: impl FnMut(&Path) -> Running) {
    let dir = tempfile::tempdir().unwrap();
    let first = send(&possible(dir.path()));
    let (running, lines) = monitor(&["--stall", "2", "--max-false-alarms", "30/hour", "--baseline", "bundle", url]);
    let mut seen = until(&lines, "connected", |l| is_state(l, "watching"));
    std::thread::sleep(Duration::from_secs(5));
    drop(first);
    seen.extend(until(&lines, "lost", |l| is_state(l, "waiting")));
    let _second = send(Path::new(&sample("colour_0_impossible.mp4")));
    seen.extend(until(&lines, "back", |l| l["type"] == "gap" && l["reason"] == "connection-lost"));
    let gap = seen.last().unwrap().clone();
    let end_s = gap["end_s"].as_f64().unwrap();
    assert!(end_s > gap["start_s"].as_f64().unwrap(), "{gap}");
    let onset = |l: &Value| l["onset_s"].as_f64().filter(|_| l["type"] == "event");
    seen.extend(until(&lines, "the violation", |l| onset(l).is_some_and(|s| s > end_s)));
    let events: Vec<&Value> = seen.iter().filter(|l| l["type"] == "event").collect();
    // What the break alone would cause shows in the first clip after it.
    let by_the_break = |s: f64| (gap["start_s"].as_f64().unwrap()..end_s + 0.8).contains(&s);
    assert!(!events.iter().any(|e| onset(e).is_some_and(by_the_break)), "{gap}: {events:?}");
    assert!(seen.iter().any(|l| l["reconnects"].as_u64().is_some_and(|n| n > 0)), "{seen:?}");
    terminate(running);
}

#[test]
fn mpeg_ts_over_udp_breaks_and_comes_back() {
    if no_ffmpeg() {
        return;
    }
    let url = format!("udp://127.0.0.1:{}", free_port());
    let encode = ["-c:v", "mpeg2video", "-q:v", "2", "-g", "5", "-f", "mpegts"];
    breaks_and_comes_back(&url, |video| sender(video, &encode, &format!("{url}?pkt_size=1316")));
}

#[test]
fn mjpeg_over_http_breaks_and_comes_back() {
    if no_ffmpeg() {
        return;
    }
    let url = format!("http://127.0.0.1:{}/camera.mjpeg", free_port());
    let encode = ["-c:v", "mjpeg", "-q:v", "2", "-f", "mpjpeg", "-listen", "1"];
    breaks_and_comes_back(&url, |video| sender(video, &encode, &url));
}

#[test]
fn a_sighup_changes_what_has_changed_and_leaves_the_rest_alone() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "yard.mp4", 3, 10).display().to_string();
    let config = dir.path().join("m.toml");
    let camera = |name: &str, more: &str| format!("[[camera]]\nname = {name:?}\nurl = {video:?}\n{more}\n");
    fs::write(&config, camera("yard", "") + &camera("gate", "")).unwrap();
    let state = dir.path().join("state").display().to_string();
    let path = config.display().to_string();
    let args = ["--model", "persistence", "--realtime", "--loop", "--state", &state, "--config", &path];
    let (running, lines) = monitor(&args);
    let of = |line: &Value, name: &str| line["camera"] == name;
    until(&lines, "both", |l| of(l, "gate") && is_state(l, "watching"));
    let hang_up = || {
        let pid = running.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    fs::write(&config, "[[camera]]\nname = 3\n").unwrap();
    hang_up();
    std::thread::sleep(Duration::from_millis(500));
    fs::write(&config, camera("yard", "") + &camera("gate", "z = 9") + &camera("door", "")).unwrap();
    hang_up();
    let mut seen = until(&lines, "the new one", |l| of(l, "door") && is_state(l, "watching"));
    if !seen.iter().any(|l| of(l, "gate") && is_state(l, "ended")) {
        seen.extend(until(&lines, "the old one", |l| of(l, "gate") && is_state(l, "ended")));
    }
    assert!(!seen.iter().any(|l| of(l, "yard") && is_state(l, "ended")), "{seen:?}");
    terminate(running);
    // What each showed is kept.
    assert!(fs::read_dir(state).unwrap().count() >= 2);
}
