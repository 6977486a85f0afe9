//! The one error type of the library.
//!
//! A message is a lowercase fragment that says what was wrong and where (file, stream, timestamp); the variant says
//! which part of the world to look at. Each error is handled exactly once: printed by the command line, or recorded
//! in a result.

use std::path::PathBuf;

/// What `startle` functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of another crate that made one of ours.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything that can go wrong, by the part of the world that has to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input can't be used: missing, unreadable, empty, without video.
    #[error("{path}: {reason}")]
    Input {
        /// What the user named.
        path: String,
        /// What is wrong with it and what to do.
        reason: String,
        /// What made it so, where that was an error itself; its words are in `reason`.
        source: Option<Cause>,
    },
    /// Decoding broke part-way.
    #[error("{path}: decoding failed at {at_s:.3} s: {reason}")]
    Decode {
        /// The input being decoded.
        path: String,
        /// Presentation time of the last good frame, in seconds from the first frame.
        at_s: f64,
        /// FFmpeg's word for it.
        reason: String,
    },
    /// A model bundle is missing, incomplete or not what it says it is.
    #[error("model bundle {path}: {reason}")]
    Bundle {
        /// The bundle's folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The inference runtime or the asked-for device is not there.
    #[error("{0}")]
    Device(String),
    /// A graph failed while running, or gave numbers that can't be.
    #[error("inference failed: {0}")]
    Inference(String),
    /// A setting is out of range or two settings contradict each other.
    #[error("{0}")]
    Config(String),
    /// An output could not be written.
    #[error("can't write {path}: {source}")]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
    /// A fault of startle itself.
    #[error("internal error in {stage}: {reason}; please report this")]
    Internal {
        /// The pipeline stage or function.
        stage: &'static str,
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Input`].
    pub fn input(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Input { path: path.into(), reason: reason.into(), source: None }
    }

    /// The same with what made it so.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        if let Self::Input { source, .. } = &mut self {
            *source = Some(cause.into());
        }
        self
    }

    /// An [`Error::Input`] of what the system would not let be read.
    pub fn unreadable(path: impl Into<String>, cause: std::io::Error) -> Self {
        Self::input(path, format!("can't be read: {cause}")).because(cause)
    }

    /// An [`Error::Bundle`].
    pub fn bundle(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Bundle { path: path.into(), reason: reason.into() }
    }

    /// An [`Error::Output`].
    pub fn output(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Output { path: path.into(), source }
    }

    /// Whether this is only the echo of a stop or of another stage's failure, not a cause.
    pub fn is_echo(&self) -> bool {
        matches!(self, Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_cause_stays_with_its_error() {
        let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::unreadable("a.mp4", gone);
        assert_eq!(error.to_string(), "a.mp4: can't be read: entity not found");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("entity not found"));
        assert!(Error::input("a.mp4", "no video").source().is_none());
    }
}
