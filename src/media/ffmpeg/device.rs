//! Where videos are decoded.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::decoder;
use std::fmt;
use std::str::FromStr;

/// Where a video is decoded: `cpu`, `nvdec`, `nvdec:1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoding {
    /// By the processor.
    #[default]
    Cpu,
    /// By the video unit of the NVIDIA GPU of this number, through FFmpeg's `*_cuvid` decoders. Pictures keep their size and
    /// come back as NV12, so what follows is the same as after the processor.
    Nvdec(u32),
}

impl Decoding {
    /// FFmpeg's decoder for a codec on the GPU, and the GPU's number; `None` on the processor, or where the codec or this
    /// build of FFmpeg has none.
    pub(super) fn on_gpu(self, codec: &str) -> Option<(ffmpeg::Codec, u32)> {
        let Self::Nvdec(id) = self else { return None };
        let name = match codec {
            "mpeg1video" => "mpeg1",
            "mpeg2video" => "mpeg2",
            other => other,
        };
        Some((decoder::find_by_name(&format!("{name}_cuvid"))?, id))
    }
}

impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Nvdec(id) => write!(f, "nvdec:{id}"),
        }
    }
}

impl FromStr for Decoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "nvdec" => Ok(Self::Nvdec(0)),
            Some(("nvdec", id)) => id.parse().map(Self::Nvdec).map_err(|e| format!("{text:?}: {e}")),
            _ => Err(format!("{text:?} is not cpu or nvdec[:N]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown() {
        for (text, place) in [("cpu", Decoding::Cpu), ("nvdec", Decoding::Nvdec(0)), ("nvdec:2", Decoding::Nvdec(2))] {
            assert_eq!(text.parse(), Ok(place));
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["gpu", "cpu:0", "nvdec:", "nvdec:-1", ""] {
            assert!(text.parse::<Decoding>().is_err(), "{text}");
        }
    }
}
