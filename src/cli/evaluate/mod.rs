//! `startle evaluate`: a labelled dataset, scored by the model and its controls.

mod log;
mod protocol;
mod setup;

use super::analyze::DetectionArgs;
use super::args::ModelArgs;
use super::exit::Outcome;
use super::inputs::LimitArgs;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::Log;
use protocol::ProtocolArgs;
use setup::Setup;
use startle::dataset::{self, Footings, Layout, Panel, score_video};
use startle::evaluate::{Case, PROMISED, ScoredCase, evaluate};
use startle::media::GapReason;
use startle::media::ffmpeg::OpenOptions;
use startle::media::open::{Input, parse};
use startle::pipeline::{Job, run_all};
use startle::record::Report;
use startle::report::claim::claim_evaluation;
use startle::surprise::Baseline;
use startle::units::Stop;
use startle::{Error, Result, report};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Measure a model on a dataset of possible and impossible videos, beside controls that know no physics.
///
/// The controls are random weights of the same shape, a copy of the last features, first and second difference of the
/// pixels, and motion energy; with an encoder of pictures also how the path of its features turns and bends. All go
/// through the same statistic as the model. What is scored is kept in cases.jsonl as it is done, so that an interrupted
/// run can go on with --resume.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The dataset's folder; of the layout `pairs` also the list of labels itself.
    #[arg(value_name = "ROOT")]
    pub root: PathBuf,
    /// How the dataset lies there: pairs (labels.jsonl or labels.csv), intphys, intphys2, grasp or inflevel.
    /// [default: that of --protocol]
    #[arg(long, short, value_parser = clap::value_parser!(Layout), required_unless_present = "protocol")]
    pub layout: Option<Layout>,
    #[command(flatten)]
    pub paper: ProtocolArgs,
    /// Where the results go [default: reports/evaluate-ROOT-NAME].
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Videos scored side by side; each has models of its own and a share of the cores.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Keep what DIR/cases.jsonl holds of an earlier run with the same model and settings, and do the rest.
    #[arg(long)]
    pub resume: bool,
    /// Do N groups of matched videos only, spread evenly over the dataset.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Do these kinds of violation only, separated by commas.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Normal videos (a file, folder, glob or URL; may be given several times) from which every scorer learns the
    /// footing of its errors; without them errors are taken as they are.
    #[arg(long, value_name = "INPUT")]
    pub normal: Vec<String>,
    /// Bundle with random weights of the model's shape [default: the model's name and `-random`, where there is one].
    #[arg(long, value_name = "BUNDLE")]
    pub random: Option<String>,
    /// Leave the random weights out.
    #[arg(long, conflicts_with = "random")]
    pub no_random: bool,
    /// Another bundle on the same clips, measured beside the model (same pixels and times; its tokens may be others).
    #[arg(long, value_name = "BUNDLE")]
    pub beside: Option<String>,
    /// No progress bar; errors and the result only.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub detection: DetectionArgs,
}

impl EvaluateArgs {
    /// The layout that was asked for, or the one that goes with the protocol.
    fn layout(&self) -> Result<Layout> {
        let named = || self.paper.protocol.map_or_else(|| Err(missing_layout()), |protocol| protocol.name.parse());
        self.layout.map_or_else(named, Ok)
    }
}

fn missing_layout() -> Error {
    Error::Config("--layout is missing".into())
}

/// Runs the command.
pub fn run(args: &EvaluateArgs, stop: &Stop) -> Result<Outcome> {
    let cases = chosen(dataset::read(&args.root, args.layout()?)?, args)?;
    let setup = Setup::new(args, &cases, stop)?;
    let names = [&report::evaluation::OUTPUTS[..], &["cases.jsonl"]].concat();
    let _claim = claim_evaluation(&setup.out, &args.root.display().to_string(), &names)?;
    let (log, kept) = Log::open(&setup.out.join("cases.jsonl"), &setup.key()?, args.resume)?;
    let mut scored: Vec<ScoredCase> = kept.into_iter().filter(|one| cases.contains(&one.case)).collect();
    let done: BTreeSet<&str> = scored.iter().map(|one| one.case.id.as_str()).collect();
    let todo: Vec<Case> = cases.iter().filter(|case| !done.contains(case.id.as_str())).cloned().collect();
    if !(args.quiet || scored.is_empty()) {
        eprintln!("{} of {} videos were scored before", scored.len(), cases.len());
    }
    let mut failed = Vec::new();
    for end in score_all(&setup, &log, &todo)? {
        match end {
            End::Scored(one) => scored.push(*one),
            End::Failed(failure) => failed.push(failure),
            End::Stopped => {}
            End::Fatal(error) => return Err(error),
        }
    }
    if stop.requested() {
        eprintln!("stopped: {} of {} videos are scored; --resume goes on from here", scored.len(), cases.len());
        return Ok(Outcome::Interrupted);
    }
    scored.sort_by(|a, b| a.case.id.cmp(&b.case.id));
    finish(&setup, &scored, &failed)?;
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::Partial })
}

