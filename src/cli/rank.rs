//! `startle rank`: versions of one scene, the most lawful first.

use super::analyze::{self, AnalyzeArgs, DetectionArgs};
use super::args::ModelArgs;
use super::exit::Outcome;
use super::inputs::InputArgs;
use super::one::{self, Setup};
use super::places::Places;
use super::resume::Earlier;
use super::{complain, plain};
use clap::Args;
use indicatif::MultiProgress;
use startle::media::open::{Input, natural_order, unique_slugs};
use startle::pipeline::run_all;
use startle::rank::{rank_reports, votes};
use startle::record::Report;
use startle::report::ranking::{self, ByModel, Scene};
use startle::report::{json, words};
use startle::units::Stop;
use startle::{Error, Result};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Order versions of one scene by how lawful they are: generated videos, builds of a simulator, camera tricks.
///
/// The files that are named are one scene; each folder of videos is a scene of its own, so that `rank 'gen/*/'` gives the
/// best of each folder. The energy of a version is its mean surprise; intervals come from a block bootstrap, and two
/// versions part where lawful videos would not. Standard output gets the versions, best first; of several scenes, each
/// scene and its best. Versions that were analyzed before are not analyzed again.
#[derive(Debug, Args)]
pub struct RankArgs {
    /// Videos of one scene, or folders of them: a scene each.
    #[arg(required = true, value_name = "VERSION")]
    pub inputs: Vec<OsString>,
    /// Where the ranking and the reports of the versions go.
    #[arg(long, short, value_name = "DIR", default_value = "reports/rank")]
    pub out: PathBuf,
    /// Another model that ranks too (may be given several times); all of them vote.
    #[arg(long, value_name = "MODEL")]
    pub also: Vec<String>,
    /// Videos analyzed side by side; each has a model of its own and a share of the cores.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// No progress bars, no table; errors and the order only.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub detection: DetectionArgs,
}

/// Inputs that are versions of one scene; named after their folder, or not at all.
struct Named {
    name: String,
    inputs: Vec<Input>,
}

/// Runs the command.
pub fn run(args: &RankArgs, stop: &Stop) -> Result<Outcome> {
    let scenes = scenes(args, stop)?;
    ranking::check(&args.out)?;
    let folders: Vec<PathBuf> = scene_folders(&scenes, &args.out);
    let mut outcome = Outcome::Done;
    let mut ranked: Vec<Vec<ByModel>> = scenes.iter().map(|_| Vec::new()).collect();
    let names: Vec<&String> = std::iter::once(&args.model.model).chain(&args.also).collect();
    for name in names.iter().copied() {
        let own = analyze_args(args, name);
        let jobs = usize::from(args.jobs).min(scenes.iter().map(|scene| scene.inputs.len()).sum());
        let mut setup = analyze::prepare(&own, jobs, Earlier::default(), stop)?;
        if !args.quiet {
            setup.bars = MultiProgress::new();
        }
        let level = (names.len() > 1).then(|| Input::File(PathBuf::from(name)).slug());
        let places: Vec<Places> = scenes.iter().zip(&folders).map(|(s, f)| reports(s, f, level.as_deref())).collect();
        outcome = outcome.worse(analyze_all(&setup, &scenes, &places, jobs)?);
        for ((scene, places), ranked) in scenes.iter().zip(&places).zip(&mut ranked) {
            match by_model(&setup, scene, places) {
                Ok(by) => ranked.push(by),
                Err(error) => {
                    complain(&error);
                    outcome = outcome.worse(Outcome::Failed);
                }
            }
        }
    }
    if stop.requested() {
        outcome = outcome.worse(Outcome::Interrupted);
    }
    write(args, scenes, &folders, ranked)?;
    Ok(outcome)
}

/// The scenes that the arguments name.
fn scenes(args: &RankArgs, stop: &Stop) -> Result<Vec<Named>> {
    let mut scenes: Vec<Named> = Vec::new();
    let mut single: Vec<OsString> = Vec::new();
    for name in names(&args.inputs)? {
        if Path::new(&name).is_dir() {
            let inputs = args.input.expand(std::slice::from_ref(&name), stop, true)?;
            // A folder of numbered pictures is one video.
            if !matches!(&inputs[..], [Input::Images(_)]) {
                scenes.push(Named { name: name.to_string_lossy().into_owned(), inputs });
                continue;
            }
        }
        single.push(name);
    }
    if !single.is_empty() {
        scenes.insert(0, Named { name: String::new(), inputs: args.input.expand(&single, stop, args.quiet)? });
    }
    for scene in &scenes {
        if scene.inputs.len() < 2 {
            let whose = if scene.name.is_empty() { "what is named" } else { &scene.name };
            let what = scene.inputs.first().map(ToString::to_string).unwrap_or_default();
            return Err(Error::Config(format!(
                "{whose} has one version only, {what}; to rank needs two or more of one scene"
            )));
        }
    }
    Ok(scenes)
}

/// The arguments with globs that match folders in their place, in natural order.
fn names(arguments: &[OsString]) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if Path::new(argument).exists() || !text.contains(['*', '?', '[']) {
            names.push(argument.clone());
            continue;
        }
        let found = glob::glob(&text).map_err(|e| Error::Config(format!("{text} is no pattern: {e}")))?;
        let mut folders: Vec<PathBuf> = found.flatten().filter(|path| path.is_dir()).collect();
        if folders.is_empty() {
            names.push(argument.clone());
        }
        folders.sort_by(|a, b| natural_order(a, b));
        names.extend(folders.into_iter().map(PathBuf::into_os_string));
    }
    Ok(names)
}

