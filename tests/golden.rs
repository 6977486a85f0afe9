//! Every stage against the PyTorch reference: `tests/data/golden`, made by `python -m startle_models.golden`.
//!
//! Needs ONNX Runtime (`make test` sets it up); without it these tests fail and say so.

mod model_support;

use model_support::{Frames, bundle, clip_of, data, golden, load, network, npy_f32, npy_u8, options};
use ndarray::{Array2, Array3, ArrayView};
use startle::clip::{ClipSpec, Resizer, ticks_shown};
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::parse;
use startle::media::{FrameSource, Picture, Step};
use startle::model::bundle::ModelBundle;
use startle::model::jepa::{Network, Question};
use startle::model::ort::{self, OrtNetwork, RuntimeOptions};
use startle::model::tensor::{Pixels, noise_frames};
use startle::model::{FeatureScorer, Scorer};

const BUNDLES: [&str; 2] = ["tiny-random", "tiny-target"];

/// The largest relative difference, relative to the largest expected value (a feature near zero has no scale of its
/// own).
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
    let worst = found.iter().zip(expected).map(|(f, e)| f64::from((f - e).abs())).fold(0.0, f64::max);
    worst / scale
}

fn flat(errors: &Array2<f32>) -> Vec<f32> {
    errors.iter().copied().collect()
}

fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f64) {
    let difference = relative(found, expected);
    println!("{what}: relative difference {difference:.2e} (allowed {tolerance:.0e})");
    assert!(difference <= tolerance, "{what}: relative difference {difference:.2e}, allowed {tolerance:.0e}");
}

/// The pixels of window 0, normalised by Rust.
fn input(bundle: &ModelBundle, frames: &Frames) -> Vec<f32> {
    let mut pixels = Vec::new();
    let normalizer = bundle.normalizer();
    for frame in &frames[..bundle.spec().frames_per_clip as usize] {
        normalizer.append(frame, &mut pixels);
    }
    pixels
}

fn batch<'a>(spec: &ClipSpec, pixels: &'a [f32], frames: u32) -> Pixels<'a> {
    let (frames, side) = (frames as usize, spec.crop_size as usize);
    ArrayView::from_shape((1, frames, 3, side, side), &pixels[..frames * 3 * side * side]).unwrap()
}

fn range(range: std::ops::Range<usize>) -> Array2<i64> {
    Array2::from_shape_fn((1, range.len()), |(_, token)| i64::try_from(range.start + token).unwrap())
}

#[test]
fn pixels_are_normalised_exactly() {
    for name in BUNDLES {
        let bundle = bundle(name);
        let pixels = input(&bundle, &golden(name).pixels);
        assert!(pixels == npy_f32(&format!("golden/{name}/input.npy")), "{name}: normalised pixels differ");
    }
}

#[test]
fn every_stage_equals_the_reference() {
    for name in BUNDLES {
        let (bundle, golden) = (bundle(name), golden(name));
        let spec = bundle.spec();
        let mut network = network(&bundle);
        let pixels = input(&bundle, &golden.pixels);
        let context = golden.stage_context;
        let file = |stage: &str| npy_f32(&format!("golden/{name}/{stage}.npy"));

        let flat = |array: &Array3<f32>| array.iter().copied().collect::<Vec<f32>>();
        let whole = network.encode_target(batch(spec, &pixels, spec.frames_per_clip)).unwrap();
        assert_close(&format!("{name}: tokens of the whole window"), &flat(&whole), &file("whole_tokens"), 1e-5);
        let tokens = network.encode(batch(spec, &pixels, context)).unwrap();
        let expected = file(&format!("context_c{context}"));
        assert_close(&format!("{name}: tokens of the context"), &flat(&tokens), &expected, 1e-5);

        let (slots, area) = (spec.target_slots(context), spec.tokens_per_slot());
        let (seen, wanted) = (range(0..slots.start * area), range(slots.start * area..slots.end * area));
        let question = Question { context: tokens.view(), context_pos: seen.view(), target_pos: wanted.view() };
        let prediction = network.predict(question).unwrap();
        let expected = file(&format!("prediction_c{context}"));
        assert_close(&format!("{name}: prediction"), &flat(&prediction), &expected, 1e-5);
    }
}

#[test]
fn errors_and_window_surprise_equal_the_reference() {
    for name in BUNDLES {
        let (bundle, golden) = (bundle(name), golden(name));
        let spec = bundle.spec();
        let mut model = load(&bundle);
        let clips: Vec<_> = golden.windows.iter().map(|w| clip_of(spec, &golden.pixels, w.start_frame)).collect();
        let scored: Vec<_> = clips.iter().flat_map(|clip| model.score(std::slice::from_ref(clip)).unwrap()).collect();
        for (index, &context) in spec.context_lengths.iter().enumerate() {
            let found: Vec<f32> = scored.iter().flat_map(|w| w.contexts[index].errors.clone()).collect();
            let expected = npy_f32(&format!("golden/{name}/errors_c{context}.npy"));
            assert_close(&format!("{name}: errors, context {context}"), &found, &expected, 1e-5);
        }
        let mut worst = 0.0_f64;
        for (window, expected) in scored.iter().zip(&golden.windows) {
            for found in &window.contexts {
                let expected = expected.surprise[&found.context.to_string()];
                worst = worst.max((found.surprise() - expected).abs() / expected);
            }
        }
        println!("{name}: window surprise, {} windows: relative difference {worst:.2e}", scored.len());
        assert!(worst <= 1e-5, "{name}: window surprise differs by {worst:.2e}");
    }
}

