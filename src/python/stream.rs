//! News of a stream, one after the other.

use super::fault::raise;
use super::model::one;
use super::settings::Settings;
use crate::engine::{Watching, stream};
use crate::watch::engine::{Background, Moment, News, Waited};
use crate::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long Ctrl-C may have to wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is told: its kind, its JSON and the bytes of a moment's heat map.
type ToldPython = (&'static str, String, Option<Py<PyBytes>>);

/// The same before it is Python's.
type ToldJson = (&'static str, Value, Option<Vec<u8>>);

/// A watched stream.
#[pyclass(frozen, module = "startle._startle")]
pub(super) struct Stream(Mutex<Background>);

#[pymethods]
impl Stream {
    #[new]
    fn new(py: Python<'_>, name: OsString, settings: Settings, times: (f64, f64)) -> PyResult<Self> {
        let (warm_up_s, stall_s) = times;
        let (choice, detection) = (settings.choice()?, settings.detection()?);
        let watching = Watching { detection, baseline: settings.baseline, warm_up_s, stall_s };
        let started = py.detach(|| stream(&choice, one(&name)?, &watching));
        Ok(Self(Mutex::new(started.map_err(raise)?)))
    }

    /// The next thing that happens; `None` when nothing follows.
    fn next(&self, py: Python<'_>) -> PyResult<Option<ToldPython>> {
        loop {
            py.check_signals()?;
            let heard = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next(PATIENCE));
            match heard.map_err(raise)? {
                Waited::End => return Ok(None),
                Waited::News(_, news) => {
                    if let Some((kind, value, heat)) = told(&news).map_err(raise)? {
                        return Ok(Some((kind, value.to_string(), heat.map(|h| PyBytes::new(py, &h).unbind()))));
                    }
                }
                Waited::Nothing => {}
            }
        }
    }

    /// Ends the watch.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).end()).map_err(raise)
    }
}

/// A piece of news as JSON; nothing of what is for the program alone.
fn told(news: &News) -> Result<Option<ToldJson>> {
    Ok(Some(match news {
        News::Moment(moment) => ("moment", told_moment(moment)?, Some(packed(&moment.heat.values))),
        News::Incident(incident) => {
            let wall = [incident.wall.onset, incident.wall.peak, incident.wall.end].map(seconds);
            let event = value(&incident.event)?;
            ("incident", json!({ "phase": value(incident.phase)?, "event": event, "wall": wall }), None)
        }
        News::Gap(gap) => ("gap", value(gap)?, None),
        News::Health(health) => ("health", value(health)?, None),
        News::Learnt(_) => return Ok(None),
    }))
}

fn told_moment(moment: &Moment) -> Result<Value> {
    Ok(json!({
        "point": value(&moment.point)?,
        "wall": seconds(moment.wall),
        "grid": moment.heat.grid,
        "threshold": moment.levels.0,
        "threshold_in_z": moment.levels_in_z,
    }))
}

fn value(thing: impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(thing).map_err(|e| Error::Internal { stage: "stream", reason: e.to_string() })
}

fn packed(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
