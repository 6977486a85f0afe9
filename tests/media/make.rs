//! Test videos, made by the `ffmpeg` program, and what decoding one of them gives.

use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::{Input, parse};
use startle::media::{FrameSource, GapReason, Picture, Step, VideoInfo};
use startle::units::MediaTime;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A folder of this process's own, below the build folder; earlier processes' folders are removed.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// A path in the folder.
pub fn at(name: &str) -> PathBuf {
    folder().join(name)
}

/// Runs `ffmpeg` with arguments separated by blanks, in the folder.
pub fn ffmpeg(arguments: &str) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-nostdin", "-threads", "1"])
        .args(arguments.split_whitespace())
        .current_dir(folder())
        .stdin(Stdio::null())
        .output()
        .expect("the tests need the ffmpeg program: apt install ffmpeg");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {arguments}: {words}");
}

/// `ffmpeg` from a synthetic source (a filter graph) to a file of this name.
pub fn make(name: &str, graph: &str, encode: &str) -> PathBuf {
    ffmpeg(&format!("-f lavfi -i {graph} {encode} {name}"));
    at(name)
}

/// What a whole decode gave.
pub struct Decoded {
    /// As the source describes itself at the end.
    pub info: VideoInfo,
    /// Time and end of each frame.
    pub frames: Vec<(MediaTime, MediaTime)>,
    /// Start, end and reason of each gap.
    pub gaps: Vec<(MediaTime, MediaTime, GapReason)>,
    /// The pictures of the frames asked for.
    pub pictures: Vec<Picture>,
}

impl Decoded {
    /// Times of the frames, seconds.
    pub fn times(&self) -> Vec<f64> {
        self.frames.iter().map(|(time, _)| time.secs_f64()).collect()
    }

    /// The reasons of the gaps, in order.
    pub fn reasons(&self) -> Vec<GapReason> {
        self.gaps.iter().map(|(_, _, reason)| *reason).collect()
    }
}

/// The one input that a path names.
pub fn input(path: &Path) -> Input {
    let inputs = parse(path.to_str().unwrap()).unwrap();
    assert_eq!(inputs.len(), 1, "{inputs:?}");
    inputs.into_iter().next().unwrap()
}

/// Opens a path.
pub fn open(path: &Path) -> startle::Result<FfmpegSource> {
    FfmpegSource::open(&input(path), &OpenOptions::default())
}

/// Decodes a path to its end, checking the contract of [`FrameSource`] on the way.
pub fn decode(path: &Path) -> Decoded {
    let mut source = open(path).unwrap_or_else(|e| panic!("{e}"));
    drain(&mut source, |index| index < 3)
}

/// Runs a source to its end and checks what every source must keep; takes the pictures whose index is `wanted`.
pub fn drain(source: &mut dyn FrameSource, wanted: impl Fn(usize) -> bool) -> Decoded {
    let (mut frames, mut gaps, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    let mut now = MediaTime::ZERO;
    loop {
        match source.next_step().unwrap_or_else(|e| panic!("after {} frames: {e}", frames.len())) {
            Step::Frame { time, end } => {
                assert!(time >= now && end > time, "frame {}: {now} → {time}..{end}", frames.len());
                now = end;
                if wanted(frames.len()) {
                    let picture = source.picture().unwrap();
                    assert_eq!(picture.rgb().len(), (picture.width() * picture.height() * 3) as usize);
                    pictures.push(picture);
                }
                frames.push((time, end));
            }
            Step::Gap { start, end, reason } => {
                assert!(start <= end && start >= now, "gap {reason:?} {start}..{end} after {now}");
                gaps.push((start, end, reason));
            }
            Step::End => break,
        }
        assert!(frames.len() + gaps.len() < 100_000, "no end in sight");
    }
    for _ in 0..3 {
        assert_eq!(source.next_step().unwrap(), Step::End, "the end is sticky");
    }
    assert!(source.frames_decoded() >= frames.len() as u64);
    Decoded { info: source.info().clone(), frames, gaps, pictures }
}

/// Mean of a rectangle `[x0, y0, x1, y1]` of a picture, per channel.
pub fn mean(picture: &Picture, [x0, y0, x1, y1]: [u32; 4]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for y in y0..y1 {
        for x in x0..x1 {
            let at = ((y * picture.width() + x) * 3) as usize;
            for (channel, total) in sum.iter_mut().enumerate() {
                *total += f64::from(picture.rgb()[at + channel]);
            }
        }
    }
    sum.map(|total| total / f64::from((x1 - x0) * (y1 - y0)))
}
