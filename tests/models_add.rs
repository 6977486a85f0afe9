//! `startle models add`: from a checkpoint of Hugging Face to a bundle, and every way in which that is refused.
//!
//! `tests/data/checkpoints` holds small models with random weights and the surprise that the classes of `transformers` give
//! (`python -m startle_models.golden_checkpoint`).
//! Needs ONNX Runtime (`make test` sets it up); without it these tests fail and say so.

#[path = "models_add/hub.rs"]
mod hub;
mod model_support;
#[path = "models_add/weights.rs"]
mod weights;

use model_support::{data, load, options};
use startle::model::add::{AddOptions, Added, add, remove};
use startle::model::bundle::ModelBundle;
use startle::model::checkpoint::Checkpoint;
use startle::model::manifest::Precision;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use weights::Weights;

/// The committed checkpoint.
fn committed() -> PathBuf {
    data("checkpoints/vjepa2")
}

/// A place on the disk of the repository, so that files can have a second name there.
fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn try_add(source: &Path, into: &Path, more: AddOptions) -> startle::Result<Added> {
    let options_of_bundle = AddOptions { name: "small".into(), into: into.to_owned(), origin: "a test".into(), ..more };
    add(&Checkpoint::open(source)?, &options_of_bundle, &options())
}

/// The surprise of the whole self-test clip for each context.
fn surprises(folder: &Path) -> Vec<(u32, f64)> {
    let bundle = ModelBundle::load(folder).unwrap();
    let scored = load(&bundle).score_noise(1).unwrap();
    scored.contexts.iter().map(|c| (c.context, c.surprise())).collect()
}

