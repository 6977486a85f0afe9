//! The evidence of a monitor as a user finds it on the disk: clips of real senders compared frame by frame with what was
//! sent, the curves, what is left after `kill -9`, a full disk, and what is old.

#[path = "support/live.rs"]
mod live;
mod support;

use live::{Running, free_port, no_ffmpeg, terminate, wait_for};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};
use support::cli::{ffmpeg, frame_hashes, packets, startle};

/// Frames of the films at which the square jumps; 25 are a second.
const JUMPS: [usize; 2] = [125, 165];

/// `startle monitor` on a configuration, with the model that needs no weights, and its lines as they come.
fn monitor(config: &Path) -> (Running, Receiver<Value>) {
    let config = config.to_str().unwrap();
    live::monitor(&["--quiet", "--realtime", "--model", "persistence", "--config", config])
}

/// Reads lines until one is wanted; gives it.
fn until(lines: &Receiver<Value>, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    live::until(lines, what, wanted).pop().unwrap()
}

/// A still, noisy scene (so that no two frames are alike) in which a bright square jumps at each of [`JUMPS`].
fn film(dir: &Path, name: &str, seconds: u32, encode: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let [a, b] = JUMPS;
    let left = format!("if(between(N,{a},{}),110,10)", b - 1);
    let scene = format!(
        "color=c=gray:size=160x120:rate=25:duration={seconds},format=yuv420p,\
         geq=lum='90+(X+Y)/8+110*between(X,{left},{left}+30)*between(Y,40,70)':cb=128:cr=128,\
         noise=alls=3:allf=t:all_seed=7"
    );
    ffmpeg(&[&["-f", "lavfi", "-i", &scene], encode, &[path.to_str().unwrap()]].concat());
    path
}

