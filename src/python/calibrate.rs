//! `startle.calibrate`.

use super::fault::raise;
use super::progress::Progress;
use super::settings::Settings;
use crate::engine::{self, Learning, Model};
use crate::media::ffmpeg::OpenOptions;
use crate::media::open::{Search, expand_in};
use crate::{Error, Result};
use pyo3::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// Learns from normal videos and writes the baseline; `progress(videos, of)` hears how far it is.
#[pyfunction]
pub(super) fn calibrate(
    py: Python<'_>,
    normal: Vec<OsString>,
    how: (PathBuf, bool),
    settings: Settings,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let (out, fixed_camera) = how;
    let (choice, top) = (settings.choice()?, settings.detection()?.top_fraction);
    let learning = Learning { top, fixed_camera };
    let (done, fault) = py.detach(|| {
        let mut told = Progress::new(progress.as_ref());
        let mut learn = || -> Result<()> {
            let inputs = expand_in(&normal, &Search::default())?.inputs;
            let all = inputs.len() as f64;
            let model = Model::choose(&choice, 1)?;
            let mut done = |videos: usize| told.tell(videos as f64, Some(all));
            let baseline = engine::calibrate(&model, &inputs, &OpenOptions::default(), learning, &mut done)?;
            std::fs::write(&out, baseline.to_json()? + "\n").map_err(|e| Error::output(&out, e))
        };
        let done = learn();
        (done, told.fault())
    });
    fault.map_or_else(|| done.map_err(raise), Err)
}
