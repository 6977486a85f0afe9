//! `startle monitor`: cameras and other endless sources to alerts.

mod keep;
mod lines;

use super::analyze::{baseline, parse_share};
use super::args::ModelArgs;
use clap::Args;
use lines::Lines;
use startle::media::FrameSource;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions, PacketTap};
use startle::media::open::{Input, expand};
use startle::model::bundle::ModelBundle;
use startle::monitor::evidence::Evidence;
use startle::monitor::{Camera, Heard, Listener, MonitorConfig, RotatingFile, Threshold};
use startle::pipeline::DetectionSettings;
use startle::pipeline::live::{self, ByArrival, Options, Pace};
use startle::surprise::{Baseline, DEFAULT_TOP_FRACTION, WatchOptions};
use startle::units::{MediaTime, Stop, per_hour};
use startle::{Error, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes in a megabyte of `--alerts-size`.
const MEGABYTE: u64 = 1_000_000;
/// How long each listener may take to finish.
const FINISH: Duration = Duration::from_secs(1);

/// Watch cameras and other live streams: an alert as soon as an event begins, and when it is over.
///
/// Alerts, breaks and the cameras' health go to standard output, one JSON object per line; standard error says the same
/// for people. A camera that goes away is connected anew. Ctrl-C or SIGTERM end it with status 0.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// Cameras: URLs (rtsp://, http://, udp://, …) or files.
    #[arg(required_unless_present = "config", value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Cameras and their settings, from a file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        conflicts_with_all = ["sources", "max_false_alarms", "baseline", "warm_up", "stall"]
    )]
    pub config: Option<PathBuf>,
    /// Write the lines to this file too.
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Size at which the file of --alerts is renamed to FILE.1 and begun anew, megabytes.
    #[arg(long, value_name = "MB", default_value_t = 10, requires = "alerts")]
    pub alerts_size: u32,
    /// Renamed files of --alerts that are kept.
    #[arg(long, value_name = "N", default_value_t = 5, requires = "alerts", value_parser = clap::value_parser!(u32).range(..=1000))]
    pub alerts_keep: u32,
    /// Play files at their own pace and drop what the model can't keep up with, as from a camera; without it they are
    /// read as fast as the model allows.
    #[arg(long)]
    pub realtime: bool,
    /// Play files over and over.
    #[arg(long = "loop", requires = "realtime")]
    pub again: bool,
    /// Events that normal footage may cause, for each camera, for example 1/day.
    #[arg(long, value_name = "RATE", default_value = "1/day", value_parser = per_hour)]
    pub max_false_alarms: f64,
    /// What normal looks like: `bundle`, `self` or a file made by `startle calibrate`.
    #[arg(long, default_value = "bundle", value_name = "bundle|self|FILE")]
    pub baseline: String,
    /// No alert in the first seconds of each camera.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = parse_seconds)]
    pub warm_up: f64,
    /// Without a frame for so long a camera is connected anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    pub stall: f64,
    /// Clips of one camera that wait for the model at most; the oldest are dropped.
    #[arg(long, value_name = "CLIPS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=256))]
    pub queue: u16,
    /// Share of a slot's tokens whose mean is its surprise.
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_TOP_FRACTION, value_parser = parse_share)]
    pub top: f32,
    /// Keep a clip of each event in this folder, from a few seconds before it to a few after.
    #[arg(long, value_name = "DIR")]
    pub clips: Option<PathBuf>,
    /// Keep every camera's curve in this folder, a file of JSON lines a day.
    #[arg(long, value_name = "DIR")]
    pub curve: Option<PathBuf>,
    /// No lines for people; errors only.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub model: ModelArgs,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("{text} does not lie in 0..86400 seconds")),
    }
}

