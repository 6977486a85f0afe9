//! Models of objects: an encoder that finds things in a picture, and a predictor that keeps a file of each and says how
//! unlikely it is what came. The energy is a likelihood.
//!
//! The graphs, with B pictures or streams, K tokens of A numbers, M maps of `grid²` cells, a state of Z numbers and R rows
//! (N files, then K tokens) of P parts:
//!
//! ```text
//! encoder    pixel_values [B, 3, S, S]                            → tokens [B, K, A], maps [B, M, G, G]
//! predictor  state [B, Z], tokens [B, K, A], maps [B, M, G, G]    → next_state [B, Z], energy [B, R, P],
//!                                                                   expected [B, R, 13], seen [B, R, 13]
//! ```
//!
//! A state of zeros is a new stream. A row of `expected` and `seen` is read by [`Thing::read`](crate::surprise::Thing::read).

mod scorer;

pub use scorer::ObjectJepa;

use super::flops::Operations;
use super::manifest::Manifest;
use super::network::internal;
use crate::clip::ClipSpec;
use crate::error::{Error, Result};
use crate::surprise::{Part, THING};
use ndarray::{Array, Array2, Array3, Array4, ArrayView, ArrayView2, ArrayView4, Axis, RemoveAxis, concatenate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The family's name in the manifest.
pub const FAMILY: &str = "object-jepa";

/// `[objects]`: the sizes of the graphs and the parts of the energy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsSection {
    /// Things that the encoder finds in a picture, K.
    pub tokens: usize,
    /// Numbers of each, A.
    pub attributes: usize,
    /// Maps of what is where, M.
    pub maps: usize,
    /// Files of things that the predictor keeps, N.
    pub files: usize,
    /// Numbers of a stream's state, Z.
    pub state: usize,
    /// The parts of the energy, P.
    pub parts: Vec<Part>,
    /// What a picture costs; bundles of earlier exporters do not say. The identity of the numbers does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
}

impl ObjectsSection {
    /// Rows of the energy, R.
    pub const fn rows(&self) -> usize {
        self.files + self.tokens
    }

    /// What the types can't say.
    pub(super) fn check(&self, manifest: &Manifest, spec: &ClipSpec) -> Result<(), String> {
        let sizes = [self.tokens, self.attributes, self.maps, self.files, self.state, self.parts.len()];
        if sizes.contains(&0) {
            return Err("objects: tokens, attributes, maps, files, state and parts must be at least 1".into());
        }
        let names: BTreeSet<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        if names.len() != self.parts.len() {
            return Err("objects.parts has a name twice".into());
        }
        let warm_up = spec.frames_per_clip - 1;
        if (spec.tubelet_size, spec.stride, spec.horizon) != (1, 1, Some(1)) || spec.context_lengths != [warm_up] {
            return Err(format!(
                "[objects] wants a clip of the pictures of the warm-up and the one that is judged: tubelet_size, stride and \
                 horizon of 1, context_lengths = [{warm_up}] for frames_per_clip {}",
                spec.frames_per_clip
            ));
        }
        if manifest.family != FAMILY || manifest.conditioning.is_some() || manifest.graphs.target_encoder.is_some() {
            return Err(format!("[objects] is of the family {FAMILY}, without conditioning and target encoder"));
        }
        if manifest.mask_token.is_some() || manifest.self_test.frames.is_some() {
            return Err("[objects] has no mask_token and no self_test.frames; leave them out".into());
        }
        if manifest.self_test.stages.is_none() {
            return Err("self_test.stages is missing".into());
        }
        let tested: Vec<&str> = manifest.self_test.energy.iter().map(|expected| expected.part.as_str()).collect();
        let parts: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        if tested != parts {
            return Err(format!("self_test.energy has values for the parts {tested:?}, objects.parts are {parts:?}"));
        }
        Ok(())
    }

    /// What the numbers depend on, for the bundle's identity.
    pub(super) fn identity(&self) -> String {
        let kinds: Vec<String> = self.parts.iter().map(|part| format!("{} {}", part.name, part.kind.name())).collect();
        format!("objects {} {} {}\n", self.files, self.tokens, kinds.join(", "))
    }
}

/// What an encoder sees in some pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Percepts {
    /// `[B, K, A]`.
    pub tokens: Array3<f32>,
    /// `[B, M, G, G]`.
    pub maps: Array4<f32>,
}

impl Percepts {
    /// What was seen in some of the pictures.
    pub(super) fn of(&self, pictures: &[usize]) -> Self {
        Self { tokens: self.tokens.select(Axis(0), pictures), maps: self.maps.select(Axis(0), pictures) }
    }

