//! What the dashboard knows of the cameras now, and who is told when it changes.
//!
//! Invariants: bounded: so many points a camera, so many messages for a viewer who is slow (he misses the oldest);
//! pictures are only encoded while somebody looks.

use super::lock;
use crate::clip::{ModelFrame, jpeg_base64};
use crate::record::HeatMap;
use crate::watch::alert::Utc;
use crate::watch::engine::{CameraId, CameraState, Health, Histogram, Meters, Moment, News, Phase};
use crate::watch::{Bulletin, CameraConfig};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Points of a camera's curve that are kept: some minutes.
const POINTS: usize = 1500;
/// Messages that wait for a slow viewer.
const MESSAGES: usize = 512;

/// A message for viewers: its name and its JSON.
pub(super) type ViewerMessage = (&'static str, Arc<str>);

/// A camera as the page shows it.
#[derive(Serialize, ToSchema)]
pub(super) struct Camera {
    index: CameraId,
    name: String,
    /// Without its secrets.
    source: String,
    /// The thresholds are in z, else in surprise.
    in_z: bool,
    health: Health,
    fps: f64,
    /// From a frame's arrival to its point of the curve.
    latency_s: Option<f64>,
    surprise: Option<f32>,
    frames: u64,
    clips: u64,
    queued: u64,
    events: u64,
    last_frame: Option<Utc>,
}

/// The last minutes of a camera's curve.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Curve {
    camera: String,
    in_z: bool,
    /// What the numbers of a point are.
    fields: [&'static str; 6],
    /// A point of nulls after its time is a gap.
    #[schema(value_type = Vec<Vec<Option<f64>>>)]
    points: VecDeque<Value>,
}

/// Everything that is live.
pub(super) struct Hub {
    cameras: Mutex<BTreeMap<CameraId, CameraView>>,
    tell: broadcast::Sender<ViewerMessage>,
    pub(super) meters: Arc<Meters>,
    /// From a frame's arrival to the alert.
    pub(super) alert_latency: Histogram,
    /// From the arrival of the newest frame behind a slot to its verdict.
    pub(super) verdict_latency: Histogram,
}

/// What is known of one camera.
pub(super) struct CameraView {
    pub(super) name: String,
    source: String,
    /// The thresholds are in z.
    in_z: bool,
    pub(super) health: Health,
    points: VecDeque<Value>,
    pub(super) surprise: Option<f32>,
    pub(super) events: AtomicU64,
    arrived: Option<SystemTime>,
    latency_s: Option<f64>,
    fps: f64,
    counted: (Instant, u64),
    /// What is to be shown next.
    picture: Option<(Arc<ModelFrame>, HeatMap, f32)>,
}

impl Hub {
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        let (tell, _) = broadcast::channel(MESSAGES);
        let (alert_latency, verdict_latency) = (Histogram::default(), Histogram::default());
        Self { cameras: Mutex::default(), tell, meters, alert_latency, verdict_latency }
    }

    pub(super) fn viewers(&self) -> usize {
        self.tell.receiver_count()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<ViewerMessage> {
        self.tell.subscribe()
    }

    pub(super) fn tell(&self, what: &'static str, value: &impl Serialize) {
        // Plain strings and numbers always serialise.
        let text = serde_json::to_string(value).unwrap_or_default();
        // Nobody may be looking.
        let _ = self.tell.send((what, text.into()));
    }

    pub(super) fn cameras(&self) -> MutexGuard<'_, BTreeMap<CameraId, CameraView>> {
        lock(&self.cameras)
    }

    /// Takes a piece of news.
    pub(super) fn take(&self, bulletin: &Bulletin) {
        let (id, now) = (bulletin.id, bulletin.at);
        let mut cameras = self.cameras();
        let camera = cameras.entry(id).or_insert_with(|| CameraView::new(&bulletin.camera));
        match bulletin.news.as_ref() {
            News::Moment(moment) => {
                if let Ok(waited) = now.duration_since(moment.arrived) {
                    self.verdict_latency.add(waited);
                }
                let point = camera.moment(moment, now);
                if self.viewers() > 0 {
                    self.tell("moment", &json!({"camera": id, "point": point}));
                }
            }
            News::Health(health) => {
                camera.health = health.clone();
                self.tell("camera", &camera.summary(id, self.meters.camera(id).read()));
            }
            News::Gap(gap) => {
                let point = json!([millis(now), null, null, null, null, null]);
                camera.add(point);
                self.tell("gap", &json!({"camera": id, "time": millis(now), "gap": gap}));
            }
            News::Incident(incident) if incident.phase == Phase::Begun => {
                camera.events.fetch_add(1, Ordering::Relaxed);
                let waited = camera.arrived.and_then(|arrived| now.duration_since(arrived).ok());
                if let Some(waited) = waited {
                    self.alert_latency.add(waited);
                }
            }
            News::Incident(_) | News::Learnt(_) => {}
        }
    }

    /// Every camera as the page shows it; one that has ended gives way to another of its name.
    pub(super) fn list(&self) -> Vec<Camera> {
        let cameras = self.cameras();
        let gone = |at: CameraId, camera: &CameraView| {
            camera.health.state == CameraState::Ended && has_successor(&cameras, at)
        };
        let shown = cameras.iter().filter(|(at, camera)| !gone(**at, camera));
        shown.map(|(&at, camera)| camera.summary(at, self.meters.camera(at).read())).collect()
    }

    /// A camera is not watched any more.
    pub(super) fn gone(&self, id: CameraId) {
        if self.cameras().remove(&id).is_some() {
            self.meters.forget(id);
            self.tell("gone", &json!({"camera": id}));
        }
    }

    /// The points of a camera's curve, the oldest first.
    pub(super) fn curve(&self, id: CameraId) -> Option<Curve> {
        let cameras = self.cameras();
        let camera = cameras.get(&id)?;
        let fields = ["time", "surprise", "z", "motion", "high", "low"];
        Some(Curve { camera: camera.name.clone(), in_z: camera.in_z, fields, points: camera.points.clone() })
    }

    /// Whether the watch is under way: some camera shows a picture.
    pub(super) fn is_ready(&self) -> bool {
        self.cameras().values().any(|camera| camera.health.state == CameraState::Watching)
    }

    /// Rates anew, and tells viewers.
    pub(super) fn measure(&self) {
        let mut cameras = self.cameras();
        for (&id, camera) in cameras.iter_mut() {
            let counts = self.meters.camera(id).read();
            camera.measure(counts[0]);
            if self.viewers() > 0 {
                self.tell("camera", &camera.summary(id, counts));
            }
        }
    }

    /// Tells viewers what the cameras show. Takes a few milliseconds a camera.
    pub(super) fn show(&self) {
        if self.viewers() == 0 {
            return;
        }
        let take = |(&at, camera): (&CameraId, &mut CameraView)| Some((at, camera.picture.take()?));
        let fresh: Vec<_> = self.cameras().iter_mut().filter_map(take).collect();
        for (id, (frame, heat, scale)) in fresh {
            let Ok(jpeg) = jpeg_base64(&frame.preview) else { continue };
            let level = |v: &f32| (v / scale * 255.0).clamp(0.0, 255.0) as u8;
            let values: Vec<u8> = heat.values.iter().map(level).collect();
            let (width, height) = (frame.preview.width(), frame.preview.height());
            let heat = json!({"grid": heat.grid, "area": heat.area, "values": values});
            let value = json!({"camera": id, "jpeg": jpeg, "width": width, "height": height, "heat": heat});
            self.tell("picture", &value);
        }
    }
}

