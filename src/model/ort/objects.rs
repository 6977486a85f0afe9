//! The graphs of a model of objects in ONNX Runtime.
//!
//! Invariant: what comes of a picture or stream does not depend on what else is in a call. Kernels may sum in another order
//! when a call is larger, so this is tried when the graphs are loaded; where it does not hold, they are run one at a time.

use super::graph::Graph;
use super::{Interrupt, OrtNetwork, RuntimeOptions, tensor};
use crate::error::Result;
use crate::model::bundle::ModelBundle;
use crate::model::objects::{ObjectJepa, ObjectNetwork, ObjectsSection, Percepts, Sizes, Step};
use crate::model::tensor::noise;

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
    /// Pictures of a call of the encoder, and streams of a call of the predictor.
    together: (usize, usize),
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
        let mut new = Self { graphs, sizes, shapes, together: (1, 1) };
        new.together = new.try_together(bundle)?;
        Ok(new)
    }

    /// A handle that ends runs from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.graphs.interrupt()
    }

    /// How many pictures and streams may share a call: noise is looked at in calls of several sizes, and must come out the
    /// same.
    fn try_together(&mut self, bundle: &ModelBundle) -> Result<(usize, usize)> {
        let mut pixels = Vec::new();
        let bytes: Vec<u8> = noise(1).take(TRIED * self.sizes.picture).collect();
        bytes.chunks_exact(self.sizes.picture).for_each(|picture| bundle.normalizer().append(picture, &mut pixels));
        let alone = self.see(&pixels, TRIED)?;
        let states: Vec<f32> = noise(2).take(TRIED * self.sizes.state).map(|byte| f32::from(byte) / 255.0).collect();
        let first = self.step(&states, &alone)?;
        let (mut pictures, mut streams) = (TOGETHER, TOGETHER);
        for count in [3, TRIED] {
            self.together = (count, count);
            if self.see(&pixels, TRIED)? != alone {
                pictures = 1;
            }
            if self.step(&states, &alone)? != first {
                streams = 1;
            }
        }
        Ok((pictures, streams))
    }
}

impl ObjectNetwork for OrtObjects {
    fn see(&mut self, pictures: &[f32], _count: usize) -> Result<Percepts> {
        let (mut all, [c, h, w]) = (Percepts::default(), self.shapes.picture);
        for some in pictures.chunks(self.together.0 * self.sizes.picture) {
            let count = some.len() / self.sizes.picture;
            let inputs = ::ort::inputs!["pixel_values" => tensor([count, c, h, w], some)?];
            let outs = [("tokens", &mut all.tokens), ("maps", &mut all.maps)];
            self.graphs.encoder.append(inputs, &self.graphs.interrupt, outs)?;
        }
        Ok(all)
    }

    fn step(&mut self, states: &[f32], percepts: &Percepts) -> Result<Step> {
        let (mut all, Shapes { tokens: [k, a], maps: [m, g, _], .. }) = (Step::default(), self.shapes);
        let Sizes { state, tokens, maps, .. } = self.sizes;
        let most = self.together.1;
        let runs = states.chunks(most * state).zip(percepts.tokens.chunks(most * tokens));
        for ((states, tokens), maps) in runs.zip(percepts.maps.chunks(most * maps)) {
            let count = states.len() / state;
            let inputs = ::ort::inputs![
                "state" => tensor([count, state], states)?,
                "tokens" => tensor([count, k, a], tokens)?,
                "maps" => tensor([count, m, g, g], maps)?,
            ];
            let outs = [
                ("next_state", &mut all.next_state),
                ("energy", &mut all.energy),
                ("expected", &mut all.expected),
                ("seen", &mut all.seen),
            ];
            self.graphs.predictor.append(inputs, &self.graphs.interrupt, outs)?;
        }
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
