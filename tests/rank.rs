//! `startle rank` as a user meets it: the default model on the project's samples, folders of scenes, refusals, the page.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::cli::{browser, startle, testsrc};

fn ranking(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("ranking.json")).unwrap()).unwrap()
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().map(ToOwned::to_owned).collect()
}

/// A still picture and one that jumps about, as two versions of a scene.
fn scene(dir: &Path) -> [PathBuf; 2] {
    std::fs::create_dir_all(dir).unwrap();
    let still = dir.join("still.mp4");
    let source = "color=gray:size=160x120:rate=30:duration=6";
    support::cli::ffmpeg(&["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", still.to_str().unwrap()]);
    [still, testsrc(dir, "busy.mp4", 6, 30)]
}

#[test]
fn the_default_model_ranks_a_twin_and_the_page_plays_both_in_lockstep() {
    let dir = tempfile::tempdir().unwrap();
    let [possible, impossible] = ["possible", "impossible"].map(|kind| format!("samples/colour_0_{kind}.mp4"));
    let run = || {
        let mut command = startle();
        command.args(["rank", &impossible, &possible, "--out"]).arg(dir.path());
        command.assert().success().get_output().clone()
    };
    let output = run();
    assert_eq!(lines(&output.stdout), [possible.clone(), impossible.clone()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("95 %") && told.contains("ranking.html"), "{told}");
    let found = ranking(dir.path());
    let versions = &found["scenes"][0]["models"][0]["versions"];
    let behind = &versions[1]["behind"];
    assert!(behind["clear"].as_bool().unwrap() && behind["interval"][0].as_f64().unwrap() > 0.0, "{behind}");
    // The colour changes at 3 s.
    let parts = behind["parts_s"].as_f64().unwrap();
    assert!((2.9..3.6).contains(&parts), "{parts}");
    assert!(versions[0]["behind"].is_null());

    // What was analyzed is not analyzed again, and the same numbers give the same files.
    let made = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let before = ["ranking.json", "ranking.csv", "ranking.html", "colour_0_possible/result.json"].map(made);
    run();
    assert_eq!(before, ["ranking.json", "ranking.csv", "ranking.html", "colour_0_possible/result.json"].map(made));

    if let Some(mut command) = browser("ranking.mjs") {
        let output = command.arg(dir.path().join("ranking.html")).arg(parts.to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn each_folder_is_a_scene_and_gives_its_best() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["take 2", "take 10"] {
        scene(&dir.path().join("gen").join(name));
    }
    let out = dir.path().join("out");
    let mut command = startle();
    command.args(["rank", "--quiet", "--model", "persistence", "--also", "persistence", "--out"]).arg(&out);
    command.arg(dir.path().join("gen/*/"));
    let output = command.assert().success().get_output().clone();
    let told = lines(&output.stdout);
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, name) in told.iter().zip(["take 2", "take 10"]) {
        let (scene, best) = line.split_once('\t').unwrap();
        assert!(scene.trim_end_matches('/').ends_with(name) && best.ends_with("still.mp4"), "{line}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = ranking(&out);
    let scenes = found["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 2);
    assert_eq!(scenes[0]["order"][0]["firsts"], 2, "both models vote");
    // Without a baseline nobody knows where they part.
    assert!(scenes[0]["models"][0]["parting"].is_null());
    let page = std::fs::read_to_string(out.join("ranking.html")).unwrap();
    assert!(page.contains("take-2/ranking.html") || page.contains("take_2/ranking.html"), "{page}");
}

#[test]
fn what_cannot_be_ranked_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let [still, busy] = scene(dir.path());
    let refused = |arguments: &[&Path]| {
        let mut command = startle();
        command.args(["rank", "--model", "persistence", "--out"]).arg(dir.path().join("out")).args(arguments);
        let output = command.assert().failure().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    let one = refused(&[&still]);
    assert!(one.contains("one version only") && one.contains("two or more"), "{one}");
    let broken = dir.path().join("broken.mp4");
    std::fs::write(&broken, b"this is no video").unwrap();
    let told = refused(&[&still, &broken]);
    assert!(told.contains("broken.mp4") && told.contains("nothing could be ranked"), "{told}");
    // Two that can be read are ranked beside one that can't; the status tells.
    let told = refused(&[&still, &busy, &broken]);
    assert!(told.contains("broken.mp4") && told.contains("still.mp4"), "{told}");
    let ranked = ranking(&dir.path().join("out"));
    assert_eq!(ranked["scenes"][0]["order"].as_array().unwrap().len(), 2);

    std::fs::write(dir.path().join("ranking.json"), b"mine").unwrap();
    let mut command = startle();
    command.args(["rank", "--model", "persistence", "--out"]).arg(dir.path()).args([&still, &busy]);
    let told = String::from_utf8(command.assert().failure().get_output().stderr.clone()).unwrap();
    assert!(told.contains("not startle's"), "{told}");
}

#[test]
fn names_stay_text_in_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let [still, busy] = scene(dir.path());
    let hostile = dir.path().join("<img src=x onerror=alert(1)>\u{202e}.mp4");
    std::fs::rename(&busy, &hostile).unwrap();
    let mut command = startle();
    command.args(["rank", "--quiet", "--model", "persistence", "--out"]).arg(dir.path().join("out"));
    command.args([&still, &hostile]).assert().success();
    let page = std::fs::read_to_string(dir.path().join("out/ranking.html")).unwrap();
    assert!(page.contains("&lt;img src=x") && !page.contains("<img src=x") && !page.contains('\u{202e}'));
}
