//! Values that are checked as they are read.

use super::schedule::Schedule;
use crate::clip::{Point, Region};
use crate::media::ffmpeg::Limits;
use crate::units::per_hour;
use serde::{Deserialize, Deserializer, de};

/// Longest time that may be set, seconds: a day.
const LONGEST_S: f64 = 86_400.0;
/// Frames per second that a camera's clock may have.
const FPS: std::ops::RangeInclusive<f64> = 0.1..=120.0;

/// Events per hour, written as `1/day`.
#[derive(Clone, Copy)]
pub(super) struct AlarmRate(pub(super) f64);

/// A share in (0, 1].
#[derive(Clone, Copy)]
pub(super) struct Share(pub(super) f32);

/// A positive number.
#[derive(Clone, Copy)]
pub(super) struct Positive(pub(super) f32);

/// Seconds, up to a day.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) f64);

/// Frames per second.
#[derive(Clone, Copy)]
pub(super) struct Fps(pub(super) f64);

/// Pixels of a picture, 1 to [`Limits::MOST_PIXELS`].
#[derive(Clone, Copy)]
pub(super) struct PixelCount(pub(super) u64);

/// Streams of an input, 1 to [`Limits::MOST_STREAMS`].
#[derive(Clone, Copy)]
pub(super) struct Streams(pub(super) u32);

/// Spans of the week.
#[derive(Clone, Default)]
pub(super) struct Week(pub(super) Schedule);

/// At least three points in the picture.
#[derive(Clone)]
pub(super) struct Polygon(pub(super) Region);

impl<'de> Deserialize<'de> for AlarmRate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        per_hour(&String::deserialize(from)?).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f32::deserialize(from)?;
        let fine = value > 0.0 && value <= 1.0;
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} does not lie in (0, 1]"))) }
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f32::deserialize(from)?;
        let fine = value > 0.0 && value.is_finite();
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} is not a positive number"))) }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f64::deserialize(from)?;
        let fine = (0.0..=LONGEST_S).contains(&value);
        if fine { Ok(Self(value)) } else { Err(de::Error::custom(format!("{value} does not lie in 0..{LONGEST_S} s"))) }
    }
}

impl<'de> Deserialize<'de> for PixelCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        within(u64::deserialize(from)?, Limits::MOST_PIXELS, "pixels").map(Self)
    }
}

impl<'de> Deserialize<'de> for Streams {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        within(u32::deserialize(from)?, Limits::MOST_STREAMS, "streams").map(Self)
    }
}

/// A count from 1 to `most`.
fn within<N: Copy + PartialOrd + From<u8> + std::fmt::Display, E: de::Error>(
    value: N,
    most: N,
    what: &str,
) -> Result<N, E> {
    let fine = value >= N::from(1) && value <= most;
    if fine { Ok(value) } else { Err(E::custom(format!("{value} {what} do not lie in 1..={most}"))) }
}

impl<'de> Deserialize<'de> for Fps {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f64::deserialize(from)?;
        let fine = FPS.contains(&value);
        if fine {
            Ok(Self(value))
        } else {
            Err(de::Error::custom(format!("{value} frames a second do not lie in {FPS:?}")))
        }
    }
}

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let spans = Vec::<String>::deserialize(from)?.iter().map(|span| span.parse()).collect::<Result<_, _>>();
        spans.map(|spans| Self(Schedule(spans))).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Polygon {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let points = Region::deserialize(from)?;
        let inside = points.iter().flatten().all(|v| (0.0..=1.0).contains(v));
        if points.len() < 3 {
            return Err(de::Error::custom("a polygon of the region needs at least three points"));
        }
        if !inside {
            return Err(de::Error::custom("a point of the region lies outside 0..1 (shares of width and height)"));
        }
        if area(&points) < 1e-4 {
            return Err(de::Error::custom("a polygon of the region has no area"));
        }
        Ok(Self(points))
    }
}

/// Area of a polygon (the shoelace formula).
fn area(points: &[Point]) -> f32 {
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>().abs() / 2.0
}
