//! Cameras at this machine: Video for Linux, through FFmpeg's device library.

use super::explain;
use super::opening::{OpenFailure, Opened};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::context::Context;
use std::path::Path;

/// FFmpeg's name of the device.
const V4L2: &str = "video4linux2,v4l2";

/// Opens a camera such as `/dev/video0`. Reads do not block, so that a camera that hangs can be given up.
pub(super) fn open(path: &Path) -> Opened {
    std::fs::File::open(path).map_err(|e| OpenFailure::Ours(explain::unreadable(&e)))?;
    let unknown = || OpenFailure::Ours("this FFmpeg knows no Video for Linux: install libavdevice with it".into());
    let device = device().ok_or_else(unknown)?;
    let mut options = ffmpeg::Dictionary::new();
    options.set("fflags", "nonblock");
    match ffmpeg::format::open_with(path, &device, options)? {
        Context::Input(context) => Ok(context),
        Context::Output(_) => Err(OpenFailure::Ours("is no source of pictures".into())),
    }
}

fn device() -> Option<ffmpeg::Format> {
    ffmpeg::device::register_all();
    ffmpeg::device::input::video().find(|format| format.name() == V4L2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_known_and_what_is_no_camera_is_refused() {
        assert!(device().is_some());
        assert!(matches!(open(Path::new("/dev/null")), Err(OpenFailure::Ffmpeg(_))));
        assert!(matches!(open(Path::new("/dev/video-none")), Err(OpenFailure::Ours(_))));
    }
}
