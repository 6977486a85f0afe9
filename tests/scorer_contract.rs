//! What every [`Scorer`] keeps, over each implementation, and the surprise protocol on networks whose answers are known.

mod model_support;

use model_support::{Frames, bundle, clip_of, load};
use ndarray::{Array2, Array3, array, s};
use startle::Error;
use startle::clip::{Clip, ClipSpec, ResizeRule};
use startle::model::jepa::{Jepa, Network, Question, Widths};
use startle::model::ort::{self, RuntimeOptions};
use startle::model::persistence::Persistence;
use startle::model::second_difference::SecondDifference;
use startle::model::tensor::{Normalizer, Pixels};
use startle::model::{FeatureControls, FeatureScorer, ModelInfo, Scorer, WindowErrors};

/// Frames of noise: 8 bits from an arbitrary generator.
fn noise(spec: &ClipSpec, frames: usize) -> Frames {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..frames).map(|_| (0..3 * spec.crop_size * spec.crop_size).map(|_| next()).collect()).collect()
}

fn contract(name: &str, scorer: &mut dyn Scorer) {
    let spec = scorer.spec().clone();
    spec.check().unwrap();
    let frames = noise(&spec, spec.frames_per_clip as usize + 8);
    let clips: Vec<Clip> = [0, 8, 2].map(|start| clip_of(&spec, &frames, start)).into();

    assert!(scorer.score(&[]).unwrap().is_empty(), "{name}: no clips, no windows");
    let together = scorer.score(&clips).unwrap();
    assert_eq!(together.len(), clips.len(), "{name}: a window for each clip");
    for window in &together {
        shape(name, &spec, window);
    }
    assert_ne!(together[0], together[1], "{name}: different clips, different errors");
    assert_eq!(together, scorer.score(&clips).unwrap(), "{name}: the same clips, the same bits");
    for (clip, together) in clips.iter().zip(&together) {
        let alone = scorer.score(std::slice::from_ref(clip)).unwrap();
        for (alone, together) in alone[0].contexts.iter().zip(&together.contexts) {
            let pairs = alone.errors.iter().zip(&together.errors);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1e-3)), "{name}: batch");
        }
    }

    refuses_wrong_shapes(name, &spec, &clips[0], scorer);
    assert_eq!(scorer.score(&clips[..1]).unwrap()[0], together[0], "{name}: usable after a refusal");

    let info = scorer.info();
    assert!(!info.name.is_empty() && info.sha256.len() == 64, "{name}: {info:?}");
    assert_eq!(
        (info.frames_per_clip, info.stride, &info.contexts),
        (spec.frames_per_clip, spec.stride, &spec.context_lengths)
    );
    assert!(scorer.inference_seconds() >= 0.0);
}

fn shape(name: &str, spec: &ClipSpec, window: &WindowErrors) {
    let contexts: Vec<u32> = window.contexts.iter().map(|c| c.context).collect();
    assert_eq!(contexts, spec.context_lengths, "{name}: contexts ascend");
    for context in &window.contexts {
        let slots = spec.target_slots(context.context);
        assert_eq!(context.first_slot, slots.start, "{name}: first slot");
        assert_eq!(context.errors.len(), slots.len() * spec.tokens_per_slot(), "{name}: an error for each token");
        assert!(context.errors.iter().all(|e| e.is_finite() && *e >= 0.0), "{name}: errors are finite and ≥ 0");
        assert!(context.surprise() > 0.0, "{name}: noise is surprising");
    }
}

fn refuses_wrong_shapes(name: &str, spec: &ClipSpec, good: &Clip, scorer: &mut dyn Scorer) {
    let mut short = good.clone();
    short.frames.pop();
    let small = ClipSpec { crop_size: spec.crop_size / 2, ..spec.clone() };
    let small = clip_of(&small, &noise(&small, spec.frames_per_clip as usize), 0);
    for (what, clip) in [("a short clip", short), ("small frames", small)] {
        let refused = scorer.score(&[good.clone(), clip]);
        assert!(matches!(refused, Err(Error::Internal { .. })), "{name}: {what} must be refused");
    }
}

