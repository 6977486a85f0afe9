//! News as lines: JSON on standard output and in a file, words on standard error. Each has a thread of its own: one that
//! nobody reads holds nothing else up.

use startle::units::Stop;
use startle::watch::alert::Utc;
use startle::watch::engine::{CameraState, Health, Incident, News, Phase};
use startle::watch::{Bulletin, Listener, RotatingFile, Say};
use startle::{Error, Result, report};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Words that wait for standard error at most.
const WORDS: usize = 4096;

/// Standard error, written on a thread of its own.
pub(super) struct Voice {
    say: SyncSender<String>,
    done: Receiver<()>,
}

impl Voice {
    pub(super) fn start() -> Result<Self> {
        let (say, words) = sync_channel::<String>(WORDS);
        let (tell_done, done) = sync_channel(1);
        let work = move || {
            for line in words {
                crate::cli::log::say(&line);
            }
            let _ = tell_done.send(());
        };
        let spawned = std::thread::Builder::new().name("voice".into()).spawn(work);
        spawned.map_err(|e| Error::Internal { stage: "voice", reason: e.to_string() })?;
        Ok(Self { say, done })
    }

    /// Says something for people; lost when nobody reads.
    pub(super) fn say(&self) -> Say {
        let say = self.say.clone();
        Arc::new(move |words: &str| drop(say.try_send(format!("startle: {}", crate::cli::plain(words)))))
    }

    /// Takes lines as they are.
    pub(super) fn lines(&self) -> SyncSender<String> {
        self.say.clone()
    }

    /// Everything was said: waits until it is read, but not past `limit`. Nobody may hold a [`Voice::say`] any more.
    pub(super) fn finish(self, limit: Duration) {
        drop(self.say);
        let _ = self.done.recv_timeout(limit);
    }
}

/// Words for people.
pub(super) struct People(pub(super) SyncSender<String>);

impl Listener for People {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        if let Some(words) = words(&bulletin.news) {
            let words = crate::cli::plain(&format!("{}: {words}", bulletin.camera.name));
            let _ = self.0.try_send(format!("{} {words}", Utc(bulletin.at)));
        }
        Ok(())
    }
}

/// The lines of a file.
pub(super) struct InFile(pub(super) RotatingFile);

impl Listener for InFile {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        bulletin.line().map_or(Ok(()), |line| self.0.line(&line))
    }

    fn finish(&mut self, _: Duration) -> Result<()> {
        self.0.flush()
    }
}

/// The lines of standard output.
pub(super) struct Stdout {
    /// Asked for when nobody can read it any more.
    stop: Stop,
    closed: bool,
}

impl Stdout {
    pub(super) const fn new(stop: Stop) -> Self {
        Self { stop, closed: false }
    }
}

impl Listener for Stdout {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        let Some(line) = bulletin.line().filter(|_| !self.closed) else { return Ok(()) };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                self.stop.request();
                Ok(())
            }
            other => other.map_err(|e| Error::output("standard output", e)),
        }
    }
}

/// A piece of news for people; `None` for points of the curve and what was learnt.
fn words(news: &News) -> Option<String> {
    Some(match news {
        News::Moment(_) | News::Learnt(_) => return None,
        News::Incident(incident) => {
            let Incident { phase, event, wall } = incident.as_ref();
            let [x0, y0, x1, y1] = event.place.map(f32::round);
            let what = event.what.as_ref().map_or(String::new(), |what| format!(". {}", what.sentence));
            let rate = event.per_hour.map_or(String::new(), |r| format!(", normal footage: {} per hour", number(r)));
            format!(
                "EVENT {} {}, surprise {:.1} (z = {:.1}{rate}), at x {x0}–{x1}, y {y0}–{y1}{what}",
                Utc(wall.onset),
                match phase {
                    Phase::Begun => "has begun".into(),
                    Phase::Over => format!("is over after {:.1} s", event.end_s - event.onset_s),
                },
                event.score,
                event.z
            )
        }
        News::Gap(gap) => format!("gap of {:.1} s: {}", gap.end_s - gap.start_s, report::words::gap(gap.reason)),
        News::Health(health) => health_words(health),
    })
}

fn number(value: f64) -> String {
    report::words::number(value)
}

fn health_words(health: &Health) -> String {
    let Health { state, reconnects, dropped, strange, learning, reason } = health;
    let reason = reason.as_ref().map_or(String::new(), |r| format!(": {r}"));
    let state = match state {
        CameraState::Opening => "connecting".into(),
        CameraState::Watching if *strange => {
            "watching, but unlike the baseline's footage: no events are looked for".into()
        }
        CameraState::Watching if *learning => "watching and learning what is normal: no events are told yet".into(),
        CameraState::Watching => "watching".into(),
        CameraState::Waiting { seconds } => format!("away, next attempt in {seconds:.0} s{reason}"),
        CameraState::Ended => format!("ended{reason}"),
    };
    format!("{state} ({reconnects} reconnects, {dropped} clips dropped)")
}
