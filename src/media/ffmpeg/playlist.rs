//! Playlists on this machine, looked at before FFmpeg is: one that names itself, or another playlist as a piece, would
//! keep it reading lists for ever.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger ones are not playlists.
const LARGEST: u64 = 16 << 20;
/// How playlists begin.
const BEGINNINGS: [&str; 2] = ["#EXTM3U", "ffconcat"];

/// Checks a playlist and those that it names; the error is a reason. A file that is no playlist is fine.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let mut seen = HashSet::new();
    walk(path, &mut seen)
}

fn walk(path: &Path, seen: &mut HashSet<PathBuf>) -> Result<(), String> {
    let Some(text) = read(path) else { return Ok(()) };
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if !seen.insert(whole) {
        return Err("is a playlist that names itself, directly or through others: it has no end".into());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    for (name, kind) in named(&text) {
        let target = folder.join(name.strip_prefix("file:").unwrap_or(&name));
        match kind {
            PlaylistKind::Playlist => walk(&target, seen)?,
            PlaylistKind::Piece if read(&target).is_some() => {
                return Err(format!("is a playlist that names another playlist ({name}) as a piece of the film"));
            }
            PlaylistKind::Piece => {}
        }
    }
    Ok(())
}

/// The text of a playlist; `None` of anything else.
fn read(path: &Path) -> Option<String> {
    // To open a pipe would be to wait for its writer.
    let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    let mut text = Vec::new();
    let mut reader = file.take(LARGEST);
    reader.by_ref().take(16).read_to_end(&mut text).ok()?;
    let begins = |beginning: &str| text.trim_ascii_start().starts_with(beginning.as_bytes());
    if !BEGINNINGS.into_iter().any(begins) {
        return None;
    }
    reader.read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaylistKind {
    Playlist,
    Piece,
}

/// What a playlist names.
fn named(text: &str) -> Vec<(String, PlaylistKind)> {
    let mut found = Vec::new();
    let mut next = PlaylistKind::Piece;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("file ") {
            found.push((name.trim().trim_matches(['\'', '"']).to_owned(), PlaylistKind::Piece));
        } else if line.starts_with("#EXT-X-STREAM-INF") {
            next = PlaylistKind::Playlist;
        } else if line.starts_with("#EXT-X-MEDIA:") || line.starts_with("#EXT-X-I-FRAME-STREAM-INF") {
            let name = line.split_once("URI=\"").and_then(|(_, rest)| rest.split('"').next());
            found.extend(name.map(|name| (name.to_owned(), PlaylistKind::Playlist)));
        } else if !line.starts_with('#') {
            found.push((line.to_owned(), std::mem::replace(&mut next, PlaylistKind::Piece)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, texts: &[(&str, &str)]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in texts {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        check(&dir.path().join(name))
    }

    #[test]
    fn playlists_without_an_end_are_refused() {
        let variant = |of: &str| format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{of}\n");
        let itself = written("a.m3u8", &[("a.m3u8", &variant("a.m3u8"))]).unwrap_err();
        assert!(itself.contains("names itself"), "{itself}");
        let ring = written("a.m3u8", &[("a.m3u8", &variant("b.m3u8")), ("b.m3u8", &variant("./a.m3u8"))]).unwrap_err();
        assert!(ring.contains("names itself"), "{ring}");
        let piece = written("a.m3u8", &[("a.m3u8", "#EXTM3U\n#EXTINF:1,\nb.ts\n"), ("b.ts", "#EXTM3U\n")]).unwrap_err();
        assert!(piece.contains("as a piece"), "{piece}");
        let join = written("a.ffconcat", &[("a.ffconcat", "ffconcat version 1.0\nfile 'a.ffconcat'\n")]).unwrap_err();
        assert!(join.contains("as a piece"), "{join}");
    }

    #[test]
    fn ordinary_ones_and_what_is_no_playlist_pass() {
        let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"s.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n";
        let media = "#EXTM3U\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n";
        written("a.m3u8", &[("a.m3u8", master), ("b.m3u8", media), ("s.m3u8", media), ("0.ts", "\u{47}")]).unwrap();
        written("gone.m3u8", &[]).unwrap();
        written("x.mp4", &[("x.mp4", "no list")]).unwrap();
    }
}
