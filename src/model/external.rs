//! The files beside an ONNX graph that hold its weights: the graph names them, and each must be one that the manifest lists
//! and whose hash was checked.
//!
//! A graph names such a file as the pair `location` → name (`StringStringEntryProto` of `onnx.proto3`), wherever a tensor may
//! stand in it; so the whole graph is searched for the pair, without following its structure.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Field 1, eight bytes, as the key of the pair.
const KEY: &[u8] = b"\x0a\x08location";
/// The tag of field 2, its value.
const VALUE: u8 = 0x12;
/// Longest name of a file.
const LONGEST: usize = 255;
/// How much of a graph is read at a time.
const PIECE: usize = 1 << 20;

/// The first file that a graph names and `listed` does not have.
pub(super) fn unlisted(graph: &Path, listed: &[&str]) -> io::Result<Option<String>> {
    let mut file = File::open(graph)?;
    let mut held = Vec::with_capacity(2 * PIECE);
    loop {
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut held)?;
        let found = names(&held).find(|name| !listed.contains(&name.as_str()));
        if found.is_some() || read == 0 {
            return Ok(found);
        }
        // A pair may lie across two pieces.
        let seen = held.len().saturating_sub(KEY.len() + LONGEST + 3);
        held.drain(..seen);
    }
}

fn names(bytes: &[u8]) -> impl Iterator<Item = String> {
    let keys = bytes.windows(KEY.len()).enumerate().filter(|(_, window)| *window == KEY);
    keys.filter_map(|(at, _)| match &bytes[at + KEY.len()..] {
        // The length is one byte up to 127, and two above.
        [VALUE, length @ 0..=127, rest @ ..] => rest.get(..usize::from(*length)).map(lossy),
        [VALUE, low, high, rest @ ..] => rest.get(..usize::from(low & 0x7f) | usize::from(*high) << 7).map(lossy),
        // Cut off here; what follows tells.
        [] | [VALUE, ..] => None,
        // In another order, which no writer of ONNX uses.
        _ => Some("a file that it hides".into()),
    })
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_graph_names_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let graph = dir.path().join("g.onnx");
        let long = "w".repeat(200);
        let pair = |name: &str| {
            let length = if name.len() < 128 { vec![name.len() as u8] } else { vec![name.len() as u8 | 0x80, 1] };
            [KEY, &[VALUE], &length, name.as_bytes()].concat()
        };
        let first = |bytes: Vec<u8>, listed: &[&str]| {
            std::fs::write(&graph, bytes).unwrap();
            unlisted(&graph, listed).unwrap()
        };
        let both = [vec![0; 17], pair("a.data"), vec![1; 9], pair(&long)].concat();
        assert_eq!(first(both.clone(), &["a.data", &long]), None);
        assert_eq!(first(both.clone(), &["a.data"]), Some(long.clone()));
        assert_eq!(first(both, &[&long]), Some("a.data".into()));
        // Across the pieces in which it is read.
        for before in PIECE - 40..PIECE + 2 {
            assert_eq!(first([vec![0; before], pair("/etc/x")].concat(), &[]), Some("/etc/x".into()), "{before}");
        }
        assert_eq!(first([KEY, b"\x1a\x01x"].concat(), &[]), Some("a file that it hides".into()));
        assert_eq!(first(vec![7; 3 * PIECE], &[]), None);
    }
}
