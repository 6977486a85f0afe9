//! Decoding on a GPU, where there is one; what is said where there is none.

use super::make::{decode, drain, input, make};
use startle::media::ffmpeg::{Decoding, FfmpegSource, OpenOptions};
use startle::media::{FrameSource, Picture};

fn on_gpu() -> OpenOptions {
    OpenOptions { decoding: Decoding::Nvdec(0), ..OpenOptions::default() }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_one_that_is_gives_the_same_frames() {
    let encode = "-c:v libx264 -pix_fmt yuv420p -bf 2 -preset ultrafast";
    let path = make("for-nvdec.mp4", "testsrc2=size=320x240:rate=20:duration=1", encode);
    match FfmpegSource::open(&input(&path), &on_gpu()) {
        Err(error) => {
            let text = error.to_string();
            for part in ["nvdec:0 can't decode its codec `h264`", "an NVIDIA GPU", "--decode cpu"] {
                assert!(text.contains(part), "{text}");
            }
            println!("no NVDEC here, refused: {text}");
        }
        Ok(mut source) => {
            let (gpu, cpu) = (drain(&mut source, |index| index < 3), decode(&path));
            assert_eq!((gpu.frames, gpu.gaps), (cpu.frames, cpu.gaps));
            let size = |picture: &Picture| (picture.width(), picture.height());
            for (gpu, cpu) in gpu.pictures.iter().zip(&cpu.pictures) {
                assert_eq!(size(gpu), size(cpu));
                // NV12 and yuv420p hold the same samples.
                assert!(gpu.rgb().iter().zip(cpu.rgb()).all(|(g, c)| g.abs_diff(*c) <= 2));
            }
        }
    }
}

#[test]
fn what_the_gpu_has_no_decoder_for_is_decoded_by_the_processor_and_noted() {
    let path = make("not-for-nvdec.mkv", "testsrc2=size=160x120:rate=20:duration=0.5", "-c:v ffv1");
    let mut source = FfmpegSource::open(&input(&path), &on_gpu()).unwrap_or_else(|e| panic!("{e}"));
    let notes = source.info().notes.join("; ");
    assert!(notes.contains("decoded by the processor: FFmpeg has no NVDEC decoder for ffv1"), "{notes}");
    let (noted, plain) = (drain(&mut source, |index| index < 3), decode(&path));
    assert_eq!((noted.frames, noted.pictures), (plain.frames, plain.pictures));
    assert!(plain.info.notes.iter().all(|note| !note.contains("NVDEC")), "{:?}", plain.info.notes);
}
