//! How an input is opened.

use super::{ColourRule, DEFAULT_FPS, Decoding, Limits, PacketTap};
use crate::units::Stop;
use std::sync::Arc;
use std::time::Duration;

/// How an RTSP camera's pictures travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RtspTransport {
    /// Over TCP where the camera can: packets lost on UDP are smeared pictures, and smeared pictures are surprise.
    #[default]
    Auto,
    /// Over TCP or not at all.
    Tcp,
    /// Over UDP.
    Udp,
}

impl std::str::FromStr for RtspTransport {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(format!("{text} is not auto, tcp or udp")),
        }
    }
}

/// How to open an input.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Ends every blocked read.
    pub stop: Stop,
    /// Decoder threads on the processor, at least 1.
    pub threads: usize,
    /// Where to decode. A GPU that is not there is an error; a codec that the GPU has no decoder for is decoded by the
    /// processor, and [`crate::media::VideoInfo::notes`] says so.
    pub decoding: Decoding,
    /// Limit of one operation (connect, read) of a network or a disk.
    pub timeout: Duration,
    /// Images per second of an image sequence.
    pub image_fps: f64,
    /// Pictures per second of a stream that states no rate of its own; `None`: 25, with a note.
    pub fps: Option<f64>,
    /// Which of several video tracks to take, counted from 1; `None`: FFmpeg's choice.
    pub track: Option<u16>,
    /// How much the input may take.
    pub limits: Limits,
    /// Whether it is watched as it happens: times then count from its first frame, and frames without a usable time are
    /// placed as they come.
    pub live: bool,
    /// Whether the server of a URL may send on to another host.
    pub other_hosts: bool,
    /// How an RTSP camera's pictures travel.
    pub rtsp_transport: RtspTransport,
    /// Keeps the last packets of the video stream.
    pub tap: Option<Arc<PacketTap>>,
    /// How YUV becomes RGB.
    pub colours: ColourRule,
}

impl Default for OpenOptions {
    /// Two decoder threads (more add latency, not much speed, next to inference), ten seconds, 25 images per second.
    fn default() -> Self {
        Self {
            stop: Stop::new(),
            threads: 2,
            decoding: Decoding::default(),
            timeout: Duration::from_secs(10),
            image_fps: DEFAULT_FPS,
            fps: None,
            track: None,
            limits: Limits::default(),
            live: false,
            other_hosts: true,
            rtsp_transport: RtspTransport::default(),
            tap: None,
            colours: ColourRule::default(),
        }
    }
}
