//! Footage slower than the model's clock, pictures that stand still, feeds that freeze: what is not scored is said, and what
//! is the same video gives the same events.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::cli::{ffmpeg, result, startle};

const X264: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-pix_fmt", "yuv420p"];

/// A square that glides lawfully over a still background for 12 s, as a file of 30 pictures a second.
fn glide(dir: &Path) -> PathBuf {
    let path = dir.join("l30.mp4");
    let background = "gradients=s=640x360:r=30:d=12:c0=0x8898a8:c1=0x705840:x0=0:y0=0:x1=0:y1=359:speed=0.00001";
    let square = "color=c=0xc83c28:s=90x90:r=30:d=12";
    let graph = "[0][1]overlay=x='30+45*t':y=170";
    let inputs = ["-f", "lavfi", "-i", background, "-f", "lavfi", "-i", square, "-filter_complex", graph];
    ffmpeg(&[&inputs[..], &X264, &[path.to_str().unwrap()]].concat());
    path
}

fn made(dir: &Path, from: &Path, name: &str, how: &[&str]) -> PathBuf {
    let path = dir.join(name);
    ffmpeg(&[&["-i", from.to_str().unwrap()], how, &X264, &[path.to_str().unwrap()]].concat());
    path
}

/// The result and what was said on the terminal, with the weight-free control.
fn analyzed(dir: &Path, video: &Path, extra: &[&str]) -> (Value, String) {
    analyzed_with("persistence", dir, video, extra)
}

fn analyzed_with(model: &str, dir: &Path, video: &Path, extra: &[&str]) -> (Value, String) {
    let out = dir.join("out").join(video.file_stem().unwrap());
    let mut command = startle();
    command.args(["analyze", "--model", model, "--out"]).arg(&out).args(extra).arg(video);
    let told = command.output().unwrap();
    (result(&out), String::from_utf8_lossy(&told.stderr).into_owned())
}

fn reasons(result: &Value) -> Vec<&str> {
    result["input"]["gaps"].as_array().unwrap().iter().map(|gap| gap["reason"].as_str().unwrap()).collect()
}

#[test]
fn slow_footage_is_not_scored_and_said_to_be_slow() {
    let dir = tempfile::tempdir().unwrap();
    let fast = glide(dir.path());
    let (whole, _) = analyzed(dir.path(), &fast, &[]);
    assert!(reasons(&whole).is_empty() && whole["curve"].as_array().unwrap().len() > 30);
    for (fps, name) in [("5", "l5.mp4"), ("1", "l1.mp4"), ("6", "l6.mkv")] {
        let slow = made(dir.path(), &fast, name, &["-vf", &format!("fps={fps}")]);
        let (result, told) = analyzed(dir.path(), &slow, &[]);
        assert_eq!(reasons(&result), ["slow-footage"], "{name}");
        assert!(
            result["curve"].as_array().unwrap().is_empty() && result["events"].as_array().unwrap().is_empty(),
            "{name}"
        );
        assert!(told.contains("slower than the model's clock") && told.contains("--frame-steps"), "{name}: {told}");
        let page = std::fs::read_to_string(dir.path().join("out").join(slow.file_stem().unwrap()).join("report.html"))
            .unwrap();
        assert!(page.contains("slower than the model"), "{name}");
    }
    // The step that it names looks at that rate.
    let (result, _) = analyzed(dir.path(), &dir.path().join("l5.mp4"), &["--frame-steps", "2"]);
    assert!(result["slower"][0]["curve"].as_array().unwrap().len() > 10, "{}", result["slower"]);
}

