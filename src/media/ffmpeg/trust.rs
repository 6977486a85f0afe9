//! What an input may open beside itself, and how much it may take: the one rule on every way into FFmpeg.
//!
//! A file is data that somebody else made. FFmpeg looks at its content to tell what it is, and some of what it may turn out
//! to be (playlists, session descriptions, scripts) names other files and addresses, which FFmpeg would open.
//!
//! Invariants: what is opened locally opens nothing on a network, and what comes from a network nothing local; a format that
//! names others is read only where the input's own name asks for it; a format that runs scripts never. Every address is
//! asked for before it is opened ([`Requests`]); a camera's server may name no other host.
//!
//! What FFmpeg does not ask for: where an HTTP server sends on to (it follows by itself). That host is then asked once, without
//! the credentials of the first; its answer is thrown away. Nor for the pieces of a DASH manifest: where no other host may be
//! named, DASH is not read.

use super::raw;
use crate::media::open::{Input, is_image, usable};
use ffmpeg_next::Dictionary;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Formats that name other files or addresses, open ports or run scripts, by FFmpeg's names.
const REFERRERS: [&str; 15] = [
    "hls",
    "dash",
    "sdp",
    "rtsp",
    "rtp",
    "sap",
    "concat",
    "concatf",
    "imf",
    "webm_dash_manifest",
    "avisynth",
    "vapoursynth",
    "vobsub",
    "lavfi",
    "image2",
];
/// Protocols that what lies on this machine may use: itself, encrypted pieces, and keys that are written out.
const LOCAL: &str = "file,crypto,data";

/// How much an input may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest picture, pixels. A decoded picture takes up to eight bytes of each, and several are held.
    pub pixels: u64,
    /// Most streams; each costs a decoder and its look at the beginning, about 1.6 MB.
    pub streams: u32,
}

impl Default for Limits {
    /// 8192 × 4320 (the largest broadcast and cinema pictures) with some room, and 128 streams.
    fn default() -> Self {
        Self { pixels: 40_000_000, streams: 128 }
    }
}

impl Limits {
    /// The most pixels that may be allowed.
    pub const MOST_PIXELS: u64 = 1 << 30;
    /// The most streams that may be allowed.
    pub const MOST_STREAMS: u32 = 1000;

    /// Why a picture of this size is refused, if it is.
    pub(super) fn refuse(self, (width, height): (i64, i64)) -> Option<String> {
        let pixels = u64::try_from(width.saturating_mul(height)).unwrap_or(0);
        (pixels > self.pixels).then(|| {
            format!(
                "its pictures of {width}×{height} would take too much memory (at most {} pixels): scale it down, or allow \
                 more with --max-pixels (of a camera in a file: max_pixels)",
                self.pixels
            )
        })
    }
}

/// The formats among `REFERRERS` that an input's own name asks for, and the protocols that it may use.
fn asked(input: &Input) -> (Vec<&'static str>, String) {
    match input {
        Input::File(path) => (by_ending(path), LOCAL.into()),
        Input::Images(sequence) => (by_ending(&sequence.files[0].path), LOCAL.into()),
        Input::Stdin => (Vec::new(), "data".into()),
        Input::Url(url) | Input::Secret(url) => by_scheme(url),
    }
}

/// Playlists of pieces that lie beside them. Others (DASH, SDP) name addresses: those can be given directly.
fn by_ending(path: &Path) -> Vec<&'static str> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "m3u8" | "m3u" => vec!["hls"],
        "ffconcat" => vec!["concat"],
        // Images without a mark at their beginning are known by their ending alone.
        _ if is_image(path) && !path.to_string_lossy().contains(['*', '?', '{', '%']) => vec!["image2"],
        _ => Vec::new(),
    }
}

fn by_scheme(url: &str) -> (Vec<&'static str>, String) {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_lowercase();
    match scheme.as_str() {
        "file" => (Vec::new(), LOCAL.into()),
        "http" | "https" => (vec!["hls", "dash"], "http,https,httpproxy,tcp,tls,crypto,data".into()),
        "rtsp" | "rtsps" | "rtspt" | "rtspu" => {
            (vec!["rtsp", "rtp"], format!("{scheme},rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,data"))
        }
        "rtp" | "srtp" => (vec!["rtp"], "rtp,srtp,udp,crypto,data".into()),
        _ if scheme.starts_with("rtmp") => {
            (Vec::new(), format!("{scheme},rtmp,ffrtmpcrypt,ffrtmphttp,http,https,httpproxy,tcp,tls,crypto,data"))
        }
        "mmsh" => (Vec::new(), "mmsh,http,tcp".into()),
        _ => (Vec::new(), format!("{scheme},tcp,udp,tls,crypto,data")),
    }
}

