//! Progress of one video on the terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use startle::Result;
use startle::record::{RunEvent, Sink};
use std::time::Instant;

/// Draws a bar on stderr when it is a terminal; silent otherwise.
pub struct ProgressSink {
    bars: MultiProgress,
    bar: ProgressBar,
    name: String,
    started: Instant,
    events: usize,
}

impl ProgressSink {
    /// One more bar below the others.
    pub fn new(bars: &MultiProgress, name: &str) -> Self {
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_message(format!("{name}: opening"));
        Self { bars: bars.clone(), bar, name: name.to_owned(), started: Instant::now(), events: 0 }
    }
}

impl Sink for ProgressSink {
    fn record(&mut self, event: &RunEvent<'_>) -> Result<()> {
        match event {
            RunEvent::Started { duration_s, .. } => {
                self.started = Instant::now();
                let (bar, template) = match duration_s {
                    Some(s) => {
                        (ProgressBar::new((s * 1000.0) as u64), "{msg} {wide_bar:.cyan/dim} {percent:>3} % ETA {eta}")
                    }
                    None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                self.bars.remove(&self.bar);
                self.bar = self.bars.add(bar);
            }
            RunEvent::Point(point) => {
                self.bar.set_position((point.t_s * 1000.0) as u64);
                let speed = point.t_s / self.started.elapsed().as_secs_f64().max(1e-3);
                let found = if self.events == 0 { String::new() } else { format!(", {} found", self.events) };
                self.bar.set_message(format!("{} {:.1} s, {speed:.1}× real time{found}", self.name, point.t_s));
            }
            RunEvent::Event(_) => self.events += 1,
            RunEvent::Finished(_) => self.bar.finish_and_clear(),
            _ => {}
        }
        Ok(())
    }
}

impl Drop for ProgressSink {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
