//! Through folders, once each.
//!
//! Invariant: a folder is entered once, whatever links lead to it, so a link to an ancestor is no endless way down; real
//! folders come before links to them, so that a file is named by where it lies.

use super::natural_order;
use crate::error::{Error, Result};
use crate::units::Stop;
use std::collections::{HashSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What a walk found.
pub(super) struct Walked {
    /// Plain, visible files in natural order.
    pub files: Vec<PathBuf>,
    /// Visible folders that lay too deep to be entered.
    pub left_out: usize,
}

/// Device and inode: two names with the same are one file.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The files of a folder and of the folders up to `depth` levels below it. What can't be read below the folder itself is
/// passed over.
pub(super) fn files(folder: &Path, depth: usize, stop: &Stop) -> Result<Walked> {
    let root = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let fail = |e: std::io::Error| {
        Error::input(root.display().to_string(), format!("the folder can't be read ({e}): check its owner and mode"))
    };
    std::fs::read_dir(root).map_err(fail)?;
    let mut walked = Walked { files: Vec::new(), left_out: 0 };
    let mut entered = HashSet::new();
    let mut ahead = VecDeque::from([(folder.to_owned(), 0)]);
    while let Some((folder, level)) = ahead.pop_front() {
        if stop.requested() {
            return Err(Error::Stopped);
        }
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        if !identity(place).is_some_and(|id| entered.insert(id)) {
            continue;
        }
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // What is no link is told with its name: one question less for each file of a network disk.
            let kind = entry.file_type().ok().filter(|kind| !kind.is_symlink());
            let link = kind.is_none();
            let kind = kind.or_else(|| Some(std::fs::metadata(&path).ok()?.file_type()));
            match kind {
                Some(kind) if kind.is_dir() && level == depth => walked.left_out += 1,
                Some(kind) if kind.is_dir() && link => ahead.push_back((path, level + 1)),
                Some(kind) if kind.is_dir() => ahead.push_front((path, level + 1)),
                Some(kind) if kind.is_file() => walked.files.push(path),
                _ => {}
            }
        }
    }
    walked.files.sort_by(|a, b| natural_order(a, b));
    Ok(walked)
}

/// The visible files that a glob matches, in natural order, each real one once.
pub(super) fn matching(pattern: &str, stop: &Stop) -> Result<Vec<PathBuf>> {
    const EXACT: glob::MatchOptions = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let parts: PathBuf = Path::new(pattern).components().collect();
    let compiled = glob::Pattern::new(&parts.to_string_lossy())
        .map_err(|e| Error::input(pattern, format!("not a glob: {} at character {}", e.msg, e.pos + 1)))?;
    let is_plain = |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let base: PathBuf = parts.components().take_while(is_plain).collect();
    let levels = parts.components().count() - base.components().count();
    let deep = parts.components().any(|part| part.as_os_str() == "**");
    if !base.as_os_str().is_empty() && !base.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = files(&base, if deep { usize::MAX } else { levels.saturating_sub(1) }, stop)?.files;
    files.retain(|file| compiled.matches_path_with(file, EXACT));
    let mut seen = HashSet::new();
    // A link after the file that it leads to.
    files.sort_by_key(|file| file.is_symlink());
    files.retain(|file| identity(file).is_none_or(|id| seen.insert(id)));
    files.sort_by(|a, b| natural_order(a, b));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_nowhere_twice() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(root.join("c")).unwrap();
        std::fs::write(root.join("a/b/x.mp4"), b"x").unwrap();
        symlink(root, root.join("a/b/up")).unwrap();
        symlink(root.join("a"), root.join("c/side")).unwrap();
        symlink(root.join("c"), root.join("a/other")).unwrap();
        symlink(root.join("a/b/x.mp4"), root.join("a/again.mp4")).unwrap();
        let found = matching(&format!("{}/**/*.mp4", root.display()), &Stop::new()).unwrap();
        assert_eq!(found, [root.join("a/b/x.mp4")]);
        let stop = Stop::new();
        stop.request();
        assert!(matches!(matching(&format!("{}/**/*.mp4", root.display()), &stop), Err(Error::Stopped)));
        assert_eq!(files(root, 0, &Stop::new()).unwrap().left_out, 2);
    }
}
