//! `startle analyze`: video files, folders, globs and URLs to reports.

use super::args::ModelArgs;
use super::exit::Outcome;
use super::inputs::InputArgs;
use super::one::{self, Finished, Setup};
use super::places;
use super::resume::Earlier;
use clap::{Args, ValueEnum};
use indicatif::MultiProgress;
use startle::engine::{baseline, run_config};
use startle::media::ffmpeg::Decoding;
use startle::media::open::Input;
use startle::model::bundle::{ModelBundle, sha256_file};
use startle::pipeline::{DetectionSettings, run_all};
use startle::record::RunConfig;
use startle::report::json;
use startle::report::summary::{Row, earlier_failures};
use startle::surprise::{DEFAULT_TOP_FRACTION, ThresholdRule, WatchOptions};
use startle::units::{MediaTime, Stop, per_hour};
use startle::{Error, Result, report};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Analyze video files, folders, globs and URLs: a report folder for each.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub struct AnalyzeArgs {
    /// Videos: files, folders of videos or of numbered pictures, globs, URLs, or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<OsString>,
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
    /// Do the i-th of n equal parts of the inputs only, for example 2/4.
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
    index: usize,
    of: usize,
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        _ => Err("give it as i/n with 1 ≤ i ≤ n, for example 2/4".into()),
    }
}

/// When a surprise is an event.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Detection")]
pub struct DetectionArgs {
    /// What normal looks like: `bundle` (what the model came with), `self` (the video's own past) or a file made by
    /// `startle calibrate`.
    #[arg(long, default_value = "bundle", value_name = "bundle|self|FILE")]
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
        let watch = WatchOptions {
            rule: self.rule()?,
            merge: seconds("merge", self.merge)?,
            min_duration: seconds("min-duration", self.min_duration)?,
            cool_down: seconds("cool-down", self.cool_down)?,
        };
        Ok(DetectionSettings { top_fraction: self.top, watch })
    }

    fn rule(&self) -> Result<ThresholdRule> {
        match (self.z, self.p_value) {
            (Some(z), _) if z.is_finite() && z > 0.0 => Ok(ThresholdRule::at_z(z)),
            (Some(z), _) => Err(Error::Config(format!("--z {z} is not a positive number"))),
            (None, Some(p)) => Ok(ThresholdRule::at_p_value(p)),
            (None, None) => Ok(ThresholdRule::Rate { per_hour: self.max_false_alarms }),
        }
    }

    /// What was asked for, in words.
    pub fn asked(&self) -> String {
        match (self.z, self.p_value) {
            (Some(z), _) => format!("z ≥ {z}"),
            (None, Some(p)) => format!("p ≤ {p}"),
            (None, None) => format!("at most {} false alarms an hour", self.max_false_alarms),
        }
    }
}

fn seconds(option: &str, value: f64) -> Result<MediaTime> {
    if value.is_finite() && (0.0..=3600.0).contains(&value) {
        return Ok(MediaTime::from_secs_f64(value));
    }
    Err(Error::Config(format!("--{option} {value} does not lie in 0..3600 seconds")))
}

/// Runs the command.
pub fn run(args: &AnalyzeArgs, stop: &Stop) -> Result<Outcome> {
    let inputs = args.input.expand(&args.inputs, stop, args.quiet)?;
    if args.actions.is_some() && inputs.len() > 1 {
        let count = inputs.len();
        return Err(Error::Config(format!("--actions is the table of one video, and there are {count} inputs")));
    }
    if args.annotate {
        inputs.iter().try_for_each(report::annotate::check)?;
    }
    let root = places::root(args.out.as_deref());
    if inputs.len() > 1 {
        report::summary::check(&root)?;
    }
    let folders = places::folders(&inputs, args.out.as_deref(), args.inputs.len() == 1);
    let all: Vec<(Input, PathBuf)> = inputs.into_iter().zip(folders).collect();
    let items = shard(all.clone(), args.shard);
    let jobs = if args.format.is_some() { 1 } else { usize::from(args.jobs).min(items.len()) };
    let setup = prepare(args, jobs, stop)?;
    let done = run_all(
        &items,
        jobs,
        || setup.model.scorer(),
        |scorer, (input, folder)| one::run(&setup, scorer.as_mut(), input, folder),
    )?;
    let outcome = done.iter().fold(Outcome::Done, |worst, one| worst.worse(one.outcome));
    if all.len() > 1 {
        report::summary::write_of(&root, || rows(&root, &all, &items, &done))?;
        if !args.quiet {
            one::print_summary(&root, &done);
        }
    }
    Ok(outcome)
}

