//! Many results on one page, and two runs compared, as a user meets them.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use support::cli::{browser, startle};

/// Results made from the example's: `name` under `root`, with events at `onsets`, the surprise `rise` times as high.
fn result(root: &Path, name: &str, onsets: &[f64], rise: f64) -> PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/example/result.json");
    let mut report: Value = serde_json::from_slice(&fs::read(example).unwrap()).unwrap();
    report["input"]["path"] = json!(format!("videos/{name}.mp4"));
    report["input"]["sha256"] = json!(format!("{:064x}", name.bytes().map(u64::from).sum::<u64>()));
    for point in report["curve"].as_array_mut().unwrap() {
        point["surprise"] = json!(point["surprise"].as_f64().unwrap() * rise);
    }
    let event = report["events"][0].clone();
    let at = |(id, onset): (usize, &f64)| {
        let mut event = event.clone();
        (event["id"], event["onset_s"]) = (json!(id + 1), json!(onset));
        event
    };
    report["events"] = onsets.iter().enumerate().map(at).collect();
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("result.json"), report.to_string()).unwrap();
    folder
}

#[test]
fn a_folder_of_folders_becomes_one_page_that_a_browser_can_handle() {
    const COUNT: usize = 3000;
    let dir = tempfile::tempdir().unwrap();
    let first = result(dir.path(), "00/clip0", &[3.0], 1.0);
    let text = fs::read_to_string(first.join("result.json")).unwrap();
    for index in 1..COUNT {
        let folder = dir.path().join(format!("{:02}/clip{index}", index % 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("result.json"), text.replace("clip0.mp4", &format!("clip{index}.mp4"))).unwrap();
    }
    result(dir.path(), "worst", &[1.0, 2.0], 50.0);
    result(dir.path(), "quiet <img src=x onerror=alert(1)>\u{202e}", &[], 0.01);
    let broken = dir.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("result.json"), b"{\"schema\": \"startle.result/0\"}").unwrap();

    let output = startle().arg("report").arg(dir.path()).assert().code(1).get_output().clone();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("startle.result/0") && told.contains("broken"), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), dir.path().join("index.html").to_string_lossy());
    let page = fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(page.find("worst/report.html").unwrap() < page.find("clip0/report.html").unwrap(), "the worst first");
    assert!(page.len() < 300_000, "{}", page.len());
    let summary: Value = serde_json::from_slice(&fs::read(dir.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["inputs"].as_array().unwrap().len(), COUNT + 3);
    // Again: the same bytes.
    let before =
        ["index.html", "index.data.js", "summary.json", "summary.csv"].map(|n| fs::read(dir.path().join(n)).unwrap());
    startle().arg("report").arg(dir.path()).assert().code(1);
    assert_eq!(
        before,
        ["index.html", "index.data.js", "summary.json", "summary.csv"].map(|n| fs::read(dir.path().join(n)).unwrap())
    );
    if let Some(mut command) = browser("index.mjs") {
        let output = command.arg(dir.path().join("index.html")).arg((COUNT + 3).to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_empty_folder_and_folders_without_a_place_for_the_page_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&Path]| {
        let output = startle().arg("report").args(arguments).assert().failure().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&[dir.path()]).contains("there is no result.json in it or below it"));
    let [one, two] = ["one", "two"].map(|name| {
        result(&dir.path().join(name), "clip", &[], 1.0);
        dir.path().join(name)
    });
    assert!(refused(&[&one, &two]).contains("--out DIR"));
    assert!(refused(&[&one, &two.join("clip")]).contains("one sort at a time"));
    let out = dir.path().join("page");
    startle().arg("report").args([&one, &two]).arg("--out").arg(&out).assert().success();
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("href=\"../one/clip/report.html\""), "{page}");
    fs::write(one.join("index.html"), b"my own page").unwrap();
    assert!(refused(&[&one]).contains("not startle's"));
}

#[test]
fn two_runs_compare_event_by_event() {
    let dir = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| dir.path().join(name));
    result(&before, "same", &[3.0], 1.0);
    result(&after, "same", &[3.05], 1.0);
    result(&before, "worse", &[], 1.0);
    result(&after, "worse", &[4.0], 1.0);
    result(&before, "better", &[1.0, 4.0], 1.0);
    result(&after, "better", &[1.5], 1.0);
    result(&after, "extra", &[2.0], 1.0);
    let run = |more: &[&str]| startle().arg("compare").args([&before, &after]).args(more).assert();
    let output = run(&[]).success().get_output().clone();
    let lines = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').take(3).collect()).collect();
    assert_eq!(
        told,
        [
            ["appeared", "videos/worse.mp4", "4.00"],
            ["gone", "videos/better.mp4", "4.00"],
            ["moved", "videos/better.mp4", "1.50"]
        ]
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("1 appeared, 1 gone, 0 changed, 1 moved, 1 unchanged in 3 videos; 1 video in one run only"),
        "{said}"
    );
    let found: Value = serde_json::from_slice(&fs::read(after.join("compare.json")).unwrap()).unwrap();
    assert_eq!(found["only_after"], json!(["videos/extra.mp4"]));
    assert_eq!(found["changes"].as_array().unwrap().len(), 3);
    run(&["--fail-on-change"]).code(3);
    startle().arg("compare").args([&before, &before]).arg("--fail-on-change").assert().success();
    let nowhere = startle().arg("compare").arg(&before).arg(dir.path().join("none")).assert().failure();
    let told = String::from_utf8(nowhere.get_output().stderr.clone()).unwrap();
    assert!(told.contains("none: is not a folder of results"), "{told}");
}
