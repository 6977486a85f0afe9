//! `/metrics`: the counters in Prometheus' text format, version 0.0.4.

use super::hub::{CameraView, Hub, has_successor};
use crate::watch::engine::{CameraState, Histogram};
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The media type.
pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric with a value for each camera: name, type, help, value of a camera and its frames, clips and queue.
type PerCamera<'a> = (&'a str, &'a str, &'a str, &'a dyn Fn(&CameraView, &[u64; 3]) -> Option<f64>);

/// All metrics. Cameras of one name (one took the other's place) are told as the newest.
pub(super) fn render(hub: &Hub) -> String {
    let mut out = String::new();
    let version = label(env!("CARGO_PKG_VERSION"));
    head(&mut out, "startle_build_info", "gauge", "Always 1; the version is in the label.");
    line(&mut out, "startle_build_info", &format!("version=\"{version}\""), 1.0);
    let cameras = hub.cameras();
    let shown: Vec<(&CameraView, [u64; 3])> = cameras
        .iter()
        .filter(|(at, _)| !has_successor(&cameras, **at))
        .map(|(&at, camera)| (camera, hub.meters.camera(at).read()))
        .collect();
    let some = |value: u64| Some(value as f64);
    let per_camera: [PerCamera<'_>; 9] = [
        ("startle_frames_total", "counter", "Frames received.", &|_, counts| some(counts[0])),
        ("startle_clips_total", "counter", "Clips scored.", &|_, counts| some(counts[1])),
        (
            "startle_clips_dropped_total",
            "counter",
            "Clips dropped because the model could not keep up.",
            &|camera, _| some(camera.health.dropped),
        ),
        ("startle_queue_depth", "gauge", "Clips that wait for the model.", &|_, counts| some(counts[2])),
        ("startle_reconnects_total", "counter", "Times the camera was connected anew.", &|camera, _| {
            some(camera.health.reconnects)
        }),
        ("startle_events_total", "counter", "Events told.", &|camera, _| some(camera.events.load(Ordering::Relaxed))),
        ("startle_surprise", "gauge", "The newest surprise.", &|camera, _| camera.surprise.map(f64::from)),
        ("startle_camera_up", "gauge", "1 while frames are expected, else 0.", &|camera, _| {
            some(u64::from(camera.health.state == CameraState::Watching))
        }),
        (
            "startle_camera_learning",
            "gauge",
            "1 while the camera warms up and tells no events, else 0.",
            &|camera, _| some(u64::from(camera.health.learning)),
        ),
    ];
    for (name, kind, help, value) in per_camera {
        head(&mut out, name, kind, help);
        for (camera, counts) in &shown {
            if let Some(value) = value(camera, counts) {
                line(&mut out, name, &format!("camera=\"{}\"", label(&camera.name)), value);
            }
        }
    }
    histogram(&mut out, "startle_inference_seconds", "How long an inference call took.", &hub.meters.inference);
    let help = "From the arrival of the newest frame behind an alert to the alert.";
    histogram(&mut out, "startle_alert_latency_seconds", help, &hub.alert_latency);
    let help = "From the arrival of the newest frame behind a slot of the curve to its verdict.";
    histogram(&mut out, "startle_verdict_latency_seconds", help, &hub.verdict_latency);
    head(&mut out, "startle_dashboard_viewers", "gauge", "Pages that are open.");
    line(&mut out, "startle_dashboard_viewers", "", hub.viewers() as f64);
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    let _ = writeln!(out, "{name}{labels} {value}");
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) {
    head(out, name, "histogram", help);
    let (buckets, all, sum) = histogram.read();
    // Read one after the other while they are counted: no bucket may hold more than all.
    for (bound, count) in buckets {
        line(out, &format!("{name}_bucket"), &format!("le=\"{bound}\""), count.min(all) as f64);
    }
    line(out, &format!("{name}_bucket"), "le=\"+Inf\"", all as f64);
    line(out, &format!("{name}_sum"), "", sum);
    line(out, &format!("{name}_count"), "", all as f64);
}

/// A label's value with what would end it escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_can_not_be_left() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
