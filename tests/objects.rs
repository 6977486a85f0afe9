//! Models of objects: every stage against PyTorch, one state a stream, and events that say what they are.
//!
//! Needs ONNX Runtime (`make test` sets it up); without it these tests fail and say so.

#[path = "painted/camera.rs"]
mod cameras;
#[path = "objects/film.rs"]
mod film;
mod model_support;
mod painted;

use film::{Film, clips, job, run};
use model_support::{bundle, npy_f32, options};
use ndarray::{Array, Array2, Array3, ArrayView, ArrayView2, ArrayView4, Axis, Dimension};
use startle::Result;
use startle::clip::Clip;
use startle::media::FrameSource;
use startle::model::objects::{ObjectJepa, ObjectNetwork, Percepts, Step};
use startle::model::ort::{self, OrtObjects, objects_on, open_objects};
use startle::model::tensor::noise_frames;
use startle::model::{Scorer, WindowErrors};
use startle::pipeline::{Copies, Job};
use startle::record::PartKind;
use startle::surprise::{Baseline, CurveKey, Learner};
use startle::units::Stop;
use startle::watch::engine::{CameraId, News, Options, Pace, Phase, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn network() -> OrtObjects {
    OrtObjects::open(&bundle("tiny-object"), &options()).unwrap_or_else(|e| panic!("this test needs ONNX Runtime: {e}"))
}

fn model() -> ObjectJepa<OrtObjects> {
    open_objects(&bundle("tiny-object"), &options()).unwrap()
}

fn close<D: Dimension>(what: &str, found: &Array<f32, D>, expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().map(|v| v.abs()).fold(1e-9, f32::max);
    let worst = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max) / scale;
    println!("{what}: relative difference {worst:.1e}");
    assert!(worst <= 1e-4, "{what}: relative difference {worst:.1e}");
}

#[test]
fn every_stage_equals_pytorch() {
    let (bundle, mut network) = (bundle("tiny-object"), network());
    let (objects, count) = (bundle.manifest().things().unwrap(), bundle.spec().frames_per_clip as usize);
    let mut pixels = Vec::new();
    for rgb in noise_frames(bundle.spec(), 1) {
        bundle.normalizer().append(&rgb, &mut pixels);
    }
    let golden = |name: &str| npy_f32(&format!("golden/tiny-object/{name}.npy"));
    let side = bundle.spec().crop_size as usize;
    let seen = network.see(ArrayView::from_shape((count, 3, side, side), &pixels).unwrap()).unwrap();
    close("tokens", &seen.tokens, &golden("tokens"));
    close("maps", &seen.maps, &golden("maps"));
    let (mut state, mut steps) = (Array2::zeros((1, objects.state)), Vec::new());
    for at in 0..count {
        let of_picture = |tokens: &Percepts| Percepts {
            tokens: tokens.tokens.select(Axis(0), &[at]),
            maps: tokens.maps.select(Axis(0), &[at]),
        };
        let step = network.step(state.view(), &of_picture(&seen)).unwrap();
        state.clone_from(&step.next_state);
        steps.push(step);
    }
    let all = Step::join(steps).unwrap();
    close("states", &all.next_state, &golden("next_state"));
    close("energies", &all.energy, &golden("energy"));
    close("expected things", &all.expected, &golden("expected"));
    close("seen things", &all.seen, &golden("seen"));
    let (outcome, provider) = ort::verify(&bundle, &options()).unwrap();
    assert!(outcome.passed() && outcome.0.len() == 3 + objects.parts.len(), "{outcome:?}");
    assert_eq!(provider, "CPUExecutionProvider");
}

/// Everything that a window says, to the bit.
fn bits(windows: &[WindowErrors]) -> Vec<String> {
    windows.iter().map(|window| format!("{window:?}")).collect()
}

