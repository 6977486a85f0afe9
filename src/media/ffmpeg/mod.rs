//! Everything FFmpeg reads, as a [`FrameSource`].
//!
//! `demux` finds the video stream's packets, `decode` makes frames of them, `whole` passes over the damaged
//! ones, `timeline` places the others in time, `convert` makes pictures of those that are asked for; this file strings
//! them together and turns every fault into a gap.
//!
//! Invariants: one frame is decoded ahead, so that a frame's end is the next frame's time; memory does not grow with
//! the length of the video; a picture that the decoder had to make up is never shown; nothing here waits where
//! [`crate::units::Stop`] can't reach it (a name look-up is the exception: the system's resolver can't be interrupted).

mod capture;
mod clip;
mod convert;
mod decode;
mod demux;
mod device;
mod encode;
mod explain;
mod interrupt;
mod log;
mod opening;
mod options;
mod pipe;
mod playlist;
mod raw;
mod sound;
mod tap;
mod tone;
mod trust;
mod whole;

use super::open::Input;
use super::timeline::{FrameStamp, Jump, Mended, Place, Timeline};
use super::{FrameSource, GapReason, Picture, Step, VideoInfo};
use crate::error::{Error, Result};
use crate::units::MediaTime;
pub use clip::{ClipSource, ClipWriter, Container, Sealed, measure, seal};
pub use convert::ColourRule;
use convert::{Converter, Display};
use demux::Packets;
pub use device::Decoding;
pub use encode::{ENCODERS, Film, FilmOptions, FilmWriter};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
pub use options::{OpenOptions, RtspTransport};
pub use sound::{OpenedSound, Sound};
use std::collections::VecDeque;
use std::sync::{Arc, Once};
use std::time::Instant;
pub use tap::{Cut, PacketTap, Piece, Reached, TapLimits};
pub use trust::Limits;
use whole::{Next, WholeFrames};

/// Frame rate assumed when the container states none: FFmpeg's own default.
const DEFAULT_FPS: f64 = 25.0;

/// Pictures that begin longer after the container than this have a fault in their times.
const LONGEST_LEAD: MediaTime = MediaTime::from_nanos(24 * 3600 * 1_000_000_000);

/// A frame whose end is not yet known.
struct Held {
    frame: Video,
    time: MediaTime,
}

/// What decides whether two frames look alike to a model: a change of it is a [`GapReason::FormatChange`].
type Shape = (u32, u32, Pixel);

/// The clock of a video's own times, for a film that is made of it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    ticks: ffmpeg::Rational,
    /// Where the time zero of [`Step`] lies on it; `None`: its frames have no times.
    zero: Option<MediaTime>,
}

/// A video that FFmpeg decodes.
pub struct FfmpegSource {
    name: String,
    info: VideoInfo,
    clock: Clock,
    own_notes: Vec<String>,
    frames: WholeFrames,
    timeline: Timeline,
    converter: Converter,
    display: Display,
    shape: Shape,
    ends_at: Option<MediaTime>,
    held: Option<Held>,
    shown: Option<Video>,
    queue: VecDeque<Step>,
    finished: bool,
    tap: Option<Arc<PacketTap>>,
    clockless: bool,
    pushed: bool,
    /// When it was opened, if frames are watched as they come.
    live_since: Option<Instant>,
}

