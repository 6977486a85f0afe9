//! Clips of encoded packets: written as they come, without encoding anything anew.
//!
//! A clip that is being written can be killed at any moment: up to its last second it is readable as it is (fragmented
//! MP4, or Matroska in clusters of a second). [`seal`] then makes the file that players like best of it, with one index
//! of everything and a stated length.
//!
//! Rule: what FFmpeg's MP4 writer carries becomes MP4 (H.264, H.265, MPEG-1/2/4, Motion JPEG, VP9, AV1), everything else
//! Matroska (VP8, uncompressed pictures from a capture card).
//!
//! Invariants: a clip's first frame is a key frame at time 0; times of decoding go strictly up and are never later than
//! those of showing; frames that are shown before the first key frame are left out: they need packets that are not there.

use super::raw;
use super::tap::{PacketTap, Piece, Timed};
use crate::units::{MediaTime, NANOS_PER_SECOND};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{Id, Parameters};
use ffmpeg_next::format::context::{Input, Output, StreamIo};
use ffmpeg_next::{Dictionary, Packet, Rational};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The clock of clips whose own timestamps mean nothing.
const ARRIVAL_CLOCK: Rational = Rational(1, 90_000);
/// How FFmpeg's MP4 calls H.265 in the way that all players know.
const HVC1: u32 = u32::from_le_bytes(*b"hvc1");
/// What a first byte of 1 means in the header of H.264 and H.265: lengths before the units, not start codes.
const LENGTHS: u8 = 1;

/// Frames that are decoded before one that is shown before them, at most: the deepest common reordering.
const REORDERED: usize = 4;

/// What the writer of a clip must know of its packets.
pub struct ClipSource {
    pub(super) parameters: Parameters,
    pub(super) time_base: Rational,
    /// Times are those of the frames, not of the packets.
    pub(super) by_arrival: bool,
    /// The coded picture's size where it is not the one of the parameters.
    pub(super) size: Option<(u32, u32)>,
    /// The packet of the first key frame.
    pub(super) first: Arc<Packet>,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MP4.
    Mp4,
    /// Matroska.
    Matroska,
}

impl Container {
    /// The one that carries a codec.
    fn of(codec: Id) -> Self {
        if raw::mp4_carries(codec) { Self::Mp4 } else { Self::Matroska }
    }

    /// The end of the file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "mkv",
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
        }
    }

    /// What makes a file readable up to its last second, whatever happens to its writer.
    const fn killable(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Mp4 => &[
                ("movflags", "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"),
                ("frag_duration", "500000"),
                ("flush_packets", "1"),
            ],
            Self::Matroska => &[("cluster_time_limit", "500"), ("flush_packets", "1")],
        }
    }
}

impl PacketTap {
    /// The kind of file that clips of the current stream become; MP4 as long as no stream is known.
    pub fn container(&self) -> Container {
        self.codec().map_or(Container::Mp4, Container::of)
    }
}

impl ClipSource {
    /// The kind of file that its clip becomes.
    pub fn container(&self) -> Container {
        Container::of(self.parameters.id())
    }

    /// FFmpeg's name of the codec.
    pub fn codec(&self) -> &'static str {
        self.parameters.id().name()
    }
}

/// A clip that is being written.
pub struct ClipWriter {
    output: Output,
    from: Rational,
    to: Rational,
    by_arrival: bool,
    /// The first frame's time: in ticks of the packets, or by the camera's clock.
    origin: Option<(i64, MediaTime)>,
    last_dts: i64,
    /// End of the last shown frame, in ticks from the first.
    end: i64,
    /// Usual ticks of a frame: the distance of the last two.
    usual: i64,
    frames: u64,
    refused: u64,
    /// Times of showing that were not yet taken for times of decoding.
    shown: BinaryHeap<Reverse<i64>>,
}