#[test]
fn numbers_do_not_depend_on_who_shares_a_call() {
    let films: Vec<Vec<Clip>> =
        (0..5_usize).map(|stream| clips(&Film::flying(stream as f32 * 0.1), 30, stream)).collect();
    let alone: Vec<Vec<String>> = films
        .iter()
        .map(|film| {
            let mut model = model();
            film.iter().flat_map(|clip| bits(&model.score(std::slice::from_ref(clip)).unwrap())).collect()
        })
        .collect();
    // A file: many pictures of one stream at once.
    for batch in [2, 7, 64] {
        let mut model = model();
        let found: Vec<String> = films[1].chunks(batch).flat_map(|some| bits(&model.score(some).unwrap())).collect();
        assert_eq!(found, alone[1], "{batch} at a time");
    }
    // Cameras: each call has some clips of each; with several copies of the graphs, too.
    for copies in [1, 3] {
        let network = Copies::new(copies, || Ok(network())).unwrap();
        let mut model = objects_on(&bundle("tiny-object"), network).unwrap();
        let mut found: Vec<Vec<String>> = vec![Vec::new(); films.len()];
        for at in (0..films[0].len()).step_by(2) {
            let call: Vec<Clip> = films.iter().flat_map(|film| film[at..(at + 2).min(film.len())].to_vec()).collect();
            for (clip, window) in call.iter().zip(bits(&model.score(&call).unwrap())) {
                found[clip.stream].push(window);
            }
        }
        assert_eq!(found, alone, "{copies} copies");
    }
}

/// Counts what is looked at.
struct Counting(OrtObjects, Arc<AtomicUsize>, Arc<AtomicUsize>);

