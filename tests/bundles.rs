//! Bundles that are broken in every way that was thought of, and the commands that look at bundles.
//!
//! Needs ONNX Runtime (`make test` sets it up); without it these tests fail and say so.

mod model_support;

use assert_cmd::Command;
use model_support::{data, options};
use proptest::prelude::*;
use startle::Error;
use startle::model::bundle::{ModelBundle, sha256_file};
use startle::model::ort::{self, Device, RuntimeOptions};
use std::path::Path;
use tempfile::TempDir;

/// A copy of a committed bundle that a test may break.
struct Copy(TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for entry in std::fs::read_dir(data("bundles").join(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.dir().join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn manifest(&self) -> String {
        std::fs::read_to_string(self.dir().join("bundle.toml")).unwrap()
    }

    /// Replaces `from`, which must be there, in the manifest.
    fn edit(&self, from: &str, to: &str) {
        let text = self.manifest();
        assert!(text.contains(from), "{from} is not in the manifest");
        std::fs::write(self.dir().join("bundle.toml"), text.replacen(from, to, 1)).unwrap();
    }

    /// Gives a file other contents and states their hash.
    fn reseal(&self, file: &str, contents: &[u8]) {
        let path = self.dir().join(file);
        let before = sha256_file(&path).unwrap();
        std::fs::write(&path, contents).unwrap();
        self.edit(&before, &sha256_file(&path).unwrap());
    }

    /// The error that loading gives, which must be one about this bundle.
    fn refusal(&self) -> String {
        let error = ModelBundle::load(self.dir()).expect_err("a broken bundle was loaded");
        assert!(matches!(&error, Error::Bundle { path, .. } if path == self.dir()), "{error:?}");
        error.to_string()
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    for file in ["encoder.onnx", "predictor.onnx", "target_encoder.onnx", "README.md"] {
        let copy = Copy::of("tiny-target");
        let path = copy.dir().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_says(
            &copy.refusal(),
            &["the sha256 of", file, "the file was changed or cut off", "copy the bundle again"],
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let copy = Copy::of("tiny-random");
    std::fs::remove_file(copy.dir().join("predictor.onnx")).unwrap();
    assert_says(&copy.refusal(), &["predictor.onnx is missing"]);
    std::fs::remove_file(copy.dir().join("bundle.toml")).unwrap();
    assert_says(&copy.refusal(), &["can't read bundle.toml", "a bundle is a folder with"]);
}

#[test]
fn external_data_and_baseline_are_verified_too() {
    let copy = Copy::of("tiny-random");
    std::fs::write(copy.dir().join("weights.data"), "weights").unwrap();
    let hash = sha256_file(&copy.dir().join("weights.data")).unwrap();
    let entry = format!("external = [{{ file = \"weights.data\", sha256 = \"{hash}\" }}]");
    copy.edit("external = []", &entry);
    let entry = format!("file = \"weights.data\"\nsha256 = \"{hash}\"");
    copy.edit("[card]", &format!("[baseline]\n{entry}\n\n[baselines.natural]\n{entry}\n\n[card]"));
    let bundle = ModelBundle::load(copy.dir()).unwrap();
    let paths = ["bundle", "natural", "night"].map(|name| bundle.baseline_path(name));
    let weights = Some(copy.dir().join("weights.data"));
    assert_eq!(paths, [weights.clone(), weights, None]);
    assert_ne!(bundle.sha256(), model_support::bundle("tiny-random").sha256(), "other weights, other numbers");
    std::fs::write(copy.dir().join("weights.data"), "weightS").unwrap();
    assert_says(&copy.refusal(), &["the sha256 of weights.data"]);
}

#[test]
fn a_manifest_that_does_not_fit_together_says_where() {
    for (from, to, says) in [
        ("startle.bundle/1", "startle.bundle/9", &["\"startle.bundle/9\"", "reads \"startle.bundle/1\""][..]),
        ("context_lengths = [4, 8, 12]", "context_lengths = [4, 8, 16]", &["context length 16"]),
        ("context_lengths = [4, 8, 12]", "context_lengths = [4, 12]", &["self_test.surprise has values for"]),
        ("crop_size = 32", "crop_size = 30", &["crop_size 30"]),
        ("stride = 2", "stride = 2\nstrid = 4", &["unknown field `strid`"]),
        ("dim = 64", "dim = 0", &["features.dim"]),
        ("dim = 64", "dim = 64\nlevels = 3", &["features.levels 3", "does not divide", "64"]),
        ("dim = 64", "dim = 64\nlevels = 0", &["features.levels 0"]),
        ("dim = 64", "", &["missing field `dim`"]),
        ("precision = \"fp32\"", "precision = \"fp64\"", &["fp64", "fp16"]),
        ("resize = \"shorter-side\"", "resize = \"stretch\"", &["stretch", "shorter-side"]),
        ("std = [0.229,", "std = [0.0,", &["preprocess.std"]),
        ("tolerance_rel = 0.0001", "tolerance_rel = 2.0", &["tolerance_rel"]),
        ("file = \"encoder.onnx\"", "file = \"../encoder.onnx\"", &["../encoder.onnx", "inside the bundle's folder"]),
        ("[features]", "[features", &["bundle.toml is not what it should be"]),
    ] {
        let copy = Copy::of("tiny-random");
        copy.edit(from, to);
        assert_says(&copy.refusal(), says);
    }
}

#[test]
fn a_bf16_bundle_is_refused_on_the_cpu_with_a_way_out() {
    let copy = Copy::of("tiny-random");
    copy.edit("precision = \"fp32\"", "precision = \"bf16\"");
    let figures = "windows = 64\nclips = \"drawn, seed 1\"\nfeatures_max_rel = 0.01\nwindow_surprise_max_rel = 0.001";
    copy.edit("[self_test]", &format!("{figures}\nrank_correlation = 0.9995\n\n[self_test]"));
    let bundle = ModelBundle::load(copy.dir()).unwrap();
    let parity = bundle.manifest().parity.as_ref().unwrap();
    assert_eq!((bundle.info().precision.as_str(), parity.windows), ("bf16", Some(64)));
    assert_eq!(parity.rank_correlation, Some(0.9995));
    let error = ort::open(&bundle, &options()).err().expect("bf16 on the CPU was accepted");
    assert!(matches!(error, Error::Device(_)), "{error:?}");
    assert_says(&error.to_string(), &["tiny-random is a bf16 bundle", "--device cuda", "fp32 bundle"]);
}

#[test]
fn a_conditioning_that_can_not_be_is_refused() {
    for (from, to) in [("horizon = 1", "horizon = 2"), ("action_dim = 7", "action_dim = 0")] {
        let copy = Copy::of("tiny-actions");
        copy.edit(from, to);
        assert_says(&copy.refusal(), &["conditioning wants an action_dim of at least 1", "clip.horizon of 1"]);
    }
    let copy = Copy::of("tiny-actions");
    copy.edit("[conditioning]\naction_dim = 7", "");
    match ort::open(&ModelBundle::load(copy.dir()).unwrap(), &options()) {
        Err(error) => assert_says(&error.to_string(), &["predictor.onnx", "actions", "context_pos"]),
        Ok(_) => panic!("a predictor that takes actions was taken for one that takes positions"),
    }
}

#[test]
fn info_tells_of_actions_and_of_what_a_precision_costs() {
    let copy = Copy::of("tiny-actions");
    let figures = "windows = 64\nwindow_surprise_max_rel = 0.0123\nrank_correlation = 0.99951";
    copy.edit("[self_test]", &format!("{figures}\n\n[self_test]"));
    let assert = Command::cargo_bin("startle").unwrap().args(["models", "info"]).arg(copy.dir()).assert().success();
    let said = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_says(&said, &["7 numbers of action and 7 of state a frame", "over 64 windows", "1.23 %", "0.99951"]);
}

#[test]
fn the_identity_follows_the_graphs_and_the_settings_and_not_the_prose() {
    let same = Copy::of("tiny-random");
    let original = ModelBundle::load(same.dir()).unwrap();
    same.edit("knows nothing", "knows little");
    assert_eq!(ModelBundle::load(same.dir()).unwrap().sha256(), original.sha256());
    for (from, to) in [
        ("model_fps = 10.0", "model_fps = 12.0"),
        ("mean = [0.485", "mean = [0.486"),
        ("= 36", "= 37"),
        ("dim = 64", "dim = 64\nlevels = 2"),
    ] {
        let other = Copy::of("tiny-random");
        other.edit(from, to);
        assert_ne!(ModelBundle::load(other.dir()).unwrap().sha256(), original.sha256(), "{from} → {to}");
    }
}

/// The error of loading the graphs of a bundle whose files are as stated.
fn open_error(copy: &Copy) -> String {
    let bundle = ModelBundle::load(copy.dir()).unwrap();
    match ort::open(&bundle, &options()) {
        Ok(_) => panic!("a wrong graph was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn graphs_that_do_not_fit_are_refused() {
    let swapped = Copy::of("tiny-random");
    let predictor = std::fs::read(swapped.dir().join("predictor.onnx")).unwrap();
    swapped.reseal("encoder.onnx", &predictor);
    let says =
        ["encoder.onnx", "\"context\", \"context_pos\", \"target_pos\"", "[\"pixel_values\"]", "the right graph"];
    assert_says(&open_error(&swapped), &says);

    let other = Copy::of("tiny-random");
    let encoder = std::fs::read(data("bundles/tiny-target/encoder.onnx")).unwrap();
    other.reseal("encoder.onnx", &encoder);
    assert_says(&open_error(&other), &["encoder.onnx", "pixel_values", "[any, any, 3, 32, 32]"]);

    let cut = Copy::of("tiny-random");
    let encoder = std::fs::read(cut.dir().join("encoder.onnx")).unwrap();
    cut.reseal("encoder.onnx", &encoder[..encoder.len() / 2]);
    assert_says(&open_error(&cut), &["encoder.onnx can't be loaded on cpu"]);
}

#[test]
fn a_device_that_is_not_there_is_an_error_that_says_what_to_install() {
    let bundle = model_support::bundle("tiny-random");
    for (device, provider, needs) in [
        (Device::OpenVino, "OpenVINOExecutionProvider", "the PyPI wheel onnxruntime-openvino"),
        (Device::Cuda(0), "CUDAExecutionProvider", "an NVIDIA GPU with its driver"),
        (Device::TensorRt(0), "TensorrtExecutionProvider", "TensorRT 10"),
    ] {
        match ort::open(&bundle, &RuntimeOptions { device, ..options() }) {
            Ok(model) => {
                // On a machine that has the device: it must be the device that runs.
                let ran = startle::model::Scorer::info(&model).execution_provider;
                assert!(ran.contains(provider), "{device} was asked for, {ran} ran");
            }
            Err(Error::Device(text)) => assert_says(&text, &[&device.to_string(), "can't be used", needs]),
            Err(other) => panic!("{device}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done to a manifest, the answer is a bundle or an error about the bundle.
    #[test]
    fn a_damaged_manifest_never_panics(at in 0.0..1.0_f64, length in 0_usize..40, filler in "[\\PC\n]{0,12}") {
        let copy = Copy::of("tiny-target");
        let text: Vec<char> = copy.manifest().chars().collect();
        let start = (at * text.len() as f64) as usize;
        let end = (start + length).min(text.len());
        let damaged: String = text[..start].iter().chain(filler.chars().collect::<Vec<_>>().iter()).chain(&text[end..]).collect();
        std::fs::write(copy.dir().join("bundle.toml"), damaged).unwrap();
        if let Err(error) = ModelBundle::load(copy.dir()) {
            let about_it = matches!(&error, Error::Bundle { .. });
            prop_assert!(about_it, "{:?}", error);
        }
    }
}

/// The program, with the tests' bundles on the search path and no other.
fn startle(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("startle"));
    command.env("STARTLE_MODELS", data("bundles")).args(args);
    command
}

fn output(command: &mut Command) -> (bool, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn models_lists_and_describes() {
    let (_, listed, _) = output(&mut startle(&["models", "list"]));
    assert_says(&listed, &["tiny-random", "tiny-target", "vjepa2, fp32", "persistence"]);
    let (_, info, _) = output(&mut startle(&["models", "info", "tiny-target"]));
    assert_says(&info, &["12 frames of 24×24 at 5 fps", "[4, 6, 8] frames", "2 slots", "MIT OR Apache-2.0"]);
    let (ok, _, unknown) = output(&mut startle(&["models", "info", "no-such-model"]));
    assert!(!ok);
    assert_says(&unknown, &["no-such-model", "tiny-random", "STARTLE_MODELS"]);
}

#[test]
fn models_verify_prints_each_figure_and_fails_on_a_wrong_one() {
    let (ok, good, error) = output(&mut startle(&["models", "verify", "tiny-random", "--device", "cpu"]));
    assert!(ok, "{error}");
    assert_says(&good, &["every file has its sha256", "CPUExecutionProvider", "context   8", "tiny-random is good"]);
    let copy = Copy::of("tiny-random");
    copy.edit("value = 1.108", "value = 1.208");
    let (ok, figures, error) = output(&mut startle(&["models", "verify", copy.dir().to_str().unwrap()]));
    assert!(!ok);
    assert_says(&figures, &["context   4", ": ok", "WRONG"]);
    assert_says(&error, &["the self-test failed"]);
}

#[test]
fn without_onnx_runtime_the_program_says_how_to_get_it() {
    let nowhere = tempfile::tempdir().unwrap();
    let missing = nowhere.path().join("libonnxruntime.so");
    let text_file = nowhere.path().join("libtext.so");
    std::fs::write(&text_file, "not a library").unwrap();
    for (path, reason) in [(&missing, "No such file"), (&text_file, "file too short")] {
        let mut command = startle(&["models", "verify", "tiny-random", "--device", "cpu"]);
        let (ok, _, error) = output(command.env("ORT_DYLIB_PATH", path));
        assert!(!ok);
        assert_says(&error, &[path.to_str().unwrap(), reason, "make setup", "ORT_DYLIB_PATH"]);
    }
}

#[test]
fn doctor_reports_each_part_and_fails_only_for_what_is_needed() {
    let (_, report, _) = output(&mut startle(&["doctor"]));
    assert_says(&report, &["libavcodec", "h264", "ONNX Runtime", "cpu: a test graph ran on CPUExecutionProvider"]);
    assert_says(&report, &["cuda:0", "libcudart.so.13", "tiny-random", "self-test passed", "startle-o1"]);
    let missing = report.lines().filter(|line| line.starts_with("  MISSING")).count();
    assert_eq!(missing == 0, report.contains("Everything that is needed is there."), "{report}");
    let mut broken = startle(&["doctor"]);
    let (ok, report, _) = output(broken.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so"));
    assert!(!ok);
    assert_says(&report, &["MISSING  ONNX Runtime", "make setup", "h264", "the self-test needs ONNX Runtime"]);
}

#[test]
fn the_bench_of_a_bundle_is_a_table_or_json_and_refuses_nonsense() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bundles/tiny-random");
    let bench = |more: &[&str]| {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("startle"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["models", "bench"]).arg(&bundle);
        command.args(["--device", "cpu", "--seconds", "0.01"]).args(more).assert()
    };
    let json = bench(&["--json", "--batch", "2"]).success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["median_ms"].as_f64().unwrap() > 0.0 && row["batch"] == 2));
    assert!(rows[0]["gflop"].is_null() && json["matmul_gflops"].as_f64().unwrap() > 0.0, "{json}");
    let dir = tempfile::tempdir().unwrap();
    let table = bench(&["--out", dir.path().to_str().unwrap()]).success();
    let table = String::from_utf8(table.get_output().stdout.clone()).unwrap();
    assert!(table.contains("| contexts | batch |") && table.contains("unknown"), "{table}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    bench(&["--batch", "0"]).code(2);
    bench(&["--seconds", "inf"]).code(2);
}

#[test]
fn what_tune_found_is_used_where_nothing_else_is_asked_for() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bundles/tiny-random");
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("startle"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("XDG_CACHE_HOME", dir.path());
        command.args(args).args(["--device", "cpu"]).assert().success()
    };
    let tuned = run(&["models", "tune", bundle.to_str().unwrap(), "--seconds", "0.01"]);
    let said = String::from_utf8(tuned.get_output().stdout.clone()).unwrap();
    assert!(said.contains("1 windows at a time:") && said.contains("fastest: --sessions "), "{said}");
    // Whatever was fastest here, the next run must follow what is kept.
    let file = dir.path().join("startle/tuned.json");
    let mut kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for (_, plan) in kept.as_object_mut().unwrap() {
        *plan = serde_json::json!({ "sessions": 3, "threads": 1, "batch": 5 });
    }
    std::fs::write(&file, kept.to_string()).unwrap();
    let analyze = |folder: &str, more: &[&str]| -> serde_json::Value {
        let out = dir.path().join(folder);
        let video = ["analyze", "samples/colour_0_impossible.mp4", "--quiet", "--model"];
        run(&[&video[..], &[bundle.to_str().unwrap(), "--out", out.to_str().unwrap()], more].concat());
        serde_json::from_str(&std::fs::read_to_string(out.join("result.json")).unwrap()).unwrap()
    };
    let alone = analyze("alone", &["--sessions", "1", "--batch", "1"]);
    let together = analyze("together", &[]);
    let plan = |result: &serde_json::Value| {
        ["sessions", "threads", "batch"].map(|name| result["config"][name].as_u64().unwrap())
    };
    assert_eq!(plan(&together), [3, 1, 5]);
    assert_eq!(plan(&alone)[0], 1);
    assert_eq!(alone["video_surprise"]["windows"], together["video_surprise"]["windows"]);
    let mean = |result: &serde_json::Value| result["video_surprise"]["avg"].as_f64().unwrap();
    assert!((mean(&alone) / mean(&together) - 1.0).abs() < 1e-5, "{} {}", mean(&alone), mean(&together));
}

#[test]
fn a_bundle_of_objects_that_does_not_fit_together_says_where() {
    for (from, to, says) in [
        ("family = \"object-jepa\"", "family = \"vjepa2\"", &["[objects] is of the family object-jepa"][..]),
        ("context_lengths = [8]", "context_lengths = [4]", &["[objects] wants a clip", "context_lengths = [8]"]),
        ("stride = 1", "stride = 2", &["[objects] wants a clip"]),
        ("files = 4", "files = 0", &["must be at least 1"]),
        ("kind = \"new\"", "kind = \"odd\"", &["odd", "missing"]),
        ("name = \"new\"", "name = \"missing\"", &["a name twice"]),
        ("{ part = \"missing\", value", "{ part = \"gone\", value", &["self_test.energy has values for", "gone"]),
        ("[self_test]", "[self_test]\nframes = 4", &["self_test.frames", "leave them out"]),
        ("[objects]", "[features]\ndim = 4\n\n[objects]", &["either [features] or [objects]"]),
        ("maps = 3", "maps = 3\nmap = 3", &["unknown field `map`"]),
    ] {
        let copy = Copy::of("tiny-object");
        copy.edit(from, to);
        assert_says(&copy.refusal(), says);
    }
}

#[test]
fn graphs_of_objects_must_have_the_manifests_sizes() {
    for (from, to, says) in [
        ("attributes = 14", "attributes = 13", &["predictor.onnx", "tokens", "13"][..]),
        ("maps = 3", "maps = 2", &["encoder.onnx", "maps"]),
        ("state = 27", "state = 28", &["predictor.onnx", "state", "28"]),
        ("patch_size = 4", "patch_size = 8", &["encoder.onnx", "maps"]),
    ] {
        let copy = Copy::of("tiny-object");
        copy.edit(from, to);
        let bundle = ModelBundle::load(copy.dir()).unwrap();
        let error = ort::open_objects(&bundle, &options()).err().expect("graphs of other sizes were taken").to_string();
        assert_says(&error, says);
    }
    let copy = Copy::of("tiny-object");
    copy.reseal("encoder.onnx", &std::fs::read(data("bundles/tiny-object/predictor.onnx")).unwrap());
    let bundle = ModelBundle::load(copy.dir()).unwrap();
    let error = ort::open_objects(&bundle, &options()).err().expect("a predictor was taken for an encoder").to_string();
    assert_says(&error, &["encoder.onnx", "is it the right graph for this place?"]);
    let mut whole = model_support::bundle("tiny-object");
    assert!(whole.set_stride(2).unwrap_err().to_string().contains("every picture of a stream once"));
    assert!(ort::open(&whole, &options()).err().expect("features were taken").to_string().contains("predicts things"));
}