/// Sends a film once, at its own pace, as it is.
fn sender(video: &Path, format: &[&str], to: &str) -> Running {
    let child = Command::new("ffmpeg")
        .args(["-loglevel", "quiet", "-nostdin", "-re", "-i"])
        .arg(video)
        .args(["-c", "copy"])
        .args(format)
        .arg(to)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

fn udp(video: &Path, url: &str) -> Running {
    sender(video, &["-f", "mpegts"], &format!("{url}?pkt_size=1316"))
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", path.display()))
}

/// The finished incidents of a camera, in the order of their onset.
fn incidents(clips: &Path, camera: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(clips.join(camera)) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.join("event.json").exists()).collect();
    found.sort_by_key(|path| read_json(&path.join("event.json"))["onset"].as_str().unwrap().to_owned());
    found
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn seconds(time: &Value) -> f64 {
    let time = humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Checks everything of an incident's folder; gives the place of the clip's frames among those that were sent, and how
/// many they are.
fn check(folder: &Path, sent: &[String]) -> (usize, usize) {
    let event = read_json(&folder.join("event.json"));
    assert_eq!(event["incident"], folder.file_name().unwrap().to_str().unwrap());
    let clip = folder.join(event["clip"]["file"].as_str().unwrap());
    let cut = frame_hashes(&clip);
    let place = sent.windows(cut.len()).position(|window| window == cut);
    let places = || cut.iter().map(|hash| sent.iter().position(|s| s == hash)).collect::<Vec<_>>();
    let place = place.unwrap_or_else(|| panic!("{}: no run of those sent: {:?}", clip.display(), places()));
    let packets = packets(&clip);
    assert!(packets[0].key, "{}", clip.display());
    assert_eq!(packets.iter().map(|p| p.pts).min_by(f64::total_cmp), Some(0.0), "{}", clip.display());
    let last = packets.iter().map(|p| p.pts).max_by(f64::total_cmp).unwrap();
    let duration = event["clip"]["duration_s"].as_f64().unwrap();
    assert!((duration - last - 0.04).abs() < 0.2, "{}: {duration} {last}", clip.display());
    assert_eq!(fs::read(folder.join("thumbnail.jpg")).unwrap()[..2], [0xff, 0xd8]);
    let (start, end) = (seconds(&event["clip"]["start"]), seconds(&event["clip"]["start"]) + duration);
    let curve = read_json(&folder.join("curve.json"));
    let points = curve["points"].as_array().unwrap();
    assert!(points.len() > 4, "{}", folder.display());
    assert!(points.iter().any(|p| p["z"].as_f64().is_some_and(|z| z > 12.0)), "the event is in its curve");
    for point in points {
        assert!((start - 12.0..end + 1.0).contains(&seconds(&point["wall"])), "{point} {start} {end}");
        assert_eq!(point["levels"][0], 12.0);
    }
    let names: Vec<_> = files(folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "part")).collect();
    assert!(names.is_empty(), "{names:?}");
    (place, cut.len())
}

/// The clip is whole: from the key frame before the pre-roll to the end of the post-roll, the jump where the alert says.
fn check_whole(folder: &Path, sent: &[String], jump: usize, gop_s: f64) {
    let (place, count) = check(folder, sent);
    let event = read_json(&folder.join("event.json"));
    assert_eq!(event["clip"]["incomplete"], false, "{event}");
    let (onset, end) = (seconds(&event["onset"]), seconds(&event["end"]));
    let start = seconds(&event["clip"]["start"]);
    assert!(start <= onset - 1.999 && start > onset - 2.1 - gop_s, "{event}");
    let duration = event["clip"]["duration_s"].as_f64().unwrap();
    assert!(start + duration >= end + 1.9 && start + duration < end + 2.9, "{event}");
    assert!((place..place + count).contains(&jump), "{place} {count} {jump}");
    let at = (jump - place) as f64 / 25.0;
    assert!((at - (onset - start)).abs() < 0.4, "jump at {at} of the clip, onset at {}: {event}", onset - start);
}

/// Two seconds before and after, thresholds that only a jump reaches.
fn config(dir: &Path, more: &str, cameras: &[(&str, &str)]) -> PathBuf {
    let path = dir.join("m.toml");
    let [clips, journal] = ["clips", "journal"].map(|name| dir.join(name).display().to_string());
    let head = format!(
        "[defaults]\nbaseline = \"self\"\nz = 12\nstall_s = 2\n[clips]\nfolder = {clips:?}\npre_roll_s = 2\n\
         post_roll_s = 2\n{more}\n[journal]\nfolder = {journal:?}\nmin_free_mb = 0\n"
    );
    let cameras = cameras.iter().map(|(name, url)| format!("[[camera]]\nname = {name:?}\nurl = {url:?}\n"));
    let text: Vec<String> = std::iter::once(head).chain(cameras).collect();
    fs::write(&path, text.concat()).unwrap();
    path
}

#[test]
fn clips_of_real_senders_are_what_was_sent() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"];
    let closed = film(dir.path(), "closed.ts", 10, &[&x264[..], &["-g", "25", "-flags", "+cgop"]].concat());
    let long = film(dir.path(), "long.ts", 10, &[&x264[..], &["-g", "1000", "-sc_threshold", "0"]].concat());
    let mjpeg = film(dir.path(), "mjpeg.avi", 10, &["-c:v", "mjpeg", "-q:v", "3"]);
    // The picture grows a second after the first jump, in the middle of the first event's post-roll.
    let small = film(dir.path(), "small.ts", 6, &[&x264[..], &["-g", "25"]].concat());
    let larger = ["-g", "25", "-vf", "scale=320:240", "-output_ts_offset", "6.2"];
    let large = film(dir.path(), "large.ts", 8, &[&x264[..], &larger].concat());
    let grows = dir.path().join("grows.ts");
    fs::write(&grows, [fs::read(&small).unwrap(), fs::read(&large).unwrap()].concat()).unwrap();

    let url = || format!("udp://127.0.0.1:{}", free_port());
    let (closed_url, long_url, grows_url) = (url(), url(), url());
    let http = format!("http://127.0.0.1:{}/camera.mjpeg", free_port());
    let _mjpeg = sender(&mjpeg, &["-f", "mpjpeg", "-listen", "1"], &http);
    let cameras = [("closed", &*closed_url), ("long", &*long_url), ("grows", &*grows_url), ("mjpeg", &*http)];
    let config = config(dir.path(), "", &cameras);
    let (running, lines) = monitor(&config);
    until(&lines, "all are opened", |l| l["camera"] == "mjpeg" && l["state"] == "watching");
    let _senders = [udp(&closed, &closed_url), udp(&long, &long_url), udp(&grows, &grows_url)];

    let alert = until(&lines, "an event", |l| l["camera"] == "closed" && l["type"] == "event");
    let clips = dir.path().join("clips");
    let promised = PathBuf::from(alert["clip"].as_str().unwrap());
    assert!(promised.starts_with(&clips) && promised.ends_with("clip.mp4"), "{alert}");
    let of = |camera: &str, count: usize| {
        wait_for(camera, || Some(incidents(&clips, camera)).filter(|found| found.len() >= count))
    };
    // Two jumps, less than the pre-roll and the post-roll apart: each has its own clip, with both in it.
    for (camera, video, gop_s) in [("closed", &closed, 1.0), ("long", &long, 10.0), ("mjpeg", &mjpeg, 0.3)] {
        let (sent, found) = (frame_hashes(video), of(camera, 2));
        found.iter().zip(JUMPS).for_each(|(folder, jump)| check_whole(folder, &sent, jump, gop_s));
    }
    assert!(promised.exists());
    let found = of("grows", 2);
    let (place, count) = check(&found[0], &frame_hashes(&small));
    assert_eq!(place + count, 150, "up to the change of the picture's size");
    assert_eq!(read_json(&found[0].join("event.json"))["clip"]["incomplete"], true);
    check_whole(&found[1], &frame_hashes(&large), JUMPS[0], 1.0);
    terminate(running);
    check_journals(&dir.path().join("journal"), 4);
}

