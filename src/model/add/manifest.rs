//! `bundle.toml` and the model card of a bundle that startle makes.

use super::{AddOptions, Parts};
use crate::clip::ResizeRule;
use crate::error::{Error, Result};
use crate::model::bundle::{FORMAT, MANIFEST, sha256_file};
use crate::model::checkpoint::Checkpoint;
use crate::model::networks::vjepa2;
use crate::model::onnx::proto::OPSET;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CARD: &str = "README.md";
/// Frames per second that V-JEPA 2 was trained at.
const FPS: f64 = 4.0;
/// Slots of the self-test: enough for a context and a target, and quick with a billion weights on a processor.
const TEST_SLOTS: u32 = 2;
/// Seed and tolerance of the self-test, those of the Python exporter for float32 (`startle_models.parity.LIMITS`).
const TEST_SEED: u32 = 1;
const TOLERANCE: f64 = 1e-4;
/// Mean and standard deviation of red, green and blue over `ImageNet`, on which every V-JEPA was trained.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The manifest but for what the graphs give.
pub(super) struct Draft {
    manifest: Value,
    test_context: u32,
    card: String,
}

impl Draft {
    /// For the files that lie in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] when an option does not fit the model.
    pub fn new(checkpoint: &Checkpoint, options: &AddOptions, parts: &Parts, folder: &Path) -> Result<Self> {
        let c = &parts.config;
        let weights = hashes(folder, checkpoint.files.keys())?;
        let external: Vec<Value> =
            weights.iter().map(|(file, sha256)| json!({"file": file, "sha256": sha256})).collect();
        let mut graphs = serde_json::Map::new();
        for (name, _) in &parts.graphs {
            let file = format!("{name}.onnx");
            let sha256 = hash(folder, &file)?;
            graphs.insert((*name).to_owned(), json!({"file": file, "sha256": sha256, "external": external}));
        }
        let parts_of_source: Vec<String> =
            weights.iter().map(|(file, sha256)| format!("{file} sha256 {}", &sha256[..16])).collect();
        let tubelet = c.tubelet_size as u32;
        let manifest = json!({
            "format": FORMAT,
            "name": options.name,
            "family": vjepa2::FAMILY,
            "description": "V-JEPA 2 world model: encoder and predictor.",
            "source": format!("{}: {}", options.origin, parts_of_source.join("; ")),
            "license": options.license.as_deref().unwrap_or("not stated; see the source of the weights"),
            "precision": "fp32",
            "opset": OPSET,
            "clip": clip(c, options),
            "preprocess": preprocess(checkpoint, c, options)?,
            "features": {"dim": c.hidden_size},
            "architecture": {"model": architecture(c)},
            "mask_token": parts.mask_token,
            "graphs": graphs,
            "self_test": {"seed": TEST_SEED, "tolerance_rel": TOLERANCE, "frames": TEST_SLOTS * tubelet},
        });
        let card = card(&manifest, c, parts);
        Ok(Self { manifest, test_context: tubelet, card })
    }

    /// Writes the card and the manifest, by which the self-test must give `surprise`.
    ///
    /// # Errors
    /// [`Error::Output`] when that fails.
    pub fn write(&self, folder: &Path, surprise: f64) -> Result<()> {
        let put = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).map_err(|error| Error::output(folder.join(name), error))
        };
        put(CARD, &self.card)?;
        let mut manifest = self.manifest.clone();
        manifest["self_test"]["surprise"] = json!([{"context": self.test_context, "value": surprise}]);
        manifest["card"] = json!({"file": CARD, "sha256": hash(folder, CARD)?});
        let text = toml::to_string(&manifest)
            .map_err(|error| Error::Internal { stage: "bundle manifest", reason: error.to_string() })?;
        put(MANIFEST, &text)
    }
}

fn hash(folder: &Path, file: &str) -> Result<String> {
    let path = folder.join(file);
    sha256_file(&path).map_err(|error| Error::input(path.display().to_string(), format!("can't be read: {error}")))
}

