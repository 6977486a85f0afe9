//! `startle models bench`: how fast a bundle is on this machine, and how far from the device's limit.

use super::{Page, RuntimeArgs};
use clap::Args;
use serde::Serialize;
use startle::clip::ClipSpec;
use startle::engine::plan::machine;
use startle::model::bundle::{DEFAULT_BUNDLE, ModelBundle, find, search_path};
use startle::model::jepa::Network;
use startle::model::objects::ObjectNetwork;
use startle::model::ort::{self, library, probe};
use startle::pipeline::peak_rss_bytes;
use startle::units::Stop;
use startle::{Error, Result};
use std::path::PathBuf;
use std::time::Instant;

/// Calls before the clock counts: memory is asked for and kernels are chosen in them.
const WARM_UP: usize = 3;
/// Fewest calls that are timed.
const FEWEST: usize = 5;

/// What to measure, and how long.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Name or folder.
    #[arg(default_value = DEFAULT_BUNDLE)]
    bundle: String,
    /// Windows per inference call, one or several: 1,4.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4], value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: Vec<u16>,
    /// Seconds for each line of the table.
    #[arg(long, default_value_t = 3.0, value_parser = parse_seconds)]
    seconds: f64,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write the table and the JSON to this folder too.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

pub(super) fn parse_seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("{text} does not lie in 0.01..600 seconds")),
    }
}

/// A measured setting.
#[derive(Debug, Serialize)]
struct MeasuredRow {
    contexts: Vec<u32>,
    batch: u16,
    /// Milliseconds per window.
    median_ms: f64,
    p90_ms: f64,
    windows_per_s: f64,
    /// Live streams at the bundle's rate and stride.
    streams: f64,
    /// Billions of operations per window; `None`: the manifest does not say.
    gflop: Option<f64>,
    /// Milliseconds per window at the device's matrix-product rate.
    floor_ms: Option<f64>,
    /// Share of that rate that is reached.
    share: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Bench {
    bundle: String,
    precision: String,
    provider: String,
    machine: String,
    threads: usize,
    /// Billions of operations per second of large products in the bundle's precision.
    matmul_gflops: f64,
    rows: Vec<MeasuredRow>,
    peak_mb: Option<f64>,
}

/// Runs the command.
pub(super) fn run(args: &BenchArgs, page: &mut Page<'_>, stop: &Stop) -> Result<()> {
    let bundle = ModelBundle::load(&find(&args.bundle, &search_path())?)?;
    let options = args.runtime.options()?;
    let (runtime, device, threads) = (library::load(options.library.as_deref())?, options.device, options.threads);
    // Before and after: on a machine that others use as well the better one counts.
    let limit = || probe::matmul_rate(runtime, (device, threads), bundle.manifest().precision, 1.0);
    let before = limit()?;
    let (mut rows, mut provider) = (Vec::new(), String::new());
    for contexts in settings(bundle.spec()) {
        let mut narrowed = bundle.clone();
        narrowed.set_clips(ClipSpec { context_lengths: contexts.clone(), ..bundle.spec().clone() })?;
        let mut score: Box<dyn FnMut(usize) -> Result<()>>;
        if narrowed.manifest().objects.is_some() {
            let mut model = ort::open_objects(&narrowed, &options)?;
            provider = ObjectNetwork::provider(model.network());
            score = Box::new(move |streams| model.step_noise(streams));
        } else {
            let mut model = ort::open(&narrowed, &options)?;
            provider = Network::provider(model.network());
            score = Box::new(move |windows| model.score_noises(windows).map(drop));
        }
        let operations = narrowed.manifest().operations(narrowed.spec());
        for &batch in &args.batch {
            let times = time(args.seconds, stop, || score(usize::from(batch)))?;
            rows.push(row(narrowed.spec(), operations, batch, &times));
        }
    }
    let rate = before.max(limit()?);
    for row in &mut rows {
        row.floor_ms = row.gflop.map(|gflop| gflop * 1e12 / rate);
        row.share = row.floor_ms.map(|floor| floor / row.median_ms);
    }
    let bench = Bench {
        bundle: bundle.manifest().name.clone(),
        precision: bundle.manifest().precision.name().into(),
        provider,
        machine: machine(),
        threads,
        matmul_gflops: rate / 1e9,
        rows,
        peak_mb: peak_rss_bytes().map(|bytes| bytes as f64 / 1e6),
    };
    let json = serde_json::to_string_pretty(&bench)
        .map_err(|e| Error::Internal { stage: "models bench", reason: e.to_string() })?;
    let table = table(&bench);
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).map_err(|e| Error::output(folder, e))?;
        for (ending, text) in [("json", json.clone() + "\n"), ("md", table.clone())] {
            let path =
                folder.join(format!("models-{}-{}.{ending}", bench.bundle, device.to_string().replace(':', "-")));
            std::fs::write(&path, text).map_err(|e| Error::output(&path, e))?;
        }
    }
    page.line(if args.json { json } else { table.trim_end().into() })
}

