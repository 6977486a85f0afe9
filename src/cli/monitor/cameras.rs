//! The cameras that were named, and what each needs to be watched.

use super::MonitorArgs;
use startle::engine::{Model, baseline};
use startle::folders;
use startle::media::adapt::ByArrival;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::{Input, expand};
use startle::model::Scorer;
use startle::pipeline::DetectionSettings;
use startle::surprise::{Baseline, CurveKey, EventRules, Past};
use startle::units::MediaTime;
use startle::watch::engine::{self, CameraId, News, OnDuty, Pace};
use startle::watch::evidence::EvidencePlaces;
use startle::watch::{CameraConfig, Memory, MonitorConfig, Schedule, Threshold};
use startle::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The baseline that is the camera's own past, kept from run to run.
const ADAPTIVE: &str = "adaptive";
/// The same from this run alone.
const OWN: &str = "self";
/// What an adaptive camera must have shown before it alerts, seconds.
const WARM_UP_S: f64 = 600.0;

/// The cameras that were named, one way or the other, and what else is in the file.
pub(super) fn named(args: &MonitorArgs) -> Result<MonitorConfig> {
    if let Some(path) = &args.config {
        return MonitorConfig::load(path);
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let named = |input: Input| {
        let name = input.to_string();
        let times = seen.entry(name.clone()).and_modify(|n| *n += 1).or_insert(1);
        // Two URLs that differ in what is hidden only.
        let name = if *times > 1 { format!("{name} ({times})") } else { name };
        CameraConfig {
            threshold: Threshold::Rate(args.max_false_alarms),
            baseline: args.baseline.clone(),
            warm_up: args.warm_up.map(MediaTime::from_secs_f64),
            stall: Duration::from_secs_f64(args.stall),
            rtsp_transport: args.rtsp_transport,
            limits: args.limits.into(),
            ..CameraConfig::new(name, input)
        }
    };
    let cameras = expand(&args.sources)?.into_iter().map(named).collect();
    Ok(MonitorConfig { cameras, ..MonitorConfig::default() })
}

/// The model, the baselines and the memory that all cameras share.
pub(super) struct CameraBuilder<'a> {
    args: &'a MonitorArgs,
    model: Model,
    key: CurveKey,
    /// Only the slot after the longest context is predicted.
    prompt: bool,
    baselines: RefCell<HashMap<String, Option<Arc<Baseline>>>>,
    memory: Option<Memory>,
    /// Where evidence goes, if any is kept.
    places: Option<EvidencePlaces>,
}

impl<'a> CameraBuilder<'a> {
    /// Finds and verifies everything that the cameras name.
    pub(super) fn open(
        args: &'a MonitorArgs,
        cameras: &[Arc<CameraConfig>],
        places: Option<EvidencePlaces>,
    ) -> Result<Self> {
        let mut model = args.model.choose(1)?;
        let own = |camera: &Arc<CameraConfig>| [ADAPTIVE, OWN].contains(&asked(args, camera));
        let prompt = cameras.iter().all(own);
        if prompt {
            model.be_prompt();
        }
        let key = model.curve_key(args.top)?;
        let adaptive = cameras.iter().any(|camera| asked(args, camera) == ADAPTIVE);
        let memory = adaptive.then(|| memory(args, &model, &key)).transpose()?;
        Ok(Self { args, model, key, prompt, baselines: RefCell::default(), memory, places })
    }

    /// What adaptive cameras have shown; `None` when there is none.
    pub(super) const fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Windows scored at a time.
    pub(super) fn batch(&self) -> usize {
        self.model.batch()
    }

    pub(super) fn scorer(&self) -> Result<Box<dyn Scorer + Send>> {
        Ok(self.model.scorer()?)
    }

    /// Where the clip of an incident will be.
    pub(super) fn clip(&self, id: CameraId, camera: &str, news: &News) -> Option<PathBuf> {
        self.places.as_ref()?.of(id, camera, news)
    }

    /// Cameras as the engine takes them: all, or none and nothing is kept of any.
    pub(super) fn watched_all(
        &self,
        cameras: &[(CameraId, Arc<CameraConfig>)],
    ) -> Result<Vec<(CameraId, engine::Camera<'static>)>> {
        let watched = cameras.iter().map(|(id, camera)| Ok((*id, self.watched(*id, camera)?))).collect();
        if let (Err(_), Some(places)) = (&watched, &self.places) {
            for (id, _) in cameras {
                places.remove(*id);
            }
        }
        watched
    }

