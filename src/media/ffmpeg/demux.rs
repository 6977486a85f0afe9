//! From an input to the packets of its video stream.
//!
//! Invariant: a packet, a fault that reading can go on after, and the end are three different answers; an error of the
//! medium never looks like an end.

use super::convert::{Display, Orientation, believable_aspect};
use super::interrupt::Interrupt;
use super::opening::{self, NO_RATE_FPS};
use super::raw::Length;
use super::tap::PacketTap;
use super::{DEFAULT_FPS, OpenOptions, explain, pipe, raw};
use crate::error::{Error, Result};
use crate::media::open::{ImageSequence, Input};
use crate::units::MediaTime;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::packet::side_data::Type as StreamData;
use ffmpeg_next::format::context::Input as Context;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::{Packet, Rational, Stream};
use std::sync::Arc;

/// Faults in a row after which a demuxer is taken to have nothing more: each fault normally skips some bytes, so a
/// thousand without one packet between them is a demuxer that doesn't move.
pub(super) const FAULTS_IN_A_ROW: u32 = 1000;
/// A file that ends this much earlier than it says was cut off; less is rounding and missing last durations.
const SHORT_BY: MediaTime = MediaTime::from_nanos(500_000_000);
/// The same, as a share of the length: 1/50 is 2 %.
const SHORT_BY_SHARE: i64 = 50;
/// Frame rates below this (one frame in eleven days) are zeros in disguise.
const LOWEST_FPS: f64 = 1e-6;
/// Frame rates above this are clocks, not rates: the ticks of a millisecond or 90 kHz time base.
const HIGHEST_FPS: f64 = 1000.0;
/// FFmpeg's guess from the time base, used where there is no average, is believed up to here: browsers record `WebM` with
/// a "rate" of 1000.
const HIGHEST_GUESS: f64 = 240.0;
/// Ticks per second of the clock of image sequences, as a multiple of their rate.
const IMAGE_TICKS: i32 = 1000;
/// Bytes of a pixel in the largest picture format, four floats: what FFmpeg may ask for at once goes by it.
const BYTES_OF_PIXEL: u64 = 16;
/// FFmpeg may ask for this much at once whatever the pictures' size: packets and tables of large files.
const LEAST_ALLOCATION: u64 = 256 << 20;
/// Containers whose clock has a meaning of its own, by FFmpeg's names.
const COUNTED_FROM_ZERO: [&str; 2] = ["mov", "matroska"];
/// One that begins later than a day was cut from an endless stream: nobody looks for its times.
const LATEST_START: MediaTime = MediaTime::from_nanos(24 * 3600 * 1_000_000_000);
/// Images larger than this aren't read: a file that big under an image's name is something else.
const LARGEST_IMAGE: u64 = 1 << 30;

/// One answer of [`Packets::fetch`].
pub(super) enum FetchedPacket {
    /// A packet of the video stream.
    Packet(Packet),
    /// Something could not be read; reading goes on.
    Fault(ffmpeg::Error),
    /// Nothing follows: the regular end, or the error that ended it.
    End(Option<ffmpeg::Error>),
}

/// What the container says of the video stream.
pub(super) struct StreamFacts {
    pub parameters: ffmpeg::codec::Parameters,
    pub time_base: Rational,
    pub display: Display,
    /// Frames per second; 0 when not stated.
    pub fps: f64,
    /// Whether the rate is all that is known of its times.
    pub clockless: bool,
    /// Whether every picture is there and has its time: in a file whose clock does not jump.
    pub trusted: bool,
    /// Whether its pictures come from a network as they are taken, without times.
    pub pushed: bool,
    /// Where time begins for whoever plays it, on its own clock.
    pub zero: Option<MediaTime>,
    /// Seconds; `None` when not stated.
    pub duration_s: Option<f64>,
    /// Name of the codec.
    pub codec: &'static str,
    /// Where the container says that it ends, on its own clock.
    pub ends_at: Option<MediaTime>,
    pub notes: Vec<String>,
}

/// Where packets come from.
pub(super) enum Packets {
    Container(Container),
    Images(Images),
}

impl Packets {
    /// Opens an input and finds its video stream.
    pub(super) fn open(input: &Input, options: &OpenOptions) -> Result<(Self, StreamFacts)> {
        if let Input::Images(sequence) = input {
            return Images::open(sequence, options);
        }
        let (container, facts) = Container::open(input, options)?;
        Ok((Self::Container(container), facts))
    }

