//! Only whole frames: what the decoder had to make up, and what was predicted from that, is passed over and remembered
//! as damage.
//!
//! Invariant: a frame given out is one that the decoder didn't complain of, and between it and the damage before it
//! lies a key frame (or, in streams without key frames, [`RESYNC_FRAMES`] frames).

use super::OpenOptions;
use super::decode::{Decoder, Pulled};
use super::demux::{Packets, StreamFacts};
use crate::media::timeline::FrameStamp;
use crate::units::MediaTime;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::frame::Video;

/// After damage, frames are held back until a key frame, but no more than this many: x264's default distance between
/// key frames is 250, and streams with periodic intra refresh have none at all.
const RESYNC_FRAMES: u64 = 300;

/// One answer of [`WholeFrames::next`].
pub(super) enum Next {
    /// A frame that may be shown.
    Frame(Video, FrameStamp),
    /// Nothing follows: the regular end, or the error that ended it.
    End(Option<ffmpeg::Error>),
    /// A stop was asked for.
    Stopped,
}

/// The whole frames of one video stream.
pub(super) struct WholeFrames {
    packets: Packets,
    decoder: Decoder,
    decoded: u64,
    damaged: bool,
    hold_back: u64,
    faults: u64,
    last_error: Option<ffmpeg::Error>,
}

impl WholeFrames {
    /// Makes the decoder for a stream.
    pub(super) fn new(packets: Packets, facts: &StreamFacts, options: &OpenOptions) -> Result<Self, ffmpeg::Error> {
        let decoder = Decoder::new(facts, options)?;
        Ok(Self { packets, decoder, decoded: 0, damaged: false, hold_back: 0, faults: 0, last_error: None })
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Next {
        loop {
            if self.packets.stopped() {
                return Next::Stopped;
            }
            match self.decoder.pull(&mut self.packets) {
                Pulled::Frame { frame, stamp, damaged } => {
                    self.decoded += 1;
                    if damaged {
                        // A bidirectional frame is rarely the source of others.
                        self.hit(frame.kind() != ffmpeg::picture::Type::B);
                    } else if frame.is_key() || self.hold_back == 0 {
                        self.hold_back = 0;
                        return Next::Frame(frame, stamp);
                    } else {
                        self.hold_back -= 1;
                    }
                }
                Pulled::Fault(error) => {
                    self.last_error = Some(error);
                    self.hit(true);
                }
                Pulled::End(_) if self.packets.stopped() => return Next::Stopped,
                Pulled::End(error) => return Next::End(error),
            }
        }
    }

    /// Something is damaged. `spreads`: later frames may be predicted from it.
    fn hit(&mut self, spreads: bool) {
        self.damaged = true;
        self.faults += 1;
        if spreads {
            self.hold_back = RESYNC_FRAMES;
        }
    }

    /// Whether there was damage since this was last asked.
    pub(super) fn take_damage(&mut self) -> bool {
        std::mem::take(&mut self.damaged)
    }

    /// Faults so far.
    pub(super) const fn faults(&self) -> u64 {
        self.faults
    }

    /// FFmpeg's word for the last fault that it had a word for.
    pub(super) const fn last_error(&self) -> Option<ffmpeg::Error> {
        self.last_error
    }

    /// Frames that came out of the decoder.
    pub(super) const fn decoded(&self) -> u64 {
        self.decoded
    }

    /// The latest end of any packet so far, on the container's clock.
    pub(super) fn furthest(&self) -> Option<MediaTime> {
        self.packets.furthest()
    }
}
