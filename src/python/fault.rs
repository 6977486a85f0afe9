//! The library's errors as exceptions, in the program's own words.

use crate::Error;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(startle, StartleError, PyException, "Anything that startle could not do; the text says what to do.");
create_exception!(startle, InputError, StartleError, "A video is missing, unreadable, empty or not a video.");
create_exception!(startle, ModelError, StartleError, "A model bundle is missing or damaged, or its graphs fail.");
create_exception!(startle, DeviceError, StartleError, "ONNX Runtime or the device that was asked for is not there.");
create_exception!(startle, ConfigError, StartleError, "A setting is out of range, or two contradict each other.");
create_exception!(startle, OutputError, StartleError, "A file could not be written.");
create_exception!(startle, InternalError, StartleError, "A fault of startle itself.");

/// The exception for an error, with its causes.
pub(super) fn raise(error: Error) -> PyErr {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    match error {
        Error::Input { .. } | Error::Decode { .. } => InputError::new_err(text),
        Error::Bundle { .. } | Error::Inference(_) => ModelError::new_err(text),
        Error::Device(_) => DeviceError::new_err(text),
        Error::Config(_) => ConfigError::new_err(text),
        Error::Output { .. } => OutputError::new_err(text),
        Error::Stopped | Error::Internal { .. } => InternalError::new_err(text),
    }
}