/// Every line of every journal is whole, points go forward; there are so many cameras.
fn check_journals(journal: &Path, cameras: usize) {
    let days: Vec<_> = files(journal).into_iter().filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
    assert!(days.len() >= cameras, "{days:?}");
    for day in days {
        let text = fs::read_to_string(&day).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{}", day.display());
        let mut before = f64::NEG_INFINITY;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", day.display()));
            match line["type"].as_str().unwrap() {
                "start" => before = f64::NEG_INFINITY,
                "gap" => assert!(line["reason"].is_string(), "{line}"),
                "point" => {
                    let t = line["t_s"].as_f64().unwrap();
                    assert!(t > before && line["surprise"].is_number() && line["levels"].is_array(), "{line}");
                    before = t;
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_camera_that_goes_away_in_the_middle_of_an_event_leaves_the_clip_so_far() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25"];
    let video = film(dir.path(), "v.ts", 9, &encode);
    let url = format!("udp://127.0.0.1:{}", free_port());
    let (running, lines) = monitor(&config(dir.path(), "", &[("gate", &url)]));
    until(&lines, "it waits", |l| l["state"] == "opening");
    std::thread::sleep(Duration::from_millis(500));
    let first = udp(&video, &url);
    until(&lines, "the event", |l| l["type"] == "event");
    drop(first);
    until(&lines, "it is lost", |l| l["state"] == "waiting");
    until(&lines, "it is tried again", |l| l["state"] == "opening");
    std::thread::sleep(Duration::from_millis(300));
    let _second = udp(&video, &url);
    let sent = frame_hashes(&video);
    let clips = dir.path().join("clips");
    let found = wait_for("both", || Some(incidents(&clips, "gate")).filter(|found| found.len() >= 2));
    let (place, count) = check(&found[0], &sent);
    assert_eq!(read_json(&found[0].join("event.json"))["clip"]["incomplete"], true);
    assert!(place <= JUMPS[0] - 50 && (JUMPS[0] + 2..JUMPS[0] + 50).contains(&(place + count)), "{place} {count}");
    check_whole(&found[1], &sent, JUMPS[0], 1.0);
    terminate(running);
}

/// `startle monitor` on a film as fast as the model can; gives what it says for people.
fn run_through(config: &Path) -> String {
    let out = startle().args(["monitor", "--model", "persistence", "--config"]).arg(config).assert().success();
    let lines = String::from_utf8(out.get_output().stdout.clone()).unwrap();
    assert!(lines.contains("\"phase\":\"over\""), "the alerts come, whatever the disk does: {lines}");
    String::from_utf8(out.get_output().stderr.clone()).unwrap()
}

#[test]
fn the_oldest_events_go_by_age_and_by_bytes_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "v.mp4", 10, &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]);
    let clips = dir.path().join("clips");
    let run = |more: &str| run_through(&config(dir.path(), more, &[("gate", video.to_str().unwrap())]));
    run("min_free_mb = 0");
    let first = incidents(&clips, "gate");
    assert_eq!(first.len(), 2);
    let sent = frame_hashes(&video);
    first.iter().zip(JUMPS).for_each(|(folder, jump)| check_whole(folder, &sent, jump, 1.0));
    // As if it had been forty days ago; beside it what is not ours.
    let old = first[0].join("event.json");
    let mut event = read_json(&old);
    event["onset"] = "2020-01-01T00:00:00Z".into();
    fs::write(&old, event.to_string()).unwrap();
    let foreign = clips.join("gate/holidays");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("clip.mp4"), "mine").unwrap();
    run("min_free_mb = 0");
    let second = incidents(&clips, "gate");
    assert_eq!((second.len(), first[0].exists()), (3, false));
    let size = |folder: &PathBuf| files(folder).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    // No longer than four seconds (and what is before the first key frame that is needed).
    run("min_free_mb = 0\nlongest_s = 4");
    let found = incidents(&clips, "gate");
    let newest = found.iter().filter(|f| !second.contains(f));
    let mut count = 0;
    for folder in newest {
        count += 1;
        let (place, frames) = check(folder, &sent);
        let clip = read_json(&folder.join("event.json"))["clip"].take();
        assert!(
            (100..127).contains(&frames) && place <= JUMPS[1] - 50 && clip["incomplete"] == true,
            "{clip} {frames}"
        );
    }
    assert_eq!(count, 2);
    let second = found;
    // Room for two and a half.
    let room = size(&first[1]) as f64 * 2.5 / 1e6;
    run(&format!("min_free_mb = 0\nkeep_mb = {room:.4}"));
    let third = incidents(&clips, "gate");
    assert_eq!((third.len(), third.iter().any(|f| second.contains(f))), (2, false), "{third:?} {second:?}");
    assert_eq!(fs::read(foreign.join("clip.mp4")).unwrap(), b"mine");
    check_journals(&dir.path().join("journal"), 1);
}

