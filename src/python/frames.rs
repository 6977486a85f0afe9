//! Pictures that a Python iterator gives, one after the other, as a source.

use crate::media::{FrameSource, Picture, Step, VideoInfo};
use crate::units::{MediaTime, Stop};
use crate::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex, PoisonError};

/// What went wrong in the iterator, for whoever raises it.
pub(super) type Fault = Arc<Mutex<Option<PyErr>>>;

/// `(height, width, bytes)` of each picture.
type GivenFrame = (u32, u32, Py<PyBytes>);

/// RGB pictures at a steady rate; one is read ahead, for the size.
pub(super) struct Frames {
    iterator: Py<PyAny>,
    fps: f64,
    info: VideoInfo,
    next: Option<Picture>,
    shown: Option<Picture>,
    count: u64,
    stop: Stop,
    fault: Fault,
}

impl Frames {
    /// Reads the first picture.
    ///
    /// # Errors
    /// [`Error::Input`] when there is none; [`Error::Stopped`] when the iterator raised: `fault` then holds what.
    pub(super) fn open(iterator: Py<PyAny>, fps: f64, stop: Stop, fault: Fault) -> Result<Self> {
        let info = VideoInfo {
            width: 0,
            height: 0,
            nominal_fps: fps,
            duration_s: None,
            codec: "array".into(),
            pixel_format: "rgb24".into(),
            notes: Vec::new(),
        };
        let mut frames = Self { iterator, fps, info, next: None, shown: None, count: 0, stop, fault };
        frames.next = frames.read()?;
        let Some(first) = &frames.next else { return Err(Error::input("array", "it holds no picture")) };
        (frames.info.width, frames.info.height) = (first.width(), first.height());
        Ok(frames)
    }

    fn read(&mut self) -> Result<Option<Picture>> {
        let given = Python::attach(|py| -> PyResult<Option<(u32, u32, Vec<u8>)>> {
            let next = self.iterator.bind(py).cast::<pyo3::types::PyIterator>()?.clone().next().transpose()?;
            let Some(next) = next else { return Ok(None) };
            let (height, width, bytes): GivenFrame = next.extract()?;
            Ok(Some((height, width, bytes.bind(py).as_bytes().to_vec())))
        });
        let given = given.map_err(|error| {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Error::Stopped
        })?;
        let Some((height, width, rgb)) = given else { return Ok(None) };
        if rgb.is_empty() || rgb.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            return Err(Error::input("array", format!("picture {}: {width}×{height} RGB expected", self.count)));
        }
        let known = (self.info.width, self.info.height);
        if known != (0, 0) && known != (width, height) {
            let reason = format!("picture {} is {width}×{height}, the first {}×{}", self.count + 1, known.0, known.1);
            return Err(Error::input("array", reason));
        }
        Ok(Some(Picture::new(width, height, rgb)))
    }

    fn time(&self, index: u64) -> MediaTime {
        MediaTime::from_secs_f64(index as f64 / self.fps)
    }
}

impl FrameSource for Frames {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_step(&mut self) -> Result<Step> {
        if self.stop.requested() {
            return Err(Error::Stopped);
        }
        let Some(shown) = self.next.take() else { return Ok(Step::End) };
        self.next = self.read()?;
        self.shown = Some(shown);
        self.count += 1;
        Ok(Step::Frame { time: self.time(self.count - 1), end: self.time(self.count) })
    }

    fn picture(&mut self) -> Result<Picture> {
        let none = || Error::Internal { stage: "array", reason: "no picture is shown".into() };
        self.shown.clone().ok_or_else(none)
    }

    fn frames_decoded(&self) -> u64 {
        self.count
    }
}
