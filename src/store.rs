//! Files as whole things: the only place that writes one in another's stead, and that keeps a folder to one program.
//!
//! Invariant: a file appears under its name complete or not at all: it is written under another name in the same folder
//! and renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// How the name of what is being written begins and ends.
const PREFIX: &str = ".startle-";
const SUFFIX: &str = ".part";

/// What a written file outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the program, however sudden. Costs no wait for the disk.
    Crash,
    /// A power cut too: the bytes and the name are on the disk.
    PowerCut,
}

/// Writes a file, or puts it in the place of the one that is there. Nothing is left behind when it fails.
///
/// # Errors
/// What the system says.
pub fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary(folder)?;
    file.write_all(bytes)?;
    if durability == Durability::PowerCut {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|e| e.error)?;
    if durability == Durability::PowerCut {
        settle(folder);
    }
    Ok(())
}

/// Gives a finished file its name, in the same folder; outlives a power cut.
///
/// # Errors
/// What the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    if let Some(folder) = to.parent() {
        settle(folder);
    }
    Ok(())
}

/// Removes what a program that was killed left half written in a folder.
///
/// # Errors
/// What the system says.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

/// Makes a folder and checks that files can be made in it.
///
/// # Errors
/// What the system says.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    temporary(folder).map(drop)
}

/// Keeps a file or a folder to this program for as long as what it gives lives; `None`: another one has it. Some network
/// disks know no locks: there it is given to everybody.
///
/// # Errors
/// What the system says when it can't be opened.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = if path.is_dir() { File::open(path)? } else { File::options().create(true).append(true).open(path)? };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(file)),
    }
}

/// A temporary file in `folder`, with the permissions that an ordinary new file gets.
pub(crate) fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// That a name outlives a power cut is as good as the disk is: some know no such thing of a folder.
fn settle(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_whole_and_leaves_no_temporary_behind() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        prepare(&out).unwrap();
        replace(&out.join("x.txt"), b"first", Durability::Crash).unwrap();
        replace(&out.join("x.txt"), b"second", Durability::PowerCut).unwrap();
        assert_eq!(fs::read(out.join("x.txt")).unwrap(), b"second");
        fs::write(out.join(".startle-x.part"), b"hal").unwrap();
        sweep(&out).unwrap();
        assert!(replace(&out, b"a folder is there", Durability::Crash).is_err());
        assert_eq!((fs::read_dir(&out).unwrap().count(), fs::read_dir(dir.path().join("a")).unwrap().count()), (1, 1));
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join(".lock")] {
            let first = lock(&path).unwrap().unwrap();
            assert!(lock(&path).unwrap().is_none());
            drop(first);
            assert!(lock(&path).unwrap().is_some());
        }
    }
}
