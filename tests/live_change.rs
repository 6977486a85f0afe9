//! Cameras that learn, that watch a part of the picture, that are off duty, that come and go.

#[path = "painted/camera.rs"]
mod cameras;
mod painted;

use cameras::{Ending, Heard, Painted, camera, model, numbered, options, painted as scene, run};
use painted::{FPS, spec};
use startle::Result;
use startle::clip::ClipSpec;
use startle::model::persistence::Persistence;
use startle::surprise::{Past, ThresholdRule};
use startle::units::{MediaTime, Stop};
use startle::watch::engine::{Camera, CameraChange, CameraId, Host, News, Pace, Phase, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A scene of `frames` frames with a teleport, as fast as it can be read.
fn file(frames: i64, teleport: i64) -> Camera<'static> {
    camera(Pace::Model, move |_, stop| Ok(scene(frames, teleport, Duration::ZERO, Ending::End, stop)))
}

/// The same, judged by its own past at a rate.
fn adaptive(frames: i64, teleport: i64, past: Past) -> Camera<'static> {
    let mut new = file(frames, teleport);
    new.detection.rules.rule = ThresholdRule::Rate { per_hour: 1.0 };
    new.past = Some(past);
    new.warm_up = MediaTime::from_secs_f64(90.0);
    new
}

/// What it told, and what it has learnt in the end.
fn learn(camera: Camera<'static>) -> (Heard, Past) {
    let (mut heard, mut learnt) = (Heard::default(), None);
    watch(numbered(vec![camera]), &mut model(), &options(&Stop::new()), |_: CameraId, news: News| {
        if let News::Learnt(past) = &news {
            learnt = Some((**past).clone());
        }
        heard.take(news);
        Ok(())
    })
    .unwrap();
    (heard, learnt.unwrap())
}

#[test]
fn a_camera_that_learns_keeps_quiet_and_goes_on_after_a_restart_where_it_was() {
    // A teleport at 50 s, while it warms up; after the restart one at 30 s, which makes 130 s in all.
    let (first, past) = learn(adaptive(100 * FPS, 50 * FPS, Past::default()));
    assert!(first.begun.is_empty() && first.points > 400, "{:?}", first.begun);
    assert!(past.seconds() > 90.0 && past.is_long_enough());
    let (second, past) = learn(adaptive(60 * FPS, 30 * FPS, past));
    assert_eq!((second.begun.len(), second.events.len()), (1, 1));
    assert!((second.events[0].peak_s - 30.0).abs() < 0.3 && past.seconds() > 150.0);
}

#[test]
fn only_the_region_is_watched() {
    // The square jumps from the upper left to the upper middle.
    let halves = [("upper", 0.0, 0.5, 1), ("lower", 0.5, 1.0, 0)];
    for (name, top, bottom, events) in halves {
        let mut new = file(240, 160);
        new.region = vec![vec![[0.0, top], [1.0, top], [1.0, bottom], [0.0, bottom]]];
        let heard = run(vec![new], &mut model(), &options(&Stop::new()), |_| false);
        assert_eq!(heard[0].events.len(), events, "{name}");
        assert!(heard[0].points > 50);
    }
}

#[test]
fn off_duty_nothing_is_told_but_the_curve_goes_on() {
    let mut new = file(240, 160);
    new.on_duty = Box::new(|_| false);
    let heard = run(vec![new], &mut model(), &options(&Stop::new()), |_| false);
    assert!(heard[0].begun.is_empty() && heard[0].events.is_empty() && heard[0].points > 50);
}

#[test]
fn a_camera_s_own_clock_is_used() {
    let (mut slow, usual) = (file(240, 1000), file(240, 1000));
    slow.fps = Some(FPS as f64 / 8.0);
    let heard = run(vec![slow, usual], &mut model(), &options(&Stop::new()), |_| false);
    assert!(heard[0].points * 3 < heard[1].points, "{} and {} points", heard[0].points, heard[1].points);
}

