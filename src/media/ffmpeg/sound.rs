//! The sound of a file as its packets, for a film that is made of it: opened beside the pictures, copied as it is.

use super::demux::FAULTS_IN_A_ROW;
use super::encode::to_ticks;
use super::interrupt::Interrupt;
use super::opening;
use super::{Clock, OpenOptions, initialise, raw};
use crate::error::Result;
use crate::media::open::Input;
use crate::units::MediaTime;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::context::Input as Context;
use ffmpeg_next::{Packet, Rational};

/// A track of sound.
pub(super) struct SoundTrack {
    index: usize,
    pub(super) parameters: Parameters,
    pub(super) ticks: Rational,
    /// Where the pictures' time zero lies on its clock, in its ticks.
    zero: i64,
}

/// A packet of sound.
pub(super) struct SoundPacket {
    /// Which track, counted from 0.
    pub(super) track: usize,
    /// Its times count from the pictures' zero, in ticks of the track.
    pub(super) packet: Packet,
    pub(super) ticks: Rational,
}

/// The sound of a file.
pub struct Sound {
    input: Context,
    tracks: Vec<SoundTrack>,
    interrupt: Interrupt,
    /// Read, and not yet due.
    pending: Option<SoundPacket>,
}

/// What a file has of sound.
pub struct OpenedSound {
    /// What MP4 carries of it; `None`: nothing.
    pub sound: Option<Sound>,
    /// FFmpeg's names of the codecs of what it does not carry.
    pub left_out: Vec<&'static str>,
}

impl Sound {
    /// Opens the sound of a file whose pictures are read with `clock`; a sequence of pictures has none.
    ///
    /// # Errors
    /// As for the pictures: [`crate::Error::Input`], or [`crate::Error::Stopped`].
    pub fn open(input: &Input, options: &OpenOptions, clock: Clock) -> Result<OpenedSound> {
        let mut heard = OpenedSound { sound: None, left_out: Vec::new() };
        let (Input::File(_), Some(zero)) = (input, clock.zero) else { return Ok(heard) };
        initialise();
        let interrupt = Interrupt::new(options.stop.clone(), Some(options.timeout));
        let context = opening::open(input, options, &interrupt)?;
        let mut tracks = Vec::new();
        for stream in context.streams().filter(|s| s.parameters().medium() == ffmpeg::media::Type::Audio) {
            let (parameters, ticks) = (stream.parameters(), stream.time_base());
            if raw::mp4_carries(parameters.id()) {
                tracks.push(SoundTrack { index: stream.index(), parameters, ticks, zero: to_ticks(zero, ticks) });
            } else {
                heard.left_out.push(parameters.id().name());
            }
        }
        heard.sound = (!tracks.is_empty()).then_some(Self { input: context, tracks, interrupt, pending: None });
        Ok(heard)
    }

    pub(super) fn tracks(&self) -> &[SoundTrack] {
        &self.tracks
    }

    /// The next packet that is decoded before `time`; without one, the next. `None`: none is due, or there is no more, be
    /// it because the rest can't be read.
    pub(super) fn next_before(&mut self, time: Option<MediaTime>) -> Option<SoundPacket> {
        let piece = match self.pending.take() {
            Some(piece) => piece,
            None => self.read()?,
        };
        let begins = piece.packet.dts().and_then(|at| MediaTime::from_ticks(at, piece.ticks.0, piece.ticks.1));
        if time.zip(begins).is_some_and(|(time, begins)| begins > time) {
            self.pending = Some(piece);
            return None;
        }
        Some(piece)
    }

    fn read(&mut self) -> Option<SoundPacket> {
        let mut faults = 0;
        while !self.interrupt.stopped() && faults < FAULTS_IN_A_ROW {
            let mut packet = Packet::empty();
            self.interrupt.arm();
            match packet.read(&mut self.input) {
                Ok(()) => {}
                // Damage; the pictures' reader passes over it too and says so.
                Err(ffmpeg::Error::InvalidData) => {
                    faults += 1;
                    continue;
                }
                Err(_) => return None,
            }
            let Some(track) = self.tracks.iter().position(|track| track.index == packet.stream()) else { continue };
            let (ticks, zero) = (self.tracks[track].ticks, self.tracks[track].zero);
            let moved = |time: Option<i64>| time.and_then(|time| time.checked_sub(zero));
            packet.set_pts(moved(packet.pts()));
            packet.set_dts(moved(packet.dts()));
            return Some(SoundPacket { track, packet, ticks });
        }
        None
    }
}
