//! What a watch tells programs, in one shape: [`Alert`] is an event as everybody outside gets it (standard output and
//! `--alerts`, webhooks, commands and MQTT, `event.json`, the dashboard); [`line()`] puts it, breaks and the cameras' health
//! on one line of JSON.
//!
//! An event is told when it begins and when it is over, with its place and picture. Times named `…_s` count from the
//! camera's first frame; the others are this machine's, RFC 3339 in UTC.

use super::Bulletin;
use super::engine::{Health, Incident, News, Phase};
use crate::record::{EventKind, Gap, What};
use crate::units::PixelBox;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::time::SystemTime;

/// An event of a camera.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Its camera's name.
    pub camera: String,
    /// When it was told.
    pub time: Utc,
    /// The same in both phases, and in no other event.
    pub incident: String,
    /// How far it is.
    pub phase: Phase,
    /// Counts the camera's events.
    pub id: u32,
    /// What showed it.
    pub kind: EventKind,
    /// When the evidence turned.
    pub onset: Utc,
    /// Largest surprise.
    pub peak: Utc,
    /// Last slot above the lower threshold.
    pub end: Utc,
    /// The onset by the camera's clock, seconds.
    pub onset_s: f64,
    /// The peak by the camera's clock, seconds.
    pub peak_s: f64,
    /// The end by the camera's clock, seconds.
    pub end_s: f64,
    /// The surprise at the peak.
    pub score: f32,
    /// The same in robust standard deviations of normal footage.
    pub z: f32,
    /// Share of normal footage that surprises as much.
    pub p_value: Option<f32>,
    /// Spikes per hour of normal footage that reach as far.
    pub per_hour: Option<f64>,
    /// Where, in pixels of the source picture.
    #[serde(rename = "box")]
    #[cfg_attr(feature = "serve", schema(value_type = [f32; 4], min_items = 4, max_items = 4))]
    pub place: PixelBox,
    /// What happened, where the model can tell: as in `result.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<What>,
    /// The picture at the peak: JPEG, base64.
    #[cfg_attr(feature = "serve", schema(ignore))]
    pub thumbnail: String,
}

impl Alert {
    /// Of an incident that is told at a time.
    pub fn new(camera: &str, incident: &Incident, told: SystemTime) -> Self {
        let Incident { phase, event, wall } = incident;
        Self {
            camera: camera.into(),
            time: Utc(told),
            incident: incident_id(camera, incident),
            phase: *phase,
            id: event.id,
            kind: event.kind,
            onset: Utc(wall.onset),
            peak: Utc(wall.peak),
            end: Utc(wall.end),
            onset_s: event.onset_s,
            peak_s: event.peak_s,
            end_s: event.end_s,
            score: event.score,
            z: event.z,
            p_value: event.p_value,
            per_hour: event.per_hour,
            place: event.place,
            what: event.what.clone(),
            thumbnail: event.thumbnail.clone(),
        }
    }

    /// Its line as an object, for who adds to it: numbers as they are written there.
    pub fn object(&self) -> Map<String, Value> {
        // By way of the text: `f32` would become the nearest `f64`, and 0.1 be written as 0.10000000149011612.
        let object =
            to_line(&Line::Event { alert: self, clip: None }).and_then(|line| serde_json::from_str(&line).ok());
        object.unwrap_or_default()
    }
}

/// A time of this machine's clock; in JSON RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema), schema(value_type = String, format = DateTime))]
pub struct Utc(pub SystemTime);

impl std::fmt::Display for Utc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_rfc3339_millis(self.0).fmt(f)
    }
}

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Event {
        #[serde(flatten)]
        alert: &'a Alert,
        /// Where its clip will be.
        #[serde(skip_serializing_if = "Option::is_none")]
        clip: Option<Cow<'a, str>>,
    },
    Gap {
        camera: &'a str,
        time: Utc,
        #[serde(flatten)]
        gap: &'a Gap,
    },
    Health {
        camera: &'a str,
        time: Utc,
        #[serde(flatten)]
        health: &'a Health,
    },
}

/// The line for a piece of news, without its line end; `None` for points of the curve and what was learnt.
pub fn line(bulletin: &Bulletin) -> Option<String> {
    let (camera, time) = (bulletin.camera.name.as_str(), Utc(bulletin.at));
    match bulletin.news.as_ref() {
        News::Moment(_) | News::Learnt(_) => None,
        News::Incident(_) => {
            let clip = bulletin.clip.as_ref().map(|path| path.to_string_lossy());
            to_line(&Line::Event { alert: bulletin.alert.as_ref()?, clip })
        }
        News::Gap(gap) => to_line(&Line::Gap { camera, time, gap }),
        News::Health(health) => to_line(&Line::Health { camera, time, health }),
    }
}

fn to_line(line: &Line<'_>) -> Option<String> {
    // Plain strings and numbers always serialise.
    serde_json::to_string(line).ok()
}

