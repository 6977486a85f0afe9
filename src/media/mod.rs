//! What a video source is: decoded pictures with presentation times, and the breaks between them.
//!
//! Invariant: everything here is pure data; the adapters that read the outside world are [`open`] (names of inputs) and
//! [`ffmpeg`] (their frames).

pub mod adapt;
pub mod capabilities;
pub mod ffmpeg;
pub mod open;
mod timeline;

use crate::error::Result;
use crate::units::MediaTime;
use serde::{Deserialize, Serialize};

/// An upright RGB picture: 8 bits a channel, full range, rows tight (`3 · width` bytes). It may hold exact values too, of
/// which the bytes are the nearest.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    exact: Vec<f32>,
}

impl Picture {
    /// Wraps tight RGB rows.
    ///
    /// # Panics
    /// When `rgb` is not exactly `3 · width · height` bytes or a side is zero: a fault of the caller.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a picture needs both sides");
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "rows must be tight RGB");
        Self { width, height, rgb, exact: Vec::new() }
    }

    /// Of exact values, 0..255, in tight RGB rows.
    ///
    /// # Panics
    /// As [`Picture::new`].
    pub fn exact(width: u32, height: u32, values: Vec<f32>) -> Self {
        let rgb = values.iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        Self { exact: values, ..Self::new(width, height, rgb) }
    }

    /// The exact values in the order of the bytes; empty where there are only those.
    pub fn values(&self) -> &[f32] {
        &self.exact
    }

    /// Width in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: row by row, `R G B` for each pixel.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// What is known of a video before its first frame is decoded (and, for `nominal_fps`, an estimate).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Width of the upright picture in square pixels (rotation and sample aspect ratio applied).
    pub width: u32,
    /// Height of the upright picture in square pixels.
    pub height: u32,
    /// Average frame rate that the container states, in frames per second; 0 when it states none.
    pub nominal_fps: f64,
    /// Length that the container states, in seconds; `None` for live and for unindexed streams.
    pub duration_s: Option<f64>,
    /// FFmpeg's name of the codec, for example `h264`.
    pub codec: String,
    /// FFmpeg's name of the pixel format, for example `yuv420p`.
    pub pixel_format: String,
    /// Things about the video that the reader of a result should know: interlaced, alpha dropped, rotated, … Complete
    /// only at the end: what had to be mended on the way (missing timestamps, faults) is counted there.
    pub notes: Vec<String>,
}

/// Why the run of frames is broken: no clip crosses such a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GapReason {
    /// The pictures before and after have little in common: an edit.
    SceneCut,
    /// Presentation times jump forward by more than the longest believable hold.
    TimestampGap,
    /// Pictures come so much slower than the model's clock that it would see a world of jumps.
    SlowFootage,
    /// Presentation times jump backward.
    TimestampReset,
    /// The picture's size or format changes.
    FormatChange,
    /// Packets could not be decoded.
    Corrupt,
    /// The file ends before its container says it should.
    Truncated,
    /// Clips were dropped because inference could not keep up (live sources).
    Overload,
    /// The source went away and came back (live sources).
    ConnectionLost,
}

/// One step of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A frame is on show from `time` until `end` (the next frame's time, or a nominal duration at the end).
    /// [`FrameSource::picture`] gives its pixels.
    Frame {
        /// When the frame appears.
        time: MediaTime,
        /// When it is replaced; later than `time`.
        end: MediaTime,
    },
    /// The run of frames is broken between `start` and `end` (equal when nothing is missing).
    Gap {
        /// End of the last good frame.
        start: MediaTime,
        /// Time of the next good frame, or the expected end for a truncated file.
        end: MediaTime,
        /// What happened.
        reason: GapReason,
    },
    /// Nothing follows; every further call says so again.
    End,
}

/// Decoded video as a sequence of steps.
///
/// Implementers: times are those that a player shows (from the zero of an MP4's or Matroska's clock; elsewhere from the
/// start of the container's first stream, be it the sound; from the first picture of a stream without an end) and strictly
/// increasing over all frames; a [`Step::Gap`] lies
/// between the frames it separates; a fault in the middle is a gap if frames follow or if frames came before (what
/// could be decoded is worth analysing), and an error only when nothing could be decoded; one place may have several
/// gaps (a join of two files changes both the clock and the size); `End` is sticky.
pub trait FrameSource {
    /// What is known of the video.
    fn info(&self) -> &VideoInfo;

    /// Goes on to the next step.
    ///
    /// # Errors
    /// When the source can't go on and had nothing to give; [`crate::Error::Stopped`] as soon as a stop was asked for.
    fn next_step(&mut self) -> Result<Step>;

    /// The pixels of the frame that the last [`Step::Frame`] announced, upright, in full-range RGB. Converting is the
    /// expensive part, so only the frames that the model's clock selects are asked for. After a
    /// [`GapReason::FormatChange`] the size may differ from what [`VideoInfo`] says.
    ///
    /// # Errors
    /// When the picture can't be converted.
    fn picture(&mut self) -> Result<Picture>;

    /// Whether the frame that the last [`Step::Frame`] announced was coded without reference to others.
    fn key_frame(&self) -> bool {
        false
    }

    /// Frames decoded so far, shown or not.
    fn frames_decoded(&self) -> u64;

    /// Tells the source where the frame of its last step lies on the clock of whoever reads it: a source that keeps
    /// packets for clips must know.
    fn placed(&mut self, time: MediaTime) {
        let _ = time;
    }
}