#[test]
fn every_scorer_keeps_the_contract() {
    contract("persistence", &mut Persistence::new(spec()).unwrap());
    contract("second difference", &mut SecondDifference::new(spec()).unwrap());
    contract("fake", &mut jepa(Signs::default()));
    for name in ["tiny-random", "tiny-target"] {
        contract(name, &mut load(&bundle(name)));
    }
}

#[test]
fn the_first_window_of_a_video_is_predicted_from_the_opening_contexts_too() {
    let full = bundle("tiny-random");
    let mut later = full.clone();
    let lengths = |context_lengths: &[u32], opening_contexts: &[u32]| ClipSpec {
        context_lengths: context_lengths.into(),
        opening_contexts: opening_contexts.into(),
        ..full.spec().clone()
    };
    later.set_clips(lengths(&[8, 12], &[4])).unwrap();
    let frames = noise(full.spec(), full.spec().frames_per_clip as usize + 2);
    let clips = [0, 2].map(|start| clip_of(full.spec(), &frames, start));
    let resident = RuntimeOptions { resident: Some(true), ..model_support::options() };
    let scorers: [[Box<dyn FeatureScorer>; 2]; 3] = [
        [Box::new(load(&full)), Box::new(load(&later))],
        [Box::new(load(&full)), Box::new(ort::open(&later, &resident).unwrap())],
        [&full, &later].map(|b| Box::new(Persistence::new(b.spec().clone()).unwrap()) as Box<dyn FeatureScorer>),
    ];
    for [mut full, mut later] in scorers {
        let (full, (later, copied)) = (full.score(&clips).unwrap(), later.score_with_controls(&clips).unwrap());
        for windows in [Some(&later), copied.as_ref().map(|features| &features.copied)].into_iter().flatten() {
            let contexts = |window: &WindowErrors| window.contexts.iter().map(|c| c.context).collect::<Vec<_>>();
            assert_eq!([contexts(&windows[0]), contexts(&windows[1])], [vec![8, 12, 4], vec![8, 12]]);
        }
        let [opening, first, second] = &full[0].contexts[..] else { panic!("three contexts") };
        for (found, expected) in later[0].contexts.iter().zip([first, second, opening]) {
            assert_eq!((found.context, found.first_slot), (expected.context, expected.first_slot));
            // A batch of one is summed in another order than a batch of two.
            let near = |(f, e): (&f32, &f32)| (f - e).abs() <= 1e-5 * e.abs();
            assert!(found.errors.len() == expected.errors.len() && found.errors.iter().zip(&expected.errors).all(near));
        }
    }
    assert!(lengths(&[8, 12], &[3]).check().unwrap_err().to_string().contains("context length 3"));
}

/// Two rows and columns of 4×4 patches, four slots.
fn spec() -> ClipSpec {
    ClipSpec {
        crop_size: 8,
        patch_size: 4,
        tubelet_size: 2,
        frames_per_clip: 8,
        model_fps: 10.0,
        context_lengths: vec![2, 4],
        opening_contexts: Vec::new(),
        horizon: None,
        stride: 2,
        resize: ResizeRule::Squash,
        resize_size: 8,
    }
}

fn jepa<N: Network>(network: N) -> Jepa<N> {
    jepa_of(2.into(), network).unwrap()
}

fn jepa_of<N: Network>(widths: Widths, network: N) -> startle::Result<Jepa<N>> {
    let info = ModelInfo {
        name: "fake".into(),
        sha256: "0".repeat(64),
        family: "fake".into(),
        precision: "exact".into(),
        execution_provider: String::new(),
        frames_per_clip: 8,
        model_fps: 10.0,
        contexts: spec().context_lengths,
        stride: 2,
    };
    // 8-bit 0 becomes −1 and 255 becomes 1.
    Jepa::new(spec(), Normalizer::new([0.5; 3], [0.5; 3]), widths, info, network)
}

/// Tokens are `(s, −s)` with s the mean of the patch, so that the layer norm makes them `(±1, ∓1)`; the predictor
/// expects every token to be as the last context token of its place.
#[derive(Default)]
struct Signs {
    /// `[windows, frames]` of every encode.
    encoded: Vec<[usize; 2]>,
    /// Context and target positions of every prediction.
    asked: Vec<(Array2<i64>, Array2<i64>)>,
}

