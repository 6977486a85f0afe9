//! A [`Scorer`] whose state runs with the stream.
//!
//! A clip is the pictures of the warm-up and the one that is judged. The clips of a stream overlap in all but one picture,
//! so a clip that follows the one before it costs one picture: it is encoded, and the predictor takes one step. A clip that
//! does not (the first of a run of frames, or the first after clips were dropped) begins anew, with all its pictures.
//! Invariants: each picture of an unbroken run is encoded once; what is kept of a stream is its state and its last picture,
//! however long it runs; the numbers do not depend on which clips of which streams share a call; every energy leaves
//! through [`Surprise::new`].

use super::{ObjectNetwork, ObjectsSection, Percepts, Shapes, Step};
use crate::clip::{Clip, ClipSpec, ModelFrame};
use crate::error::{Error, Result};
use crate::model::jepa::{check_clip, expect_tokens};
use crate::model::network::internal;
use crate::model::tensor::{Normalizer, noise};
use crate::model::{ContextErrors, FeatureScorer, ModelInfo, Scorer, WindowErrors};
use crate::surprise::{Part, Scene, Thing};
use crate::units::Surprise;
use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};
use std::collections::HashMap;
use std::sync::Arc;

/// A stream at one rate: its number, and the ticks between its frames.
type StreamKey = (usize, u32);

/// What is kept of a stream.
struct StreamState {
    state: Array1<f32>,
    /// The picture that the state has seen last.
    last: Arc<ModelFrame>,
}

/// A picture to be looked at.
struct DuePicture {
    stream: StreamKey,
    /// Its place among the pictures of the call.
    picture: usize,
    frame: Arc<ModelFrame>,
    /// It is the first of a new stream.
    begins: bool,
    /// The clip that it is judged in; `None` in the warm-up.
    judges: Option<usize>,
}

/// A model of objects.
pub struct ObjectJepa<N> {
    spec: ClipSpec,
    normalizer: Normalizer,
    shapes: Shapes,
    parts: Arc<[Part]>,
    info: ModelInfo,
    network: N,
    streams: HashMap<StreamKey, StreamState>,
    pixels: Vec<f32>,
}

impl<N: ObjectNetwork> ObjectJepa<N> {
    /// A model whose clips have the shape `spec` and whose graphs those shapes.
    pub fn new(spec: ClipSpec, normalizer: Normalizer, objects: &ObjectsSection, info: ModelInfo, network: N) -> Self {
        let (shapes, parts) = (Shapes::of(objects, &spec), objects.parts.clone().into());
        let (streams, pixels) = (HashMap::new(), Vec::new());
        Self { spec, normalizer, shapes, parts, info, network, streams, pixels }
    }

    /// The graphs.
    pub const fn network(&self) -> &N {
        &self.network
    }

