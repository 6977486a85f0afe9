//! Where events open and close: thresholds with a meaning.

use super::past::FIRST_FIT as OWN_SLOTS;
use super::{Baseline, Judge};

/// Where events open (`high`) and close (`low`).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ThresholdRule {
    /// So many events an hour on normal footage.
    Rate {
        /// Events per hour.
        per_hour: f64,
    },
    /// Conformal p-values against the calibration sample.
    PValue {
        /// An event opens at a p-value of at most this.
        high: f32,
        /// And goes on while the p-value is at most this.
        low: f32,
    },
    /// Robust standard deviations above normal.
    Z {
        /// An event opens at this z.
        high: f32,
        /// And goes on at or above this.
        low: f32,
    },
}

/// An event goes on while the p-value is under this many times the one at which it opened.
const LOW_P_FACTOR: f32 = 20.0;
/// And while z is over this share of the one at which it opened.
const LOW_Z_SHARE: f32 = 0.5;

impl ThresholdRule {
    /// Opens at a p-value of at most `p`, closes at a much larger one.
    pub const fn at_p_value(p: f32) -> Self {
        Self::PValue { high: p, low: (p * LOW_P_FACTOR).min(0.5) }
    }

    /// Opens at `z`, closes well under it.
    pub const fn at_z(z: f32) -> Self {
        Self::Z { high: z, low: z * LOW_Z_SHARE }
    }
}

/// With a rate, an event goes on while surprise is over what this share of normal slots reach.
const LOW_P: f32 = 0.05;
/// A rate this many times finer than the footage can count is an extrapolation that is told.
const FAR: f64 = 10.0;
/// Without a calibration sample an event opens this many robust standard deviations above the stream's past. Chosen
/// wide: surprise is heavy-tailed on lively footage.
const SELF_Z_HIGH: f32 = 8.0;
/// And closes under this.
const SELF_Z_LOW: f32 = 4.0;

/// A rule in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// A spike opens here.
    pub high: f32,
    /// And closes under this.
    pub low: f32,
    /// Both are surprises (there is a calibration sample); else they are z of the stream so far.
    pub in_surprise: bool,
    /// The sum at which slow evidence is an event; `None` without a sample of it.
    pub slow: Option<f32>,
    /// Events per second at which the stream's own past is to put them, once there is enough of it.
    pub own_rate: Option<f64>,
    /// Events per hour that normal footage has at these thresholds, both detectors together; `None` when nothing can be
    /// promised.
    pub promised_per_hour: Option<f64>,
    /// How they came about, in words.
    pub words: String,
    /// What limits their meaning.
    pub warnings: Vec<String>,
}

impl Thresholds {
    /// The rule in the units of the curve where there is a calibration sample, else in z of the stream so far.
    pub fn new(judge: &Judge, baseline: Option<&Baseline>, rule: ThresholdRule) -> Self {
        let Some(baseline) = baseline else { return Self::of_the_past(rule) };
        match rule {
            ThresholdRule::Rate { per_hour } => Self::at_rate(judge, baseline, per_hour),
            ThresholdRule::PValue { high, low } => Self::at_p(judge, baseline, high, low),
            ThresholdRule::Z { high, low } => {
                let words = format!("opens at z ≥ {high}, closes under z = {low} of the calibration sample");
                let at = |z| judge.surprise_of_z(z).unwrap_or(f32::INFINITY);
                Self::calibrated(baseline, at(high), at(low), words)
            }
        }
    }

    /// Half of the promised events are the spikes', half the slow ones'.
    fn at_rate(judge: &Judge, baseline: &Baseline, per_hour: f64) -> Self {
        let Some(tail) = baseline.tail() else {
            let p = 1.0 / (judge.sample_size() + 1) as f32;
            let mut new = Self::at_p(judge, baseline, p, LOW_P);
            new.warnings.push(format!(
                "the baseline's footage has too few peaks to promise {per_hour} events an hour; p ≤ {} is used",
                share(p)
            ));
            return new;
        };
        let spikes = if baseline.slow().is_some() { per_hour / 2.0 } else { per_hour };
        let high = tail.level(spikes / 3600.0);
        let low = judge.surprise_at(LOW_P).unwrap_or(high).min(high);
        let words = format!(
            "opens where normal footage has {} events an hour, closes above p = {LOW_P}; {}",
            number(per_hour),
            footage(baseline)
        );
        let mut new = Self::calibrated(baseline, high, low, words);
        let counted = per_hour / 3600.0 * baseline.seconds();
        if counted * FAR < 1.0 {
            new.warnings.push(format!(
                "{} events an hour is far finer than {:.0} minutes of normal footage can count: the threshold is an \
                 extrapolation; calibrate with more footage",
                number(per_hour),
                baseline.seconds() / 60.0
            ));
        }
        new
    }