#[test]
fn the_future_does_not_reach_the_context_by_one_bit() {
    let (bundle, golden) = (bundle("tiny-random"), golden("tiny-random"));
    let spec = bundle.spec();
    let context = 8;
    let (spy, seen) = model_support::Spy::new(network(&bundle));
    let mut model = model_support::with_network(&bundle, spy);
    let real = clip_of(spec, &golden.pixels, 0);
    let mut changed_pixels = golden.pixels.clone();
    for frame in &mut changed_pixels[context..] {
        for value in frame.iter_mut() {
            *value = 255 - *value;
        }
    }
    let changed = clip_of(spec, &changed_pixels, 0);
    let mut tokens = Vec::new();
    for clip in [real, changed] {
        seen.borrow_mut().clear();
        model.score(&[clip]).unwrap();
        // Encodes in order: the whole window, then each context alone; 8 is the second of 4, 8, 12.
        tokens.push(seen.borrow().iter().map(|t| t.iter().map(|v| v.to_bits()).collect()).collect::<Vec<Vec<u32>>>());
    }
    let [real, changed] = &tokens[..] else { unreachable!() };
    assert_eq!(spec.context_lengths, [4, 8, 12]);
    assert!(real[0] != changed[0], "the target must see the change");
    assert!(real[1] == changed[1] && real[2] == changed[2], "contexts of 4 and 8 frames must not");
    assert!(real[3] != changed[3], "the context of 12 frames must see it");
    let whole = &real[0][..real[2].len()];
    assert!(whole != &real[2][..], "encoding the whole window and cutting is not the same as encoding the context");
}

#[test]
fn a_batch_equals_its_windows_one_by_one() {
    for name in BUNDLES {
        let (bundle, golden) = (bundle(name), golden(name));
        let mut model = load(&bundle);
        let clips: Vec<_> =
            golden.windows.iter().take(3).map(|w| clip_of(bundle.spec(), &golden.pixels, w.start_frame)).collect();
        let together = model.score(&clips).unwrap();
        for (clip, together) in clips.iter().zip(&together) {
            let alone = model.score(std::slice::from_ref(clip)).unwrap().remove(0);
            for (alone, together) in alone.contexts.iter().zip(&together.contexts) {
                assert_close(&format!("{name}: batch"), &flat(&together.errors), &flat(&alone.errors), 1e-6);
            }
        }
    }
}

#[test]
fn tokens_that_stay_with_the_network_give_the_same_errors() {
    for name in ["tiny-random", "tiny-target", "tiny-levels"] {
        let bundle = bundle(name);
        let spec = bundle.spec();
        let resident = RuntimeOptions { resident: Some(true), ..options() };
        let noise: Frames = noise_frames(spec, 7);
        let clips = [clip_of(spec, &noise, 0), clip_of(spec, &noise_frames(spec, 8), 0)];
        let mut here = load(&bundle);
        let mut there = ort::open(&bundle, &resident).unwrap();
        for clips in [&clips[..], &clips[1..]] {
            let (here, there) = (here.score(clips).unwrap(), there.score(clips).unwrap());
            for (here, there) in here.iter().zip(&there).flat_map(|(h, t)| h.contexts.iter().zip(&t.contexts)) {
                assert_eq!((here.context, here.first_slot), (there.context, there.first_slot));
                assert_close(
                    &format!("{name}, context {}", here.context),
                    &flat(&there.errors),
                    &flat(&here.errors),
                    1e-5,
                );
            }
        }
        assert!(there.inference_seconds() > 0.0);
        let pixels = input(&bundle, &noise);
        let whole = batch(spec, &pixels, spec.frames_per_clip);
        assert!(!network(&bundle).hold_target(whole).unwrap(), "on the CPU tokens come back");
        assert!(OrtNetwork::open(&bundle, &resident).unwrap().hold_target(whole).unwrap());
        // The control that copies needs the tokens themselves.
        let (copied, plain) = (there.score_with_controls(&clips).unwrap(), here.score_with_controls(&clips).unwrap());
        assert_eq!(copied, plain, "{name}");
    }
}

