//! Results that stay what they are: runs that go on where they were, and reports that never take another's place.

mod support;

use predicates::prelude::*;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use support::cli::{ffmpeg, result, startle, testsrc};

/// `startle analyze` with the weight-free control.
fn analyze() -> assert_cmd::Command {
    let mut command = startle();
    command.args(["analyze", "--quiet", "--model", "persistence"]);
    command
}

fn stamp(folder: &Path) -> SystemTime {
    fs::metadata(folder.join("result.json")).unwrap().modified().unwrap()
}

/// The folders below `root`, by the name of the input whose report they hold.
fn folder_of(root: &Path, input: &Path) -> PathBuf {
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let holds = |folder: &PathBuf| {
        folder.join("result.json").exists() && result(folder)["input"]["path"] == input.to_str().unwrap()
    };
    folders.into_iter().find(holds).unwrap_or_else(|| panic!("no report of {}", input.display()))
}

#[test]
fn the_bundled_model_resumes_skips_what_is_done_and_does_the_rest_again() {
    let dir = tempfile::tempdir().unwrap();
    let videos = dir.path().join("videos");
    fs::create_dir(&videos).unwrap();
    for name in ["a", "b"] {
        testsrc(&videos, &format!("{name}.mp4"), 3, 10);
    }
    // The second differs in content.
    testsrc(&videos, "b.mp4", 4, 10);
    let out = dir.path().join("out");
    let run = |extra: &[&str]| {
        startle().args(["analyze", "--quiet", "--out"]).arg(&out).args(extra).arg(&videos).assert().success();
    };
    run(&[]);
    let (a, b) = (out.join("a"), out.join("b"));
    assert_eq!(result(&a)["model"]["name"], "startle-o1");
    let before = (stamp(&a), stamp(&b));

    run(&["--resume"]);
    assert_eq!((stamp(&a), stamp(&b)), before, "what was finished was done again");

    // A run that was broken off is not a finished one.
    let path = b.join("result.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"truncated\": false", "\"truncated\": true");
    fs::write(&path, text).unwrap();
    // What is missing comes back without the video being analyzed again.
    fs::remove_file(a.join("report.html")).unwrap();
    let created = result(&a)["created"].clone();
    run(&["--resume"]);
    assert_eq!(result(&b)["truncated"], false, "a broken-off result was kept");
    assert!(a.join("report.html").is_file());
    assert_eq!(result(&a)["created"], created);

    run(&["--resume", "--max-false-alarms", "6/hour"]);
    assert_ne!(result(&a)["config"]["asked"], "at most 30 false alarms an hour", "other settings were skipped");
}

#[test]
fn results_belong_to_videos_and_not_to_places_in_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let video = |folder: &str, seconds| {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        testsrc(&dir.path().join(folder), "clip.mp4", seconds, 10)
    };
    let (b, c) = (video("b", 3), video("c", 4));
    let out = dir.path().join("out");
    let run = |videos: &[&PathBuf]| {
        analyze().args(["--resume", "--out"]).arg(&out).args(videos).assert().success();
    };
    run(&[&b, &c]);
    let folders = [&b, &c].map(|video| folder_of(&out, video));
    let before = folders.clone().map(|folder| stamp(&folder));

    let a = video("a", 5);
    run(&[&a, &b, &c]);
    assert_eq!([&b, &c].map(|video| folder_of(&out, video)), folders, "a new video in front moved the others' results");
    assert_eq!(folders.clone().map(|folder| stamp(&folder)), before, "unchanged videos were analyzed again");

    // A video that was moved is found by its content, and its report names it as it is called now.
    let moved = dir.path().join("elsewhere.mp4");
    fs::rename(&b, &moved).unwrap();
    let created = result(&folders[0])["created"].clone();
    run(&[&a, &moved, &c]);
    assert_eq!(folder_of(&out, &moved), folders[0]);
    assert_eq!(result(&folders[0])["created"], created, "it was analyzed again");
}

