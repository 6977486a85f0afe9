//! One JSON object per line while a run goes on: `started`, `point`, `gap`, `event`, `finished`.
//!
//! Invariants: a line is flushed as soon as it is known; `finished` sums up and does not repeat the curve; a reader that
//! goes away (`| head`) ends the run quietly.

use crate::error::{Error, Result};
use crate::record::{Report, RunEvent, Sink};
use crate::units::Stop;
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// Streams a run to `W`.
pub struct JsonLines<W> {
    writer: W,
    stop: Stop,
    closed: bool,
}

impl<W: Write> JsonLines<W> {
    /// Lines go to `writer`; `stop` is pulled when its reader goes away.
    pub const fn new(writer: W, stop: Stop) -> Self {
        Self { writer, stop, closed: false }
    }

    fn line(&mut self, event: &RunEvent<'_>) -> io::Result<()> {
        let mut bytes = match event {
            RunEvent::Finished(report) => serde_json::to_vec(&FinishedLine::of(report)),
            other => serde_json::to_vec(other),
        }?;
        bytes.push(b'\n');
        self.writer.write_all(&bytes)?;
        self.writer.flush()
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn record(&mut self, event: &RunEvent<'_>) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        match self.line(event) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                self.stop.request();
                Ok(())
            }
            other => other.map_err(|e| Error::output("standard output", e)),
        }
    }
}

/// [`RunEvent::Finished`] without what was streamed before.
#[derive(Serialize)]
struct FinishedLine<'a> {
    r#type: &'static str,
    schema: &'a str,
    input: &'a str,
    duration_s: f64,
    points: usize,
    events: usize,
    gaps: usize,
    video_surprise: &'a crate::record::VideoSurprise,
    truncated: bool,
    warnings: &'a [String],
    timings: &'a crate::record::Timings,
}

impl<'a> FinishedLine<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            r#type: "finished",
            schema: &report.schema,
            input: &report.input.path,
            duration_s: report.input.duration_s,
            points: report.curve.len(),
            events: report.events.len(),
            gaps: report.input.gaps.len(),
            video_surprise: &report.video_surprise,
            truncated: report.truncated,
            warnings: &report.warnings,
            timings: &report.timings,
        }
    }
}
