//! One decode of a video, scored by the model and every control through the identical statistic.
//!
//! A [`Panel`] is the model and its controls over clips of one shape; [`Hearing`] shows it to the pipeline as one
//! [`Scorer`] (the model) and tells a listener what each member found in the same clips.

use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::evaluate::{
    BENDING, COPY, DIFFERENCE, DIFFERENCE2, EventSpan, MODEL, MOTION, SpanWhat, TURNING, VideoScores,
};
use crate::model::motion::MotionEnergy;
use crate::model::persistence::Persistence;
use crate::model::second_difference::SecondDifference;
use crate::model::{FeatureScorer, ModelInfo, Scorer, WindowErrors};
use crate::pipeline::{Job, analyze};
use crate::record::{Event, Report};
use crate::surprise::{Assembler, Footing, NuisanceModel, Slot, VideoSurpriseBuilder};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What normal footage taught of each scorer, by name: its footing, and what its nuisances explain. A scorer that is not
/// in it is left as it is.
pub type Footings = BTreeMap<&'static str, (Footing, NuisanceModel)>;

/// The model and its controls. Owned by one thread.
pub struct Panel {
    model: Box<dyn FeatureScorer + Send>,
    controls: Vec<(&'static str, Box<dyn Scorer + Send>)>,
}

impl Panel {
    /// The model with the controls that need nothing but its clips, and `others` by name.
    ///
    /// # Errors
    /// [`Error::Config`] when one of those does not take the model's clips.
    pub fn new(
        model: Box<dyn FeatureScorer + Send>,
        others: Vec<(&'static str, Box<dyn Scorer + Send>)>,
    ) -> Result<Self> {
        let spec = model.spec().clone();
        let mut controls: Vec<(&'static str, Box<dyn Scorer + Send>)> = vec![
            (DIFFERENCE, Box::new(Persistence::new(spec.clone())?)),
            (DIFFERENCE2, Box::new(SecondDifference::new(spec.clone())?)),
            (MOTION, Box::new(MotionEnergy::new(spec.clone())?)),
        ];
        for (name, other) in others {
            if !same_clips(other.spec(), &spec) {
                return Err(Error::Config(format!(
                    "{name}: `{}` takes other clips than the model `{}`, so it is no control for it",
                    other.info().name,
                    model.info().name
                )));
            }
            controls.push((name, other));
        }
        Ok(Self { model, controls })
    }

    /// What each member makes of the clips, by its name; what the model's features say goes by the model's.
    pub fn specs(&self) -> BTreeMap<&'static str, ClipSpec> {
        let own = [MODEL, COPY, TURNING, BENDING].map(|name| (name, self.spec().clone()));
        own.into_iter().chain(self.controls.iter().map(|(name, control)| (*name, control.spec().clone()))).collect()
    }

    /// The clips that it takes.
    pub fn spec(&self) -> &ClipSpec {
        self.model.spec()
    }

    /// The model's errors of each clip; tells the listener what every member found, clip by clip.
    fn score(
        &mut self,
        clips: &[Clip],
        hear: &mut impl FnMut(&'static str, &Clip, &WindowErrors),
    ) -> Result<Vec<WindowErrors>> {
        let (mut scored, features) = self.model.score_with_controls(clips)?;
        let mut members = vec![(MODEL, &scored)];
        members.extend(features.as_ref().map(|features| (COPY, &features.copied)));
        let path = features.as_ref().and_then(|features| features.path.as_ref());
        members.extend(path.into_iter().flat_map(|path| [(TURNING, &path.turning), (BENDING, &path.bending)]));
        let controls = self
            .controls
            .iter_mut()
            .map(|(name, control)| Ok((*name, control.score(clips)?)))
            .collect::<Result<Vec<_>>>()?;
        members.extend(controls.iter().map(|(name, windows)| (*name, windows)));
        for (name, windows) in members {
            clips.iter().zip(windows).for_each(|(clip, errors)| hear(name, clip, errors));
        }
        let usual = self.spec().context_lengths.len();
        for window in &mut scored {
            window.contexts.truncate(usual);
        }
        Ok(scored)
    }
}

/// Whether two models see the same pixels at the same times; tokens may be cut otherwise.
pub fn same_clips(one: &ClipSpec, other: &ClipSpec) -> bool {
    ClipSpec { patch_size: other.patch_size, ..one.clone() } == *other
}

/// A panel as the pipeline sees it: its model, and a listener that hears every member.
pub struct Hearing<'a, F> {
    panel: &'a mut Panel,
    hear: F,
}

impl<'a, F: FnMut(&'static str, &Clip, &WindowErrors)> Hearing<'a, F> {
    /// `hear` is told the member's name, the clip and the errors; for each member in order of time.
    pub const fn new(panel: &'a mut Panel, hear: F) -> Self {
        Self { panel, hear }
    }
}