    fn at_p(judge: &Judge, baseline: &Baseline, high: f32, low: f32) -> Self {
        let smallest = 1.0 / (judge.sample_size() + 1) as f32;
        let at = |p: f32| judge.surprise_at(p.max(smallest)).unwrap_or(f32::INFINITY);
        let words = format!(
            "opens at p ≤ {}, closes above p = {}; {} nearly independent calibration slots",
            share(high.max(smallest)),
            share(low),
            judge.sample_size()
        );
        let mut new = Self::calibrated(baseline, at(high), at(low), words);
        if high < smallest {
            new.warnings.push(format!(
                "p-value {high} is finer than the calibration sample of {} slots can tell; {smallest:.5} is used \
                 (--max-false-alarms reaches further)",
                judge.sample_size()
            ));
        }
        new
    }

    /// With the slow detector at the rate of the spikes.
    fn calibrated(baseline: &Baseline, high: f32, low: f32, words: String) -> Self {
        let rate = baseline.tail().map(|tail| tail.rate(high));
        let slow = rate.zip(baseline.slow()).map(|(rate, slow)| slow.tail.level(rate));
        let promised_per_hour = rate.map(|rate| rate * 3600.0 * if slow.is_some() { 2.0 } else { 1.0 });
        Self { high, low, in_surprise: true, slow, own_rate: None, promised_per_hour, words, warnings: Vec::new() }
    }

    /// Against the stream's own past.
    fn of_the_past(rule: ThresholdRule) -> Self {
        let own = "no baseline for this model, so surprise is compared with the stream's own past";
        let (high, low) = match rule {
            ThresholdRule::Z { high, low } => (high, low),
            _ => (SELF_Z_HIGH, SELF_Z_LOW),
        };
        let words = format!("opens at z ≥ {high}, closes under z = {low} of the stream's own past");
        let mut new = Self {
            high,
            low,
            in_surprise: false,
            slow: None,
            own_rate: None,
            promised_per_hour: None,
            words,
            warnings: Vec::new(),
        };
        match rule {
            ThresholdRule::Z { .. } => {}
            ThresholdRule::PValue { .. } => new
                .warnings
                .push(format!("there is {own}: no false-alarm rate can be stated (see `startle calibrate`)")),
            ThresholdRule::Rate { per_hour } => {
                new.own_rate = Some(per_hour / 3600.0);
                let rate = number(per_hour);
                new.words =
                    format!("{}; after {OWN_SLOTS} slots, where that past has {rate} events an hour", new.words);
                new.warnings.push(format!(
                    "there is {own}: a false-alarm rate means something only after a while, and what recurs is normal \
                     (see `startle calibrate`)"
                ));
            }
        }
        new
    }
}

/// What a promise rests on.
fn footage(baseline: &Baseline) -> String {
    let minutes = baseline.seconds() / 60.0;
    let checked = baseline.check().map_or_else(String::new, |check| {
        let [promised, seen] = [check.promised_per_hour, check.seen_per_hour].map(number);
        format!(" (held-out halves: {seen} seen where {promised} spikes an hour were promised)")
    });
    format!("{minutes:.0} minutes of normal footage{checked}")
}

/// A p-value to two significant digits, without the noise of `f32`.
fn share(p: f32) -> String {
    let digits = (2.0 - p.log10().ceil()).clamp(0.0, 9.0) as usize;
    trimmed(&format!("{p:.digits$}"))
}

/// A rate to two significant digits.
fn number(rate: f64) -> String {
    let digits = (2.0 - rate.max(1e-9).log10().ceil()).clamp(0.0, 9.0) as usize;
    trimmed(&format!("{rate:.digits$}"))
}

fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::baseline::tests::baseline;
    use super::*;

    #[test]
    fn numbers_are_told_without_noise() {
        assert_eq!([share(0.002 * 20.0), share(0.002), share(1.0 / 3241.0)], ["0.04", "0.002", "0.00031"]);
        assert_eq!([number(6.0), number(36.0), number(0.25), number(1.0 / 24.0)], ["6", "36", "0.25", "0.042"]);
    }

    #[test]
    fn finer_rates_have_higher_thresholds_and_far_ones_are_told() {
        let baseline = baseline();
        let judge = Judge::calibrated(&baseline);
        let at = |per_hour| Thresholds::new(&judge, Some(&baseline), ThresholdRule::Rate { per_hour });
        let (often, rarely, hardly) = (at(60.0), at(6.0), at(0.01));
        assert!(often.high < rarely.high && rarely.high < hardly.high && often.low <= often.high);
        assert!(often.slow < rarely.slow && often.warnings.is_empty() && hardly.warnings.len() == 1);
        assert!((rarely.promised_per_hour.unwrap() - 6.0).abs() < 0.1, "{rarely:?}");
        let p = Thresholds::new(&judge, Some(&baseline), ThresholdRule::PValue { high: 1e-9, low: 0.1 });
        assert!(p.warnings[0].contains("finer") && p.high.is_finite());
    }
}
