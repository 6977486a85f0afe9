//! The small world of the painted tests: the clips of their model, and what their sources say of themselves.

use startle::clip::{ClipSpec, ResizeRule};
use startle::media::VideoInfo;

/// Side of the picture, pixels.
pub const SIDE: u32 = 32;
/// Frames per second.
pub const FPS: i64 = 20;

/// Clips of 0.8 s, half of it context.
pub fn spec() -> ClipSpec {
    ClipSpec {
        crop_size: SIDE,
        patch_size: 8,
        tubelet_size: 2,
        frames_per_clip: 8,
        model_fps: 10.0,
        context_lengths: vec![4],
        opening_contexts: Vec::new(),
        horizon: Some(1),
        stride: 2,
        resize: ResizeRule::Squash,
        resize_size: SIDE,
    }
}

/// A source that states this length, seconds.
pub fn info(duration_s: Option<f64>) -> VideoInfo {
    VideoInfo {
        width: SIDE,
        height: SIDE,
        nominal_fps: FPS as f64,
        duration_s,
        codec: "painted".into(),
        pixel_format: "rgb24".into(),
        notes: Vec::new(),
    }
}