impl ClipWriter {
    /// Begins a clip that survives the death of its writer.
    ///
    /// # Errors
    /// When the file can't be made or the container does not carry the codec.
    pub fn create(path: &Path, source: &ClipSource) -> io::Result<Self> {
        let container = source.container();
        let mut parameters = source.parameters.clone();
        let codec = parameters.id();
        let tag = if codec == Id::HEVC && container == Container::Mp4 { HVC1 } else { 0 };
        raw::set_picture(&mut parameters, source.size, tag);
        // The first packet's own parameter sets are those that hold for the clip: a camera may change them at any key
        // frame, what the stream said when it was opened is older.
        let starts_with_lengths = raw::extradata(&parameters).first() == Some(&LENGTHS);
        if matches!(codec, Id::H264 | Id::HEVC) && !starts_with_lengths {
            let sets = parameter_sets(source.first.data().unwrap_or_default(), codec);
            if !sets.is_empty() && !raw::set_extradata(&mut parameters, &sets) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
        let from = if source.by_arrival { ARRIVAL_CLOCK } else { source.time_base };
        let by_arrival = source.by_arrival;
        Ok(Self { by_arrival, ..Self::open(path, container, parameters, from, container.killable())? })
    }

    fn open(
        path: &Path,
        container: Container,
        parameters: Parameters,
        from: Rational,
        options: &[(&str, &str)],
    ) -> io::Result<Self> {
        let io = StreamIo::from_write_seek(File::create(path)?).map_err(system)?;
        let mut output = ffmpeg::format::output_to_stream(io, None, Some(container.format())).map_err(system)?;
        let mut stream = output.add_stream(None::<ffmpeg::Codec>).map_err(system)?;
        stream.set_parameters(parameters);
        stream.set_time_base(from);
        let mut dictionary = Dictionary::new();
        for (key, value) in options {
            dictionary.set(key, value);
        }
        output.write_header_with(dictionary).map_err(system)?;
        let to = output.stream(0).map_or(from, |stream| stream.time_base());
        let (last_dts, end, usual, frames, refused) = (i64::MIN, 0, 0, 0, 0);
        Ok(Self {
            output,
            from,
            to,
            by_arrival: false,
            origin: None,
            last_dts,
            end,
            usual,
            frames,
            refused,
            shown: BinaryHeap::new(),
        })
    }

    /// Writes packets, in the order of decoding.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing more can be written then.
    pub fn write(&mut self, piece: &Piece) -> io::Result<()> {
        piece.packets.iter().try_for_each(|timed| self.packet(timed))
    }

    /// Frames so far.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Packets that the container would not take because they are broken.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Length so far, seconds.
    pub fn duration_s(&self) -> f64 {
        self.end as f64 * f64::from(self.from)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.output.write_trailer().map_err(system)
    }

    fn packet(&mut self, (packet, time): &Timed) -> io::Result<()> {
        let Some((pts, dts)) = self.ticks(packet, *time) else { return Ok(()) };
        let mut packet: Packet = packet.as_ref().clone();
        packet.set_stream(0);
        packet.set_position(-1);
        // Strictly up, whatever the stream says.
        let dts = if dts > self.last_dts { dts } else { self.last_dts + 1 };
        let pts = pts.max(dts);
        if self.frames > 0 {
            self.usual = (dts - self.last_dts).max(1);
        }
        self.last_dts = dts;
        packet.set_pts(Some(pts));
        packet.set_dts(Some(dts));
        let duration = if self.by_arrival { 0 } else { packet.duration().max(0) };
        packet.set_duration(duration);
        self.end = self.end.max(pts + if duration > 0 { duration } else { self.usual });
        self.frames += 1;
        packet.rescale_ts(self.from, self.to);
        match packet.write(&mut self.output) {
            // What no player could read either; the next may be whole.
            Err(ffmpeg::Error::InvalidData) => {
                self.refused += 1;
                Ok(())
            }
            other => other.map(|_| ()).map_err(system),
        }
    }

    /// A packet's times from the clip's first frame; `None`: it does not belong in the clip.
    fn ticks(&mut self, packet: &Packet, time: Option<MediaTime>) -> Option<(i64, i64)> {
        if self.by_arrival {
            // A frame that was never shown has no time.
            let (_, start) = *self.origin.get_or_insert((0, time?));
            let nanos = i128::from(time?.since(start).nanos()) * i128::from(self.from.denominator());
            let ticks = i64::try_from(nanos / i128::from(NANOS_PER_SECOND)).ok()?;
            return Some((ticks, ticks));
        }
        let pts = packet.pts().or(packet.dts())?;
        let (first, _) = *self.origin.get_or_insert((pts, MediaTime::ZERO));
        let pts = pts.checked_sub(first).filter(|pts| *pts >= 0)?;
        let dts = packet.dts().and_then(|dts| dts.checked_sub(first));
        Some((pts, dts.unwrap_or_else(|| self.decoded_at(pts, packet.duration()))))
    }
}

impl ClipWriter {
    /// When a frame is decoded whose stream does not say it: frames are decoded in the order of the packets, at the times
    /// at which frames are shown, [`REORDERED`] frames earlier.
    fn decoded_at(&mut self, pts: i64, duration: i64) -> i64 {
        let frame = [duration, self.usual].into_iter().find(|ticks| *ticks > 0);
        let frame = frame.unwrap_or_else(|| (0.04 / f64::from(self.from)).round().max(1.0) as i64);
        while self.shown.len() < REORDERED {
            self.shown.push(Reverse(pts - (self.shown.len() as i64 + 1) * frame));
        }
        self.shown.push(Reverse(pts));
        self.shown.pop().map_or(pts, |Reverse(earliest)| earliest)
    }
}

/// What a finished clip holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sealed {
    /// Frames.
    pub frames: u64,
    /// Length, seconds.
    pub duration_s: f64,
}

/// Makes a finished clip of one that was being written, whether or not its writer lived to close it.
///
/// # Errors
/// When there is no whole frame in it, or the disk is full or fails; `to` may then be there in part.
pub fn seal(part: &Path, to: &Path) -> io::Result<Sealed> {
    let mut input = open(part)?;
    let stream = input.stream(0).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut parameters = stream.parameters().clone();
    let container = Container::of(parameters.id());
    let tag = if parameters.id() == Id::HEVC && container == Container::Mp4 { HVC1 } else { 0 };
    raw::set_picture(&mut parameters, None, tag);
    let mut writer = ClipWriter::open(to, container, parameters, stream.time_base(), &[])?;
    each_whole(&mut input, |packet| writer.packet(&(Arc::new(packet), None)))?;
    let sealed = Sealed { frames: writer.frames, duration_s: writer.duration_s() };
    if sealed.frames == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    writer.finish()?;
    File::open(to)?.sync_all()?;
    Ok(sealed)
}

