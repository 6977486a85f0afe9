//! The wiring that the program and other programs share: a model, its baseline and a detector, from a name to a report.
//!
//! ```
//! let mut engine = startle::engine::Engine::open("startle-o1")?;
//! let report = engine.analyze("samples/colour_0_impossible.mp4".as_ref())?;
//! for event in &report.events {
//!     println!("{:.2} s: surprise {:.1}", event.onset_s, event.score);
//! }
//! # assert_eq!(report.events.len(), 1);
//! # Ok::<(), startle::Error>(())
//! ```

mod calibrate;
mod model;
pub mod plan;
mod stream;
mod wishes;

use crate::media::adapt::ByArrival;
use crate::media::ffmpeg::{FfmpegSource, OpenOptions};
use crate::media::open::Input;
use crate::model::Scorer;
use crate::model::bundle::{ModelBundle, sha256_file};
use crate::pipeline::{self, DetectionSettings, Job, Open};
use crate::rank::{Ranking, rank_reports};
use crate::record::{Asked, Report, Resolved, RunConfig, Sink};
use crate::surprise::{Baseline, CurveKey, EventRules};
use crate::units::Stop;
use crate::{Error, Result};
pub use calibrate::{Learning, calibrate};
pub use model::{Choice, Model, runtime_options};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
pub use stream::{Watching, stream};
pub use wishes::{Wishes, asked};

/// Events an hour that normal footage may cause when nothing else is said: what a person who looks at every event can bear
/// with.
pub const DEFAULT_RATE: f64 = 30.0;

/// A model that is loaded, with what normal looks like and when a surprise is an event.
pub struct Engine {
    model: Model,
    scorer: Box<dyn Scorer + Send>,
    detection: DetectionSettings,
    baseline: Option<Baseline>,
    origin: String,
}

impl Engine {
    /// A bundle by its name or folder, with its own baseline and the settings of `startle analyze`.
    ///
    /// ```
    /// use startle::engine::Engine;
    ///
    /// let engine = Engine::open("startle-o1")?;
    /// assert_eq!(engine.model().spec().model_fps, 10.0);
    /// let error = Engine::open("nobody-s").err().expect("there is no such model");
    /// assert!(error.to_string().contains("nobody-s"));
    /// # Ok::<(), startle::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such model, it is damaged, or ONNX Runtime is missing.
    pub fn open(model: &str) -> Result<Self> {
        Self::with(Model::choose(&Choice::of(model), 1)?, Wishes::default().settings()?, "bundle")
    }

    /// A model that was chosen, with a detector's settings; `baseline`: `bundle`, `self`, the name
    /// of another one of the bundle, or a file of `startle calibrate`.
    ///
    /// # Errors
    /// When the model can't be loaded, or the baseline is not there or of another model or other settings.
    pub fn with(model: Model, detection: DetectionSettings, baseline: &str) -> Result<Self> {
        let key = model.curve_key(detection.top_fraction)?;
        let (baseline, origin) = self::baseline(baseline, model.bundle(), &key)?;
        Ok(Self { scorer: model.scorer()?, model, detection, baseline, origin })
    }

    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Orders the versions of one scene that some of this engine's reports are about, the most lawful first.
    ///
    /// ```
    /// use startle::engine::Engine;
    ///
    /// let mut engine = Engine::open("startle-o1")?;
    /// let odd = engine.analyze("samples/colour_0_impossible.mp4".as_ref())?;
    /// let lawful = engine.analyze("samples/colour_0_possible.mp4".as_ref())?;
    /// let ranking = engine.rank(&[&odd, &lawful])?;
    /// assert!(ranking.versions[0].input.ends_with("colour_0_possible.mp4"));
    /// # Ok::<(), startle::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are fewer than two, or they have no moments in common.
    pub fn rank(&self, reports: &[&Report]) -> Result<Ranking> {
        rank_reports(reports, self.model.spec().slot_s(), self.baseline.as_ref())
    }

    /// Analyzes a file from its beginning to its end.
    ///
    /// ```
    /// let mut engine = startle::engine::Engine::open("startle-o1")?;
    /// let report = engine.analyze("samples/colour_0_impossible.mp4".as_ref())?;
    /// let what = report.events[0].what.as_ref().expect("a model of objects says what happened");
    /// assert!(what.sentence.contains("instead of green"), "{}", what.sentence);
    /// # Ok::<(), startle::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it can't be opened or holds no video; a video that breaks in the middle gives a report up to there.
    pub fn analyze(&mut self, path: &Path) -> Result<Report> {
        self.analyze_input(&Input::File(path.to_owned()), &OpenOptions::default(), &mut [])
    }