impl FfmpegSource {
    /// Opens an input and decodes up to its first frame, so that what [`FrameSource::info`] says is what is shown.
    ///
    /// # Errors
    /// [`Error::Input`] with what is wrong and what to do; [`Error::Stopped`] when stopped meanwhile.
    pub fn open(input: &Input, options: &OpenOptions) -> Result<Self> {
        initialise();
        let (packets, facts) = Packets::open(input, options)?;
        let mut frames = WholeFrames::new(packets, &facts, options)
            .map_err(|error| explain::no_decoder(input, facts.codec, options.decoding, error))?;
        let (frame, stamp) = match frames.next() {
            Next::Frame(frame, stamp) => (frame, stamp),
            Next::Stopped => return Err(Error::Stopped),
            Next::End(error) => return Err(explain::no_frame(input, frames.faults(), error.or(frames.last_error()))),
        };
        let mut own_notes = facts.notes;
        if facts.pushed {
            own_notes.clear();
            own_notes.push("pictures without times: placed as they came".into());
        }
        own_notes.extend(facts.display.notes(&frame, options.colours));
        if options.decoding != Decoding::Cpu && options.decoding.on_gpu(facts.codec).is_none() {
            own_notes.push(format!("decoded by the processor: FFmpeg has no NVDEC decoder for {}", facts.codec));
        }
        // Nothing was shown yet that could be broken off: damage at the start (a broadcast joined late) is only noted.
        if frames.take_damage() {
            own_notes.push(format!("faults before the first good frame: {}", frames.faults()));
        }
        let fps = if facts.fps > 0.0 { facts.fps } else { DEFAULT_FPS };
        let lead = facts.zero.zip(stamp.raw).map(|(zero, first)| first.since(zero));
        let start =
            lead.filter(|lead| !options.live && (MediaTime::ZERO..=LONGEST_LEAD).contains(lead)).unwrap_or_default();
        let mut timeline = Timeline::new(MediaTime::from_secs_f64(1.0 / fps), start, facts.trusted && !options.live);
        let live_since = (options.live && input.url().is_some()).then(Instant::now);
        timeline.place(FrameStamp { arrived: live_since.map(since), ..stamp });
        let (width, height) = facts.display.size(&frame);
        let info = VideoInfo {
            width,
            height,
            nominal_fps: facts.fps,
            duration_s: facts.duration_s,
            codec: facts.codec.to_owned(),
            pixel_format: pixel_name(frame.format()).to_owned(),
            notes: own_notes.clone(),
        };
        Ok(Self {
            name: input.to_string(),
            info,
            clock: Clock { ticks: facts.time_base, zero: stamp.raw.map(|first| first.since(start)) },
            own_notes,
            frames,
            timeline,
            converter: Converter::new(options.colours),
            display: facts.display,
            shape: (width, height, frame.format()),
            ends_at: facts.ends_at,
            held: Some(Held { frame, time: start }),
            shown: None,
            queue: VecDeque::new(),
            finished: false,
            tap: options.tap.clone(),
            clockless: facts.clockless,
            pushed: facts.pushed,
            live_since,
        })
    }

    /// The clock of its times.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether its pictures come from a network as they are taken, without times: the time of their arrival is the best that
    /// is known (`adapt::ByArrival`).
    pub const fn is_pushed(&self) -> bool {
        self.pushed
    }

    /// Decodes until the held frame's end is known, and queues it with what follows it.
    fn advance(&mut self) -> Result<()> {
        loop {
            match self.frames.next() {
                Next::Frame(frame, stamp) => {
                    if self.admit(frame, stamp) {
                        return Ok(());
                    }
                }
                Next::Stopped => return Err(Error::Stopped),
                Next::End(error) => {
                    self.finish(error);
                    return Ok(());
                }
            }
        }
    }

    /// Places a good frame. `false`: it took the place of the held one or came too late, and there is nothing to say.
    fn admit(&mut self, frame: Video, stamp: FrameStamp) -> bool {
        let (width, height) = self.display.size(&frame);
        let shape = (width, height, frame.format());
        let place = self.timeline.place(FrameStamp { arrived: self.live_since.map(since), ..stamp });
        let Place::At { time, previous_end, jump } = place else {
            if place == Place::Repeated
                && shape == self.shape
                && let Some(held) = &mut self.held
            {
                held.frame = frame;
            }
            return false;
        };
        // After damage nobody knows until when the last good frame was on show.
        let damaged = self.frames.take_damage();
        let end = match &self.held {
            Some(held) if damaged => previous_end.min(held.time.plus(self.timeline.nominal())),
            _ => previous_end,
        };
        self.announce_held(end);
        if let Some(tap) = self.tap.as_ref().filter(|_| shape != self.shape || jump == Some(Jump::Reset)) {
            tap.split(frame.timestamp(), (frame.width(), frame.height()));
        }
        let reasons = [
            (shape != self.shape, GapReason::FormatChange),
            (jump == Some(Jump::Reset), GapReason::TimestampReset),
            (damaged, GapReason::Corrupt),
            (jump == Some(Jump::Ahead) && !damaged, GapReason::TimestampGap),
        ];
        for (_, reason) in reasons.into_iter().filter(|(happened, _)| *happened) {
            self.queue.push_back(Step::Gap { start: end, end: time, reason });
        }
        self.shape = shape;
        self.held = Some(Held { frame, time });
        true
    }