/// Whether a later camera has the name of this one.
pub(super) fn has_successor(cameras: &BTreeMap<CameraId, CameraView>, at: CameraId) -> bool {
    let later = |camera: &CameraView| cameras.range(at.next()..).any(|(_, other)| other.name == camera.name);
    cameras.get(&at).is_some_and(later)
}

impl CameraView {
    fn new(camera: &CameraConfig) -> Self {
        Self {
            name: camera.name.clone(),
            source: camera.input.to_string(),
            in_z: false,
            health: Health::default(),
            points: VecDeque::new(),
            surprise: None,
            events: AtomicU64::new(0),
            arrived: None,
            latency_s: None,
            fps: 0.0,
            counted: (Instant::now(), 0),
            picture: None,
        }
    }

    /// Takes a point of the curve; gives it as it is told: time, surprise, z, motion, thresholds.
    fn moment(&mut self, moment: &Moment, now: SystemTime) -> Value {
        let point = &moment.point;
        self.in_z = moment.levels_in_z;
        let finite = |v: f32| v.is_finite().then_some(v);
        let (high, low) = (finite(moment.levels.0), finite(moment.levels.1));
        let value = json!([millis(moment.wall), point.surprise, point.z, point.motion, high, low]);
        self.add(value.clone());
        self.surprise = Some(point.surprise);
        self.arrived = Some(moment.arrived);
        self.latency_s = now.duration_since(moment.arrived).ok().map(|late| late.as_secs_f64());
        let hottest = moment.heat.values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        // What reaches the threshold is as hot as can be; below it the picture stays calm.
        let scale = match (self.in_z, high, point.z) {
            (true, Some(high), Some(z)) => hottest * (high / z.max(f32::MIN_POSITIVE)).max(1.0),
            (true, ..) => f32::MAX,
            (false, high, _) => high.unwrap_or(hottest).max(f32::MIN_POSITIVE),
        };
        self.picture = Some((Arc::clone(&moment.frame), moment.heat.clone(), scale));
        value
    }

