//! From the name of an input to an open container, under the rules of [`trust`].

use super::pipe::{self, PipeReader};
use super::trust;
use super::watch::Watch;
use super::{OpenOptions, RtspTransport, capture, explain, playlist, raw};
use crate::media::open::{CAMERA, Input, usable};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::Dictionary;
use ffmpeg_next::format::context::{Input as Context, StreamIo};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Pictures per second that FFmpeg's readers of bare streams are to use where the stream states none: one that no stream
/// states, so that it can be told (FFmpeg rounds to twelfths).
const NO_RATE: &str = "301/12";
/// The same as a number.
pub(super) const NO_RATE_FPS: f64 = 301.0 / 12.0;

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

pub(super) type Opened = Result<Context, OpenFailure>;

/// Opens an input; the watch ends every wait.
pub(super) fn open(input: &Input, options: &OpenOptions, watch: &Watch) -> Opened {
    let mut rules = trust::rules(input, options.limits);
    rules.set("framerate", &options.fps.map_or(NO_RATE.to_owned(), |fps| fps.to_string()));
    match input {
        Input::File(path) => {
            playlist::check(path).map_err(OpenFailure::Ours)?;
            open_path(path, watch, rules)
        }
        Input::Stdin => open_stdin(watch, rules),
        Input::Url(url) | Input::Secret(url) => match url.strip_prefix(CAMERA) {
            Some(device) => capture::open(Path::new(device)),
            None => open_url(&usable(url), options, watch, rules),
        },
        Input::Images(sequence) => open_path(&sequence.files[0].path, watch, rules),
    }
}

fn open_path(path: &Path, watch: &Watch, rules: Dictionary) -> Opened {
    explain::check_file(path).map_err(OpenFailure::Ours)?;
    let asked = watch.clone();
    let interrupt = move || asked.gives_up();
    if pipe::is_fifo(path) {
        let reader = PipeReader::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
        let io = StreamIo::from_read(reader)?;
        return Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), interrupt)?);
    }
    match path.to_str() {
        // `file:` keeps a colon in a name from being read as a protocol.
        Some(name) if !name.contains(['%', '\0']) => {
            let url = PathBuf::from(format!("file:{name}"));
            Ok(ffmpeg::format::input_with_interrupt_and_dictionary(&url, interrupt, rules)?)
        }
        // Names that FFmpeg would take for a pattern, or can't take at all: it gets the open file instead.
        _ => {
            let file = std::fs::File::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
            let io = StreamIo::from_read_seek(file)?;
            Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), interrupt)?)
        }
    }
}

fn open_stdin(watch: &Watch, rules: Dictionary) -> Opened {
    let name = Path::new("/dev/stdin");
    if std::io::stdin().is_terminal() {
        return Err(OpenFailure::Ours("nothing is piped in: use it as `… | startle analyze -`".into()));
    }
    if std::fs::metadata(name).is_ok_and(|meta| meta.is_file()) {
        explain::check_file(name).map_err(OpenFailure::Ours)?;
        let file = std::fs::File::open(name).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
        let asked = watch.clone();
        let io = StreamIo::from_read_seek(file)?;
        return Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), move || asked.gives_up())?);
    }
    let io = match PipeReader::open(name) {
        Ok(reader) if pipe::is_fifo(name) => StreamIo::from_read(reader)?,
        _ => StreamIo::from_read(std::io::stdin())?,
    };
    let asked = watch.clone();
    Ok(ffmpeg::format::input_from_stream_with_interrupt(io, None, Some(rules), move || asked.gives_up())?)
}

fn open_url(url: &str, options: &OpenOptions, watch: &Watch, mut rules: Dictionary) -> Opened {
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
    let asked = watch.clone();
    let opened = ffmpeg::format::input_with_interrupt_and_dictionary(url, move || asked.gives_up(), clone_of(&rules));
    let context = match opened {
        Err(ffmpeg::Error::InvalidData) if url.starts_with("http") => bare_jpegs(url, watch, rules)?,
        // Opened, but nothing in it was understood.
        Ok(context) if context.format().name() == "mpjpeg" && !has_size(&context) => {
            drop(context);
            bare_jpegs(url, watch, rules)?
        }
        other => other?,
    };
    match raw::location(&context).as_deref().and_then(host) {
        Some(other) if !options.other_hosts && host(url).is_some_and(|own| own != other) => {
            Err(OpenFailure::Ours(format!(
                "its server sends on to another host ({other}): give that address, or allow it with `follow_redirects = true`"
            )))
        }
        _ => Ok(context),
    }
}

/// Cameras that send one JPEG after another without the headers that FFmpeg asks for between them: their own marks tell them
/// apart. What holds none stays what it was taken for.
fn bare_jpegs(url: &str, watch: &Watch, rules: Dictionary) -> Result<Context, ffmpeg::Error> {
    let asked = watch.clone();
    watch.arm();
    let context = raw::open_as(url, c"mjpeg", rules, move || asked.gives_up())?;
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

/// The host of a URL, without user and port.
fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    Some(bare.map_or(host, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn hosts_are_told_from_users_and_ports() {
        assert_eq!(host("http://u:p@cam.local:80/x?y@z"), Some("cam.local"));
        assert_eq!(host("http://[::1]:80/x"), Some("[::1]"));
        assert_eq!(host("http://[::1]/x"), Some("[::1]"));
        assert_eq!(host("x"), None);
    }
}
