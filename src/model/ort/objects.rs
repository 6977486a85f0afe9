//! The graphs of a model of objects in ONNX Runtime.
//!
//! Invariant: what comes of a picture or stream does not depend on what else is in a call. Kernels may sum in another order
//! when a call is larger (often a call of one is the odd one out), so this is tried when the graphs are loaded: where a lone
//! one comes out otherwise it is joined by zeros, and where that does not help either, all are run one at a time.

use super::graph::Graph;
use super::{Interrupt, OrtNetwork, RuntimeOptions, tensor};
use crate::error::Result;
use crate::model::bundle::ModelBundle;
use crate::model::objects::{ObjectJepa, ObjectNetwork, ObjectsSection, Percepts, Sizes, Step};
use crate::model::tensor::noise;
use std::borrow::Cow;

/// Most pictures of a call.
const TOGETHER: usize = 16;
/// Pictures and streams with which is tried whether they may share a call.
const TRIED: usize = 8;

/// Loads the graphs of a bundle of the family `object-jepa`.
///
/// # Errors
/// As [`super::open`].
pub fn open_objects(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<ObjectJepa<OrtObjects>> {
    objects_on(bundle, OrtObjects::open(bundle, options)?)
}

/// A bundle's model on other graphs than [`open_objects`] loads.
///
/// # Errors
/// [`crate::Error::Config`] for a bundle of another family.
pub fn objects_on<N: ObjectNetwork>(bundle: &ModelBundle, network: N) -> Result<ObjectJepa<N>> {
    let objects = bundle.manifest().things()?;
    Ok(ObjectJepa::new(bundle.spec().clone(), bundle.normalizer(), objects, bundle.info(), network))
}

/// Encoder and predictor.
pub struct OrtObjects {
    graphs: OrtNetwork,
    sizes: Sizes,
    shapes: Shapes,
    /// Pictures of a call of the encoder.
    pictures: Together,
    /// Streams of a call of the predictor.
    streams: Together,
}

/// How many may share a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Together {
    fewest: usize,
    most: usize,
}

impl Together {
    const fn exactly(count: usize) -> Self {
        Self { fewest: count, most: count }
    }

    /// From what comes of the tried items in calls of so many.
    fn tried<T: PartialEq>(mut of: impl FnMut(Self) -> Result<T>) -> Result<Self> {
        let all = of(Self::exactly(TRIED))?;
        let three = of(Self { fewest: 1, most: 3 })? == all;
        for fewest in [1, 2] {
            if three && of(Self::exactly(fewest))? == all {
                return Ok(Self { fewest, most: TOGETHER });
            }
        }
        Ok(Self::exactly(1))
    }
}

/// Some items of `size` numbers, with zeros behind them until there are at least so many.
fn padded(items: &[f32], size: usize, fewest: usize) -> Cow<'_, [f32]> {
    if items.len() >= fewest * size {
        return Cow::Borrowed(items);
    }
    let mut padded = items.to_vec();
    padded.resize(fewest * size, 0.0);
    Cow::Owned(padded)
}

/// Of tensors, without the first size.
#[derive(Debug, Clone, Copy)]
struct Shapes {
    picture: [usize; 3],
    tokens: [usize; 2],
    maps: [usize; 3],
}

impl Shapes {
    fn of(objects: &ObjectsSection, bundle: &ModelBundle) -> Self {
        let (side, grid) = (bundle.spec().crop_size as usize, bundle.spec().grid());
        Self {
            picture: [3, side, side],
            tokens: [objects.tokens, objects.attributes],
            maps: [objects.maps, grid, grid],
        }
    }
}

impl OrtObjects {
    /// Loads the graphs and tries whether they may be run on several pictures and streams at once.
    ///
    /// # Errors
    /// As [`open_objects`].
    pub fn open(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<Self> {
        let objects = bundle.manifest().things()?;
        let (sizes, shapes) = (Sizes::of(objects, bundle.spec()), Shapes::of(objects, bundle));
        let graphs = OrtNetwork::load(bundle, options)?;
        let mut new = Self { graphs, sizes, shapes, pictures: Together::exactly(1), streams: Together::exactly(1) };
        new.try_together(bundle)?;
        Ok(new)
    }

    /// A handle that ends runs from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.graphs.interrupt()
    }