    /// Streams of which something is kept.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What is seen in the self-test clip, which is noise from `seed`, and the step of its last picture.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn run_noise(&mut self, seed: u32) -> Result<(Percepts, Step)> {
        self.pixels.clear();
        let mut noise = noise(seed);
        for _ in 0..self.spec.frames_per_clip {
            let picture: Vec<u8> = noise.by_ref().take(self.shapes.pixels()).collect();
            self.normalizer.append(&picture, &mut self.pixels);
        }
        let seen = self.see()?;
        let mut last = Step { next_state: self.new_streams(1), ..Step::default() };
        for picture in 0..self.spec.frames_per_clip as usize {
            last = self.step(last.next_state.view(), &seen.of(&[picture]))?;
        }
        Ok((seen, last))
    }

    /// One picture of noise in each of some streams, as a live stream's next picture costs: for measuring.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn step_noise(&mut self, streams: usize) -> Result<()> {
        self.pixels.clear();
        for seed in 0..streams {
            let picture: Vec<u8> = noise(seed as u32).take(self.shapes.pixels()).collect();
            self.normalizer.append(&picture, &mut self.pixels);
        }
        let seen = self.see()?;
        self.step(self.new_streams(streams).view(), &seen).map(drop)
    }

    fn new_streams(&self, count: usize) -> Array2<f32> {
        Array2::zeros((count, self.shapes.state))
    }

    /// Which pictures have to be looked at, and puts them into the buffer.
    fn plan(&mut self, clips: &[Clip]) -> Result<Vec<DuePicture>> {
        self.pixels.clear();
        let mut looks: Vec<DuePicture> = Vec::new();
        // The last picture that each stream will have seen.
        let mut last: HashMap<StreamKey, Arc<ModelFrame>> =
            self.streams.iter().map(|(key, stream)| (*key, Arc::clone(&stream.last))).collect();
        for (index, clip) in clips.iter().enumerate() {
            check_clip(clip, &self.spec)?;
            let stream = (clip.stream, clip.frame_step);
            let judged = clip.frames.len() - 1;
            let before = judged.checked_sub(1).map(|before| &clip.frames[before]);
            let follows = before.zip(last.get(&stream)).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
            for at in if follows { judged..=judged } else { 0..=judged } {
                let (picture, begins) = (looks.len(), at == 0 && !follows);
                let (frame, judges) = (Arc::clone(&clip.frames[at]), (at == judged).then_some(index));
                looks.push(DuePicture { stream, picture, frame, begins, judges });
                self.normalizer.append(clip.frames[at].square.rgb(), &mut self.pixels);
            }
            last.insert(stream, Arc::clone(&clip.frames[judged]));
        }
        Ok(looks)
    }

    /// What is seen in the pictures of the buffer.
    fn see(&mut self) -> Result<Percepts> {
        let Shapes { tokens: [k, a], maps: [m, g, _], .. } = self.shapes;
        let pictures = self.shapes.pictures(&self.pixels)?;
        let seen = self.network.see(pictures)?;
        expect_tokens("encoder, for its tokens,", &seen.tokens, (pictures.dim().0, k, a))?;
        expect_tokens("encoder, for its maps,", &seen.maps, (pictures.dim().0, m, g, g))?;
        Ok(seen)
    }

    fn step(&mut self, states: ArrayView2<'_, f32>, seen: &Percepts) -> Result<Step> {
        let (step, count) = (self.network.step(states, seen)?, states.nrows());
        let Shapes { state, energy: [rows, parts], things: [_, thing], .. } = self.shapes;
        expect_tokens("predictor, for its state,", &step.next_state, (count, state))?;
        expect_tokens("predictor, for its energies,", &step.energy, (count, rows, parts))?;
        expect_tokens("predictor, for the expected things,", &step.expected, (count, rows, thing))?;
        expect_tokens("predictor, for the seen things,", &step.seen, (count, rows, thing))?;
        step.energy.iter().try_for_each(|energy| Surprise::new(*energy).map(drop))?;
        Ok(step)
    }

    /// One step of every stream that has a picture waiting; gives the scenes of those that are judged.
    fn round(&mut self, looks: &[&DuePicture], seen: &Percepts) -> Result<Vec<(usize, Scene)>> {
        let mut states = self.new_streams(looks.len());
        for (mut state, look) in states.rows_mut().into_iter().zip(looks) {
            if let Some(stream) = self.streams.get(&look.stream).filter(|_| !look.begins) {
                state.assign(&stream.state);
            }
        }
        let pictures: Vec<usize> = looks.iter().map(|look| look.picture).collect();
        let step = self.step(states.view(), &seen.of(&pictures))?;
        let mut judged = Vec::new();
        for (at, look) in looks.iter().enumerate() {
            let state = step.next_state.row(at).to_owned();
            self.streams.insert(look.stream, StreamState { state, last: Arc::clone(&look.frame) });
            if let Some(clip) = look.judges {
                judged.push((clip, self.scene(&step, at)?));
            }
        }
        Ok(judged)
    }

    /// What a step says of one of its streams.
    fn scene(&self, step: &Step, at: usize) -> Result<Scene> {
        let things = |all: ArrayView3<'_, f32>| {
            let rows = all.index_axis_move(Axis(0), at);
            if rows.iter().all(|number| number.is_finite()) {
                Ok(rows.rows().into_iter().map(Thing::read).collect())
            } else {
                Err(Error::Inference("the predictor gave a thing with a number that is not finite".into()))
            }
        };
        let (parts, energy) = (Arc::clone(&self.parts), step.energy.index_axis(Axis(0), at).to_owned());
        Ok(Scene { parts, energy, expected: things(step.expected.view())?, seen: things(step.seen.view())? })
    }

    /// A scene as a window's errors.
    fn window(&self, scene: Scene) -> WindowErrors {
        let context = self.spec.frames_per_clip - 1;
        let errors =
            ContextErrors { context, first_slot: context as usize, errors: scene.largest().insert_axis(Axis(0)) };
        WindowErrors { contexts: vec![errors], scene: Some(Arc::new(scene)) }
    }
}

impl<N: ObjectNetwork> Scorer for ObjectJepa<N> {
    fn spec(&self) -> &ClipSpec {
        &self.spec
    }

    fn info(&self) -> ModelInfo {
        ModelInfo { execution_provider: self.network.provider(), ..self.info.clone() }
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        if clips.is_empty() {
            return Ok(Vec::new());
        }
        let looks = self.plan(clips)?;
        let seen = self.see()?;
        let mut waiting: Vec<&DuePicture> = looks.iter().collect();
        let mut scenes: Vec<Option<Scene>> = clips.iter().map(|_| None).collect();
        while !waiting.is_empty() {
            // The first of each stream; the others wait for it.
            let mut now: Vec<&DuePicture> = Vec::new();
            waiting.retain(|look| {
                let waits = now.iter().any(|other| other.stream == look.stream);
                if !waits {
                    now.push(look);
                }
                waits
            });
            for (clip, scene) in self.round(&now, &seen)? {
                scenes[clip] = Some(scene);
            }
        }
        let done: Option<Vec<Scene>> = scenes.into_iter().collect();
        let done = done.ok_or_else(|| internal("a clip was not judged".into()))?;
        Ok(done.into_iter().map(|scene| self.window(scene)).collect())
    }

    fn forget(&mut self, stream: usize) {
        self.streams.retain(|(own, _), _| *own != stream);
    }

    fn inference_seconds(&self) -> f64 {
        self.network.seconds()
    }
}

impl<N: ObjectNetwork> FeatureScorer for ObjectJepa<N> {}
