//! Options about the inputs, and what they resolve to.

use clap::Args;
use startle::media::ffmpeg::{Limits, OpenOptions};
use startle::media::open::{Input, Search, expand_in};
use startle::units::Stop;
use startle::{Error, Result};
use std::ffi::OsString;

/// How inputs are found and read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Inputs")]
pub struct InputArgs {
    /// Look into the folders of a folder too.
    #[arg(long)]
    pub recursive: bool,
    /// Pictures per second of an image sequence [default: 25].
    #[arg(long, value_name = "FPS", value_parser = parse_fps)]
    pub image_fps: Option<f64>,
    /// Pictures per second of a stream that states no rate, such as raw H.264 or MJPEG [default: 25, with a note].
    #[arg(long, value_name = "FPS", value_parser = parse_fps)]
    pub fps: Option<f64>,
    /// Which of several video tracks, counted from 1 [default: the largest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub track: Option<u16>,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How much an input may take.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Inputs")]
pub struct LimitArgs {
    /// Largest picture that is decoded, pixels; each takes up to 16 bytes at once.
    #[arg(long, value_name = "N", default_value_t = Limits::default().pixels, value_parser = clap::value_parser!(u64).range(1..=Limits::MOST_PIXELS))]
    pub max_pixels: u64,
    /// Most streams of an input; each takes about 2 MB.
    #[arg(long, value_name = "N", default_value_t = Limits::default().streams, value_parser = clap::value_parser!(u32).range(1..=i64::from(Limits::MOST_STREAMS)))]
    pub max_streams: u32,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self { pixels: args.max_pixels, streams: args.max_streams }
    }
}

fn parse_fps(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fps) if (0.01..=1000.0).contains(&fps) => Ok(fps),
        _ => Err(format!("{text} does not lie in 0.01..1000")),
    }
}

impl InputArgs {
    /// The inputs that the arguments name; says how much of named folders is none.
    pub fn expand(&self, names: &[OsString], stop: &Stop, quiet: bool) -> Result<Vec<Input>> {
        let found = expand_in(names, &Search { recursive: self.recursive, stop: stop.clone() })?;
        let has_images = found.inputs.iter().any(|input| matches!(input, Input::Images(_)));
        if self.image_fps.is_some() && !has_images {
            return Err(Error::Config(
                "--image-fps is the rate of image sequences, and no input is one; a stream that states no rate takes --fps"
                    .into(),
            ));
        }
        let (files, folders) = found.passed_over;
        if !quiet && files + folders > 0 {
            let deeper = if folders > 0 { " (--recursive looks into them)" } else { "" };
            eprintln!("passed over: {files} files that are no videos, {folders} folders{deeper}");
        }
        Ok(found.inputs)
    }

    /// How each of them is opened.
    pub fn options(&self, stop: Stop) -> OpenOptions {
        let usual = OpenOptions::default();
        OpenOptions {
            stop,
            image_fps: self.image_fps.unwrap_or(usual.image_fps),
            fps: self.fps,
            track: self.track,
            limits: self.limits.into(),
            ..usual
        }
    }
}
