//! News as lines: JSON on standard output and in a file, words on standard error.

use startle::monitor::{Heard, Listener, RotatingFile, alert};
use startle::pipeline::live::{Health, Incident, News, Phase, State};
use startle::units::Stop;
use startle::{Error, Result, report};
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Writes a line for each piece of news.
pub(super) struct Lines {
    /// Every line goes there too.
    pub(super) file: Option<RotatingFile>,
    /// Say it for people too.
    pub(super) people: bool,
    /// Asked for when nobody reads standard output any more.
    pub(super) stop: Stop,
    closed: bool,
}

impl Lines {
    pub(super) const fn new(file: Option<RotatingFile>, people: bool, stop: Stop) -> Self {
        Self { file, people, stop, closed: false }
    }
}

impl Listener for Lines {
    fn take(&mut self, heard: Heard<'_>) -> Result<()> {
        let Heard { camera, news, at, .. } = heard;
        let Some(line) = heard.line() else { return Ok(()) };
        if let Some(file) = &mut self.file {
            file.line(&line)?;
        }
        if self.people {
            eprintln!("{} {}", alert::rfc3339(at), crate::cli::plain(&format!("{}: {}", camera.name, words(news))));
        }
        if self.closed {
            return Ok(());
        }
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

/// A listener whose failures are told and end nothing.
pub(super) struct Lenient<L>(pub(super) L);

impl<L: Listener> Listener for Lenient<L> {
    fn take(&mut self, heard: Heard<'_>) -> Result<()> {
        self.0.take(heard).or_else(|error| {
            eprintln!("startle: {}", crate::cli::plain(&error.to_string()));
            Ok(())
        })
    }

    fn finish(&mut self, limit: Duration) -> Result<()> {
        self.0.finish(limit)
    }
}

/// A piece of news for people.
pub(super) fn words(news: &News) -> String {
    match news {
        News::Moment(_) | News::Learnt(_) => String::new(),
        News::Incident(incident) => {
            let Incident { phase, event, wall } = incident.as_ref();
            let [x0, y0, x1, y1] = event.place.map(f32::round);
            let what = event.what.as_ref().map_or(String::new(), |what| format!(". {}", what.sentence));
            let rate = event.per_hour.map_or(String::new(), |r| format!(", normal footage: {} per hour", number(r)));
            format!(
                "EVENT {} {}, surprise {:.1} (z = {:.1}{rate}), at x {x0}–{x1}, y {y0}–{y1}{what}",
                alert::rfc3339(wall.onset),
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
    }
}

fn number(value: f64) -> String {
    report::words::number(value)
}

fn health_words(health: &Health) -> String {
    let Health { state, reconnects, dropped, strange, learning, reason } = health;
    let reason = reason.as_ref().map_or(String::new(), |r| format!(": {r}"));
    let state = match state {
        State::Opening => "connecting".into(),
        State::Watching if *strange => "watching, but unlike the baseline's footage: no events are looked for".into(),
        State::Watching if *learning => "watching and learning what is normal: no events are told yet".into(),
        State::Watching => "watching".into(),
        State::Waiting { seconds } => format!("away, next attempt in {seconds:.0} s{reason}"),
        State::Ended => format!("ended{reason}"),
    };
    format!("{state} ({reconnects} reconnects, {dropped} clips dropped)")
}
