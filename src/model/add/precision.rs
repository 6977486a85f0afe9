//! What a reduced precision does to surprise: graphs in it beside those in float32, on windows of noise.

use super::manifest::{Draft, TEST_SEED};
use super::{AddOptions, put};
use crate::error::{Error, Result};
use crate::model::bundle::ModelBundle;
use crate::model::checkpoint::Checkpoint;
use crate::model::manifest::Precision;
use crate::model::networks::{self, NetworkOptions, Numbers};
use crate::model::onnx::proto::Element;
use crate::model::ort::{RuntimeOptions, open};

/// Windows of noise that are compared.
pub const WINDOWS: u32 = 16;

/// What a precision does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionChange {
    /// The precision.
    pub precision: Precision,
    /// Largest difference of a window's surprise from float32's, as a part of the windows' mean.
    pub surprise: f64,
    /// Surprise of the self-test.
    pub(super) tested: f64,
    /// It was computed in float32 with operands and results rounded, since the device has no such products.
    pub emulated: bool,
}

impl PrecisionChange {
    /// In a sentence.
    pub fn describe(&self) -> String {
        let how = if self.emulated { ", rounded in float32: this device has no such products" } else { "" };
        format!(
            "{}: products of matrices and attention, the rest float32; over {WINDOWS} windows of noise surprise is within \
             {:.3} % of float32's{how}",
            self.precision.name(),
            100.0 * self.surprise
        )
    }
}

/// The type of a precision's products, if it is not float32.
pub(super) const fn half(precision: Precision) -> Option<Element> {
    match precision {
        Precision::Fp16 => Some(Element::F16),
        Precision::Bf16 => Some(Element::Bf16),
        Precision::Fp32 | Precision::Int8 => None,
    }
}

/// The most that surprise may change, as in the Python exporter (`startle_models.deviation.TOLERANCES`).
const fn limit(precision: Precision) -> f64 {
    if matches!(precision, Precision::Bf16) { 5e-2 } else { 5e-3 }
}

/// Compares the precision that is asked for with float32; `None` where that is float32.
///
/// # Errors
/// [`Error::Config`] when it changes surprise beyond its limit, and as [`super::add`].
pub(super) fn compare(
    checkpoint: &Checkpoint,
    options: &AddOptions,
    runtime: &RuntimeOptions,
) -> Result<Option<PrecisionChange>> {
    let Some(element) = half(options.precision) else { return Ok(None) };
    // The processor computes what is asked for in halves in float32, or not at all.
    let emulated = !runtime.device.is_gpu();
    let numbers = if emulated { Numbers::Rounded(element) } else { Numbers::Half(element) };
    let limit = limit(options.precision);
    let [exact, reduced] = [Numbers::Fp32, numbers].map(|numbers| surprises(checkpoint, options, runtime, numbers));
    let name = options.precision.name();
    let (exact, reduced) = (exact?, reduced.map_err(|error| beyond(name, error))?);
    let mean = exact.iter().sum::<f64>() / exact.len() as f64;
    let surprise = exact.iter().zip(&reduced).map(|(a, b)| (a - b).abs() / mean).fold(0.0, f64::max);
    if surprise > limit {
        return Err(Error::Config(format!(
            "--precision {}: it changes the surprise of noise by {:.2} % (at most {:.1} % is allowed): these weights need \
             float32; leave the option out",
            name,
            100.0 * surprise,
            100.0 * limit
        )));
    }
    Ok(Some(PrecisionChange { precision: options.precision, surprise, tested: reduced[0], emulated }))
}

/// Numbers that are not finite are beyond the precision's range.
fn beyond(name: &str, error: Error) -> Error {
    match error {
        Error::Inference(reason) => {
            Error::Config(format!("--precision {name}: {reason}; these weights need float32, leave the option out"))
        }
        other => other,
    }
}

/// The surprise of the self-test clip in such numbers, for seeds from that of the self-test on.
fn surprises(
    checkpoint: &Checkpoint,
    options: &AddOptions,
    runtime: &RuntimeOptions,
    numbers: Numbers,
) -> Result<Vec<f64>> {
    let fail = |error| Error::output(&options.into, error);
    let work = tempfile::Builder::new().prefix(".compared.").tempdir_in(&options.into).map_err(fail)?;
    let made = networks::make(checkpoint, NetworkOptions { numbers, ..options.asked() })?;
    put(&made, checkpoint, work.path())?;
    let precision = match numbers {
        Numbers::Fp32 | Numbers::Rounded(_) => Precision::Fp32,
        Numbers::Half(_) => options.precision,
    };
    let plain = AddOptions { precision, ..options.clone() };
    Draft::new(checkpoint, &plain, &made, work.path())?.write(work.path(), 1.0, None)?;
    let bundle = ModelBundle::load(work.path())?;
    let mut model = open(&bundle, runtime)?;
    let clip = bundle.manifest().self_test.clip(bundle.spec());
    let surprise = |seed| Ok(model.score_noise_of(seed, &clip)?.contexts[0].surprise());
    (TEST_SEED..=WINDOWS).map(surprise).collect()
}
