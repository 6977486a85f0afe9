//! Everything at once: a camera over RTSP that goes away and comes back; alerts by webhook and MQTT; clips; and a monitor
//! that is killed at any moment.

#[path = "support/film.rs"]
mod film;
#[path = "support/live.rs"]
mod live;
#[path = "support/peers.rs"]
mod peers;
mod support;

use film::{LOOP_S, ONSET_S, film, rtsp_server};
use live::{free_port, is_state, monitor, terminate, until};
use peers::{Broker, Server, Topics, watch_topics};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::cli::frame_hashes;

/// What an alert is called by whoever gets it.
fn delivery(alert: &Value) -> String {
    format!("{}-{}", alert["incident"].as_str().unwrap(), alert["phase"].as_str().unwrap())
}

fn events(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|l| l["type"] == "event").collect()
}

fn onsets(lines: &[Value]) -> Vec<f64> {
    events(lines).into_iter().filter(|e| e["phase"] == "begun").map(|e| e["onset_s"].as_f64().unwrap()).collect()
}

/// A configuration that tells everybody.
fn config(dir: &Path, url: &str, hook: &str, mqtt: &str) -> PathBuf {
    let path = dir.join("monitor.toml");
    let text = format!(
        "[defaults]\nbaseline = \"bundle\"\nmax_false_alarms = \"30/hour\"\nstall_s = 10\n\
         [clips]\nfolder = \"{}\"\npre_roll_s = 2\npost_roll_s = 1\n[spool]\nfolder = \"{}\"\n\
         [[webhook]]\nurl = {hook:?}\n{mqtt}[[camera]]\nname = \"gate\"\nurl = {url:?}\n",
        dir.join("clips").display(),
        dir.join("spool").display(),
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_camera_that_breaks_and_comes_back_is_told_of_by_webhook_and_broker_with_clips() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), 2);
    let port = free_port();
    let Some(_camera) = rtsp_server(&video, port, None) else { return };
    let Some(broker) = Broker::start(dir.path(), None) else { return };
    let hook = Server::start(Vec::new());
    let topics = watch_topics(&broker.url(), None);
    let mqtt = format!("[mqtt]\nurl = {:?}\n", broker.url());
    let url = format!("rtsp://127.0.0.1:{port}/cam");
    let config = config(dir.path(), &url, &hook.url("/"), &mqtt);
    let config = config.to_str().unwrap();

    // The camera breaks where the film ends, after two loops: however late they are judged, no third one is sent.
    let (running, lines) = monitor(&["--config", config]);
    let is_over = |l: &Value| l["type"] == "event" && l["phase"] == "over";
    let mut first = until(&lines, "the first loop", is_over);
    first.extend(until(&lines, "the second loop", is_over));
    first.extend(until(&lines, "the loss", |l| is_state(l, "waiting")));
    let _again = rtsp_server(&video, port, None).unwrap();
    let lost = |l: &Value| l["type"] == "gap" && l["reason"] == "connection-lost";
    first.extend(until(&lines, "the return", lost));
    let back_s = first.last().unwrap()["end_s"].as_f64().unwrap();
    let mut second = until(&lines, "a loop after it", is_over);
    second.extend(until(&lines, "another loop", is_over));
    second.extend(until(&lines, "the second loss", |l| is_state(l, "waiting")));
    terminate(running);
    second.extend(lines.iter());

    // One violation a loop, each at its place, and nothing else.
    for (told, start) in [(&first, 0.0), (&second, back_s)] {
        let onsets = onsets(told);
        assert_eq!(onsets.len(), 2, "{onsets:?}");
        for (index, onset) in onsets.iter().enumerate() {
            let expected = start + ONSET_S + index as f64 * LOOP_S;
            assert!((onset - expected).abs() < 0.6, "{onset} where {expected} was planted");
        }
    }
    let all: Vec<Value> = first.into_iter().chain(second).collect();
    assert!(all.iter().any(|l| l["reconnects"].as_u64().is_some_and(|n| n >= 1)));
    let told: Vec<String> = events(&all).into_iter().map(delivery).collect();
    assert_eq!(told.len(), 8, "each begins and is over");
    assert_eq!(hook.taken().iter().map(delivery).collect::<Vec<_>>(), told);
    let heard: Vec<String> =
        topics.all("startle/gate/event").iter().map(|t| delivery(&serde_json::from_str(t).unwrap())).collect();
    assert_eq!(heard, told);
    assert_eq!(topics.last("startle/gate/state").as_deref(), Some("OFF"));
    assert!(topics.last("homeassistant/binary_sensor/startle_gate/config").is_some());
    assert_eq!(topics.last("startle/status").as_deref(), Some("offline"));

    // Every clip is an unbroken run of the frames that were sent.
    let sent = frame_hashes(&video);
    for alert in events(&all).into_iter().filter(|e| e["phase"] == "over") {
        let clip = frame_hashes(Path::new(alert["clip"].as_str().unwrap()));
        assert!(clip.len() >= 60, "{} frames", clip.len());
        let place = sent.windows(clip.len()).position(|run| run == clip);
        assert!(place.is_some(), "{alert} holds frames that were not sent");
    }

    let _camera = rtsp_server(&video, port, None).unwrap();
    a_last_will(config, &topics);
}

