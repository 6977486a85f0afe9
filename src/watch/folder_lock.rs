//! A folder that one program uses at a time.

use crate::error::{Error, Result};
use crate::store;
use std::fs::File;
use std::path::Path;

/// Makes a folder and keeps other programs from taking it for theirs as long as the file lives; `what` it is, in words.
pub(super) fn lock(folder: &Path, name: &str, what: &str) -> Result<File> {
    std::fs::create_dir_all(folder).map_err(|e| Error::output(folder, e))?;
    let path = folder.join(name);
    store::lock(&path).map_err(|e| Error::output(&path, e))?.ok_or_else(|| {
        let words = format!("is used by another startle: give each its own {what}, or end the other");
        Error::Config(format!("{}: {words}", folder.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_program_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path(), ".clips.lock", "folder").unwrap();
        let error = lock(dir.path(), ".clips.lock", "folder").unwrap_err().to_string();
        assert!(error.contains("another startle"), "{error}");
        drop(first);
        lock(dir.path(), ".clips.lock", "folder").unwrap();
    }
}
