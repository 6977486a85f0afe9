//! Writing files so that a reader never sees half of one.

use crate::error::{Error, Result};
use crate::store::{self, Durability};
use std::path::{Path, PathBuf};

/// Makes the output folder and checks that files can be made in it, so that a bad path fails before the long run.
///
/// # Errors
/// [`Error::Output`] when the folder can't be made or written to.
pub fn prepare(dir: &Path) -> Result<()> {
    store::prepare(dir).map_err(|e| Error::output(dir, e))
}

/// Writes `bytes` to `dir/name` and gives the whole path.
///
/// # Errors
/// [`Error::Output`] with the path; nothing is left behind.
pub fn write_atomic(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    store::replace(&path, bytes, Durability::Crash).map_err(|e| Error::output(&path, e))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_a_file_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        std::fs::write(&file, b"").unwrap();
        assert!(prepare(&file).unwrap_err().to_string().contains("taken"));
    }
}