/// A row for each input of the list: what this run did, and for the other shards' inputs what lies there of them.
fn rows(root: &Path, all: &[(Input, PathBuf)], items: &[(Input, PathBuf)], done: &[Finished]) -> Vec<Row> {
    let mut own: HashMap<&Input, &Finished> = items.iter().map(|(input, _)| input).zip(done).collect();
    let failures = if own.len() < all.len() { earlier_failures(root) } else { HashMap::new() };
    let elsewhere = |input: &Input, folder: &Path| {
        let name = input.to_string();
        let report = json::read(&folder.join("result.json")).ok().filter(|report| report.input.path == name);
        match (report, failures.get(&name)) {
            (Some(report), _) => Row::of(&report, folder, false),
            (None, Some(error)) => Row::failed(&name, error),
            (None, None) => Row::pending(&name),
        }
    };
    let row = |(input, folder): &(Input, PathBuf)| {
        own.remove(input).map_or_else(|| elsewhere(input, folder), |finished| finished.row.clone())
    };
    all.iter().map(row).collect()
}

/// Every `of`-th item, starting with the `index`-th: the same items for the same inputs, whatever the machine.
fn shard<T>(items: Vec<T>, shard: Option<Shard>) -> Vec<T> {
    let Some(Shard { index, of }) = shard else { return items };
    items.into_iter().skip(index - 1).step_by(of).collect()
}

fn prepare<'a>(args: &'a AnalyzeArgs, jobs: usize, stop: &Stop) -> Result<Setup<'a>> {
    let detection = args.detection.settings()?;
    let model = args.model.choose(jobs)?.with_actions(args.actions.as_deref())?;
    let key = model.curve_key(args.detection.top)?;
    let bundled = model.bundle().and_then(ModelBundle::baseline_path);
    let (baseline, origin) = baseline(&args.detection.baseline, bundled, &key)?;
    let config = RunConfig {
        frame_steps: slower_steps(&args.frame_steps),
        track: args.input.track,
        fps: args.input.fps,
        scene_cuts: !args.detection.no_scene_cuts,
        actions: args.actions.as_deref().map(named).transpose()?,
        asked: args.detection.asked(),
        ..run_config(&model, &detection, baseline.as_ref(), &origin)?
    };
    let bars = MultiProgress::new();
    if args.quiet {
        bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let earlier = if args.resume { Earlier::below(&places::root(args.out.as_deref())) } else { Earlier::default() };
    Ok(Setup { args, model, detection, key, baseline, config, earlier, bars, stop: stop.clone() })
}

/// A table of actions in the result: its path and the start of its sha256, so that `--resume` knows another one.
fn named(path: &Path) -> Result<String> {
    let sha256 =
        sha256_file(path).map_err(|e| Error::input(path.display().to_string(), format!("can't be read: {e}")))?;
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
    fn shards_are_disjoint_and_complete() {
        assert!(parse_shard("0/4").is_err() && parse_shard("5/4").is_err() && parse_shard("x").is_err());
        let parts: Vec<Vec<i32>> =
            (1..=3).map(|i| shard((0..10).collect(), parse_shard(&format!("{i}/3")).ok())).collect();
        assert_eq!(parts, [vec![0, 3, 6, 9], vec![1, 4, 7], vec![2, 5, 8]]);
    }
}
