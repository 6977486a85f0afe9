//! A short memory of a camera's encoded packets, so that a clip can begin before the event that it shows.
//!
//! The demuxer puts every packet of the video stream here; whoever reads the frames tells where each of them lies on the
//! camera's clock. A *run* is an unbroken row of packets of one connection and one format: a new connection, another
//! picture size or a clock that was set anew begin the next.
//!
//! Invariants: what is kept begins with a key frame (or with the first packets of a run that was joined in its middle)
//! and is never larger than [`TapLimits::bytes`]; numbers of packets go up by one without holes; a packet's run only
//! changes while nobody has seen its frame.

use super::clip::ClipSource;
use crate::units::MediaTime;
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::{Packet, Rational};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a packet takes beside its data, bytes: FFmpeg's packet, its padding, the entry here.
const OVERHEAD: usize = 384;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapLimits {
    /// At least so much, as far as the bytes allow it; whole groups of pictures more.
    pub span: Duration,
    /// Never more, bytes.
    pub bytes: usize,
}

/// The memory of one camera; shared by its demuxer and by the writer of its clips.
pub struct PacketTap {
    limits: TapLimits,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Kept>,
    /// Numbers of the key frames among them.
    keys: VecDeque<u64>,
    bytes: usize,
    next: u64,
    runs: VecDeque<Run>,
    /// Number of the current run; 0 before the first.
    run: u64,
}

struct Run {
    number: u64,
    parameters: Parameters,
    time_base: Rational,
    by_arrival: bool,
    size: Option<(u32, u32)>,
    over: bool,
}

struct Kept {
    number: u64,
    run: u64,
    packet: Arc<Packet>,
    /// When its frame is shown, by the camera's clock; `None` until it is (and for good if its frame was damaged).
    time: Option<MediaTime>,
    arrived: Instant,
}

/// A place in the memory from which a clip is read on.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    run: u64,
    next: u64,
    /// Latest timestamp so far.
    reach: i64,
    /// Time of the last frame so far.
    shown: MediaTime,
    /// Time of the clip's first frame by the camera's clock.
    pub start: MediaTime,
}

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// More will come.
    NotYet,
    /// All that was asked for is here.
    All,
    /// The run is over before that.
    RunOver,
    /// The memory was too small: packets are gone that were not read.
    Lost,
}

/// A packet and the time of its frame by the camera's clock, where it is known.
pub(super) type Timed = (Arc<Packet>, Option<MediaTime>);

/// What was read.
pub struct Piece {
    pub(super) packets: Vec<Timed>,
    /// Why nothing more is in it.
    pub reached: Reached,
}

impl PacketTap {
    /// An empty memory.
    pub fn new(limits: TapLimits) -> Self {
        Self { limits, ring: Mutex::default() }
    }

    /// Bytes that are kept, with what packets take beside their data.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The current connection's timestamps mean nothing: its clips take the times of the frames.
    pub fn by_arrival(&self) {
        if let Some(run) = self.lock().runs.back_mut() {
            run.by_arrival = true;
        }
    }

    /// Where a clip begins that shows `onset` and, as far as there are packets, everything from `from` on: at the last
    /// key frame before `from`, else at the first one of the run in which `onset` lies. Also what its writer must know.
    pub fn cut(&self, from: MediaTime, onset: MediaTime) -> Option<(Cut, ClipSource)> {
        let ring = self.lock();
        let timed = ring.kept.iter().filter_map(|kept| kept.time.map(|time| (time, kept)));
        let shown = timed.clone().filter(|(time, _)| *time <= onset).max_by_key(|(time, _)| *time);
        let (_, shown) = shown.or_else(|| timed.clone().min_by_key(|(time, _)| *time))?;
        let run = ring.runs.iter().find(|run| run.number == shown.run)?;
        let mut keys = timed.filter(|(_, kept)| kept.run == run.number && kept.packet.is_key());
        let first = keys.clone().next();
        let (start, kept) = keys.rfind(|(time, _)| *time <= from).or(first)?;
        let cut = Cut { run: run.number, next: kept.number, reach: i64::MIN, shown: start, start };
        let source = ClipSource {
            parameters: run.parameters.clone(),
            time_base: run.time_base,
            by_arrival: run.by_arrival,
            size: run.size,
            first: Arc::clone(&kept.packet),
        };
        Some((cut, source))
    }

    /// FFmpeg's identifier of the current run's codec.
    pub(super) fn codec(&self) -> Option<ffmpeg_next::codec::Id> {
        self.lock().runs.back().map(|run| run.parameters.id())
    }

    /// What follows the cut, in the order of decoding, up to the last frame that is shown before `until`; moves the cut.
    pub fn read(&self, cut: &mut Cut, until: MediaTime) -> Piece {
        let ring = self.lock();
        let front = ring.kept.front().map_or(ring.next, |kept| kept.number);
        if front > cut.next {
            return Piece { packets: Vec::new(), reached: Reached::Lost };
        }
        let rest = ring.kept.iter().skip((cut.next - front) as usize);
        let rest: Vec<&Kept> = rest.take_while(|kept| kept.run == cut.run).collect();
        let is_past = |kept: &&Kept| kept.time.is_some_and(|time| time >= until);
        let over = ring.run != cut.run || ring.runs.back().is_none_or(|run| run.over);
        let wanted = rest.iter().rposition(|kept| kept.time.is_some_and(|time| time < until)).map_or(0, |at| at + 1);
        let (count, reached) = if cut.shown >= until || rest.iter().any(is_past) {
            // Frames that are shown between those that are wanted and decoded after them are wanted too.
            let reach = rest[..wanted].iter().filter_map(|kept| stamp(&kept.packet)).fold(cut.reach, i64::max);
            let more = rest[wanted..].iter().position(|kept| stamp(&kept.packet).is_none_or(|pts| pts > reach));
            match more {
                Some(more) => (wanted + more, Reached::All),
                None if over => (rest.len(), Reached::All),
                None => (0, Reached::NotYet),
            }
        } else if over {
            // What was never shown may be torn: it stays out.
            let shown = rest.iter().rposition(|kept| kept.time.is_some()).map_or(0, |at| at + 1);
            (shown, Reached::RunOver)
        } else {
            (wanted, Reached::NotYet)
        };
        cut.reach = rest[..count].iter().filter_map(|kept| stamp(&kept.packet)).fold(cut.reach, i64::max);
        cut.shown = rest[..count].iter().filter_map(|kept| kept.time).fold(cut.shown, MediaTime::max);
        cut.next += count as u64;
        let packets = rest[..count].iter().map(|kept| (Arc::clone(&kept.packet), kept.time)).collect();
        Piece { packets, reached }
    }