/// That a bundle gives, for every context, the surprise that lies beside its checkpoint.
fn assert_surprise_of_transformers(source: &Path, folder: &Path) {
    let text = std::fs::read_to_string(source.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (context, found) in surprises(folder) {
        let expected = expected["surprise"][context.to_string()].as_f64().unwrap();
        let difference = (found - expected).abs() / expected;
        println!("context {context}: {found:.9}, transformers {expected:.9}, relative difference {difference:.1e}");
        assert!(difference <= 1e-6, "context {context}: {found} and {expected}");
    }
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn a_folder_is_a_bundle_with_the_surprise_of_transformers_and_no_copy_of_the_weights() {
    let dir = place();
    let added = try_add(&committed(), dir.path(), AddOptions::default()).unwrap();
    assert_eq!((added.copied, added.tensors), (0, 75));
    let inode = |path: PathBuf| std::fs::metadata(path).unwrap().ino();
    assert_eq!(inode(added.folder.join("model.safetensors")), inode(committed().join("model.safetensors")));
    assert_surprise_of_transformers(&committed(), &added.folder);
    let bundle = ModelBundle::load(&added.folder).unwrap();
    let outcome = startle::model::self_test::run(&bundle, &mut load(&bundle)).unwrap();
    assert!(outcome.passed() && outcome.0.len() == 1, "{outcome:?}");
    assert!(try_add(&committed(), dir.path(), AddOptions::default()).unwrap_err().to_string().contains("--force"));
    try_add(&committed(), dir.path(), AddOptions { force: true, ..AddOptions::default() }).unwrap();

    assert!(remove(&added.folder).unwrap() > 100_000);
    assert!(!added.folder.exists() && committed().join("model.safetensors").is_file());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn encoders_of_pictures_are_bundles_that_expect_a_straight_line() {
    let dir = place();
    for (name, tensors) in [("dinov2", 43), ("dinov3", 43), ("dinov2-gated", 43), ("dinov3-gated", 45)] {
        let source = data("checkpoints").join(name);
        let added = try_add(&source, &dir.path().join(name), AddOptions::default()).unwrap();
        let bundle = ModelBundle::load(&added.folder).unwrap();
        assert_eq!((bundle.manifest().family.as_str(), added.mask_token), ("frames", None));
        assert_eq!((bundle.spec().crop_size, bundle.spec().tubelet_size, bundle.spec().frames_per_clip), (32, 1, 3));
        assert_surprise_of_transformers(&source, &added.folder);
        assert!(added.tensors.abs_diff(tensors) < 3, "{name}: {} tensors", added.tensors);
        let longer = AddOptions {
            frames: Some(5),
            contexts: vec![2, 3],
            horizon: Some(2),
            force: true,
            ..AddOptions::default()
        };
        let longer = try_add(&source, &dir.path().join(name), longer).unwrap();
        assert_eq!(surprises(&longer.folder).len(), 2);
        let odd = AddOptions { crop: Some(33), force: true, ..AddOptions::default() };
        let error = try_add(&source, &dir.path().join(name), odd).unwrap_err().to_string();
        assert_says(&error, &["33×33 pixels does not divide into patches of 8×8", "--crop"]);
        let token = AddOptions { mask_token: Some(0), force: true, ..AddOptions::default() };
        assert_says(
            &try_add(&source, &dir.path().join(name), token).unwrap_err().to_string(),
            &["--mask-token", "none"],
        );
    }
}

#[test]
fn shards_early_names_and_half_precision_give_the_same_model() {
    let dir = place();
    let whole = Weights::read(&committed());
    let plain = surprises(&try_add(&committed(), &dir.path().join("a"), AddOptions::default()).unwrap().folder);

    let sharded = dir.path().join("sharded");
    whole.renamed(|name| name.replace(".attention.", ".attention.attention.")).write_shards(&committed(), &sharded, 3);
    let added = try_add(&sharded, &dir.path().join("b"), AddOptions::default()).unwrap();
    assert_eq!(surprises(&added.folder), plain);

    for half in ["BF16", "F16"] {
        let (stored, rounded) = (dir.path().join(format!("{half}-stored")), dir.path().join(format!("{half}-rounded")));
        whole.in_halves(half).write(&committed(), &stored);
        whole.in_halves(half).in_floats().write(&committed(), &rounded);
        let stored = surprises(&try_add(&stored, &dir.path().join(half), AddOptions::default()).unwrap().folder);
        let rounded =
            surprises(&try_add(&rounded, &dir.path().join(format!("{half}32")), AddOptions::default()).unwrap().folder);
        assert_eq!(stored, rounded, "{half}: read as it is, and turned into float32 before");
        assert_ne!(stored, plain);
    }
}

#[test]
fn reduced_precision_casts_in_the_graph_and_states_what_it_does() {
    let dir = place();
    let whole = Weights::read(&committed());
    let stored = |name: &str| {
        let folder = dir.path().join(format!("stored-{name}"));
        whole.in_halves(name).write(&committed(), &folder);
        folder
    };
    let sources = [committed(), stored("F16"), stored("BF16"), data("checkpoints/dinov3-gated")];
    for (source, number) in sources.iter().zip(0..) {
        let exact = try_add(source, &dir.path().join(format!("{number}-fp32")), AddOptions::default()).unwrap();
        assert!(exact.change.is_none());
        let exact = surprises(&exact.folder);
        for (precision, tolerance) in [(Precision::Fp16, 5e-3), (Precision::Bf16, 2e-2)] {
            let into = dir.path().join(format!("{number}-{}", precision.name()));
            let added = try_add(source, &into, AddOptions { precision, ..AddOptions::default() }).unwrap();
            assert_eq!(added.copied, 0, "the weights stay as they are stored");
            let change = added.change.unwrap();
            println!("{}: {}", source.display(), change.describe());
            assert!(change.surprise > 1e-7 && change.surprise < tolerance, "{}", change.surprise);
            assert!(change.emulated, "a processor");
            let bundle = ModelBundle::load(&added.folder).unwrap();
            let (manifest, card) =
                (bundle.manifest(), std::fs::read_to_string(added.folder.join("README.md")).unwrap());
            assert_eq!((manifest.precision, manifest.self_test.tolerance_rel), (precision, tolerance));
            assert_says(&card, &[precision.name(), "16 windows of noise"]);
            if precision == Precision::Bf16 {
                let error = startle::model::ort::open(&bundle, &options()).err().unwrap().to_string();
                assert_says(&error, &["bf16 bundle", "--device cuda"]);
                continue;
            }
            assert!(startle::model::self_test::run(&bundle, &mut load(&bundle)).unwrap().passed());
            for ((context, exact), (_, found)) in exact.iter().zip(surprises(&added.folder)) {
                let difference = (found - exact).abs() / exact;
                assert!(difference < tolerance, "context {context}: {difference:.1e}");
            }
        }
    }
    let eight = AddOptions { precision: Precision::Int8, ..AddOptions::default() };
    assert_says(&try_add(&committed(), dir.path(), eight).unwrap_err().to_string(), &["int8", "Python exporter"]);
}

#[test]
fn weights_that_half_precision_can_not_hold_are_refused_in_it() {
    let dir = place();
    let name = "encoder.layer.1.mlp.fc2.bias";
    let far = Weights::read(&committed()).with_value(name, vec![28], 1e6);
    let source = dir.path().join("far");
    far.write(&committed(), &source);
    try_add(&source, &dir.path().join("fp32"), AddOptions::default()).unwrap();
    let half = AddOptions { precision: Precision::Fp16, ..AddOptions::default() };
    let error = try_add(&source, &dir.path().join("fp16"), half).unwrap_err().to_string();
    assert_says(&error, &["--precision fp16", "float32"]);
    assert_eq!(std::fs::read_dir(dir.path().join("fp16")).unwrap().count(), 0);
}

#[test]
fn whatever_is_not_exactly_the_model_is_refused_and_leaves_nothing_behind() {
    let dir = place();
    let whole = Weights::read(&committed());
    let refusal = |weights: &Weights, config: Option<(&str, &str)>| {
        let source = dir.path().join("source");
        let _ = std::fs::remove_dir_all(&source);
        weights.write(&committed(), &source);
        if let Some((from, to)) = config {
            let text = std::fs::read_to_string(source.join("config.json")).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(source.join("config.json"), text.replace(from, to)).unwrap();
        }
        let error = try_add(&source, &dir.path().join("out"), AddOptions::default()).unwrap_err().to_string();
        let left = std::fs::read_dir(dir.path().join("out")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{error}");
        error
    };
    let name = "encoder.layer.1.mlp.fc2.weight";
    assert_says(
        &refusal(&whole.without(name), None),
        &["1 faults", "missing: encoder.layer.1.mlp.fc2.weight [28, 70]"],
    );
    let more = whole.with("head.weight", vec![2, 28]);
    assert_says(&refusal(&more, None), &["not used by the model: head.weight [2, 28]"]);
    let shape = whole.without(name).with(name, vec![70, 28]);
    assert_says(&refusal(&shape, None), &["wrong shape", "is [70, 28], expected [28, 70]"]);
    let kind = whole.without("encoder.layernorm.bias").with_kind("encoder.layernorm.bias", "F64", vec![28]);
    assert_says(&refusal(&kind, None), &["wrong type: encoder.layernorm.bias is F64, expected F32, F16 or BF16"]);
    assert_says(&refusal(&Weights::default(), None), &["75 faults", "and 63 more"]);
    let zero = whole.with_zeros("predictor.embeddings.mask_tokens", 0..18);
    assert_says(&refusal(&zero, None), &["mask token 0 is zero and token 1, 2 is not", "--mask-token"]);
    let odd = [
        (("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\""), "activation \"relu\""),
        (("\"num_attention_heads\": 2", "\"num_attention_heads\": 3"), "does not divide into 3 heads"),
        (("\"crop_size\": 24", "\"crop_size\": 20"), "does not divide into patches of 8×8"),
        (("\"model_type\": \"vjepa2\"", "\"model_type\": \"bert\""), "model_type \"bert\""),
    ];
    for (change, words) in odd {
        assert_says(&refusal(&whole, Some(change)), &[words]);
    }
    let missing = try_add(&dir.path().join("nowhere"), dir.path(), AddOptions::default()).unwrap_err().to_string();
    assert_says(&missing, &["holds no config.json"]);
    let file = try_add(&committed().join("config.json"), dir.path(), AddOptions::default()).unwrap_err().to_string();
    assert_says(&file, &["is a file", ".pth.tar", "Python exporter"]);
}

#[test]
fn options_shape_the_clip_and_choose_the_token() {
    let dir = place();
    let asked = AddOptions {
        crop: Some(48),
        frames: Some(12),
        fps: Some(2.5),
        contexts: vec![4, 8],
        horizon: Some(1),
        stride: Some(4),
        mask_token: Some(2),
        ..AddOptions::default()
    };
    let added = try_add(&committed(), dir.path(), asked).unwrap();
    let bundle = ModelBundle::load(&added.folder).unwrap();
    let spec = bundle.spec();
    assert_eq!((spec.crop_size, spec.grid(), spec.resize_size, spec.frames_per_clip), (48, 6, 54, 12));
    assert_eq!((spec.model_fps, spec.stride, spec.horizon), (2.5, 4, Some(1)));
    assert_eq!(spec.context_lengths, [4, 8]);
    assert_eq!(bundle.manifest().mask_token.as_ref().unwrap().index, 2);
    assert_eq!(surprises(&added.folder).len(), 2);
    let beyond = AddOptions { mask_token: Some(3), force: true, ..AddOptions::default() };
    let error = try_add(&committed(), dir.path(), beyond).unwrap_err().to_string();
    assert_says(&error, &["no mask token 3", "has 3, from 0"]);
    let odd = AddOptions { frames: Some(7), force: true, ..AddOptions::default() };
    assert_says(
        &try_add(&committed(), dir.path(), odd).unwrap_err().to_string(),
        &["frames_per_clip 7", "tubelet_size 2"],
    );
}

#[test]
fn from_a_folder_of_weights_to_a_report_by_the_program_alone() {
    let dir = place();
    let startle = |args: &[&str]| {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("startle"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("XDG_DATA_HOME", dir.path());
        let output = command.args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let source = committed();
    let added = startle(&["models", "add", source.to_str().unwrap(), "--name", "mine", "--squash", "--device", "cpu"]);
    assert_says(
        &added,
        &["75 tensors", "none of it copied", "mask token 0 asks", "startle analyze VIDEO --model mine"],
    );
    assert_says(&startle(&["models", "verify", "mine", "--device", "cpu"]), &["mask token 0 asks", "mine is good"]);
    assert_says(&startle(&["models", "info", "mine"]), &["not measured with these weights", "of length"]);
    let out = dir.path().join("report");
    let video = "samples/colour_0_impossible.mp4";
    startle(&["analyze", video, "--model", "mine", "--device", "cpu", "--quiet", "--out", out.to_str().unwrap()]);
    assert!(out.join("report.html").is_file());
    assert_says(&startle(&["models", "remove", "mine"]), &["removed", "startle/models/mine"]);
}

#[test]
fn evaluate_measures_another_encoder_beside_and_the_path_of_the_features() {
    let dir = place();
    let bundles = [("dinov3-gated", "one"), ("dinov2", "two")].map(|(source, name)| {
        try_add(&data("checkpoints").join(source), &dir.path().join(name), AddOptions::default()).unwrap().folder
    });
    let run = |beside: &str| {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("startle"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["evaluate", "samples", "--layout", "pairs"]);
        command.args(["--kinds", "vanish", "--limit", "1", "--no-random", "--device", "cpu", "--quiet", "--model"]);
        command.arg(&bundles[0]).args(["--beside", beside, "--out"]).arg(dir.path().join("out")).output().unwrap()
    };
    assert!(run(bundles[1].to_str().unwrap()).status.success());
    let text = std::fs::read_to_string(dir.path().join("out/evaluation.json")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let scorers: Vec<&str> = found["scorers"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert_says(&scorers.join(", "), &["other model", "turning angle", "feature 2nd difference"]);
    assert_says(found["settings"]["other model"].as_str().unwrap(), &["small "]);
    let other = String::from_utf8(run("startle-s1").stderr).unwrap();
    assert_says(&other, &["takes other clips than the model"]);
}
