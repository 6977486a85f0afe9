//! From packets to frames.
//!
//! Invariant: FFmpeg's decoder has exactly four answers — a frame, "more packets", the end, an error — and each is
//! matched by name. After the packets end, the decoder is drained: the last frames are in it.

use super::OpenOptions;
use super::demux::{FetchedPacket, Packets, StreamFacts};
use super::raw;
use crate::media::timeline::FrameStamp;
use crate::units::MediaTime;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::threading;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, Rational, decoder};
use std::collections::VecDeque;

/// Damaged packets remembered until their frame comes out: more than any decoder's delay (16 reordered frames and the
/// threads).
const SUSPECTS: usize = 64;

/// Errors while draining after which the decoder is taken to be empty: it can't hold more frames than this.
const DRAINING_FAULTS: u32 = 64;

/// One answer of [`Decoder::pull`].
pub(super) enum Pulled {
    /// A decoded frame.
    Frame {
        frame: Video,
        stamp: FrameStamp,
        /// Whether the decoder (or the demuxer, for its packet) says that parts of it are made up.
        damaged: bool,
    },
    /// Something could not be read or decoded; decoding goes on.
    Fault(ffmpeg::Error),
    /// Nothing follows: the regular end, or the error that ended it.
    End(Option<ffmpeg::Error>),
}

/// The decoder of one video stream.
pub(super) struct Decoder {
    inner: decoder::Video,
    time_base: Rational,
    pending: Option<Packet>,
    suspects: VecDeque<i64>,
    supply: Supply,
    draining_faults: u32,
    /// Timestamps were counted by FFmpeg at a rate of its own, and mean nothing.
    clockless: bool,
}

/// Whether there are more packets.
#[derive(Clone, Copy)]
enum Supply {
    Flowing,
    /// The end, or the error that ended it.
    Ended(Option<ffmpeg::Error>),
}

impl Decoder {
    /// For a stream.
    pub(super) fn new(facts: &StreamFacts, options: &OpenOptions) -> Result<Self, ffmpeg::Error> {
        let mut context = ffmpeg::codec::Context::from_parameters(facts.parameters.clone())?;
        let mut threads = threading::Config::kind(threading::Type::Frame);
        threads.count = options.threads.max(1);
        context.set_threading(threads);
        raw::limit_pixels(&mut context, options.limits.pixels);
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(facts.time_base);
        let inner = match options.decoding.on_gpu(facts.codec) {
            Some((codec, id)) => {
                let mut which = ffmpeg::Dictionary::new();
                which.set("gpu", &id.to_string());
                decoder.open_as_with(codec, which)?.video()?
            }
            None => decoder.video()?,
        };
        Ok(Self {
            inner,
            time_base: facts.time_base,
            pending: None,
            suspects: VecDeque::new(),
            supply: Supply::Flowing,
            draining_faults: 0,
            clockless: facts.clockless,
        })
    }

    /// The next answer.
    pub(super) fn pull(&mut self, packets: &mut Packets) -> Pulled {
        let mut frame = Video::empty();
        loop {
            match (self.inner.receive_frame(&mut frame), self.supply) {
                (Ok(()), _) if raw::is_discarded(&frame) => {}
                (Ok(()), _) => return self.deliver(frame),
                (Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }), Supply::Flowing) => {
                    if let Err(error) = self.feed(packets) {
                        return Pulled::Fault(error);
                    }
                }
                (Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }), Supply::Ended(cause)) => {
                    return Pulled::End(cause);
                }
                (Err(ffmpeg::Error::Eof), Supply::Ended(cause)) => return Pulled::End(cause),
                (Err(ffmpeg::Error::Eof), Supply::Flowing) => return Pulled::End(None),
                (Err(_), Supply::Ended(cause)) if self.draining_faults == DRAINING_FAULTS => return Pulled::End(cause),
                (Err(error), supply) => {
                    self.draining_faults += u32::from(matches!(supply, Supply::Ended(_)));
                    return Pulled::Fault(error);
                }
            }
        }
    }

    /// Gives the decoder its next packet, or the end. An error is a fault after which decoding goes on.
    fn feed(&mut self, packets: &mut Packets) -> Result<(), ffmpeg::Error> {
        let packet = match self.pending.take() {
            Some(packet) => packet,
            None => match packets.fetch() {
                FetchedPacket::Packet(packet) => packet,
                FetchedPacket::Fault(error) => return Err(error),
                FetchedPacket::End(cause) => {
                    self.supply = Supply::Ended(cause);
                    return self.inner.send_eof();
                }
            },
        };
        if packet.is_corrupt()
            && let Some(pts) = packet.pts()
        {
            self.suspects.truncate(SUSPECTS - 1);
            self.suspects.push_front(pts);
        }
        match self.inner.send_packet(&packet) {
            Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => {
                self.pending = Some(packet);
                Ok(())
            }
            other => other,
        }
    }

    fn deliver(&mut self, frame: Video) -> Pulled {
        let ticks = |ticks| MediaTime::from_ticks(ticks, self.time_base.numerator(), self.time_base.denominator());
        let timestamp = frame.timestamp();
        let suspect = self.suspects.iter().position(|&pts| Some(pts) == timestamp);
        if let Some(index) = suspect {
            self.suspects.remove(index);
        }
        let damaged = suspect.is_some() || frame.is_corrupt() || frame.has_decode_errors();
        let stamp = if self.clockless {
            FrameStamp::default()
        } else {
            FrameStamp { raw: timestamp.and_then(ticks), duration: ticks(frame.packet().duration), arrived: None }
        };
        Pulled::Frame { frame, stamp, damaged }
    }
}
