//! From the name of an input to an open container, under the rules of [`trust`].

use super::interrupt::Interrupt;
use super::pipe::{self, PipeReader};
use super::raw::Guard;
use super::trust::{self, Requests};
use super::{OpenOptions, RtspTransport, capture, explain, playlist, raw};
use crate::error::{Error, Result};
use crate::media::open::{CAMERA, Input, usable};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::Dictionary;
use ffmpeg_next::format::context::{Input as Context, StreamIo};
use std::ffi::CStr;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

/// Pictures per second that FFmpeg's readers of bare streams are to use where the stream states none: one that no stream
/// states, so that it can be told (FFmpeg rounds to twelfths).
const NO_RATE: &str = "301/12";
/// The same as a number.
pub(super) const NO_RATE_FPS: f64 = 301.0 / 12.0;

/// Why a camera's manifest is not read.
const DASH: &str = "is a DASH manifest, which may name another host: allow it with `follow_redirects = true`";

/// Why something could not be opened.
pub(super) enum OpenFailure {
    /// Known without asking FFmpeg.
    Ours(String),
    /// What FFmpeg said.
    Ffmpeg(ffmpeg::Error),
}

impl From<ffmpeg::Error> for OpenFailure {
    fn from(error: ffmpeg::Error) -> Self {
        Self::Ffmpeg(error)
    }
}

pub(super) type Opened = std::result::Result<Context, OpenFailure>;

/// Who is asked while an input is opened and read.
struct OpeningGuard<'a> {
    interrupt: &'a Interrupt,
    requests: Arc<Requests>,
}

impl OpeningGuard<'_> {
    /// Opens an address; the interrupt ends every wait, and what is opened on its behalf is admitted or not.
    fn open(&self, url: &str, format: Option<&CStr>, rules: Dictionary) -> Result<Context, ffmpeg::Error> {
        let (interrupt, requests) = (self.interrupt.clone(), Arc::clone(&self.requests));
        let gives_up = Box::new(move || interrupt.gives_up());
        raw::open(url, format, rules, Guard { gives_up, admits: Box::new(move |url| requests.admits(url)) })
    }
}

/// Opens an input; the interrupt ends every wait.
///
/// # Errors
/// [`Error::Input`] that says why it can't be opened, or [`Error::Stopped`].
pub(super) fn open(input: &Input, options: &OpenOptions, interrupt: &Interrupt) -> Result<Context> {
    interrupt.arm();
    opened(input, options, interrupt).map_err(|failure| match failure {
        _ if interrupt.stopped() => Error::Stopped,
        OpenFailure::Ours(reason) => Error::input(input.to_string(), reason),
        OpenFailure::Ffmpeg(error) => explain::not_opened(input, error, options),
    })
}

fn opened(input: &Input, options: &OpenOptions, interrupt: &Interrupt) -> Opened {
    let mut rules = trust::rules(input, options.limits, options.other_hosts);
    rules.set("framerate", &options.fps.map_or(NO_RATE.to_owned(), |fps| fps.to_string()));
    let asked = OpeningGuard { interrupt, requests: Arc::new(Requests::new(input, options.other_hosts)) };
    let opened = match input {
        Input::File(path) => {
            playlist::check(path).map_err(OpenFailure::Ours)?;
            open_path(path, &asked, rules)
        }
        Input::Stdin => open_stdin(interrupt, rules),
        Input::Url(url) | Input::Secret(url) => match url.strip_prefix(CAMERA) {
            Some(device) => capture::open(Path::new(device)),
            None => open_url(&usable(url), options, &asked, rules),
        },
        Input::Images(sequence) => open_path(&sequence.files[0].path, &asked, rules),
    };
    match (opened, asked.requests.refused()) {
        // What it may not have is why it can't be opened.
        (Err(OpenFailure::Ffmpeg(_)), Some(reason)) => Err(OpenFailure::Ours(reason)),
        (opened, _) => opened,
    }
}

