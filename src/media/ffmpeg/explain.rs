//! Why an input can't be used, in words that say what to do.
//!
//! FFmpeg says "Invalid data found when processing input" of a text file, of half a recording and of an encrypted one;
//! here the likely cause is told apart by looking at the file.

use super::{Decoding, OpenOptions};
use crate::error::{Error, Result};
use crate::media::open::{CAMERA, Input};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::context::Input as Context;
use ffmpeg_next::format::stream::Disposition;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

/// How much of a file is looked at to tell what it is.
const LOOK: u64 = 4096;
/// The same for what stands further inside, such as the index of an MP4.
const FAR_LOOK: u64 = 4 << 20;

/// Checks what can be checked before FFmpeg is asked; the error is a reason.
pub(super) fn check_file(path: &Path) -> std::result::Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(&e))?;
    let kind = meta.file_type();
    if kind.is_dir() {
        return Err("is a folder, not a video".into());
    }
    if kind.is_char_device() || kind.is_block_device() {
        return Err("is a device; cameras are /dev/video0, /dev/video1, …".into());
    }
    if kind.is_fifo() {
        return Ok(());
    }
    if meta.len() == 0 {
        return Err("is empty (0 bytes): was the copy or the recording interrupted?".into());
    }
    File::open(path).map(drop).map_err(|e| unreadable(&e))
}

/// Why the system doesn't let us read.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file: check the spelling and the folder".into(),
        ErrorKind::PermissionDenied => "no permission to read it: check its owner and mode (`ls -l`)".into(),
        _ => format!("can't be read: {error}"),
    }
}

/// Why FFmpeg could not open it.
pub(super) fn not_opened(input: &Input, error: ffmpeg::Error, options: &OpenOptions) -> Error {
    const NO_MEMORY: ffmpeg::Error = ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM };
    let reason = match input {
        _ if error == NO_MEMORY => format!(
            "holds more than {} streams, or asks for more memory than it may have: allow more with --max-streams and \
             --max-pixels (of a camera in a file: max_streams, max_pixels)",
            options.limits.streams
        ),
        Input::Url(url) | Input::Secret(url) if url.starts_with(CAMERA) => {
            format!("can't be captured ({error}): is it a camera, and does nobody else use it?")
        }
        Input::Url(url) | Input::Secret(url) => network_reason(url, error, options.timeout),
        Input::Stdin => format!("what was piped in is not a video that FFmpeg can read from a pipe ({error})"),
        Input::File(path) => file_reason(path, error),
        Input::Images(sequence) => {
            format!("{}: {}", sequence.files[0].path.display(), file_reason(&sequence.files[0].path, error))
        }
    };
    Error::input(input.to_string(), reason)
}

fn network_reason(url: &str, error: ffmpeg::Error, timeout: Duration) -> String {
    use ffmpeg::error::{ECONNREFUSED, EHOSTUNREACH, EIO, ENETUNREACH, ETIMEDOUT};
    let seconds = timeout.as_secs_f64();
    match error {
        ffmpeg::Error::Exit | ffmpeg::Error::Other { errno: ETIMEDOUT } => {
            format!("no answer within {seconds} s: check the address and the network, or allow a longer timeout")
        }
        ffmpeg::Error::Other { errno: ECONNREFUSED | EHOSTUNREACH | ENETUNREACH | EIO } => {
            format!("can't connect ({error}): check the address, the port and the network")
        }
        ffmpeg::Error::HttpUnauthorized | ffmpeg::Error::HttpForbidden => {
            format!("the server refuses access ({error}): check the user name, password or token")
        }
        ffmpeg::Error::HttpNotFound => format!("the server has no such video ({error}): check the address"),
        ffmpeg::Error::ProtocolNotFound => {
            "this build of FFmpeg doesn't speak this protocol (see `ffmpeg -protocols`)".into()
        }
        _ if is_http_mp4(url) => format!("can't be opened as a video ({error}): {INDEX_LAST}"),
        _ => format!("can't be opened as a video ({error})"),
    }
}

/// What may be wrong with an MP4 on a server.
const INDEX_LAST: &str = "an MP4 whose index comes last needs a server that answers range requests; download it first, or \
                          write it with `-movflags +faststart`";

fn is_http_mp4(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_lowercase();
    path.starts_with("http") && [".mp4", ".mov", ".m4v"].iter().any(|ending| path.ends_with(ending))
}

/// What a file is, where FFmpeg's own word would mislead, by looking at it.
fn looks_like(input: &Input) -> Option<String> {
    let Input::File(path) = input else { return None };
    if !path.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(FAR_LOOK).read_to_end(&mut head)).ok()?;
    let begins = |text: &str| head.trim_ascii_start().starts_with(text.as_bytes());
    let holds = |bytes: &[u8]| head.windows(bytes.len()).any(|window| window == bytes);
    let words = if begins("#EXTM3U") {
        "is a playlist: call it .m3u8 if its pieces lie beside it, or give its address"
    } else if begins("ffconcat") {
        "is a list of files: call it .ffconcat if they lie beside it"
    } else if begins("v=0") {
        "is a session description (SDP), which makes FFmpeg open network ports: give the stream's own address (rtsp://, rtp://)"
    } else if holds(b"<MPD") && begins("<") {
        "is a DASH manifest, which names addresses: give its own address (https://…)"
    } else if head.starts_with(b"RIFF")
        && head.get(8..16) == Some(b"WEBPVP8X")
        && head.get(20).is_some_and(|f| f & 2 != 0)
    {
        "is an animated WebP, which this FFmpeg can't decode: convert it to GIF or MP4"
    } else if head.get(4..8) == Some(b"ftyp") && (holds(b"encv") || holds(b"pssh")) {
        "is encrypted (Common Encryption): decrypt it first"
    } else {
        return None;
    };
    Some(words.into())
}

