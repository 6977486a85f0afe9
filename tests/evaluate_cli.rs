//! `startle evaluate` as a user runs it: what it writes, resuming, what it refuses.

mod support;

use predicates::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use support::cli::{startle, testsrc};

/// The random twin of the bundled model.
const RANDOM: &str = "models/startle-s1-random";

/// The first line of `cases.jsonl` and the others, by id.
fn cases(folder: &Path) -> (serde_json::Value, BTreeMap<String, serde_json::Value>) {
    let text = fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let key = lines.next().unwrap();
    (key, lines.map(|one| (one["case"]["id"].as_str().unwrap().to_owned(), one)).collect())
}

fn scorers(case: &serde_json::Value) -> Vec<&String> {
    case["scores"].as_object().unwrap().keys().collect()
}

#[test]
fn the_bundled_model_and_every_control_score_the_samples_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = |extra: &[&str]| {
        let mut command = startle();
        command.args(["evaluate", "samples", "--model", "startle-s1", "--layout", "pairs"]);
        command.args(["--kinds", "vanish,colour", "--limit", "2"]);
        command.args(["--jobs", "2", "--out"]).arg(dir.path()).args(extra).assert()
    };
    run(&["--random", RANDOM]).code(0).stdout(
        predicate::str::contains("Pairwise accuracy")
            .and(predicate::str::contains("copy").and(predicate::str::contains("motion"))),
    );
    for name in ["evaluation.json", "evaluation.md", "evaluation.html", "cases.parquet"] {
        assert!(fs::metadata(dir.path().join(name)).unwrap().len() > 500, "{name}");
    }
    let (key, cases) = cases(dir.path());
    assert_eq!((key["layout"].as_str(), key["settings"]["model"].as_str()), (Some("pairs"), Some("startle-s1")));
    let ids: Vec<&String> = cases.keys().collect();
    assert_eq!(ids, ["colour_0_impossible", "colour_0_possible", "vanish_0_impossible", "vanish_0_possible"]);
    for case in cases.values() {
        // Another model was not asked for, and a V-JEPA is no encoder of pictures.
        let mut expected = startle::evaluate::SCORERS[..6].to_vec();
        expected.sort_unstable();
        assert_eq!(scorers(case), expected);
        let length = |name: &str| case["scores"][name]["curve"].as_array().unwrap().len();
        assert!(length("model") > 20 && expected.iter().all(|name| length(name) == length("model")));
        assert!((case["duration_s"].as_f64().unwrap() - 6.0).abs() < 0.05);
    }
    let events = |id: &str, name: &str| cases[id]["scores"][name]["events"].as_array().unwrap().len();
    assert_eq!(events("colour_0_impossible", "model"), 1);
    assert_eq!(events("colour_0_possible", "model"), 0);
    assert_eq!(events("colour_0_impossible", "frame difference"), 0);

    let before = fs::read(dir.path().join("cases.jsonl")).unwrap();
    run(&["--random", RANDOM, "--resume"]).code(0).stderr(predicate::str::contains("4 of 4 videos were scored before"));
    run(&["--no-random", "--resume"]).code(1).stderr(predicate::str::contains("made with random weights = startle-s1"));
    assert_eq!(fs::read(dir.path().join("cases.jsonl")).unwrap(), before);
}

#[test]
fn a_broken_video_is_told_and_left_out_and_a_cut_off_line_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for video in ["a.mp4", "b.mp4", "c.mp4", "normal.mp4"] {
        testsrc(dir.path(), video, 4, 10);
    }
    fs::write(path("d.mp4"), "not a video").unwrap();
    let labels = "path,pair,possible,type\na.mp4,p,1,x\nb.mp4,p,0,x\nc.mp4,q,1,y\nd.mp4,q,0,y\n";
    fs::write(path("labels.csv"), labels).unwrap();
    let run = |extra: &[&str]| {
        let mut command = startle();
        command.args(["evaluate", "--layout", "pairs", "--model", "persistence", "--normal"]).arg(path("normal.mp4"));
        command.arg("--out").arg(path("out")).arg(path("labels.csv")).args(extra).assert()
    };
    run(&[])
        .code(4)
        .stderr(predicate::str::contains("not scored and left out (1)").and(predicate::str::contains("d.mp4")));
    let (key, found) = cases(&path("out"));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(scorers(&found["a"]), ["2nd difference", "frame difference", "model", "motion energy"]);
    assert_eq!(found["a"]["scores"]["model"]["curve"], found["a"]["scores"]["frame difference"]["curve"]);
    assert!(key["settings"]["copy last token"].as_str().unwrap().starts_with("not measured"));
    assert!(key["settings"]["random weights"].as_str().unwrap().starts_with("not measured"));
    assert!(key["settings"]["footing"].as_str().unwrap().starts_with("learnt from 1 normal videos"));

    let whole = fs::read(path("out/cases.jsonl")).unwrap();
    fs::write(path("out/cases.jsonl"), &whole[..whole.len() - 30]).unwrap();
    testsrc(dir.path(), "d.mp4", 4, 10);
    run(&["--resume"]).code(0).stderr(predicate::str::contains("2 of 4 videos were scored before"));
    assert_eq!(cases(&path("out")).1.len(), 4);
    testsrc(dir.path(), "normal.mp4", 5, 10);
    run(&["--resume"]).code(1).stderr(predicate::str::contains("footing = learnt"));
}