/// Where each scene's ranking goes: `out` itself when there is one, else a folder of its own.
fn scene_folders(scenes: &[Named], out: &Path) -> Vec<PathBuf> {
    if scenes.len() == 1 {
        return vec![out.to_owned()];
    }
    let named = |scene: &Named| if scene.name.is_empty() { "named" } else { &scene.name }.into();
    let inputs: Vec<Input> = scenes.iter().map(|scene| Input::File(named(scene))).collect();
    unique_slugs(&inputs, |_, _| false).into_iter().map(|slug| out.join(slug)).collect()
}

/// Where the report of each version of a scene goes.
fn reports(scene: &Named, folder: &Path, model: Option<&str>) -> Places {
    let root = model.map_or_else(|| folder.to_owned(), |model| folder.join(model));
    Places::new(&scene.inputs, Some(&root), false)
}

fn analyze_args(args: &RankArgs, model: &str) -> AnalyzeArgs {
    AnalyzeArgs {
        inputs: args.inputs.clone(),
        list: None,
        out: Some(args.out.clone()),
        format: None,
        fail_on_event: false,
        annotate: false,
        jobs: args.jobs,
        resume: true,
        shard: None,
        decode: startle::media::ffmpeg::Decoding::default(),
        actions: None,
        frame_steps: Vec::new(),
        quiet: true,
        input: args.input.clone(),
        model: ModelArgs { model: model.to_owned(), ..args.model.clone() },
        detection: args.detection.clone(),
    }
}

fn analyze_all(setup: &Setup<'_>, scenes: &[Named], places: &[Places], jobs: usize) -> Result<Outcome> {
    let items: Vec<(&Input, &Places)> =
        scenes.iter().zip(places).flat_map(|(scene, places)| scene.inputs.iter().map(move |i| (i, places))).collect();
    let done = run_all(
        &items,
        jobs,
        || setup.model.scorer(),
        |scorer, (input, places)| one::run(setup, scorer.as_mut(), input, places),
    )?;
    Ok(done.iter().fold(Outcome::Done, |worst, one| worst.worse(one.outcome)))
}

/// The ranking of the versions that could be analyzed.
fn by_model(setup: &Setup<'_>, scene: &Named, places: &Places) -> Result<ByModel> {
    let own = |input: &Input| {
        let folder = places.of(input);
        let report = json::read(&folder.join("result.json")).ok()?;
        (report.input.path == input.to_string() && !report.curve.is_empty()).then_some((report, folder))
    };
    let mut reports: Vec<(Report, PathBuf)> = scene.inputs.iter().filter_map(own).collect();
    let slot_s = setup.model.spec().slot_s();
    let all: Vec<&Report> = reports.iter().map(|(report, _)| report).collect();
    let ranking = rank_reports(&all, slot_s, setup.baseline.as_ref())?;
    let place = |report: &Report| ranking.versions.iter().position(|v| v.input == report.input.path);
    reports.sort_by_key(|(report, _)| place(report));
    Ok(ByModel {
        model: reports[0].0.model.name.clone(),
        baseline: setup.config.asked.baseline.clone(),
        ranking,
        reports,
    })
}

/// Writes the rankings and tells the order.
fn write(args: &RankArgs, scenes: Vec<Named>, folders: &[PathBuf], ranked: Vec<Vec<ByModel>>) -> Result<()> {
    let several = scenes.len() > 1;
    let mut done = Vec::new();
    for ((named, models), folder) in scenes.into_iter().zip(ranked).zip(folders).filter(|((_, by), _)| !by.is_empty()) {
        let votes = votes(&models.iter().map(|by| &by.ranking).collect::<Vec<_>>());
        let scene = Scene { name: named.name, models, votes };
        ranking::write(folder, &scene)?;
        done.push((scene, folder.clone()));
    }
    if done.is_empty() {
        return Err(Error::Config("nothing could be ranked: no scene has two versions that could be analyzed".into()));
    }
    let (scenes, folders): (Vec<Scene>, Vec<PathBuf>) = done.into_iter().unzip();
    if several {
        ranking::write_many(&args.out, &scenes, &folders)?;
    }
    let mut out = std::io::stdout().lock();
    // Nobody listening is fine.
    for scene in &scenes {
        if several {
            let _ = writeln!(out, "{}\t{}", plain(&scene.name), plain(scene.order().next().unwrap_or_default()));
        } else {
            scene.order().for_each(|input| drop(writeln!(out, "{}", plain(input))));
        }
    }
    if !args.quiet {
        scenes.iter().for_each(print);
        eprintln!("ranking: {}", args.out.join("ranking.html").display());
    }
    Ok(())
}

/// The ranking for a person, on stderr.
fn print(scene: &Scene) {
    if !scene.name.is_empty() {
        eprintln!("{}: {}", plain(&scene.name), scene.sentence());
    }
    for by in &scene.models {
        eprintln!("{:>5}  {:>8}  {:>18}  {:>8}  {:>8}  version", "place", "energy", "95 %", "behind", "parts at");
        for v in &by.ranking.versions {
            let interval = format!("[{}, {}]", words::number(v.interval[0]), words::number(v.interval[1]));
            let behind =
                v.behind.as_ref().map_or_else(String::new, |b| words::number(b.by) + if b.clear { "" } else { " ?" });
            let parts = v.behind.as_ref().and_then(|b| b.parts_s).map_or_else(String::new, words::time);
            eprintln!(
                "{:>5}  {:>8}  {interval:>18}  {behind:>8}  {parts:>8}  {}",
                v.place,
                words::number(v.energy),
                plain(&v.input)
            );
        }
    }
}
