//! From an input to the packets of its video stream.
//!
//! Invariant: a packet, a fault that reading can go on after, and the end are three different answers; an error of the
//! medium never looks like an end.

use super::convert::{Display, Orientation, believable_aspect};
use super::pipe::{self, PipeReader};
use super::raw::Length;
use super::tap::PacketTap;
use super::watch::Watch;
use super::{OpenOptions, RtspTransport, capture, explain, raw};
use crate::error::{Error, Result};
use crate::media::open::{CAMERA, ImageSequence, Input};
use crate::units::MediaTime;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::packet::side_data::Type as StreamData;
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::{Dictionary, Packet, Rational, Stream};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Faults in a row after which a demuxer is taken to have nothing more: each fault normally skips some bytes, so a
/// thousand without one packet between them is a demuxer that doesn't move.
const FAULTS_IN_A_ROW: u32 = 1000;
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
/// Images larger than this aren't read: a file that big under an image's name is something else.
const LARGEST_IMAGE: u64 = 1 << 30;

/// One answer of [`Packets::fetch`].
pub(super) enum Fetched {
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
    pub(super) fn fetch(&mut self) -> Fetched {
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
            Self::Container(container) => container.watch.stopped(),
            Self::Images(images) => images.watch.stopped(),
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
    input: ffmpeg::format::context::Input,
    stream: usize,
    furthest: Option<MediaTime>,
    faults_in_a_row: u32,
    watch: Watch,
    tap: Option<Arc<PacketTap>>,
}

impl Container {
    fn open(input: &Input, options: &OpenOptions) -> Result<(Self, StreamFacts)> {
        let timeout = matches!(input, Input::Url(_)).then_some(options.timeout);
        let watch = Watch::new(options.stop.clone(), timeout);
        watch.arm();
        let opened = match input {
            Input::File(path) => open_path(path, &watch),
            Input::Stdin => open_stdin(&watch),
            Input::Url(url) if url.starts_with(CAMERA) => capture::open(Path::new(&url[CAMERA.len()..])),
            Input::Url(url) => open_url(url, options, &watch),
            Input::Images(sequence) => open_path(&sequence.files[0].path, &watch),
        };
        let context = opened.map_err(|failure| match failure {
            _ if watch.stopped() => Error::Stopped,
            OpenFailure::Ours(reason) => Error::input(input.to_string(), reason),
            OpenFailure::Ffmpeg(error) => explain::not_opened(input, error, options.timeout),
        })?;
        explain::refuse_text_art(input, context.format().name())?;
        let stream = best_video(&context).ok_or_else(|| explain::no_video(input, &context))?;
        let facts = stream_facts(&context, &stream);
        let stream = stream.index();
        let tap = options.tap.clone();
        if let Some(tap) = &tap {
            tap.begin(facts.parameters.clone(), facts.time_base);
        }
        Ok((Self { input: context, stream, furthest: None, faults_in_a_row: 0, watch, tap }, facts))
    }

    fn fetch(&mut self) -> Fetched {
        loop {
            let mut packet = Packet::empty();
            self.watch.arm();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    self.faults_in_a_row = 0;
                    self.note_reach(&packet);
                    if packet.stream() == self.stream {
                        if let Some(tap) = &self.tap {
                            tap.push(&packet);
                        }
                        return Fetched::Packet(packet);
                    }
                }
                Err(ffmpeg::Error::Eof) => return Fetched::End(None),
                Err(ffmpeg::Error::InvalidData) if self.faults_in_a_row < FAULTS_IN_A_ROW => {
                    self.faults_in_a_row += 1;
                    return Fetched::Fault(ffmpeg::Error::InvalidData);
                }
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) if !self.watch.gives_up() => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => return Fetched::End(Some(error)),
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

/// Why something could not be opened.
pub(super) enum OpenFailure {
    /// Known without asking FFmpeg.
    Ours(String),
    /// What FFmpeg said.
    Ffmpeg(ffmpeg::Error),
}

impl From<ffmpeg::Error> for OpenFailure {
    fn from(error: ffmpeg::Error) -> Self {
        Self::Ffmpeg(error)
    }
}

pub(super) type Opened = std::result::Result<ffmpeg::format::context::Input, OpenFailure>;

fn open_path(path: &Path, watch: &Watch) -> Opened {
    explain::check_file(path).map_err(OpenFailure::Ours)?;
    let asked = watch.clone();
    let interrupt = move || asked.gives_up();
    if pipe::is_fifo(path) {
        let reader = PipeReader::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
        let io = StreamIo::from_read(reader)?;
        return Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, None, interrupt)?);
    }
    match path.to_str() {
        // `file:` keeps a colon in a name from being read as a protocol.
        Some(name) if !name.contains(['%', '\0']) => {
            let url = PathBuf::from(format!("file:{name}"));
            Ok(ffmpeg::format::input_with_interrupt_and_dictionary(&url, interrupt, Dictionary::new())?)
        }
        // Names that FFmpeg would take for a pattern, or can't take at all: it gets the open file instead.
        _ => {
            let file = std::fs::File::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
            Ok(ffmpeg::format::input_from_stream_with_interrupt(
                StreamIo::from_read_seek(file)?,
                None,
                None,
                interrupt,
            )?)
        }
    }
}