/// Runs the command.
pub fn run(args: &MonitorArgs, stop: &Stop) -> Result<()> {
    let config = config(args)?;
    let cameras = &config.cameras;
    let model = args.model.choose(1)?;
    let key = model.curve_key(args.top)?;
    let mut baselines: HashMap<&str, Option<Baseline>> = HashMap::new();
    for camera in cameras {
        if !baselines.contains_key(camera.baseline.as_str()) {
            let bundled = model.bundle().and_then(ModelBundle::baseline_path);
            baselines.insert(&camera.baseline, baseline(&camera.baseline, bundled, &key)?.0);
        }
        if !camera.region.is_empty() {
            eprintln!("startle: camera {}: `region` is not used yet, the whole picture is watched", camera.name);
        }
    }
    let mut listeners = listeners(args, stop)?;
    let evidence = keep::evidence(args, &config)?;
    let places = evidence.as_ref().and_then(Evidence::places);
    listeners.extend(evidence.map(|evidence| Box::new(evidence) as Box<dyn Listener>));
    let mut scorer = model.scorer()?;
    let watched = cameras.iter().enumerate().map(|(index, camera)| {
        let baseline = baselines.get(camera.baseline.as_str()).and_then(Option::as_ref);
        watched(camera, baseline, args, places.as_ref().and_then(|places| places.tap(index)))
    });
    let options =
        Options { batch: usize::from(args.model.batch), queue: usize::from(args.queue), ..Options::new(stop.clone()) };
    let watched = live::watch(watched.collect(), scorer.as_mut(), &options, |index, news| {
        let clip = places.as_ref().and_then(|places| places.of(index, &cameras[index].name, &news));
        let (camera, at, clip) = (&cameras[index], SystemTime::now(), clip.as_deref());
        let heard = Heard { index, camera, news: &news, at, clip };
        listeners.iter_mut().try_for_each(|listener| listener.take(heard))
    });
    // All are finished, whatever becomes of one of them; what ended the watch outranks what that led to.
    let finished: Vec<Result<()>> = listeners.iter_mut().map(|listener| listener.finish(FINISH)).collect();
    match watched {
        Ok(()) | Err(Error::Stopped) => finished.into_iter().collect(),
        failed => failed,
    }
}

/// Who hears the news.
fn listeners(args: &MonitorArgs, stop: &Stop) -> Result<Vec<Box<dyn Listener>>> {
    let open = |path: &PathBuf| RotatingFile::open(path, u64::from(args.alerts_size) * MEGABYTE, args.alerts_keep);
    let file = args.alerts.as_ref().map(open).transpose()?;
    Ok(vec![Box::new(Lines::new(file, !args.quiet, stop.clone()))])
}

/// The cameras that were named, one way or the other, and what is in the file.
fn config(args: &MonitorArgs) -> Result<MonitorConfig> {
    if let Some(path) = &args.config {
        return MonitorConfig::load(path);
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let named = |input: Input| {
        let name = input.to_string();
        let times = seen.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
        // Two URLs that differ in what is hidden only.
        let name = if *times > 1 { format!("{name} ({times})") } else { name };
        Camera {
            threshold: Threshold::Rate(args.max_false_alarms),
            baseline: args.baseline.clone(),
            warm_up: MediaTime::from_secs_f64(args.warm_up),
            stall: Duration::from_secs_f64(args.stall),
            ..Camera::new(name, input)
        }
    };
    let cameras = expand(&args.sources)?.into_iter().map(named).collect();
    Ok(MonitorConfig { cameras, ..MonitorConfig::default() })
}

/// A camera as the engine takes it.
fn watched<'a>(
    camera: &'a Camera,
    baseline: Option<&'a Baseline>,
    args: &MonitorArgs,
    tap: Option<Arc<PacketTap>>,
) -> live::Camera<'a> {
    let pace = match camera.input {
        Input::Url(_) => Pace::Live,
        _ if args.realtime && args.again => Pace::Loop,
        _ if args.realtime => Pace::Once,
        _ => Pace::Model,
    };
    let timeout = camera.stall.max(Duration::from_secs(1));
    live::Camera {
        open: Box::new(move |stop| {
            let options = OpenOptions { stop, timeout, threads: 1, tap: tap.clone(), ..OpenOptions::default() };
            let source = Box::new(FfmpegSource::open(&camera.input, &options)?);
            let untimed = is_http(&camera.input) && source.info().codec == "mjpeg";
            if let Some(tap) = tap.as_ref().filter(|_| untimed) {
                tap.by_arrival();
            }
            Ok(if untimed { Box::new(ByArrival::new(source)) } else { source })
        }),
        pace,
        stall: camera.stall,
        warm_up: camera.warm_up,
        detection: DetectionSettings {
            top_fraction: args.top,
            watch: WatchOptions {
                rule: camera.threshold.rule(),
                merge: camera.merge,
                min_duration: MediaTime::ZERO,
                cool_down: camera.cool_down,
            },
        },
        baseline,
    }
}

/// Pictures in a row over HTTP carry no timestamps.
fn is_http(input: &Input) -> bool {
    matches!(input, Input::Url(url) if url.starts_with("http://") || url.starts_with("https://"))
}
