//! How inputs are named and found: folders, endings, addresses of files, names that are not Unicode or that mean harm, tracks,
//! rates.

mod support;

use predicates::prelude::*;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use support::cli::{ffmpeg, result, startle, testsrc};

fn analyze(out: &Path) -> assert_cmd::Command {
    let mut command = startle();
    command.args(["analyze", "--model", "persistence", "--out"]).arg(out);
    command
}

#[test]
fn folders_of_folders_are_searched_where_asked_and_what_is_passed_over_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("out"));
    fs::create_dir_all(root.join("below/deep")).unwrap();
    testsrc(&root, "a.mp4", 2, 10);
    testsrc(&root.join("below/deep"), "b.mp4", 2, 10);
    fs::write(root.join("notes.txt"), "x").unwrap();
    let told = "passed over: 1 files that are no videos, 1 folders (--recursive looks into them)";
    analyze(&out).arg(&root).assert().success().stderr(predicate::str::contains(told));
    assert_eq!(result(&out)["input"]["path"], root.join("a.mp4").to_str().unwrap());
    let all = dir.path().join("all");
    let told = "passed over: 1 files that are no videos, 0 folders\n";
    analyze(&all).arg("--recursive").arg(&root).assert().success().stderr(predicate::str::contains(told));
    assert!(all.join("a/result.json").exists() && all.join("b/result.json").exists());
}

#[test]
fn recorders_endings_are_videos() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let at = |name: &str| root.join(name).display().to_string();
    let scene = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2", "-pix_fmt", "yuv420p", "-preset", "ultrafast"];
    ffmpeg(&[&scene[..], &["-c:v", "libx264", "-f", "h264", &at("a.264")]].concat());
    ffmpeg(&[&scene[..], &["-c:v", "libx265", "-x265-params", "log-level=none", "-f", "hevc", &at("b.265")]].concat());
    fs::copy(at("a.264"), at("c.avc")).unwrap();
    fs::copy(at("a.264"), at("d.dav")).unwrap();
    let out = dir.path().join("out");
    analyze(&out).arg(&root).assert().success();
    for name in ["b", "d"] {
        assert_eq!(result(&out.join(name))["input"]["frames_decoded"], 50, "{name}");
    }
    let folders = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    assert_eq!(folders.filter(|folder| !folder.file_name().as_encoded_bytes().starts_with(b".")).count(), 4);
}

#[test]
fn names_are_taken_as_the_system_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "a b.mp4", 2, 10);
    let out = dir.path().join("out");
    analyze(&out).arg(format!("file://{}/a%20b.mp4", dir.path().display())).assert().success();
    assert_eq!(result(&out)["input"]["path"], video.to_str().unwrap());

    let odd = dir.path().join(OsStr::from_bytes(b"v\xff\xfe.mp4"));
    fs::rename(&video, &odd).unwrap();
    let out = dir.path().join("odd");
    analyze(&out).arg(&odd).assert().success();
    assert_eq!(result(&out)["input"]["frames_decoded"], 20);
}

#[test]
fn a_track_is_chosen_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("two.mkv");
    let (large, small) = ("testsrc2=s=160x120:r=10:d=2", "testsrc2=s=64x48:r=10:d=2");
    let inputs = ["-f", "lavfi", "-i", large, "-f", "lavfi", "-i", small, "-map", "0", "-map", "1", "-c:v", "mpeg4"];
    ffmpeg(&[&inputs[..], &[path.to_str().unwrap()]].concat());
    let out = dir.path().join("out");
    analyze(&out).arg(&path).assert().success().stderr(predicate::str::contains("2 video streams"));
    assert_eq!(result(&out)["input"]["width"], 160);
    analyze(&out).args(["--track", "2"]).arg(&path).assert().success();
    assert_eq!((&result(&out)["input"]["width"], &result(&out)["config"]["track"]), (&64.into(), &2.into()));
    analyze(&out).args(["--track", "3"]).arg(&path).assert().code(1).stderr(predicate::str::contains("from 1 to 2"));
}

#[test]
fn a_rate_that_does_not_apply_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "clip.mp4", 2, 10);
    let out = dir.path().join("out");
    let refused = |option: &str, words: &str| {
        analyze(&out).args([option, "10"]).arg(&video).assert().code(1).stderr(predicate::str::contains(words));
    };
    refused("--image-fps", "--image-fps is the rate of image sequences");
    refused("--fps", "--fps is for streams that state no rate");
}

