//! The few things that FFmpeg's C interface has and the safe wrapper lacks.
//!
//! Invariant: this is the only unsafe code of the crate's media floor; every function takes a wrapper that owns (or
//! borrows) a live object, reads or sets plain fields through it, and lets no pointer out.
#![expect(unsafe_code, reason = "fields and one function of FFmpeg's C interface that ffmpeg-next does not wrap")]

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::software::scaling;

/// Times in the container's header count in this many ticks a second.
pub(super) const CONTAINER_TICKS: i32 = ffi::AV_TIME_BASE;

/// Which YUV a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colours {
    /// `SWS_CS_*`, equal to `AVCOL_SPC_*`: 1 is BT.709, 5 is BT.601, 9 is BT.2020.
    pub matrix: i32,
    /// 0..255 rather than 16..235.
    pub full_range: bool,
}

/// One conversion: a swscale context for a fixed input and output, with its colours set.
pub(super) struct Scaler(scaling::Context);

// SAFETY: a swscale context is plain memory with no tie to the thread that made it (FFmpeg's filters move theirs
// between worker threads); `&mut self` on every use keeps two threads from using it at once.
unsafe impl Send for Scaler {}

impl Scaler {
    /// Takes over a fresh context whose output is full-range RGB and says what its input is.
    pub(super) fn new(mut context: scaling::Context, colours: Colours) -> Self {
        // 1.0 in 16.16 fixed point: contrast and saturation as they are.
        const UNCHANGED: i32 = 1 << 16;
        // SAFETY: the context is live; `sws_getCoefficients` returns a static table of four integers for any argument.
        // The result is ignored: it is negative where colours don't apply (RGB to RGB).
        unsafe {
            let table = ffi::sws_getCoefficients(colours.matrix);
            let range = i32::from(colours.full_range);
            ffi::sws_setColorspaceDetails(context.as_mut_ptr(), table, range, table, 1, 0, UNCHANGED, UNCHANGED);
        }
        Self(context)
    }

    /// Converts one picture.
    pub(super) fn run(
        &mut self,
        from: &ffmpeg::frame::Video,
        to: &mut ffmpeg::frame::Video,
    ) -> Result<(), ffmpeg::Error> {
        self.0.run(from, to)
    }
}

/// Whether a pixel format is RGB (or a palette of it), and whether it has an alpha plane.
pub(super) fn rgb_and_alpha(format: ffmpeg::format::Pixel) -> (bool, bool) {
    // SAFETY: descriptors are static.
    let flags = format.descriptor().map_or(0, |d| unsafe { (*d.as_ptr()).flags });
    let has = |flag: i32| flags & flag as u64 != 0;
    let palette = has(ffi::AV_PIX_FMT_FLAG_PAL);
    (palette || has(ffi::AV_PIX_FMT_FLAG_RGB), !palette && has(ffi::AV_PIX_FMT_FLAG_ALPHA))
}

/// Whether the frame lies outside the edit list and is not to be shown.
pub(super) fn is_discarded(frame: &ffmpeg::frame::Video) -> bool {
    // SAFETY: the frame is live.
    unsafe { (*frame.as_ptr()).flags & ffi::AV_FRAME_FLAG_DISCARD != 0 }
}

/// First timestamp of the container, in [`CONTAINER_TICKS`].
pub(super) fn container_start(input: &ffmpeg::format::context::Input) -> Option<i64> {
    // SAFETY: the context is live.
    let ticks = unsafe { (*input.as_ptr()).start_time };
    (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks)
}

/// How FFmpeg knows the length of a container, which is in [`CONTAINER_TICKS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// The header states it.
    Stated(i64),
    /// Measured between the first and the last timestamp of the file as it is.
    Measured(i64),
}

