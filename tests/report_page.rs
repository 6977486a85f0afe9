//! The report page in a real browser: its controls, its map, narrow and dark, with hostile names.

#[path = "report/fixture.rs"]
mod fixture;
mod support;

use fixture::made::made;
use fixture::{horizons, hostile, rich};
use startle::record::Report;
use startle::report::{self, OutputOptions};
use std::path::Path;
use support::cli::{browser, ffmpeg};

/// Writes a report about a film of four seconds and lets the browser look at it. `STARTLE_SHOTS` names a folder for pictures
/// of what it saw.
fn look(report: &Report, kind: &str, embed_limit: u64) {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("ball \"&<'.mp4");
    let source = "testsrc2=size=640x360:rate=30:duration=4";
    ffmpeg(&["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-g", "15", video.to_str().unwrap()]);
    let out = dir.path().join("out");
    let options = OutputOptions { embed_limit, ..OutputOptions::new(&out).with_video(&video) };
    report::write_all(report, &options).unwrap();
    let Some(mut command) = browser("report.mjs") else { return };
    command.arg(out.join("report.html")).arg(kind);
    if let Some(shots) = std::env::var_os("STARTLE_SHOTS") {
        std::fs::create_dir_all(Path::new(&shots)).unwrap();
        command.arg(shots);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{kind}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn its_controls_do_what_they_say_wide_narrow_light_and_dark() {
    look(&rich(), "rich", report::EMBED_LIMIT);
}

#[test]
fn a_large_video_is_linked_with_a_poster() {
    look(&rich(), "linked", 0);
}

#[test]
fn hostile_names_stay_text() {
    let mut report = hostile();
    report.input.codec = "h264".into();
    let mut map = horizons(&report);
    for row in &mut map.rows {
        row.part = "<img src=x onerror=alert(3)>".into();
        row.ahead_s = None;
    }
    report.horizons = Some(map);
    for event in &mut report.events {
        event.around = vec![made!(startle::record::Still { t_s: 0.1, picture: "\"><script>alert(4)</script>".into() })];
    }
    look(&report, "hostile", report::EMBED_LIMIT);
}
