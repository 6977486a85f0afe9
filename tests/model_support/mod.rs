//! What the tests of the model floor share: the committed bundles, the golden numbers, clips and fake networks.
#![allow(dead_code, reason = "each test binary uses its part")]

use ndarray::Array3;
use serde::Deserialize;
use startle::clip::{Clip, ClipSpec, FrameChange, ModelFrame};
use startle::media::Picture;
use startle::model::bundle::ModelBundle;
use startle::model::jepa::{Jepa, Network, Question};
use startle::model::ort::{self, Device, OrtNetwork, RuntimeOptions};
use startle::model::tensor::Pixels;
use startle::units::MediaTime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// RGB pictures of the model's size.
pub type Frames = Vec<Vec<u8>>;

/// A file of `tests/data`.
pub fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// A committed bundle.
pub fn bundle(name: &str) -> ModelBundle {
    ModelBundle::load(&data("bundles").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// One thread on the CPU.
pub fn options() -> RuntimeOptions {
    RuntimeOptions { device: Device::Cpu, threads: 1, ..RuntimeOptions::default() }
}

/// The graphs of a bundle; without ONNX Runtime the test fails and says how to get it.
pub fn network(bundle: &ModelBundle) -> OrtNetwork {
    OrtNetwork::open(bundle, &options()).unwrap_or_else(|error| panic!("this test needs ONNX Runtime: {error}"))
}

/// A bundle's model.
pub fn load(bundle: &ModelBundle) -> Jepa<OrtNetwork> {
    ort::open(bundle, &options()).unwrap_or_else(|error| panic!("this test needs ONNX Runtime: {error}"))
}

/// A bundle's model with other graphs.
pub fn with_network<N: Network>(bundle: &ModelBundle, network: N) -> Jepa<N> {
    let dim = bundle.manifest().widths().unwrap().target;
    Jepa::new(bundle.spec().clone(), bundle.normalizer(), dim, bundle.info(), network).unwrap()
}

/// The clip that starts at `start`.
pub fn clip_of(spec: &ClipSpec, frames: &Frames, start: usize) -> Clip {
    let side = spec.crop_size;
    let frames = frames[start..start + spec.frames_per_clip as usize].iter().map(|rgb| {
        let square = Picture::new(side, side, rgb.clone());
        Arc::new(ModelFrame {
            time: MediaTime::ZERO,
            preview: square.clone(),
            square,
            change: FrameChange::default(),
            key: false,
        })
    });
    Clip { stream: 0, frame_step: 1, segment: 0, start_tick: start as u64, frames: frames.collect() }
}

/// `golden_<bundle>.json`, with the pixels it names.
pub struct Golden {
    pub pixels: Frames,
    pub frame_step: usize,
    pub stage_context: u32,
    pub windows: Vec<Window>,
}

/// The surprise of one window, by context length.
#[derive(Deserialize)]
pub struct Window {
    pub start_frame: usize,
    pub surprise: BTreeMap<String, f64>,
}

/// The golden numbers of a bundle.
pub fn golden(name: &str) -> Golden {
    #[derive(Deserialize)]
    struct Json {
        frame_step: usize,
        stage_context: u32,
        windows: Vec<Window>,
    }
    let text = std::fs::read_to_string(data(&format!("golden/golden_{name}.json"))).unwrap();
    let Json { frame_step, stage_context, windows } = serde_json::from_str(&text).unwrap();
    let side = bundle(name).spec().crop_size as usize;
    let pixels = npy_u8(&format!("golden/{name}/pixels.npy"));
    let pixels = pixels.chunks_exact(side * side * 3).map(<[u8]>::to_vec).collect();
    Golden { pixels, frame_step, stage_context, windows }
}

/// The values of a float32 array, C order.
pub fn npy_f32(file: &str) -> Vec<f32> {
    let array: ndarray::ArrayD<f32> = ndarray_npy::read_npy(data(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    array.iter().copied().collect()
}

/// The values of a uint8 array, C order.
pub fn npy_u8(file: &str) -> Vec<u8> {
    let array: ndarray::ArrayD<u8> = ndarray_npy::read_npy(data(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    array.iter().copied().collect()
}

/// A network that keeps a copy of what its encoders give, in order.
pub struct Spy<N> {
    inner: N,
    seen: Rc<RefCell<Vec<Vec<f32>>>>,
}

impl<N> Spy<N> {
    /// Around `inner`; the tokens appear in the list that comes with it.
    pub fn new(inner: N) -> (Self, Rc<RefCell<Vec<Vec<f32>>>>) {
        let seen = Rc::default();
        (Self { inner, seen: Rc::clone(&seen) }, seen)
    }
}

impl<N: Network> Network for Spy<N> {
    fn encode(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        let tokens = self.inner.encode(pixels)?;
        self.seen.borrow_mut().push(tokens.iter().copied().collect());
        Ok(tokens)
    }

    fn encode_target(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        let tokens = self.inner.encode_target(pixels)?;
        self.seen.borrow_mut().push(tokens.iter().copied().collect());
        Ok(tokens)
    }

    fn predict(&mut self, question: Question<'_>) -> startle::Result<Array3<f32>> {
        self.inner.predict(question)
    }
}