fn hashes<'a>(folder: &Path, files: impl Iterator<Item = &'a String>) -> Result<BTreeMap<&'a String, String>> {
    files.map(|file| Ok((file, hash(folder, file)?))).collect()
}

fn clip(c: &vjepa2::Config, options: &AddOptions) -> Value {
    let (tubelet, frames) = (c.tubelet_size as u32, options.frames.unwrap_or(c.frames_per_clip as u32));
    let mut contexts = options.contexts.clone();
    if contexts.is_empty() {
        // A quarter, a half and three quarters of the clip.
        contexts =
            (1..4).map(|quarter| frames * quarter / 4 / tubelet * tubelet).filter(|frames| *frames > 0).collect();
        contexts.dedup();
    }
    let mut clip = json!({
        "crop_size": c.crop_size,
        "patch_size": c.patch_size,
        "tubelet_size": tubelet,
        "frames_per_clip": frames,
        "model_fps": options.fps.unwrap_or(FPS),
        "context_lengths": contexts,
        "stride": options.stride.unwrap_or(tubelet),
    });
    if let Some(horizon) = options.horizon {
        clip["horizon"] = json!(horizon);
    }
    clip
}

/// As the folder says; what it leaves open as `VJEPA2VideoProcessor` does it: the shorter side 256/224 of the crop.
fn preprocess(checkpoint: &Checkpoint, c: &vjepa2::Config, options: &AddOptions) -> Result<Value> {
    let rule = options.resize.unwrap_or(ResizeRule::ShorterSide);
    let crop = c.crop_size as u32;
    let stated = if options.crop.is_none() { checkpoint.processor.shortest_edge() } else { None };
    let shorter = stated.unwrap_or((u64::from(crop) * 256 / 224) as u32);
    if shorter < crop {
        let reason = format!("its processor makes the shorter side {shorter}, which is less than the crop, {crop}");
        return Err(Error::input(checkpoint.folder().display().to_string(), reason));
    }
    Ok(json!({
        "resize": rule,
        "resize_size": if rule == ResizeRule::Squash { crop } else { shorter },
        "filter": "bilinear",
        "mean": checkpoint.processor.image_mean.unwrap_or(MEAN),
        "std": checkpoint.processor.image_std.unwrap_or(STD),
    }))
}

fn architecture(c: &vjepa2::Config) -> Value {
    json!({
        "hidden_size": c.hidden_size,
        "num_hidden_layers": c.num_hidden_layers,
        "mlp_ratio": c.mlp_ratio,
        "pred_hidden_size": c.pred_hidden_size,
        "pred_num_hidden_layers": c.pred_num_hidden_layers,
        "pred_mlp_ratio": c.pred_mlp_ratio,
    })
}

fn card(manifest: &Value, c: &vjepa2::Config, parts: &Parts) -> String {
    let said = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
    let mask =
        parts.mask_token.as_ref().map_or_else(String::new, |token| format!("| mask token | {} |\n", token.describe()));
    format!(
        "# {}\n\n{}\n\n| | |\n|---|---|\n| source | {} |\n| licence | {} |\n\
         | encoder | {} layers, width {}, {} heads |\n| predictor | {} layers, width {}, {} heads |\n{mask}\
         | graphs | ONNX opset {OPSET}, written by `startle models add`; the weights are the source's own files |\n\n\
         Every tensor has the name, shape and type that the configuration promises. The graphs of this layout are held to \
         `transformers.VJEPA2Model` by startle's tests, with random weights; with these weights they were not compared with \
         PyTorch. The self-test in `{MANIFEST}` holds what they gave on the machine that made this bundle.\n",
        said("name"),
        said("description"),
        said("source"),
        said("license"),
        c.num_hidden_layers,
        c.hidden_size,
        c.num_attention_heads,
        c.pred_num_hidden_layers,
        c.pred_hidden_size,
        c.pred_num_attention_heads,
    )
}