    /// The next packet of the video stream.
    pub(super) fn fetch(&mut self) -> FetchedPacket {
        match self {
            Self::Container(container) => container.fetch(),
            Self::Images(images) => images.fetch(),
        }
    }

    /// The latest end of any packet of any stream so far, on the container's clock.
    pub(super) fn furthest(&self) -> Option<MediaTime> {
        match self {
            Self::Container(container) => container.furthest,
            Self::Images(_) => None,
        }
    }

    /// Whether a stop was asked for.
    pub(super) fn stopped(&self) -> bool {
        match self {
            Self::Container(container) => container.interrupt.stopped(),
            Self::Images(images) => images.interrupt.stopped(),
        }
    }
}

/// Whether a file that should reach `expected` on its own clock and reached `furthest` was cut off.
pub(super) fn is_cut_off(expected: MediaTime, furthest: MediaTime, duration_s: f64) -> bool {
    let share = MediaTime::from_secs_f64(duration_s / SHORT_BY_SHARE as f64);
    expected.since(furthest) > SHORT_BY.max(share)
}

/// A file, pipe or network stream that FFmpeg demuxes.
pub(super) struct Container {
    input: Context,
    stream: usize,
    furthest: Option<MediaTime>,
    faults_in_a_row: u32,
    interrupt: Interrupt,
    tap: Option<Arc<PacketTap>>,
}

impl Container {
    fn open(input: &Input, options: &OpenOptions) -> Result<(Self, StreamFacts)> {
        // A pipe's writer may take its time; a disk that gives nothing for so long has nothing to give.
        let waits = matches!(input, Input::Stdin) || input.path().is_some_and(pipe::is_fifo);
        let timeout = (!waits).then_some(options.timeout);
        let largest = options.limits.pixels.saturating_mul(BYTES_OF_PIXEL).max(LEAST_ALLOCATION);
        raw::limit_allocations(usize::try_from(largest).unwrap_or(usize::MAX));
        let interrupt = Interrupt::new(options.stop.clone(), timeout);
        let context = opening::open(input, options, &interrupt)?;
        explain::refuse_text_art(input, context.format().name())?;
        let stream = choose(&context, input, options.track)?;
        let (width, height) = raw::stream_size(&stream);
        if let Some(reason) = options.limits.refuse((width.into(), height.into())) {
            return Err(Error::input(input.to_string(), reason));
        }
        let rate = rate(&context, &stream, options.fps).map_err(|reason| Error::input(input.to_string(), reason))?;
        let mut facts = stream_facts(&context, &stream, rate);
        let jpegs = ["mpjpeg", "mjpeg"].contains(&context.format().name());
        facts.pushed = jpegs && input.url().is_some() && options.fps.is_none();
        facts.trusted &= matches!(input, Input::File(_));
        let stream = stream.index();
        let tap = options.tap.clone();
        if let Some(tap) = &tap {
            tap.begin(facts.parameters.clone(), facts.time_base);
        }
        Ok((Self { input: context, stream, furthest: None, faults_in_a_row: 0, interrupt, tap }, facts))
    }

    fn fetch(&mut self) -> FetchedPacket {
        loop {
            let mut packet = Packet::empty();
            self.interrupt.arm();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    self.faults_in_a_row = 0;
                    self.note_reach(&packet);
                    if packet.stream() == self.stream {
                        if let Some(tap) = &self.tap {
                            tap.push(&packet);
                        }
                        return FetchedPacket::Packet(packet);
                    }
                }
                Err(ffmpeg::Error::Eof) => return FetchedPacket::End(None),
                Err(ffmpeg::Error::InvalidData) if self.faults_in_a_row < FAULTS_IN_A_ROW => {
                    self.faults_in_a_row += 1;
                    return FetchedPacket::Fault(ffmpeg::Error::InvalidData);
                }
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) if !self.interrupt.gives_up() => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => return FetchedPacket::End(Some(error)),
            }
        }
    }

    fn note_reach(&mut self, packet: &Packet) {
        let base = self.input.stream(packet.stream()).map(|s| s.time_base());
        let (Some(base), Some(start)) = (base, packet.pts().or(packet.dts())) else { return };
        let end = start.saturating_add(packet.duration().max(0));
        self.furthest = self.furthest.max(MediaTime::from_ticks(end, base.numerator(), base.denominator()));
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(tap) = &self.tap {
            tap.end();
        }
    }
}

