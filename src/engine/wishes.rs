//! What a person asks of the detector, checked.

use super::DEFAULT_RATE;
use crate::pipeline::DetectionSettings;
use crate::surprise::{DEFAULT_TOP_FRACTION, EventRules, ThresholdRule};
use crate::units::MediaTime;
use crate::{Error, Result};

/// Longest time that a setting of the detector may have, seconds.
const LONGEST_S: f64 = 3600.0;

/// When a surprise is an event, as people say it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wishes {
    /// Events an hour that normal footage may cause.
    pub per_hour: f64,
    /// An event opens at a p-value of at most this, instead.
    pub p_value: Option<f32>,
    /// An event opens this many robust standard deviations above normal, instead.
    pub z: Option<f32>,
    /// Spikes closer than this are one event, seconds.
    pub merge_s: f64,
    /// What is over faster is no event, seconds.
    pub min_duration_s: f64,
    /// After an event none opens for so long, seconds.
    pub cool_down_s: f64,
    /// Share of a slot's tokens whose mean is its surprise.
    pub top: f32,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            per_hour: DEFAULT_RATE,
            p_value: None,
            z: None,
            merge_s: 0.5,
            min_duration_s: 0.0,
            cool_down_s: 0.0,
            top: DEFAULT_TOP_FRACTION,
        }
    }
}

impl Wishes {
    /// The settings of the detector.
    ///
    /// # Errors
    /// [`Error::Config`] that names what is out of range.
    pub fn settings(&self) -> Result<DetectionSettings> {
        let rules = EventRules {
            rule: self.rule()?,
            merge: seconds("merge", self.merge_s)?,
            min_duration: seconds("min-duration", self.min_duration_s)?,
            cool_down: seconds("cool-down", self.cool_down_s)?,
        };
        Ok(DetectionSettings { top_fraction: share("top", self.top)?, rules })
    }

    fn rule(&self) -> Result<ThresholdRule> {
        match (self.z, self.p_value) {
            (Some(_), Some(_)) => Err(Error::Config("z and p-value are two thresholds: give one".into())),
            (Some(z), _) if z.is_finite() && z > 0.0 => Ok(ThresholdRule::at_z(z)),
            (Some(z), _) => Err(Error::Config(format!("z: {z} is not a positive number"))),
            (None, Some(p)) => Ok(ThresholdRule::at_p_value(share("p-value", p)?)),
            (None, None) => Ok(ThresholdRule::Rate { per_hour: self.per_hour }),
        }
    }
}

/// A threshold that was asked for, in words.
pub fn asked(rule: &ThresholdRule) -> String {
    match rule {
        ThresholdRule::Rate { per_hour } => format!("at most {per_hour} false alarms an hour"),
        ThresholdRule::PValue { high, .. } => format!("p ≤ {high}"),
        ThresholdRule::Z { high, .. } => format!("z ≥ {high}"),
    }
}

fn seconds(name: &str, value: f64) -> Result<MediaTime> {
    if value.is_finite() && (0.0..=LONGEST_S).contains(&value) {
        return Ok(MediaTime::from_secs_f64(value));
    }
    Err(Error::Config(format!("{name}: {value} does not lie in 0..{LONGEST_S} seconds")))
}

fn share(name: &str, value: f32) -> Result<f32> {
    if value > 0.0 && value <= 1.0 {
        return Ok(value);
    }
    Err(Error::Config(format!("{name}: {value} does not lie in (0, 1]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let usual = Wishes::default();
        for (wishes, name) in [
            (Wishes { z: Some(-1.0), ..usual }, "z"),
            (Wishes { p_value: Some(f32::NAN), ..usual }, "p-value"),
            (Wishes { merge_s: 1e9, ..usual }, "merge"),
            (Wishes { top: 0.0, ..usual }, "top"),
            (Wishes { z: Some(3.0), p_value: Some(0.1), ..usual }, "give one"),
        ] {
            let error = wishes.settings().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let asked_of = |wishes: Wishes| asked(&wishes.settings().unwrap().rules.rule);
        assert_eq!(asked_of(usual), "at most 30 false alarms an hour");
        assert_eq!(asked_of(Wishes { z: Some(6.0), ..usual }), "z ≥ 6");
        assert_eq!(asked_of(Wishes { p_value: Some(0.001), ..usual }), "p ≤ 0.001");
    }
}