/// A small disk of its own, given back with the test; `None` where this user can't have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        match mounted {
            Ok(out) if out.status.success() => Some(Self(at.to_owned())),
            other => {
                eprintln!("skipped: no tmpfs can be mounted here (that takes root): {other:?}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_the_oldest_events_go_and_the_program_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-b:v", "1500k", "-minrate", "1500k"];
    let video =
        film(dir.path(), "v.mp4", 9, &[&encode[..], &["-maxrate", "1500k", "-bufsize", "500k", "-qmin", "1"]].concat());
    let at = dir.path().join("disk");
    let clips = at.join("clips");
    let Some(disk) = SmallDisk::new(&at, "10m") else { return };
    let config = |more: &str| config(&at, more, &[("gate", video.to_str().unwrap())]);
    // A clip is some hundred kilobytes: some runs fill it.
    let mut said = String::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for run in 0..6 {
        said += &run_through(&config("min_free_mb = 5"));
        let found = incidents(&clips, "gate");
        let newest: Vec<_> = found.iter().filter(|f| !seen.contains(f)).cloned().collect();
        assert_eq!(newest.len(), 2, "run {run}: {said}");
        seen.extend(newest);
    }
    let left = incidents(&clips, "gate");
    assert!(left.len() < seen.len() && seen.ends_with(&left), "the youngest stay: {left:?} of {seen:?}");
    assert!(said.contains("was removed: the disk is nearly full"), "{said}");
    let sent = frame_hashes(&video);
    for folder in &left {
        check(folder, &sent);
    }

    // Someone else fills the disk to its last byte: nothing can be written, nothing of theirs goes, alerts come.
    let full = dir.path().join("full.toml");
    fs::copy(config("min_free_mb = 0"), &full).unwrap();
    let others = clips.join("others.bin");
    fs::write(&others, vec![1; 12_000_000]).unwrap_err();
    let theirs = fs::metadata(&others).unwrap().len();
    let said = run_through(&full);
    assert!(said.contains("No space left") && said.contains("the journal can't be written"), "{said}");
    assert_eq!(fs::metadata(&others).unwrap().len(), theirs);
    fs::remove_file(&others).unwrap();
    // The next start clears away what could not be finished.
    run_through(&config("min_free_mb = 1"));
    assert!(
        files(&clips).iter().all(|f| f.extension().is_none_or(|e| e != "part" && e != "new")),
        "{:?}",
        files(&clips)
    );
    check_journals(&at.join("journal"), 1);
    drop(disk);
}

#[test]
fn an_orderly_end_closes_the_clip() {
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "v.mp4", 10, &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]);
    let (running, lines) = monitor(&config(dir.path(), "min_free_mb = 0", &[("gate", video.to_str().unwrap())]));
    until(&lines, "the event", |l| l["type"] == "event");
    terminate(running);
    let found = incidents(&dir.path().join("clips"), "gate");
    assert_eq!(found.len(), 1);
    let (place, count) = check(&found[0], &frame_hashes(&video));
    assert!((place..place + count).contains(&JUMPS[0]), "{place} {count}");
    assert_eq!(read_json(&found[0].join("event.json"))["clip"]["incomplete"], true);
}

