//! The whole engine over painted scenes with known answers: no files, no weights.

mod painted;

use painted::{FPS, SIDE, info, spec};
use startle::clip::{Clip, ClipSpec};
use startle::media::{FrameSource, GapReason, Picture, Step, VideoInfo};
use startle::model::persistence::Persistence;
use startle::model::{ModelInfo, Scorer, WindowErrors};
use startle::pipeline::{DetectionSettings, Job, analyze};
use startle::record::{Asked, Report, Resolved, RunConfig, RunEvent, Sink};
use startle::surprise::{EventRules, ThresholdRule};
use startle::units::{MediaTime, Stop};
use startle::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the painter does at a frame.
type Script = Box<dyn Fn(usize) -> Option<Step> + Send>;

/// A bright square that stands still at `place(frame)`.
struct Painted {
    info: VideoInfo,
    frames: usize,
    next: usize,
    shown: usize,
    gap_told: bool,
    place: Box<dyn Fn(usize) -> (u32, u32) + Send>,
    script: Script,
    decoded: Arc<AtomicUsize>,
}

impl Painted {
    fn new(frames: usize, place: impl Fn(usize) -> (u32, u32) + Send + 'static) -> Self {
        let info = info(Some(frames as f64 / FPS as f64));
        Self {
            info,
            frames,
            next: 0,
            shown: 0,
            gap_told: false,
            place: Box::new(place),
            script: Box::new(|_| None),
            decoded: Arc::default(),
        }
    }

    fn with_script(mut self, script: impl Fn(usize) -> Option<Step> + Send + 'static) -> Self {
        self.script = Box::new(script);
        self
    }
}

fn time(frame: usize) -> MediaTime {
    MediaTime::from_nanos(frame as i64 * 1_000_000_000 / FPS)
}

impl FrameSource for Painted {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_step(&mut self) -> Result<Step> {
        if self.next == self.frames {
            return Ok(Step::End);
        }
        if !self.gap_told
            && let Some(step) = (self.script)(self.next)
        {
            self.gap_told = true;
            return Ok(step);
        }
        self.gap_told = false;
        self.shown = self.next;
        self.next += 1;
        self.decoded.fetch_add(1, Ordering::Relaxed);
        Ok(Step::Frame { time: time(self.shown), end: time(self.shown + 1) })
    }

    fn picture(&mut self) -> Result<Picture> {
        let (x0, y0) = (self.place)(self.shown);
        let rgb = (0..SIDE * SIDE).flat_map(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            let inside = (x0..x0 + 8).contains(&x) && (y0..y0 + 8).contains(&y);
            [if inside { 240 } else { 40 }; 3]
        });
        Ok(Picture::new(SIDE, SIDE, rgb.collect()))
    }

    fn frames_decoded(&self) -> u64 {
        self.next as u64
    }
}

fn job<'a>(source: Painted, stop: &Stop) -> Job<'a> {
    let asked = Asked {
        stride: 2,
        top_fraction: 0.06,
        scene_cuts: true,
        baseline: "self".into(),
        threshold: "z ≥ 8".into(),
        merge_s: 0.5,
        ..Asked::default()
    };
    let config =
        RunConfig { asked, resolved: Resolved { device: "cpu".into(), threads: 1, batch: 3, ..Resolved::default() } };
    Job {
        path: "painted".into(),
        sha256: None,
        open: Box::new(move || Ok(Box::new(source))),
        detection: DetectionSettings {
            top_fraction: 0.06,
            rules: EventRules {
                rule: ThresholdRule::Z { high: 8.0, low: 4.0 },
                merge: MediaTime::from_nanos(500_000_000),
                min_duration: MediaTime::ZERO,
                cool_down: MediaTime::ZERO,
            },
        },
        baseline: None,
        config,
        stop: stop.clone(),
    }
}

fn run(source: Painted) -> Result<Report> {
    analyze(job(source, &Stop::new()), &mut Persistence::new(spec()).unwrap(), &mut [])
}

#[test]
fn an_object_that_teleports_is_one_event_at_its_time_and_place() {
    let report = run(Painted::new(240, |f| if f < 160 { (0, 0) } else { (16, 8) })).unwrap();
    assert_eq!(report.events.len(), 1, "{:?}", report.events);
    let event = &report.events[0];
    assert!((event.peak_s - 8.0).abs() <= 0.2, "peak at {}", event.peak_s);
    assert!(event.onset_s <= event.peak_s && event.peak_s <= event.end_s);
    let [x0, y0, x1, y1] = event.place;
    let covers = |px: f32, py: f32| x0 <= px && px <= x1 && y0 <= py && py <= y1;
    assert!(covers(4.0, 4.0) || covers(20.0, 12.0), "place {:?}", event.place);
    assert_eq!(event.heat.values.len(), 16);
    assert!(!event.thumbnail.is_empty());
    assert!(report.curve.windows(2).all(|p| p[0].t_s < p[1].t_s));
    assert_eq!(report.input.frames_decoded, 240);
    assert!(!report.truncated);
}