/// A grey picture with a white square whose left edge is at `x`; without one where `x` is 0.
fn picture(path: &Path, x: usize) {
    let mut rgb = vec![90_u8; 64 * 64 * 3];
    for y in 20..40 {
        rgb[(y * 64 + x) * 3..(y * 64 + x + if x == 0 { 0 } else { 16 }) * 3].fill(240);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
}

#[test]
fn pictures_of_a_published_layout_are_scored_at_their_rate() {
    let dir = tempfile::tempdir().unwrap();
    // The square stands; in impossible videos it is gone, or comes, at frame 20.
    let there = |video: usize, frame: usize| [true, frame < 20, false, frame >= 20][video - 1];
    for video in 1..=4 {
        let folder = dir.path().join(format!("data/O1/0001/{video}"));
        for frame in 0..36 {
            let name = format!("scene/scene_{:03}.png", frame + 1);
            picture(&folder.join(name), if there(video, frame) { 16 } else { 0 });
        }
        let status = format!(r#"{{"header": {{"is_possible": {}}}}}"#, video % 2 == 1);
        fs::write(folder.join("status.json"), status).unwrap();
    }
    startle()
        .args(["evaluate", "--layout", "intphys", "--model", "persistence", "--out"])
        .args([dir.path().join("out"), dir.path().join("data")])
        .assert()
        .code(0);
    let (_, found) = cases(&dir.path().join("out"));
    assert_eq!(found.len(), 4);
    let peak = |video: u8| {
        let curve = found[&format!("O1/0001/{video}")]["scores"]["frame difference"]["curve"].as_array().unwrap();
        curve.iter().map(|point| point[1].as_f64().unwrap()).fold(0.0, f64::max)
    };
    assert_eq!((peak(1), peak(3)), (0.0, 0.0));
    assert!(peak(2) > 0.5 && peak(4) > 0.5, "{} {}", peak(2), peak(4));
    let vanished = &found["O1/0001/2"];
    assert!((vanished["duration_s"].as_f64().unwrap() - 36.0 / 15.0).abs() < 0.01);
    assert!((vanished["case"]["onset_s"].as_f64().unwrap() - 20.0 / 15.0).abs() < 1e-9);
}

/// `IntPhys`' tree: four videos of `frames` pictures; in impossible ones the square goes or comes at frame 40.
fn intphys_tree(root: &Path, frames: usize) {
    for video in 1..=4 {
        let folder = root.join(format!("O1/0001/{video}"));
        for frame in 0..frames {
            let there = [true, frame < 40, false, frame >= 40][video - 1];
            picture(&folder.join(format!("scene/scene_{:03}.png", frame + 1)), if there { 16 } else { 0 });
        }
        let status = format!(r#"{{"header": {{"is_possible": {}}}}}"#, video % 2 == 1);
        fs::write(folder.join("status.json"), status).unwrap();
    }
}

#[test]
fn a_protocol_sets_frames_windows_and_contexts_and_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    intphys_tree(&path("data"), 104);
    let run = |extra: &[&str]| {
        let mut command = startle();
        command
            .env("STARTLE_MODEL", "startle-s1")
            .args(["evaluate", "--protocol", "intphys", "--no-random", "--out"])
            .arg(path("out"));
        command.arg(path("data")).args(extra).assert()
    };
    run(&[]).code(1).stderr(predicate::str::contains("224×224 pixels, the model takes 48×48"));
    run(&["--stride", "2"]).code(2);
    run(&["--any-crop", "--model", "persistence"]).code(0);
    let (key, found) = cases(&path("out"));
    let words = key["settings"]["protocol"].as_str().unwrap();
    assert!(
        words.contains("every 2nd frame (7.500 a second), the first 49 of them, windows of 16 frames every 2"),
        "{words}"
    );
    assert!(words.contains("contexts [2, 4, 6, 8, 10]") && words.ends_with("64×64"), "{words}");
    assert_eq!(
        (key["layout"].as_str(), key["settings"]["scene cuts"].as_str()),
        (Some("intphys"), Some("not looked for"))
    );
    for case in found.values() {
        let literature = &case["scores"]["model"]["literature"];
        // 49 frames, windows of 16 every 2: 17, as the published code unfolds them.
        assert_eq!(literature["windows"], 17, "{literature}");
        let contexts: Vec<&String> = literature["per_context"].as_object().unwrap().keys().collect();
        assert_eq!(contexts.len(), 5, "{contexts:?}");
        assert!((case["duration_s"].as_f64().unwrap() - 49.0 * 2.0 / 15.0).abs() < 1e-6);
    }
    let avg = |id: &str| found[id]["scores"]["model"]["literature"]["avg"].as_f64().unwrap();
    assert!(avg("O1/0001/2") > avg("O1/0001/1") && avg("O1/0001/4") > avg("O1/0001/3"));
}

#[test]
fn the_bundled_v_jepa_serves_the_contexts_of_a_protocol_that_it_was_not_made_for() {
    let dir = tempfile::tempdir().unwrap();
    // 48 frames at every 10th of 30 a second, and two windows more.
    for (scene, outcome) in [("a", "Possible"), ("b", "Impossible")] {
        fs::create_dir_all(dir.path().join("Videos")).unwrap();
        testsrc(&dir.path().join("Videos"), &format!("{scene}.mp4"), 18, 30);
        let row = format!("0,{scene},solidity,1_{outcome}\n");
        let table = fs::read_to_string(dir.path().join("metadata.csv"))
            .unwrap_or("SceneIndex,filename,condition,type\n".into());
        fs::write(dir.path().join("metadata.csv"), table + &row).unwrap();
    }
    let mut command = startle();
    command.args(["evaluate", "--protocol", "intphys2", "--model", "startle-s1", "--any-crop", "--no-random"]);
    command.args(["--device", "cpu", "--out"]);
    command.arg(dir.path().join("out")).arg(dir.path()).assert().code(0);
    let (key, found) = cases(&dir.path().join("out"));
    assert!(key["settings"]["protocol differs"].as_str().unwrap().contains("shorter contexts"));
    let literature = &found["0/1_Possible/a"]["scores"]["model"]["literature"];
    let contexts: Vec<&String> = literature["per_context"].as_object().unwrap().keys().collect();
    assert_eq!(contexts, ["12", "18", "24", "30", "36", "42"]);
    assert_eq!(literature["windows"], 4);
}

#[test]
fn of_an_inflevel_pair_the_longer_video_begins_later_with_the_papers_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("gravity");
    fs::create_dir_all(&folder).unwrap();
    let name = |kind: &str| format!("center__gravity__cup__ball__{kind}.mp4");
    let put = |kind: &str, first: u32| {
        // The same pictures, lossless; the one of a pair has `first` frames less at its beginning.
        let source = "testsrc2=size=64x64:rate=30:duration=6.4";
        let trim = format!("trim=start_frame={first},setpts=PTS-STARTPTS");
        let path = folder.join(name(kind));
        let lossless = ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
        let args = [&["-f", "lavfi", "-i", source, "-vf", &trim], &lossless[..], &[path.to_str().unwrap()]].concat();
        support::cli::ffmpeg(&args);
    };
    put("ui", 0);
    put("uv", 7);
    let averages = |pixels: &str| {
        let out = dir.path().join(pixels);
        startle()
            .args(["evaluate", "--protocol", "inflevel", "--model", "persistence", "--any-crop", "--pixels", pixels])
            .arg("--out")
            .arg(&out)
            .arg(dir.path())
            .assert()
            .code(0);
        let (key, found) = cases(&out);
        assert_eq!(key["settings"]["alignment"].is_string(), pixels == "paper");
        let avg = |kind: &str| {
            let id = format!("gravity/{}", name(kind).trim_end_matches(".mp4"));
            found[&id]["scores"]["model"]["literature"]["avg"].as_f64().unwrap()
        };
        (avg("ui"), avg("uv"))
    };
    let (longer, shorter) = averages("paper");
    assert_eq!(longer, shorter, "without its first 7 frames it is the other");
    let (longer, shorter) = averages("startle");
    assert_ne!(longer, shorter, "each from its own beginning");
}

#[test]
fn a_folder_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = |out: &Path| {
        let mut command = startle();
        command.args(["evaluate", "samples", "--layout", "pairs", "--model", "persistence", "--limit", "1", "--quiet"]);
        command.arg("--out").arg(out).assert()
    };
    let other = r#"{"schema": "startle.evaluation/1", "dataset": "elsewhere"}"#;
    for (name, text, words) in [
        ("cases.jsonl", "my own notes\n", "not startle's"),
        ("evaluation.html", "my page", "not startle's"),
        ("evaluation.json", other, "another data set, elsewhere"),
    ] {
        let out = dir.path().join(name.replace('.', "-"));
        fs::create_dir(&out).unwrap();
        fs::write(out.join(name), text).unwrap();
        run(&out).code(1).stderr(predicate::str::contains(words).and(predicate::str::contains("--out")));
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), text);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "{name}");
    }
    let out = dir.path().join("own");
    run(&out).code(0);
    // The same data set may be evaluated again, but not by two at once.
    let held = fs::File::open(&out).unwrap();
    held.lock().unwrap();
    run(&out).code(1).stderr(predicate::str::contains("another startle"));
    drop(held);
    run(&out).code(0);
}
