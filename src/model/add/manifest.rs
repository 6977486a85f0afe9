//! `bundle.toml` and the model card of a bundle that startle makes.

use super::{AddOptions, PrecisionChange};
use crate::clip::ResizeRule;
use crate::error::{Error, Result};
use crate::model::bundle::{FORMAT, MANIFEST, sha256_file};
use crate::model::checkpoint::Checkpoint;
use crate::model::manifest::Precision;
use crate::model::networks::{Facts, Made};
use crate::model::onnx::proto::OPSET;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CARD: &str = "README.md";
/// Seed of the self-test.
pub(super) const TEST_SEED: u32 = 1;
/// Mean and standard deviation of red, green and blue over `ImageNet`, on which every V-JEPA was trained.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Tolerance of the self-test, that of the Python exporter (`startle_models.parity.LIMITS`).
const fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 1e-4,
        Precision::Fp16 => 5e-3,
        Precision::Bf16 | Precision::Int8 => 2e-2,
    }
}

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
    pub fn new(checkpoint: &Checkpoint, options: &AddOptions, made: &Made, folder: &Path) -> Result<Self> {
        let c = &made.facts;
        let weights = hashes(folder, checkpoint.files.keys())?;
        let external: Vec<Value> =
            weights.iter().map(|(file, sha256)| json!({"file": file, "sha256": sha256})).collect();
        let mut graphs = serde_json::Map::new();
        for (name, _) in &made.graphs {
            let file = format!("{name}.onnx");
            let sha256 = hash(folder, &file)?;
            graphs.insert((*name).to_owned(), json!({"file": file, "sha256": sha256, "external": external}));
        }
        let parts_of_source: Vec<String> =
            weights.iter().map(|(file, sha256)| format!("{file} sha256 {}", &sha256[..16])).collect();
        let mut manifest = json!({
            "format": FORMAT,
            "name": options.name,
            "family": c.family,
            "description": c.description,
            "source": format!("{}: {}", options.origin, parts_of_source.join("; ")),
            "license": options.license.as_deref().unwrap_or("not stated; see the source of the weights"),
            "precision": options.precision.name(),
            "opset": OPSET,
            "clip": clip(c, options),
            "preprocess": preprocess(checkpoint, c, options)?,
            "features": {"dim": c.dim},
            "graphs": graphs,
            "self_test": {"seed": TEST_SEED, "tolerance_rel": tolerance(options.precision), "frames": c.test_slots * c.tubelet},
        });
        if let Some(architecture) = &c.architecture {
            manifest["architecture"] = json!({"model": architecture});
        }
        if let Some(token) = &made.mask_token {
            manifest["mask_token"] = json!(token);
        }
        let card = card(&manifest, made);
        Ok(Self { manifest, test_context: (c.test_slots - 1) * c.tubelet, card })
    }

    /// Writes the card and the manifest, by which the self-test must give `surprise`; `change` is what the precision does.
    ///
    /// # Errors
    /// [`Error::Output`] when that fails.
    pub fn write(&self, folder: &Path, surprise: f64, change: Option<&PrecisionChange>) -> Result<()> {
        let put = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).map_err(|error| Error::output(folder.join(name), error))
        };
        let change = change.map_or_else(String::new, |change| format!("\n{}.\n", change.describe()));
        put(CARD, &format!("{}{change}", self.card))?;
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

fn clip(c: &Facts, options: &AddOptions) -> Value {
    let (tubelet, frames) = (c.tubelet, options.frames.unwrap_or(c.frames));
    let mut contexts = if options.contexts.is_empty() { c.contexts.clone() } else { options.contexts.clone() };
    if contexts.is_empty() {
        contexts =
            (1..4).map(|quarter| frames * quarter / 4 / tubelet * tubelet).filter(|frames| *frames > 0).collect();
        contexts.dedup();
    }
    let mut clip = json!({
        "crop_size": c.crop,
        "patch_size": c.patch,
        "tubelet_size": tubelet,
        "frames_per_clip": frames,
        "model_fps": options.fps.unwrap_or(c.fps),
        "context_lengths": contexts,
        "stride": options.stride.unwrap_or(tubelet),
    });
    if let Some(horizon) = options.horizon.or(c.horizon) {
        clip["horizon"] = json!(horizon);
    }
    clip
}

/// As the folder says; what it leaves open as `VJEPA2VideoProcessor` does it: the shorter side 256/224 of the crop.
fn preprocess(checkpoint: &Checkpoint, c: &Facts, options: &AddOptions) -> Result<Value> {
    let rule = options.resize.unwrap_or(ResizeRule::ShorterSide);
    let crop = c.crop;
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

fn card(manifest: &Value, made: &Made) -> String {
    let said = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
    let mut rows = vec![("source", said("source")), ("licence", said("license"))];
    rows.extend(made.facts.rows.clone());
    rows.extend(made.mask_token.as_ref().map(|token| ("mask token", token.describe())));
    let graphs = format!("ONNX opset {OPSET}, written by `startle models add`; the weights are the source's own files");
    rows.push(("graphs", graphs));
    let rows: Vec<String> = rows.iter().map(|(what, value)| format!("| {what} | {value} |")).collect();
    let rows = rows.join("\n");
    format!(
        "# {}\n\n{}\n\n| | |\n|---|---|\n{rows}\n\n\
         Every tensor has the name, shape and type that the configuration promises. The graphs of this layout are held to \
         {} by startle's tests, with random weights; with these weights they were not compared with PyTorch. The self-test \
         in `{MANIFEST}` holds what they gave on the machine that made this bundle.\n",
        said("name"),
        said("description"),
        made.facts.reference
    )
}