fn open_path(path: &Path, asked: &OpeningGuard, rules: Dictionary) -> Opened {
    explain::check_file(path).map_err(OpenFailure::Ours)?;
    let interrupt = asked.interrupt.clone();
    let interrupt = move || interrupt.gives_up();
    if pipe::is_fifo(path) {
        let reader = PipeReader::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
        let io = StreamIo::from_read(reader)?;
        return Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), interrupt)?);
    }
    match path.to_str() {
        // `file:` keeps a colon in a name from being read as a protocol.
        Some(name) if !name.contains(['%', '\0']) => Ok(asked.open(&format!("file:{name}"), None, rules)?),
        // Names that FFmpeg would take for a pattern, or can't take at all: it gets the open file instead. (The protocols
        // that it may use are all that holds then; there is no host to ask.)
        _ => {
            let file = std::fs::File::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
            let io = StreamIo::from_read_seek(file)?;
            Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), interrupt)?)
        }
    }
}

fn open_stdin(interrupt: &Interrupt, rules: Dictionary) -> Opened {
    let name = Path::new("/dev/stdin");
    if std::io::stdin().is_terminal() {
        return Err(OpenFailure::Ours("nothing is piped in: use it as `… | startle analyze -`".into()));
    }
    if std::fs::metadata(name).is_ok_and(|meta| meta.is_file()) {
        explain::check_file(name).map_err(OpenFailure::Ours)?;
        let file = std::fs::File::open(name).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
        let asked = interrupt.clone();
        let io = StreamIo::from_read_seek(file)?;
        return Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), move || asked.gives_up())?);
    }
    let io = match PipeReader::open(name) {
        Ok(reader) if pipe::is_fifo(name) => StreamIo::from_read(reader)?,
        _ => StreamIo::from_read(std::io::stdin())?,
    };
    let asked = interrupt.clone();
    Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), move || asked.gives_up())?)
}

fn open_url(url: &str, options: &OpenOptions, asked: &OpeningGuard, mut rules: Dictionary) -> Opened {
    if url.contains('\0') {
        return Err(OpenFailure::Ours("the address holds a zero byte".into()));
    }
    ffmpeg::format::network::init();
    let microseconds = options.timeout.as_micros().to_string();
    rules.set("rw_timeout", &microseconds);
    if url.starts_with("rtsp") {
        rules.set("timeout", &microseconds);
        match options.rtsp_transport {
            RtspTransport::Auto => rules.set("rtsp_flags", "prefer_tcp"),
            RtspTransport::Tcp => rules.set("rtsp_transport", "tcp"),
            RtspTransport::Udp => rules.set("rtsp_transport", "udp"),
        }
    }
    if !options.other_hosts && url.starts_with("http") {
        // A connection that is used again and one that seeks ask anew without an opening, and can be sent on then.
        rules.set("http_persistent", "0");
        rules.set("seekable", "0");
    }
    let is_dash = || url.split(['?', '#']).next().is_some_and(|path| path.to_lowercase().ends_with(".mpd"));
    let context = match asked.open(url, None, clone_of(&rules)) {
        Err(ffmpeg::Error::Other { errno: ffmpeg::error::EINVAL }) if !options.other_hosts && is_dash() => {
            return Err(OpenFailure::Ours(DASH.into()));
        }
        Err(ffmpeg::Error::InvalidData) if url.starts_with("http") => bare_jpegs(url, asked, rules)?,
        // Opened, but nothing in it was understood.
        Ok(context) if context.format().name() == "mpjpeg" && !has_size(&context) => {
            drop(context);
            bare_jpegs(url, asked, rules)?
        }
        other => other?,
    };
    let moved = raw::address(&context).is_some_and(|url| !asked.requests.admits(&url));
    match asked.requests.refused().filter(|_| moved) {
        Some(reason) => Err(OpenFailure::Ours(reason)),
        None => Ok(context),
    }
}

/// Cameras that send one JPEG after another without the headers that FFmpeg asks for between them: their own marks tell them
/// apart. What holds none stays what it was taken for.
fn bare_jpegs(url: &str, asked: &OpeningGuard, rules: Dictionary) -> Result<Context, ffmpeg::Error> {
    asked.interrupt.arm();
    let context = asked.open(url, Some(c"mjpeg"), rules)?;
    if has_size(&context) { Ok(context) } else { Err(ffmpeg::Error::InvalidData) }
}

fn has_size(context: &Context) -> bool {
    context.streams().any(|stream| raw::stream_size(&stream).0 > 0)
}

fn clone_of(dictionary: &Dictionary) -> Dictionary<'static> {
    let mut copy = Dictionary::new();
    dictionary.iter().for_each(|(key, value)| copy.set(key, value));
    copy
}
