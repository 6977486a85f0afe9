//! A loaded model, as Python holds it.

use super::fault::raise;
use super::frames::{Fault, Frames};
use super::progress::Progress;
use super::report::Report;
use super::settings::Settings;
use crate::engine::{self, Model};
use crate::media::ffmpeg::OpenOptions;
use crate::media::open::{Input, Search, expand_in};
use crate::pipeline::Open;
use crate::units::Stop;
use crate::{Error, Result, record};
use pyo3::prelude::*;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

/// A model, its baseline and a detector. Threads may share it: they take turns.
#[pyclass(frozen, module = "startle._startle")]
pub(super) struct Engine {
    inner: Mutex<engine::Engine>,
    question: String,
    #[pyo3(get)]
    name: String,
    #[pyo3(get)]
    sha256: String,
    #[pyo3(get)]
    fps: f64,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        let (choice, detection) = (settings.choice()?, settings.detection()?);
        py.detach(|| -> Result<Self> {
            let model = Model::choose(&choice, 1)?;
            let sha256 = model.curve_key(detection.top_fraction)?.model_sha256;
            let name = model.bundle().map_or_else(|| choice.model.clone(), |bundle| bundle.manifest().name.clone());
            let fps = model.spec().model_fps;
            let engine = engine::Engine::with(model, detection, &settings.baseline)?;
            Ok(Self { question: engine.question()?, inner: Mutex::new(engine), name, sha256, fps })
        })
        .map_err(raise)
    }

    /// A mark of everything but the video that decides the numbers.
    #[getter]
    fn question(&self) -> &str {
        &self.question
    }

    /// Analyzes the one input of a name; `progress(done_s, total_s)` hears how far it is.
    fn analyze(
        &self,
        py: Python<'_>,
        name: OsString,
        reading: (Option<u16>, Option<f64>, Option<f64>),
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Report> {
        let (usual, (track, fps, image_fps)) = (OpenOptions::default(), reading);
        let image_fps = image_fps.unwrap_or(usual.image_fps);
        let options = OpenOptions { stop: Stop::new(), track, fps, image_fps, ..usual };
        self.run(py, progress, |engine, sink| engine.analyze_input(&one(&name)?, &options, &mut [sink]))
    }

    /// Orders versions of one scene, the most lawful first: `ranking.json`'s words of one model.
    fn rank(&self, py: Python<'_>, reports: Vec<PyRef<'_, Report>>) -> PyResult<Vec<u8>> {
        let all: Vec<&record::Report> = reports.iter().map(|report| report.inner()).collect();
        py.detach(|| {
            let engine = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let ranking = engine.rank(&all)?;
            serde_json::to_vec(&ranking).map_err(|e| Error::Internal { stage: "rank", reason: e.to_string() })
        })
        .map_err(raise)
    }

    /// Analyzes what an iterator of `(height, width, RGB bytes)` gives, at so many pictures a second.
    fn analyze_frames(
        &self,
        py: Python<'_>,
        pictures: (String, Py<PyAny>, f64),
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Report> {
        let (name, frames, fps) = pictures;
        let (fault, stop) = (Fault::default(), Stop::new());
        let source = (Arc::clone(&fault), stop.clone());
        let open: Open<'_> = Box::new(move || Ok(Box::new(Frames::open(frames, fps, source.1, source.0)?)));
        let done = self.run(py, progress, |engine, sink| engine.analyze_source(&name, open, &stop, &mut [sink]));
        let raised = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        raised.map_or(done, Err)
    }
}

impl Engine {
    /// Runs something without the interpreter; what the caller's function raised outranks what came of it.
    fn run(
        &self,
        py: Python<'_>,
        progress: Option<Py<PyAny>>,
        work: impl FnOnce(&mut engine::Engine, &mut Progress<'_>) -> Result<record::Report> + Send,
    ) -> PyResult<Report> {
        let (done, fault) = py.detach(|| {
            let mut sink = Progress::new(progress.as_ref());
            // A run that panicked leaves nothing behind in a model.
            let mut engine = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let done = work(&mut engine, &mut sink).and_then(|report| {
                let all = report.input.duration_s;
                sink.tell(all, Some(all)).map(|()| report)
            });
            (done, sink.fault())
        });
        match fault {
            Some(fault) => Err(fault),
            None => done.map(Report::new).map_err(raise),
        }
    }
}

/// The one input that a name stands for.
pub(super) fn one(name: &OsString) -> Result<Input> {
    let mut found = expand_in(&[name], &Search::default())?.inputs;
    match (found.pop(), found.len()) {
        (Some(input), 0) => Ok(input),
        (_, more) => Err(Error::input(
            name.to_string_lossy(),
            format!("it holds {} videos: take them one by one, startle.inputs(…) lists them", more + 1),
        )),
    }
}
