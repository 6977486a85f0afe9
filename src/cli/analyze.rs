//! `startle analyze`: video files, folders, globs and URLs to reports.

use super::args::ModelArgs;
use super::exit::Outcome;
use super::inputs::InputArgs;
use super::one::{self, Finished, Setup};
use super::places::{self, Places};
use super::plan::OutputPlan;
use super::resume::Earlier;
use clap::{Args, ValueEnum};
use indicatif::MultiProgress;
use startle::engine::{Wishes, baseline, question, run_config};
use startle::media::ffmpeg::Decoding;
use startle::media::open::Input;
use startle::model::bundle::sha256_file;
use startle::pipeline::{DetectionSettings, run_all};
use startle::record::Asked;
use startle::surprise::DEFAULT_TOP_FRACTION;
use startle::units::{Stop, per_hour};
use startle::{Error, Result};
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Analyze video files, folders, globs and URLs: a report folder for each.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub struct AnalyzeArgs {
    /// Videos: files, folders of videos or of numbered pictures, globs, URLs, or - for standard input.
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    pub inputs: Vec<OsString>,
    /// More inputs from a file: a video's path or URL a line. They are taken as they are and looked at only when it is their
    /// turn, so that many shards do not all ask a network disk about every video.
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Where the report goes: the folder itself for one input, a folder of folders for several
    /// [default: reports/INPUT-NAME].
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Stream records to standard output while running.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Exit with status 3 when something was found.
    #[arg(long)]
    pub fail_on_event: bool,
    /// Videos analyzed side by side; each has a model of its own and a share of the cores.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Skip inputs whose result is there already, made from the same content with the same model and settings.
    #[arg(long)]
    pub resume: bool,
    /// Do the i-th of n equal parts of the inputs only, for example 2/4; k+1/n where a counter k begins at 0, as that of
    /// Kubernetes, Slurm and others does. The part that ends last writes the summary of all.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<Shard>,
    /// Where videos are decoded: cpu or nvdec[:N], the video unit of an NVIDIA GPU. What is asked for and missing is an
    /// error; what the GPU has no decoder for is decoded by the processor, and noted.
    #[arg(long, value_name = "cpu|nvdec[:N]", default_value = "cpu")]
    pub decode: Decoding,
    /// What a robot did in the one input, for models that predict from it: CSV with the columns time, state… and
    /// action…, or a JSON array of {time, state, action}; seconds from the first frame, a row for each frame of the
    /// model's clock.
    #[arg(long, value_name = "FILE")]
    pub actions: Option<PathBuf>,
    /// Analyze slower rates too, each with a curve and a detector of its own: every so many-th frame of the model's
    /// clock, for example 1,2,4 (1 is the model's own rate and always done). All share one decode. Each judges by its own
    /// past: it tells events after 300 moments, with --z at once.
    #[arg(long, value_name = "STEPS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub frame_steps: Vec<u32>,
    /// Leave annotated.mp4 too: the video with heat map, boxes and words drawn in and the running curve below it, with its
    /// sound. Reads the video a second time, so not for streams.
    #[arg(long)]
    pub annotate: bool,
    /// No progress bars, no summary; errors only.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub detection: DetectionArgs,
}

/// What is streamed to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Jsonl,
}

/// One of `n` equal parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let sum = |text: &str| text.split('+').try_fold(0_usize, |sum, part| sum.checked_add(part.parse().ok()?));
    let parsed = text.split_once('/').and_then(|(i, n)| Some((sum(i)?, n.parse().ok()?)));
    match parsed {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        _ => Err("give it as i/n with 1 ≤ i ≤ n, for example 2/4, or as k+1/n where k is counted from 0".into()),
    }
}

/// When a surprise is an event.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Detection")]
pub struct DetectionArgs {
    /// What normal looks like: `bundle` (what the model came with), another one that it came with by its name (`natural`:
    /// real footage), `self` (the video's own past) or a file made by `startle calibrate`.
    #[arg(long, default_value = "bundle", value_name = "bundle|NAME|self|FILE")]
    pub baseline: String,
    /// Events that normal footage may cause, for example 6/hour, 1/day or 1/10min.
    #[arg(long, value_name = "RATE", default_value = "30/hour", value_parser = per_hour)]
    pub max_false_alarms: f64,
    /// An event opens when normal footage reaches its surprise in at most this share of the slots, instead.
    #[arg(long, value_name = "P", conflicts_with = "max_false_alarms", value_parser = parse_share)]
    pub p_value: Option<f32>,
    /// An event opens this many robust standard deviations above normal, instead.
    #[arg(long, value_name = "Z", conflicts_with_all = ["p_value", "max_false_alarms"])]
    pub z: Option<f32>,
    /// Spikes closer than this are one event, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    pub merge: f64,
    /// What is over faster is no event, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub min_duration: f64,
    /// After an event none opens for so long, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub cool_down: f64,
    /// Share of a slot's tokens whose mean is its surprise.
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_TOP_FRACTION, value_parser = parse_share)]
    pub top: f32,
    /// Do not look for scene cuts: an edit is then a surprise like any other.
    #[arg(long)]
    pub no_scene_cuts: bool,
}

