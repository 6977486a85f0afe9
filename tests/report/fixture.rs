//! Reports made up by hand: a small one for snapshots, and larger ones to look at.
#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "../support/made.rs"]
pub mod made;

use made::made;
use startle::clip::jpeg_base64;
use startle::media::{GapReason, Picture, VideoInfo};
use startle::model::ModelInfo;
use startle::record::{
    Asked, ContextSurprise, CurvePoint, Event, EventKind, Gap, HeatMap, Horizon, Horizons, InputReport, Look, PartKind,
    Report, Resolved, RunConfig, SCHEMA, Sight, Still, Timings, VideoSurprise, What,
};
use std::collections::BTreeMap;

/// Two events, one of them at the end, a scene cut between them and a p-value for each point.
pub fn small() -> Report {
    let mut report = calm(4.0, 0.25);
    report.input.gaps = vec![made!(Gap { start_s: 2.0, end_s: 2.0, reason: GapReason::SceneCut })];
    report.curve.retain(|p| !(2.0..2.75).contains(&p.t_s));
    report.events = vec![spike(&mut report, 1, 1.125, 5.5), spike(&mut report, 2, 3.625, 4.25)];
    report.events[1].what = Some(jump());
    let boxes = vec![[240, 120, 320, 200], [0, 0, 40, 30]];
    report.sights = vec![made!(Sight { t_s: 0.125, boxes }), made!(Sight { t_s: 0.375, boxes: Vec::new() })];
    report
}

/// What an event may be that a model of objects found.
fn jump() -> What {
    let look = |place, colour: &str, rgb| made!(Look { place, colour: colour.into(), rgb, shape: "ball".into() });
    made!(What {
        kind: PartKind::Moved,
        part: "missing".into(),
        sentence: "A red ball expected at the left was at the right.".into(),
        expected: Some(look([40.0, 120.0, 120.0, 200.0], "red", [220, 40, 30])),
        seen: Some(look([240.0, 120.0, 320.0, 200.0], "red", [210, 50, 40])),
    })
}

/// A quiet curve over `duration_s` seconds with a point every `slot_s`.
pub fn calm(duration_s: f64, slot_s: f64) -> Report {
    let info = VideoInfo {
        width: 640,
        height: 360,
        nominal_fps: 30.0,
        duration_s: Some(duration_s),
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        notes: vec!["interlaced".into()],
    };
    let mut input = InputReport::new("clips/ball.mp4".into(), Some("ab".repeat(32)), &info);
    input.duration_s = duration_s;
    input.frames_decoded = (duration_s * 30.0) as u64;
    made!(Report {
        schema: SCHEMA.into(),
        startle_version: "0.1.0".into(),
        created: "2026-01-02T03:04:05Z".into(),
        input,
        model: model(),
        config: config(),
        curve: (0..(duration_s / slot_s) as u32).map(|i| quiet_point(i, slot_s)).collect(),
        events: Vec::new(),
        strange: Vec::new(),
        video_surprise: video_surprise(),
        slower: Vec::new(),
        sights: Vec::new(),
        horizons: None,
        annotated: None,
        truncated: false,
        warnings: vec!["the calibration sample is small: 120 points".into()],
        timings: made!(Timings {
            wall_s: 3.5,
            decode_s: 0.5,
            score_s: 3.0,
            inference_s: 2.9,
            realtime_factor: duration_s / 3.5,
            peak_rss_bytes: Some(512 << 20),
        }),
    })
}

fn model() -> ModelInfo {
    ModelInfo {
        name: "small-jepa".into(),
        sha256: "cd".repeat(32),
        family: "vjepa2".into(),
        precision: "fp32".into(),
        execution_provider: "CPUExecutionProvider".into(),
        frames_per_clip: 16,
        model_fps: 8.0,
        contexts: vec![8, 12],
        stride: 2,
    }
}

fn config() -> RunConfig {
    let asked = Asked {
        stride: 2,
        top_fraction: 0.0625,
        scene_cuts: true,
        baseline: "bundle".into(),
        threshold: "p ≤ 0.01".into(),
        merge_s: 0.5,
        ..Asked::default()
    };
    let resolved = Resolved {
        device: "auto".into(),
        batch: 4,
        threshold: Some(3.25),
        threshold_low: Some(2.0),
        threshold_rule: "p ≤ 0.01 on the bundle's calibration sample".into(),
        promised_per_hour: Some(30.0),
        ..Resolved::default()
    };
    RunConfig { asked, resolved }
}

fn video_surprise() -> VideoSurprise {
    let context = |avg, max| ContextSurprise { avg, max };
    VideoSurprise {
        avg: 0.4125,
        max: 0.75,
        filtered_avg: 0.375,
        filtered_max: 0.625,
        per_context: BTreeMap::from([(8, context(0.45, 0.875)), (12, context(0.375, 0.625))]),
        windows: 9,
    }
}

/// A deterministic stand-in for noise, 0..1.
fn noise(i: u32) -> f32 {
    (i.wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(40_503) >> 8) as f32 / (1 << 24) as f32
}

