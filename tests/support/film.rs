//! A film with a planted violation, over and over, and an RTSP server for it.
// Not every test binary uses all of it.
#![allow(dead_code)]

use super::live::{Running, sample};
use super::support::cli::ffmpeg;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The violation's onset in [`film`], seconds, and the film's length.
pub const ONSET_S: f64 = 3.0;
pub const LOOP_S: f64 = 7.0;

/// H.264 that every protocol here carries.
pub const H264: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"];

/// A sample with a violation at [`ONSET_S`], then a second of black: begun again that is a cut, not a teleport.
pub fn film(dir: &Path, times: u32) -> PathBuf {
    let (one, all) = (dir.join("one.mp4"), dir.join("film.mp4"));
    let input = sample("colour_0_impossible.mp4");
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "15", "-pix_fmt", "yuv420p"];
    let mut args = vec!["-i", &input, "-vf", "tpad=stop_duration=1"];
    args.extend(encode);
    ffmpeg(&[&args[..], &[one.to_str().unwrap()]].concat());
    let again = (times - 1).to_string();
    ffmpeg(&["-stream_loop", &again, "-i", one.to_str().unwrap(), "-c", "copy", all.to_str().unwrap()]);
    all
}

/// An RTSP server (`GStreamer`) with the film, which breaks off where that ends; `None` (and says so) where it is not
/// installed.
pub fn rtsp_server(film: &Path, port: u16, login: Option<(&str, &str)>) -> Option<Running> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/rtsp_server.py");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(film).arg(port.to_string());
    if let Some((user, word)) = login {
        command.env("USER", user).env("WORD", word);
    }
    command.env_remove("PYTHONPATH").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut line = String::new();
    let told = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
    let running = Running(child);
    if told.is_ok() && line.trim() == "ready" {
        return Some(running);
    }
    eprintln!("skipped: GStreamer's RTSP server is not installed (apt install gir1.2-gst-rtsp-server-1.0 python3-gi)");
    None
}
