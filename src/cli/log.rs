//! The log: what the parts of the program tell of their work (`--log`), beside what is said to people.

use clap::{Args, ValueEnum};
use std::error::Error as _;
use std::io::stderr;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is said to people is an event like the others.
static ALL_JSON: AtomicBool = AtomicBool::new(false);

/// What is logged on standard error, and how. These come before the command: `startle --log debug analyze …`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Tell on standard error what goes on inside: error, warn, info, debug or trace, or part by part, as in
    /// `info,ffmpeg=warn`; debug tells the causes of errors too. Nothing without it.
    #[arg(long, value_name = "LEVEL|FILTER", env = "STARTLE_LOG", hide_env_values = true)]
    log: Option<String>,
    /// How it is told: text, or json, an object a line for journald and the like, with what is said to people among it.
    #[arg(long, value_name = "text|json", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// Begins to log, if it is asked for.
    ///
    /// # Errors
    /// [`startle::Error::Config`] when the filter is none.
    pub fn start(&self) -> startle::Result<()> {
        let json = self.log_format == LogFormat::Json;
        let asked = self.log.as_deref().map(str::trim).filter(|asked| !asked.is_empty());
        let filter = match asked.map(str::parse::<Targets>) {
            Some(Ok(filter)) => filter,
            Some(Err(error)) => return Err(startle::Error::Config(format!("--log: {error}"))),
            None if json => Targets::new().with_default(LevelFilter::INFO),
            None => return Ok(()),
        };
        let log = tracing_subscriber::registry().with(filter);
        if json {
            log.with(fmt::layer().json().with_writer(stderr)).init();
        } else {
            log.with(fmt::layer().with_writer(stderr)).init();
        }
        ALL_JSON.store(json, Ordering::Relaxed);
        Ok(())
    }
}

/// Says a line to people: as it is, or as an event of the log.
pub fn say(line: &str) {
    if ALL_JSON.load(Ordering::Relaxed) {
        tracing::info!("{}", line.strip_prefix("startle: ").unwrap_or(line));
    } else {
        eprintln!("{line}");
    }
}

/// Says what ended the program, and its causes where they are not in its words already.
pub fn complain(error: &startle::Error) {
    let words = error.to_string();
    if ALL_JSON.load(Ordering::Relaxed) {
        tracing::error!("{}", super::plain(&words));
    } else {
        eprintln!("startle: {}", super::plain(&words));
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        tracing::debug!("caused by: {}", super::plain(&text));
        if !words.contains(&text) {
            say(&format!("  because: {}", super::plain(&text)));
        }
        cause = inner.source();
    }
}
