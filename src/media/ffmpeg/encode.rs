//! A film from pictures: encoded by FFmpeg's own encoders into MP4, sound copied beside them.
//!
//! Invariants: every picture that is given becomes one frame at exactly the time that it is given (to a tick of the source's
//! own clock) and for exactly as long; no frame waits for a later one, so that times of showing are those of decoding; the
//! bytes of the sound are those of the source.

use super::raw::{self, Scaler};
use super::sound::{Sound, SoundPacket};
use super::{Clock, initialise};
use crate::units::{MediaTime, NANOS_PER_SECOND};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{Context, Flags, Id, threading};
use ffmpeg_next::color;
use ffmpeg_next::encoder::video::Encoder;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::format::context::{Output, StreamIo};
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Dictionary, Packet, Rational};
use std::collections::VecDeque;
use std::fs::File;
use std::io;

/// Encoders in the order in which they are tried: H.264, which every browser plays, then MPEG-4 part 2, which every FFmpeg
/// has.
pub const ENCODERS: [&str; 3] = ["libx264", "libopenh264", "mpeg4"];

/// The clock of encoders that know no finer one (MPEG-4 counts up to 65535 ticks a second).
const COARSE: Rational = Rational(1, 60_000);
/// Ticks a second that MPEG-4 counts at most.
const MPEG4_TICKS: i32 = 65_535;
/// Frames between key frames at most: two seconds of usual footage, so that a player gets anywhere quickly.
const KEY_FRAMES: u32 = 60;
/// MPEG-4's quantiser, of 31, in FFmpeg's units.
const MPEG4_QUALITY: i32 = 4 * ffmpeg::ffi::FF_QP2LAMBDA;
/// Bits of a pixel, for encoders that want a rate.
const BITS_OF_PIXEL: f64 = 0.12;

/// What a film will be.
#[derive(Debug, Clone, Copy)]
pub struct FilmOptions<'a> {
    /// Width and height, pixels; both even.
    pub size: (u32, u32),
    /// Usual frames a second; 0: not known.
    pub fps: f64,
    /// The source's clock.
    pub clock: Clock,
    /// FFmpeg's names of encoders, in the order in which they are tried: [`ENCODERS`].
    pub encoders: &'a [&'static str],
}

/// A finished film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Film {
    /// Frames.
    pub frames: u64,
    /// Packets of sound.
    pub sound_packets: u64,
    /// Packets of sound whose times do not go up, and that MP4 takes none of.
    pub sound_refused: u64,
}

/// A frame that the encoder has and that has not come out: its time on the encoder's clock, and its time and length on the
/// source's.
type Waiting = (i64, i64, i64);

/// A film that is being written.
pub struct FilmWriter {
    output: Output,
    encoder: Encoder,
    name: &'static str,
    scaler: Scaler,
    rgb: Video,
    /// The source's clock, the encoder's, and the file's.
    ticks: [Rational; 3],
    waiting: VecDeque<Waiting>,
    last: Option<(i64, i64)>,
    sound: Option<Sound>,
    /// Of each track of the sound, the file's clock and the last time of decoding.
    tracks: Vec<(Rational, i64)>,
    film: Film,
}

impl FilmWriter {
    /// Begins a film in an empty file; sound that MP4 does not carry is not in `sound` ([`Sound::open`]).
    ///
    /// # Errors
    /// When FFmpeg has none of the encoders, none of them takes such pictures, or the disk is full or fails.
    pub fn create(file: File, options: &FilmOptions<'_>, sound: Option<Sound>) -> io::Result<Self> {
        initialise();
        let (encoder, name, own_ticks) = encoder(options)?;
        let io = StreamIo::from_write_seek(file).map_err(system)?;
        let mut output = ffmpeg::format::output_to_stream(io, None, Some("mp4")).map_err(system)?;
        let source = options.clock.ticks;
        let mut stream = output.add_stream_with(&encoder).map_err(system)?;
        stream.set_time_base(source);
        for track in sound.iter().flat_map(Sound::tracks) {
            let mut stream = output.add_stream(None::<ffmpeg::Codec>).map_err(system)?;
            let mut parameters = track.parameters.clone();
            raw::set_picture(&mut parameters, None, 0);
            stream.set_parameters(parameters);
            stream.set_time_base(track.ticks);
        }
        let mut dictionary = Dictionary::new();
        // FLAC, Opus and the like in MP4 were called experimental for years.
        dictionary.set("strict", "experimental");
        output.write_header_with(dictionary).map_err(system)?;
        let base = |index| output.stream(index).map_or(source, |stream| stream.time_base());
        let tracks = (1..=sound.iter().flat_map(Sound::tracks).count()).map(|index| (base(index), i64::MIN)).collect();
        let ticks = [source, own_ticks, base(0)];
        Ok(Self {
            output,
            encoder,
            name,
            scaler: scaler(options.size)?,
            rgb: Video::new(Pixel::RGB24, options.size.0, options.size.1),
            ticks,
            waiting: VecDeque::new(),
            last: None,
            sound,
            tracks,
            film: Film { frames: 0, sound_packets: 0, sound_refused: 0 },
        })
    }

