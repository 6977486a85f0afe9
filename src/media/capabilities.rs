//! What the linked FFmpeg can do, for `startle doctor`.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::Id;
use ffmpeg_next::ffi;
use std::ffi::CStr;

/// FFmpeg, as linked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The release that the libraries say they are, for example `5.1.6-0+deb12u1`.
    pub release: String,
    /// Name and version of each library.
    pub libraries: Vec<(&'static str, String)>,
    /// Decoders that matter, in the order of [`DECODERS`].
    pub decoders: Vec<Feature>,
    /// Containers that matter, in the order of [`DEMUXERS`].
    pub demuxers: Vec<Feature>,
}

/// Something that FFmpeg may have been built with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// What people call it.
    pub name: &'static str,
    /// FFmpeg's name of what provides it; `None`: it is not there.
    pub provider: Option<String>,
}

/// Codecs of ordinary footage: cameras, phones, the web, editing, image sequences.
const DECODERS: [(&str, Id); 16] = [
    ("h264", Id::H264),
    ("hevc", Id::HEVC),
    ("vp8", Id::VP8),
    ("vp9", Id::VP9),
    ("av1", Id::AV1),
    ("mpeg4", Id::MPEG4),
    ("mpeg2", Id::MPEG2VIDEO),
    ("mjpeg", Id::MJPEG),
    ("prores", Id::PRORES),
    ("dnxhd", Id::DNXHD),
    ("ffv1", Id::FFV1),
    ("theora", Id::THEORA),
    ("rawvideo", Id::RAWVIDEO),
    ("png", Id::PNG),
    ("gif", Id::GIF),
    ("webp", Id::WEBP),
];

/// Containers and streams, by what people call them and by FFmpeg's short name.
const DEMUXERS: [(&str, &CStr); 10] = [
    ("mp4/mov", c"mov"),
    ("mkv/webm", c"matroska"),
    ("avi", c"avi"),
    ("mpeg-ts", c"mpegts"),
    ("flv", c"flv"),
    ("ogg", c"ogg"),
    ("y4m", c"yuv4mpegpipe"),
    ("image sequence", c"image2"),
    ("hls", c"hls"),
    ("rtsp", c"rtsp"),
];

/// Asks the linked libraries.
pub fn capabilities() -> Capabilities {
    let decoder = |&(name, id): &(&'static str, Id)| {
        // FFmpeg's own `av1` decoder works with a hardware device alone; libdav1d and libaom decode in software.
        let found = ffmpeg::decoder::find(id).map(|codec| codec.name().to_owned()).filter(|found| found != "av1");
        Feature { name, provider: found }
    };
    let demuxer = |&(name, short): &(&'static str, &CStr)| {
        let provider = has_demuxer(short).then(|| short.to_string_lossy().into_owned());
        Feature { name, provider }
    };
    Capabilities {
        release: release(),
        libraries: vec![
            ("libavformat", version(ffmpeg::format::version())),
            ("libavcodec", version(ffmpeg::codec::version())),
            ("libavutil", version(ffmpeg::util::version())),
            ("libswscale", version(ffmpeg::software::scaling::version())),
        ],
        decoders: DECODERS.iter().map(decoder).collect(),
        demuxers: DEMUXERS.iter().map(demuxer).collect(),
    }
}

/// `AV_VERSION_INT` taken apart: major · 2¹⁶ + minor · 2⁸ + micro.
fn version(packed: u32) -> String {
    format!("{}.{}.{}", packed >> 16, packed >> 8 & 0xff, packed & 0xff)
}

#[expect(unsafe_code, reason = "ffmpeg-next has no wrapper since FFmpeg 5")]
fn has_demuxer(short_name: &CStr) -> bool {
    // SAFETY: the argument is a live C string; the result is a static table or null, and is not followed.
    !unsafe { ffi::av_find_input_format(short_name.as_ptr()) }.is_null()
}

#[expect(unsafe_code, reason = "ffmpeg-next has no wrapper")]
fn release() -> String {
    // SAFETY: the result is a static C string.
    unsafe { CStr::from_ptr(ffi::av_version_info()) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_taken_apart() {
        assert_eq!(version(0x003b_2564), "59.37.100");
    }

    #[test]
    fn the_linked_libraries_answer() {
        let found = capabilities();
        assert!(!found.release.is_empty());
        let has = |features: &[Feature], name| features.iter().any(|f| f.name == name && f.provider.is_some());
        assert!(has(&found.decoders, "h264") && has(&found.demuxers, "mp4/mov"), "{found:?}");
        assert!(!has_demuxer(c"no-such-format"));
    }
}