/// A stream that is a film: cover art is none.
fn is_film(stream: &Stream) -> bool {
    stream.parameters().medium() == ffmpeg::media::Type::Video
        && !stream.disposition().contains(Disposition::ATTACHED_PIC)
}

/// The video track that was asked for, or FFmpeg's choice; the error is a reason.
fn choose<'a>(context: &'a Context, input: &Input, track: Option<u16>) -> Result<Stream<'a>> {
    let films = || context.streams().filter(is_film);
    if let Some(number) = track {
        let count = films().count();
        return films().nth(usize::from(number).saturating_sub(1)).ok_or_else(|| {
            Error::input(
                input.to_string(),
                format!("--track {number}: its video tracks are numbered from 1 to {count}"),
            )
        });
    }
    let area = |stream: &Stream| {
        let (width, height) = raw::stream_size(stream);
        i64::from(width) * i64::from(height)
    };
    let best = context.streams().best(ffmpeg::media::Type::Video).filter(is_film);
    best.or_else(|| films().max_by_key(area)).ok_or_else(|| explain::no_video(input, context))
}

/// How many pictures a second.
struct ChosenRate {
    /// 0 when not known.
    fps: f64,
    /// Neither the container nor the stream has a clock: the rate, which was asked for or assumed, is all there is.
    made_up: bool,
    note: Option<String>,
}

/// The rate that a stream states; that of one which states none is asked for (`--fps`) or assumed.
fn rate(context: &Context, stream: &Stream, asked: Option<f64>) -> std::result::Result<ChosenRate, String> {
    let known = |rate: Rational, highest: f64| Some(f64::from(rate)).filter(|fps| (LOWEST_FPS..=highest).contains(fps));
    let fps =
        known(stream.avg_frame_rate(), HIGHEST_FPS).or_else(|| known(stream.rate(), HIGHEST_GUESS)).unwrap_or(0.0);
    // FFmpeg rounds the rates of such streams to twelfths.
    let is = |rate: f64| (fps / rate - 1.0).abs() < 0.01;
    let assumed = (fps / NO_RATE_FPS - 1.0).abs() < 1e-4;
    match asked {
        _ if !raw::takes_rate(context) => match asked {
            Some(_) => Err("has times of its own: --fps is for streams that state no rate".into()),
            None => Ok(ChosenRate { fps, made_up: false, note: None }),
        },
        Some(asked) if is(asked) => Ok(ChosenRate { fps: asked, made_up: true, note: None }),
        Some(_) => {
            Err(format!("states its own rate, {fps:.3} pictures a second: --fps is for streams that state none"))
        }
        None if assumed => {
            let note =
                format!("states no frame rate: {DEFAULT_FPS} pictures a second are assumed (--fps says another)");
            Ok(ChosenRate { fps: DEFAULT_FPS, made_up: true, note: Some(note) })
        }
        None => Ok(ChosenRate { fps, made_up: false, note: None }),
    }
}

fn stream_facts(context: &Context, stream: &Stream, rate: ChosenRate) -> StreamFacts {
    let orientation = stream
        .side_data()
        .find(|data| data.kind() == StreamData::DisplayMatrix)
        .and_then(|data| Orientation::from_matrix(data.data()))
        .unwrap_or_default();
    let (ends_at, length) = stated_end(context);
    let (zero, zero_note) = zero(context);
    let mut notes: Vec<String> = rate.note.into_iter().chain(zero_note).collect();
    let films = context.streams().filter(is_film).count();
    if films > 1 {
        let number = context.streams().filter(is_film).take_while(|film| film.index() <= stream.index()).count();
        notes.push(format!("{films} video streams: number {number} is analyzed (--track takes another)"));
    }
    StreamFacts {
        parameters: stream.parameters(),
        time_base: stream.time_base(),
        display: Display { sample_aspect: believable_aspect(raw::stream_aspect(stream)), orientation },
        fps: rate.fps,
        clockless: rate.made_up,
        pushed: false,
        trusted: !rate.made_up && !raw::clock_may_jump(context),
        zero,
        duration_s: length.map(MediaTime::secs_f64),
        codec: stream.parameters().id().name(),
        ends_at,
        notes,
    }
}

