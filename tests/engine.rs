//! The library as another program uses it: the same numbers as the command line's, with the default model.
//!
//! Needs ONNX Runtime (`make test` sets it up).

mod support;

use serde_json::Value;
use startle::engine::{Choice, Engine, Model, Wishes};
use startle::model::shelf::DEFAULT_BUNDLE;
use std::path::Path;
use support::cli::{result, startle};

#[test]
fn the_library_and_the_program_tell_the_same() {
    let video = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/appear_0_impossible.mp4");
    let dir = tempfile::tempdir().unwrap();
    startle().args(["analyze", "--quiet", "--out"]).arg(dir.path()).arg(&video).assert().success();
    let told = result(dir.path());
    let mut engine = Engine::open(DEFAULT_BUNDLE).unwrap();
    // Twice: nothing of one video is left for the next.
    for _ in 0..2 {
        let text = serde_json::to_string(&engine.analyze(&video).unwrap()).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert!(!report["curve"].as_array().unwrap().is_empty());
        for part in ["curve", "events", "config"] {
            assert_eq!(report[part], told[part], "{part}");
        }
    }
    assert!(engine.analyze(Path::new("/nowhere.mp4")).unwrap_err().to_string().contains("/nowhere.mp4"));
}

#[test]
fn the_example_of_a_stream_tells_the_sample_s_event() {
    // Cargo builds the examples beside the tests.
    let example = Path::new(env!("CARGO_BIN_EXE_startle")).with_file_name("examples").join("live");
    let video = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/colour_0_impossible.mp4");
    let output = std::process::Command::new(&example)
        .arg(&video)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", example.display()));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.lines().count() == 1, "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("instead of green"), "{told}");
}

#[test]
fn where_a_calibration_lies_is_no_part_of_the_question() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(DEFAULT_BUNDLE).join("baseline.json");
    let copy = tempfile::tempdir().unwrap().path().with_extension("json");
    std::fs::copy(&bundled, &copy).unwrap();
    let question = |baseline: &str| {
        let model = Model::choose(&Choice::of(DEFAULT_BUNDLE), 1).unwrap();
        Engine::with(model, Wishes::default().settings().unwrap(), baseline).unwrap().question().unwrap()
    };
    let [own, copied, past] = ["bundle", copy.to_str().unwrap(), "self"].map(question);
    assert!(own == copied && own != past);
    std::fs::remove_file(copy).unwrap();
}
