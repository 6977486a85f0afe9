//! A bright box on a dark ground, as clips and as a source.

use super::model_support::bundle;
use startle::Result;
use startle::clip::{Clip, FrameChange, ModelFrame, Windower};
use startle::media::{FrameSource, Picture, Step, VideoInfo};
use startle::model::Scorer;
use startle::pipeline::{DetectionSettings, Job, analyze};
use startle::record::{Asked, Report, Resolved, RunConfig};
use startle::surprise::{Baseline, EventRules, ThresholdRule};
use startle::units::{MediaTime, Stop};
use std::sync::Arc;

const SIDE: u32 = 32;
const FPS: i64 = 20;

/// Where the box's middle is (shares of the picture), and its colour.
pub type Shown = Option<(f32, f32, [u8; 3])>;

/// What is to be seen at a time in seconds.
pub struct Film(Box<dyn Fn(f32) -> Shown + Send>);

impl Film {
    pub fn of(shown: impl Fn(f32) -> Shown + Send + 'static) -> Self {
        Self(Box::new(shown))
    }

    /// A box that circles.
    pub fn flying(phase: f32) -> Self {
        Self::of(move |t| Some(Self::flight(t, phase)))
    }

    pub fn flight(t: f32, phase: f32) -> (f32, f32, [u8; 3]) {
        let angle = 1.5 * t + phase;
        (0.5 + 0.25 * angle.cos(), 0.5 + 0.25 * angle.sin(), [230, 60, 40])
    }

    fn picture(&self, t: f32) -> Picture {
        let shown = (self.0)(t);
        let side = SIDE as f32;
        let pixel = |i: u32| {
            let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
            match shown {
                Some((bx, by, rgb)) if (x - bx * side).abs() < 4.0 && (y - by * side).abs() < 4.0 => rgb,
                _ => [40; 3],
            }
        };
        Picture::new(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect())
    }
}

/// The clips of a film of some pictures, at the model's rate.
pub fn clips(film: &Film, pictures: usize, stream: usize) -> Vec<Clip> {
    let mut windower = Windower::new(bundle("tiny-object").spec());
    let frame = |index: usize| {
        let (time, square) = (MediaTime::from_nanos(index as i64 * 100_000_000), film.picture(index as f32 / 10.0));
        Arc::new(ModelFrame { time, preview: square.clone(), square, change: FrameChange::default(), key: false })
    };
    let found = (0..pictures).filter_map(|index| windower.push(frame(index)));
    found.map(|clip| Clip { stream, ..clip }).collect()
}

struct Source {
    film: Film,
    info: VideoInfo,
    frames: i64,
    next: i64,
}

impl FrameSource for Source {
    fn info(&self) -> &VideoInfo {
        &self.info
    }
    fn next_step(&mut self) -> Result<Step> {
        if self.next == self.frames {
            return Ok(Step::End);
        }
        self.next += 1;
        let at = |frame: i64| MediaTime::from_nanos(frame * 1_000_000_000 / FPS);
        Ok(Step::Frame { time: at(self.next - 1), end: at(self.next) })
    }
    fn picture(&mut self) -> Result<Picture> {
        Ok(self.film.picture((self.next - 1) as f32 / FPS as f32))
    }
    fn frames_decoded(&self) -> u64 {
        self.next as u64
    }
}

/// A film of some frames, 20 a second.
pub fn job<'a>(film: Film, frames: i64) -> Job<'a> {
    let info = VideoInfo {
        width: SIDE,
        height: SIDE,
        nominal_fps: FPS as f64,
        duration_s: None,
        codec: "painted".into(),
        pixel_format: "rgb24".into(),
        notes: Vec::new(),
    };
    let zero = MediaTime::ZERO;
    let rule = ThresholdRule::at_z(8.0);
    let merge = MediaTime::from_nanos(500_000_000);
    Job {
        path: "film".into(),
        sha256: None,
        open: Box::new(move || Ok(Box::new(Source { film, info, frames, next: 0 }))),
        detection: DetectionSettings {
            top_fraction: 0.06,
            rules: EventRules { rule, merge, min_duration: zero, cool_down: zero },
        },
        baseline: None,
        config: RunConfig {
            asked: Asked { stride: 1, ..Asked::default() },
            resolved: Resolved { batch: 4, ..Resolved::default() },
        },
        stop: Stop::new(),
    }
}

/// The report of a film.
pub fn run(film: Film, frames: i64, model: &mut (dyn Scorer + Send), baseline: Option<&Baseline>) -> Report {
    analyze(Job { baseline, ..job(film, frames) }, model, &mut []).unwrap()
}
