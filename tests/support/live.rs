//! `startle monitor` as a process, and senders for it to watch.
// Not every test binary uses all of them.
#![allow(dead_code)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything a camera should tell: also on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_mins(5);

pub fn parse(text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

pub fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name).display().to_string()
}

/// A process that is ended with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `startle monitor`, and its lines as they come.
pub fn monitor(args: &[&str]) -> (Running, Receiver<Value>) {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("startle"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("monitor")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, hear) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str(&line).unwrap());
        }
    });
    (Running(child), hear)
}

/// Reads lines until one is wanted; gives all of them.
pub fn until(lines: &Receiver<Value>, what: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    let mut seen = Vec::new();
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let line = lines.recv_timeout(left).unwrap_or_else(|e| panic!("{what}: {e}; seen {seen:?}"));
        seen.push(line);
        if seen.last().is_some_and(&wanted) {
            return seen;
        }
    }
}

pub fn is_state(line: &Value, state: &str) -> bool {
    line["type"] == "health" && line["state"] == state
}

/// Waits until something is there.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Some(found) => return found,
            None if begun.elapsed() > PATIENCE => panic!("{what}: waited in vain"),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Ends it with SIGTERM: within five seconds and with status 0.
pub fn terminate(mut running: Running) {
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let asked = Instant::now();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_mins(1), "{:?}", asked.elapsed());
}

/// Whether the `ffmpeg` program is there; says so if not.
pub fn no_ffmpeg() -> bool {
    let missing = Command::new("ffmpeg").arg("-version").output().is_err();
    if missing {
        eprintln!("skipped: the ffmpeg program is not installed (apt install ffmpeg)");
    }
    missing
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a video over and over at its own pace.
pub fn sender(video: &Path, encode: &[&str], to: &str) -> Running {
    let child = Command::new("ffmpeg")
        .args(["-loglevel", "quiet", "-nostdin", "-re", "-stream_loop", "-1", "-i"])
        .arg(video)
        .args(encode)
        .arg(to)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}
