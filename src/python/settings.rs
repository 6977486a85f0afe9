//! What a caller asks of the model and of the detector; the package fills in every key.

use super::fault::{ConfigError, raise};
use crate::engine::{Choice, Wishes};
use crate::pipeline::DetectionSettings;
use crate::units::per_hour;
use pyo3::prelude::*;
use std::path::PathBuf;

/// A dictionary with exactly these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Settings {
    model: String,
    device: String,
    threads: usize,
    batch: Option<u16>,
    sessions: Option<u16>,
    stride: Option<u32>,
    ort: Option<PathBuf>,
    pub(super) baseline: String,
    max_false_alarms: String,
    p_value: Option<f32>,
    z: Option<f32>,
    merge: f64,
    min_duration: f64,
    cool_down: f64,
    top: f32,
}

impl Settings {
    /// Which model, and how it is run.
    pub(super) fn choice(&self) -> PyResult<Choice> {
        Ok(Choice {
            model: self.model.clone(),
            device: self.device.parse().map_err(ConfigError::new_err::<String>)?,
            threads: self.threads,
            batch: self.batch,
            sessions: self.sessions,
            ort: self.ort.clone(),
            stride: self.stride,
        })
    }

    /// When a surprise is an event.
    pub(super) fn detection(&self) -> PyResult<DetectionSettings> {
        let wishes = Wishes {
            per_hour: per_hour(&self.max_false_alarms).map_err(ConfigError::new_err::<String>)?,
            p_value: self.p_value,
            z: self.z,
            merge_s: self.merge,
            min_duration_s: self.min_duration,
            cool_down_s: self.cool_down,
            top: self.top,
        };
        wishes.settings().map_err(raise)
    }
}
