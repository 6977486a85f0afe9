//! `annotated.mp4`: the video once more, with what was expected and what was seen drawn into it and the curve below it.
//!
//! Invariants: one frame for each of the source's, at its time; the sound as it was; the file appears complete or not at all.

mod canvas;
mod overlay;
mod strip;
mod text;

use super::claim::ANNOTATED;
use crate::clip::Rescaler;
use crate::error::{Error, Result};
use crate::media::ffmpeg::{ENCODERS, FfmpegSource, Film, FilmOptions, FilmWriter, OpenOptions, OpenedSound, Sound};
use crate::media::open::Input;
use crate::media::{FrameSource, GapReason, Picture, Step};
use crate::record::{Annotated, Report};
use crate::store;
use crate::units::MediaTime;
use canvas::Canvas;
use overlay::Overlay;
use std::io;
use std::path::Path;
use strip::Strip;

/// Pictures narrower than this are enlarged by a whole number, so that the words have room.
const NARROWEST: u32 = 640;
/// Pictures with a longer side are made smaller: encoders and players have limits.
const LONGEST: u32 = 3840;

/// How an annotated video is made.
pub struct AnnotateOptions<'a> {
    /// How the source was opened for the analysis.
    pub open: OpenOptions,
    /// FFmpeg's names of encoders, in the order in which they are tried: [`ENCODERS`].
    pub encoders: &'a [&'static str],
    /// Hears how far it is, seconds.
    pub progress: &'a mut dyn FnMut(f64),
}

/// Checks that a video can be read a second time.
///
/// # Errors
/// [`Error::Config`] for streams and pipes.
pub fn check(input: &Input) -> Result<()> {
    match input {
        Input::Images(_) => Ok(()),
        Input::File(path) if path.is_file() => Ok(()),
        // That it is not there is for the analysis to say.
        Input::File(path) if !path.exists() => Ok(()),
        _ => Err(Error::Config(format!(
            "{input}: --annotate reads a video twice, and a stream can be read once: save it to a file first"
        ))),
    }
}

/// Writes [`ANNOTATED`] to `dir`, which the caller has claimed, of a finished report and the video that it is about.
///
/// # Errors
/// As [`check`]; [`Error::Input`] when the video can't be read, [`Error::Output`] when the film can't be written,
/// [`Error::Stopped`]. Nothing is left behind then, and an earlier film stays.
pub fn annotate(report: &Report, input: &Input, dir: &Path, options: AnnotateOptions<'_>) -> Result<Annotated> {
    let AnnotateOptions { open, encoders, progress } = options;
    check(input)?;
    let path = dir.join(ANNOTATED);
    let fail = |error: io::Error| Error::output(&path, error);
    let mut source = FfmpegSource::open(input, &open)?;
    let mut notes = Vec::new();
    let sound = sound(report, input, &open, &source, &mut notes)?;
    let mut painter = Painter::new(report)?;
    let size = painter.size();
    let file = store::temporary(dir).map_err(fail)?;
    let film = FilmOptions { size, fps: report.input.fps, clock: source.clock(), encoders };
    let mut writer = FilmWriter::create(file.reopen().map_err(fail)?, &film, sound).map_err(fail)?;
    let encoder = writer.encoder();
    let mut shown = 0;
    loop {
        match source.next_step() {
            Ok(Step::Frame { time, end }) => {
                let picture = source.picture()?;
                writer.push(painter.paint(&picture, time)?, time, end).map_err(fail)?;
                shown += 1;
                progress(time.secs_f64());
            }
            Ok(Step::Gap { .. }) => {}
            Ok(Step::End) => break,
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) if shown == 0 => return Err(error),
            // As the analysis did: what could be read is worth showing.
            Err(error) => {
                notes.push(format!("the video breaks off: {error}"));
                break;
            }
        }
    }
    let film = writer.finish().map_err(fail)?;
    file.persist(&path).map_err(|error| fail(error.error))?;
    told(&film, encoder, &mut notes);
    Ok(Annotated {
        file: ANNOTATED.into(),
        encoder: encoder.into(),
        width: size.0,
        height: size.1,
        frames: film.frames,
        sound_packets: film.sound_packets,
        notes,
    })
}

