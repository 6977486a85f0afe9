//! Writing files so that a reader never sees half of one.
//!
//! Invariant: a file appears under its name complete or not at all: it is written to a temporary name in the same
//! folder and renamed.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Makes the output folder and checks that files can be made in it, so that a bad path fails before the long run.
///
/// # Errors
/// [`Error::Output`] when the folder can't be made or written to.
pub fn prepare(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::output(dir, e))?;
    temporary(dir).map_err(|e| Error::output(dir, e)).map(drop)
}

/// Writes `bytes` to `dir/name` and gives the whole path.
///
/// # Errors
/// [`Error::Output`] with the path; nothing is left behind.
pub fn write_atomic(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    let write = || -> std::io::Result<()> {
        let mut file = temporary(dir)?;
        file.write_all(bytes)?;
        file.flush()?;
        file.persist(&path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| Error::output(&path, e))?;
    Ok(path)
}

/// A temporary file in `dir`, with the permissions that an ordinary new file gets.
fn temporary(dir: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".startle-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
        builder.tempfile_in(dir)
    }
    #[cfg(not(unix))]
    builder.tempfile_in(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_whole_and_leaves_no_temporary_behind() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        prepare(&out).unwrap();
        write_atomic(&out, "x.txt", b"first").unwrap();
        let path = write_atomic(&out, "x.txt", b"second").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        std::fs::write(&file, b"").unwrap();
        assert!(prepare(&file).unwrap_err().to_string().contains("taken"));
    }
}
