//! What surprise looks like on normal footage: the footing of each context and horizon, and the calibration sample.

use super::{WindowErrors, location_scale};
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The schema's name and version in `baseline.json`.
const SCHEMA: &str = "startle.baseline/1";
/// Fewest slots that make a calibration sample: under this even a 1 % tail is a guess.
const MIN_SAMPLE: usize = 100;

/// What a surprise value depends on beside the video. Curves and baselines of different keys can't be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveKey {
    /// The model bundle's identity.
    pub model_sha256: String,
    /// Frames between windows.
    pub stride: u32,
    /// Share of tokens in the top-k mean.
    pub top_fraction: f32,
}

/// Location and scale of token errors for one context length and horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Foot {
    context: u32,
    /// Slots between the end of the context and the predicted slot; 0 is the next slot.
    horizon: usize,
    location: f32,
    scale: f32,
}

/// Brings the errors of every context and horizon to one scale: far horizons are harder, so their errors are larger
/// on any video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Footing(Vec<Foot>);

impl Footing {
    /// Leaves errors as they are.
    pub const fn identity() -> Self {
        Self(Vec::new())
    }

    /// `(error − location) / scale` of the context and horizon, floored at 0: an error below the normal location is
    /// simply unsurprising. Horizons that the footing does not know are left as they are.
    pub fn apply(&self, context: u32, horizon: usize, errors: &[f32]) -> Vec<f32> {
        match self.0.iter().find(|f| f.context == context && f.horizon == horizon) {
            None => errors.to_vec(),
            Some(foot) => errors.iter().map(|e| ((e - foot.location) / foot.scale).max(0.0)).collect(),
        }
    }
}

/// `baseline.json`: surprise on footage that is known to be normal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema: String,
    key: CurveKey,
    footing: Footing,
    /// Slot surprises of the normal footage, ascending.
    sample: Vec<f32>,
    /// What it was made from, in words.
    source: String,
}

impl Baseline {
    /// Puts a baseline together.
    ///
    /// # Errors
    /// [`Error::Config`] with fewer than 100 slots, or values that are not finite.
    pub fn new(key: CurveKey, footing: Footing, mut sample: Vec<f32>, source: String) -> Result<Self> {
        if sample.len() < MIN_SAMPLE {
            return Err(Error::Config(format!(
                "a baseline needs at least {MIN_SAMPLE} scored slots of normal footage, there are {}; give more videos",
                sample.len()
            )));
        }
        if sample.iter().any(|v| !v.is_finite()) {
            return Err(Error::Config("the calibration sample has a value that is not finite".into()));
        }
        sample.sort_by(f32::total_cmp);
        Ok(Self { schema: SCHEMA.into(), key, footing, sample, source })
    }

    /// Reads `baseline.json`.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not one, is of another version, or breaks a rule of [`Baseline::new`].
    pub fn from_json(text: &str) -> Result<Self> {
        let read: Self =
            serde_json::from_str(text).map_err(|e| Error::Config(format!("not a startle baseline: {e}")))?;
        if read.schema != SCHEMA {
            return Err(Error::Config(format!("baseline has schema `{}`, this startle reads `{SCHEMA}`", read.schema)));
        }
        Self::new(read.key, read.footing, read.sample, read.source)
    }

    /// As JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] when it can't be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Internal { stage: "baseline", reason: e.to_string() })
    }

    /// Refuses a curve of another model or with other settings.
    ///
    /// # Errors
    /// [`Error::Config`] that names the difference.
    pub fn check_key(&self, key: &CurveKey) -> Result<()> {
        if self.key == *key {
            return Ok(());
        }
        let what = if self.key.model_sha256 == key.model_sha256 {
            format!(
                "stride {} and top fraction {} (this run: {} and {})",
                self.key.stride, self.key.top_fraction, key.stride, key.top_fraction
            )
        } else {
            "another model".to_owned()
        };
        Err(Error::Config(format!(
            "the baseline was made with {what}; its numbers mean nothing here. \
             Make one with `startle calibrate`, or use `--baseline self`"
        )))
    }

    /// How errors are brought to one scale.
    pub const fn footing(&self) -> &Footing {
        &self.footing
    }

    /// The calibration sample, ascending.
    pub fn sample(&self) -> &[f32] {
        &self.sample
    }

    /// What it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Learns the footing from the windows of normal footage.
///
/// Memory: four bytes per token error seen, about 20 MB an hour of footage for the bundled model.
#[derive(Default)]
pub struct BaselineBuilder {
    errors: Vec<(u32, usize, Vec<f32>)>,
}

impl BaselineBuilder {
    /// Nothing learnt yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the errors of one window.
    pub fn push(&mut self, spec: &ClipSpec, window: &WindowErrors) {
        for context in &window.contexts {
            let first = (context.context / spec.tubelet_size) as usize;
            for (offset, errors) in context.errors.chunks_exact(spec.tokens_per_slot()).enumerate() {
                let horizon = context.first_slot + offset - first;
                match self.errors.iter_mut().find(|(c, h, _)| (*c, *h) == (context.context, horizon)) {
                    Some((_, _, all)) => all.extend_from_slice(errors),
                    None => self.errors.push((context.context, horizon, errors.to_vec())),
                }
            }
        }
    }

    /// Median and robust standard deviation for each context and horizon.
    pub fn footing(&self) -> Footing {
        let foot = |(context, horizon, errors): &(u32, usize, Vec<f32>)| {
            let (location, scale) = location_scale(errors)?;
            Some(Foot { context: *context, horizon: *horizon, location, scale })
        };
        Footing(self.errors.iter().filter_map(foot).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CurveKey {
        CurveKey { model_sha256: "a".into(), stride: 2, top_fraction: 0.06 }
    }

    #[test]
    fn a_baseline_survives_json_and_refuses_another_key() {
        let footing = Footing(vec![Foot { context: 8, horizon: 1, location: 0.25, scale: 0.5 }]);
        let baseline =
            Baseline::new(key(), footing, (0..200).rev().map(|i| i as f32).collect(), "test".into()).unwrap();
        let again = Baseline::from_json(&baseline.to_json().unwrap()).unwrap();
        assert_eq!(again, baseline);
        assert!(again.sample().is_sorted());
        again.check_key(&key()).unwrap();
        let other = CurveKey { stride: 4, ..key() };
        assert!(again.check_key(&other).unwrap_err().to_string().contains("stride 2"));
        assert_eq!(again.footing().apply(8, 1, &[0.75, 0.0]), [1.0, 0.0]);
        assert_eq!(again.footing().apply(4, 1, &[0.75]), [0.75]);
    }

    #[test]
    fn too_little_footage_is_refused() {
        assert!(Baseline::new(key(), Footing::identity(), vec![1.0; 99], String::new()).is_err());
        assert!(Baseline::new(key(), Footing::identity(), vec![f32::NAN; 200], String::new()).is_err());
    }
}