/// A name for an incident that no other has and that is fit for a file: its camera, its onset by this machine's clock
/// and its number.
pub fn incident_id(camera: &str, incident: &Incident) -> String {
    let onset: String = Utc(incident.wall.onset).to_string().chars().filter(|c| !"-:".contains(*c)).collect();
    format!("{}-{onset}-{}", slug(camera), incident.event.id)
}

/// A camera's name as a part of a file's name: letters, digits, `-` and `_`, at most 100.
pub fn slug(camera: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    camera.chars().map(fit).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::GapReason;
    use crate::media::open::Input;
    use crate::record::{Event, HeatMap, PartKind};
    use crate::watch::CameraConfig;
    use crate::watch::engine::{CameraId, WallTimes};
    use std::sync::Arc;
    use std::time::Duration;

    fn line(camera: &str, news: News, told: SystemTime, clip: Option<&str>) -> Option<String> {
        let camera = Arc::new(CameraConfig::new(camera.into(), Input::Url("udp://127.0.0.1:9".into())));
        Bulletin::new(CameraId::new(0), camera, news, told, clip.map(Into::into)).line()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_alert_has_both_clocks_the_place_and_the_picture() {
        let event = Event {
            id: 3,
            kind: EventKind::Spike,
            onset_s: 1.0,
            peak_s: 1.5,
            end_s: 2.0,
            score: 4.1,
            z: 9.0,
            p_value: Some(0.001),
            per_hour: None,
            place: [1.0, 2.0, 3.0, 4.0],
            heat: HeatMap { grid: 1, area: [0.0; 4], values: vec![1.0] },
            what: Some(What {
                kind: PartKind::Missing,
                part: "missing".into(),
                sentence: "A red ball expected at the left was not seen.".into(),
                expected: None,
                seen: None,
            }),
            thumbnail: "abc".into(),
            around: Vec::new(),
        };
        let wall = WallTimes { onset: at(1), peak: at(2), end: at(3) };
        let news = |phase| News::Incident(Box::new(Incident { phase, event: event.clone(), wall }));
        let json_of = |phase| -> serde_json::Value {
            serde_json::from_str(&line("the gate", news(phase), at(4), None).unwrap()).unwrap()
        };
        let (begun, over) = (json_of(Phase::Begun), json_of(Phase::Over));
        assert_eq!((begun["phase"].as_str(), over["phase"].as_str()), (Some("begun"), Some("over")));
        assert_eq!(begun["incident"], over["incident"]);
        assert_eq!(begun["incident"], "the-gate-19700101T000001.000Z-3");
        let text = line("gate", news(Phase::Over), at(4), None).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((json["type"].as_str(), json["camera"].as_str()), (Some("event"), Some("gate")));
        assert_eq!(json["time"], "1970-01-01T00:00:04.000Z");
        assert_eq!(json["onset"], "1970-01-01T00:00:01.000Z");
        assert_eq!((json["peak_s"].as_f64(), json["box"][2].as_f64()), (Some(1.5), Some(3.0)));
        assert_eq!((&json["thumbnail"], &json["what"]["kind"]), (&"abc".into(), &"missing".into()));
        assert_eq!(json["what"]["sentence"], "A red ball expected at the left was not seen.");
        assert!(json.get("heat").is_none() && json.get("clip").is_none());
        // Who reads lines may rely on their bytes.
        let expected = concat!(
            r#"{"type":"event","camera":"gate","time":"1970-01-01T00:00:04.000Z","#,
            r#""incident":"gate-19700101T000001.000Z-3","phase":"over","id":3,"kind":"spike","#,
            r#""onset":"1970-01-01T00:00:01.000Z","peak":"1970-01-01T00:00:02.000Z","end":"1970-01-01T00:00:03.000Z","#,
            r#""onset_s":1.0,"peak_s":1.5,"end_s":2.0,"score":4.1,"z":9.0,"p_value":0.001,"per_hour":null,"#,
            r#""box":[1.0,2.0,3.0,4.0],"what":{"kind":"missing","part":"missing","#,
            r#""sentence":"A red ball expected at the left was not seen.","expected":null,"seen":null},"thumbnail":"abc"}"#
        );
        assert_eq!(text, expected);
        let text = line("gate", news(Phase::Over), at(4), Some("clips/gate/clip.mp4")).unwrap();
        assert!(text.contains(r#""clip":"clips/gate/clip.mp4""#), "{text}");
    }

    #[test]
    fn gaps_and_health_are_flat_lines() {
        let gap = Gap { start_s: 1.0, end_s: 2.0, reason: GapReason::ConnectionLost };
        let text = line("gate", News::Gap(gap), at(0), None).unwrap();
        assert!(text.contains(r#""type":"gap""#) && text.contains(r#""reason":"connection-lost""#), "{text}");
        let text = line("gate", News::Health(Health::default()), at(0), None).unwrap();
        assert!(text.contains(r#""type":"health""#) && text.contains(r#""state":"opening""#), "{text}");
    }
}
