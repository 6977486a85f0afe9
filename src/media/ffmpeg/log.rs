//! FFmpeg's own log, told as events of the target `ffmpeg` to whoever listens (`--log`).
//!
//! Invariants: beside `raw` the only unsafe code of the media floor; a URL is told by its host alone, and FFmpeg's debugging
//! levels, which print whole requests with their passwords, are never asked for.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "ffmpeg-next wraps no callback for the log"))]

use ffmpeg_next as ffmpeg;
use ffmpeg_next::log::Level as Loudness;
use tracing::{Level, enabled};

/// Where somebody listened before the first video was opened, FFmpeg's lines go there; else FFmpeg says nothing: what it has
/// to say is in our errors, gaps and notes.
pub(super) fn settle() {
    ffmpeg::log::set_level(loudness());
    #[cfg(target_arch = "x86_64")]
    if loudness() != Loudness::Quiet {
        bridge::build();
    }
}

/// What is asked for, as FFmpeg counts it.
fn loudness() -> Loudness {
    // The list of arguments has another type on other processors.
    if !cfg!(target_arch = "x86_64") || !enabled!(target: "ffmpeg", Level::ERROR) {
        Loudness::Quiet
    } else if enabled!(target: "ffmpeg", Level::DEBUG) {
        Loudness::Verbose
    } else if enabled!(target: "ffmpeg", Level::INFO) {
        Loudness::Info
    } else if enabled!(target: "ffmpeg", Level::WARN) {
        Loudness::Warning
    } else {
        Loudness::Error
    }
}

#[cfg(target_arch = "x86_64")]
mod bridge {
    use crate::media::open::host_only;
    use ffmpeg_next::ffi;
    use std::ffi::{CStr, c_char, c_int, c_void};

    /// Longest line, bytes; FFmpeg cuts what is longer.
    const LINE: usize = 1024;

    pub(super) fn build() {
        // SAFETY: the callback keeps FFmpeg's rules: it may be called from any thread, and keeps nothing that it is given.
        unsafe { ffi::av_log_set_callback(Some(hear)) }
    }

    /// Takes a line as FFmpeg's own callback would.
    unsafe extern "C" fn hear(
        object: *mut c_void,
        level: c_int,
        format: *const c_char,
        arguments: *mut ffi::__va_list_tag,
    ) {
        let (mut line, mut prefix) = ([0 as c_char; LINE], 1);
        // SAFETY: `object`, `format` and `arguments` are those of the call; FFmpeg writes at most `LINE` bytes, the last a
        // zero, and reads `prefix` and writes it.
        let text = unsafe {
            if level > ffi::av_log_get_level() {
                return;
            }
            let (start, length) = (line.as_mut_ptr(), LINE as c_int);
            ffi::av_log_format_line2(object, level, format, arguments, start, length, &raw mut prefix);
            CStr::from_ptr(line.as_ptr())
        };
        tell(level, &host_only(text.to_string_lossy().trim_end()));
    }

    fn tell(level: c_int, text: &str) {
        if level <= ffi::AV_LOG_ERROR {
            tracing::error!(target: "ffmpeg", "{text}");
        } else if level <= ffi::AV_LOG_WARNING {
            tracing::warn!(target: "ffmpeg", "{text}");
        } else if level <= ffi::AV_LOG_INFO {
            tracing::info!(target: "ffmpeg", "{text}");
        } else {
            tracing::debug!(target: "ffmpeg", "{text}");
        }
    }
}
