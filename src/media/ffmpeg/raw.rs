//! The few things that FFmpeg's C interface has and the safe wrapper lacks.
//!
//! Invariant: with `log` this is the only unsafe code of the crate's media floor; every function takes a wrapper that owns (or
//! borrows) a live object, reads or sets plain fields through it, and lets no pointer out.
#![expect(unsafe_code, reason = "fields and functions of FFmpeg's C interface that ffmpeg-next does not wrap")]

use ffmpeg_next as ffmpeg;
use ffmpeg_next::ffi;
use ffmpeg_next::software::scaling;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// Takes over a fresh context from RGB to YUV; the output is BT.709 of limited range.
    pub(super) fn to_bt709(mut context: scaling::Context) -> Self {
        const UNCHANGED: i32 = 1 << 16;
        // SAFETY: as above.
        unsafe {
            let table = ffi::sws_getCoefficients(ffi::SWS_CS_ITU709);
            ffi::sws_setColorspaceDetails(context.as_mut_ptr(), table, 1, table, 0, 0, UNCHANGED, UNCHANGED);
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

/// Names of all formats that FFmpeg reads; one that has several names gives them with commas between.
pub(super) fn demuxers() -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut place = std::ptr::null_mut();
    loop {
        // SAFETY: the place is FFmpeg's own, begun with null; formats and their names are static.
        let name = unsafe {
            let format = ffi::av_demuxer_iterate(&raw mut place);
            if format.is_null() {
                return names;
            }
            CStr::from_ptr((*format).name)
        };
        names.extend(name.to_str());
    }
}

/// Whether the format has no clock, so that its reader has to be told how many pictures a second there are.
pub(super) fn takes_rate(input: &ffmpeg::format::context::Input) -> bool {
    // SAFETY: the context is live; formats and their classes are static, and a pointer to the class's pointer stands for an
    // object of it where options are only looked up.
    unsafe {
        let class = (*(*input.as_ptr()).iformat).priv_class;
        let object = (&raw const class).cast_mut().cast();
        let flags = ffi::AV_OPT_SEARCH_FAKE_OBJ;
        !class.is_null() && !ffi::av_opt_find(object, c"framerate".as_ptr(), std::ptr::null(), 0, flags).is_null()
    }
}

/// Whether the clock of this format may jump: broadcasts and what is joined of pieces.
pub(super) fn clock_may_jump(input: &ffmpeg::format::context::Input) -> bool {
    // SAFETY: the context is live; formats are static.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// What FFmpeg asks while it opens and reads an input.
pub(super) struct Guard {
    /// Whether to give up.
    pub gives_up: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether an address may be opened, or may have been what a server sent on to.
    pub admits: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// How FFmpeg opens an address on an input's behalf.
type OpenAddress = unsafe extern "C" fn(
    *mut ffi::AVFormatContext,
    *mut *mut ffi::AVIOContext,
    *const c_char,
    c_int,
    *mut *mut ffi::AVDictionary,
) -> c_int;

struct Gate {
    guard: Guard,
    /// FFmpeg's own way.
    usual: OpenAddress,
}

/// Stands before every opening: of the input itself, and of the playlists, pieces and keys that it names.
unsafe extern "C" fn open_if_admitted(
    context: *mut ffi::AVFormatContext,
    reader: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    flags: c_int,
    options: *mut *mut ffi::AVDictionary,
) -> c_int {
    const REFUSED: c_int = -ffmpeg::error::EPERM;
    // SAFETY: FFmpeg calls this with a live context, whose `opaque` is the gate that `open` put there (contexts that formats
    // nest inherit it, or have none) and that lives as long as the context's interrupt callback, and with a text that ends in zero.
    unsafe {
        let Some(gate) = (*context).opaque.cast::<Gate>().as_ref() else { return REFUSED };
        if !(gate.guard.admits)(&CStr::from_ptr(url).to_string_lossy()) {
            return REFUSED;
        }
        let opened = (gate.usual)(context, reader, url, flags, options);
        if opened >= 0 && location(*reader).is_some_and(|url| !(gate.guard.admits)(&url)) {
            ffi::avio_closep(reader);
            return REFUSED;
        }
        opened
    }
}

/// Opens an address; as a format of this name, whatever its content looks like, where one is given.
pub(super) fn open(
    url: &str,
    format: Option<&CStr>,
    options: ffmpeg::Dictionary,
    guard: Guard,
) -> Result<ffmpeg::format::context::Input, ffmpeg::Error> {
    let url = CString::new(url).map_err(|_| ffmpeg::Error::InvalidData)?;
    // SAFETY: formats are static; the context is made here, closed on every failure (by FFmpeg itself when it can't be
    // opened) and else handed to its owner together with what it calls, of which the gate is a part; the options are taken
    // and given back.
    unsafe {
        let as_format = format.map_or(std::ptr::null(), |name| ffi::av_find_input_format(name.as_ptr()));
        let mut context = ffi::avformat_alloc_context();
        let usual = if context.is_null() { None } else { (*context).io_open };
        let (Some(usual), false) = (usual, format.is_some() && as_format.is_null()) else {
            ffi::avformat_free_context(context);
            return Err(ffmpeg::Error::DemuxerNotFound);
        };
        let gate = Arc::new(Gate { guard, usual });
        (*context).opaque = Arc::as_ptr(&gate).cast_mut().cast();
        (*context).io_open = Some(open_if_admitted);
        let interrupt = ffmpeg::util::interrupt::new(Box::new(move || (gate.guard.gives_up)()));
        (*context).interrupt_callback = interrupt.interrupt;
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, url.as_ptr(), as_format, &raw mut options);
        drop(ffmpeg::Dictionary::own(options));
        if opened < 0 {
            return Err(opened.into());
        }
        let found = ffi::avformat_find_stream_info(context, std::ptr::null_mut());
        if found < 0 {
            ffi::avformat_close_input(&raw mut context);
            return Err(found.into());
        }
        Ok(ffmpeg::format::context::Input::wrap_with_interrupt(context, interrupt.guard))
    }
}

/// Where a reader's content really came from, after all that its server sent on to; `None` where there is no such thing.
///
/// # Safety
/// The reader is live, or null.
unsafe fn location(reader: *mut ffi::AVIOContext) -> Option<String> {
    // SAFETY: a reader with a class has options; the text is ours to free.
    unsafe {
        if reader.is_null() || (*reader).av_class.is_null() {
            return None;
        }
        let mut value = std::ptr::null_mut();
        let found = ffi::av_opt_get(reader.cast(), c"location".as_ptr(), ffi::AV_OPT_SEARCH_CHILDREN, &raw mut value);
        if found < 0 || value.is_null() {
            return None;
        }
        let text = CStr::from_ptr(value.cast()).to_string_lossy().into_owned();
        ffi::av_free(value.cast());
        Some(text)
    }
}

/// The address of an input, also where a server sent on without a new opening (RTSP).
pub(super) fn address(input: &ffmpeg::format::context::Input) -> Option<String> {
    // SAFETY: the context is live, and so is its text.
    unsafe {
        let url = (*input.as_ptr()).url;
        (!url.is_null()).then(|| CStr::from_ptr(url).to_string_lossy().into_owned())
    }
}

/// The largest piece of memory, bytes, that FFmpeg may ask for at once. There is one such number in a process: the largest
/// that any of its inputs may have.
pub(super) fn limit_allocations(bytes: usize) {
    static LARGEST: AtomicUsize = AtomicUsize::new(0);
    let largest = LARGEST.fetch_max(bytes, Ordering::Relaxed).max(bytes);
    // SAFETY: it sets a number.
    unsafe { ffi::av_max_alloc(largest) }
}

/// The largest picture, pixels, that a decoder takes, in mid-stream too.
pub(super) fn limit_pixels(context: &mut ffmpeg::codec::Context, pixels: u64) {
    // SAFETY: the context is live; this is a plain field.
    unsafe { (*context.as_mut_ptr()).max_pixels = i64::try_from(pixels).unwrap_or(i64::MAX) }
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
