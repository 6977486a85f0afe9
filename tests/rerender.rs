//! Rendering again from `result.json`: the same bytes, also of the very first files; what can't be rendered says why.

#[path = "report/fixture.rs"]
mod fixture;
mod support;

use fixture::made::made;
use fixture::{hostile, rich, small};
use startle::record::{CurvePoint, Report, SlowerRate};
use startle::report::{self, OutputOptions, json};
use std::collections::BTreeMap;
use std::path::Path;
use support::cli::{startle, testsrc};

/// Every file of a folder and what is in it.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |e: std::io::Result<std::fs::DirEntry>| {
        let path = e.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
    };
    std::fs::read_dir(dir).unwrap().map(entry).collect()
}

/// Fails with the names of files that differ, not with their content.
fn same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    let differ: Vec<&String> =
        one.keys().chain(other.keys()).filter(|name| one.get(*name) != other.get(*name)).collect();
    assert!(differ.is_empty() && !one.is_empty(), "{differ:?} differ");
}

#[test]
fn what_is_read_back_renders_to_the_same_bytes() {
    let mut slower = rich();
    let curve: Vec<CurvePoint> = slower.curve.iter().step_by(2).cloned().collect();
    slower.slower = vec![made!(SlowerRate {
        frame_step: 2,
        model_fps: 4.0,
        baseline: "self".into(),
        threshold_rule: "none".into(),
        curve,
        events: slower.events.clone(),
        video_surprise: slower.video_surprise.clone(),
    })];
    let mut odd = small();
    odd.curve[0].surprise = 0.1 + 0.2;
    odd.curve[1].surprise = f32::MIN_POSITIVE;
    odd.curve[2].t_s = 1.0 / 3.0;
    for made in [small(), rich(), hostile(), slower, odd] {
        let dir = tempfile::tempdir().unwrap();
        report::write_all(&made, &OutputOptions::new(dir.path())).unwrap();
        let first = files(dir.path());
        let read = json::read(&dir.path().join("result.json")).unwrap();
        assert_eq!(read, made);
        report::write_all(&read, &OutputOptions::new(dir.path())).unwrap();
        same(&first, &files(dir.path()));
    }
}

#[test]
fn the_command_renders_what_the_analysis_rendered() {
    let dir = tempfile::tempdir().unwrap();
    let video = testsrc(dir.path(), "film.mp4", 4, 15);
    let out = dir.path().join("out");
    startle()
        .args(["analyze", "--quiet", "--model", "persistence", "--z", "3", "--out"])
        .args([&out, &video])
        .assert()
        .success();
    let analyzed = files(&out);
    for _ in 0..2 {
        startle().arg("report").arg(&out).assert().success();
        same(&analyzed, &files(&out));
    }
}

#[test]
fn the_first_file_there_ever_was_still_renders() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/results/first.json");
    let read: Report = json::read(&old).unwrap();
    assert_eq!((read.curve.len(), read.events.len(), read.horizons.is_none()), (27, 1, true));
    let dir = tempfile::tempdir().unwrap();
    startle().args(["report", old.to_str().unwrap(), "--out"]).arg(dir.path()).assert().success();
    let first = files(dir.path());
    let page = String::from_utf8(first["report.html"].clone()).unwrap();
    assert!(page.contains("1 event") && page.contains("startle-s0"));
    startle().arg("report").arg(dir.path()).assert().success();
    same(&first, &files(dir.path()));
}

#[test]
fn what_can_not_be_rendered_says_why_and_leaves_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let text = String::from_utf8(json::to_bytes(&small()).unwrap()).unwrap();
    let cases = [
        (text.replace("startle.result/1", "startle.result/2"), "a later version wrote it"),
        (text.replace("startle.result/1", "startle.result/0"), "an earlier version wrote it"),
        (text.replace("\"wall_s\"", "\"wall\""), "missing field `wall_s`"),
        (text[..text.len() / 2].to_owned(), "not a result.json"),
    ];
    for (text, why) in cases {
        let path = write("result.json", &text);
        let out = startle().arg("report").arg(&path).assert().code(1);
        let told = String::from_utf8(out.get_output().stderr.clone()).unwrap();
        assert!(told.contains(why) && told.contains("result.json"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(files(dir.path()).len(), 1, "nothing was rendered");
    }
}