impl Network for Signs {
    fn encode(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        let (windows, frames, ..) = pixels.dim();
        self.encoded.push([windows, frames]);
        Ok(Array3::from_shape_fn((windows, frames / 2 * 4, 2), |(window, token, feature)| {
            let (slot, row, col) = (token / 4, token % 4 / 2, token % 2);
            let (frames, rows, columns) = (2 * slot..2 * slot + 2, 4 * row..4 * row + 4, 4 * col..4 * col + 4);
            let mean = pixels.slice(s![window, frames, .., rows, columns]).mean().unwrap();
            [mean, -mean][feature]
        }))
    }

    fn predict(&mut self, question: Question<'_>) -> startle::Result<Array3<f32>> {
        self.asked.push((question.context_pos.to_owned(), question.target_pos.to_owned()));
        let (windows, tokens, _) = question.context.dim();
        Ok(Array3::from_shape_fn((windows, question.target_pos.ncols(), 2), |(window, target, feature)| {
            let last = tokens - 4 + question.target_pos[[window, target]] as usize % 4;
            let sign = question.context[[window, last, 0]].signum();
            [sign, -sign][feature]
        }))
    }
}

/// As a model of two depths with the targets of a teacher: contexts have one feature, targets `(m, −m, 10 m, 30 m)` with
/// m the mean of the patch. Layer-normed by depth they are `(±1, ∓1, ∓1, ±1)`, normed as a whole they are not.
struct Depths;

impl Network for Depths {
    fn encode(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        Ok(Signs::default().encode(pixels)?.slice(s![.., .., ..1]).to_owned())
    }

    fn encode_target(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        Ok(self.encode(pixels)? * array![1.0, -1.0, 10.0, 30.0])
    }

    fn predict(&mut self, question: Question<'_>) -> startle::Result<Array3<f32>> {
        let (windows, targets) = question.target_pos.dim();
        assert_eq!(question.context.dim(), (windows, question.context_pos.ncols(), 1));
        // Right in the first depth, and without a guess in the second.
        Ok(Array3::zeros((windows, targets, 4)) + array![-1.0, 1.0, 0.0, 0.0])
    }
}

/// Black frames; the patch at row 1, column 0 is white in frames 4 and 5 (slot 2).
fn blink() -> Frames {
    let mut frames = vec![vec![0_u8; 8 * 8 * 3]; 8];
    for frame in &mut frames[4..6] {
        for y in 4..8 {
            frame[y * 24..y * 24 + 12].fill(255);
        }
    }
    frames
}

#[test]
fn each_depth_of_a_target_is_normed_by_itself() {
    let widths = Widths { target: 4, context: 1, levels: 2 };
    let mut model = jepa_of(widths, Depths).unwrap();
    let scored = model.score(&[clip_of(&spec(), &vec![vec![0; 192]; 8], 0)]).unwrap();
    // Black is −1: the target is (−1, 1, 1, −1), and the second half of it was missed by 1 each.
    for context in &scored[0].contexts {
        assert!(context.errors.iter().all(|e| (e - 0.5).abs() < 1e-4), "{:?}", context.errors);
    }
    let whole = jepa_of(Widths { levels: 1, ..widths }, Depths).unwrap().score(&[clip_of(&spec(), &blink(), 0)]);
    assert!(
        whole.unwrap()[0].contexts[0].errors.iter().all(|e| (e - 0.5).abs() > 0.05),
        "depths mix when normed as one"
    );
    let refused = jepa_of(Widths { levels: 3, ..widths }, Depths).err().unwrap().to_string();
    assert!(refused.contains("features.levels 3 does not divide features.dim 4"), "{refused}");
}

#[test]
fn the_protocol_on_a_network_with_known_answers() {
    let mut model = jepa(Signs::default());
    let (blink, still) = (clip_of(&spec(), &blink(), 0), clip_of(&spec(), &vec![vec![0; 192]; 8], 0));
    let scored = model.score(&[still, blink]).unwrap();
    for context in &scored[0].contexts {
        assert!(context.errors.iter().all(|e| *e < 1e-4), "nothing changes, nothing surprises: {:?}", context.errors);
    }
    let [two, four] = &scored[1].contexts[..] else { panic!("two context lengths") };
    // Predicted slots 1, 2, 3 and 2, 3; the blink is in slot 2, token 2 of 4; black is −1, white 1: |−1 − 1| = 2.
    let expected = |slots: usize, blink: usize| {
        let mut errors = Array2::<f32>::zeros((slots, 4));
        errors[[blink, 2]] = 2.0;
        errors
    };
    for (found, expected) in [(two, expected(3, 1)), (four, expected(2, 0))] {
        let close = found.errors.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-4);
        assert!(close, "{:?} is not {expected:?}", found.errors);
    }
    assert_eq!((two.first_slot, four.first_slot), (1, 2));
    assert!((two.surprise() - 2.0 / 12.0).abs() < 1e-4);
}

