//! `--annotate`: the video with the findings drawn into it, for `analyze` and `report`.

use super::plain;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use startle::media::ffmpeg::{ENCODERS, OpenOptions};
use startle::media::open::Input;
use startle::model::bundle::sha256_file;
use startle::record::{Annotated, Report};
use startle::report::annotate::{AnnotateOptions, annotate};
use startle::report::{self, OutputOptions};
use startle::units::Stop;
use startle::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a film is made of, and who is told.
pub struct Film<'a> {
    /// The video.
    pub input: Input,
    /// How it was opened for the analysis.
    pub open: OpenOptions,
    /// Where its progress is shown.
    pub bars: &'a MultiProgress,
    /// Whether only what the viewer should know is told.
    pub quiet: bool,
}

/// Writes a report's outputs, with its film if there is to be one, once the numbers are safe. A film that can't be made keeps
/// nothing else from being written; its failure is told at the end.
pub fn write_all(report: &mut Report, outputs: &OutputOptions, film: Option<Film<'_>>) -> Result<()> {
    let Some(film) = film else { return report::write_all(report, outputs).map(drop) };
    report.annotated = None;
    report::write_result(report, &outputs.dir)?;
    let made = film.make(report, &outputs.dir);
    let failed = made.map(|made| report.annotated = Some(made));
    report::write_all(report, outputs)?;
    failed
}

impl<'a> Film<'a> {
    /// Of a report that was read from its file: the video must still be what it was.
    ///
    /// # Errors
    /// [`Error::Input`] when it is not there, or another one.
    pub fn again(report: &Report, stop: &Stop, bars: &'a MultiProgress) -> Result<Self> {
        let path = PathBuf::from(&report.input.path);
        let refused =
            |why: &str| Error::input(&report.input.path, format!("--annotate draws into the video itself, {why}"));
        if !path.is_file() {
            return Err(refused("and no file lies there now (a stream or a sequence of pictures: analyze it again)"));
        }
        let sha256 = sha256_file(&path).map_err(|e| refused(&format!("which can't be read: {e}")))?;
        if report.input.sha256.as_ref() != Some(&sha256) {
            return Err(refused("and what lies there has another content than what was analyzed"));
        }
        let (track, fps) = (report.config.asked.track, report.config.asked.fps);
        let open = OpenOptions { stop: stop.child(), track, fps, ..OpenOptions::default() };
        Ok(Self { input: Input::File(path), open, bars, quiet: true })
    }

    fn make(self, report: &Report, dir: &Path) -> Result<Annotated> {
        let bar = self.bars.add(ProgressBar::new((report.input.duration_s * 1000.0) as u64));
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {percent:>3} % ETA {eta}") {
            bar.set_style(style);
        }
        let name = plain(&self.input.to_string());
        let started = Instant::now();
        let speed = |now: f64| now / started.elapsed().as_secs_f64().max(1e-3);
        let mut progress = |now: f64| {
            bar.set_position((now * 1000.0) as u64);
            bar.set_message(format!("{name}: drawing {now:.1} s, {:.1}× real time", speed(now)));
        };
        let options = AnnotateOptions { open: self.open, encoders: &ENCODERS, progress: &mut progress };
        let made = annotate(report, &self.input, dir, options);
        bar.finish_and_clear();
        let made = made?;
        let film = plain(&dir.join(&made.file).to_string_lossy());
        self.bars.suspend(|| {
            made.notes.iter().for_each(|note| eprintln!("startle: {film}: {}", plain(note)));
            if !self.quiet {
                let speed = speed(report.input.duration_s);
                eprintln!("{film}: {} frames drawn, {} ({speed:.1}× real time)", made.frames, made.encoder);
            }
        });
        Ok(made)
    }
}