    /// Analyzes any input and tells `sinks` what happens meanwhile; the stop of `options` ends it early.
    ///
    /// # Errors
    /// As [`Engine::analyze`], and when a sink fails.
    pub fn analyze_input(
        &mut self,
        input: &Input,
        options: &OpenOptions,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<Report> {
        let name = input.to_string();
        let file = input.path().filter(|path| path.is_file());
        let sha256 = file.map(sha256_file).transpose().map_err(|e| Error::unreadable(&name, e))?;
        let mut config = self.config()?;
        (config.asked.track, config.asked.fps) = (options.track, options.fps);
        self.run((name, sha256), (opener(input, options.clone()), &options.stop), config, sinks)
    }

    /// Analyzes pictures from anywhere, under a name for the result.
    ///
    /// # Errors
    /// When the source has nothing to give, or a sink fails.
    pub fn analyze_source(
        &mut self,
        name: &str,
        open: Open<'_>,
        stop: &Stop,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<Report> {
        let config = self.config()?;
        self.run((name.to_owned(), None), (open, stop), config, sinks)
    }

    fn config(&self) -> Result<RunConfig> {
        run_config(&self.model, &self.detection, self.baseline.as_ref(), &self.origin)
    }

    fn run(
        &mut self,
        (path, sha256): (String, Option<String>),
        (open, stop): (Open<'_>, &Stop),
        config: RunConfig,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<Report> {
        let (detection, baseline) = (self.detection.clone(), self.baseline.as_ref());
        let job = Job { path, sha256, open, detection, baseline, config, stop: stop.clone() };
        pipeline::analyze(job, self.scorer.as_mut(), sinks)
    }

    /// A mark of everything but the video that decides the numbers: the model, the baseline, the threshold. Two engines
    /// with the same one give the same result.
    ///
    /// # Errors
    /// [`Error::Internal`] when the baseline can't be written as JSON.
    pub fn question(&self) -> Result<String> {
        question(&self.model.curve_key(self.detection.top_fraction)?, &self.config()?.asked)
    }
}

/// A mark of the model and of what was asked for: see [`Engine::question`]. Where a calibration lies has no part in it.
///
/// # Errors
/// [`Error::Internal`] when a setting can't be written as JSON.
pub fn question(key: &CurveKey, asked: &Asked) -> Result<String> {
    let mut asked = asked.clone();
    if asked.baseline_sha256.is_some() {
        asked.baseline.clear();
    }
    let fail = |e: serde_json::Error| Error::Internal { stage: "question", reason: e.to_string() };
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(&(&key.model_sha256, asked)).map_err(fail)?)))
}

/// What a result tells of how it was made, for a run without further wishes.
///
/// # Errors
/// [`Error::Internal`] when the baseline can't be written as JSON.
pub fn run_config(
    model: &Model,
    detection: &DetectionSettings,
    baseline: Option<&Baseline>,
    origin: &str,
) -> Result<RunConfig> {
    let EventRules { rule, merge, min_duration, cool_down } = &detection.rules;
    let asked = Asked {
        stride: model.spec().stride,
        top_fraction: detection.top_fraction,
        scene_cuts: true,
        baseline: origin.into(),
        baseline_sha256: baseline.map(fingerprint).transpose()?,
        threshold: asked(rule),
        merge_s: merge.secs_f64(),
        min_duration_s: min_duration.secs_f64(),
        cool_down_s: cool_down.secs_f64(),
        ..Asked::default()
    };
    let resolved = Resolved {
        device: model.device().to_string(),
        threads: model.plan().threads,
        sessions: model.plan().sessions,
        batch: model.batch(),
        ..Resolved::default()
    };
    Ok(RunConfig { asked, resolved })
}

/// Hash of what a calibration holds, however its file is laid out.
fn fingerprint(baseline: &Baseline) -> Result<String> {
    Ok(hex::encode(Sha256::digest(baseline.to_json()?)))
}

/// The baseline that was asked for and how the result names it. A bundle's own that does not fit the settings is an
/// error too: dropping it silently would change what a threshold means.
///
/// # Errors
/// When it is not there, is damaged, or is of another model or other settings.
pub fn baseline(asked: &str, bundle: Option<&ModelBundle>, key: &CurveKey) -> Result<(Option<Baseline>, String)> {
    let path = match (asked, bundle.and_then(|bundle| bundle.baseline_path(asked))) {
        ("self", _) | ("bundle", None) => return Ok((None, "self".into())),
        (_, Some(path)) => path,
        (file, None) => PathBuf::from(file),
    };
    let origin = asked.to_owned();
    let here = |e: Error| Error::input(path.display().to_string(), e.to_string());
    let text = read_text(&path)?;
    let baseline = Baseline::from_json(&text).map_err(here)?;
    baseline.check_key(key).map_err(here)?;
    Ok((Some(baseline), origin))
}

/// Reads a small text file.
///
/// # Errors
/// [`Error::Input`] when it can't be read.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::unreadable(path.display().to_string(), e))
}

/// Opens an input inside the thread that decodes it.
pub fn opener(input: &Input, options: OpenOptions) -> Open<'_> {
    Box::new(move || {
        let source = Box::new(FfmpegSource::open(input, &options)?);
        Ok(if source.is_pushed() { Box::new(ByArrival::new(source)) } else { source })
    })
}
