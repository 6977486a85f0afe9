//! The program as a user runs it: outputs, exit statuses, errors, interrupts.

mod support;

use predicates::prelude::*;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};
use support::cli::{ffmpeg, footage, result, startle, testsrc};

/// A bundle with random weights: quick, and it knows nothing.
const TINY: &str = "tests/data/bundles/tiny-random";

#[test]
fn a_video_becomes_a_report_folder() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "clip.mp4", 6, 10);
    let out = dir.path().join("report");
    startle().args(["analyze", "--model", TINY, "--out"]).arg(&out).arg(&video).assert().success();
    for file in
        ["result.json", "curve.csv", "curve.parquet", "events.csv", "surprise.png", "surprise.svg", "report.html"]
    {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 50, "{file}");
    }
    let result = result(&out);
    assert_eq!(result["schema"], "startle.result/1");
    assert_eq!(result["model"]["execution_provider"], "CPUExecutionProvider");
    assert_eq!(result["input"]["frames_decoded"], 60);
    assert!((result["input"]["duration_s"].as_f64().unwrap() - 6.0).abs() < 0.05);
    assert!(result["curve"].as_array().unwrap().len() > 5);
    assert_eq!(result["truncated"], false);
}

#[test]
fn jsonl_goes_to_stdout_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "clip.mp4", 6, 10);
    let out = startle()
        .args(["analyze", "--model", "persistence", "--format", "jsonl", "--out"])
        .arg(dir.path().join("o"))
        .arg(&video)
        .assert()
        .success();
    let text = String::from_utf8(out.get_output().stdout.clone()).unwrap();
    let types: Vec<String> = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types.first().unwrap(), "started");
    assert_eq!(types.last().unwrap(), "finished");
    assert!(types.iter().filter(|t| *t == "point").count() > 5);
}

#[test]
fn every_bad_input_has_its_own_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("empty.mp4"), b"").unwrap();
    fs::write(path("text.mp4"), "this is not a video at all\n".repeat(50)).unwrap();
    fs::create_dir(path("folder")).unwrap();
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", path("sound.m4a").to_str().unwrap()]);
    let cases = [
        ("missing.mp4", "no such file"),
        ("empty.mp4", "empty"),
        ("text.mp4", "not a video"),
        ("folder", "without a video"),
        ("sound.m4a", "no video"),
    ];
    for (name, words) in cases {
        startle()
            .args(["analyze", "--model", "persistence", "--out"])
            .arg(path("o"))
            .arg(path(name))
            .assert()
            .code(1)
            .stdout("")
            .stderr(predicate::str::contains(words).and(predicate::str::contains(name)));
    }
}

#[test]
fn a_truncated_file_is_analyzed_as_far_as_it_goes_and_the_status_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.mkv");
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=12", whole.to_str().unwrap()]);
    let bytes = fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let out = dir.path().join("o");
    startle().args(["analyze", "--model", "persistence", "--out"]).arg(&out).arg(&cut).assert().code(4);
    let result = result(&out);
    assert_eq!(result["truncated"], true);
    assert!(
        result["input"]["gaps"].as_array().unwrap().iter().any(|g| g["reason"] == "truncated"),
        "{}",
        result["input"]
    );
    assert!(result["curve"].as_array().unwrap().len() > 5);
}

#[test]
fn many_inputs_fail_alone_resume_and_shard() {
    let dir = tempfile::tempdir().unwrap();
    let videos = dir.path().join("videos");
    fs::create_dir(&videos).unwrap();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        testsrc(&videos, name, 4, 10);
    }
    fs::write(videos.join("broken.mp4"), "not a video").unwrap();
    let out = dir.path().join("out");
    let run = |extra: &[&str]| {
        let mut command = startle();
        command.args(["analyze", "--model", "persistence", "--jobs", "2", "--out"]).arg(&out).args(extra).arg(&videos);
        command.assert()
    };
    run(&[]).code(1).stderr(predicate::str::contains("broken.mp4"));
    for name in ["a", "b", "c"] {
        assert!(out.join(name).join("result.json").exists(), "{name}");
    }
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    assert!(summary.to_string().contains("broken.mp4"));
    assert!(out.join("index.html").exists());

    let stamp = |name: &str| fs::metadata(out.join(name).join("result.json")).unwrap().modified().unwrap();
    let (before, before_b) = (stamp("a"), stamp("b"));
    testsrc(&videos, "b.mp4", 5, 10);
    run(&["--resume"]).code(1);
    assert_eq!(stamp("a"), before, "an unchanged input was done again");
    assert_ne!(stamp("b"), before_b, "a changed input was skipped");
    run(&["--resume", "--z", "5"]).code(1);
    assert_ne!(stamp("a"), before, "other settings were skipped");

    let shards = dir.path().join("shards");
    for i in ["1/2", "2/2"] {
        let _ = startle()
            .args(["analyze", "--model", "persistence", "--shard", i, "--out"])
            .arg(&shards)
            .arg(&videos)
            .assert();
    }
    for name in ["a", "b", "c"] {
        assert!(shards.join(name).join("result.json").exists(), "{name} is in no shard");
    }
}

#[test]
fn an_interrupt_leaves_a_valid_report() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "long.mp4", 1200, 30);
    let out = dir.path().join("o");
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("startle"))
        .args(["analyze", "--model", "persistence", "--quiet", "--format", "jsonl", "--out"])
        .arg(&out)
        .arg(&video)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"point\"")), "nothing was analyzed");
    let rest = std::thread::spawn(move || lines.count());
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let asked = Instant::now();
    let status = child.wait().unwrap();
    rest.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert_eq!(status.code(), Some(130));
    assert_eq!(result(&out)["truncated"], true);
}