fn file_reason(path: &Path, error: ffmpeg::Error) -> String {
    if let Some(words) = looks_like(&Input::File(path.to_owned())) {
        return words;
    }
    let mut head = Vec::new();
    let looked = File::open(path).and_then(|file| file.take(LOOK).read_to_end(&mut head));
    if looked.is_err() || head.is_empty() {
        return format!("can't be read as a video ({error})");
    }
    if looks_like_text(&head) {
        return "is a text file, not a video".into();
    }
    if head.get(4..8) == Some(b"ftyp") {
        return format!(
            "is an MP4/MOV file without a usable index ({error}): the recording or the copy was cut off before its end; \
             copy it again, or rebuild the index from an intact file of the same camera (for example with `untrunc`)"
        );
    }
    format!("is not a video that FFmpeg can read ({error}); try `ffprobe` on it")
}

/// Text has no control characters but white space, and is UTF-8 (but for a character cut at the end).
fn looks_like_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none() && e.valid_up_to() > 0,
    };
    valid && !head.iter().any(|&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c))
}

/// FFmpeg would paint the text of a `.txt` file as a video of a terminal; nobody who analyses a video means that.
pub(super) fn refuse_text_art(input: &Input, format: &str) -> Result<()> {
    if format == "tty" {
        return Err(Error::input(input.to_string(), "is a text file, not a video"));
    }
    Ok(())
}

/// What an input without a video stream holds instead.
pub(super) fn no_video(input: &Input, context: &Context) -> Error {
    let has = |kind: ffmpeg::media::Type| context.streams().any(|s| s.parameters().medium() == kind);
    let cover = context.streams().any(|s| s.disposition().contains(Disposition::ATTACHED_PIC));
    let reason = if cover {
        "holds sound and a cover picture, but no video".into()
    } else if has(ffmpeg::media::Type::Audio) {
        "holds only sound, no video".into()
    } else if has(ffmpeg::media::Type::Subtitle) {
        "holds only subtitles, no video".into()
    } else {
        format!("holds no video stream (FFmpeg reads it as {})", context.format().description())
    };
    Error::input(input.to_string(), reason)
}

/// Why the decoder could not be made.
pub(super) fn no_decoder(input: &Input, codec: &str, decoding: Decoding, error: ffmpeg::Error) -> Error {
    let reason = match error {
        _ if decoding != Decoding::Cpu => format!(
            "{decoding} can't decode its codec `{codec}` ({error}): it needs an NVIDIA GPU of that number with its driver \
             (libnvcuvid.so.1), and a GPU that knows the codec and the picture's size; `--decode cpu` needs neither"
        ),
        ffmpeg::Error::DecoderNotFound => format!(
            "its codec `{codec}` can't be decoded by this build of FFmpeg (see `ffmpeg -decoders`): \
             install a fuller FFmpeg, or convert the video on a machine that has the codec"
        ),
        _ => format!("the decoder for `{codec}` refuses it ({error})"),
    };
    Error::input(input.to_string(), reason)
}

/// Why there is not one frame.
pub(super) fn no_frame(input: &Input, faults: u64, last: Option<ffmpeg::Error>) -> Error {
    let cause = last.map_or_else(|| "the stream is empty".to_owned(), |error| error.to_string());
    let suspicion = looks_like(input).map(|words| format!("it {words}"));
    let suspicion = suspicion.unwrap_or_else(|| match input {
        Input::Url(url) | Input::Secret(url) if is_http_mp4(url) => INDEX_LAST.into(),
        _ => "the file is damaged, or cut off at its start".into(),
    });
    let faults = format!("{faults} faults; FFmpeg's word: {cause}");
    Error::input(input.to_string(), format!("no frame of it could be decoded ({faults}): {suspicion}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_reasons_say_what_to_do() {
        assert!(unreadable(&ErrorKind::PermissionDenied.into()).contains("no permission"));
        assert!(unreadable(&ErrorKind::NotFound.into()).contains("no such file"));
        assert!(unreadable(&ErrorKind::Other.into()).contains("can't be read"));
    }

    #[test]
    fn text_is_told_from_data() {
        assert!(looks_like_text(b"hello\nworld\t"));
        assert!(looks_like_text("gr\u{fc}n".as_bytes()));
        assert!(looks_like_text(&"grü".as_bytes()[..3]), "a character cut by the end of the look");
        assert!(!looks_like_text(b"\0\0\0\x18ftypisom"));
        assert!(!looks_like_text(&[0xff, 0xd8, 0xff]));
    }
}
