//! `startle calibrate`: what surprise looks like on footage that is known to be normal.

use super::args::{ModelArgs, opener};
use clap::Args;
use startle::media::ffmpeg::OpenOptions;
use startle::media::open::expand;
use startle::pipeline::score_windows;
use startle::surprise::{Assembler, Baseline, BaselineBuilder, DEFAULT_TOP_FRACTION, WindowErrors};
use startle::units::Stop;
use startle::{Error, Result};
use std::path::PathBuf;

/// Learn what surprise looks like on footage that is known to be normal.
///
/// The result goes to `startle analyze --baseline FILE`. Give at least a few minutes, filmed as the footage to be
/// analyzed will be.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Normal videos: files, folders, globs, URLs.
    #[arg(required = true, value_name = "NORMAL")]
    pub inputs: Vec<String>,
    /// The baseline file to write.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Share of a slot's tokens whose mean is its surprise; must be the one used later.
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_TOP_FRACTION)]
    pub top: f32,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &CalibrateArgs, stop: &Stop) -> Result<()> {
    let inputs = expand(&args.inputs)?;
    let model = args.model.choose(1)?;
    let mut scorer = model.scorer()?;
    let (mut builder, mut windows) = (BaselineBuilder::new(), Vec::new());
    let bar = indicatif::ProgressBar::new(inputs.len() as u64);
    for (index, input) in inputs.iter().enumerate() {
        let options = OpenOptions { stop: stop.clone(), ..OpenOptions::default() };
        score_windows(
            opener(input, options),
            scorer.as_mut(),
            usize::from(args.model.batch),
            stop,
            |spec, clip, errors| {
                builder.push(spec, errors);
                windows.push((index, clip.without_pixels(), errors.clone()));
            },
        )?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let footing = builder.footing();
    let sample = sample(&windows, || Assembler::new(model.spec(), footing.clone(), args.top));
    let key = model.curve_key(args.top)?;
    let source = format!("{} videos, {} slots", inputs.len(), sample.len());
    let slots = sample.len();
    let baseline = Baseline::new(key, footing, sample, source)?;
    std::fs::write(&args.out, baseline.to_json()? + "\n").map_err(|e| Error::output(&args.out, e))?;
    eprintln!("{}: {slots} slots of {} normal videos", args.out.display(), inputs.len());
    Ok(())
}

/// The slot surprises of every video, each assembled on its own.
fn sample(windows: &[(usize, startle::clip::Clip, WindowErrors)], assembler: impl Fn() -> Assembler) -> Vec<f32> {
    let mut sample = Vec::new();
    for video in windows.chunk_by(|a, b| a.0 == b.0) {
        let mut one = assembler();
        for (_, clip, errors) in video {
            sample.extend(one.push(clip, errors).iter().map(|slot| slot.surprise));
        }
        sample.extend(one.finish().iter().map(|slot| slot.surprise));
    }
    sample
}