/// Every context alone, and all together.
fn settings(spec: &ClipSpec) -> Vec<Vec<u32>> {
    let mut settings: Vec<Vec<u32>> = spec.context_lengths.iter().map(|context| vec![*context]).collect();
    if settings.len() > 1 {
        settings.push(spec.context_lengths.clone());
    }
    settings
}

/// Seconds of each call, ascending; ends early with [`Error::Stopped`].
pub(super) fn time(seconds: f64, stop: &Stop, mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut call = || if stop.requested() { Err(Error::Stopped) } else { call() };
    (0..WARM_UP).try_for_each(|_| call())?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST || begun.elapsed().as_secs_f64() < seconds {
        let once = Instant::now();
        call()?;
        times.push(once.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn row(spec: &ClipSpec, operations: Option<f64>, batch: u16, times: &[f64]) -> MeasuredRow {
    let per_window = |seconds: f64| seconds * 1e3 / f64::from(batch);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let windows_per_s = f64::from(batch) / at(0.5);
    MeasuredRow {
        contexts: spec.context_lengths.clone(),
        batch,
        median_ms: per_window(at(0.5)),
        p90_ms: per_window(at(0.9)),
        windows_per_s,
        streams: windows_per_s * f64::from(spec.stride) / spec.model_fps,
        gflop: operations.map(|operations| operations / 1e9),
        floor_ms: None,
        share: None,
    }
}

fn table(bench: &Bench) -> String {
    let unknown = || "unknown".to_owned();
    let mut lines = vec![
        format!("# {} ({}) on {}", bench.bundle, bench.precision, bench.machine),
        String::new(),
        format!(
            "`startle models bench {}`: {}, {} threads; large matrix products reach {:.0} GFLOP/s here; peak memory {}.",
            bench.bundle,
            bench.provider,
            bench.threads,
            bench.matmul_gflops,
            bench.peak_mb.map_or_else(unknown, |mb| format!("{mb:.0} MB"))
        ),
        String::new(),
        "| contexts | batch | ms per window | p90 | windows/s | live streams | GFLOP per window | floor, ms | of the limit |".into(),
        "|---|---|---|---|---|---|---|---|---|".into(),
    ];
    for row in &bench.rows {
        let contexts: Vec<String> = row.contexts.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "| {} | {} | {:.2} | {:.2} | {:.1} | {:.1} | {} | {} | {} |",
            contexts.join(" + "),
            row.batch,
            row.median_ms,
            row.p90_ms,
            row.windows_per_s,
            row.streams,
            row.gflop.map_or_else(unknown, |gflop| format!("{gflop:.2}")),
            row.floor_ms.map_or_else(unknown, |ms| format!("{ms:.2}")),
            row.share.map_or_else(unknown, |share| format!("{:.0} %", 100.0 * share)),
        ));
    }
    lines.push(String::new());
    lines.push(
        "Floor: the convolutions and matrix products of a window (as the manifest says, unknown where it does not) at the best rate \
         of large ones, beside the median time; the rest goes to small products, softmax, normalisation and activations, \
         and to whatever else the machine did. On a CPU products are measured in fp32. Live streams: at the model's rate and \
         stride, decoding not counted. Of a model of objects a window is one picture of a stream, encoded and stepped; its \
         context, the warm-up, is not in the time."
            .into(),
    );
    lines.join("\n") + "\n"
}