fn open_stdin(watch: &Watch) -> Opened {
    let name = Path::new("/dev/stdin");
    if std::io::stdin().is_terminal() {
        return Err(OpenFailure::Ours("nothing is piped in: use it as `… | startle analyze -`".into()));
    }
    if std::fs::metadata(name).is_ok_and(|meta| meta.is_file()) {
        return open_path(name, watch);
    }
    let io = match PipeReader::open(name) {
        Ok(reader) if pipe::is_fifo(name) => StreamIo::from_read(reader)?,
        _ => StreamIo::from_read(std::io::stdin())?,
    };
    let asked = watch.clone();
    Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, None, move || asked.gives_up())?)
}

fn open_url(url: &str, options: &OpenOptions, watch: &Watch) -> Opened {
    if url.contains('\0') {
        return Err(OpenFailure::Ours("the address holds a zero byte".into()));
    }
    ffmpeg::format::network::init();
    let microseconds = options.timeout.as_micros().to_string();
    let mut dictionary = Dictionary::new();
    dictionary.set("rw_timeout", &microseconds);
    if url.starts_with("rtsp") {
        dictionary.set("timeout", &microseconds);
        match options.rtsp_transport {
            RtspTransport::Auto => dictionary.set("rtsp_flags", "prefer_tcp"),
            RtspTransport::Tcp => dictionary.set("rtsp_transport", "tcp"),
            RtspTransport::Udp => dictionary.set("rtsp_transport", "udp"),
        }
    }
    let asked = watch.clone();
    Ok(ffmpeg::format::input_with_interrupt_and_dictionary(url, move || asked.gives_up(), dictionary)?)
}

/// FFmpeg's choice among the video streams, cover art left out.
fn best_video(context: &ffmpeg::format::context::Input) -> Option<Stream<'_>> {
    let is_film = |stream: &Stream| {
        stream.parameters().medium() == ffmpeg::media::Type::Video
            && !stream.disposition().contains(Disposition::ATTACHED_PIC)
    };
    let area = |stream: &Stream| {
        let (width, height) = raw::stream_size(stream);
        i64::from(width) * i64::from(height)
    };
    let best = context.streams().best(ffmpeg::media::Type::Video).filter(is_film);
    best.or_else(|| context.streams().filter(is_film).max_by_key(area))
}

fn stream_facts(context: &ffmpeg::format::context::Input, stream: &Stream) -> StreamFacts {
    let orientation = stream
        .side_data()
        .find(|data| data.kind() == StreamData::DisplayMatrix)
        .and_then(|data| Orientation::from_matrix(data.data()))
        .unwrap_or_default();
    let known = |rate: Rational, highest: f64| Some(f64::from(rate)).filter(|fps| (LOWEST_FPS..=highest).contains(fps));
    let fps = known(stream.avg_frame_rate(), HIGHEST_FPS).or_else(|| known(stream.rate(), HIGHEST_GUESS));
    let (ends_at, length) = stated_end(context);
    let mut notes = Vec::new();
    let others = context.streams().filter(|s| s.parameters().medium() == ffmpeg::media::Type::Video).count();
    if others > 1 {
        notes.push(format!("{others} video streams: stream {} is analysed", stream.index()));
    }
    StreamFacts {
        parameters: stream.parameters(),
        time_base: stream.time_base(),
        display: Display { sample_aspect: believable_aspect(raw::stream_aspect(stream)), orientation },
        fps: fps.unwrap_or(0.0),
        duration_s: length.map(MediaTime::secs_f64),
        codec: stream.parameters().id().name(),
        ends_at,
        notes,
    }
}

/// Where the container says that it ends, on its own clock, and how long it says that it is.
fn stated_end(context: &ffmpeg::format::context::Input) -> (Option<MediaTime>, Option<MediaTime>) {
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
    watch: Watch,
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
        let (container, mut facts) = Container::open(&Input::Images(sequence.clone()), options)?;
        facts.time_base = Rational(IMAGE_TICKS, ticks as i32);
        facts.fps = options.image_fps;
        let span = sequence.files.last().map_or(0, |last| last.number - sequence.files[0].number + 1);
        facts.duration_s = Some(span as f64 / options.image_fps);
        facts.ends_at = None;
        facts.notes.push(format!("{} images at {} per second", sequence.files.len(), options.image_fps));
        Ok((Packets::Images(Self { sequence: sequence.clone(), next: 0, watch: container.watch.clone() }), facts))
    }

    fn fetch(&mut self) -> Fetched {
        if self.watch.stopped() {
            return Fetched::End(Some(ffmpeg::Error::Exit));
        }
        let Some(file) = self.sequence.files.get(self.next) else { return Fetched::End(None) };
        self.next += 1;
        let small = std::fs::metadata(&file.path).is_ok_and(|meta| (1..=LARGEST_IMAGE).contains(&meta.len()));
        let Some(bytes) = small.then(|| std::fs::read(&file.path).ok()).flatten() else {
            return Fetched::Fault(ffmpeg::Error::InvalidData);
        };
        let mut packet = Packet::copy(&bytes);
        let number = i64::try_from(file.number - self.sequence.files[0].number).unwrap_or(i64::MAX);
        packet.set_pts(Some(number));
        packet.set_dts(Some(number));
        packet.set_duration(1);
        packet.set_flags(ffmpeg::packet::Flags::KEY);
        Fetched::Packet(packet)
    }
}