fn quiet_point(i: u32, slot_s: f64) -> CurvePoint {
    let wave = ((f64::from(i) * slot_s * 0.9).sin() * 0.3 + 0.3) as f32;
    let surprise = 0.6 + wave + 0.5 * noise(i);
    made!(CurvePoint {
        t_s: (f64::from(i) + 0.5) * slot_s,
        surprise,
        unadjusted: 2.0 * surprise,
        z: Some(surprise - 1.0),
        p_value: Some((1.5 - surprise).clamp(0.05, 1.0)),
        raw: 0.25 + surprise / 16.0,
        motion: 0.01 + 0.02 * wave + 0.005 * noise(i + 77),
        peak_cell: [(i % 16) as u16, (i / 16 % 16) as u16],
        peak_box: [40.0, 22.5, 80.0, 45.0],
    })
}

/// Raises the curve around `peak_s` to `score` and gives the event that this makes.
pub fn spike(report: &mut Report, id: u32, peak_s: f64, score: f32) -> Event {
    let slot = 0.25;
    for point in &mut report.curve {
        let near = (1.0 - (point.t_s - peak_s).abs() / (2.5 * slot)).max(0.0) as f32;
        point.surprise += (score - point.surprise) * near;
        if near > 0.5 {
            point.p_value = Some(0.002);
            point.z = Some(point.surprise - 1.0);
        }
    }
    let place = [240.0, 120.0, 320.0, 200.0];
    made!(Event {
        id,
        kind: EventKind::Spike,
        onset_s: peak_s - slot,
        peak_s,
        end_s: peak_s + slot,
        score,
        z: score - 1.0,
        p_value: Some(0.002),
        per_hour: Some(4.5),
        place,
        heat: heat(16, place),
        what: None,
        thumbnail: jpeg_base64(&scene(place)).expect("a small picture"),
        around: Vec::new(),
    })
}

fn heat(grid: u16, place: [f32; 4]) -> HeatMap {
    let (x, y) = (f32::midpoint(place[0], place[2]) / 640.0, f32::midpoint(place[1], place[3]) / 360.0);
    let value = |i: u32| {
        let (row, col) = ((i / u32::from(grid)) as f32 + 0.5, (i % u32::from(grid)) as f32 + 0.5);
        let far = ((col / f32::from(grid) - x) * 2.0).hypot(row / f32::from(grid) - y);
        0.5 + 0.3 * noise(i) + 5.0 * (-far * far * 40.0).exp()
    };
    let values = (0..u32::from(grid) * u32::from(grid)).map(value).map(|v| (v * 100.0).round() / 100.0).collect();
    made!(HeatMap { grid, area: [0.0, 0.0, 640.0, 360.0], values })
}

/// A ball in a grey room.
fn scene(place: [f32; 4]) -> Picture {
    let (w, h) = (320u32, 180u32);
    let centre = ((place[0] + place[2]) / 4.0, (place[1] + place[3]) / 4.0);
    let pixel = |i: u32| {
        let (x, y) = ((i % w) as f32, (i / w) as f32);
        let ball = (x - centre.0).hypot(y - centre.1) < 18.0;
        if ball {
            [70, 120, 190]
        } else if y > 130.0 {
            [150, 140, 128]
        } else {
            [196, 198, 202]
        }
    };
    Picture::new(w, h, (0..w * h).flat_map(pixel).collect())
}

/// The same with everything in it that tries to break out of a page, a picture or a table.
pub fn hostile() -> Report {
    let evil = "</script><script>alert(1)</script>\"'&<!--\n\u{202e}ü日本語, \u{1}{{js}}";
    let mut report = small();
    report.input.path = format!("videos/{evil}.mp4");
    report.input.codec = evil.into();
    report.input.notes = vec![evil.into()];
    report.warnings = vec![evil.into()];
    report.model.name = evil.into();
    report.config.resolved.threshold_rule = evil.into();
    report.created = evil.into();
    report.startle_version = evil.into();
    if let Some(Look { colour, shape, .. }) = report.events[1].what.as_mut().and_then(|what| what.seen.as_mut()) {
        (*colour, *shape) = (evil.into(), evil.into());
    }
    report.events[0].thumbnail = "\"><script>alert(2)</script>".into();
    report
}

/// All that a page can show: the small report with a map of horizons, pictures around its events, a stretch unlike the
/// baseline and a hole.
pub fn rich() -> Report {
    let mut report = small();
    report.strange = vec![[2.9, 3.2]];
    report.input.gaps.push(made!(Gap { start_s: 2.5, end_s: 2.7, reason: GapReason::Corrupt }));
    report.horizons = Some(horizons(&report));
    for event in &mut report.events {
        event.per_hour = Some(0.125);
        let still = |t_s| made!(Still { t_s, picture: event.thumbnail.clone() });
        event.around = vec![still(event.onset_s - 0.3), still(event.end_s + 0.3)];
    }
    report
}

/// Rows of near and far horizons: the nearest sees least.
pub fn horizons(report: &Report) -> Horizons {
    let rows: Vec<Horizon> =
        (0..4).map(|i| made!(Horizon { part: String::new(), ahead_s: Some(0.125 + 0.25 * f64::from(i)) })).collect();
    let values = |p: &CurvePoint| {
        (0..4).map(|i| if i == 3 && p.t_s < 1.0 { None } else { Some(p.surprise * (0.6 + 0.2 * i as f32)) }).collect()
    };
    made!(Horizons {
        rows,
        t_s: report.curve.iter().map(|p| p.t_s).collect(),
        values: report.curve.iter().map(values).collect(),
    })
}