impl<F: FnMut(&'static str, &Clip, &WindowErrors)> Scorer for Hearing<'_, F> {
    fn spec(&self) -> &ClipSpec {
        self.panel.spec()
    }

    fn info(&self) -> ModelInfo {
        self.panel.model.info()
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        self.panel.score(clips, &mut self.hear)
    }

    fn inference_seconds(&self) -> f64 {
        self.panel.model.inference_seconds()
    }
}

/// Windows of one scorer over one video to its curve and the literature's numbers.
pub struct Fold {
    /// Contexts of every window; the opening ones come after them.
    usual: usize,
    assembler: Assembler,
    literature: VideoSurpriseBuilder,
    curve: Vec<(f64, f32)>,
}

impl Fold {
    /// For one video.
    pub fn new(spec: &ClipSpec, (footing, nuisances): (Footing, NuisanceModel), top_fraction: f32) -> Self {
        let assembler = Assembler::new(spec, footing, nuisances, top_fraction);
        Self {
            usual: spec.context_lengths.len(),
            assembler,
            literature: VideoSurpriseBuilder::default(),
            curve: Vec::new(),
        }
    }

    /// Takes the next window.
    pub fn push(&mut self, clip: &Clip, errors: &WindowErrors) {
        let opens = errors.contexts.len() > self.usual;
        let usual =
            if opens { Cow::Owned(errors.contexts[..self.usual].to_vec().into()) } else { Cow::Borrowed(errors) };
        self.literature.push(&usual);
        if opens {
            self.literature.open(errors);
        }
        self.curve.extend(self.assembler.push(clip, &usual).iter().map(point));
    }

    /// The scores of the video; they have no events.
    pub fn finish(mut self) -> VideoScores {
        self.curve.extend(self.assembler.finish().iter().map(point));
        VideoScores { curve: self.curve, literature: self.literature.finish(), events: Vec::new() }
    }
}

fn point(slot: &Slot) -> (f64, f32) {
    (slot.middle().secs_f64(), slot.surprise)
}

/// Decodes a video once; gives the scores of every member by its name, and the model's report, whose events (on the
/// job's baseline, as `analyze` finds them) are the model's.
///
/// # Errors
/// As [`analyze`].
pub fn score_video(
    job: Job<'_>,
    panel: &mut Panel,
    footings: &Footings,
) -> Result<(BTreeMap<String, VideoScores>, Report)> {
    let (specs, top) = (panel.specs(), job.detection.top_fraction);
    let mut folds: BTreeMap<&'static str, Fold> = BTreeMap::new();
    let mut hearing = Hearing::new(panel, |name: &'static str, clip: &Clip, errors: &WindowErrors| {
        let footing = || footings.get(name).cloned().unwrap_or((Footing::identity(), NuisanceModel::identity()));
        folds.entry(name).or_insert_with(|| Fold::new(&specs[name], footing(), top)).push(clip, errors);
    });
    let report = analyze(job, &mut hearing, &mut [])?;
    let mut scores: BTreeMap<String, VideoScores> =
        folds.into_iter().map(|(name, fold)| (name.to_owned(), fold.finish())).collect();
    if let Some(model) = scores.get_mut(MODEL) {
        model.events = report.events.iter().map(span).collect();
    }
    Ok((scores, report))
}

fn span(event: &Event) -> EventSpan {
    let Event { onset_s, peak_s, end_s, score, place, .. } = *event;
    let what = event.what.as_ref().map(|what| SpanWhat {
        kind: what.kind,
        boxes: [&what.expected, &what.seen].into_iter().flatten().map(|look| look.place).collect(),
    });
    EventSpan { onset_s, peak_s, end_s, score, place, what }
}
