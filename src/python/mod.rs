//! The extension module `startle._startle`: the engine for Python. What people import is beside it, in `startle/`.
//!
//! Invariants: the interpreter is let go (`detach`) while anything is decoded, scored or waited for; an exception of a
//! caller's function ends the run and is raised as it is; numbers cross as packed little-endian bytes, which numpy reads
//! without copying.
#![allow(clippy::needless_pass_by_value, reason = "what Python hands over is owned")]

mod calibrate;
mod fault;
mod frames;
mod model;
mod progress;
mod report;
mod settings;
mod stream;

use pyo3::prelude::*;

/// See the package's `__init__.py`.
#[pymodule(name = "_startle")]
mod extension {
    #[pymodule_export]
    use super::calibrate::calibrate;
    #[pymodule_export]
    use super::fault::{ConfigError, DeviceError, InputError, InternalError, ModelError, OutputError, StartleError};
    #[pymodule_export]
    use super::inputs;
    #[pymodule_export]
    use super::model::Engine;
    #[pymodule_export]
    use super::report::Report;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// What names stand for: files, folders, globs and URLs, each input once and in natural order.
#[pyfunction]
fn inputs(py: Python<'_>, names: Vec<std::ffi::OsString>, recursive: bool) -> PyResult<Vec<std::ffi::OsString>> {
    use crate::media::open::{Input, Search, expand_in};
    let search = Search { recursive, ..Search::default() };
    let found = py.detach(|| expand_in(&names, &search)).map_err(fault::raise)?;
    let name = |input: Input| match (input.url(), input.path()) {
        (Some(url), _) => url.into(),
        (None, Some(path)) => path.as_os_str().to_owned(),
        (None, None) => "-".into(),
    };
    Ok(found.inputs.into_iter().map(name).collect())
}
