//! The graphs of a model of objects in ONNX Runtime.
//!
//! Invariant: what comes of a picture or stream does not depend on what else is in a call. Kernels may sum in another order
//! when a call is larger (often a call of one is the odd one out), so this is tried when the graphs are loaded: where a lone
//! one comes out otherwise it is joined by zeros, and where that does not help either, all are run one at a time.

use super::graph::Graph;
use super::{Interrupt, OrtNetwork, RuntimeOptions, tensor};
use crate::error::Result;
use crate::model::bundle::ModelBundle;
use crate::model::network::internal;
use crate::model::objects::{ObjectJepa, ObjectNetwork, Percepts, Shapes, Step};
use crate::model::tensor::noise;
use ndarray::{Array, Array2, ArrayView, ArrayView2, ArrayView4, Axis, CowArray, RemoveAxis, concatenate};

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

/// Some items along the first axis, with zeros behind them until there are at least so many.
fn padded<D: RemoveAxis>(items: ArrayView<'_, f32, D>, fewest: usize) -> Result<CowArray<'_, f32, D>> {
    let lacking = fewest.saturating_sub(items.len_of(Axis(0)));
    if lacking == 0 {
        return Ok(items.into());
    }
    let mut zeros = items.raw_dim();
    zeros[0] = lacking;
    let all = concatenate(Axis(0), &[items.view(), Array::zeros(zeros).view()]);
    Ok(all.map_err(|error| internal(error.to_string()))?.into())
}

/// The first `count` of what came of items that were padded.
fn without_padding<D: RemoveAxis>(mut all: Array<f32, D>, count: usize) -> Array<f32, D> {
    all.slice_axis_inplace(Axis(0), (..count).into());
    all
}

impl OrtObjects {
    /// Loads the graphs and tries whether they may be run on several pictures and streams at once.
    ///
    /// # Errors
    /// As [`open_objects`].
    pub fn open(bundle: &ModelBundle, options: &RuntimeOptions) -> Result<Self> {
        let objects = bundle.manifest().things()?;
        let shapes = Shapes::of(objects, bundle.spec());
        let graphs = OrtNetwork::load(bundle, options)?;
        let mut new = Self { graphs, shapes, pictures: Together::exactly(1), streams: Together::exactly(1) };
        new.try_together(bundle)?;
        Ok(new)
    }

    /// A handle that ends runs from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.graphs.interrupt()
    }

    /// Finds out how many pictures and streams may share a call: noise is looked at in calls of several sizes.
    fn try_together(&mut self, bundle: &ModelBundle) -> Result<()> {
        let (mut pixels, normalizer, shapes) = (Vec::new(), bundle.normalizer(), self.shapes);
        let bytes: Vec<u8> = noise(1).take(TRIED * shapes.pixels()).collect();
        bytes.chunks_exact(shapes.pixels()).for_each(|picture| normalizer.append(picture, &mut pixels));
        let pictures = shapes.pictures(&pixels)?;
        self.pictures = Together::tried(|together| {
            self.pictures = together;
            self.see(pictures)
        })?;
        let (seen, mut values) = (self.see(pictures)?, noise(2).map(|byte| f32::from(byte) / 255.0));
        let states = Array2::from_shape_simple_fn((TRIED, shapes.state), || values.next().unwrap_or_default());
        self.streams = Together::tried(|together| {
            self.streams = together;
            self.step(states.view(), &seen)
        })?;
        Ok(())
    }
}

impl ObjectNetwork for OrtObjects {
    fn see(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Percepts> {
        let (OrtNetwork { encoder, interrupt, .. }, Together { fewest, most }) = (&mut self.graphs, self.pictures);
        let runs = pictures.axis_chunks_iter(Axis(0), most).map(|some| {
            let (count, whole) = (some.dim().0, padded(some, fewest)?);
            let outputs = encoder.run(::ort::inputs!["pixel_values" => tensor(&whole)?], interrupt)?;
            Ok(Percepts {
                tokens: without_padding(outputs.array("tokens")?, count),
                maps: without_padding(outputs.array("maps")?, count),
            })
        });
        Percepts::join(runs.collect::<Result<_>>()?)
    }

    fn step(&mut self, states: ArrayView2<'_, f32>, percepts: &Percepts) -> Result<Step> {
        let (OrtNetwork { predictor, interrupt, .. }, Together { fewest, most }) = (&mut self.graphs, self.streams);
        let seen = percepts.tokens.axis_chunks_iter(Axis(0), most).zip(percepts.maps.axis_chunks_iter(Axis(0), most));
        let runs = states.axis_chunks_iter(Axis(0), most).zip(seen).map(|(states, (tokens, maps))| {
            let (count, states) = (states.nrows(), padded(states, fewest)?);
            let (tokens, maps) = (padded(tokens, fewest)?, padded(maps, fewest)?);
            let inputs = ::ort::inputs![
                "state" => tensor(&states)?,
                "tokens" => tensor(&tokens)?,
                "maps" => tensor(&maps)?,
            ];
            let outputs = predictor.run(inputs, interrupt)?;
            Ok(Step {
                next_state: without_padding(outputs.array("next_state")?, count),
                energy: without_padding(outputs.array("energy")?, count),
                expected: without_padding(outputs.array("expected")?, count),
                seen: without_padding(outputs.array("seen")?, count),
            })
        });
        Step::join(runs.collect::<Result<_>>()?)
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