#[test]
fn standard_input_and_events_as_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("jump.mkv");
    // A square that stands still and jumps at 9 s.
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "color=gray:size=160x120:rate=10:duration=12",
        "-vf",
        "drawbox=x=20:y=20:w=30:h=30:color=white:t=fill:enable='lt(t,9)',\
         drawbox=x=100:y=70:w=30:h=30:color=white:t=fill:enable='gte(t,9)'",
        video.to_str().unwrap(),
    ]);
    let out = dir.path().join("o");
    startle()
        .args(["analyze", "-", "--model", "persistence", "--fail-on-event", "--out"])
        .arg(&out)
        .write_stdin(fs::read(&video).unwrap())
        .assert()
        .code(3)
        .stderr(predicate::str::contains("event"));
    let result = result(&out);
    let events = result["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert!((events[0]["peak_s"].as_f64().unwrap() - 9.0).abs() <= 0.3, "{}", events[0]["peak_s"]);
    assert!(result["input"]["sha256"].is_null());
}

#[test]
fn a_device_that_is_not_there_is_an_error_not_a_cpu_run() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "clip.mp4", 3, 10);
    startle()
        .args(["analyze", "--model", TINY, "--device", "cuda", "--out"])
        .arg(dir.path().join("o"))
        .arg(&video)
        .assert()
        .code(1)
        .stderr(predicate::str::contains("cuda").or(predicate::str::contains("CUDA")));
    assert!(!dir.path().join("o/result.json").exists());
}

#[test]
fn a_runtime_library_that_is_not_there_is_an_error_that_says_what_to_do() {
    startle()
        .args(["analyze", "--model", TINY, "--ort", "/nowhere/libonnxruntime.so", "Cargo.toml"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("/nowhere/libonnxruntime.so"));
}

#[test]
fn memory_does_not_grow_with_the_length_of_the_video() {
    let dir = tempfile::tempdir().unwrap();
    let peak = |minutes: u32| {
        let video = testsrc(dir.path(), &format!("{minutes}.mp4"), minutes * 60, 10);
        let out = dir.path().join(minutes.to_string());
        startle().args(["analyze", "--model", TINY, "--quiet", "--out"]).arg(&out).arg(&video).assert().success();
        let result = result(&out);
        assert!(result["curve"].as_array().unwrap().len() as u32 > minutes * 60);
        result["timings"]["peak_rss_bytes"].as_f64().unwrap()
    };
    let (short, long) = (peak(2), peak(20));
    // The curve itself is the only thing that grows: about 100 bytes for each of some 5,000 slots.
    assert!(long < short + 12e6, "2 minutes: {:.1} MB, 20 minutes: {:.1} MB", short / 1e6, long / 1e6);
}

#[test]
fn real_footage_runs_without_error() {
    let dir = tempfile::tempdir().unwrap();
    let clips = footage();
    let mut command = startle();
    command.args(["analyze", "--quiet", "--out"]).arg(dir.path()).args(&clips).assert().success();
    for clip in &clips {
        let result = result(&dir.path().join(clip.file_stem().unwrap()));
        assert!(!result["curve"].as_array().unwrap().is_empty(), "{}", clip.display());
        assert!(result["curve"].as_array().unwrap().iter().all(|p| p["surprise"].as_f64().unwrap().is_finite()));
    }
}

#[test]
fn help_and_usage_errors() {
    trycmd::TestCases::new().case("tests/cmd/*.toml");
}

#[test]
fn the_readme_names_only_options_that_exist() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks = readme.split("```").skip(1).step_by(2);
    let commands: Vec<&str> = blocks.flat_map(str::lines).filter(|l| l.starts_with("startle ")).collect();
    assert!(commands.len() >= 5, "the README shows too few commands");
    for command in commands {
        let words: Vec<&str> = command.split('#').next().unwrap().split_whitespace().skip(1).collect();
        let help = startle().args([words[0], "--help"]).assert().success();
        let help = String::from_utf8(help.get_output().stdout.clone()).unwrap();
        for option in words.iter().filter(|w| w.starts_with("--")) {
            let name = option.split('=').next().unwrap();
            assert!(help.contains(name), "`{command}`: {name} is not an option of {}", words[0]);
        }
    }
}

#[test]
fn the_bundled_model_finds_the_demo_s_violation_and_its_random_twin_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = |model: &str, video: &str| {
        let out = dir.path().join(format!("{}-{video}", model.replace('/', "_")));
        let video = format!("samples/{video}.mp4");
        startle().args(["analyze", "--quiet", "--model", model, "--out"]).arg(&out).arg(video).assert().success();
        result(&out)["events"].as_array().unwrap().clone()
    };
    let labels = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/labels.jsonl")).unwrap();
    let labels = labels.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let label = labels.into_iter().find(|l| l["path"] == "colour_0_impossible.mp4").unwrap();
    let onset = label["onset_s"].as_f64().unwrap();

    let found = run("startle-o1", "colour_0_impossible");
    assert_eq!(found.len(), 1, "{found:?}");
    let (from, to) = (found[0]["onset_s"].as_f64().unwrap(), found[0]["end_s"].as_f64().unwrap());
    assert!(from - 0.2 <= onset && onset <= to, "event {from}–{to} s, onset {onset} s");
    let side = |b: &serde_json::Value, i: usize| b[i].as_f64().unwrap();
    let (event, object) = (&found[0]["box"], &label["box"]);
    let overlap = |lo: usize, hi: usize| side(event, lo) < side(object, hi) && side(object, lo) < side(event, hi);
    assert!(overlap(0, 2) && overlap(1, 3), "{event} against {object}");

    assert!(run("startle-o1", "colour_0_possible").is_empty());
    assert!(run("models/startle-s1-random", "colour_0_impossible").is_empty());
}