#[test]
fn the_self_tests_of_the_bundles_pass_and_the_provider_is_told() {
    for name in BUNDLES {
        let bundle = bundle(name);
        let mut model = load(&bundle);
        assert_eq!(model.info().execution_provider, "CPUExecutionProvider");
        let outcome = startle::model::self_test::run(&bundle, &mut model).unwrap();
        assert!(outcome.passed(), "{name}: {outcome:?}");
        assert!(model.inference_seconds() > 0.0);
    }
}

#[test]
fn resized_pixels_differ_from_pillow_by_at_most_one_level() {
    let decoded = npy_u8("golden/decoded.npy");
    let (width, height, every) = (102, 72, 13);
    for name in BUNDLES {
        let (bundle, golden) = (bundle(name), golden(name));
        let mut resizer = Resizer::new(bundle.spec());
        let (mut worst, mut total, mut count) = (0_u8, 0_u64, 0_u64);
        for (index, rgb) in decoded.chunks_exact(width * height * 3).enumerate() {
            let frame = index * every;
            if !frame.is_multiple_of(golden.frame_step) {
                continue;
            }
            let picture = Picture::new(width as u32, height as u32, rgb.to_vec());
            let square = resizer.square(&picture).unwrap();
            for (&found, &expected) in square.rgb().iter().zip(&golden.pixels[frame / golden.frame_step]) {
                worst = worst.max(found.abs_diff(expected));
                total += u64::from(found.abs_diff(expected));
                count += 1;
            }
        }
        let mean = total as f64 / count as f64;
        println!("{name}: resize against Pillow: largest difference {worst} levels, mean {mean:.4}");
        assert!(worst <= 1 && mean < 0.2, "{name}: largest {worst}, mean {mean:.4} levels of 255");
    }
}

#[test]
fn an_interrupted_run_is_stopped_and_not_a_failure() {
    let bundle = bundle("tiny-random");
    let mut model = ort::open(&bundle, &options()).unwrap();
    model.network().interrupt().pull();
    let clip = clip_of(bundle.spec(), &golden("tiny-random").pixels, 0);
    assert!(matches!(model.score(&[clip]), Err(startle::Error::Stopped)));
}

/// The model frames of a video, through the whole front: FFmpeg, the model's clock, the resize.
fn decode(file: &str, spec: &ClipSpec) -> Vec<Vec<u8>> {
    let input = parse(data(file).to_str().unwrap()).unwrap().remove(0);
    let mut source = FfmpegSource::open(&input, &OpenOptions::default()).unwrap();
    let mut resizer = Resizer::new(spec);
    let mut frames = Vec::new();
    loop {
        match source.next_step().unwrap() {
            Step::Frame { time, end } => {
                for _ in ticks_shown(spec, time, end) {
                    frames.push(resizer.square(&source.picture().unwrap()).unwrap().rgb().to_vec());
                }
            }
            Step::Gap { reason, .. } => panic!("a gap in {file}: {reason:?}"),
            Step::End => return frames,
        }
    }
}

fn mean_difference(left: &[u8], right: &[u8]) -> f64 {
    left.iter().zip(right).map(|(l, r)| f64::from(l.abs_diff(*r))).sum::<f64>() / left.len() as f64
}

/// From the video file to the surprise. The reference's decoder (`av` of `PyPI`) makes RGB with swscale's defaults, which repeat
/// the half-size colour planes and round roughly; startle interpolates them and rounds exactly. That shows at coloured
/// edges, and what it does to the pixels and to the surprise is stated here.
#[test]
fn from_the_video_file_to_the_surprise() {
    for name in BUNDLES {
        let (bundle, golden) = (bundle(name), golden(name));
        let spec = bundle.spec();
        let frames = decode("golden/clip.mp4", spec);
        assert_eq!(frames.len(), golden.pixels.len(), "{name}: model frames");
        // The disc leaves the picture in the last quarter; until then no two frames are alike.
        for (index, frame) in frames.iter().take(frames.len() * 3 / 4).enumerate() {
            let distances = golden.pixels.iter().map(|expected| mean_difference(frame, expected));
            let nearest = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            assert_eq!(nearest.map(|(at, _)| at), Some(index), "{name}: frame {index} is another frame");
        }
        let mean = mean_difference(&frames.concat(), &golden.pixels.concat());
        let clips: Vec<_> = golden.windows.iter().map(|w| clip_of(spec, &frames, w.start_frame)).collect();
        let scored = load(&bundle).score(&clips).unwrap();
        let mut surprise = 0.0_f64;
        for (window, expected) in scored.iter().zip(&golden.windows) {
            for found in &window.contexts {
                let expected = expected.surprise[&found.context.to_string()];
                surprise = surprise.max((found.surprise() - expected).abs() / expected);
            }
        }
        println!("{name}: from the file: pixels differ by {mean:.2} levels on average, the surprise by {surprise:.1e}");
        assert!(mean < 2.5, "{name}: pixels differ by {mean:.2} levels on average");
        assert!(surprise < 2e-2, "{name}: surprise differs by {surprise:.1e}");
    }
}