/// Protocols that others travel in: nothing is opened by them alone, unless the input itself is.
const CARRIERS: [&str; 4] = ["tcp", "udp", "tls", "httpproxy"];

/// What may be opened on behalf of one input, and why the first thing that was refused was.
pub(super) struct Requests {
    protocols: Vec<String>,
    /// The only host that may be asked; `None`: any.
    host: Option<String>,
    refused: Mutex<Option<String>>,
}

impl Requests {
    /// `other_hosts`: whether the server of a URL may name others.
    pub(super) fn new(input: &Input, other_hosts: bool) -> Self {
        let url = input.url().map(usable);
        let own = url.as_deref().map(address);
        let host = own.filter(|_| !other_hosts).and_then(|(_, rest)| host(rest)).map(str::to_lowercase);
        let may = |name: &&str| {
            let alone = own.is_some_and(|(scheme, _)| scheme == *name);
            // FFmpeg does not say from where an encrypted piece came in the end.
            (alone || !CARRIERS.contains(name)) && (host.is_none() || *name != "crypto")
        };
        let protocols = asked(input).1.split(',').filter(may).map(ToOwned::to_owned).collect();
        Self { protocols, host, refused: Mutex::default() }
    }

    /// Whether an address may be opened; why not is kept.
    pub(super) fn admits(&self, url: &str) -> bool {
        let Err(reason) = self.check(url) else { return true };
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        false
    }

    /// Why something was refused, if anything was.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self, url: &str) -> Result<(), String> {
        let (scheme, rest) = address(url);
        let outer = scheme.split('+').next().unwrap_or(scheme);
        if !self.protocols.iter().any(|known| known == outer) {
            let allow = if outer == "crypto" { ": allow it with `follow_redirects = true`" } else { "" };
            return Err(format!("names what it may not have opened, an address of `{outer}:`{allow}"));
        }
        match (&self.host, host(rest)) {
            _ if outer == "data" => Ok(()),
            // What is within.
            _ if outer != scheme => self.check(&url[outer.len() + 1..]),
            _ if outer == "crypto" => self.check(rest),
            (Some(own), named) if named.is_none_or(|named| !named.eq_ignore_ascii_case(own)) => Err(format!(
                "its server sends on to another host ({}): give that address, or allow it with `follow_redirects = true`",
                named.unwrap_or("which one can't be told")
            )),
            _ => Ok(()),
        }
    }
}

/// The protocol by which FFmpeg opens an address, and what follows the colon.
fn address(url: &str) -> (&str, &str) {
    let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(url.len());
    match url[end..].strip_prefix(':') {
        Some(rest) => (&url[..end], rest),
        // Options before the colon.
        None if url[end..].starts_with(',') && url.contains(':') => (&url[..end], ""),
        None => ("file", url),
    }
}

/// The host in what follows the colon, without user and port.
fn host(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    Some(bare.map_or(host, |(name, _)| name))
}

/// What FFmpeg is told before it looks at an input.
pub(super) fn rules(input: &Input, limits: Limits, other_hosts: bool) -> Dictionary<'static> {
    let (mut formats, protocols) = asked(input);
    if !other_hosts {
        formats.retain(|format| *format != "dash");
    }
    let mut dictionary = Dictionary::new();
    dictionary.set("protocol_whitelist", &protocols);
    dictionary.set("format_whitelist", &formats_but_referrers(&formats));
    dictionary.set("max_streams", &limits.streams.to_string());
    dictionary
}

/// The same for a file of our own making.
pub(super) fn own_clip() -> Dictionary<'static> {
    rules(&Input::Stdin, Limits::default(), true)
}

