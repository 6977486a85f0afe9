//! Models that predict from what a robot was told to do, and models whose targets have several depths.
//!
//! Needs ONNX Runtime (`make test` sets it up); without it these tests fail and say so.

mod model_support;

use assert_cmd::Command;
use model_support::{bundle, clip_of, data, load, with_network};
use ndarray::Array3;
use startle::Result;
use startle::model::Scorer;
use startle::model::conditions::{ActionTable, Given};
use startle::model::jepa::{Network, Question};
use startle::model::self_test;
use startle::model::tensor::Pixels;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The committed bundles carry PyTorch's numbers of their own seeded input.
#[test]
fn self_tests_of_other_families_give_what_pytorch_gave() {
    for name in ["tiny-levels", "tiny-actions"] {
        let bundle = bundle(name);
        let outcome = self_test::run(&bundle, &mut load(&bundle)).unwrap();
        assert!(!outcome.0.is_empty() && outcome.passed(), "{name}: {:?}", outcome.0);
    }
}

/// Notes what the predictor is given; context tokens are zero and so is the prediction.
#[derive(Default)]
struct Notes(Vec<[Array3<f32>; 2]>);

impl Network for Notes {
    fn encode(&mut self, pixels: Pixels<'_>) -> Result<Array3<f32>> {
        let (windows, frames, ..) = pixels.dim();
        Ok(Array3::zeros((windows, frames * 4, 16)))
    }

    fn predict(&mut self, _: Question<'_>) -> Result<Array3<f32>> {
        unreachable!("a conditioned model was asked without its actions")
    }

    fn predict_given(&mut self, given: Given<'_>) -> Result<Array3<f32>> {
        let (windows, frames, _) = given.actions.dim();
        assert_eq!(given.context.dim(), (windows, frames * 4, 16));
        self.0.push([given.actions.to_owned(), given.states.to_owned()]);
        Ok(Array3::zeros((windows, 4, 16)))
    }
}

#[test]
fn each_context_gets_the_rows_of_its_frames() {
    let bundle = bundle("tiny-actions");
    let mut model = with_network(&bundle, Notes::default()).conditioned(2);
    let frames = vec![vec![0_u8; 16 * 16 * 3]; 5];
    let clips = [clip_of(bundle.spec(), &frames, 0), clip_of(bundle.spec(), &frames, 1)];
    let unknown = model.score(&clips).unwrap_err().to_string();
    assert!(unknown.contains("analyze --actions FILE"), "{unknown}");
    // The clips' frames are all due at 0 s.
    let table = |text| Arc::new(ActionTable::parse("a.csv", text).unwrap());
    model.set_actions(table("time,state_0,state_1,action_0,action_1\n0,1,2,3,4\n9,0,0,0,0\n")).unwrap();
    model.score(&clips).unwrap();
    let of = |row: [f32; 2], frames| Array3::from_shape_fn((2, frames, 2), |(_, _, at)| row[at]);
    assert_eq!(model.network().0, [1, 3].map(|frames| [of([3.0, 4.0], frames), of([1.0, 2.0], frames)]));
    let other = model.set_actions(table("time,state_0,action_0\n0,1,2\n")).unwrap_err().to_string();
    assert!(other.contains("has 1 numbers of action a row, the model takes 2"), "{other}");
    let plain = &mut with_network(&bundle, Notes::default());
    assert!(
        plain
            .set_actions(table("time,state_0,action_0\n0,1,2\n"))
            .unwrap_err()
            .to_string()
            .contains("takes no actions")
    );
}

/// A table for the golden clip: four seconds, five rows a second; the arm moves by `step` in x.
fn write_table(dir: &Path, name: &str, step: f32, rows: usize) -> PathBuf {
    let columns = |kind: &str| (0..7).map(|i| format!("{kind}_{i}")).collect::<Vec<_>>().join(",");
    let mut text = format!("time,{},{}\n", columns("state"), columns("action"));
    for row in 0..rows {
        let x = row as f32 * step;
        writeln!(text, "{:.2},{x},0,0.3,0,0,0,1,{step},0,0,0,0,0,0", row as f32 * 0.2).unwrap();
    }
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn analyze(out: &Path, options: &[&str]) -> Command {
    let mut command = Command::cargo_bin("startle").unwrap();
    let (clip, model) = (data("golden/clip.mp4"), data("bundles/tiny-actions"));
    command
        .arg("analyze")
        .arg(clip)
        .arg("--model")
        .arg(model)
        .arg("--out")
        .arg(out)
        .args(["--quiet", "--device", "cpu"]);
    command.args(options);
    command
}

fn result(out: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(out.join("result.json")).unwrap()).unwrap()
}

#[test]
fn surprise_depends_on_what_the_robot_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut curves = Vec::new();
    for (name, step) in [("still", 0.0), ("fast", 0.5)] {
        let (out, table) = (dir.path().join(name), write_table(dir.path(), &format!("{name}.csv"), step, 21));
        analyze(&out, &["--actions", table.to_str().unwrap()]).assert().success();
        let found = result(&out);
        assert!(found["config"]["actions"].as_str().unwrap().contains("(sha256 "), "{}", found["config"]);
        curves.push(found["video_surprise"]["avg"].as_f64().unwrap());
    }
    assert!((curves[0] - curves[1]).abs() > 1e-4, "{curves:?}");
}

#[test]
fn what_is_missing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let says = |options: &[&str], text: &'static str| {
        analyze(&dir.path().join("out"), options).assert().failure().stderr(predicates::str::contains(text));
    };
    says(&[], "predicts from what a robot was told to do");
    let short = write_table(dir.path(), "short.csv", 0.1, 5);
    says(&["--actions", short.to_str().unwrap()], "no row within 0.100 s of the frame at 1.000 s");
    says(&["--actions", "nowhere.csv"], "nowhere.csv");
    let table = write_table(dir.path(), "table.csv", 0.1, 21);
    for model in [data("bundles/tiny-random"), PathBuf::from("persistence")] {
        let mut plain = Command::cargo_bin("startle").unwrap();
        plain.arg("analyze").arg(data("golden/clip.mp4")).args(["--quiet", "--device", "cpu", "--actions"]).arg(&table);
        plain.arg("--model").arg(model).arg("--out").arg(dir.path().join("plain"));
        plain.assert().failure().stderr(predicates::str::contains("takes no actions; leave out --actions"));
    }
}