    fn add(&mut self, point: Value) {
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    fn measure(&mut self, frames: u64) {
        let (then, before) = self.counted;
        let seconds = then.elapsed().as_secs_f64();
        if seconds >= Duration::from_secs(2).as_secs_f64() {
            self.fps = frames.saturating_sub(before) as f64 / seconds;
            self.counted = (Instant::now(), frames);
        }
    }

    fn summary(&self, index: CameraId, [frames, clips, queued]: [u64; 3]) -> Camera {
        Camera {
            index,
            name: self.name.clone(),
            source: self.source.clone(),
            in_z: self.in_z,
            health: self.health.clone(),
            fps: (self.fps * 10.0).round() / 10.0,
            latency_s: self.latency_s,
            surprise: self.surprise,
            frames,
            clips,
            queued,
            events: self.events.load(Ordering::Relaxed),
            last_frame: self.arrived.map(Utc),
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::open::Input;

    #[test]
    fn cameras_that_are_heard_of_out_of_order_keep_their_names() {
        let hub = Hub::new(Arc::default());
        for (number, name) in [(3, "gate"), (0, "hall"), (1, "yard"), (3, "gate")] {
            let camera =
                Arc::new(CameraConfig::new(name.into(), Input::Url(format!("udp://127.0.0.1:{}", 9000 + number))));
            let news = News::Health(Health::default());
            hub.take(&Bulletin::new(CameraId::new(number), camera, news, UNIX_EPOCH, None));
        }
        let told: Vec<_> = hub.list().into_iter().map(|camera| (camera.index, camera.name, camera.source)).collect();
        let expected = [(0, "hall"), (1, "yard"), (3, "gate")]
            .map(|(index, name)| (CameraId::new(index), name.into(), format!("udp://127.0.0.1:{}", 9000 + index)));
        assert_eq!(told, expected);
        let metrics = super::super::metrics::render(&hub);
        let frames = metrics.lines().filter(|line| line.starts_with("startle_frames_total{"));
        assert_eq!(frames.count(), 3, "{metrics}");
        hub.gone(CameraId::new(3));
        assert_eq!((hub.list().len(), hub.curve(CameraId::new(3))), (2, None));
    }
}