    /// What was seen in several runs of pictures, one after another.
    ///
    /// # Errors
    /// [`crate::Error::Inference`] when they are not of one shape.
    pub fn join(runs: Vec<Self>) -> Result<Self> {
        let (tokens, maps) = runs.into_iter().map(|run| (run.tokens, run.maps)).unzip();
        Ok(Self { tokens: joined(tokens)?, maps: joined(maps)? })
    }
}

/// What a predictor says of one picture of each of some streams.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// `[B, Z]`.
    pub next_state: Array2<f32>,
    /// `[B, R, P]`.
    pub energy: Array3<f32>,
    /// `[B, R, 13]`.
    pub expected: Array3<f32>,
    /// `[B, R, 13]`.
    pub seen: Array3<f32>,
}

impl Step {
    /// The steps of several runs of streams, one after another.
    ///
    /// # Errors
    /// As [`Percepts::join`].
    pub fn join(runs: Vec<Self>) -> Result<Self> {
        let (mut states, mut things) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        for Self { next_state, energy, expected, seen } in runs {
            states.push(next_state);
            things.iter_mut().zip([energy, expected, seen]).for_each(|(all, run)| all.push(run));
        }
        let [energy, expected, seen] = things.map(joined);
        Ok(Self { next_state: joined(states)?, energy: energy?, expected: expected?, seen: seen? })
    }
}

/// Arrays along their first axis; a single one as it is.
fn joined<D: RemoveAxis>(mut runs: Vec<Array<f32, D>>) -> Result<Array<f32, D>> {
    if runs.len() <= 1 {
        return Ok(runs.pop().unwrap_or_else(|| Array::default(D::default())));
    }
    let views: Vec<_> = runs.iter().map(|run| run.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| Error::Inference(error.to_string()))
}

/// Shapes of the inputs and outputs, of one picture or stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shapes {
    /// Of a picture, `[3, S, S]`.
    pub picture: [usize; 3],
    /// Of its tokens, `[K, A]`.
    pub tokens: [usize; 2],
    /// Of its maps, `[M, G, G]`.
    pub maps: [usize; 3],
    /// Of a state, Z.
    pub state: usize,
    /// Of the energies, `[R, P]`.
    pub energy: [usize; 2],
    /// Of the expected things, and of the seen ones, `[R, 13]`.
    pub things: [usize; 2],
}

impl Shapes {
    /// Of a model.
    pub const fn of(objects: &ObjectsSection, spec: &ClipSpec) -> Self {
        let (side, grid) = (spec.crop_size as usize, spec.grid());
        Self {
            picture: [3, side, side],
            tokens: [objects.tokens, objects.attributes],
            maps: [objects.maps, grid, grid],
            state: objects.state,
            energy: [objects.rows(), objects.parts.len()],
            things: [objects.rows(), THING],
        }
    }

    /// Bytes of a picture.
    pub(super) const fn pixels(&self) -> usize {
        let [channels, height, width] = self.picture;
        channels * height * width
    }

    /// Normalised pictures that lie one after another, `[B, 3, S, S]`.
    pub(super) fn pictures<'a>(&self, pixels: &'a [f32]) -> Result<ArrayView4<'a, f32>> {
        let ([c, h, w], count) = (self.picture, pixels.len() / self.pixels());
        ArrayView::from_shape((count, c, h, w), pixels).map_err(|error| internal(error.to_string()))
    }
}

/// The graphs of a model of objects. What comes of a picture or stream must not depend, by one bit, on what else is in the
/// call.
pub trait ObjectNetwork {
    /// Normalised pictures, `[B, 3, S, S]`, to what is seen in them.
    ///
    /// # Errors
    /// [`crate::Error::Inference`] when the graph fails, [`crate::Error::Stopped`] when it was interrupted.
    fn see(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Percepts>;

    /// A picture of each of some streams, given their states `[B, Z]`.
    ///
    /// # Errors
    /// As [`ObjectNetwork::see`].
    fn step(&mut self, states: ArrayView2<'_, f32>, percepts: &Percepts) -> Result<Step>;

    /// The execution provider that runs the graphs.
    fn provider(&self) -> String {
        "none".into()
    }

    /// Whether it rounds what the bundle's own precision does not.
    fn is_reduced(&self) -> bool {
        false
    }

    /// Seconds spent inside the inference runtime so far.
    fn seconds(&self) -> f64 {
        0.0
    }
}