/// Killed, it can't say goodbye: its last will does.
fn a_last_will(config: &str, topics: &Topics) {
    let (mut running, lines) = monitor(&["--config", config]);
    until(&lines, "it is back", |l| is_state(l, "watching"));
    let begun = Instant::now();
    while topics.last("startle/status").as_deref() != Some("online") {
        assert!(begun.elapsed() < live::PATIENCE, "it never came online");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.0.kill().unwrap();
    while topics.last("startle/status").as_deref() != Some("offline") {
        assert!(begun.elapsed() < live::PATIENCE, "no last will");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Files that still wait.
fn waiting(spool: &Path) -> usize {
    let folders = std::fs::read_dir(spool).unwrap().flatten().filter(|e| e.path().is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten());
    files.filter(|file| file.path().extension().is_some_and(|e| e == "json" || e == "part")).count()
}

#[test]
fn nothing_that_was_told_is_lost_when_it_is_killed_at_any_moment() {
    let kills = std::env::var("STARTLE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), 12);
    let hook = Server::start(Vec::new());
    let config = config(dir.path(), video.to_str().unwrap(), &hook.url("/"), "");
    let config = config.to_str().unwrap();
    let mut told: Vec<String> = Vec::new();
    let mut state = 11_u64;
    for _ in 0..kills {
        let (mut running, lines) = monitor(&["--config", config]);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(700 + (state >> 33) % 2500));
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        told.extend(lines.iter().filter(|l| l["type"] == "event").map(|l| delivery(&l)));
    }
    // What waits goes out with the next start.
    let begun = Instant::now();
    let (running, lines) = monitor(&["--config", config]);
    told.extend(lines.iter().filter(|l| l["type"] == "event").map(|l| delivery(&l)));
    drop(running);
    while waiting(&dir.path().join("spool")) > 0 && begun.elapsed() < live::PATIENCE {
        let (running, lines) = monitor(&["--config", config]);
        told.extend(lines.iter().filter(|l| l["type"] == "event").map(|l| delivery(&l)));
        drop(running);
    }
    assert_eq!(waiting(&dir.path().join("spool")), 0);
    let mut taken: HashMap<String, usize> = HashMap::new();
    for alert in hook.taken() {
        *taken.entry(delivery(&alert)).or_default() += 1;
    }
    let lost: Vec<&String> = told.iter().filter(|name| !taken.contains_key(*name)).collect();
    assert!(told.len() >= 20 && lost.is_empty(), "{} told, lost: {lost:?}", told.len());
    // Only the one that was on its way at a kill may come twice.
    let twice: usize = taken.values().map(|n| n - 1).sum();
    assert!(twice <= kills, "{twice} came again after {kills} kills");
}