#[test]
fn a_folder_of_pictures_is_known_by_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", pictures.join("f%03d.png").to_str().unwrap()]);
    let out = dir.path().join("out");
    let created = |extra: &[&str]| {
        analyze().args(["--resume", "--out"]).arg(&out).args(extra).arg(&pictures).assert().success();
        assert_eq!(result(&out)["input"]["sha256"].as_str().unwrap().len(), 64);
        stamp(&out)
    };
    let first = created(&[]);
    assert_eq!(created(&[]), first, "the same pictures were analyzed again");
    let slower = created(&["--image-fps", "20"]);
    assert_ne!(slower, first, "at another rate they are another video");
    assert_eq!(created(&["--image-fps", "20"]), slower);
    fs::copy(pictures.join("f001.png"), pictures.join("f030.png")).unwrap();
    let changed = created(&["--image-fps", "20"]);
    assert_ne!(changed, slower, "a changed picture was skipped");
    fs::remove_file(pictures.join("f050.png")).unwrap();
    assert_ne!(created(&["--image-fps", "20"]), changed, "a missing picture was skipped");
}

#[test]
fn another_video_s_report_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (a, b) = (root.join("a"), root.join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    let (first, second) = (testsrc(&a, "clip.mp4", 3, 10), testsrc(&b, "clip.mkv", 4, 10));
    for video in [&first, &second, &first] {
        analyze().current_dir(root).arg(video.strip_prefix(root).unwrap()).assert().success();
    }
    let reports = root.join("reports");
    assert_eq!(result(&reports.join("clip"))["input"]["path"], "a/clip.mp4");
    assert_eq!(result(&reports.join("b-clip.mkv"))["input"]["path"], "b/clip.mkv");
    assert_eq!(fs::read_dir(&reports).unwrap().count(), 2, "a video analyzed again keeps its folder");

    // A folder that was named is the user's choice, but not to lose something by it.
    analyze()
        .arg("--out")
        .arg(reports.join("clip"))
        .arg(&second)
        .assert()
        .code(1)
        .stderr(predicate::str::contains("another input").and(predicate::str::contains("a/clip.mp4")));
    assert_eq!(result(&reports.join("clip"))["input"]["path"], "a/clip.mp4");
    startle()
        .args(["report", "--out"])
        .arg(reports.join("clip"))
        .arg(reports.join("b-clip.mkv"))
        .assert()
        .code(1)
        .stderr(predicate::str::contains("another input"));
}

#[test]
fn a_file_that_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "clip.mp4", 3, 10);
    // The analyzed video itself lies under an output's name.
    let page = dir.path().join("report.html");
    fs::rename(&video, &page).unwrap();
    let bytes = fs::read(&page).unwrap();
    analyze().arg("--out").arg(dir.path()).arg(&page).assert().code(1).stderr(predicate::str::contains("report.html"));
    assert_eq!(fs::read(&page).unwrap(), bytes);
    assert!(!dir.path().join("result.json").exists());

    let site = dir.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.html"), "my site").unwrap();
    let (one, two) = (testsrc(dir.path(), "1.mp4", 3, 10), testsrc(dir.path(), "2.mp4", 3, 10));
    analyze().arg("--out").arg(&site).args([one, two]).assert().code(1).stderr(predicate::str::contains("index.html"));
    assert_eq!(fs::read_to_string(site.join("index.html")).unwrap(), "my site");
}

#[test]
fn two_programs_do_not_mix_their_reports() {
    let dir = tempfile::tempdir().unwrap();
    let videos = ["a.mp4", "b.mp4"].map(|name| testsrc(dir.path(), name, 60, 30));
    let out = dir.path().join("out");
    let program = |video: &PathBuf| {
        std::process::Command::new(assert_cmd::cargo::cargo_bin!("startle"))
            .args(["analyze", "--quiet", "--model", "persistence", "--out"])
            .arg(&out)
            .arg(video)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running = videos.each_ref().map(program);
    let done = running.map(|child| child.wait_with_output().unwrap());
    assert_eq!(done.iter().filter(|one| one.status.success()).count(), 1, "{done:?}");
    let refused = done.iter().find(|one| !one.status.success()).unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("another startle") || words.contains("another input"), "{words}");
    let path = result(&out)["input"]["path"].as_str().unwrap().to_owned();
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains(&path), "the page and the numbers are of two videos");
}

#[test]
fn shards_leave_one_summary() {
    let dir = tempfile::tempdir().unwrap();
    let videos = dir.path().join("videos");
    fs::create_dir(&videos).unwrap();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=3", videos.join(name).to_str().unwrap()]);
    }
    fs::write(videos.join("broken.mp4"), "not a video").unwrap();
    let out = dir.path().join("out");
    let summary = |shard: &str| {
        let _ = analyze().args(["--shard", shard, "--out"]).arg(&out).arg(&videos).assert();
        fs::read_to_string(out.join("summary.csv")).unwrap()
    };
    let half = summary("2/2");
    assert_eq!(half.lines().filter(|line| line.contains(",pending,")).count(), 2, "{half}");
    let whole = summary("1/2");
    assert_eq!(whole.lines().filter(|line| line.contains(",done,")).count(), 3, "{whole}");
    assert_eq!(whole.lines().filter(|line| line.contains(",failed,")).count(), 1, "{whole}");
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("a/report.html") && page.contains("c/report.html"));
}