/// The end of the command: the table on stdout, the files beside cases.jsonl.
fn finish(setup: &Setup<'_>, scored: &[ScoredCase], failed: &[Failure]) -> Result<()> {
    if scored.is_empty() {
        let reason = format!("none of its {} videos could be scored", failed.len());
        return Err(Error::input(setup.args.root.display().to_string(), reason));
    }
    if !failed.is_empty() {
        eprintln!("not scored and left out ({}):", failed.len());
        for one in failed {
            eprintln!("  {}: {}", crate::cli::plain(&one.id), crate::cli::plain(&one.reason));
        }
    }
    let dataset = setup.args.root.display().to_string();
    let layout = setup.args.layout()?.to_string();
    let evaluation = evaluate(&dataset, &layout, setup.all_settings(failed), scored);
    let written = report::evaluation::write_all(&evaluation, scored, &setup.out)?;
    println!("{}", report::evaluation::table(&evaluation));
    if !setup.args.quiet {
        for path in &written {
            eprintln!("  {}", path.display());
        }
    }
    Ok(())
}

/// A video that could not be scored.
pub struct Failure {
    pub id: String,
    pub reason: String,
}

/// How one video went.
enum End {
    Scored(Box<ScoredCase>),
    /// It can't be read; the others can.
    Failed(Failure),
    /// It was left undone.
    Stopped,
    /// Nothing can go on.
    Fatal(Error),
}

/// The cases that were asked for: of the kinds, and of so many groups.
fn chosen(mut cases: Vec<Case>, args: &EvaluateArgs) -> Result<Vec<Case>> {
    let known: BTreeSet<String> = cases.iter().map(|case| case.kind.clone()).collect();
    if let Some(kind) = args.kinds.iter().find(|kind| !known.contains(*kind)) {
        let known: Vec<String> = known.into_iter().collect();
        return Err(Error::Config(format!("--kinds: the dataset has no `{kind}`; it has {}", known.join(", "))));
    }
    if !args.kinds.is_empty() {
        cases.retain(|case| args.kinds.contains(&case.kind));
    }
    if let Some(limit) = args.limit {
        let groups: BTreeSet<String> = cases.iter().map(|case| case.group.clone()).collect();
        let groups = spread(groups.into_iter().collect(), limit as usize);
        cases.retain(|case| groups.contains(&case.group));
    }
    Ok(cases)
}

/// `count` of the items, at even distances.
fn spread<T>(items: Vec<T>, count: usize) -> Vec<T> {
    let (total, count) = (items.len(), count.min(items.len()));
    let taken: BTreeSet<usize> = (0..count).map(|index| index * total / count).collect();
    items.into_iter().enumerate().filter(|(index, _)| taken.contains(index)).map(|(_, item)| item).collect()
}

/// Scores the cases side by side; each is logged as soon as it is done.
fn score_all(setup: &Setup<'_>, log: &Log, todo: &[Case]) -> Result<Vec<End>> {
    if todo.is_empty() {
        return Ok(Vec::new());
    }
    let bar = ProgressBar::new(todo.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {pos}/{len} ETA {eta}") {
        bar.set_style(style);
    }
    if setup.args.quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let footings = setup.learn(&bar)?;
    // Pulled when one of the jobs finds that nothing can go on.
    let stop = setup.stop.child();
    let ends = run_all(
        todo,
        setup.jobs,
        || setup.panel(),
        |panel, case| {
            let end = one(setup, log, (panel, &footings), case, &stop);
            match &end {
                End::Failed(failure) => bar.suspend(|| {
                    eprintln!("startle: {}", crate::cli::plain(&format!("{}: {}", failure.id, failure.reason)));
                }),
                End::Fatal(_) => stop.request(),
                End::Scored(_) | End::Stopped => {}
            }
            bar.inc(1);
            bar.set_message(case.id.clone());
            end
        },
    );
    bar.finish_and_clear();
    ends
}

