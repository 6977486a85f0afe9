//! `startle calibrate`: what surprise looks like on footage that is known to be normal.

use super::analyze::parse_share;
use super::args::ModelArgs;
use super::inputs::InputArgs;
use clap::Args;
use startle::engine::{Learning, calibrate};
use startle::media::open::Input;
use startle::surprise::{Baseline, DEFAULT_TOP_FRACTION};
use startle::units::Stop;
use startle::watch::marks::false_alarms;
use startle::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// Learn what surprise looks like on footage that is known to be normal.
///
/// The result goes to `startle analyze --baseline FILE`. Give at least a few minutes, filmed as the footage to be
/// analyzed will be.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// Normal videos: files, folders, globs, URLs.
    #[arg(required_unless_present = "false_alarms", value_name = "NORMAL")]
    pub inputs: Vec<OsString>,
    /// A monitor's folder of event clips: those marked as false alarms on its dashboard are normal, too.
    #[arg(long, value_name = "DIR")]
    pub false_alarms: Option<PathBuf>,
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
    pub input: InputArgs,
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Runs the command.
pub fn run(args: &CalibrateArgs, stop: &Stop) -> Result<()> {
    let mut inputs = args.input.expand(&args.inputs, stop, false)?;
    if let Some(folder) = &args.false_alarms {
        inputs.extend(false_alarms(folder)?.into_iter().map(Input::File));
    }
    let model = args.model.choose(1)?;
    let bar = indicatif::ProgressBar::new(inputs.len() as u64);
    let learning = Learning { top: args.top, fixed_camera: args.fixed_camera };
    let baseline = calibrate(&model, &inputs, &args.input.options(stop.clone()), learning, &mut |done| {
        bar.set_position(done as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
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
