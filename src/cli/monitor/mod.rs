//! `startle monitor`: cameras and other endless sources to alerts.

mod allocator;
mod cameras;
mod dashboard;
mod lines;
mod outputs;
mod reload;

use super::analyze::parse_share;
use super::args::ModelArgs;
use super::inputs::LimitArgs;
use super::print::Printed;
use cameras::CameraBuilder;
use clap::Args;
use lines::{InFile, People, Stdout, Voice};
use reload::Control;
use startle::media::ffmpeg::{Decoding, RtspTransport};
use startle::surprise::DEFAULT_TOP_FRACTION;
use startle::units::{Stop, per_hour};
use startle::watch::MonitorConfig;
use startle::watch::engine::{self, CameraId, Meters, Options};
use startle::watch::evidence::Evidence;
use startle::watch::{Listener, Outbox, RotatingFile};
use startle::{Error, Result};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Bytes in a megabyte of `--alerts-size`.
const MEGABYTE: u64 = 1_000_000;
/// How long each listener may take to finish.
const FINISH: Duration = Duration::from_secs(1);

/// Watch cameras and other live streams: an alert as soon as an event begins, and when it is over.
///
/// Alerts, breaks and the cameras' health go to standard output, one JSON object per line; standard error says the same
/// for people. A camera that goes away is connected anew. Ctrl-C or SIGTERM end it with status 0; SIGHUP reads the
/// configuration again: cameras that did not change go on undisturbed.
#[derive(Debug, Args)]
pub struct MonitorArgs {
    /// Cameras: URLs (rtsp://, http://, udp://, …) or files.
    #[arg(required_unless_present_any = ["config", "print"], value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Cameras and their settings, from a file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        conflicts_with_all = [
            "sources", "max_false_alarms", "baseline", "warm_up", "stall", "rtsp_transport", "max_pixels", "max_streams",
        ]
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
    /// What normal looks like: `adaptive` (what the camera itself has shown, kept from run to run), `self` (the same,
    /// from this run alone), `bundle`, another one that the model came with by its name, or a file made by `startle
    /// calibrate` [default: adaptive; bundle for files that are not played in real time].
    #[arg(long, value_name = "adaptive|self|bundle|NAME|FILE")]
    pub baseline: Option<String>,
    /// Footage that each camera must have shown before it alerts [default: 600 with an adaptive baseline, else 0]; with a
    /// camera's own past it is 300 of the model's slots at least.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub warm_up: Option<f64>,
    /// Where is kept what adaptive cameras have shown [default: startle/cameras in the user's folder for states].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Without a frame for so long a camera is connected anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    pub stall: f64,
    /// How an RTSP camera's pictures travel: auto (TCP where the camera can), tcp or udp.
    #[arg(long, value_name = "auto|tcp|udp", default_value = "auto")]
    pub rtsp_transport: RtspTransport,
    /// Where videos are decoded: cpu or nvdec[:N], the video unit of an NVIDIA GPU. What is asked for and missing is an error.
    #[arg(long, value_name = "cpu|nvdec[:N]", default_value = "cpu")]
    pub decode: Decoding,
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
    /// Serve a page with every camera's picture, curve and events at this address, for example 127.0.0.1:8470. Off the
    /// loopback address it needs a login in the configuration.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Print a file to copy and end, as `startle print` does.
    // Not `exclusive`: what the environment names (the model, the runtime) would count as given.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "sources", "config", "alerts", "alerts_size", "alerts_keep", "realtime", "again", "max_false_alarms", "baseline",
            "warm_up", "state", "stall", "rtsp_transport", "decode", "queue", "top", "clips", "curve", "listen", "quiet",
            "max_pixels", "max_streams", "device", "threads", "batch", "sessions", "stride",
        ]
    )]
    pub print: Option<Printed>,
    /// No lines for people; errors only.
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub model: ModelArgs,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("{text} does not lie in 0..86400 seconds")),
    }
}

/// Runs the command; `hang_up` is raised by a SIGHUP.
pub fn run(args: &MonitorArgs, stop: &Stop, hang_up: Arc<AtomicBool>) -> Result<()> {
    if let Some(file) = args.print {
        return file.print();
    }
    allocator::settle();
    let config = cameras::named(args)?;
    let cameras: Vec<_> = config.cameras.iter().cloned().map(Arc::new).collect();
    let voice = Voice::start()?;
    let evidence = outputs::evidence(args, &config, voice.say())?;
    let places = evidence.as_ref().map(Evidence::places);
    let builder = CameraBuilder::open(args, &cameras, places.clone())?;
    let meters: Arc<Meters> = Arc::default();
    let mut listeners = tellers(args, &config, stop, &builder, &voice)?;
    listeners.extend(evidence.map(|evidence| Box::new(evidence) as Box<dyn Listener>));
    listeners.extend(dashboard::start(args, &config, &meters)?);
    let mut scorer = builder.scorer()?;
    let ids = std::iter::successors(Some(CameraId::new(0)), |id| Some(id.next()));
    let cameras: Vec<_> = ids.zip(cameras).collect();
    let watched = builder.watched_all(&cameras)?;
    let (batch, queue) = (builder.batch(), usize::from(args.queue));
    let options = Options { batch, queue, meters, ..Options::new(stop.clone()) };
    let control =
        Control::new((args.config.as_deref(), config), &cameras, &builder, &mut listeners, (hang_up, voice.say()));
    let ended = engine::watch(watched, scorer.as_mut(), &options, control);
    // All are finished, whatever becomes of one of them; what ended the watch outranks what that led to.
    let finished: Vec<Result<()>> = listeners.iter_mut().map(|listener| listener.finish(FINISH)).collect();
    drop((listeners, builder));
    voice.finish(FINISH);
    match ended {
        Ok(()) | Err(Error::Stopped) => finished.into_iter().collect(),
        failed => failed,
    }
}

/// Who tells people and programs, and keeps what was learnt: each where it holds up nobody else.
fn tellers(
    args: &MonitorArgs,
    config: &MonitorConfig,
    stop: &Stop,
    builder: &CameraBuilder<'_>,
    voice: &Voice,
) -> Result<Vec<Box<dyn Listener>>> {
    let mut listeners: Vec<Box<dyn Listener>> = Vec::new();
    let mut add = |listener: Outbox| listeners.push(Box::new(listener));
    if let Some(delivery) = outputs::delivery(config, voice.say())? {
        add(Outbox::start("[spool]", delivery, FINISH, voice.say())?);
    }
    add(Outbox::start("standard output", Stdout::new(stop.clone()), FINISH, voice.say())?);
    if let Some(path) = &args.alerts {
        let file = RotatingFile::open(path, u64::from(args.alerts_size) * MEGABYTE, args.alerts_keep)?;
        add(Outbox::start("--alerts", InFile(file), FINISH, voice.say())?);
    }
    if let Some(memory) = builder.memory() {
        add(Outbox::start("--state", memory.clone(), FINISH, voice.say())?);
    }
    if !args.quiet {
        listeners.push(Box::new(People(voice.lines())));
    }
    Ok(listeners)
}