#[test]
fn a_still_scene_has_no_event() {
    let report = run(Painted::new(200, |_| (8, 8))).unwrap();
    assert!(report.events.is_empty());
    assert!(report.curve.iter().all(|p| p.surprise.abs() < 1e-5));
}

#[test]
fn no_clip_crosses_a_gap_and_a_gap_is_no_event() {
    let source = Painted::new(240, |f| if f < 160 { (0, 0) } else { (16, 8) }).with_script(|frame| {
        (frame == 160).then(|| Step::Gap { start: time(160), end: time(160), reason: GapReason::TimestampGap })
    });
    let report = run(source).unwrap();
    assert!(report.events.is_empty(), "{:?}", report.events);
    assert_eq!(report.input.gaps.len(), 1);
    let context = 0.4;
    assert!(report.curve.iter().all(|p| p.t_s < 8.0 || p.t_s > 8.0 + context), "a slot was predicted across the gap");
}

#[test]
fn a_video_shorter_than_a_clip_says_so() {
    let report = run(Painted::new(8, |_| (0, 0))).unwrap();
    assert!(report.curve.is_empty());
    assert!(report.warnings.iter().any(|w| w.contains("0.80 s")), "{:?}", report.warnings);
}

#[test]
fn the_same_video_gives_the_same_numbers_whatever_the_batch() {
    let curve = |batch| {
        let source = Painted::new(200, |f| ((f as u32 / 4) % 24, 8));
        let mut job = job(source, &Stop::new());
        job.config.resolved.batch = batch;
        analyze(job, &mut Persistence::new(spec()).unwrap(), &mut []).unwrap().curve
    };
    assert_eq!(curve(1), curve(7));
}

/// A scorer that misbehaves.
struct Odd<F>(Persistence, F);

impl<F: FnMut(usize) -> Result<()>> Scorer for Odd<F> {
    fn spec(&self) -> &ClipSpec {
        self.0.spec()
    }
    fn info(&self) -> ModelInfo {
        self.0.info()
    }
    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        (self.1)(clips.len())?;
        self.0.score(clips)
    }
}

#[test]
fn a_slow_model_holds_the_decoder_back() {
    let source = Painted::new(4000, |_| (0, 0));
    let decoded = Arc::clone(&source.decoded);
    let mut most_ahead = 0;
    let mut scored = 0;
    let mut scorer = Odd(Persistence::new(spec()).unwrap(), |clips: usize| {
        scored += clips;
        std::thread::sleep(Duration::from_micros(300));
        // A clip every 2 model frames = 4 source frames.
        most_ahead = most_ahead.max(decoded.load(Ordering::Relaxed).saturating_sub(scored * 4));
        Ok(())
    });
    analyze(job(source, &Stop::new()), &mut scorer, &mut []).unwrap();
    assert!(most_ahead < 120, "the decoder ran {most_ahead} frames ahead");
}

#[test]
fn a_fault_of_the_model_is_the_error_not_its_echo() {
    let mut calls = 0;
    let mut failing = Odd(Persistence::new(spec()).unwrap(), |_| {
        calls += 1;
        if calls == 3 { Err(Error::Inference("the graph broke".into())) } else { Ok(()) }
    });
    let error = analyze(job(Painted::new(4000, |_| (0, 0)), &Stop::new()), &mut failing, &mut []).unwrap_err();
    assert_eq!(error.to_string(), "inference failed: the graph broke");

    let mut panicking = Odd(Persistence::new(spec()).unwrap(), |_| panic!("on purpose"));
    let error = analyze(job(Painted::new(4000, |_| (0, 0)), &Stop::new()), &mut panicking, &mut []).unwrap_err();
    assert!(error.to_string().contains("score") && error.to_string().contains("on purpose"), "{error}");
}

#[test]
fn an_input_that_cannot_be_opened_is_that_error() {
    let job = Job {
        open: Box::new(|| Err(Error::input("x.mp4", "no such file"))),
        ..job(Painted::new(1, |_| (0, 0)), &Stop::new())
    };
    let error = analyze(job, &mut Persistence::new(spec()).unwrap(), &mut []).unwrap_err();
    assert_eq!(error.to_string(), "x.mp4: no such file");
}