    /// Queues the last frame and, when the video should have gone on, the gap after it.
    fn finish(&mut self, error: Option<ffmpeg::Error>) {
        self.finished = true;
        let end = self.timeline.end();
        self.announce_held(end);
        let expected = self.expected_end(error.is_some());
        if let Some(error) = error {
            self.own_notes.push(format!("reading ended early: {error}"));
        }
        if let Some(expected) = expected {
            self.queue.push_back(Step::Gap { start: end, end: expected.max(end), reason: GapReason::Truncated });
        } else if self.frames.take_damage() {
            let reached = self.frames.furthest().and_then(|raw| self.timeline.time_of(raw));
            let gap_end = reached.map_or(end, |reached| reached.max(end));
            self.queue.push_back(Step::Gap { start: end, end: gap_end, reason: GapReason::Corrupt });
        }
        self.refresh_notes();
    }

    /// When the video should have ended, if it ended too early.
    fn expected_end(&self, failed: bool) -> Option<MediaTime> {
        let stated = self.ends_at.zip(self.frames.furthest()).zip(self.info.duration_s);
        let cut = stated.is_some_and(|((ends_at, furthest), duration_s)| {
            self.timeline.mended().resets == 0 && demux::is_cut_off(ends_at, furthest, duration_s)
        });
        if cut { self.ends_at.and_then(|raw| self.timeline.time_of(raw)) } else { failed.then(|| self.timeline.end()) }
    }

    fn announce_held(&mut self, end: MediaTime) {
        if let Some(held) = self.held.take() {
            self.queue.push_back(Step::Frame { time: held.time, end });
            self.shown = Some(held.frame);
        }
    }

    fn refresh_notes(&mut self) {
        let Mended { missing, repeated, late, resets, stuck } = self.timeline.mended();
        // That a stream has no clock is said once.
        let missing = if self.clockless { 0 } else { missing };
        let counted = [
            (self.frames.faults(), "faults while reading or decoding"),
            (missing, "frames without a timestamp (placed one frame after the one before)"),
            (repeated, "frames with a repeated timestamp (the later one is shown)"),
            (late, "frames out of order (not shown)"),
            (stuck, "frames whose clock stood still (placed at the usual rate, or as they came)"),
            (resets, "times the clock was set anew (time goes on from there)"),
        ];
        self.info.notes.clone_from(&self.own_notes);
        self.info.notes.extend(counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{what}: {n}")));
    }
}

impl FrameSource for FfmpegSource {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_step(&mut self) -> Result<Step> {
        if self.queue.is_empty() && !self.finished {
            self.advance()?;
        }
        Ok(self.queue.pop_front().unwrap_or(Step::End))
    }

    fn picture(&mut self) -> Result<Picture> {
        let Some(frame) = &self.shown else {
            return Err(Error::Internal { stage: "decode", reason: "a picture was asked for before any frame".into() });
        };
        self.converter.picture(frame, self.display).map_err(|error| Error::Decode {
            path: self.name.clone(),
            at_s: self.timeline.end().secs_f64(),
            reason: format!("a {} picture can't be converted to RGB: {error}", pixel_name(frame.format())),
        })
    }

    fn key_frame(&self) -> bool {
        self.shown.as_ref().is_some_and(|frame| frame.is_key())
    }

    fn frames_decoded(&self) -> u64 {
        self.frames.decoded()
    }

    fn placed(&mut self, time: MediaTime) {
        let timestamp = self.shown.as_ref().and_then(|frame| frame.timestamp());
        if let (Some(tap), Some(timestamp)) = (&self.tap, timestamp) {
            tap.place(timestamp, time);
        }
    }
}

fn since(opened: Instant) -> MediaTime {
    MediaTime::from_secs_f64(opened.elapsed().as_secs_f64())
}

fn pixel_name(format: Pixel) -> &'static str {
    format.descriptor().map_or("unknown", |d| d.name())
}

/// Makes FFmpeg's error texts available and keeps it from writing to standard error.
fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only where FFmpeg's version is not the one that was built against; opening says so then.
        ffmpeg::init().ok();
        log::settle();
    });
}