/// Length of the container; `None` when it isn't known or FFmpeg only guessed it from the bit rate.
pub(super) fn container_length(input: &ffmpeg::format::context::Input) -> Option<Length> {
    use ffi::AVDurationEstimationMethod::{
        AVFMT_DURATION_FROM_BITRATE, AVFMT_DURATION_FROM_PTS, AVFMT_DURATION_FROM_STREAM,
    };
    // SAFETY: the context is live.
    let (ticks, method) = unsafe { ((*input.as_ptr()).duration, (*input.as_ptr()).duration_estimation_method) };
    match method {
        _ if ticks == ffi::AV_NOPTS_VALUE || ticks <= 0 => None,
        AVFMT_DURATION_FROM_BITRATE => None,
        AVFMT_DURATION_FROM_PTS => Some(Length::Measured(ticks)),
        AVFMT_DURATION_FROM_STREAM => Some(Length::Stated(ticks)),
    }
}

/// Sample aspect ratio that the container states for a stream; the numerator is 0 when it states none.
pub(super) fn stream_aspect(stream: &ffmpeg::Stream) -> ffmpeg::Rational {
    // SAFETY: the stream is live as long as the context it borrows.
    unsafe { (*stream.as_ptr()).sample_aspect_ratio.into() }
}

/// Width and height that the container or the stream's header states, pixels; 0 when not known.
pub(super) fn stream_size(stream: &ffmpeg::Stream) -> (i32, i32) {
    // SAFETY: as above; a stream always has parameters.
    unsafe {
        let parameters = (*stream.as_ptr()).codecpar;
        ((*parameters).width, (*parameters).height)
    }
}

/// The codec's own header (parameter sets and the like); empty when there is none.
pub(super) fn extradata(parameters: &ffmpeg::codec::Parameters) -> &[u8] {
    // SAFETY: the parameters are live for as long as the slice; FFmpeg keeps pointer and size in step.
    unsafe {
        let parameters = parameters.as_ptr();
        let size = usize::try_from((*parameters).extradata_size).unwrap_or(0);
        if (*parameters).extradata.is_null() || size == 0 {
            return &[];
        }
        std::slice::from_raw_parts((*parameters).extradata, size)
    }
}

/// Sets the codec's own header. `false`: no memory, nothing changed.
pub(super) fn set_extradata(parameters: &mut ffmpeg::codec::Parameters, data: &[u8]) -> bool {
    let Ok(size) = i32::try_from(data.len()) else { return false };
    // SAFETY: the parameters are live and own their buffer; the new one is as large as FFmpeg asks for, zeroed behind
    // the data, and comes from its own allocator.
    unsafe {
        let buffer: *mut u8 = ffi::av_mallocz(data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast();
        if buffer.is_null() {
            return false;
        }
        std::ptr::copy_nonoverlapping(data.as_ptr(), buffer, data.len());
        let parameters = parameters.as_mut_ptr();
        ffi::av_freep((&raw mut (*parameters).extradata).cast());
        (*parameters).extradata = buffer;
        (*parameters).extradata_size = size;
    }
    true
}

/// Sets the coded picture's size, pixels, and how the container is to call the codec (0: as it likes).
pub(super) fn set_picture(parameters: &mut ffmpeg::codec::Parameters, size: Option<(u32, u32)>, tag: u32) {
    // SAFETY: the parameters are live; these are plain fields.
    unsafe {
        let parameters = parameters.as_mut_ptr();
        (*parameters).codec_tag = tag;
        if let Some((width, height)) = size {
            (*parameters).width = width as i32;
            (*parameters).height = height as i32;
        }
    }
}

/// Whether FFmpeg's MP4 writer carries a codec.
pub(super) fn mp4_carries(codec: ffmpeg::codec::Id) -> bool {
    // SAFETY: formats are static; a null pointer stands for "not built in".
    unsafe {
        let mp4 = ffi::av_guess_format(c"mp4".as_ptr(), std::ptr::null(), std::ptr::null());
        !mp4.is_null() && ffi::avformat_query_codec(mp4, codec.into(), ffi::FF_COMPLIANCE_NORMAL) == 1
    }
}
