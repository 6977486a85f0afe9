//! Many cameras over painted scenes: fair, bounded, and no fault of one touches another.

#[path = "painted/camera.rs"]
mod cameras;
mod painted;

use cameras::{Ending, Heard, Painted, camera, model, numbered, options, painted as scene, run};
use painted::FPS;
use startle::Error;
use startle::Result;
use startle::clip::{Clip, ClipSpec};
use startle::media::GapReason;
use startle::model::persistence::Persistence;
use startle::model::{ModelInfo, Scorer, WindowErrors};
use startle::record::Gap;
use startle::units::{MediaTime, Stop};
use startle::watch::engine::{Backoff, CameraId, News, Options, Pace, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// A model that takes its time for each call.
struct Slow(Persistence, Duration);

impl Scorer for Slow {
    fn spec(&self) -> &ClipSpec {
        self.0.spec()
    }
    fn info(&self) -> ModelInfo {
        self.0.info()
    }
    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        std::thread::sleep(self.1);
        self.0.score(clips)
    }
}

#[test]
fn a_file_gives_each_camera_its_event_and_ends() {
    let teleports = [160, 100, 200];
    let cameras =
        teleports.map(|at| camera(Pace::Model, move |_, stop| Ok(scene(240, at, Duration::ZERO, Ending::End, stop))));
    let heard = run(cameras.into(), &mut model(), &options(&Stop::new()), |_| false);
    for (heard, at) in heard.iter().zip(teleports) {
        assert_eq!((heard.begun.len(), heard.events.len(), heard.dropped, heard.ended), (1, 1, 0, true));
        let (begun, over) = (&heard.begun[0], &heard.events[0]);
        assert_eq!((begun.id, begun.onset_s), (over.id, over.onset_s));
        assert!((heard.events[0].peak_s - at as f64 / 20.0).abs() <= 0.2, "{}", heard.events[0].peak_s);
    }
}

#[test]
fn a_camera_that_floods_does_not_starve_the_others() {
    let stop = Stop::new();
    let flood = camera(Pace::Live, |_, stop| Ok(scene(i64::MAX, i64::MAX, Duration::ZERO, Ending::End, stop)));
    let calm = || {
        let nap = Duration::from_millis(2);
        camera(Pace::Live, move |_, stop| Ok(scene(i64::MAX, i64::MAX, nap, Ending::End, stop)))
    };
    let mut slow = Slow(model(), Duration::from_millis(20));
    let heard = run(vec![flood, calm(), calm()], &mut slow, &options(&stop), |h| h[1].points > 60);
    assert!(heard[0].dropped > 0, "the flood was not held back");
    let points: Vec<usize> = heard.iter().map(|h| h.points).collect();
    assert!(points.iter().all(|p| *p * 2 >= points[0]), "unfair: {points:?}");
}

#[test]
fn what_the_model_cannot_keep_up_with_is_dropped_oldest_first_and_is_no_event() {
    let stop = Stop::new();
    // A hundred clips a second, of which the model can do about ten: 0.8 s may wait.
    let decoded = Arc::new(AtomicI64::new(0));
    let fast = camera(Pace::Live, |_, stop| {
        let source = scene(i64::MAX, i64::MAX, Duration::from_millis(2), Ending::End, stop);
        Ok(Painted { decoded: Arc::clone(&decoded), ..source })
    });
    let options = Options { batch: 1, ..options(&stop) };
    let mut slow = Slow(model(), Duration::from_millis(15));
    let mut heard = Heard::default();
    let mut latest: f64 = 0.0;
    watch(numbered(vec![fast]), &mut slow, &options, |_: CameraId, news: News| {
        if let News::Moment(moment) = &news {
            latest = latest.max(decoded.load(Ordering::Relaxed) as f64 / FPS as f64 - moment.point.t_s);
        }
        heard.take(news);
        if heard.dropped > 100 {
            stop.request();
        }
        Ok(())
    })
    .unwrap();
    assert!(heard.events.is_empty(), "{:?}", heard.events);
    assert!(heard.gaps.iter().all(|g| g.reason == GapReason::Overload && g.end_s > g.start_s), "{:?}", heard.gaps);
    assert!(heard.gaps.windows(2).all(|g| g[0].end_s <= g[1].start_s + 0.2), "{:?}", heard.gaps);
    // The queue holds 1.6 s, the clip itself lasts 0.8 s; 2000 frames are 100 s.
    assert!(heard.points > 10 && latest < 10.0, "{} points, up to {latest} s late", heard.points);
}