/// What is in a clip, finished or not.
///
/// # Errors
/// When there is no whole frame in it, or it can't be read.
pub fn measure(clip: &Path) -> io::Result<Sealed> {
    let mut input = open(clip)?;
    let time_base = input.stream(0).ok_or(io::ErrorKind::UnexpectedEof)?.time_base();
    let (mut frames, mut first, mut end) = (0, i64::MAX, i64::MIN);
    each_whole(&mut input, |packet| {
        let pts = packet.pts().or(packet.dts()).unwrap_or(0);
        (frames, first, end) = (frames + 1, first.min(pts), end.max(pts + packet.duration().max(0)));
        Ok(())
    })?;
    let empty = io::ErrorKind::UnexpectedEof;
    let ticks = end.checked_sub(first).filter(|_| frames > 0).ok_or(empty)?;
    Ok(Sealed { frames, duration_s: ticks as f64 * f64::from(time_base) })
}

fn open(path: &Path) -> io::Result<Input> {
    super::initialise();
    let io = StreamIo::from_read_seek(File::open(path)?).map_err(system)?;
    ffmpeg::format::input_from_stream(io, None, Some(super::trust::own_clip())).map_err(system)
}

/// Reads packets up to the end, or to where the writer died.
fn each_whole(input: &mut Input, mut each: impl FnMut(Packet) -> io::Result<()>) -> io::Result<()> {
    loop {
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) if packet.is_corrupt() || packet.size() == 0 => {}
            Ok(()) => each(packet)?,
            Err(_) => return Ok(()),
        }
    }
}

/// The parameter sets among the units of a packet in which start codes (`00 00 01`) divide them, each with its start
/// code: types 7 and 8 of H.264 (ITU-T H.264, table 7-1), 32 to 34 of H.265 (ITU-T H.265, table 7-1).
fn parameter_sets(data: &[u8], codec: Id) -> Vec<u8> {
    let starts: Vec<usize> = data.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let mut sets = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let unit = &data[start + 3..end];
        let Some(&header) = unit.first() else { continue };
        let wanted = match codec {
            Id::H264 => matches!(header & 0x1f, 7 | 8),
            _ => matches!((header >> 1) & 0x3f, 32..=34),
        };
        if wanted {
            let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            sets.extend_from_slice(&[0, 0, 0, 1]);
            sets.extend_from_slice(&unit[..length]);
        }
    }
    sets
}

fn system(error: ffmpeg::Error) -> io::Error {
    match error {
        ffmpeg::Error::Other { errno } => io::Error::from_raw_os_error(errno),
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_without_times_of_decoding_get_some_that_go_up_and_leading_ones_are_left_out() {
        crate::media::ffmpeg::initialise();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip");
        let mut parameters = Parameters::new();
        parameters.set_medium(ffmpeg::media::Type::Video);
        parameters.set_id(Id::MPEG4);
        raw::set_picture(&mut parameters, Some((16, 16)), 0);
        let mut writer = ClipWriter::open(&path, Container::Mp4, parameters, Rational(1, 25), &[]).unwrap();
        // Shown in another order than decoded; the second is shown before the first, which is the key frame.
        let mut decoded = Vec::new();
        for pts in [10, 8, 13, 11, 12, 14] {
            let mut packet = Packet::copy(&[0, 0, 1, 0xb6]);
            packet.set_pts(Some(pts));
            packet.set_duration(1);
            writer.packet(&(Arc::new(packet), None)).unwrap();
            decoded.push(writer.last_dts);
        }
        assert_eq!(decoded, [-4, -4, -3, -2, -1, 0]);
        assert_eq!((writer.frames(), writer.refused(), writer.duration_s()), (5, 0, 0.2));
        writer.finish().unwrap();
        let measured = measure(&path).unwrap();
        assert_eq!((measured.frames, (measured.duration_s * 25.0).round()), (5, 5.0));
    }

    #[test]
    fn parameter_sets_are_found_and_nothing_else() {
        let h264 = [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 9];
        let sets = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3];
        assert_eq!(parameter_sets(&h264, Id::H264), sets);
        let h265 = [0, 0, 1, 0x40, 1, 5, 0, 0, 1, 0x42, 1, 6, 0, 0, 1, 0x44, 1, 7, 0, 0, 1, 0x26, 1, 8];
        let sets = [0, 0, 0, 1, 0x40, 1, 5, 0, 0, 0, 1, 0x42, 1, 6, 0, 0, 0, 1, 0x44, 1, 7];
        assert_eq!(parameter_sets(&h265, Id::HEVC), sets);
        for nothing in [&[][..], &[0, 0, 1], &[1, 2, 3, 4], &[0, 0, 0, 0]] {
            assert!(parameter_sets(nothing, Id::H264).is_empty());
        }
    }
}
