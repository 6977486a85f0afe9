//! `startle doctor`: what is installed, what really works, what is missing and how to get it.

use super::models::Page;
use clap::Args;
use startle::Result;
use startle::media::capabilities::{Feature, capabilities};
use startle::model::bundle::{DEFAULT_BUNDLE, ModelBundle, find, list, search_path};
use startle::model::ort::library::{self, Runtime};
use startle::model::ort::{self, Device, RuntimeOptions, cuda, probe};
use startle::model::self_test;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Decoders and containers without which ordinary video can't be read.
const NEEDED: [&str; 3] = ["h264", "mjpeg", "mp4/mov"];

/// Say what is installed, which devices really work, what is missing and how to get it.
///
/// Exits with 1 only when something is missing that every analysis needs.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// ONNX Runtime's shared library, when it is not where `make setup` puts it.
    #[arg(long, value_name = "FILE")]
    ort: Option<PathBuf>,
}

/// Runs the command; whether everything that is needed is there.
///
/// # Errors
/// When standard output can't be written.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<bool> {
    let mut report = DoctorReport { page: Page(out), healthy: true };
    report.page.line(format!("startle {}", env!("CARGO_PKG_VERSION")))?;
    ffmpeg(&mut report)?;
    let runtime = runtime(args, &mut report)?;
    cuda_libraries(runtime, &mut report)?;
    bundles(args, runtime.is_some(), &mut report)?;
    report.page.line("")?;
    report.page.line(if report.healthy {
        "Everything that is needed is there."
    } else {
        "Something that is needed is missing: see the lines marked MISSING."
    })?;
    Ok(report.healthy)
}

/// The findings, written as they are made.
struct DoctorReport<'a> {
    page: Page<'a>,
    healthy: bool,
}

impl DoctorReport<'_> {
    fn title(&mut self, text: &str) -> Result<()> {
        self.page.line(format!("\n{text}"))
    }

    fn good(&mut self, text: impl std::fmt::Display) -> Result<()> {
        self.page.line(format!("  ok       {text}"))
    }

    /// Something that not everybody needs.
    fn optional(&mut self, text: impl std::fmt::Display) -> Result<()> {
        self.page.line(format!("  -        {text}"))
    }

    /// Something without which nothing works.
    fn missing(&mut self, text: impl std::fmt::Display) -> Result<()> {
        self.healthy = false;
        self.page.line(format!("  MISSING  {text}"))
    }
}

fn ffmpeg(report: &mut DoctorReport<'_>) -> Result<()> {
    let found = capabilities();
    report.title("FFmpeg")?;
    let libraries: Vec<String> = found.libraries.iter().map(|(name, version)| format!("{name} {version}")).collect();
    report.good(format!("{} ({})", found.release, libraries.join(", ")))?;
    features("decoders", &found.decoders, report)?;
    features("containers", &found.demuxers, report)
}

fn features(what: &str, features: &[Feature], report: &mut DoctorReport<'_>) -> Result<()> {
    let shown = |feature: &Feature| match &feature.provider {
        Some(provider) if what == "decoders" && provider != feature.name => format!("{} ({provider})", feature.name),
        _ => feature.name.to_owned(),
    };
    let there: Vec<String> = features.iter().filter(|f| f.provider.is_some()).map(shown).collect();
    report.good(format!("{what}: {}", there.join(", ")))?;
    let how = "this FFmpeg was built without it; install your distribution's full FFmpeg libraries and build again";
    for feature in features.iter().filter(|feature| feature.provider.is_none()) {
        let text = format!("{what}: {} is not there; {how}", feature.name);
        if NEEDED.contains(&feature.name) { report.missing(text)? } else { report.optional(text)? }
    }
    Ok(())
}

fn runtime(args: &DoctorArgs, report: &mut DoctorReport<'_>) -> Result<Option<&'static Runtime>> {
    report.title("ONNX Runtime")?;
    let runtime = match library::load(args.ort.as_deref()) {
        Ok(runtime) => runtime,
        Err(error) => {
            report.missing(error)?;
            return Ok(None);
        }
    };
    report.good(format!("{} ({})", runtime.version(), runtime.path().display()))?;
    for device in [Device::Cpu, Device::OpenVino, Device::Cuda(0), Device::TensorRt(0)] {
        match probe::run(runtime, device) {
            Ok(provider) => report.good(format!("{device}: a test graph ran on {provider}"))?,
            Err(error) if device == Device::Cpu => report.missing(error)?,
            Err(error) => report.optional(error)?,
        }
    }
    Ok(Some(runtime))
}

fn cuda_libraries(runtime: Option<&Runtime>, report: &mut DoctorReport<'_>) -> Result<()> {
    report.title("CUDA libraries (only for --device cuda and tensorrt)")?;
    for (library, place) in cuda::find(runtime.map(Runtime::path)) {
        match place {
            Some(path) => report.good(format!("{}: {}", library.file, path.display()))?,
            None => report.optional(format!("{} was not found: {}", library.file, library.what))?,
        }
    }
    Ok(())
}

fn bundles(args: &DoctorArgs, runtime_works: bool, report: &mut DoctorReport<'_>) -> Result<()> {
    report.title("Models")?;
    let path = search_path();
    for dir in list(&path) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match check(&dir, args, runtime_works) {
            Ok(outcome) => report.good(format!("{name} ({}): {outcome}", dir.display()))?,
            Err(error) if name == DEFAULT_BUNDLE => report.missing(error)?,
            Err(error) => report.optional(error)?,
        }
    }
    if find(DEFAULT_BUNDLE, &path).is_err() {
        report.missing(format!(
            "{DEFAULT_BUNDLE}, the model that is used when none is named, was not found: it lies in models/ of \
             startle's folder; run startle there, or set STARTLE_MODELS to that models folder"
        ))?;
    }
    Ok(())
}

fn check(dir: &Path, args: &DoctorArgs, runtime_works: bool) -> Result<String> {
    let bundle = ModelBundle::load(dir)?;
    if !runtime_works {
        return Ok("files are whole; the self-test needs ONNX Runtime".into());
    }
    let options = RuntimeOptions { device: Device::Cpu, library: args.ort.clone(), ..RuntimeOptions::default() };
    let (outcome, _) = ort::verify(&bundle, &options)?;
    let worst = outcome.0.iter().map(self_test::Figure::difference).fold(0.0, f64::max);
    if outcome.passed() {
        Ok(format!("self-test passed on the CPU, largest relative difference {worst:.1e}"))
    } else {
        Err(startle::Error::bundle(
            dir,
            format!("the self-test differs by {worst:.1e}; see `startle models verify {}`", dir.display()),
        ))
    }
}