#[test]
fn a_lost_connection_comes_back_and_its_break_is_no_event() {
    // Each connection shows the square elsewhere: across the break it would be a teleport.
    let stop = Stop::new();
    for ending in [Ending::End, Ending::Error, Ending::Silence, Ending::Panic] {
        let stop = stop.child();
        let away = camera(Pace::Live, move |n, stop| {
            if n == 1 {
                return Err(Error::input("rtsp://***@gate", "can't connect"));
            }
            let teleport = if n % 2 == 0 { 10_000 } else { 0 };
            Ok(scene(120, teleport, Duration::from_micros(200), ending, stop))
        });
        let steady =
            camera(Pace::Live, |_, stop| Ok(scene(i64::MAX, i64::MAX, Duration::from_millis(2), Ending::End, stop)));
        let heard = run(vec![away, steady], &mut model(), &options(&stop), |h| h[0].reconnects >= 4);
        assert!(heard[0].events.is_empty(), "{:?}", heard[0].events);
        assert!(heard[0].reasons.iter().any(|r| r.contains("can't connect")), "{:?}", heard[0].reasons);
        let word = match ending {
            Ending::End => "ended",
            Ending::Error => "the cable is out",
            Ending::Silence => "no frame for 0.2 s",
            Ending::Panic => "panic",
        };
        assert!(heard[0].reasons.iter().any(|r| r.contains(word)), "{word}: {:?}", heard[0].reasons);
        let lost: Vec<&Gap> = heard[0].gaps.iter().filter(|g| g.reason == GapReason::ConnectionLost).collect();
        assert!(lost.len() >= 2 && lost.iter().all(|g| g.start_s <= g.end_s), "{:?}", heard[0].gaps);
        assert_eq!((heard[1].reconnects, heard[1].gaps.len()), (0, 0), "a fault touched another camera");
        assert!(heard[1].points > 5);
    }
}

#[test]
fn warm_up_keeps_early_events_back() {
    let mut early = camera(Pace::Model, |_, stop| Ok(scene(240, 160, Duration::ZERO, Ending::End, stop)));
    early.warm_up = MediaTime::from_secs_f64(9.0);
    let heard = run(vec![early], &mut model(), &options(&Stop::new()), |_| false);
    assert!(heard[0].events.is_empty() && heard[0].points > 50);
}

#[test]
fn a_file_at_its_own_pace_takes_its_own_time() {
    let file = camera(Pace::Once, |_, stop| Ok(scene(40, 1000, Duration::ZERO, Ending::End, stop)));
    let begun = Instant::now();
    let heard = run(vec![file], &mut model(), &options(&Stop::new()), |_| false);
    let took = begun.elapsed().as_secs_f64();
    assert!((1.8..6.0).contains(&took), "two seconds took {took}");
    assert_eq!((heard[0].dropped, heard[0].ended), (0, true));
}

#[test]
fn a_stop_ends_everything_within_five_seconds() {
    let stop = Stop::new();
    let flood = || camera(Pace::Live, |_, stop| Ok(scene(i64::MAX, i64::MAX, Duration::ZERO, Ending::End, stop)));
    let silent = camera(Pace::Live, |_, stop| Ok(scene(1, 1, Duration::ZERO, Ending::Silence, stop)));
    let closed = camera(Pace::Live, |_, _| Err(Error::input("x", "can't connect")));
    let mut options = options(&stop);
    options.backoff = Backoff::default();
    let mut slow = Slow(model(), Duration::from_millis(700));
    let mut asked = None;
    let mut heard = 0;
    watch(numbered(vec![flood(), silent, closed, flood()]), &mut slow, &options, |_: CameraId, _: News| {
        heard += 1;
        if heard == 20 {
            stop.request();
            asked = Some(Instant::now());
        }
        Ok(())
    })
    .unwrap();
    assert!(asked.unwrap().elapsed() < Duration::from_mins(1), "{:?}", asked.unwrap().elapsed());
}

#[test]
fn a_fault_of_the_model_or_of_the_listener_ends_the_watch() {
    struct Broken(Persistence);
    impl Scorer for Broken {
        fn spec(&self) -> &ClipSpec {
            self.0.spec()
        }
        fn info(&self) -> ModelInfo {
            self.0.info()
        }
        fn score(&mut self, _: &[Clip]) -> Result<Vec<WindowErrors>> {
            Err(Error::Inference("the graph broke".into()))
        }
    }
    let endless = || {
        let nap = Duration::from_millis(1);
        vec![camera(Pace::Live, move |_, stop| Ok(scene(i64::MAX, i64::MAX, nap, Ending::End, stop)))]
    };
    let error = watch(numbered(endless()), &mut Broken(model()), &options(&Stop::new()), |_: CameraId, _: News| Ok(()))
        .unwrap_err();
    assert!(error.to_string().contains("the graph broke"), "{error}");
    let error =
        watch(numbered(endless()), &mut model(), &options(&Stop::new()), |_: CameraId, news: News| match news {
            News::Moment(_) => Err(Error::output("alerts", std::io::Error::other("disk full"))),
            _ => Ok(()),
        });
    assert!(error.unwrap_err().to_string().contains("disk full"));
}