    fn watched(&self, id: CameraId, camera: &Arc<CameraConfig>) -> Result<engine::Camera<'static>> {
        let asked = asked(self.args, camera);
        let past = match asked {
            ADAPTIVE => Some(self.recall(camera)?),
            OWN => Some(Past::default()),
            _ => None,
        };
        let baseline = match &past {
            // The camera's own past judges; errors are brought to one scale as the bundle says.
            Some(_) => self.baseline("bundle")?,
            None if self.prompt => {
                return Err(Error::Config(format!(
                    "camera {}: the baseline {asked} needs every context, and only the longest is computed while all \
                     cameras follow their own past; start the monitor again",
                    camera.name
                )));
            }
            None => self.baseline(asked)?,
        };
        let adapts = asked == ADAPTIVE;
        if let (Some(_), Some(warm_up)) = (&past, camera.warm_up) {
            self.check_warm_up(&camera.name, warm_up);
        }
        let usual = MediaTime::from_secs_f64(if adapts { WARM_UP_S } else { 0.0 });
        let timeout = camera.stall.max(Duration::from_secs(1));
        let (source, decoding) = (Arc::clone(camera), self.args.decode);
        let tap = self.places.as_ref().map(|places| places.add(id, &camera.name)).transpose()?.flatten();
        Ok(engine::Camera {
            open: Box::new(move |stop| {
                let rtsp_transport = source.rtsp_transport;
                let tap = tap.clone();
                let options = OpenOptions {
                    stop,
                    timeout,
                    threads: 1,
                    decoding,
                    rtsp_transport,
                    tap: tap.clone(),
                    live: true,
                    other_hosts: source.follow_redirects,
                    limits: source.limits,
                    ..OpenOptions::default()
                };
                let opened = Box::new(FfmpegSource::open(&source.input, &options)?);
                let untimed = opened.is_pushed();
                if let Some(tap) = tap.filter(|_| untimed) {
                    tap.by_arrival();
                }
                Ok(if untimed { Box::new(ByArrival::new(opened)) } else { opened })
            }),
            pace: pace(self.args, camera),
            stall: camera.stall,
            warm_up: camera.warm_up.unwrap_or(usual),
            detection: self.detection(camera),
            baseline,
            past,
            fps: camera.fps,
            region: camera.region.clone(),
            on_duty: on_duty(camera.schedule.clone()),
        })
    }

    /// Says when a camera learns for longer than it was told to.
    fn check_warm_up(&self, name: &str, warm_up: MediaTime) {
        let least = Past::LEAST_SLOTS as f64 * self.model.spec().slot_s();
        if warm_up > MediaTime::ZERO && warm_up.secs_f64() < least {
            let asked = warm_up.secs_f64();
            eprintln!(
                "startle: camera {name}: warm-up of {asked:.0} s: a camera that follows its own past learns for {least:.0} s at \
                 least"
            );
        }
    }

    fn detection(&self, camera: &CameraConfig) -> DetectionSettings {
        let rules = EventRules {
            rule: camera.threshold.rule(),
            merge: camera.merge,
            min_duration: MediaTime::ZERO,
            cool_down: camera.cool_down,
        };
        DetectionSettings { top_fraction: self.args.top, rules }
    }

    /// What the camera has shown in earlier runs; what can't be used is told, and it begins anew.
    fn recall(&self, camera: &CameraConfig) -> Result<Past> {
        let Some(memory) = &self.memory else {
            return Err(Error::Config(format!(
                "camera {}: no camera was adaptive at the start; start the monitor again",
                camera.name
            )));
        };
        Ok(memory.recall(&camera.name, &camera.input.to_string()).unwrap_or_else(|error| {
            eprintln!("startle: camera {} begins anew: {error}", camera.name);
            Past::default()
        }))
    }

    fn baseline(&self, asked: &str) -> Result<Option<Arc<Baseline>>> {
        let mut known = self.baselines.borrow_mut();
        if let Some(baseline) = known.get(asked) {
            return Ok(baseline.clone());
        }
        let baseline = baseline(asked, self.model.bundle(), &self.key)?.0.map(Arc::new);
        known.insert(asked.into(), baseline.clone());
        Ok(baseline)
    }
}

/// The baseline that a camera asks for.
fn asked<'a>(args: &MonitorArgs, camera: &'a CameraConfig) -> &'a str {
    let usual = if pace(args, camera) == Pace::Model { "bundle" } else { ADAPTIVE };
    camera.baseline.as_deref().unwrap_or(usual)
}

fn pace(args: &MonitorArgs, camera: &CameraConfig) -> Pace {
    match camera.input {
        Input::Url(_) | Input::Secret(_) => Pace::Live,
        _ if args.realtime && args.again => Pace::Loop,
        _ if args.realtime => Pace::Once,
        _ => Pace::Model,
    }
}

fn memory(args: &MonitorArgs, model: &Model, key: &CurveKey) -> Result<Memory> {
    let folder = args.state.clone().map_or_else(|| state_folder("cameras"), Ok)?;
    Memory::open(&folder, key.clone(), model.spec().context_lengths.clone())
}

/// `startle/NAME` in the user's folder for states.
pub(super) fn state_folder(name: &str) -> Result<PathBuf> {
    let none = || Error::Config(format!("there is no home folder for {name}: say where (--state, [spool] folder)"));
    Ok(folders::state().ok_or_else(none)?.join(name))
}

/// By the local clock.
fn on_duty(schedule: Schedule) -> OnDuty<'static> {
    Box::new(move |time: SystemTime| {
        let Ok(time) = jiff::Timestamp::try_from(time) else { return true };
        let local = jiff::tz::TimeZone::system().to_datetime(time);
        let day = local.weekday().to_monday_zero_offset() as usize;
        schedule.holds(day, local.hour() as u16 * 60 + local.minute() as u16)
    })
}