#[test]
fn a_decode_error_part_way_keeps_what_was_good() {
    struct Breaks(Painted);
    impl FrameSource for Breaks {
        fn info(&self) -> &VideoInfo {
            self.0.info()
        }
        fn next_step(&mut self) -> Result<Step> {
            if self.0.next == 100 { Err(Error::input("painted", "the disk went away")) } else { self.0.next_step() }
        }
        fn picture(&mut self) -> Result<Picture> {
            self.0.picture()
        }
        fn frames_decoded(&self) -> u64 {
            self.0.frames_decoded()
        }
    }
    let source = Breaks(Painted::new(200, |_| (0, 0)));
    let job = Job { open: Box::new(move || Ok(Box::new(source))), ..job(Painted::new(1, |_| (0, 0)), &Stop::new()) };
    let report = analyze(job, &mut Persistence::new(spec()).unwrap(), &mut []).unwrap();
    assert!(report.truncated && !report.curve.is_empty());
    assert!(report.warnings.iter().any(|w| w.contains("the disk went away")));
}

/// Pulls the stop after some points.
struct StopAfter(usize, Stop);

impl Sink for StopAfter {
    fn record(&mut self, event: &RunEvent<'_>) -> Result<()> {
        if matches!(event, RunEvent::Point(_)) {
            self.0 = self.0.saturating_sub(1);
            if self.0 == 0 {
                self.1.request();
            }
        }
        Ok(())
    }
}

#[test]
fn a_stop_leaves_a_valid_truncated_report_soon() {
    let stop = Stop::new();
    let mut sink = StopAfter(10, stop.clone());
    let started = Instant::now();
    let source = Painted::new(2_000_000_000, |_| (0, 0));
    let report = analyze(job(source, &stop), &mut Persistence::new(spec()).unwrap(), &mut [&mut sink]).unwrap();
    assert!(report.truncated && report.curve.len() >= 10);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_sink_that_cannot_write_ends_the_run_with_its_error() {
    struct Full(usize);
    impl Sink for Full {
        fn record(&mut self, _: &RunEvent<'_>) -> Result<()> {
            self.0 += 1;
            if self.0 > 5 { Err(Error::output("curve", std::io::Error::other("disk full"))) } else { Ok(()) }
        }
    }
    let source = Painted::new(1_000_000, |_| (0, 0));
    let error =
        analyze(job(source, &Stop::new()), &mut Persistence::new(spec()).unwrap(), &mut [&mut Full(0)]).unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
}

#[test]
fn slower_rates_share_the_decode_and_give_what_a_run_of_their_own_gives() {
    let source = || {
        Painted::new(400, |f| ((f as u32 / 3) % 24, 8 * u32::from(f > 300))).with_script(|frame| {
            (frame == 90).then(|| Step::Gap { start: time(90), end: time(90), reason: GapReason::TimestampGap })
        })
    };
    let decoded = source();
    let counter = Arc::clone(&decoded.decoded);
    let mut shared = job(decoded, &Stop::new());
    (shared.config.asked.frame_steps, shared.config.asked.scene_cuts) = (vec![2, 3], false);
    let report = analyze(shared, &mut Persistence::new(spec()).unwrap(), &mut []).unwrap();
    assert_eq!(counter.load(Ordering::Relaxed), 400);
    assert_eq!(report.slower.iter().map(|rate| rate.frame_step).collect::<Vec<_>>(), [2, 3]);
    for rate in &report.slower {
        let mut own = job(source(), &Stop::new());
        own.config.asked.scene_cuts = false;
        let own = analyze(own, &mut Persistence::new(spec().slower(rate.frame_step)).unwrap(), &mut []).unwrap();
        assert!(own.curve.len() > 20 && !own.events.is_empty(), "{} {}", own.curve.len(), own.events.len());
        assert_eq!(rate.curve, own.curve, "step {}", rate.frame_step);
        assert_eq!((&rate.events, &rate.video_surprise), (&own.events, &own.video_surprise));
        assert!((rate.model_fps * f64::from(rate.frame_step) - spec().model_fps).abs() < 1e-9);
    }
    let mut alone = job(source(), &Stop::new());
    alone.config.asked.scene_cuts = false;
    let alone = analyze(alone, &mut Persistence::new(spec()).unwrap(), &mut []).unwrap();
    assert_eq!((report.curve, report.events), (alone.curve, alone.events));
}
