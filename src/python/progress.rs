//! A caller's function that hears how far a run is; Ctrl-C is heard here too.

use crate::record::{RunEvent, Sink};
use crate::{Error, Result};
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Told no more often than this.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls `each(done, total)`; an exception ends the run and is kept.
pub(super) struct Progress<'a> {
    each: Option<&'a Py<PyAny>>,
    total: Option<f64>,
    told: Option<Instant>,
    fault: Option<PyErr>,
}

impl<'a> Progress<'a> {
    pub(super) const fn new(each: Option<&'a Py<PyAny>>) -> Self {
        Self { each, total: None, told: None, fault: None }
    }

    /// Tells how much is done.
    pub(super) fn tell(&mut self, done: f64, total: Option<f64>) -> Result<()> {
        let told = Python::attach(|py| -> PyResult<()> {
            py.check_signals()?;
            self.each.map(|each| each.call1(py, (done, total))).transpose()?;
            Ok(())
        });
        told.map_err(|fault| {
            self.fault = Some(fault);
            Error::Stopped
        })
    }

    /// The exception that ended the run, if one did.
    pub(super) fn fault(self) -> Option<PyErr> {
        self.fault
    }
}

impl Sink for Progress<'_> {
    fn record(&mut self, event: &RunEvent<'_>) -> Result<()> {
        let done = match event {
            RunEvent::Started { duration_s, .. } => {
                self.total = *duration_s;
                0.0
            }
            RunEvent::Point(point) => point.t_s,
            _ => return Ok(()),
        };
        if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        self.tell(done, self.total)
    }
}