/// Where players begin to count, on the container's own clock, and what to say of it. In MP4 and Matroska that is the zero of
/// their clock, whenever their first stream begins; elsewhere the clock's zero is arbitrary, so it is the first stream's start.
fn zero(context: &Context) -> (Option<MediaTime>, Option<String>) {
    let start = raw::container_start(context).and_then(|ticks| MediaTime::from_ticks(ticks, 1, raw::CONTAINER_TICKS));
    let from_zero = context.format().name().split(',').any(|name| COUNTED_FROM_ZERO.contains(&name));
    match start.filter(|_| from_zero) {
        Some(start) if start > LATEST_START => {
            let seconds = start.secs_f64();
            (Some(start), Some(format!("its clock begins at {seconds:.0} s: times count from its beginning")))
        }
        Some(_) => (Some(MediaTime::ZERO), None),
        None => (start, None),
    }
}

/// Where the container says that it ends, on its own clock, and how long it says that it is.
fn stated_end(context: &Context) -> (Option<MediaTime>, Option<MediaTime>) {
    let ticks = |ticks: i64| MediaTime::from_ticks(ticks, 1, raw::CONTAINER_TICKS);
    let start = raw::container_start(context).unwrap_or(0);
    match raw::container_length(context) {
        None => (None, None),
        // A file can't be shorter than what was measured in it.
        Some(Length::Measured(length)) => (None, ticks(length)),
        // Writers that let the clock begin late (FFmpeg's for Matroska and MP4) state the time of the end instead.
        Some(Length::Stated(end)) if end > start && ticks(start) > Some(SHORT_BY) => (ticks(end), ticks(end - start)),
        Some(Length::Stated(length)) => (ticks(length.saturating_add(start)), ticks(length)),
    }
}

/// A numbered run of image files, each of which is one packet.
pub(super) struct Images {
    sequence: ImageSequence,
    next: usize,
    interrupt: Interrupt,
}

impl Images {
    fn open(sequence: &ImageSequence, options: &OpenOptions) -> Result<(Packets, StreamFacts)> {
        let ticks = (options.image_fps * f64::from(IMAGE_TICKS)).round();
        if !(ticks >= 1.0 && ticks <= f64::from(i32::MAX)) {
            return Err(Error::Config(format!(
                "image rate {} must lie in [0.001, 1000] per second",
                options.image_fps
            )));
        }
        // The images' own rate, whatever --fps says of other inputs.
        let options = &OpenOptions { fps: None, track: None, ..options.clone() };
        let (container, mut facts) = Container::open(&Input::Images(sequence.clone()), options)?;
        facts.time_base = Rational(IMAGE_TICKS, ticks as i32);
        facts.fps = options.image_fps;
        (facts.clockless, facts.zero) = (false, None);
        facts.notes.clear();
        let span = sequence.files.last().map_or(0, |last| last.number - sequence.files[0].number + 1);
        facts.duration_s = Some(span as f64 / options.image_fps);
        facts.ends_at = None;
        facts.notes.push(format!("{} images at {} per second", sequence.files.len(), options.image_fps));
        Ok((
            Packets::Images(Self { sequence: sequence.clone(), next: 0, interrupt: container.interrupt.clone() }),
            facts,
        ))
    }

    fn fetch(&mut self) -> FetchedPacket {
        if self.interrupt.stopped() {
            return FetchedPacket::End(Some(ffmpeg::Error::Exit));
        }
        let Some(file) = self.sequence.files.get(self.next) else { return FetchedPacket::End(None) };
        self.next += 1;
        let small = std::fs::metadata(&file.path).is_ok_and(|meta| (1..=LARGEST_IMAGE).contains(&meta.len()));
        let Some(bytes) = small.then(|| std::fs::read(&file.path).ok()).flatten() else {
            return FetchedPacket::Fault(ffmpeg::Error::InvalidData);
        };
        let mut packet = Packet::copy(&bytes);
        let number = i64::try_from(file.number - self.sequence.files[0].number).unwrap_or(i64::MAX);
        packet.set_pts(Some(number));
        packet.set_dts(Some(number));
        packet.set_duration(1);
        packet.set_flags(ffmpeg::packet::Flags::KEY);
        FetchedPacket::Packet(packet)
    }
}
