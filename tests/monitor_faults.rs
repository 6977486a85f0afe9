//! A watch under what goes wrong around it: a reader that stops, a disk that is full, a configuration that is wrong, and
//! strangers who hold connections open.

#[path = "support/live.rs"]
mod live;
mod support;

use live::{Running, free_port, no_ffmpeg, terminate, wait_for};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::cli::ffmpeg;

/// A still, noisy scene of this width in which a bright square jumps after two seconds and back after four.
fn film(dir: &Path, name: &str, width: u32) -> PathBuf {
    let path = dir.join(name);
    let scene = format!(
        "color=c=gray:size={width}x120:rate=25:duration=6,format=yuv420p,\
         geq=lum='90+(X+Y)/8+110*between(X,10+if(between(N,50,99),100,0),40+if(between(N,50,99),100,0))*between(Y,40,70)'\
         :cb=128:cr=128,noise=alls=3:allf=t:all_seed=7"
    );
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &scene,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        path.to_str().unwrap(),
    ]);
    path
}

fn camera(name: &str, video: &Path, more: &str) -> String {
    format!("[[camera]]\nname = {name:?}\nurl = {:?}\n{more}\n", video.display().to_string())
}

/// A configuration whose thresholds only a jump reaches.
fn config(dir: &Path, head: &str, cameras: &str) -> PathBuf {
    let path = dir.join("m.toml");
    fs::write(&path, format!("[defaults]\nbaseline = \"self\"\nz = 12\n{head}\n{cameras}")).unwrap();
    path
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("startle"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["monitor", "--realtime", "--loop", "--model", "persistence", "--config"])
        .arg(config)
        .stdin(Stdio::null());
    command
}

fn width(video: &Path) -> u32 {
    let args = ["-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0"];
    let out = Command::new("ffprobe").args(args).arg(video).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().trim_end_matches(',').parse().unwrap()
}

#[test]
fn a_configuration_that_could_not_be_taken_over_leaves_no_trace_in_later_evidence() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [alpha, bravo, charlie] =
        [("alpha", 160), ("bravo", 192), ("charlie", 224)].map(|(name, w)| film(dir.path(), &format!("{name}.mp4"), w));
    let clips = dir.path().join("clips");
    let head = format!("[clips]\nfolder = {:?}\npre_roll_s = 1\npost_roll_s = 0.5\n", clips.display().to_string());
    let first = camera("alpha", &alpha, "");
    let path = config(dir.path(), &head, &first);
    let path_text = path.display().to_string();
    let args = ["--model", "persistence", "--realtime", "--loop", "--config", &path_text];
    let (running, lines) = live::monitor(&args);
    live::until(&lines, "alpha", |l| l["camera"] == "alpha" && l["state"] == "watching");
    let hang_up = || {
        let pid = running.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    // Bravo is good, charlie's baseline is not there: everything stays as it was.
    let broken = "baseline = \"/nowhere/baseline.json\"";
    config(
        dir.path(),
        &head,
        &[first.clone(), camera("bravo", &bravo, ""), camera("charlie", &charlie, broken)].concat(),
    );
    hang_up();
    std::thread::sleep(Duration::from_secs(1));
    config(dir.path(), &head, &[first, camera("charlie", &charlie, "")].concat());
    hang_up();
    let alert = live::until(&lines, "an event of charlie", |l| l["camera"] == "charlie" && l["type"] == "event");
    let clip = PathBuf::from(alert.last().unwrap()["clip"].as_str().unwrap());
    assert!(clip.starts_with(clips.join("charlie")), "{}", clip.display());
    wait_for("charlie's clip", || clip.exists().then_some(()));
    assert_eq!(width(&clip), 224, "the clip is another camera's");
    terminate(running);
    assert!(!clips.join("bravo").exists());
}

