//! Where the page's player gets the video from.
//!
//! Invariant: the video is only put inside the page when browsers play its container and codec and it is small enough;
//! otherwise the page links to the original and says why.

use super::super::OutputOptions;
use super::parts::href;
use crate::record::InputReport;
use base64::Engine;
use maud::{Markup, html};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Codecs that at least one common browser plays in the containers below, by FFmpeg's names.
const CODECS: [&str; 6] = ["h264", "hevc", "av1", "vp8", "vp9", "theora"];

/// The player's source.
pub enum Player {
    /// Inside the page, base64.
    Embedded {
        /// Media type for the browser.
        mime: &'static str,
        /// The file.
        base64: String,
    },
    /// Beside the page, and browsers play it.
    Linked(String),
    /// Not playable here; a link to the original when there is one.
    Absent {
        /// Why, as a sentence.
        why: String,
        /// Link to the original.
        href: Option<String>,
    },
}

impl Player {
    /// Decides for an input; unreadable files count as absent.
    pub fn choose(input: &InputReport, options: &OutputOptions) -> Self {
        let Some(path) = &options.source_video else {
            let why = "The video itself is not at hand: it came from a stream, or no longer lies where it was.".into();
            return Self::Absent { why, href: None };
        };
        let link = relative_link(path, &options.dir);
        let Some(mime) = container(path) else {
            let why = "Browsers do not play this container; open the original in a video player.".into();
            return Self::Absent { why, href: Some(link) };
        };
        if !CODECS.contains(&input.codec.as_str()) {
            let why = format!("Browsers do not play {} video; open the original in a video player.", input.codec);
            return Self::Absent { why, href: Some(link) };
        }
        let size = std::fs::metadata(path).map_or(u64::MAX, |m| m.len());
        if size <= options.embed_limit
            && let Ok(bytes) = std::fs::read(path)
        {
            return Self::Embedded { mime, base64: base64::engine::general_purpose::STANDARD.encode(bytes) };
        }
        Self::Linked(link)
    }

    /// The player's elements; `poster` is a JPEG in base64, or empty.
    pub fn html(&self, input: &InputReport, poster: &str) -> Markup {
        // What is linked may be large: nothing but its index is read before it is played.
        let (source, preload) = match self {
            Self::Absent { why, href } => {
                return html! {
                    div.no-video { p {
                        (why)
                        @if let Some(href) = href { " " a href=(href) { "Original" } "." }
                    } }
                };
            }
            Self::Linked(href) => (Some(href), "metadata"),
            Self::Embedded { .. } => (None, "auto"),
        };
        let poster = source.and_then(|_| super::jpeg(poster));
        let (width, height) = (input.width.max(1), input.height.max(1));
        html! {
            div.screen.portrait[height > width] style={ "--w:" (width) ";--h:" (height) } {
                video id="video" controls playsinline muted preload=(preload) poster=[poster] src=[source]
                    aria-label="the analyzed video" {}
                canvas id="heat" aria-hidden="true" {}
                div id="objects" aria-hidden="true" {}
                div.box.expected id="expected" aria-hidden="true" hidden { span { "expected" } }
                div.box id="place" aria-hidden="true" hidden { span {} }
            }
            p.note id="no-play" hidden {
                "This browser can't play the video (" (input.codec) "); the curve and the events work without it."
            }
        }
    }

    /// That a large video lies beside the page; empty where it is inside or there is none.
    pub fn beside(&self, limit: u64) -> Markup {
        html! {
            @if let Self::Linked(href) = self {
                p.note.beside {
                    "The video lies " a href=(href) { "beside this page" } ": more than " (limit >> 20)
                    " MB are not put inside."
                }
            }
        }
    }

    /// The embedded video's element, for the end of the page, so that the rest shows before it has loaded.
    pub fn payload(&self) -> Markup {
        html! {
            @if let Self::Embedded { mime, base64 } = self {
                script type="text/plain" id="video-data" data-mime=(mime) { (base64) }
            }
        }
    }
}

/// The media type of a container that browsers play, by its first bytes.
fn container(path: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(64).read_to_end(&mut head).ok()?;
    match &head[..] {
        // MP4, M4V and QuickTime share their layout; under this name browsers try all three.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("video/mp4"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] if head.windows(4).any(|w| w == b"webm") => Some("video/webm"),
        [b'O', b'g', b'g', b'S', ..] => Some("video/ogg"),
        _ => None,
    }
}

/// A link from a page in `dir` to `path`.
pub fn relative_link(path: &Path, dir: &Path) -> String {
    let whole = |p: &Path| std::fs::canonicalize(p).unwrap_or_else(|_| p.to_owned());
    let (path, dir) = (whole(path), whole(dir));
    let shared = path.components().zip(dir.components()).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return href(&path.to_string_lossy());
    }
    let up = dir.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(shared)).collect();
    href(&relative.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_up_and_down_from_the_page() {
        let root = tempfile::tempdir().unwrap();
        let (videos, out) = (root.path().join("my videos"), root.path().join("reports/a"));
        std::fs::create_dir_all(&videos).unwrap();
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(videos.join("x#1.mp4"), b"").unwrap();
        assert_eq!(relative_link(&videos.join("x#1.mp4"), &out), "../../my%20videos/x%231.mp4");
    }

    #[test]
    fn containers_are_told_by_content_not_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |bytes: &[u8]| {
            let path = dir.path().join("video.mp4");
            std::fs::write(&path, bytes).unwrap();
            container(&path)
        };
        assert_eq!(kind(b"\0\0\0\x20ftypisom"), Some("video/mp4"));
        assert_eq!(kind(b"\x1a\x45\xdf\xa3....webm"), Some("video/webm"));
        assert_eq!(kind(b"\x1a\x45\xdf\xa3....matroska"), None);
        assert_eq!(kind(b"RIFF....AVI "), None);
        assert_eq!(kind(b""), None);
    }
}
