//! `startle calibrate`: what surprise looks like on footage that is known to be normal.

use super::analyze::parse_share;
use super::args::{ModelArgs, opener};
use clap::Args;
use startle::clip::Clip;
use startle::media::ffmpeg::OpenOptions;
use startle::media::open::expand;
use startle::pipeline::score_windows;
use startle::surprise::{
    Assembler, Baseline, DEFAULT_TOP_FRACTION, FootingBuilder, NormalSlot, NuisanceModel, Slot, WindowErrors,
};
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
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_TOP_FRACTION, value_parser = parse_share)]
    pub top: f32,
    /// The camera does not move: learn what is normal for each place of the picture.
    #[arg(long)]
    pub fixed_camera: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &CalibrateArgs, stop: &Stop) -> Result<()> {
    let inputs = expand(&args.inputs)?;
    let model = args.model.choose(1)?;
    let mut scorer = model.scorer()?;
    let (mut builder, mut windows) = (FootingBuilder::default(), Vec::new());
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
    let spec = model.spec();
    let footing = builder.footing(args.fixed_camera.then_some(spec.tokens_per_slot()));
    let assembler = || Assembler::new(spec, footing.clone(), NuisanceModel::identity(), args.top);
    let runs = runs(&windows, assembler);
    let source = format!("{} videos, {} slots", inputs.len(), runs.iter().map(Vec::len).sum::<usize>());
    let slot_s = spec.tick_time(u64::from(spec.tubelet_size)).secs_f64();
    let baseline = Baseline::learn(model.curve_key(args.top)?, footing.clone(), &runs, slot_s, source)?;
    std::fs::write(&args.out, baseline.to_json()? + "\n").map_err(|e| Error::output(&args.out, e))?;
    tell(args, &baseline);
    Ok(())
}

/// What was learnt, for a person.
fn tell(args: &CalibrateArgs, baseline: &Baseline) {
    eprintln!(
        "{}: {}, {:.1} minutes; the sample is every {}th slot ({} nearly independent ones)",
        args.out.display(),
        baseline.source(),
        baseline.seconds() / 60.0,
        baseline.thinned(),
        baseline.sample().len()
    );
    match baseline.check() {
        Some(check) => eprintln!(
            "  held-out halves: {:.1} spikes an hour seen where {} were promised",
            check.seen_per_hour, check.promised_per_hour
        ),
        None => eprintln!("  too little footage to promise a false-alarm rate: give more"),
    }
}

/// The unbroken runs of slots of every video, each assembled on its own.
fn runs(windows: &[(usize, Clip, WindowErrors)], assembler: impl Fn() -> Assembler) -> Vec<Vec<NormalSlot>> {
    let normal = |slots: Vec<Slot>| -> Vec<NormalSlot> {
        slots.iter().map(|s| NormalSlot { unadjusted: s.unadjusted, nuisances: s.nuisances }).collect()
    };
    let same_run =
        |a: &(usize, Clip, WindowErrors), b: &(usize, Clip, WindowErrors)| (a.0, a.1.segment) == (b.0, b.1.segment);
    windows
        .chunk_by(same_run)
        .map(|run| {
            let mut one = assembler();
            let mut slots: Vec<Slot> = run.iter().flat_map(|(_, clip, errors)| one.push(clip, errors)).collect();
            slots.extend(one.finish());
            normal(slots)
        })
        .collect()
}
