//! The thread of one destination: takes what waits, sends it, tries again.

use super::Say;
use super::spool::{QueuedAlert, Spool};
use crate::units::Stop;
use crate::watch::engine::Backoff;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(100);

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It was acknowledged.
    Done,
    /// It may be taken later: why it was not.
    Later(String),
    /// It will never be taken: why.
    Never(String),
}

/// Sends to one destination.
pub(super) trait Sender: Send {
    /// One attempt; ends soon after a stop was asked for.
    fn send(&mut self, message: &QueuedAlert, stop: &Stop) -> Delivered;

    /// Called while nothing waits, several times a second.
    fn idle(&mut self) {}

    /// Nothing follows.
    fn end(&mut self) {}
}

/// Everything that a destination's thread works with.
pub(super) struct SendThread {
    pub(super) name: String,
    pub(super) sender: Box<dyn Sender>,
    pub(super) spool: Arc<Spool>,
    pub(super) stop: Stop,
    pub(super) say: Say,
}

impl SendThread {
    /// Until a stop is asked for.
    pub(super) fn run(mut self) {
        let mut failures = 0;
        while !self.stop.requested() {
            let front = self.spool.front(NAP);
            if let Some(words) = self.spool.notice() {
                (self.say)(&words);
            }
            let (number, message) = match front {
                Ok(Some(front)) => front,
                Ok(None) => {
                    self.sender.idle();
                    continue;
                }
                Err(error) => {
                    self.fail(&mut failures, &error.to_string());
                    continue;
                }
            };
            match self.sender.send(&message, &self.stop) {
                Delivered::Done => {
                    self.spool.done(number);
                    if std::mem::take(&mut failures) > 0 {
                        self.tell("takes alerts again");
                    }
                }
                Delivered::Later(_) if self.stop.requested() => {}
                Delivered::Later(reason) => {
                    self.fail(&mut failures, &reason);
                }
                Delivered::Never(reason) => {
                    failures = 0;
                    let aside = self.spool.reject(number, &message);
                    let place = aside.map_or("lost".into(), |path| format!("in {}", path.display()));
                    self.tell(&format!("refuses alert {}: {reason}; it is {place}", message.delivery()));
                }
            }
        }
        self.sender.end();
    }

    /// Nothing can be sent now: told once, then a longer and longer wait.
    fn fail(&mut self, failures: &mut u32, reason: &str) {
        self.spool.stick();
        if *failures == 0 {
            self.tell(&format!("takes no alerts now, they wait: {reason}"));
        }
        self.sleep(Backoff::default().wait(*failures));
        *failures += 1;
    }

    fn tell(&self, words: &str) {
        (self.say)(&format!("{} {words}", self.name));
    }

    fn sleep(&mut self, wait: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < wait && !self.stop.requested() {
            self.sender.idle();
            std::thread::sleep(NAP.min(wait.saturating_sub(begun.elapsed())));
        }
    }
}
