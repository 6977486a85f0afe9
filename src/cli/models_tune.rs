//! `startle models tune`: how many copies, threads and windows at a time are fastest for a bundle on this machine.

use super::bench::{parse_seconds, time};
use super::{Page, RuntimeArgs};
use clap::Args;
use startle::clip::{Clip, ClipSpec};
use startle::engine::plan::{self, Plan, Tuned};
use startle::model::bundle::{DEFAULT_BUNDLE, ModelBundle, find, search_path};
use startle::model::jepa::Jepa;
use startle::model::objects::ObjectJepa;
use startle::model::ort::{self, OrtNetwork, OrtObjects, RuntimeOptions};
use startle::model::{ModelInfo, Scorer, WindowErrors};
use startle::pipeline::Copies;
use startle::units::Stop;
use startle::{Error, Result};

/// Windows of each copy that are tried on a CPU.
const CPU_BATCHES: [usize; 4] = [1, 2, 4, 8];
/// Windows that are tried on a GPU.
const GPU_BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// More copies are not tried once their best is so much slower than the best before.
const WORSE: f64 = 0.9;

/// What to measure, and how long.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Names or folders; several, for example the precisions of one model, are compared.
    #[arg(default_value = DEFAULT_BUNDLE)]
    bundles: Vec<String>,
    /// Seconds for each setting.
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

/// A plan and what it reaches.
#[derive(Debug, Clone, Copy)]
struct Measured {
    plan: Plan,
    windows_per_s: f64,
}

/// Runs the command.
pub(super) fn run(args: &TuneArgs, page: &mut Page<'_>, stop: &Stop) -> Result<()> {
    let mut best: Vec<(String, f64)> = Vec::new();
    for name in &args.bundles {
        let bundle = ModelBundle::load(&find(name, &search_path())?)?;
        let fastest = tune(&bundle, args, page, stop)?;
        let label = format!("{} ({})", bundle.manifest().name, bundle.manifest().precision.name());
        best.push((label, fastest.windows_per_s));
    }
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    match &best[..] {
        [first, rest @ ..] if !rest.is_empty() => page.line(format!(
            "fastest: {}, {:.1} windows a second; a reduced precision changes surprise as its card says",
            first.0, first.1
        )),
        _ => Ok(()),
    }
}

/// Measures a bundle and keeps the fastest plan.
fn tune(bundle: &ModelBundle, args: &TuneArgs, page: &mut Page<'_>, stop: &Stop) -> Result<Measured> {
    let asked = args.runtime.options()?;
    let (device, all) = (asked.device, asked.threads);
    page.line(format!("{} on {device} of {}", bundle.manifest().name, plan::machine()))?;
    let mut best: Option<Measured> = None;
    for sessions in copies(all, device.is_gpu()) {
        let threads = (all / sessions).max(1);
        let options = RuntimeOptions { threads, ..asked.clone() };
        let mut pool = Noise::new(bundle, sessions, &options)?;
        let mut best_of_these = 0.0_f64;
        for batch in if device.is_gpu() { &GPU_BATCHES[..] } else { &CPU_BATCHES[..] } {
            let plan = Plan { sessions, threads, batch: u16::try_from(sessions * batch).unwrap_or(u16::MAX) };
            let windows_per_s = rate(&mut pool, plan.batch, args.seconds, stop)?;
            page.line(format!(
                "  {sessions} × {threads} threads, {:>3} windows at a time: {windows_per_s:.1} windows/s",
                plan.batch
            ))?;
            best_of_these = best_of_these.max(windows_per_s);
            if best.is_none_or(|best| windows_per_s > best.windows_per_s) {
                best = Some(Measured { plan, windows_per_s });
            }
        }
        if best.is_some_and(|best| best_of_these < WORSE * best.windows_per_s) {
            break;
        }
    }
    let best = best.ok_or_else(|| Error::Internal { stage: "models tune", reason: "nothing was measured".into() })?;
    let file = Tuned::read().keep(bundle, device, best.plan)?;
    let Plan { sessions, threads, batch } = best.plan;
    page.line(format!(
        "fastest: --sessions {sessions} --threads {} --batch {batch}; used from now on where none of the three is given \
         ({})",
        sessions * threads,
        file.display()
    ))?;
    Ok(best)
}

/// Numbers of copies to try: powers of two up to one for each thread; a GPU runs one call at a time.
fn copies(threads: usize, gpu: bool) -> impl Iterator<Item = usize> {
    let most = if gpu { 1 } else { threads };
    std::iter::successors(Some(1), |copies| Some(copies * 2)).take_while(move |copies| *copies <= most)
}

/// Windows a second at the median call.
fn rate(noise: &mut Noise, batch: u16, seconds: f64, stop: &Stop) -> Result<f64> {
    let times = time(seconds, stop, || noise.score(usize::from(batch)))?;
    Ok(f64::from(batch) / times[times.len() / 2])
}

/// Copies of a model that score noise.
enum Noise {
    Windows(Copies<NoisyWindows>),
    /// A window is a picture of a stream of its own.
    Streams(ObjectJepa<Copies<OrtObjects>>),
}

impl Noise {
    fn new(bundle: &ModelBundle, copies: usize, options: &RuntimeOptions) -> Result<Self> {
        if bundle.manifest().objects.is_some() {
            let network = Copies::new(copies, || OrtObjects::open(bundle, options))?;
            return Ok(Self::Streams(ort::objects_on(bundle, network)?));
        }
        Ok(Self::Windows(Copies::new(copies, || Ok(NoisyWindows(ort::open(bundle, options)?)))?))
    }

    fn score(&mut self, windows: usize) -> Result<()> {
        match self {
            Self::Streams(model) => model.step_noise(windows),
            Self::Windows(pool) => {
                let clip = Clip { stream: 0, frame_step: 1, segment: 0, start_tick: 0, frames: Vec::new() };
                pool.score(&vec![clip; windows]).map(drop)
            }
        }
    }
}

/// A model that scores noise, as many windows as there are clips.
struct NoisyWindows(Jepa<OrtNetwork>);

impl Scorer for NoisyWindows {
    fn spec(&self) -> &ClipSpec {
        self.0.spec()
    }

    fn info(&self) -> ModelInfo {
        self.0.info()
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        self.0.score_noises(clips.len())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn copies_double_up_to_the_threads() {
        assert_eq!(super::copies(6, false).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(super::copies(1, false).collect::<Vec<_>>(), [1]);
        assert_eq!(super::copies(16, true).collect::<Vec<_>>(), [1]);
    }
}