fn one(setup: &Setup<'_>, log: &Log, (panel, footings): (&mut Panel, &Footings), case: &Case, stop: &Stop) -> End {
    if stop.requested() {
        return End::Stopped;
    }
    let scored = score(setup, (panel, footings), case, stop);
    match scored.and_then(|scored| log.append(&scored).map(|()| scored)) {
        Ok(scored) => End::Scored(Box::new(scored)),
        Err(Error::Stopped) => End::Stopped,
        Err(error @ (Error::Input { .. } | Error::Decode { .. })) => {
            End::Failed(Failure { id: case.id.clone(), reason: error.to_string() })
        }
        Err(error) => End::Fatal(error),
    }
}

fn score(
    setup: &Setup<'_>,
    (panel, footings): (&mut Panel, &Footings),
    case: &Case,
    stop: &Stop,
) -> Result<ScoredCase> {
    let input = input(&case.input)?;
    let own_stop = stop.child();
    let options = open_options(case, setup.args.limits, &own_stop);
    let job = Job {
        path: input.to_string(),
        sha256: None,
        open: setup.opener(&input, options, setup.longer_by(case)?),
        detection: setup.detection.clone(),
        baseline: setup.baseline.as_ref(),
        config: setup.config.clone(),
        stop: own_stop,
    };
    let (scores, report) = score_video(job, panel, footings)?;
    if stop.requested() {
        return Err(Error::Stopped);
    }
    whole(&report)?;
    let spikes = if case.possible { kept(setup.baseline.as_ref(), &report) } else { Vec::new() };
    Ok(ScoredCase { case: case.clone(), scores, duration_s: report.input.duration_s, spikes })
}

/// Spikes at each promised rate; none without a baseline that promises one.
fn kept(baseline: Option<&Baseline>, report: &Report) -> Vec<usize> {
    let curve: Vec<f32> = report.curve.iter().map(|point| point.surprise).collect();
    PROMISED.iter().filter_map(|rate| baseline?.spikes(&curve, *rate)).collect()
}

fn open_options(case: &Case, limits: LimitArgs, stop: &Stop) -> OpenOptions {
    let options = OpenOptions { stop: stop.clone(), limits: limits.into(), ..OpenOptions::default() };
    OpenOptions { image_fps: case.image_fps.unwrap_or(options.image_fps), ..options }
}

/// The one video that a case names.
fn input(path: &Path) -> Result<Input> {
    if path.is_file() {
        return Ok(Input::File(path.to_owned()));
    }
    let mut found = parse(&path.to_string_lossy())?;
    match (found.pop(), found.is_empty()) {
        (Some(input), true) => Ok(input),
        _ => Err(Error::input(path.display().to_string(), "holds several videos where one is due")),
    }
}

/// Refuses a video that was read in part: its scores can't be compared with those of its whole partner.
fn whole(report: &Report) -> Result<()> {
    let broken = report.input.gaps.iter().any(|gap| gap.reason == GapReason::Corrupt);
    let reason = if report.curve.is_empty() {
        report.warnings.last().cloned().unwrap_or_else(|| "nothing could be scored".into())
    } else if report.truncated || broken {
        format!("only a part could be read, {:.2} s", report.input.duration_s)
    } else {
        return Ok(());
    };
    Err(Error::input(&report.input.path, reason))
}

/// What the settings say of the failures.
fn with_failures(mut settings: BTreeMap<String, String>, failed: &[Failure]) -> BTreeMap<String, String> {
    if !failed.is_empty() {
        let ids: Vec<&str> = failed.iter().map(|one| one.id.as_str()).collect();
        settings.insert("left out".into(), format!("{} that could not be read: {}", failed.len(), ids.join(", ")));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly() {
        assert_eq!(spread((0..10).collect(), 3).len(), 3);
        assert_eq!(spread((0..4).collect(), 9), [0, 1, 2, 3]);
        for (total, count) in [(10, 1), (10, 4), (90, 7), (5, 5)] {
            let taken = spread((0..total).collect(), count);
            assert_eq!((taken.len(), taken[0]), (count, 0));
            let gaps: Vec<usize> = taken.windows(2).map(|two| two[1] - two[0]).collect();
            assert!(gaps.iter().max().unwrap_or(&0) - gaps.iter().min().unwrap_or(&0) <= 1, "{taken:?}");
        }
    }
}