    /// FFmpeg's name of the encoder that was found.
    pub const fn encoder(&self) -> &'static str {
        self.name
    }

    /// Adds a picture of the film's size, tight RGB rows, on show from `time` to `end`.
    ///
    /// # Errors
    /// When it can't be encoded, or the disk is full or fails; nothing more can be written then.
    ///
    /// # Panics
    /// When the picture has another size: a fault of the caller.
    pub fn push(&mut self, rgb: &[u8], time: MediaTime, end: MediaTime) -> io::Result<()> {
        self.fill(rgb);
        let mut picture = Video::empty();
        self.scaler.run(&self.rgb, &mut picture).map_err(system)?;
        picture.set_color_space(color::Space::BT709);
        picture.set_color_range(color::Range::MPEG);
        let [source, own, _] = self.ticks;
        let after = |last: Option<i64>, tick: i64| last.map_or(tick, |last| tick.max(last + 1));
        let own_time = after(self.last.map(|last| last.0), to_ticks(time, own));
        let shown = after(self.last.map(|last| last.1), to_ticks(time, source));
        self.last = Some((own_time, shown));
        self.waiting.push_back((own_time, shown, (to_ticks(end, source) - shown).max(1)));
        picture.set_pts(Some(own_time));
        self.encoder.send_frame(&picture).map_err(system)?;
        self.drain()
    }

    /// Ends the film: what the encoder still has, the rest of the sound, the index.
    ///
    /// # Errors
    /// As [`FilmWriter::push`].
    pub fn finish(mut self) -> io::Result<Film> {
        self.encoder.send_eof().map_err(system)?;
        self.drain()?;
        self.sound_until(None)?;
        self.output.write_trailer().map_err(system)?;
        Ok(self.film)
    }

    fn fill(&mut self, rgb: &[u8]) {
        let row = self.rgb.width() as usize * 3;
        assert_eq!(rgb.len(), row * self.rgb.height() as usize, "a picture of the film's size");
        let stride = self.rgb.stride(0);
        let rows = self.rgb.data_mut(0).chunks_mut(stride);
        rows.zip(rgb.chunks_exact(row)).for_each(|(to, from)| to[..row].copy_from_slice(from));
    }

    /// Writes the frames that have come out.
    fn drain(&mut self) -> io::Result<()> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => self.frame(&mut packet)?,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
                Err(error) => return Err(system(error)),
            }
        }
    }

    fn frame(&mut self, packet: &mut Packet) -> io::Result<()> {
        let own_time = packet.pts();
        let at = self.waiting.iter().position(|waiting| Some(waiting.0) == own_time);
        let lost = || io::Error::other("the encoder gave a frame that it was not given");
        let (_, shown, length) = self.waiting.remove(at.ok_or_else(lost)?).ok_or_else(lost)?;
        self.sound_until(MediaTime::from_ticks(shown, self.ticks[0].0, self.ticks[0].1))?;
        packet.set_pts(Some(shown));
        packet.set_dts(Some(shown));
        packet.set_duration(length);
        packet.set_stream(0);
        packet.set_position(-1);
        packet.rescale_ts(self.ticks[0], self.ticks[2]);
        self.film.frames += 1;
        packet.write(&mut self.output).map(|_| ()).map_err(system)
    }

    /// Writes the sound up to a time; all that is left without one.
    fn sound_until(&mut self, time: Option<MediaTime>) -> io::Result<()> {
        while let Some(piece) = self.sound.as_mut().and_then(|sound| sound.next_before(time)) {
            let SoundPacket { track, mut packet, ticks } = piece;
            let (base, last) = &mut self.tracks[track];
            packet.rescale_ts(ticks, *base);
            packet.set_stream(track + 1);
            packet.set_position(-1);
            match packet.dts() {
                Some(dts) if dts > *last => *last = dts,
                // After a clock that was set anew, or without any time.
                _ => {
                    self.film.sound_refused += 1;
                    continue;
                }
            }
            match packet.write(&mut self.output) {
                Ok(_) => self.film.sound_packets += 1,
                Err(ffmpeg::Error::InvalidData) => self.film.sound_refused += 1,
                Err(error) => return Err(system(error)),
            }
        }
        Ok(())
    }
}

