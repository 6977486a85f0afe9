//! How the papers score a video, by name: what is taken from a video and how a window is cut.
//!
//! Sources: Garrido et al., arXiv 2502.11831 (`intphys`, `grasp`, `inflevel`), Bordes et al., arXiv 2506.09849
//! (`intphys2`), and the settings of their published code (`facebookresearch/jepa-intuitive-physics`,
//! `facebookresearch/IntPhys2`). The reductions (avg, max, filtered, per context) are those of every evaluation.
//! Invariant: frames are taken by counting, as the papers do; see [`crate::media::adapt::Counted`].

use crate::clip::{ClipSpec, ResizeRule};
use crate::error::{Error, Result};
use std::str::FromStr;

/// One paper's way to score a video with one size of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Side of the model's square, pixels.
    pub crop: u32,
    /// Frames in a window.
    pub frames: u32,
    /// Context lengths, frames.
    pub contexts: &'static [u32],
}

/// One paper's way to score a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// Its name, that of the dataset.
    pub name: &'static str,
    /// Every so many-th frame is taken.
    pub step: u32,
    /// Frames between windows.
    pub stride: u32,
    /// At most so many frames of a video are taken, after the step.
    pub limit: Option<u64>,
    /// How a picture becomes the model's square.
    pub resize: ResizeRule,
    /// The settings for each size of model.
    pub variants: &'static [Variant],
    /// Whether the first window is predicted from all shorter contexts too, see [`ClipSpec::opening_contexts`].
    pub opening: bool,
}

/// How pictures become the model's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PixelRule {
    /// Colours converted exactly, an antialiased filter, 8 bits.
    #[default]
    Startle,
    /// As the papers' code does: decord's colours, plain bilinear interpolation, nothing rounded.
    Paper,
}

impl PixelRule {
    /// Each step, in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Startle => {
                "startle: YUV converted exactly with interpolated colour planes; untagged video by its size; \
                 antialiased bilinear resize; rounded to 8 bits"
            }
            Self::Paper => {
                "paper: YUV converted by plain swscale as decord does (colour planes repeated); untagged video is \
                 BT.601; plain bilinear resize of the centre square or the whole picture, float32, not antialiased, not rounded"
            }
        }
    }
}

impl FromStr for PixelRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "startle" => Ok(Self::Startle),
            "paper" => Ok(Self::Paper),
            other => Err(Error::Config(format!("`{other}` is no rule for pixels; there are startle and paper"))),
        }
    }
}

const SHORT: &[Variant] = &[Variant { crop: 224, frames: 16, contexts: &[2, 4, 6, 8, 10] }];
const PROTOCOLS: [Protocol; 4] = [
    Protocol {
        name: "intphys",
        step: 2,
        stride: 2,
        limit: Some(49),
        resize: ResizeRule::ShorterSide,
        variants: SHORT,
        opening: false,
    },
    Protocol {
        name: "grasp",
        step: 10,
        stride: 2,
        limit: None,
        resize: ResizeRule::ShorterSide,
        variants: SHORT,
        opening: false,
    },
    Protocol {
        name: "inflevel",
        step: 5,
        stride: 2,
        limit: None,
        resize: ResizeRule::Squash,
        variants: &[Variant { crop: 224, frames: 32, contexts: &[4, 8, 12, 16, 20] }],
        opening: false,
    },
    Protocol {
        name: "intphys2",
        step: 10,
        stride: 2,
        limit: None,
        resize: ResizeRule::ShorterSide,
        variants: &[
            Variant { crop: 224, frames: 16, contexts: &[4, 6, 8, 10, 12, 14] },
            Variant { crop: 256, frames: 48, contexts: &[12, 18, 24, 30, 36, 42] },
        ],
        opening: true,
    },
];

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        PROTOCOLS.into_iter().find(|protocol| protocol.name == text).ok_or_else(|| {
            let names: Vec<&str> = PROTOCOLS.iter().map(|protocol| protocol.name).collect();
            Error::Config(format!("`{text}` is no protocol; there are {}", names.join(", ")))
        })
    }
}

impl Protocol {
    /// The resize of a run whose pixels are made by this rule.
    const fn resize_by(&self, pixels: PixelRule) -> ResizeRule {
        match (self.resize, pixels) {
            (ResizeRule::Squash, PixelRule::Paper) => ResizeRule::PlainSquash,
            (_, PixelRule::Paper) => ResizeRule::PlainCentre,
            (rule, PixelRule::Startle) => rule,
        }
    }

