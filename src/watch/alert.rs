//! What a monitor tells programs: one JSON object per line.
//!
//! `event` (when it begins and when it is over, with its place and picture), `gap` and `health`. Times named `…_s` count from the camera's first
//! frame; the others are this machine's, RFC 3339 in UTC.

use crate::record::{EventKind, Gap, What};
use crate::units::PixelBox;
use crate::watch::engine::{Health, Incident, News, Phase};
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;
use std::time::SystemTime;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    what: &'static str,
    camera: &'a str,
    /// When the line was written.
    time: String,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Event(Box<Alert<'a>>),
    Gap(&'a Gap),
    Health(&'a Health),
}

#[derive(Serialize)]
struct Alert<'a> {
    /// The same in both phases, and in no other event.
    incident: String,
    phase: Phase,
    id: u32,
    kind: EventKind,
    onset: String,
    peak: String,
    end: String,
    onset_s: f64,
    peak_s: f64,
    end_s: f64,
    score: f32,
    z: f32,
    p_value: Option<f32>,
    per_hour: Option<f64>,
    #[serde(rename = "box")]
    place: PixelBox,
    /// What happened, where the model can tell: as in `result.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'a What>,
    /// JPEG, base64.
    thumbnail: &'a str,
    /// Where its clip will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    clip: Option<Cow<'a, str>>,
}

/// The line for a piece of news, without its line end; `None` for points of the curve and what was learnt.
pub fn line(camera: &str, news: &News, now: SystemTime) -> Option<String> {
    line_with_clip(camera, news, now, None)
}

/// The same, with the place where an event's clip will be.
pub fn line_with_clip(camera: &str, news: &News, now: SystemTime, clip: Option<&Path>) -> Option<String> {
    let (what, told) = match news {
        News::Moment(_) | News::Learnt(_) => return None,
        News::Incident(incident) => ("event", Told::Event(Box::new(alert(camera, incident, clip)))),
        News::Gap(gap) => ("gap", Told::Gap(gap)),
        News::Health(health) => ("health", Told::Health(health)),
    };
    // Plain strings and numbers always serialise.
    serde_json::to_string(&Line { what, camera, time: rfc3339(now), told }).ok()
}

/// A name for an incident that no other has and that is fit for a file: its camera, its onset by this machine's clock
/// and its number.
pub fn incident_id(camera: &str, incident: &Incident) -> String {
    let camera = slug(camera);
    let onset: String = rfc3339(incident.wall.onset).chars().filter(|c| !"-:".contains(*c)).collect();
    format!("{camera}-{onset}-{}", incident.event.id)
}

/// A camera's name as a part of a file's name: letters, digits, `-` and `_`, at most 100.
pub fn slug(camera: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    camera.chars().map(fit).take(100).collect()
}

fn alert<'a>(camera: &str, incident: &'a Incident, clip: Option<&'a Path>) -> Alert<'a> {
    let Incident { phase, event, wall } = incident;
    Alert {
        incident: incident_id(camera, incident),
        phase: *phase,
        id: event.id,
        kind: event.kind,
        onset: rfc3339(wall.onset),
        peak: rfc3339(wall.peak),
        end: rfc3339(wall.end),
        onset_s: event.onset_s,
        peak_s: event.peak_s,
        end_s: event.end_s,
        score: event.score,
        z: event.z,
        p_value: event.p_value,
        per_hour: event.per_hour,
        place: event.place,
        what: event.what.as_ref(),
        thumbnail: &event.thumbnail,
        clip: clip.map(Path::to_string_lossy),
    }
}

/// A time of this machine's clock, in UTC with milliseconds.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::GapReason;
    use crate::record::{Event, HeatMap, PartKind};
    use crate::watch::engine::WallTimes;
    use std::time::Duration;

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
            score: 4.0,
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
            serde_json::from_str(&line("the gate", &news(phase), at(4)).unwrap()).unwrap()
        };
        let (begun, over) = (json_of(Phase::Begun), json_of(Phase::Over));
        assert_eq!((begun["phase"].as_str(), over["phase"].as_str()), (Some("begun"), Some("over")));
        assert_eq!(begun["incident"], over["incident"]);
        assert_eq!(begun["incident"], "the-gate-19700101T000001.000Z-3");
        let text = line("gate", &news(Phase::Over), at(4)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((json["type"].as_str(), json["camera"].as_str()), (Some("event"), Some("gate")));
        assert_eq!(json["time"], "1970-01-01T00:00:04.000Z");
        assert_eq!(json["onset"], "1970-01-01T00:00:01.000Z");
        assert_eq!((json["peak_s"].as_f64(), json["box"][2].as_f64()), (Some(1.5), Some(3.0)));
        assert_eq!((&json["thumbnail"], &json["what"]["kind"]), (&"abc".into(), &"missing".into()));
        assert_eq!(json["what"]["sentence"], "A red ball expected at the left was not seen.");
        assert!(json.get("heat").is_none() && json.get("clip").is_none());
        let place = Path::new("clips/gate/clip.mp4");
        let text = line_with_clip("gate", &news(Phase::Over), at(4), Some(place)).unwrap();
        assert!(text.contains(r#""clip":"clips/gate/clip.mp4""#), "{text}");
    }

    #[test]
    fn gaps_and_health_are_flat_lines() {
        let gap = Gap { start_s: 1.0, end_s: 2.0, reason: GapReason::ConnectionLost };
        let text = line("gate", &News::Gap(gap), at(0)).unwrap();
        assert!(text.contains(r#""type":"gap""#) && text.contains(r#""reason":"connection-lost""#), "{text}");
        let text = line("gate", &News::Health(Health::default()), at(0)).unwrap();
        assert!(text.contains(r#""type":"health""#) && text.contains(r#""state":"opening""#), "{text}");
    }
}