/// Numbers that look like chance, the same in every run of the test.
fn chance(seed: u64) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Kills a monitor at a moment of its life; gives the moment and the incidents that had begun a second before.
fn killed(config: &Path, life: Duration) -> (f64, Vec<String>) {
    let (mut running, lines) = monitor(config);
    until(&lines, "it watches", |l| l["state"] == "watching");
    std::thread::sleep(life);
    running.0.kill().unwrap();
    let moment = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    running.0.wait().unwrap();
    let begun = lines.into_iter().filter(|l| l["type"] == "event" && seconds(&l["time"]) < moment - 1.0);
    (moment, begun.map(|l| l["incident"].as_str().unwrap().to_owned()).collect())
}

/// `STARTLE_KILLS` is how often it is killed; four at a time.
#[test]
fn after_kill_nine_at_any_moment_everything_is_readable_and_no_more_than_a_second_is_lost() {
    let kills: u64 = std::env::var("STARTLE_KILLS").map_or(8, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let video = film(dir.path(), "v.ts", 9, &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25"]);
    let sent = frame_hashes(&video);
    let rounds = kills.div_ceil(4);
    let met: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..4)
            .map(|lane| {
                let (dir, video, sent) = (dir.path().join(format!("lane{lane}")), &video, &sent);
                scope.spawn(move || {
                    fs::create_dir(&dir).unwrap();
                    let path = config(&dir, "min_free_mb = 0", &[("gate", video.to_str().unwrap())]);
                    let (mut begun, mut unfinished) = (Vec::new(), 0);
                    for round in 0..rounds {
                        // From before the first event to after the last clip.
                        let life = Duration::from_secs_f64(4.5 + 4.0 * chance(lane * 1000 + round));
                        let (moment, seen) = killed(&path, life);
                        begun.extend(seen);
                        unfinished += check_after_kill(&dir, moment);
                    }
                    // A start is enough to finish what was begun.
                    run_through(&path);
                    check_recovered(&dir, &begun, sent);
                    (begun.len(), unfinished)
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let begun: usize = met.iter().map(|(begun, _)| begun).sum();
    let unfinished: usize = met.iter().map(|(_, unfinished)| unfinished).sum();
    println!("{} kills, {begun} events had begun, {unfinished} were half written and recovered", rounds * 4);
    assert!(begun > 0 && unfinished > 0, "no kill met an event: {met:?}");
}

/// The journal as it was left: whole but for its last line, and no more than a second old. Gives how many incidents are
/// half written.
fn check_after_kill(dir: &Path, moment: f64) -> usize {
    let journal = files(&dir.join("journal")).into_iter().rfind(|p| p.extension().is_some_and(|e| e == "jsonl"));
    let mut text = String::new();
    fs::File::open(journal.unwrap()).unwrap().read_to_string(&mut text).unwrap();
    let whole = &text[..=text.rfind('\n').unwrap()];
    let last: Value = serde_json::from_str(whole.lines().next_back().unwrap()).unwrap();
    // A point comes every quarter of a second.
    assert!(moment - seconds(&last["told"]) < 1.25, "killed at {moment}: {last}");
    let folders = fs::read_dir(dir.join("clips/gate")).into_iter().flatten().map(|e| e.unwrap().path());
    folders.filter(|folder| !folder.join("event.json").exists()).count()
}

/// Everything is readable, nothing is half written, every event that had begun has its evidence.
fn check_recovered(dir: &Path, begun: &[String], sent: &[String]) {
    let clips = dir.join("clips");
    check_journals(&dir.join("journal"), 1);
    let left: Vec<_> =
        files(&clips).into_iter().filter(|f| !f.ends_with(".clips.lock") && !f.ends_with(".clock")).collect();
    let known = ["event.json", "clip.mp4", "curve.json", "thumbnail.jpg"];
    assert!(left.iter().all(|f| known.iter().any(|name| f.ends_with(name))), "{left:?}");
    for entry in fs::read_dir(clips.join("gate")).unwrap() {
        let folder = entry.unwrap().path();
        let event = read_json(&folder.join("event.json"));
        assert!(read_json(&folder.join("curve.json"))["points"].is_array());
        if event["clip"].is_object() {
            let hashes = frame_hashes(&folder.join("clip.mp4"));
            let inside = hashes.iter().filter(|hash| sent.contains(hash)).count();
            assert_eq!(inside, hashes.len(), "{}", folder.display());
        }
    }
    for incident in begun {
        assert!(clips.join("gate").join(incident).join("event.json").exists(), "{incident} is lost");
    }
}
