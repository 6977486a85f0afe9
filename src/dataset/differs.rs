//! Where a score is not the paper's, in words: everything that the published code does otherwise, given the model and the
//! options of the run.
//!
//! Read in `facebookresearch/jepa-intuitive-physics` (`evals/intuitive_physics`, `src/utils/transforms.py`) and
//! `facebookresearch/IntPhys2` (`prediction_evals`), commit by commit as published.

use super::protocol::{PixelRule, Protocol};
use crate::clip::ClipSpec;

/// What of the model bears on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts {
    /// The mask token that its predictor asks with; `None`: its bundle does not say, or there is none.
    pub mask_token: Option<usize>,
    /// Whether targets have an encoder of their own.
    pub own_target_encoder: bool,
    /// Whether its weights are float32.
    pub exact: bool,
}

/// Every difference, one after another.
pub fn differences(protocol: &Protocol, clips: &ClipSpec, pixels: PixelRule, model: Option<ModelFacts>) -> String {
    let mut all: Vec<String> = model.map_or_else(Vec::new, of_model);
    all.extend(of_protocol(protocol, clips, pixels).into_iter().map(str::to_owned));
    all.extend(of_pixels(pixels).into_iter().map(str::to_owned));
    all.join("; ")
}

fn of_model(model: ModelFacts) -> Vec<String> {
    let mut all = Vec::new();
    match model.mask_token {
        Some(0) => {}
        Some(token) => all.push(format!("the predictor asks with mask token {token}, the published code with 0")),
        None => all.push(
            "the bundle does not say which mask token its predictor asks with, the published code takes 0".into(),
        ),
    }
    if !model.own_target_encoder {
        all.push(
            "one encoder gives contexts and targets, the published code takes the checkpoint's `encoder` for contexts and its \
             `target_encoder` for targets"
                .into(),
        );
    }
    let here = if model.exact { "float32" } else { "reduced precision" };
    all.push(format!("numbers are {here} here, half precision (autocast) there"));
    all
}

fn of_protocol(protocol: &Protocol, clips: &ClipSpec, pixels: PixelRule) -> Vec<&'static str> {
    let mut all = Vec::new();
    if protocol.name == "inflevel" {
        all.push(
            "whole videos with their priming are scored (the paper's inflevel_lab_priming), because the dataset does not say \
             where the priming ends",
        );
    }
    if protocol.name == "inflevel" && !protocol.aligned(pixels) {
        all.push(
            "both videos of a pair begin with their first frame; the published code drops the first frames of the longer one \
             until both are equally long, as --pixels paper does",
        );
    }
    if protocol.name == "intphys2" {
        all.push(
            "the first window seen from shorter contexts counts in the numbers of each context length, not in those over all \
             of them",
        );
        if clips.crop_size == 256 {
            all.push(
                "all tokens of 256×256 pixels are used; the published code cuts contexts and targets as if there were 224×224 \
                 (196 tokens a slot): of 24 slots it sees none after the 19th, of which it sees a third",
            );
            all.push(
                "the published configuration of V-JEPA 2 (vjepa_2.yaml) can't run as it stands: it states num_heads and \
                 use_rope of the predictor twice",
            );
        }
    }
    all
}

fn of_pixels(pixels: PixelRule) -> Vec<&'static str> {
    match pixels {
        PixelRule::Paper => {
            vec!["pictures turned by their file, or of pixels that are not square, are set right first"]
        }
        PixelRule::Startle => vec![
            "pictures are made smaller with an antialiased filter and rounded to 8 bits, the published code uses plain \
             bilinear interpolation and does not round",
            "colours are converted exactly, half-size colour planes interpolated and untagged video of 1280 pixels' width or \
             more taken as BT.709; the published code (decord) repeats the planes and takes untagged video as BT.601",
            "a tie of a pair counts half, in the published code as wrong",
            "--pixels paper does the last three as the published code",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::spec_for_tests;

    #[test]
    fn everything_is_said_and_only_what_applies() {
        let said = |name: &str, crop: u32, pixels: PixelRule, model: Option<ModelFacts>| {
            let protocol: Protocol = name.parse().unwrap();
            differences(&protocol, &ClipSpec { crop_size: crop, ..spec_for_tests() }, pixels, model)
        };
        let plain = ModelFacts { mask_token: Some(1), own_target_encoder: false, exact: true };
        let all = said("intphys2", 256, PixelRule::Startle, Some(plain));
        for words in [
            "mask token 1",
            "one encoder",
            "half precision",
            "shorter contexts",
            "196 tokens a slot",
            "none after the 19th",
            "vjepa_2.yaml",
            "antialiased",
            "BT.709",
            "a tie of a pair counts half",
        ] {
            assert!(all.contains(words), "{words}: {all}");
        }
        let theirs = ModelFacts { mask_token: Some(0), own_target_encoder: true, exact: true };
        let few = said("intphys", 224, PixelRule::Paper, Some(theirs));
        for words in ["mask token", "encoder", "antialiased", "tie", "224×224"] {
            assert!(!few.contains(words), "{words}: {few}");
        }
        for (pixels, otherwise) in [(PixelRule::Startle, true), (PixelRule::Paper, false)] {
            let said = said("inflevel", 224, pixels, None);
            assert!(said.contains("inflevel_lab_priming"));
            assert_eq!(said.contains("drops the first frames of the longer one"), otherwise, "{said}");
        }
    }
}