    /// A connection begins.
    pub(super) fn begin(&self, parameters: Parameters, time_base: Rational) {
        let mut ring = self.lock();
        let number = ring.run + 1;
        ring.begin(Run { number, parameters, time_base, by_arrival: false, size: None, over: false });
    }

    /// The connection is over.
    pub(super) fn end(&self) {
        if let Some(run) = self.lock().runs.back_mut() {
            run.over = true;
        }
    }

    /// Keeps a packet.
    pub(super) fn push(&self, packet: &Packet) {
        let size = packet.size() + OVERHEAD;
        let mut ring = self.lock();
        let (number, run) = (ring.next, ring.run);
        ring.next += 1;
        // What can't be decoded without packets that are gone is of no use.
        if size > self.limits.bytes || (ring.kept.is_empty() && !packet.is_key()) {
            ring.clear();
            return;
        }
        if packet.is_key() {
            ring.keys.push_back(number);
        }
        let packet = Arc::new(packet.clone());
        ring.kept.push_back(Kept { number, run, packet, time: None, arrived: Instant::now() });
        ring.bytes += size;
        ring.trim(self.limits);
    }

    /// The frame with this timestamp is shown at this time of the camera's.
    pub(super) fn place(&self, timestamp: i64, time: MediaTime) {
        let mut ring = self.lock();
        if let Some(kept) = ring.kept.iter_mut().rev().find(|kept| stamp(&kept.packet) == Some(timestamp)) {
            kept.time = Some(time);
        }
    }

    /// With the frame of this timestamp another run begins: another size of the coded picture, or a clock set anew.
    pub(super) fn split(&self, timestamp: Option<i64>, size: (u32, u32)) {
        let mut ring = self.lock();
        let Some(old) = ring.runs.back() else { return };
        let (number, parameters) = (ring.run + 1, old.parameters.clone());
        let run = Run { number, parameters, size: Some(size), over: false, ..*old };
        let found = ring.kept.iter().rposition(|kept| timestamp.is_some() && stamp(&kept.packet) == timestamp);
        if let Some(found) = found {
            // The frames before it are shown already; its own group of pictures begins with the last key frame after.
            let unseen = ring.kept.iter().take(found + 1).rposition(|kept| kept.time.is_some()).map_or(0, |at| at + 1);
            let key = (unseen..=found).rev().find(|&at| ring.kept[at].packet.is_key());
            let first = key.unwrap_or(found);
            ring.kept.iter_mut().skip(first).for_each(|kept| kept.run = number);
        }
        ring.begin(run);
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PacketTap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketTap").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Ring {
    fn begin(&mut self, run: Run) {
        self.run = run.number;
        self.runs.push_back(run);
        self.forget_runs();
    }

    /// Drops whole groups of pictures from the front.
    fn trim(&mut self, limits: TapLimits) {
        while let (Some(front), Some(newest)) = (self.kept.front(), self.kept.back()) {
            // The first key frame that is not at the very front.
            let key = self.keys.iter().copied().find(|key| *key > front.number);
            let too_large = self.bytes > limits.bytes;
            match key.map(|key| (key - front.number) as usize) {
                Some(count) if too_large || self.is_older(&self.kept[count], newest, limits.span) => self.drop(count),
                None if too_large => self.clear(),
                _ => break,
            }
        }
        self.forget_runs();
    }

    /// Whether a packet came more than `span` before another: by the stream's own clock within a run, else by ours.
    fn is_older(&self, kept: &Kept, newest: &Kept, span: Duration) -> bool {
        let by_stream = || {
            let run = self.runs.back().filter(|run| kept.run == run.number && newest.run == run.number)?;
            let ticks = newest.packet.dts()?.checked_sub(kept.packet.dts()?)?;
            let away = MediaTime::from_ticks(ticks, run.time_base.numerator(), run.time_base.denominator())?;
            u64::try_from(away.nanos()).ok().filter(|_| !run.by_arrival).map(Duration::from_nanos)
        };
        by_stream().unwrap_or_else(|| newest.arrived.duration_since(kept.arrived)) > span
    }

    fn drop(&mut self, count: usize) {
        for kept in self.kept.drain(..count) {
            self.bytes -= kept.packet.size() + OVERHEAD;
        }
        let front = self.kept.front().map_or(self.next, |kept| kept.number);
        while self.keys.front().is_some_and(|key| *key < front) {
            self.keys.pop_front();
        }
    }

    fn clear(&mut self) {
        self.drop(self.kept.len());
    }

    /// Runs without packets, but for the current one.
    fn forget_runs(&mut self) {
        let first = self.kept.front().map_or(self.run, |kept| kept.run);
        self.runs.retain(|run| run.number >= first);
    }
}

/// A packet's timestamp as its frame will carry it.
fn stamp(packet: &Packet) -> Option<i64> {
    packet.pts().or(packet.dts())
}
