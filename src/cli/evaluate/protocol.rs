//! A paper's protocol on a model and the videos of a dataset.

use super::super::inputs::LimitArgs;
use super::{input, open_options};
use clap::Args;
use startle::clip::ClipSpec;
use startle::dataset::{ModelFacts, PixelRule, Protocol, differences};
use startle::engine::{Model, opener};
use startle::evaluate::{Case, TIES_WRONG};
use startle::media::Step;
use startle::media::adapt::Counted;
use startle::media::ffmpeg::ColourRule;
use startle::model::manifest::{Manifest, Precision};
use startle::pipeline::Open;
use startle::units::Stop;
use startle::{Error, Result};
use std::collections::BTreeMap;

/// Which paper's settings.
#[derive(Debug, Args)]
pub struct ProtocolArgs {
    /// Score as the dataset's paper does, by name: intphys, intphys2, grasp or inflevel. It sets the frames, windows,
    /// contexts and the resize of the model's clips and is recorded in the result.
    #[arg(long, value_name = "NAME", value_parser = clap::value_parser!(Protocol), conflicts_with = "stride")]
    pub protocol: Option<Protocol>,
    /// With --protocol: keep the size of the model's picture where the paper has another.
    #[arg(long, requires = "protocol")]
    pub any_crop: bool,
    /// With --protocol: how pictures become pixels, startle (colours converted exactly, antialiased) or paper (as the
    /// published code does, ties included: plain swscale colours, plain bilinear resize, nothing rounded; of an
    /// inflevel pair the longer video begins later).
    #[arg(long, requires = "protocol", value_name = "RULE", value_parser = clap::value_parser!(PixelRule))]
    pub pixels: Option<PixelRule>,
}

impl ProtocolArgs {
    /// How pictures become pixels.
    pub fn pixels(&self) -> PixelRule {
        self.pixels.unwrap_or_default()
    }

    /// How YUV becomes RGB.
    pub fn colours(&self) -> ColourRule {
        match self.pixels() {
            PixelRule::Startle => ColourRule::Careful,
            PixelRule::Paper => ColourRule::Plain,
        }
    }
}

/// Frames per second of the dataset's footage, from its first video: it turns counted frames into seconds.
pub fn source_fps(cases: &[Case], limits: LimitArgs, stop: &Stop) -> Result<f64> {
    let case = cases.first().ok_or_else(|| Error::Config("--protocol: the dataset has no video".into()))?;
    let input = input(&case.input)?;
    let source = opener(&input, open_options(case, limits, stop))()?;
    let fps = source.info().nominal_fps;
    if fps > 0.0 {
        return Ok(fps);
    }
    Err(Error::input(input.to_string(), "does not state its frame rate, which --protocol needs to count by"))
}

/// The video that each is matched with, by id, where the pair's lengths are made equal as in the published code.
pub fn partners(args: &ProtocolArgs, cases: &[Case]) -> BTreeMap<String, Case> {
    if !args.protocol.is_some_and(|protocol| protocol.aligned(args.pixels())) {
        return BTreeMap::new();
    }
    let partner = |case: &Case| cases.iter().find(|other| other.pair == case.pair && other.id != case.id).cloned();
    cases.iter().filter_map(|case| Some((case.id.clone(), partner(case)?))).collect()
}

/// Frames of a video.
pub fn frames(case: &Case, limits: LimitArgs, stop: &Stop) -> Result<u64> {
    let mut source = opener(&input(&case.input)?, open_options(case, limits, stop))()?;
    let mut count = 0;
    loop {
        match source.next_step()? {
            Step::Frame { .. } => count += 1,
            Step::Gap { .. } => {}
            Step::End => return Ok(count),
        }
    }
}

/// Makes the model's clips those of the protocol, if there is one.
pub fn apply(args: &ProtocolArgs, source_fps: Option<f64>, model: &mut Model) -> Result<()> {
    let (Some(protocol), Some(fps)) = (&args.protocol, source_fps) else { return Ok(()) };
    let clips = protocol.clips(model.spec(), fps, args.any_crop, args.pixels())?;
    model.set_clips(clips)
}

/// What the settings say of the protocol.
pub fn record(args: &ProtocolArgs, model: &Model, settings: &mut BTreeMap<String, String>) {
    let Some(protocol) = &args.protocol else { return };
    let facts = model.bundle().map(|bundle| facts(bundle.manifest()));
    settings.insert("protocol".into(), protocol.describe(model.spec()));
    settings.insert("protocol differs".into(), differences(protocol, model.spec(), args.pixels(), facts));
    settings.insert("pixels".into(), args.pixels().describe().into());
    if protocol.aligned(args.pixels()) {
        settings.insert("alignment".into(), "of a pair, the longer video without its first frames".into());
    }
    if args.pixels() == PixelRule::Paper {
        settings.insert("ties".into(), TIES_WRONG.into());
    }
}

fn facts(manifest: &Manifest) -> ModelFacts {
    ModelFacts {
        mask_token: manifest.mask_token.as_ref().map(|token| token.index),
        own_target_encoder: manifest.graphs.target_encoder.is_some(),
        exact: manifest.precision == Precision::Fp32,
    }
}

/// Takes frames as the protocol does, without the `first` ones. A video whose rate is not the dataset's is refused: its seconds would be wrong.
pub fn counted<'a>(open: Open<'a>, protocol: &'a Protocol, clips: &'a ClipSpec, first: u64) -> Open<'a> {
    Box::new(move || {
        let source = open()?;
        let (own, due) = (source.info().nominal_fps, clips.model_fps * f64::from(protocol.step));
        if (own / due - 1.0).abs() > 0.01 {
            let reason = format!("has {own:.3} frames a second, the dataset's first video has {due:.3}");
            return Err(Error::input(format!("--protocol {}", protocol.name), reason));
        }
        Ok(Box::new(Counted::new(source, clips, protocol.step, protocol.limit).after(first)))
    })
}
