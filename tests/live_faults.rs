//! What cameras do in mid-stream: the picture, the codec, the rate and the clock change, garbage comes. No such thing is an
//! event, and no other camera is touched by it.

#[path = "support/live.rs"]
mod live;
mod support;

use live::{is_state, monitor, no_ffmpeg, sample, terminate, until};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use support::cli::ffmpeg;

/// A lawful sample as MPEG-TS bytes.
fn transport_stream(dir: &Path, encode: &[&str]) -> Vec<u8> {
    let path = dir.join("piece.ts");
    let input = sample("colour_0_possible.mp4");
    ffmpeg(&[&["-i", &input], encode, &["-f", "mpegts", path.to_str().unwrap()]].concat());
    std::fs::read(path).unwrap()
}

/// Bytes that are nothing.
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Serves the pieces one after the other to each client, each in about four seconds, over and over.
fn serve(pieces: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { continue };
            let chunks = |piece: &Vec<u8>| piece.chunks(piece.len() / 80 + 1).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let all: Vec<Vec<u8>> = pieces.iter().flat_map(chunks).collect();
            for chunk in all.iter().cycle() {
                if client.write_all(chunk).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    });
    url
}

/// Watches the pieces beside a steady camera until `enough`; gives what was told of the faulty one.
fn watch(pieces: Vec<Vec<u8>>, what: &str, enough: impl Fn(&Value) -> bool) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state").display().to_string();
    let (url, steady) = (serve(pieces), sample("colour_0_possible.mp4"));
    let more = ["--baseline", "bundle", "--max-false-alarms", "10/hour", "--stall", "3", "--state", &state];
    let (running, lines) = monitor(&[&more[..], &["--realtime", "--loop", &url, &steady]].concat());
    let seen = until(&lines, what, |l| l["camera"] == url && enough(l));
    terminate(running);
    let (faulty, other): (Vec<Value>, Vec<Value>) = seen.into_iter().partition(|l| l["camera"] == url);
    assert!(other.iter().all(|l| l["reconnects"].as_u64().unwrap_or(0) == 0), "{other:?}");
    let events: Vec<&Value> = faulty.iter().filter(|l| l["type"] == "event").collect();
    assert!(events.is_empty(), "{events:?}");
    faulty
}

/// Gaps of a reason.
fn gaps(told: &[Value], reason: &str) -> usize {
    told.iter().filter(|l| l["type"] == "gap" && l["reason"] == reason).count()
}

#[test]
fn another_size_rate_and_clock_in_mid_stream_are_breaks() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"];
    let pieces = vec![
        transport_stream(dir.path(), &h264),
        transport_stream(dir.path(), &[&["-vf", "scale=320:240", "-r", "15"], &h264[..]].concat()),
    ];
    let mut sizes = 0;
    let told = {
        let counted = std::cell::RefCell::new(&mut sizes);
        watch(pieces, "three changes of size", |l| {
            let change = l["type"] == "gap" && l["reason"] == "format-change";
            **counted.borrow_mut() += usize::from(change);
            **counted.borrow() >= 3
        })
    };
    assert!(gaps(&told, "timestamp-reset") >= 1, "{told:?}");
    assert!(told.iter().all(|l| l["reconnects"].as_u64().unwrap_or(0) == 0), "a change needs no new connection");
}

#[test]
fn another_codec_in_mid_stream_and_garbage_are_lived_through() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"];
    let pieces = vec![
        transport_stream(dir.path(), &h264),
        garbage(400_000),
        transport_stream(dir.path(), &["-c:v", "mpeg2video", "-q:v", "2", "-g", "10"]),
    ];
    let told = watch(pieces, "frames of a new connection", |l| l["reason"] == "connection-lost");
    assert!(told.iter().any(|l| is_state(l, "waiting") && l["reason"].is_string()), "{told:?}");
}

#[test]
fn a_camera_that_sends_nothing_but_garbage_is_tried_again_and_again() {
    let told = watch(vec![garbage(300_000)], "the second attempt", |l| {
        is_state(l, "waiting") && l["reconnects"].as_u64().unwrap_or(0) >= 1
    });
    assert!(told.iter().any(|l| l["reason"].is_string()), "{told:?}");
}