    /// Finds out how many pictures and streams may share a call: noise is looked at in calls of several sizes.
    fn try_together(&mut self, bundle: &ModelBundle) -> Result<()> {
        let (mut pixels, normalizer) = (Vec::new(), bundle.normalizer());
        let bytes: Vec<u8> = noise(1).take(TRIED * self.sizes.picture).collect();
        bytes.chunks_exact(self.sizes.picture).for_each(|picture| normalizer.append(picture, &mut pixels));
        self.pictures = Together::tried(|together| {
            self.pictures = together;
            self.see(&pixels, TRIED)
        })?;
        let seen = self.see(&pixels, TRIED)?;
        let states: Vec<f32> = noise(2).take(TRIED * self.sizes.state).map(|byte| f32::from(byte) / 255.0).collect();
        self.streams = Together::tried(|together| {
            self.streams = together;
            self.step(&states, &seen)
        })?;
        Ok(())
    }
}

impl ObjectNetwork for OrtObjects {
    fn see(&mut self, pictures: &[f32], _count: usize) -> Result<Percepts> {
        let (mut all, [c, h, w]) = (Percepts::default(), self.shapes.picture);
        let (Sizes { picture, tokens, maps, .. }, Together { fewest, most }) = (self.sizes, self.pictures);
        for some in pictures.chunks(most * picture) {
            let whole = padded(some, picture, fewest);
            let inputs = ::ort::inputs!["pixel_values" => tensor([whole.len() / picture, c, h, w], &whole)?];
            let outs = [("tokens", &mut all.tokens), ("maps", &mut all.maps)];
            self.graphs.encoder.append(inputs, &self.graphs.interrupt, outs)?;
        }
        all.tokens.truncate(pictures.len() / picture * tokens);
        all.maps.truncate(pictures.len() / picture * maps);
        Ok(all)
    }

    fn step(&mut self, states: &[f32], percepts: &Percepts) -> Result<Step> {
        let (mut all, Shapes { tokens: [k, a], maps: [m, g, _], .. }) = (Step::default(), self.shapes);
        let (Sizes { state, tokens, maps, .. }, Together { fewest, most }) = (self.sizes, self.streams);
        let runs = states.chunks(most * state).zip(percepts.tokens.chunks(most * tokens));
        for ((states, some), mapped) in runs.zip(percepts.maps.chunks(most * maps)) {
            let (states, some) = (padded(states, state, fewest), padded(some, tokens, fewest));
            let (mapped, count) = (padded(mapped, maps, fewest), states.len() / state);
            let inputs = ::ort::inputs![
                "state" => tensor([count, state], &states)?,
                "tokens" => tensor([count, k, a], &some)?,
                "maps" => tensor([count, m, g, g], &mapped)?,
            ];
            let outs = [
                ("next_state", &mut all.next_state),
                ("energy", &mut all.energy),
                ("expected", &mut all.expected),
                ("seen", &mut all.seen),
            ];
            self.graphs.predictor.append(inputs, &self.graphs.interrupt, outs)?;
        }
        let count = states.len() / state;
        all.next_state.truncate(count * state);
        all.energy.truncate(count * self.sizes.energy);
        all.expected.truncate(count * self.sizes.things);
        all.seen.truncate(count * self.sizes.things);
        Ok(all)
    }

    fn provider(&self) -> String {
        use crate::model::jepa::Network;
        self.graphs.provider()
    }

    fn is_reduced(&self) -> bool {
        self.graphs.device.is_reduced()
    }

    fn seconds(&self) -> f64 {
        self.graphs.graphs().map(Graph::seconds).sum()
    }
}
