//! Pipes as a reader that never sleeps where a stop can't reach it.
//!
//! Standard input and named pipes are opened anew and without blocking (a new file description, so that whoever
//! shares the pipe with us keeps its own mode); an empty pipe is then a short sleep and a question to the stop token,
//! not a blocked read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// `O_NONBLOCK` of the platform's `fcntl.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NONBLOCK: i32 = 0o4000;
/// `O_NONBLOCK` of the platform's `fcntl.h`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NONBLOCK: i32 = 0x0004;

/// How long to sleep on an empty pipe: short against a frame, long against a system call.
const NAP: Duration = Duration::from_millis(4);

/// A pipe. A read that finds it empty sleeps briefly and says [`ErrorKind::Interrupted`], upon which FFmpeg's side asks
/// the stop token and tries again.
pub(super) struct PipeReader {
    file: File,
    /// A named pipe without a writer reads as ended; it has not begun before its first byte.
    wait_for_writer: bool,
}

impl PipeReader {
    /// A pipe by its name. One that was handed to this process (standard input, a shell's `<(…)`) has its writer
    /// already, or has had it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let inherited = ["/dev/stdin", "/dev/fd", "/proc"].iter().any(|prefix| path.starts_with(prefix));
        let file = File::options().read(true).custom_flags(NONBLOCK).open(path)?;
        Ok(Self { file, wait_for_writer: !inherited })
    }
}

/// Whether the path is a named pipe.
pub(super) fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(0) if self.wait_for_writer => {}
            Ok(count) => {
                self.wait_for_writer = false;
                return Ok(count);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        std::thread::sleep(NAP);
        Err(ErrorKind::Interrupted.into())
    }
}
