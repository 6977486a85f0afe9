//! The exit statuses of the program.

use startle::Error;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: done.
    Done,
    /// 1: failed; for many inputs: at least one failed.
    Failed,
    /// 3: done, and events were found (only with `--fail-on-event`).
    EventsFound,
    /// 4: done, but part of an input could not be read; the report says which.
    Partial,
    /// 130: interrupted; what was analysed until then is reported.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::EventsFound => 3,
            Outcome::Partial => 4,
            Outcome::Interrupted => 130,
        }
        .into()
    }
}

impl From<&Error> for Outcome {
    fn from(error: &Error) -> Self {
        if matches!(error, Error::Stopped) { Self::Interrupted } else { Self::Failed }
    }
}

impl Outcome {
    /// Of two outcomes the one that the exit status has to tell.
    pub fn worse(self, other: Self) -> Self {
        let rank = |o: Self| match o {
            Self::Done => 0,
            Self::EventsFound => 1,
            Self::Partial => 2,
            Self::Failed => 3,
            Self::Interrupted => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_wins() {
        assert_eq!(Outcome::Done.worse(Outcome::EventsFound), Outcome::EventsFound);
        assert_eq!(Outcome::Failed.worse(Outcome::Partial), Outcome::Failed);
        assert_eq!(Outcome::from(&Error::Stopped), Outcome::Interrupted);
    }
}