#[test]
fn pushed_jpegs_are_placed_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("p%02d.jpg");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=10", pictures.to_str().unwrap()]);
    let pictures: Vec<Vec<u8>> = (1..100).map(|n| fs::read(dir.path().join(format!("p{n:02}.jpg"))).unwrap()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ =
                connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n");
            for picture in &pictures {
                let head = format!("--x\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
                if connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(picture)).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    });
    let out = dir.path().join("out");
    // Its end is that of a lost connection, or a plain one.
    let _ = analyze(&out).arg(format!("http://127.0.0.1:{port}/video.mjpeg")).assert();
    let result = result(&out);
    let seconds = result["input"]["duration_s"].as_f64().unwrap();
    assert!(seconds > 4.5, "99 pictures in 10 s, of which the first are read at once, last {seconds} s");
    assert!(result["input"]["notes"].to_string().contains("placed as they came"), "{}", result["input"]);
}

#[test]
fn names_that_mean_something_to_terminals_and_spreadsheets_are_only_names() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "plain.mp4", 2, 10);
    let evil = dir.path().join("a\x1b[31m\nEVENT\x07.mp4");
    fs::copy(&video, &evil).unwrap();
    let harmless = |output: &std::process::Output| {
        for bytes in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(['\x1b', '\x07']) && !text.contains("\nEVENT"), "{text:?}");
        }
    };
    let out = dir.path().join("out");
    harmless(analyze(&out).args(["--format", "jsonl"]).arg(&evil).assert().success().get_output());
    harmless(analyze(&out).arg(evil.with_file_name("gone\x1b[2J\nEVENT.mp4")).assert().code(1).get_output());
    let mut watch = startle();
    watch.args(["monitor", "--model", "persistence"]).arg(&evil).timeout(Duration::from_mins(2));
    let watched = watch.assert();
    harmless(watched.get_output());
    assert!(String::from_utf8_lossy(&watched.get_output().stderr).contains("ended"));

    let root = dir.path().join("sheet");
    fs::create_dir(&root).unwrap();
    let names = ["=1+1.mp4", "+2.mp4", "-3.mp4", "@4.mp4"];
    for name in names {
        fs::copy(&video, root.join(name)).unwrap();
    }
    analyze(Path::new("out")).current_dir(&root).arg("--").args(names).assert().success();
    let table = fs::read_to_string(root.join("out/summary.csv")).unwrap();
    for name in names {
        assert!(table.lines().any(|line| line.starts_with(&format!("'{name},"))), "{table}");
    }
}

#[test]
fn every_command_that_reads_videos_takes_the_same_limits() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let film = testsrc(dir.path(), "film.mp4", 2, 10).display().to_string();
    ffmpeg(&["-i", &film, "-map", "0", "-map", "0", "-map", "0", "-c", "copy", &at("three.mkv")]);
    let rows = "path,pair,possible,type\nfilm.mp4,a,true,x\nthree.mkv,a,false,x\n";
    fs::write(dir.path().join("labels.csv"), rows).unwrap();
    let camera = format!("[[camera]]\nname = \"a\"\nurl = {film:?}\nmax_pixels = 1000\n");
    fs::write(dir.path().join("monitor.toml"), camera).unwrap();
    let folder = dir.path().display().to_string();
    let evaluate = ["evaluate", &folder, "--layout", "pairs", "--no-random", "--out"];
    let run = |args: &[&str]| {
        let ran = startle().args(args).args(["--model", "persistence"]).timeout(Duration::from_mins(1)).assert();
        let output = ran.get_output();
        [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
    };
    for (args, words) in [
        (vec!["analyze", &film, "--out", &at("a"), "--max-pixels", "1000"], "--max-pixels"),
        (vec!["analyze", &at("three.mkv"), "--out", &at("b"), "--max-streams", "2"], "more than 2 streams"),
        (vec!["calibrate", &film, "-o", &at("c.json"), "--max-pixels", "1000"], "--max-pixels"),
        (vec!["monitor", &film, "--max-pixels", "1000"], "--max-pixels"),
        (vec!["monitor", &at("three.mkv"), "--max-streams", "2"], "more than 2 streams"),
        (vec!["monitor", "--config", &at("monitor.toml")], "max_pixels"),
        ([&evaluate[..], &[&at("d"), "--max-pixels", "1000"]].concat(), "160×120 would take too much memory"),
        ([&evaluate[..], &[&at("e"), "--max-streams", "2"]].concat(), "more than 2 streams"),
    ] {
        let told = run(&args);
        assert!(told.contains(words), "{args:?}: {told}");
    }
}
