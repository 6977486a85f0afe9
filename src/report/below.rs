//! Finding the results that lie below a folder.

use crate::error::{Error, Result};
use crate::media::open::natural_order;
use crate::units::Stop;
use std::path::{Path, PathBuf};

/// Folders at or below `root` that hold a `result.json`, in natural order. Hidden folders and links to folders are passed
/// over.
///
/// # Errors
/// [`Error::Input`] when `root` can't be read; [`Error::Stopped`].
pub fn results(root: &Path, stop: &Stop) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(root).map_err(|e| Error::unreadable(root.display().to_string(), e))?;
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        if stop.requested() {
            return Err(Error::Stopped);
        }
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !name.as_encoded_bytes().starts_with(b".") => waiting.push(entry.path()),
                Ok(_) if name == "result.json" => found.push(folder.clone()),
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| natural_order(a, b));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_deep_down_and_in_natural_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["clip10", "clip2", "deep/er/clip1", ".hidden/x"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("result.json"), b"{}").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let found = results(dir.path(), &Stop::new()).unwrap();
        let names: Vec<_> =
            found.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["clip2", "clip10", "deep/er/clip1"]);
        assert!(results(&dir.path().join("none"), &Stop::new()).unwrap_err().to_string().contains("none"));
    }
}
