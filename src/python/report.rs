//! A finished analysis, as Python holds it.

use super::fault::raise;
use crate::record;
use crate::report::claim::{Subject, claim};
use crate::report::{self, OutputOptions, json, parquet, plot};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::{Path, PathBuf};

/// `result.json` in memory, and what can be made of it.
#[pyclass(frozen, module = "startle._startle")]
pub(super) struct Report(record::Report);

impl Report {
    pub(super) const fn new(report: record::Report) -> Self {
        Self(report)
    }

    pub(super) const fn inner(&self) -> &record::Report {
        &self.0
    }
}

#[pymethods]
impl Report {
    /// From the bytes of a `result.json`.
    #[staticmethod]
    fn parse(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        let parsed = py.detach(|| json::parse(bytes));
        parsed.map(Self).map_err(super::fault::InputError::new_err)
    }

    /// The same under another name of the input.
    fn named(&self, name: String) -> Self {
        let mut report = self.0.clone();
        report.input.path = name;
        Self(report)
    }

    /// The bytes of `result.json`.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| json::to_bytes(&self.0)).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The curve's points, packed in the order of the package's `CURVE`.
    fn curve<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut bytes = Vec::with_capacity(self.0.curve.len() * 52);
        for point in &self.0.curve {
            bytes.extend(point.t_s.to_le_bytes());
            let unknown = |value: Option<f32>| value.unwrap_or(f32::NAN);
            let numbers = [point.surprise, unknown(point.z), unknown(point.p_value), point.raw, point.motion];
            bytes.extend(numbers.into_iter().flat_map(f32::to_le_bytes));
            bytes.extend(point.peak_cell.into_iter().flat_map(u16::to_le_bytes));
            bytes.extend(point.peak_box.into_iter().chain([point.unadjusted]).flat_map(f32::to_le_bytes));
        }
        PyBytes::new(py, &bytes)
    }

    /// `curve.parquet`.
    fn parquet<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| parquet::curve(&self.0)).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// `surprise.svg`.
    fn svg(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| plot::svg(&self.0)).map_err(raise)
    }

    /// `surprise.png`.
    fn png<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| plot::png(&self.0)).map_err(raise)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes every output of `startle analyze` to a folder; the player comes with the video where that still lies there.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<PathBuf> {
        let report = &self.0;
        py.detach(|| {
            let _claim = claim(&folder, &Subject::of(report))?;
            let video = Path::new(&report.input.path);
            let options = OutputOptions::new(&folder);
            report::write_all(report, &if video.is_file() { options.with_video(video) } else { options })
        })
        .map_err(raise)?;
        Ok(folder.join("report.html"))
    }
}