/// The first encoder that is there and takes such pictures, its name and its clock.
fn encoder(options: &FilmOptions<'_>) -> io::Result<(Encoder, &'static str, Rational)> {
    let mut failure = ffmpeg::Error::EncoderNotFound;
    for (name, codec) in options.encoders.iter().filter_map(|name| Some((*name, ffmpeg::encoder::find_by_name(name)?)))
    {
        let source = options.clock.ticks;
        let coarse = codec.id() == Id::MPEG4 && source.reduce().1 > MPEG4_TICKS;
        let ticks = if coarse { COARSE } else { source };
        match open(codec, options, ticks) {
            Ok(encoder) => return Ok((encoder, name, ticks)),
            Err(error) => failure = error,
        }
    }
    let (width, height) = options.size;
    Err(io::Error::other(format!(
        "no encoder of {} takes pictures of {width}×{height}: {failure}",
        options.encoders.join(", ")
    )))
}

fn open(codec: ffmpeg::Codec, options: &FilmOptions<'_>, ticks: Rational) -> Result<Encoder, ffmpeg::Error> {
    let mut context = Context::new_with_codec(codec);
    let mut threads = threading::Config::kind(threading::Type::Frame);
    threads.count = 0;
    context.set_threading(threads);
    let mut video = context.encoder().video()?;
    let (width, height) = options.size;
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::YUV420P);
    video.set_time_base(ticks);
    let fps = if (0.1..=1000.0).contains(&options.fps) { options.fps } else { super::DEFAULT_FPS };
    video.set_frame_rate(Some(Rational((fps * 1000.0).round() as i32, 1000)));
    video.set_gop(KEY_FRAMES);
    video.set_max_b_frames(0);
    video.set_colorspace(color::Space::BT709);
    video.set_color_range(color::Range::MPEG);
    video.set_color_primaries(color::Primaries::BT709);
    video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    let mut own = Dictionary::new();
    let mut flags = Flags::GLOBAL_HEADER;
    match codec.name() {
        "libx264" => [("preset", "veryfast"), ("crf", "21")].into_iter().for_each(|(key, value)| own.set(key, value)),
        _ if codec.id() == Id::MPEG4 => {
            flags |= Flags::QSCALE;
            video.set_global_quality(MPEG4_QUALITY);
        }
        _ => video.set_bit_rate((BITS_OF_PIXEL * f64::from(width) * f64::from(height) * fps) as usize),
    }
    video.set_flags(flags);
    video.open_with(own)
}

/// Full-range RGB to limited BT.709, as players take what is tagged so.
fn scaler((width, height): (u32, u32)) -> io::Result<Scaler> {
    let flags = scaling::Flags::BILINEAR;
    let context = scaling::Context::get(Pixel::RGB24, width, height, Pixel::YUV420P, width, height, flags);
    context.map(Scaler::to_bt709).map_err(system)
}

/// A time on a clock, the nearest tick.
pub(super) fn to_ticks(time: MediaTime, Rational(num, den): Rational) -> i64 {
    let unit = i128::from(num.max(1)) * i128::from(NANOS_PER_SECOND);
    let scaled = i128::from(time.nanos()) * i128::from(den);
    i64::try_from((scaled + scaled.signum() * unit / 2) / unit).unwrap_or(i64::MAX)
}

fn system(error: ffmpeg::Error) -> io::Error {
    match error {
        ffmpeg::Error::Other { errno } => io::Error::from_raw_os_error(errno),
        other => io::Error::other(other.to_string()),
    }
}