    /// The clips of a model with the clips `spec` on footage of `source_fps` frames a second. `any_crop` keeps the
    /// model's own square where the paper has no such size.
    ///
    /// # Errors
    /// [`Error::Config`] when the paper has no model with so large a square (unless `any_crop`) or the model's tubelets
    /// do not fit the windows.
    pub fn clips(&self, spec: &ClipSpec, source_fps: f64, any_crop: bool, pixels: PixelRule) -> Result<ClipSpec> {
        let own = self.variants.iter().find(|variant| variant.crop == spec.crop_size);
        let variant = match own {
            Some(variant) => variant,
            // The last is that of the paper's largest models.
            None if any_crop => &self.variants[self.variants.len() - 1],
            None => {
                let crops: Vec<String> = self.variants.iter().map(|v| format!("{0}×{0}", v.crop)).collect();
                return Err(Error::Config(format!(
                    "--protocol {}: the paper's pictures have {} pixels, the model takes {2}×{2}; make a bundle of \
                     that size, or keep the model's own size with --any-crop (recorded in the result)",
                    self.name,
                    crops.join(" or "),
                    spec.crop_size
                )));
            }
        };
        let longest = variant.contexts.last().copied().unwrap_or_default();
        let shorter = (spec.tubelet_size..if self.opening { longest } else { 0 }).step_by(spec.tubelet_size as usize);
        let clips = ClipSpec {
            opening_contexts: shorter.filter(|context| !variant.contexts.contains(context)).collect(),
            frames_per_clip: variant.frames,
            context_lengths: variant.contexts.to_vec(),
            horizon: None,
            stride: self.stride,
            model_fps: source_fps / f64::from(self.step),
            resize: self.resize_by(pixels),
            resize_size: spec.crop_size,
            ..spec.clone()
        };
        clips.check().map_err(|e| Error::Config(format!("--protocol {}: the model can't serve it: {e}", self.name)))?;
        Ok(clips)
    }

    /// Whether the longer video of a pair begins so much later that both are equally long, as in the published code.
    pub fn aligned(&self, pixels: PixelRule) -> bool {
        self.name == "inflevel" && pixels == PixelRule::Paper
    }

    /// What is done, in words; `clips` are those of [`Protocol::clips`].
    pub fn describe(&self, clips: &ClipSpec) -> String {
        let resize = match self.resize {
            ResizeRule::Squash | ResizeRule::PlainSquash => "whole picture squeezed",
            ResizeRule::ShorterSide | ResizeRule::PlainCentre => "centre square",
        };
        let limit = self.limit.map_or_else(String::new, |frames| format!(", the first {frames} of them"));
        format!(
            "{}: every {}th frame ({:.3} a second){limit}, windows of {} frames every {}, contexts {:?}, {resize} to {6}×{6}",
            self.name,
            self.step,
            clips.model_fps,
            clips.frames_per_clip,
            clips.stride,
            clips.context_lengths,
            clips.crop_size
        )
        .replace("every 2th", "every 2nd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::spec_for_tests;

    #[test]
    fn protocols_are_those_of_the_papers() {
        let of = |name: &str, crop: u32, fps: f64| {
            let spec = ClipSpec { crop_size: crop, patch_size: 16, ..spec_for_tests() };
            name.parse::<Protocol>().unwrap().clips(&spec, fps, false, PixelRule::Startle).unwrap()
        };
        let intphys = of("intphys", 224, 15.0);
        assert_eq!((intphys.frames_per_clip, intphys.model_fps, intphys.stride), (16, 7.5, 2));
        assert_eq!(intphys.context_lengths, [2, 4, 6, 8, 10]);
        assert_eq!(of("inflevel", 224, 30.0).context_lengths, [4, 8, 12, 16, 20]);
        let (small, large) = (of("intphys2", 224, 30.0), of("intphys2", 256, 30.0));
        assert_eq!((small.frames_per_clip, large.frames_per_clip), (16, 48));
        assert_eq!((large.context_lengths.first(), large.context_lengths.last()), (Some(&12), Some(&42)));
        assert_eq!((large.model_fps, large.resize_size), (3.0, 256));
        assert_eq!(small.opening_contexts, [2]);
        assert_eq!(large.opening_contexts, [2, 4, 6, 8, 10, 14, 16, 20, 22, 26, 28, 32, 34, 38, 40]);
        assert!(intphys.opening_contexts.is_empty());
    }

    #[test]
    fn a_size_that_no_paper_has_is_refused_unless_asked_for() {
        let spec = spec_for_tests();
        let grasp: Protocol = "grasp".parse().unwrap();
        let refused = grasp.clips(&spec, 25.0, false, PixelRule::Startle).unwrap_err().to_string();
        assert!(
            refused.contains("224×224") && refused.contains("16×16") && refused.contains("--any-crop"),
            "{refused}"
        );
        let kept = grasp.clips(&spec, 25.0, true, PixelRule::Paper).unwrap();
        assert_eq!((kept.crop_size, kept.frames_per_clip, kept.horizon), (16, 16, None));
        assert_eq!(kept.resize, ResizeRule::PlainCentre);
        assert!(grasp.describe(&kept).contains("every 10th frame (2.500 a second)"), "{}", grasp.describe(&kept));
        let tubelets = ClipSpec { tubelet_size: 3, ..spec };
        assert!(
            grasp.clips(&tubelets, 25.0, true, PixelRule::Startle).unwrap_err().to_string().contains("can't serve it")
        );
        assert!("intphys3".parse::<Protocol>().unwrap_err().to_string().contains("there are intphys, grasp"));
    }
}
