//! Sources around sources: each changes what comes next and is the other in everything else.

mod arrival;
mod counted;

pub use arrival::ByArrival;
pub use counted::Counted;

use super::{FrameSource, Picture, Step, VideoInfo};
use crate::error::Result;
use crate::units::MediaTime;

/// A source around another. What it does not say itself, the other says: forwarded here, once for all of them.
pub trait Adapter {
    /// The other source.
    fn inner(&self) -> &dyn FrameSource;

    /// The other source, to go on with.
    fn inner_mut(&mut self) -> &mut dyn FrameSource;

    /// As [`FrameSource::next_step`].
    ///
    /// # Errors
    /// As [`FrameSource::next_step`].
    fn next(&mut self) -> Result<Step>;
}

impl<A: Adapter> FrameSource for A {
    fn info(&self) -> &VideoInfo {
        self.inner().info()
    }

    fn next_step(&mut self) -> Result<Step> {
        self.next()
    }

    fn picture(&mut self) -> Result<Picture> {
        self.inner_mut().picture()
    }

    fn key_frame(&self) -> bool {
        self.inner().key_frame()
    }

    fn frames_decoded(&self) -> u64 {
        self.inner().frames_decoded()
    }

    fn placed(&mut self, time: MediaTime) {
        self.inner_mut().placed(time);
    }
}