#[test]
fn a_reader_who_stops_reading_holds_nothing_else_up() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (port, alerts) = (free_port(), dir.path().join("alerts.jsonl"));
    let head = format!("[dashboard]\nlisten = \"127.0.0.1:{port}\"\n");
    let video = film(dir.path(), "v.mp4", 160);
    // Many cameras fill the pipe (64 KiB) with their pictures in a few seconds.
    let cameras: String = (0..6).map(|n| camera(&format!("camera {n}"), &video, "")).collect();
    let child = command(&config(dir.path(), &head, &cameras))
        .arg("--alerts")
        .arg(&alerts)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let metric = |name: &str| -> Option<f64> {
        let mut body = ureq::get(format!("http://localhost:{port}/metrics")).call().ok()?;
        let text = body.body_mut().read_to_string().ok()?;
        Some(
            text.lines()
                .filter(|l| l.starts_with(name))
                .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
                .sum(),
        )
    };
    // Neither of the two is ever read.
    wait_for("more lines than a pipe holds", || {
        fs::metadata(&alerts).is_ok_and(|file| file.len() > 400_000).then_some(())
    });
    let before = metric("startle_clips_total").unwrap();
    wait_for("clips go on", || metric("startle_clips_total").filter(|clips| *clips > before + 20.0));
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = wait_for("the end", || running.0.try_wait().unwrap());
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!ended.success() && said.contains("standard output"), "what was lost is an error: {ended:?} {said}");
}

#[test]
fn a_full_disk_under_the_file_of_alerts_ends_nothing_and_tears_no_line() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no tmpfs can be mounted here (that takes root)");
        return;
    }
    let video = film(dir.path(), "v.mp4", 160);
    let cameras: String = (0..4).map(|n| camera(&format!("camera {n}"), &video, "")).collect();
    let alerts = disk.join("alerts.jsonl");
    let others = disk.join("others.bin");
    fs::write(&others, vec![1; 48_000]).unwrap();
    let child = command(&config(dir.path(), "", &cameras))
        .arg("--alerts")
        .arg(&alerts)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    std::thread::sleep(Duration::from_secs(15));
    assert!(running.0.try_wait().unwrap().is_none(), "the watch has ended");
    let parse = || -> Vec<Value> { live::parse(&fs::read_to_string(&alerts).unwrap()) };
    let during = parse();
    // There is room again: what waited is written, in its order.
    fs::remove_file(&others).unwrap();
    wait_for("lines that waited", || (parse().len() > during.len() + 2).then_some(()));
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    wait_for("the end", || running.0.try_wait().unwrap());
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let told = parse();
    assert!(told.windows(2).all(|pair| pair[0]["time"].as_str() <= pair[1]["time"].as_str()));
    assert!(said.contains("alerts.jsonl") && said.contains("wait for it"), "{said}");
    let _ = Command::new("umount").arg(&disk).status();
}

#[test]
fn strangers_who_hold_connections_open_take_nothing_from_cameras_and_evidence() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (port, clips) = (free_port(), dir.path().join("clips"));
    let head = format!(
        "[clips]\nfolder = {:?}\npre_roll_s = 1\npost_roll_s = 0.5\n[dashboard]\nlisten = \"127.0.0.1:{port}\"\n",
        clips.display().to_string()
    );
    let path = config(dir.path(), &head, &camera("gate", &film(dir.path(), "v.mp4", 160), ""));
    // With so few descriptors as a system gives that was not told otherwise.
    let startle = command(&path);
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""])
        .arg(startle.get_program())
        .args(startle.get_args())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    let healthy = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    };
    wait_for("it answers", healthy);
    let idle: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
    assert!(idle.len() > 200);
    let whole = || {
        let event = |folder: fs::DirEntry| fs::read_to_string(folder.path().join("event.json")).ok();
        let found = fs::read_dir(clips.join("gate")).into_iter().flatten().flatten().filter_map(event);
        let events: Vec<Value> = found.filter_map(|text| serde_json::from_str(&text).ok()).collect();
        for event in &events {
            assert!(event["clip"]["file"].is_string(), "no clip: {event}");
        }
        (events.len() >= 3).then_some(())
    };
    wait_for("three clips meanwhile", whole);
    // Those who say nothing are let go; whoever asks is answered again.
    wait_for("it answers again", healthy);
    terminate(running);
    drop(idle);
}