#[test]
fn the_copy_of_the_last_slot_comes_from_the_same_pass() {
    let mut model = jepa(Signs::default());
    let clips = [clip_of(&spec(), &blink(), 0), clip_of(&spec(), &vec![vec![0; 192]; 8], 0)];
    let (scored, features) = model.score_with_controls(&clips).unwrap();
    let FeatureControls { copied, path } = features.unwrap();
    assert!(path.is_none(), "no encoder of pictures");
    assert_eq!(model.network().encoded.len(), 3, "one pass: the target and two contexts");
    // This predictor copies the last context token, so the control must come out as the model does.
    for (scored, copied) in scored.iter().zip(&copied) {
        for (scored, copied) in scored.contexts.iter().zip(&copied.contexts) {
            assert_eq!((scored.context, scored.first_slot), (copied.context, copied.first_slot));
            assert!(scored.errors.iter().zip(&copied.errors).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
    let nothing = FeatureControls { copied: Vec::new(), path: None };
    assert_eq!(model.score_with_controls(&[]).unwrap(), (Vec::new(), Some(nothing)));
    assert!(Persistence::new(spec()).unwrap().score_with_controls(&clips).unwrap().1.is_none());
}

#[test]
fn a_context_is_encoded_alone_and_the_target_once() {
    let mut model = jepa(Signs::default());
    let clip = clip_of(&spec(), &blink(), 0);
    model.score(&[clip.clone(), clip]).unwrap();
    let network = model.network();
    assert_eq!(network.encoded, [[2, 8], [2, 2], [2, 4]], "the whole windows, then each context alone");
    let twice = |range: std::ops::Range<i64>| {
        Array2::from_shape_fn((2, range.clone().count()), |(_, at)| range.start + at as i64)
    };
    assert_eq!(network.asked[0], (twice(0..4), twice(4..16)));
    assert_eq!(network.asked[1], (twice(0..8), twice(8..16)));
}

/// What is given where an array of such a shape was due.
type Answer = fn([usize; 3]) -> Array3<f32>;

/// Gives what it is told, whatever it is asked.
struct Broken {
    tokens_per_frame_pair: usize,
    prediction: Answer,
}

impl Network for Broken {
    fn encode(&mut self, pixels: Pixels<'_>) -> startle::Result<Array3<f32>> {
        let (windows, frames, ..) = pixels.dim();
        Ok(Array3::ones((windows, frames / 2 * self.tokens_per_frame_pair, 2)))
    }

    fn predict(&mut self, question: Question<'_>) -> startle::Result<Array3<f32>> {
        let (windows, targets) = question.target_pos.dim();
        Ok((self.prediction)([windows, targets, 2]))
    }
}

#[test]
fn numbers_that_can_not_be_are_errors_that_name_the_graph() {
    let clip = clip_of(&spec(), &blink(), 0);
    let cases: [(usize, Answer, &str); 3] = [
        (4, |due| Array3::from_elem(due, f32::NAN), "a surprise of NaN"),
        (
            4,
            |[b, n, d]| Array3::zeros((b, n - 1, d)),
            "the predictor gave an array of [1, 11, 2] where [1, 12, 2] was due",
        ),
        (3, |due| Array3::zeros(due), "the target encoder gave an array of [1, 12, 2] where [1, 16, 2] was due"),
    ];
    for (tokens_per_frame_pair, prediction, text) in cases {
        let error = jepa(Broken { tokens_per_frame_pair, prediction }).score(std::slice::from_ref(&clip)).unwrap_err();
        assert!(matches!(error, Error::Inference(_)) && error.to_string().contains(text), "{error}");
    }
}
