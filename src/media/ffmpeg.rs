//! Everything FFmpeg reads, as a [`super::FrameSource`].