/// Adds a camera after ten points of the first, then takes the first away.
struct Changing {
    points: [usize; 2],
    gone: Option<usize>,
    begun: usize,
    added: bool,
    stop: Stop,
}

impl Host<'static> for Changing {
    fn news(&mut self, camera: CameraId, news: News) -> Result<()> {
        match news {
            News::Moment(_) => self.points[camera.number() as usize] += 1,
            News::Incident(incident) if incident.phase == Phase::Begun => self.begun += 1,
            News::Gap(gap) => panic!("camera {camera} was broken: {gap:?}"),
            _ => {}
        }
        if self.points[1] > 50 {
            self.stop.request();
        }
        Ok(())
    }

    fn changes(&mut self) -> Vec<CameraChange<'static>> {
        let endless = || {
            let nap = Duration::from_millis(1);
            camera(Pace::Live, move |_, stop| Ok(scene(i64::MAX, i64::MAX, nap, Ending::End, stop)))
        };
        if !self.added && self.points[0] > 10 {
            self.added = true;
            return vec![
                CameraChange::Remove(CameraId::new(0)),
                CameraChange::Add(CameraId::new(1), Box::new(endless())),
            ];
        }
        if self.gone.is_none() && self.points[1] > 20 {
            self.gone = Some(self.points[0]);
        }
        Vec::new()
    }
}

/// So that the host can be looked at afterwards.
struct Lent<'a>(&'a mut Changing);
impl Host<'static> for Lent<'_> {
    fn news(&mut self, camera: CameraId, news: News) -> Result<()> {
        self.0.news(camera, news)
    }
    fn changes(&mut self) -> Vec<CameraChange<'static>> {
        self.0.changes()
    }
}

#[test]
fn cameras_come_and_go_while_others_are_watched() {
    let stop = Stop::new();
    let first =
        camera(Pace::Live, |_, stop| Ok(scene(i64::MAX, i64::MAX, Duration::from_millis(1), Ending::End, stop)));
    let mut host = Changing { points: [0; 2], gone: None, begun: 0, added: false, stop: stop.clone() };
    watch(numbered(vec![first]), &mut model(), &options(&stop), Lent(&mut host)).unwrap();
    assert!(host.points[1] > 50 && host.begun == 0);
    let [first, _] = host.points;
    assert!(first <= host.gone.unwrap() + 10, "the first camera went on: {first}, {:?}", host.gone);
}

/// Model frames between the end of a slot and the moment in which it is judged, the median.
fn lag(spec: &ClipSpec) -> i64 {
    let (decoded, stop) = (Arc::new(AtomicI64::new(0)), Stop::new());
    let counted = Arc::clone(&decoded);
    let live = camera(Pace::Live, move |_, stop| {
        let source = scene(i64::MAX, i64::MAX, Duration::from_millis(5), Ending::End, stop);
        Ok(Painted { decoded: Arc::clone(&counted), ..source })
    });
    let mut lags = Vec::new();
    let mut model = Persistence::new(spec.clone()).unwrap();
    watch(numbered(vec![live]), &mut model, &options(&stop), |_: CameraId, news: News| {
        if let News::Moment(moment) = &news {
            let now = decoded.load(Ordering::Relaxed) as f64 / FPS as f64;
            let end = moment.point.t_s + spec.slot_s() / 2.0;
            lags.push(((now - end) * spec.model_fps).round() as i64);
        }
        if lags.len() >= 40 {
            stop.request();
        }
        Ok(())
    })
    .unwrap();
    lags.sort_unstable();
    lags[lags.len() / 2]
}

#[test]
fn with_the_longest_context_alone_a_slot_is_judged_within_its_own_width() {
    let spec = spec();
    assert!(lag(&spec) >= i64::from(spec.frames_per_clip - spec.context_lengths[0] - spec.tubelet_size));
    let lag = lag(&spec.prompt());
    assert!(lag <= i64::from(spec.tubelet_size), "{lag} frames");
}
