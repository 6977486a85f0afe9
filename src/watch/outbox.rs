//! A listener on a thread of its own: what it waits for (a reader, a disk) holds up neither the cameras nor other
//! listeners.
//!
//! Invariant: a bounded number of things waits; what does not fit is lost to this listener alone, counted and told.

use super::Say;
use super::engine::{CameraId, News};
use super::listener::{Bulletin, Listener};
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Things that wait for one listener at most: hours of alerts and health, never of the curve.
const QUEUE: usize = 1024;

/// What the thread is told.
enum ForListener {
    Take(Bulletin),
    Gone(CameraId),
}

/// Hands everything but the points of the curve to a listener on its own thread. What fails there is told and ends
/// nothing.
pub struct Outbox {
    name: &'static str,
    /// `None` once nothing follows.
    jobs: Option<SyncSender<ForListener>>,
    done: Receiver<Result<()>>,
    lost: Arc<AtomicU64>,
    /// What was lost since it was last told.
    untold: u64,
    say: Say,
}

impl Outbox {
    /// Starts the thread of `listener`; `name` is what it serves, in words: "standard output". It is given `limit` to
    /// finish at the end.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no thread.
    pub fn start(
        name: &'static str,
        mut listener: impl Listener + Send + 'static,
        limit: Duration,
        say: Say,
    ) -> Result<Self> {
        let (jobs, queue) = sync_channel::<ForListener>(QUEUE);
        let (tell_done, done) = sync_channel(1);
        let complain = Arc::clone(&say);
        let work = move || {
            let mut failing = false;
            for job in queue {
                match job {
                    ForListener::Gone(camera) => listener.gone(camera),
                    ForListener::Take(bulletin) => match listener.take(&bulletin) {
                        // A disk that stays full is told once.
                        Err(error) if !std::mem::replace(&mut failing, true) => complain(&error.to_string()),
                        taken => failing = taken.is_err(),
                    },
                }
            }
            let _ = tell_done.send(listener.finish(limit));
        };
        let spawned = std::thread::Builder::new().name("outbox".into()).spawn(work);
        spawned.map_err(|e| Error::Internal { stage: "outbox", reason: e.to_string() })?;
        Ok(Self { name, jobs: Some(jobs), done, lost: Arc::default(), untold: 0, say })
    }

    /// Counts what was lost.
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn put(&mut self, job: ForListener) {
        let Some(jobs) = &self.jobs else { return };
        match jobs.try_send(job) {
            Ok(()) if self.untold > 0 => {
                (self.say)(&format!("{}: goes on; {} lines were lost", self.name, self.untold));
                self.untold = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.untold == 0 {
                    (self.say)(&match error {
                        TrySendError::Full(_) => format!("{}: takes nothing any more; lines are lost", self.name),
                        TrySendError::Disconnected(_) => {
                            format!("{}: its thread is gone; please report this", self.name)
                        }
                    });
                }
                self.untold += 1;
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Listener for Outbox {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        if !matches!(bulletin.news.as_ref(), News::Moment(_)) {
            self.put(ForListener::Take(bulletin.clone()));
        }
        Ok(())
    }

    fn gone(&mut self, camera: CameraId) {
        self.put(ForListener::Gone(camera));
    }

    fn finish(&mut self, limit: Duration) -> Result<()> {
        self.jobs = None;
        self.done.recv_timeout(limit).unwrap_or_else(|_| {
            Err(Error::Config(format!("{}: takes nothing any more; its last lines are lost", self.name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::open::Input;
    use crate::watch::CameraConfig;
    use crate::watch::engine::Health;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::SystemTime;

    /// Takes a piece of news when it is let; fails at the third.
    struct Slow(Receiver<()>, Arc<AtomicU64>);

    impl Listener for Slow {
        fn take(&mut self, _: &Bulletin) -> Result<()> {
            let _ = self.0.recv();
            match self.1.fetch_add(1, Ordering::Relaxed) {
                2 | 3 => Err(Error::Config("the disk is full".into())),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn one_that_does_not_take_holds_nobody_up_and_what_is_lost_is_counted_and_told() {
        let (said, taken) = (Arc::new(Mutex::new(Vec::new())), Arc::<AtomicU64>::default());
        let say: Say = {
            let said = Arc::clone(&said);
            Arc::new(move |words: &str| said.lock().unwrap().push(words.to_owned()))
        };
        let (let_go, waits) = channel();
        let slow = Slow(waits, Arc::clone(&taken));
        let mut outbox = Outbox::start("standard output", slow, Duration::ZERO, say).unwrap();
        let camera = Arc::new(CameraConfig::new("gate".into(), Input::Url("udp://127.0.0.1:9".into())));
        let news = News::Health(Health::default());
        let bulletin = Bulletin::new(CameraId::new(0), camera, news, SystemTime::UNIX_EPOCH, None);
        let tell = |outbox: &mut Outbox| outbox.take(&bulletin).unwrap();
        // One may be in the listener's hands.
        (0..QUEUE + 3).for_each(|_| tell(&mut outbox));
        let lost = outbox.lost().load(Ordering::Relaxed);
        assert!((2..=3).contains(&lost), "{lost}");
        drop(let_go);
        while taken.load(Ordering::Relaxed) < 10 {
            std::thread::yield_now();
        }
        tell(&mut outbox);
        outbox.finish(Duration::from_mins(1)).unwrap();
        assert_eq!(taken.load(Ordering::Relaxed) + lost, QUEUE as u64 + 4);
        let said = said.lock().unwrap();
        let [full, rest @ ..] = said.as_slice() else { panic!() };
        assert_eq!(full, "standard output: takes nothing any more; lines are lost");
        assert!(rest.contains(&format!("standard output: goes on; {lost} lines were lost")), "{said:?}");
        assert_eq!(rest.iter().filter(|words| words.contains("the disk is full")).count(), 1, "{said:?}");
    }
}