/// All formats that FFmpeg reads, without the referrers that were not asked for.
fn formats_but_referrers(asked: &[&str]) -> String {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    let all = NAMES.get_or_init(raw::demuxers);
    let refers = |name: &str| name.split(',').any(|one| REFERRERS.contains(&one));
    let plain = all.iter().copied().filter(|name| !refers(name));
    plain.chain(asked.iter().copied()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &Input) -> (String, Vec<String>) {
        super::super::initialise();
        let rules = rules(input, Limits::default(), true);
        let list = |key: &str| rules.get(key).unwrap().to_owned();
        (list("protocol_whitelist"), list("format_whitelist").split(',').map(ToOwned::to_owned).collect())
    }

    #[test]
    fn only_a_name_that_asks_for_it_lets_others_be_named() {
        let has = |formats: &[String], name: &str| formats.iter().any(|f| f == name);
        for (input, asked) in [
            (Input::File("film.mp4".into()), None),
            (Input::File("list.M3U8".into()), Some("hls")),
            (Input::File("join.ffconcat".into()), Some("concat")),
            (Input::File("x.mpd".into()), None),
            (Input::File("x.sdp".into()), None),
            (Input::Stdin, None),
        ] {
            let (protocols, formats) = shown(&input);
            for referrer in REFERRERS {
                assert_eq!(has(&formats, referrer), asked == Some(referrer), "{input}: {referrer}");
            }
            assert!(has(&formats, "mov") && has(&formats, "matroska") && has(&formats, "png_pipe"), "{input}");
            assert!(
                ["http", "tcp", "udp", "rtp"].iter().all(|p| !protocols.split(',').any(|own| own == *p)),
                "{input}"
            );
        }
    }

    #[test]
    fn nothing_local_comes_from_a_network() {
        for url in
            ["http://h/x", "https://h/x.m3u8", "rtsp://h/x", "rtmps://h/x", "srt://h:1", "udp://h:1", "ftp://h/x"]
        {
            let (protocols, formats) = shown(&Input::Url(url.into()));
            assert!(!protocols.split(',').any(|p| ["file", "pipe", "fd", "concat", "subfile"].contains(&p)), "{url}");
            assert!(!formats.iter().any(|f| ["concat", "sdp", "avisynth", "image2"].contains(&f.as_str())), "{url}");
        }
    }

    #[test]
    fn addresses_are_read_as_ffmpeg_reads_them() {
        for (url, scheme, named) in [
            ("http://u:p@cam.local:80/x?y@z", "http", Some("cam.local")),
            ("http://[::1]:80/x", "http", Some("[::1]")),
            ("http://[::1]/x", "http", Some("[::1]")),
            ("http:/evil/?x=http://own/", "http", None),
            ("crypto+http://h/x", "crypto+http", Some("h")),
            ("subfile,,start,0,end,9,,:x", "subfile", None),
            ("/home/a:b.ts", "file", None),
            ("x", "file", None),
        ] {
            let (found, rest) = address(url);
            assert_eq!((found, host(rest)), (scheme, named), "{url}");
        }
    }

    #[test]
    fn what_an_input_names_is_admitted_or_not() {
        let camera = Requests::new(&Input::Url("http://u:p@cam:80/x.m3u8".into()), false);
        let server = Requests::new(&Input::Url("http://cam/x.m3u8".into()), true);
        let local = Requests::new(&Input::File("x.m3u8".into()), true);
        let stream = Requests::new(&Input::Url("tcp://cam:99".into()), false);
        for (url, by) in [
            // Camera, server, local file, stream.
            ("http://cam/1.ts", [true, true, false, false]),
            ("https://CAM:444/1.ts", [true, true, false, false]),
            ("http://other/1.ts", [false, true, false, false]),
            ("http://cam@other/1.ts", [false, true, false, false]),
            ("http:other/?http://cam/", [false, true, false, false]),
            ("crypto+http://cam/1.ts", [false, true, false, false]),
            ("crypto+file:1.ts", [false, false, true, false]),
            ("crypto:/home/1.ts", [false, false, true, false]),
            ("data:,x", [true, true, true, true]),
            ("file:///etc/x.ts", [false, false, true, false]),
            ("/etc/x.ts", [false, false, true, false]),
            ("tcp://cam:99", [false, false, false, true]),
            ("tcp://other:99", [false, false, false, false]),
            ("udp://cam:99", [false, false, false, false]),
            ("subfile,,start,0,end,9,,:/etc/x", [false, false, false, false]),
            ("concat:/etc/x", [false, false, false, false]),
        ] {
            assert_eq!([&camera, &server, &local, &stream].map(|requests| requests.admits(url)), by, "{url}");
        }
        assert!(camera.refused().unwrap().contains("another host (other)"));
    }

    #[test]
    fn large_pictures_are_refused_in_words() {
        let limits = Limits::default();
        assert_eq!(limits.refuse((8192, 4320)), None);
        assert_eq!(limits.refuse((0, 0)), None);
        let words = limits.refuse((16_000, 16_000)).unwrap();
        assert!(words.contains("16000×16000") && words.contains("--max-pixels"), "{words}");
    }
}