impl ObjectNetwork for Counting {
    fn see(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Percepts> {
        self.1.fetch_add(pictures.dim().0, Ordering::Relaxed);
        self.0.see(pictures)
    }
    fn step(&mut self, states: ArrayView2<'_, f32>, percepts: &Percepts) -> Result<Step> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.0.step(states, percepts)
    }
}

#[test]
fn each_picture_is_encoded_once_and_streams_step_together() {
    let (seen, steps): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let network = Counting(network(), Arc::clone(&seen), Arc::clone(&steps));
    let mut model = objects_on(&bundle("tiny-object"), network).unwrap();
    let films: Vec<Vec<Clip>> = (0..3).map(|stream| clips(&Film::flying(0.0), 20, stream)).collect();
    for at in 0..films[0].len() {
        let call: Vec<Clip> = films.iter().map(|film| film[at].clone()).collect();
        model.score(&call).unwrap();
    }
    assert_eq!((seen.load(Ordering::Relaxed), steps.load(Ordering::Relaxed)), (60, 20));
    assert_eq!(model.streams(), 3);
    model.forget(1);
    assert_eq!(model.streams(), 2);
}

#[test]
fn what_does_not_follow_begins_anew() {
    let film = clips(&Film::flying(0.0), 40, 0);
    let fresh = |clip: &Clip| bits(&model().score(std::slice::from_ref(clip)).unwrap());
    let mut model = model();
    model.score(&film[..10]).unwrap();
    // Clips 10 to 13 were dropped.
    assert_eq!(bits(&model.score(&film[14..15]).unwrap()), fresh(&film[14]));
    // The same pictures again are not what comes next.
    assert_eq!(bits(&model.score(&film[14..15]).unwrap()), fresh(&film[14]));
    // A stream that was forgotten.
    model.score(&film[..5]).unwrap();
    model.forget(0);
    assert_eq!(bits(&model.score(&film[5..6]).unwrap()), fresh(&film[5]));
    // The same camera at a slower rate is another stream.
    model.score(&film[..5]).unwrap();
    let slower = Clip { frame_step: 2, ..film[5].clone() };
    assert_eq!(bits(&model.score(&[slower]).unwrap()), fresh(&film[5]));
    assert_ne!(bits(&model.score(&film[5..6]).unwrap()), fresh(&film[5]), "the state has no bearing");
}

/// Says what can't be.
struct Broken(OrtObjects, Fault);

type Fault = fn(&mut Step);

impl ObjectNetwork for Broken {
    fn see(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Percepts> {
        self.0.see(pictures)
    }
    fn step(&mut self, states: ArrayView2<'_, f32>, percepts: &Percepts) -> Result<Step> {
        let mut step = self.0.step(states, percepts)?;
        (self.1)(&mut step);
        Ok(step)
    }
}

#[test]
fn numbers_that_can_not_be_stop_at_the_gate() {
    let film = clips(&Film::flying(0.0), 9, 0);
    let faults: [(Fault, &str); 4] = [
        (|step| step.energy[[0, 0, 3]] = f32::NAN, "NaN"),
        (|step| step.energy[[0, 0, 3]] = -1.0, "-1"),
        (|step| step.seen[[0, 0, 1]] = f32::INFINITY, "not finite"),
        (|step| step.expected = Array3::zeros((1, 5, 13)), "[1, 5, 13] where [1, 8, 13] was due"),
    ];
    for (fault, words) in faults {
        let mut model = objects_on(&bundle("tiny-object"), Broken(network(), fault)).unwrap();
        let error = model.score(&film).unwrap_err().to_string();
        assert!(error.starts_with("inference failed") && error.contains(words), "{error}");
    }
}

#[test]
fn events_say_what_they_are() {
    use PartKind::{Colour, Missing, Moved, New};
    let red = |x, y| Some((x, y, [230, 40, 40]));
    let cases: [(&str, PartKind, Film); 4] = [
        (
            "A red box expected in mid-picture was not seen.",
            Missing,
            Film::of(move |t| if t < 8.0 { red(0.5, 0.5) } else { None }),
        ),
        (
            "A red box appeared at the upper left that nothing led to.",
            New,
            Film::of(move |t| if t < 8.0 { None } else { red(0.2, 0.2) }),
        ),
        (
            "A red box expected at the upper left was at the lower right.",
            Moved,
            Film::of(move |t| if t < 8.0 { red(0.2, 0.2) } else { red(0.8, 0.8) }),
        ),
        (
            "A box in mid-picture came out blue instead of red.",
            Colour,
            Film::of(move |t| Some((0.5, 0.5, if t < 8.0 { [230, 40, 40] } else { [40, 60, 230] }))),
        ),
    ];
    for (sentence, kind, film) in cases {
        let report = run(film, 240, &mut model(), None);
        let [event] = &report.events[..] else { panic!("{sentence}: {:?}", report.events) };
        let what = event.what.as_ref().unwrap();
        assert_eq!((what.kind, what.sentence.as_str()), (kind, sentence));
        assert!((event.onset_s - 8.0).abs() <= 0.11, "{sentence}: onset at {}", event.onset_s);
        assert!((8.0..80.0).contains(&event.z), "{sentence}: z of {}", event.z);
        assert_eq!((what.expected.is_none(), what.seen.is_none()), (kind == New, kind == Missing), "{what:?}");
        let about = what.seen.as_ref().or(what.expected.as_ref()).unwrap();
        assert_eq!((event.place, about.colour.as_str()), (about.place, if kind == Colour { "blue" } else { "red" }));
        let middle = [f32::midpoint(event.place[0], event.place[2]), f32::midpoint(event.place[1], event.place[3])];
        let hottest = event.heat.values.iter().copied().fold(0.0, f32::max);
        let cell = (middle[1] as usize / 4) * 8 + middle[0] as usize / 4;
        // What jumped is hot where it was and where it is.
        assert!(event.heat.grid == 8 && event.heat.values[cell] > 0.9 * hottest, "{sentence}: {:?}", event.heat);
    }
}

#[test]
fn the_curve_begins_after_the_warm_up_and_does_not_depend_on_the_batch() {
    let film = || Film::flying(0.0);
    let curve = |batch: usize| {
        let mut job = job(film(), 120);
        job.config.resolved.batch = batch;
        startle::pipeline::analyze(job, &mut model(), &mut []).unwrap()
    };
    let (one, many) = (curve(1), curve(16));
    assert_eq!((&one.curve, &one.sights), (&many.curve, &many.sights));
    assert_eq!(one.curve.len(), 60 - 8);
    assert!((one.curve[0].t_s - 0.85).abs() < 1e-6, "{}", one.curve[0].t_s);
    assert_eq!(one.sights.len(), one.curve.len());
    let [x0, y0, x1, y1] = one.sights[0].boxes[0];
    assert!(x0 < x1 && y0 < y1 && x1 <= 32 && y1 <= 32);
}

#[test]
fn a_baseline_ranks_each_part_and_keeps_its_promise() {
    let model = || open_objects(&bundle("tiny-object"), &options()).unwrap();
    let mut learner = Learner::new(bundle("tiny-object").spec());
    for (video, phase) in [0.0, 0.3, 0.5, 0.7, 0.9, 1.1].into_iter().enumerate() {
        let film = clips(&Film::flying(phase), 150, 0);
        for (clip, window) in film.iter().zip(model().score(&film).unwrap()) {
            learner.push(video, clip, &window);
        }
    }
    let footing = learner.footing(false);
    assert!(footing.is_by_parts());
    let runs = learner.runs(&footing, 0.06);
    assert_eq!((runs.len(), runs[0].len()), (6, 142));
    let sha256 = bundle("tiny-object").sha256().to_owned();
    let key = CurveKey { model_sha256: sha256, stride: 1, top_fraction: 0.06 };
    let baseline = Baseline::learn(key.clone(), footing, &runs, 0.1, "flying".into()).unwrap();
    let again = Baseline::from_json(&baseline.to_json().unwrap()).unwrap();
    assert_eq!(again, baseline);
    let other = CurveKey { model_sha256: "another".into(), ..key };
    assert!(again.check_key(&other).unwrap_err().to_string().contains("another model"));
    // What is usual there has small ranks, a vanishing has one beyond all that was seen.
    let usual = run(Film::flying(0.2), 240, &mut model(), Some(&again));
    let gone = run(Film::of(|t| (t < 8.0).then(|| Film::flight(t, 0.2))), 240, &mut model(), Some(&again));
    let most = |report: &startle::record::Report| report.curve.iter().map(|p| p.surprise).fold(0.0, f32::max);
    assert!(most(&gone) > 1.5 * most(&usual), "{} {}", most(&gone), most(&usual));
    assert_eq!(gone.events.iter().filter_map(|e| e.what.as_ref()).map(|w| w.kind).next(), Some(PartKind::Missing));
}

#[test]
fn cameras_share_the_model_agree_with_files_and_leave_nothing_behind() {
    let teleports = [160, 100, 200];
    let source = |at, stop| cameras::painted(240, at, Duration::ZERO, cameras::Ending::End, stop);
    let watched = teleports.map(|at| cameras::camera(Pace::Model, move |_, stop| Ok(source(at, stop))));
    let (mut model, mut curves, mut events) = (model(), vec![Vec::new(); 3], vec![Vec::new(); 3]);
    watch(cameras::numbered(watched.into()), &mut model, &Options::new(Stop::new()), |camera: CameraId, news: News| {
        match news {
            News::Moment(moment) => curves[camera.number() as usize].push(moment.point),
            News::Incident(incident) if incident.phase == Phase::Over => {
                events[camera.number() as usize].push(incident.event);
            }
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(model.streams(), 0, "what was kept of cameras that have ended");
    for ((at, curve), events) in teleports.into_iter().zip(curves).zip(events) {
        let open = move || -> Result<Box<dyn FrameSource>> { Ok(Box::new(source(at, Stop::new()))) };
        let file = startle::pipeline::analyze(
            Job { open: Box::new(open), ..job(Film::flying(0.0), 1) },
            &mut self::model(),
            &mut [],
        )
        .unwrap();
        assert_eq!(curve, file.curve, "a camera and a file of the same pictures differ");
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.what.as_ref().map(|what| what.kind), Some(PartKind::Moved));
        assert_eq!((event.onset_s, &event.what), (file.events[0].onset_s, &file.events[0].what));
    }
}

#[test]
fn a_connection_that_comes_back_begins_a_new_stream() {
    // Each connection shows the square elsewhere: across the break it would be a jump.
    let stop = Stop::new();
    let away = cameras::camera(Pace::Live, move |n, stop| {
        let teleport = if n % 2 == 0 { 10_000 } else { 0 };
        Ok(cameras::painted(120, teleport, Duration::from_micros(500), cameras::Ending::Error, stop))
    });
    let mut model = model();
    let heard = cameras::run(vec![away], &mut model, &cameras::options(&stop), |h| h[0].reconnects >= 3);
    assert!(heard[0].points > 20 && heard[0].events.is_empty(), "{} {:?}", heard[0].points, heard[0].events);
    assert_eq!(model.streams(), 0);
}