/// The sound that goes with the pictures; what does not is noted.
fn sound(
    report: &Report,
    input: &Input,
    open: &OpenOptions,
    source: &FfmpegSource,
    notes: &mut Vec<String>,
) -> Result<Option<Sound>> {
    let OpenedSound { sound, left_out } = Sound::open(input, open, source.clock())?;
    notes.extend(left_out.iter().map(|codec| format!("a track of sound is left out: MP4 carries no {codec}")));
    if sound.is_some() && report.input.gaps.iter().any(|gap| gap.reason == GapReason::TimestampReset) {
        notes.push("the sound is left out: the video's clock is set anew in the middle".into());
        return Ok(None);
    }
    Ok(sound)
}

/// Notes what the reader should know of how a film was written.
fn told(film: &Film, encoder: &str, notes: &mut Vec<String>) {
    if encoder == "mpeg4" {
        let wanted = &ENCODERS[..2];
        notes.push(format!(
            "encoded as MPEG-4 part 2, which browsers do not play: no H.264 encoder was found in this FFmpeg ({})",
            wanted.join(", ")
        ));
    }
    if film.sound_refused > 0 {
        notes.push(format!("packets of sound without a usable time, left out: {}", film.sound_refused));
    }
}

/// Draws frames.
struct Painter<'a> {
    canvas: Canvas,
    overlay: Overlay<'a>,
    strip: Strip<'a>,
    /// Size of the picture within the film.
    size: [u32; 2],
    rescaler: Rescaler,
}

impl<'a> Painter<'a> {
    fn new(report: &'a Report) -> Result<Self> {
        let size = size(report.input.width.max(1), report.input.height.max(1));
        let [width, height] = size.map(|side| side as usize);
        Ok(Self {
            canvas: Canvas::new(width, height + strip::height(width)),
            overlay: Overlay::new(report, width, height)?,
            strip: Strip::new(report, width, height)?,
            size,
            rescaler: Rescaler::default(),
        })
    }

    /// Size of a frame.
    fn size(&self) -> (u32, u32) {
        let [width, height] = self.size;
        (width, height + strip::height(width as usize) as u32)
    }

    /// A frame.
    fn paint(&mut self, picture: &Picture, time: MediaTime) -> Result<&[u8]> {
        self.place(picture)?;
        let now = time.secs_f64();
        let event = self.overlay.event(now);
        self.overlay.draw(&mut self.canvas, now, event);
        self.strip.draw(&mut self.canvas, now, event);
        Ok(self.canvas.pixels())
    }

    /// Puts the picture on the canvas.
    fn place(&mut self, picture: &Picture) -> Result<()> {
        let [width, height] = self.size;
        self.rescaler.fill(picture, [width, height], self.canvas.rows_mut(height as usize))
    }
}

/// Size of a picture within the film: its own where that is neither too small nor too large; even, as encoders want it.
fn size(width: u32, height: u32) -> [u32; 2] {
    let longest = width.max(height);
    let even = |side: f64| ((side / 2.0).round().max(1.0) as u32) * 2;
    if longest > LONGEST {
        let factor = f64::from(LONGEST) / f64::from(longest);
        return [width, height].map(|side| even(f64::from(side) * factor));
    }
    let factor = NARROWEST.div_ceil(width).clamp(1, (LONGEST / longest).max(1));
    [width, height].map(|side| even(f64::from(side * factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_neither_too_small_nor_too_large() {
        assert_eq!(size(1280, 720), [1280, 720]);
        assert_eq!(size(1279, 719), [1280, 720]);
        assert_eq!(size(96, 96), [672, 672]);
        assert_eq!(size(7680, 4320), [3840, 2160]);
        assert_eq!(size(8, 3000), [8, 3000]);
        assert_eq!(size(1, 1), [640, 640]);
        assert_eq!(size(60_000, 2), [3840, 2]);
    }
}
