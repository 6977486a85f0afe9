//! What an input may open beside itself, and how much it may take: the one rule on every way into FFmpeg.
//!
//! A file is data that somebody else made. FFmpeg looks at its content to tell what it is, and some of what it may turn out
//! to be (playlists, session descriptions, scripts) names other files and addresses, which FFmpeg would open.
//!
//! Invariants: what is opened locally opens nothing on a network, and what comes from a network nothing local; a format that
//! names others is read only where the input's own name asks for it; a format that runs scripts never.

use super::raw;
use crate::media::open::{Input, is_image};
use ffmpeg_next::Dictionary;
use std::path::Path;
use std::sync::OnceLock;

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
    /// Why a picture of this size is refused, if it is.
    pub(super) fn refuse(self, (width, height): (i64, i64)) -> Option<String> {
        let pixels = u64::try_from(width.saturating_mul(height)).unwrap_or(0);
        (pixels > self.pixels).then(|| {
            format!(
                "its pictures of {width}×{height} would take too much memory (at most {} million pixels): scale it down, or \
                 allow more with --max-pixels",
                self.pixels / 1_000_000
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

/// What FFmpeg is told before it looks at an input.
pub(super) fn rules(input: &Input, limits: Limits) -> Dictionary<'static> {
    let (formats, protocols) = asked(input);
    let mut dictionary = Dictionary::new();
    dictionary.set("protocol_whitelist", &protocols);
    dictionary.set("format_whitelist", &formats_but_referrers(&formats));
    dictionary.set("max_streams", &limits.streams.to_string());
    dictionary
}

/// The same for a file of our own making.
pub(super) fn own_clip() -> Dictionary<'static> {
    rules(&Input::Stdin, Limits::default())
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
        let rules = rules(input, Limits::default());
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
    fn large_pictures_are_refused_in_words() {
        let limits = Limits::default();
        assert_eq!(limits.refuse((8192, 4320)), None);
        assert_eq!(limits.refuse((0, 0)), None);
        let words = limits.refuse((16_000, 16_000)).unwrap();
        assert!(words.contains("16000×16000") && words.contains("--max-pixels"), "{words}");
    }
}
