//! Time and surprise as types, so that neither can be confused with a bare number.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time or a length of time, in integer nanoseconds. Points count from the first frame of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MediaTime(i64);

impl MediaTime {
    /// The first frame's time.
    pub const ZERO: Self = Self(0);

    /// From whole nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds, rounded to the nearest nanosecond; not-a-number becomes 0, and the ends saturate.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * NANOS_PER_SECOND as f64).round() as i64)
    }

    /// `ticks` of a clock whose tick lasts `num / den` seconds, computed in 128 bits and rounded to the nearest
    /// nanosecond. `None` on overflow or a zero denominator.
    pub fn from_ticks(ticks: i64, num: i32, den: i32) -> Option<Self> {
        if den == 0 {
            return None;
        }
        let scaled = i128::from(ticks) * i128::from(num) * i128::from(NANOS_PER_SECOND);
        let den = i128::from(den);
        let rounded = (scaled + den.signum() * scaled.signum() * den / 2) / den;
        i64::try_from(rounded).ok().map(Self)
    }

    /// Whole nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds, for display and for outputs.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// `self - other`, saturating.
    #[must_use]
    pub const fn since(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Halfway between `self` and `other`.
    #[must_use]
    pub const fn midpoint(self, other: Self) -> Self {
        Self(i64::midpoint(self.0, other.0))
    }

    /// `self + other`, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.secs_f64())
    }
}

/// A surprise or error value: finite and not negative. The one gate through which numbers leave the model.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Surprise(f32);

impl Surprise {
    /// Checks a value that a model gave.
    ///
    /// # Errors
    /// [`Error::Inference`] when it is not finite or is negative.
    pub fn new(value: f32) -> Result<Self> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(Error::Inference(format!(
                "the model gave a surprise of {value}, which is not a finite, non-negative number; \
                 the bundle's weights or its precision on this device are at fault (try `startle models verify`)"
            )))
        }
    }

    /// The bare number.
    pub const fn get(self) -> f32 {
        self.0
    }
}

/// `6/hour`, `1/day`, `2/week`, `1/10min` to events per hour.
///
/// # Errors
/// In words, when it is not such a rate.
pub fn per_hour(text: &str) -> Result<f64, String> {
    let fail = || format!("{text} is not a rate such as 6/hour, 1/day or 1/10min");
    let (count, span) = text.split_once('/').ok_or_else(fail)?;
    let count: f64 = count.trim().parse().map_err(|_| fail())?;
    let span = span.trim();
    let digits = span.find(|c: char| c.is_alphabetic()).ok_or_else(fail)?;
    let many: f64 = if digits == 0 { 1.0 } else { span[..digits].trim().parse().map_err(|_| fail())? };
    let hours = match &span[digits..] {
        "s" | "sec" | "second" | "seconds" => 1.0 / 3600.0,
        "min" | "minute" | "minutes" => 1.0 / 60.0,
        "h" | "hour" | "hours" => 1.0,
        "d" | "day" | "days" => 24.0,
        "week" | "weeks" => 168.0,
        _ => return Err(fail()),
    };
    let rate = count / (many * hours);
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(fail()) }
}

/// A rectangle in pixels: `[x0, y0, x1, y1]`, the right and lower edge exclusive.
pub type PixelBox = [f32; 4];

/// The one token that asks every part of a run to stop: read by the decode loop, FFmpeg's interrupt callback and the
/// pipeline's stages. A child hears its parents; they do not hear it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    own: Arc<AtomicBool>,
    parents: Vec<Arc<AtomicBool>>,
}

impl Stop {
    /// A token that nobody has pulled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token for a part of the work: it is pulled when this one is, but pulling it leaves the rest going.
    #[must_use]
    pub fn child(&self) -> Self {
        let parents = self.parents.iter().chain([&self.own]).map(Arc::clone).collect();
        Self { own: Arc::default(), parents }
    }

    /// Asks everyone who holds a clone or a child to stop.
    pub fn request(&self) {
        self.own.store(true, Ordering::Relaxed);
    }

    /// The flag that [`Stop::request`] raises, for who can raise nothing else (a signal handler).
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.own)
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.parents.iter().chain([&self.own]).any(|flag| flag.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_convert_exactly_and_refuse_nonsense() {
        assert_eq!(MediaTime::from_ticks(90_000, 1, 90_000), Some(MediaTime::from_nanos(NANOS_PER_SECOND)));
        assert_eq!(MediaTime::from_ticks(1, 1001, 30_000), Some(MediaTime::from_nanos(33_366_667)));
        assert_eq!(MediaTime::from_ticks(-1, 1001, 30_000), Some(MediaTime::from_nanos(-33_366_667)));
        assert_eq!(MediaTime::from_ticks(i64::MAX, i32::MAX, 1), None);
        assert_eq!(MediaTime::from_ticks(1, 1, 0), None);
    }

    #[test]
    fn surprise_is_the_gate_for_nan() {
        assert!(Surprise::new(f32::NAN).is_err());
        assert!(Surprise::new(f32::INFINITY).is_err());
        assert!(Surprise::new(-0.1).is_err());
        assert!((Surprise::new(0.5).unwrap().get() - 0.5).abs() < f32::EPSILON);
    }

    #[test]
    fn rates_are_read_in_the_users_unit() {
        let rates = ["6/hour", "1/day", "1/10min", "2/week", "0.5 / min"].map(|r| per_hour(r).unwrap());
        assert_eq!(rates.map(|r| (r * 1000.0).round() / 1000.0), [6.0, 0.042, 6.0, 0.012, 30.0]);
        assert!(["6", "x/hour", "0/hour", "-1/h", "1/fortnight", "1/0min"].iter().all(|r| per_hour(r).is_err()));
    }

    #[test]
    fn a_child_stops_with_its_parent_and_alone() {
        let parent = Stop::new();
        let (first, second) = (parent.child(), parent.child());
        first.request();
        assert!(first.child().requested() && !parent.requested() && !second.requested());
        parent.request();
        assert!(second.requested());
    }
}