pub(super) fn parse_share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(format!("{text} does not lie in (0, 1]")),
    }
}

impl DetectionArgs {
    /// The settings of the detector.
    pub fn settings(&self) -> Result<DetectionSettings> {
        let (p_value, z, top) = (self.p_value, self.z, self.top);
        let (merge_s, min_duration_s, cool_down_s) = (self.merge, self.min_duration, self.cool_down);
        Wishes { per_hour: self.max_false_alarms, p_value, z, merge_s, min_duration_s, cool_down_s, top }.settings()
    }
}

/// Runs the command.
pub fn run(args: &AnalyzeArgs, stop: &Stop) -> Result<Outcome> {
    let named = if args.inputs.is_empty() { Vec::new() } else { args.input.expand(&args.inputs, stop, args.quiet)? };
    let inputs = listed(named, args.list.as_deref())?;
    if args.actions.is_some() && inputs.len() > 1 {
        let count = inputs.len();
        return Err(Error::Config(format!("--actions is the table of one video, and there are {count} inputs")));
    }
    if args.annotate {
        inputs.iter().try_for_each(startle::report::annotate::check)?;
    }
    let places = Places::new(&inputs, args.out.as_deref(), args.inputs.len() == 1 && args.list.is_none());
    let plan = OutputPlan::new(args, &inputs, &places)?;
    let items = plan.items();
    let jobs = if args.format.is_some() { 1 } else { usize::from(args.jobs).min(items.len()) };
    let earlier = Earlier::new(args.resume, &places::root(args.out.as_deref()), &plan);
    let setup = prepare(args, jobs, earlier, stop)?;
    let before = plan.begin();
    let done = run_all(
        &items,
        jobs,
        || setup.model.scorer(),
        |scorer, input| {
            let finished = one::run(&setup, scorer.as_mut(), input, &places);
            plan.note(input, &finished, &setup.question).map(|()| finished)
        },
    )?;
    let done = done.into_iter().collect::<Result<Vec<Finished>>>()?;
    plan.finish(&items, &done, before, stop)?;
    Ok(done.iter().fold(Outcome::Done, |worst, one| worst.worse(one.outcome)))
}

/// The inputs with those of a list, each once.
fn listed(mut inputs: Vec<Input>, list: Option<&Path>) -> Result<Vec<Input>> {
    let Some(list) = list else { return Ok(inputs) };
    let text = std::fs::read(list).map_err(|e| Error::unreadable(list.display().to_string(), e))?;
    let mut seen: HashSet<Input> = inputs.iter().cloned().collect();
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let more = lines.filter(|line| !line.is_empty()).map(|line| Input::as_it_is(OsStr::from_bytes(line)));
    inputs.extend(more.filter(|input| seen.insert(input.clone())));
    if inputs.is_empty() {
        return Err(Error::input(list.display().to_string(), "the list is empty: a path or URL a line"));
    }
    Ok(inputs)
}

/// What all inputs share: the model, its baseline, the settings.
pub(super) fn prepare<'a>(args: &'a AnalyzeArgs, jobs: usize, earlier: Earlier, stop: &Stop) -> Result<Setup<'a>> {
    let detection = args.detection.settings()?;
    let model = args.model.choose(jobs)?.with_actions(args.actions.as_deref())?;
    let key = model.curve_key(args.detection.top)?;
    let (baseline, origin) = baseline(&args.detection.baseline, model.bundle(), &key)?;
    let mut config = run_config(&model, &detection, baseline.as_ref(), &origin)?;
    config.asked = Asked {
        frame_steps: slower_steps(&args.frame_steps),
        track: args.input.track,
        fps: args.input.fps,
        scene_cuts: !args.detection.no_scene_cuts,
        actions: args.actions.as_deref().map(named).transpose()?,
        ..config.asked
    };
    let bars = MultiProgress::new();
    if args.quiet {
        bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let question = question(&key, &config.asked)?;
    Ok(Setup { args, model, detection, key, baseline, config, question, earlier, bars, stop: stop.clone() })
}

/// A table of actions in the result: its path and the start of its sha256, so that `--resume` knows another one.
fn named(path: &Path) -> Result<String> {
    let sha256 = sha256_file(path).map_err(|e| Error::unreadable(path.display().to_string(), e))?;
    Ok(format!("{} (sha256 {})", path.display(), &sha256[..16]))
}

/// The steps beside the model's own rate, ascending and each once.
fn slower_steps(asked: &[u32]) -> Vec<u32> {
    let steps: BTreeSet<u32> = asked.iter().copied().filter(|step| *step > 1).collect();
    steps.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_those_that_there_are() {
        assert!(parse_shard("0/4").is_err() && parse_shard("5/4").is_err() && parse_shard("x").is_err());
        assert_eq!(parse_shard("4/4"), Ok(Shard { index: 4, of: 4 }));
        assert_eq!(parse_shard("0+1/4"), Ok(Shard { index: 1, of: 4 }));
        assert!(parse_shard("3+2/4").is_err() && parse_shard("+1/4").is_err() && parse_shard("-1+2/4").is_err());
    }
}