#[test]
fn a_run_that_goes_on_reads_nothing_of_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let videos = dir.path().join("videos");
    fs::create_dir(&videos).unwrap();
    let [a, b] = ["a.avi", "b.avi"].map(|name| videos.join(name));
    for (video, seconds) in [(&a, "2"), (&b, "3")] {
        let scene = format!("testsrc2=size=64x64:rate=10:duration={seconds}");
        ffmpeg(&["-f", "lavfi", "-i", &scene, "-c:v", "mjpeg", video.to_str().unwrap()]);
    }
    let then = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
    let date = |video: &Path| File::options().append(true).open(video).unwrap().set_modified(then).unwrap();
    for video in [&a, &b] {
        date(video);
    }
    let out = dir.path().join("out");
    let run = || {
        analyze().args(["--resume", "--out"]).arg(&out).arg(&videos).assert().success();
        ["a", "b"].map(|name| result(&out.join(name))["created"].as_str().unwrap().to_owned())
    };
    let first = run();
    let summary = || fs::metadata(out.join("summary.json")).unwrap().modified().unwrap();
    let written = summary();
    // As long as a file looks as it did, it is not read: here both would be something else.
    let length = fs::metadata(&a).unwrap().len();
    fs::write(&a, vec![0; length as usize]).unwrap();
    date(&a);
    assert_eq!((run(), summary()), (first.clone(), written), "something was done again");
    // And it is as soon as it does not; what is the same by its content is kept.
    fs::copy(&b, &a).unwrap();
    File::options().append(true).open(&b).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    let [a, b] = run();
    assert!(a != first[0] && b == first[1]);
    assert!(summary() > written);
}

#[test]
fn of_many_inputs_the_last_shard_writes_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    let videos = dir.path().join("videos");
    fs::create_dir(&videos).unwrap();
    for index in 0..2001 {
        File::create(videos.join(format!("clip{index}.mp4"))).unwrap();
    }
    let out = dir.path().join("out");
    let run = |shard: &str| {
        let run = startle()
            .args(["analyze", "--model", "persistence", "--shard", shard, "--out"])
            .arg(&out)
            .arg(&videos)
            .assert();
        String::from_utf8(run.code(1).get_output().stderr.clone()).unwrap()
    };
    assert!(run("3/3").contains("startle report") && !out.join("summary.csv").exists());
    assert!(run("1/3").contains("667 failed") && !out.join("summary.csv").exists());
    assert!(run("2/3").contains("index.html"));
    let table = fs::read_to_string(out.join("summary.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains(",failed,")).count(), 2001);
}

#[test]
fn a_list_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.avi", "b.avi"] {
        let scene = "testsrc2=size=64x64:rate=10:duration=2";
        ffmpeg(&["-f", "lavfi", "-i", scene, "-c:v", "mjpeg", dir.path().join(name).to_str().unwrap()]);
    }
    let list = dir.path().join("list.txt");
    let of = |name: &str| dir.path().join(name).display().to_string();
    fs::write(&list, format!("{}\n{}\r\n\n{}\n{}\n", of("a.avi"), of("b.avi"), of("a.avi"), of("gone.avi"))).unwrap();
    let out = dir.path().join("out");
    let run = |shard: &str| {
        let run = analyze().args(["--shard", shard, "--out"]).arg(&out).arg("--list").arg(&list).assert();
        (run.get_output().status.code(), String::from_utf8(run.get_output().stderr.clone()).unwrap())
    };
    assert_eq!(run("2/3").0, Some(0));
    let (status, said) = run("3/3");
    assert!(status == Some(1) && said.contains("gone.avi") && !said.contains("a.avi"), "{said}");
    assert_eq!(run("1/3").0, Some(0));
    let table = fs::read_to_string(out.join("summary.csv")).unwrap();
    let rows: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(rows, ["done", "done", "failed"], "{table}");
    fs::write(&list, "\n").unwrap();
    assert!(run("1/3").1.contains("list is empty"));
}
