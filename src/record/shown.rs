//! What a report holds for people to look at, beside its numbers.

use serde::{Deserialize, Serialize};

/// A picture beside an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Still {
    /// When it is on show, seconds.
    pub t_s: f64,
    /// As JPEG, base64, at most 320 pixels wide.
    pub picture: String,
}

/// The things that a model of objects sees at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sight {
    /// Middle of the slot, seconds from the first frame.
    pub t_s: f64,
    /// Their boxes, whole pixels of the source picture: left, top, right, bottom.
    pub boxes: Vec<[u16; 4]>,
}

/// How surprising each kind of prediction was, moment by moment: by how long before it was made or, for a model of objects,
/// by what it was about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Horizons {
    /// The kinds: the nearest horizon first, the parts of a model of objects in its own order.
    pub rows: Vec<Horizon>,
    /// Middle of each moment's slot, seconds: at most 3000, of longer videos two, four, … slots in one.
    pub t_s: Vec<f64>,
    /// For each moment, a value for each row: the largest of its slots, in units of [`super::CurvePoint::unadjusted`] (of a
    /// model of objects before it fades), rounded to three digits; `null` where there was no such prediction.
    pub values: Vec<Vec<Option<f32>>>,
}

/// A kind of prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Horizon {
    /// The part of a model of objects; empty for a model of tokens.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// How long before it was made, seconds; `None` of a part that looks at no single time.
    pub ahead_s: Option<f64>,
}

/// `annotated.mp4`, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Annotated {
    /// Its name, beside `result.json`.
    pub file: String,
    /// FFmpeg's name of the encoder.
    pub encoder: String,
    /// Width, pixels.
    pub width: u32,
    /// Height with the strip below the picture, pixels.
    pub height: u32,
    /// Frames.
    pub frames: u64,
    /// Packets of sound, copied.
    pub sound_packets: u64,
    /// What the viewer should know: another codec than H.264, sound left out.
    #[serde(default)]
    pub notes: Vec<String>,
}
