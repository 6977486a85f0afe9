//! Painted scenes as cameras.
// Not every test binary uses every ending.
#![allow(dead_code)]

use super::painted::{FPS, SIDE, info, spec};
use startle::media::{FrameSource, Picture, Step, VideoInfo};
use startle::model::Scorer;
use startle::model::persistence::Persistence;
use startle::pipeline::DetectionSettings;
use startle::record::{Event, Gap};
use startle::surprise::{EventRules, ThresholdRule};
use startle::units::{MediaTime, Stop};
use startle::watch::engine::{Backoff, Camera, CameraId, CameraState, News, Options, Pace, Phase, watch};
use startle::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// How a painted camera ends.
#[derive(Clone, Copy)]
pub enum Ending {
    End,
    Error,
    /// Waits until it is stopped.
    Silence,
    Panic,
}

/// A bright square that teleports at a frame, `nap` between frames.
pub struct Painted {
    pub info: VideoInfo,
    pub frames: i64,
    pub next: i64,
    pub teleport: i64,
    pub nap: Duration,
    pub ending: Ending,
    pub stop: Stop,
    pub decoded: Arc<AtomicI64>,
}

pub fn painted(frames: i64, teleport: i64, nap: Duration, ending: Ending, stop: Stop) -> Painted {
    let info = info(None);
    Painted { info, frames, next: 0, teleport, nap, ending, stop, decoded: Arc::default() }
}

pub fn time(frame: i64) -> MediaTime {
    MediaTime::from_nanos(frame * 1_000_000_000 / FPS)
}

impl FrameSource for Painted {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_step(&mut self) -> Result<Step> {
        if self.next >= self.frames {
            return match self.ending {
                Ending::End => Ok(Step::End),
                Ending::Error => Err(Error::input("painted", "the cable is out")),
                Ending::Panic => panic!("garbage"),
                Ending::Silence => {
                    while !self.stop.requested() {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    Err(Error::Stopped)
                }
            };
        }
        if !self.nap.is_zero() {
            std::thread::sleep(self.nap);
        }
        self.next += 1;
        self.decoded.store(self.next, Ordering::Relaxed);
        Ok(Step::Frame { time: time(self.next - 1), end: time(self.next) })
    }

    fn picture(&mut self) -> Result<Picture> {
        let x0 = if self.next <= self.teleport { 0 } else { 16 };
        let rgb = (0..SIDE * SIDE).flat_map(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            [if (x0..x0 + 8).contains(&x) && y < 8 { 240 } else { 40 }; 3]
        });
        Ok(Picture::new(SIDE, SIDE, rgb.collect()))
    }

    fn frames_decoded(&self) -> u64 {
        self.next as u64
    }
}

/// A camera whose `n`-th connection (from 0) `open` makes.
pub fn camera<'a>(pace: Pace, mut open: impl FnMut(usize, Stop) -> Result<Painted> + Send + 'a) -> Camera<'a> {
    let mut connection = 0;
    Camera {
        open: Box::new(move |stop| {
            connection += 1;
            Ok(Box::new(open(connection - 1, stop)?))
        }),
        pace,
        stall: Duration::from_millis(250),
        warm_up: MediaTime::ZERO,
        detection: DetectionSettings {
            top_fraction: 0.06,
            rules: EventRules {
                rule: ThresholdRule::at_z(8.0),
                merge: MediaTime::from_nanos(500_000_000),
                min_duration: MediaTime::ZERO,
                cool_down: MediaTime::ZERO,
            },
        },
        baseline: None,
        past: None,
        fps: None,
        region: Vec::new(),
        on_duty: Box::new(|_| true),
    }
}

pub fn options(stop: &Stop) -> Options {
    let (first, longest) = (Duration::from_millis(5), Duration::from_millis(20));
    let backoff = Backoff { first, longest, steady: Duration::from_millis(10) };
    Options { backoff, ..Options::new(stop.clone()) }
}

/// What was told of one camera.
#[derive(Default)]
pub struct Heard {
    pub points: usize,
    pub begun: Vec<Event>,
    pub events: Vec<Event>,
    pub gaps: Vec<Gap>,
    pub reasons: Vec<String>,
    pub reconnects: u64,
    pub dropped: u64,
    pub ended: bool,
}

impl Heard {
    pub fn take(&mut self, news: News) {
        match news {
            News::Moment(_) => self.points += 1,
            News::Incident(incident) if incident.phase == Phase::Begun => self.begun.push(incident.event),
            News::Incident(incident) => self.events.push(incident.event),
            News::Learnt(_) => {}
            News::Gap(gap) => self.gaps.push(gap),
            News::Health(health) => {
                self.reasons.extend(health.reason);
                self.reconnects = health.reconnects;
                self.dropped = health.dropped;
                self.ended = health.state == CameraState::Ended;
            }
        }
    }
}

/// Cameras with the numbers from 0 on.
pub fn numbered(cameras: Vec<Camera<'_>>) -> Vec<(CameraId, Camera<'_>)> {
    (0..).map(CameraId::new).zip(cameras).collect()
}

/// Watches until `enough` or all have ended.
pub fn run(
    cameras: Vec<Camera<'_>>,
    scorer: &mut (dyn Scorer + Send),
    options: &Options,
    enough: impl Fn(&[Heard]) -> bool,
) -> Vec<Heard> {
    let mut heard: Vec<Heard> = cameras.iter().map(|_| Heard::default()).collect();
    let begun = Instant::now();
    watch(numbered(cameras), scorer, options, |camera: CameraId, news: News| {
        heard[camera.number() as usize].take(news);
        if enough(&heard) || begun.elapsed() > Duration::from_mins(5) {
            options.stop.request();
        }
        Ok(())
    })
    .unwrap();
    assert!(begun.elapsed() < Duration::from_mins(5), "it was never enough");
    heard
}

pub fn model() -> Persistence {
    Persistence::new(spec()).unwrap()
}
