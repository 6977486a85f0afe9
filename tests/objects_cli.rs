//! The commands with a model of objects: calibrate, analyze, evaluate, models.
//!
//! Needs ONNX Runtime (`make test` sets it up) and the `ffmpeg` program.

mod support;

use predicates::prelude::*;
use predicates::str::contains;
use std::fmt::Write;
use std::path::Path;
use support::cli::{ffmpeg, result, startle};

const BUNDLE: &str = "tests/data/bundles/tiny-object";

/// A red square on a dark, noisy ground; its left edge `x`, in pixels of 160, and `enable` are FFmpeg's expressions of `t`.
fn film(path: &Path, x: &str, enable: &str, seconds: u32) {
    let (ground, thing) =
        (format!("color=c=0x202020:s=160x90:r=20:d={seconds}"), format!("color=c=0xe03020:s=30x30:r=20:d={seconds}"));
    let overlay = format!("[0][1]overlay=x='{x}':y=30:enable='{enable}',noise=alls=14:allf=t");
    let codec = ["-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let inputs = ["-f", "lavfi", "-i", &ground, "-f", "lavfi", "-i", &thing, "-filter_complex", &overlay];
    ffmpeg(&[&inputs[..], &codec, &[path.to_str().unwrap()]].concat());
}

#[test]
fn calibrated_analyzed_and_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let swings = |speed: f32| format!("60+14*sin({speed}*t)+9*sin(9.1*t)");
    for (index, speed) in [3.7, 4.7, 5.7, 6.7].into_iter().enumerate() {
        film(&at(&format!("normal_{index}.mp4")), &swings(speed), "1", 20);
    }
    let normal: Vec<_> = (0..4).map(|index| at(&format!("normal_{index}.mp4"))).collect();
    let baseline = at("baseline.json");
    startle().args(["calibrate", "--model", BUNDLE, "-o"]).arg(&baseline).args(&normal).assert().success();
    let text = std::fs::read_to_string(&baseline).unwrap();
    assert!(text.contains(r#""footing":[{"part":"missing","knots":[["#), "{}", &text[..300]);

    film(&at("possible.mp4"), &swings(5.0), "1", 16);
    film(&at("impossible.mp4"), &swings(5.0), "lt(t,9)", 16);
    let out = at("report");
    startle()
        .args(["analyze", "--quiet", "--model", BUNDLE, "--baseline"])
        .arg(&baseline)
        .args(["--max-false-alarms", "60/hour", "--out"])
        .arg(&out)
        .arg(at("impossible.mp4"))
        .assert()
        .success();
    let found = result(&out);
    assert_eq!(found["model"]["family"], "object-jepa");
    let event = found["events"].as_array().unwrap().iter().find(|e| e["kind"] == "spike").expect("an event");
    assert_eq!(event["what"]["kind"], "missing");
    let sentence = event["what"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("A red box expected ") && sentence.ends_with(" was not seen."), "{sentence}");
    assert!((event["onset_s"].as_f64().unwrap() - 9.0).abs() < 0.3, "{event}");
    assert!(found["curve"][0]["surprise"].is_number() && !found["sights"].as_array().unwrap().is_empty());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains(sentence) && page.contains("rarity, powers of ten"));
    // The baseline is this model's alone.
    let other = startle()
        .args(["analyze", "--model", "persistence", "--baseline"])
        .arg(&baseline)
        .arg(at("possible.mp4"))
        .assert();
    other.failure().stderr(contains("made with"));

    let mut labels = "path,pair,possible,type,onset_s,what,box\n".to_owned();
    writeln!(labels, "possible.mp4,p,1,vanish,,,").unwrap();
    writeln!(labels, "impossible.mp4,p,0,vanish,9.0,missing,\"[40, 28, 120, 62]\"").unwrap();
    std::fs::write(at("labels.csv"), labels).unwrap();
    let table = startle()
        .args(["evaluate", "--quiet", "--layout", "pairs", "--model", BUNDLE, "--no-random", "--baseline"])
        .arg(&baseline)
        .arg("--normal")
        .arg(&normal[3])
        .arg("--out")
        .arg(at("evaluated"))
        .arg(dir.path())
        .assert()
        .success();
    let table = String::from_utf8(table.get_output().stdout.clone()).unwrap();
    let line = |name: &str| table.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {table}"));
    for name in ["vanish", "events: right kind", "events: thing's box right", "events: recall"] {
        assert!(line(name).contains("100.0"), "{}", line(name));
    }
    assert!(!table.contains("copy"), "there is no control that copies features: {table}");
}

#[test]
fn the_bundled_model_is_measured_and_tuned() {
    let dir = tempfile::tempdir().unwrap();
    let models = |args: &[&str]| {
        let mut command = startle();
        command.env("XDG_CACHE_HOME", dir.path()).arg("models").args(args);
        command.args(["--seconds", "0.05", "--device", "cpu"]);
        String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
    };
    let bench: serde_json::Value =
        serde_json::from_str(&models(&["bench", "startle-o1", "--batch", "1,4", "--json"])).unwrap();
    let rows = bench["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 4]);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        assert!((0.1..1.0).contains(&number("gflop")), "{row}");
        let floor = number("gflop") * 1e3 / bench["matmul_gflops"].as_f64().unwrap();
        assert!((number("floor_ms") - floor).abs() < 1e-6 * floor, "{bench}");
        assert!((0.0..1.0).contains(&number("share")), "faster than its products: {row}");
    }
    let told = models(&["tune", "startle-o1"]);
    assert!(told.contains("fastest: --sessions ") && told.contains("tuned.json"), "{told}");
    let kept = std::fs::read_to_string(dir.path().join("startle/tuned.json")).unwrap();
    assert!(kept.contains("startle-o1 "), "{kept}");
}

#[test]
fn what_does_not_apply_is_refused_with_words() {
    let models = |args: &[&str]| startle().arg("models").args(args).assert();
    models(&["info", BUNDLE]).success().stdout(contains("every picture is judged, once"));
    models(&["verify", BUNDLE]).success().stdout(contains("part        shape").and(contains("tiny-object is good")));
    models(&["bench", BUNDLE, "--seconds", "0.01", "--batch", "1,3"]).success().stdout(contains("| 8 | 3 |"));
    let video = "samples/vanish_0_possible.mp4";
    let stride = startle().args(["analyze", video, "--model", BUNDLE, "--stride", "2"]).assert();
    stride.failure().stderr(contains("takes every picture of a stream once"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("actions.csv"), "time,state_0,action_0\n0,1,2\n").unwrap();
    let actions = dir.path().join("actions.csv");
    let acted = startle().args(["analyze", video, "--model", BUNDLE, "--actions"]).arg(actions).assert();
    acted.failure().stderr(contains("takes no actions"));
}