#[test]
fn the_bundled_models_take_no_slow_footage_for_a_world_of_jumps() {
    let dir = tempfile::tempdir().unwrap();
    let fast = glide(dir.path());
    let at = |fps: &str| made(dir.path(), &fast, &format!("l{fps}.mp4"), &["-vf", &format!("fps={fps}")]);
    let events = |of: &Value| of["events"].as_array().unwrap().len();
    for video in [&fast, &at("10")] {
        let (result, told) = analyzed_with("startle-o1", dir.path(), video, &[]);
        assert_eq!(events(&result), 0, "{told}");
        assert!(result["curve"].as_array().unwrap().len() > 100 && result["config"]["promised_per_hour"].is_number());
    }
    // Whatever the model, a past of a few moments tells nothing.
    let (result, told) = analyzed_with("startle-s1", dir.path(), &at("5"), &["--frame-steps", "2"]);
    let slower = &result["slower"][0];
    assert!((10..300).contains(&slower["curve"].as_array().unwrap().len()), "{slower}");
    assert_eq!(events(slower), 0, "{told}");
    assert!(told.contains("at frame step 2 its own past of ") && told.contains("300 are needed"), "{told}");
    for (model, fps, step) in
        [("startle-o1", "5", 2), ("startle-o1", "1", 10), ("startle-s1", "5", 2), ("startle-s1", "1", 10)]
    {
        let video = at(fps);
        let (result, told) = analyzed_with(model, dir.path(), &video, &[]);
        assert_eq!((events(&result), reasons(&result)), (0, vec!["slow-footage"]), "{model} {fps}: {told}");
        assert!(result["config"]["promised_per_hour"].is_null(), "{model} {fps}: {}", result["config"]);
        let named = format!("`--frame-steps {step}`");
        assert!(told.contains("slower than the model's clock") && told.contains(&named), "{model} {fps}: {told}");
        let folder = dir.path().join("out").join(video.file_stem().unwrap());
        let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
        assert!(page.contains("slower than the model") && page.contains(&named), "{model} {fps}");
        if model == "startle-o1" {
            // The step that it names works: a curve, nothing told, nothing promised.
            let (result, told) = analyzed_with(model, dir.path(), &video, &["--frame-steps", &step.to_string()]);
            let slower = &result["slower"][0];
            assert_eq!((&slower["frame_step"], events(slower)), (&step.into(), 0), "{fps}: {told}");
            assert!(slower["curve"].as_array().unwrap().len() >= 4, "{fps}: {slower}");
            assert!(told.contains("no rate promised"), "{fps}: {told}");
        }
    }
}

#[test]
fn a_rate_that_drops_in_mid_stream_is_noticed_where_it_drops() {
    let dir = tempfile::tempdir().unwrap();
    let fast = glide(dir.path());
    // Thirty pictures a second for six seconds, then five.
    let dark = made(dir.path(), &fast, "dark.mp4", &["-vf", "select='lt(t,6)+not(mod(n,6))'", "-fps_mode", "vfr"]);
    let (result, told) = analyzed(dir.path(), &dark, &[]);
    let gaps = result["input"]["gaps"].as_array().unwrap();
    assert_eq!(reasons(&result), ["slow-footage"], "{told}");
    assert!((gaps[0]["start_s"].as_f64().unwrap() - 6.0).abs() < 0.3, "{gaps:?}");
    assert!(result["curve"].as_array().unwrap().len() > 10);
    assert!(result["curve"].as_array().unwrap().iter().all(|point| point["t_s"].as_f64().unwrap() < 6.3));
}

#[test]
fn a_picture_that_stands_still_is_shown_on() {
    let dir = tempfile::tempdir().unwrap();
    // It stands still, and jumps at nine and at eleven seconds.
    let jump = dir.path().join("jump.mp4");
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "color=gray:size=160x120:rate=30:duration=13",
        "-vf",
        "drawbox=x=20:y=20:w=30:h=30:color=white:t=fill:enable='lt(t,9)',\
         drawbox=x=100:y=70:w=30:h=30:color=white:t=fill:enable='between(t,9,10.99)',\
         drawbox=x=20:y=70:w=30:h=30:color=white:t=fill:enable='gte(t,10.99)'",
        "-pix_fmt",
        "yuv420p",
        jump.to_str().unwrap(),
    ]);
    let sparse = made(dir.path(), &jump, "sparse.mp4", &["-vf", "mpdecimate", "-fps_mode", "vfr"]);
    for video in [&jump, &sparse] {
        let (result, told) = analyzed(dir.path(), video, &["--z", "8"]);
        assert!(reasons(&result).is_empty(), "{told}");
        // The last picture of the sparse one has no end that it could be judged by.
        let peak = result["events"][0]["peak_s"].as_f64().unwrap_or_else(|| panic!("{}: {told}", video.display()));
        assert!((peak - 9.0).abs() < 0.4, "{}: {told}", video.display());
    }
}

#[test]
fn a_frozen_feed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let fast = glide(dir.path());
    // The picture of four seconds is shown for another second and a half.
    let frozen = made(dir.path(), &fast, "frozen.mp4", &["-vf", "select='not(between(t,4.01,5.5))',fps=30"]);
    let (result, told) = analyzed(dir.path(), &frozen, &[]);
    assert!(told.contains("stands still from 4.") && told.contains("stuck"), "{told}");
    assert!(result["warnings"].to_string().contains("stands still"));
    let (_, told) = analyzed(dir.path(), &fast, &[]);
    assert!(!told.contains("stands still"), "{told}");
}
