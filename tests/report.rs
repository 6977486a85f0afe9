//! The outputs: snapshots of their form, reading back what was written, and hostile input.

#[path = "report/fixture.rs"]
mod fixture;

use fixture::made::made;
use fixture::{calm, hostile, small, spike};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use proptest::prelude::*;
use startle::media::GapReason;
use startle::record::{CurvePoint, Gap, Report, RunEvent, Sink};
use startle::report::{self, JsonLines, OutputOptions, csv, html, json, plot, summary};
use startle::units::Stop;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn page(report: &Report) -> String {
    html::page(report, &OutputOptions::new("."))
}

/// The page without its style and script, which are files of their own, and without long base64; in lines.
fn structure(report: &Report) -> String {
    let mut page = page(report);
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>"), ("base64,", "\"")] {
        let mut from = 0;
        while let Some(start) = page[from..].find(open).map(|i| from + i + open.len()) {
            let end = start + page[start..].find(close).expect("closed");
            page.replace_range(start..end, "…");
            from = start;
        }
    }
    ["</p>", "</li>", "</tr>", "</div>"].iter().fold(page, |page, end| page.replace(end, &format!("{end}\n")))
}

fn without_pictures(mut report: Report) -> Report {
    for event in &mut report.events {
        event.thumbnail = "/9j/4AAQ".into();
        event.heat.grid = 2;
        event.heat.values = vec![0.5, 0.25, 4.5, 1.0];
    }
    report
}

#[test]
fn the_written_forms_stay_as_they_are() {
    let report = without_pictures(small());
    insta::assert_snapshot!("result.json", text(&json::to_bytes(&report).unwrap()));
    insta::assert_snapshot!("curve.csv", text(&csv::curve(&report.curve).unwrap()));
    insta::assert_snapshot!("events.csv", text(&csv::events(&report.events).unwrap()));
    insta::assert_snapshot!("report.html", structure(&report));
}

#[test]
fn the_stream_stays_as_it_is() {
    let report = without_pictures(small());
    let mut bytes = Vec::new();
    let mut sink = JsonLines::new(&mut bytes, Stop::new());
    let started = RunEvent::Started { input: &report.input, model: &report.model, duration_s: Some(4.0) };
    let happenings = [
        started,
        RunEvent::Point(&report.curve[0]),
        RunEvent::Gap(&report.input.gaps[0]),
        RunEvent::Event(&report.events[0]),
        RunEvent::Finished(&report),
    ];
    for event in &happenings {
        sink.record(event).unwrap();
    }
    insta::assert_snapshot!("run.jsonl", text(&bytes));
}

/// A pipe whose reader leaves after `left` writes.
struct Pipe {
    left: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(1).ok_or(ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let report = small();
    let stop = Stop::new();
    let mut sink = JsonLines::new(Pipe { left: 2 }, stop.clone());
    for (index, point) in report.curve.iter().enumerate() {
        sink.record(&RunEvent::Point(point)).unwrap();
        assert_eq!(stop.requested(), index >= 2, "after line {index}");
    }
}

#[test]
fn the_whole_folder_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/report");
    let written = report::write_all(&small(), &OutputOptions::new(&out)).unwrap();
    let names: Vec<_> = written.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
    let expected =
        ["result.json", "curve.csv", "events.csv", "curve.parquet", "surprise.svg", "surprise.png", "report.html"];
    assert_eq!(names, expected);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), expected.len(), "nothing else is left behind");
    assert_eq!(json::read(&out.join("result.json")).unwrap(), small());
}

#[test]
fn numbers_that_json_has_no_word_for_are_refused() {
    let mut report = small();
    report.curve[3].surprise = f32::NAN;
    assert!(json::to_bytes(&report).unwrap_err().to_string().contains("curve point 3"));
}

fn points() -> impl Strategy<Value = Vec<CurvePoint>> {
    let value = || -1.0e30f32..1.0e30;
    let point = (0.0..1.0e7f64, value(), prop::option::of(value()), prop::option::of(0.0..=1.0f32), 0.0..1.0f32)
        .prop_map(|(t_s, surprise, z, p_value, motion)| {
            made!(CurvePoint {
                t_s,
                surprise,
                unadjusted: surprise,
                z,
                p_value,
                raw: surprise.abs().sqrt(),
                motion,
                peak_cell: [t_s as u16, 7],
                peak_box: [motion, 0.1, 640.3, surprise],
            })
        });
    prop::collection::vec(point, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_reads_back_equal_to_the_bit(curve in points(), name in ".*") {
        let dir = tempfile::tempdir().unwrap();
        let mut report = small();
        report.curve = curve;
        report.input.path = name;
        let path = dir.path().join("result.json");
        std::fs::write(&path, json::to_bytes(&report).unwrap()).unwrap();
        prop_assert_eq!(json::read(&path).unwrap(), report);
    }

    #[test]
    fn parquet_reads_back_equal_to_the_bit(curve in points()) {
        let mut report = small();
        report.curve = curve;
        let bytes = report::parquet::curve(&report).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), report.curve.len());
        for (row, point) in rows.iter().zip(&report.curve) {
            prop_assert_eq!(row.get_double(0).unwrap().to_bits(), point.t_s.to_bits());
            prop_assert_eq!(row.get_float(1).unwrap().to_bits(), point.surprise.to_bits());
            prop_assert_eq!(row.get_float(2).ok(), point.z);
            prop_assert_eq!(row.get_float(3).ok(), point.p_value);
            prop_assert_eq!(row.get_int(6).unwrap(), i32::from(point.peak_cell[0]));
            prop_assert_eq!(row.get_float(11).unwrap().to_bits(), point.peak_box[3].to_bits());
        }
    }

    #[test]
    fn no_name_breaks_out_of_the_page_or_the_picture(name in ".*") {
        let mut report = small();
        report.input.path = name.clone();
        report.warnings = vec![name];
        prop_assert_eq!(page(&report).matches("<script").count(), 2);
        let svg = plot::svg(&report).unwrap();
        prop_assert_eq!(svg.matches("<svg").count(), 1);
        prop_assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
    }
}

#[test]
fn parquet_says_what_the_curve_was_computed_on_and_has_the_columns_of_the_csv() {
    let bytes = report::parquet::curve(&small()).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let meta = reader.metadata().file_metadata();
    let pairs = meta.key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|p| p.key == key).and_then(|p| p.value.clone()).unwrap_or_default();
    assert_eq!(value("startle.model"), "small-jepa");
    assert_eq!(value("startle.input"), "clips/ball.mp4");
    assert_eq!(value("startle.schema"), startle::record::SCHEMA);
    let columns: Vec<_> = meta.schema_descr().columns().iter().map(|c| c.name().to_owned()).collect();
    assert_eq!(columns, csv::CURVE_COLUMNS);
}

#[test]
fn the_png_is_a_picture_with_something_in_it() {
    let bytes = plot::png(&small()).unwrap();
    let mut reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (2400, 960));
    let dark = pixels.chunks(3).filter(|p| p.iter().map(|c| u32::from(*c)).sum::<u32>() < 240).count();
    let red = pixels.chunks(3).filter(|p| p[0] > 150 && p[1] < 110 && p[2] < 120).count();
    assert!(dark > 1000, "text is there: {dark} dark pixels");
    assert!(red > 200, "events are marked: {red} red pixels");
}

/// Rows of the PNG in which something has the curve's blue.
fn blue_rows(report: &Report) -> Vec<usize> {
    let mut reader = png::Decoder::new(io::Cursor::new(plot::png(report).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let blue = |p: &[u8]| p[0] < 150 && p[2] > 130 && p[2] > p[0] + 40;
    let rows = pixels.chunks(2400 * 3).enumerate().filter(|(_, row)| row.chunks(3).any(blue));
    rows.map(|(y, _)| y).collect()
}

#[test]
fn a_dense_curve_has_no_spikes_that_are_not_in_the_data() {
    let mut report = calm(3600.0, 0.25);
    for (i, point) in report.curve.iter_mut().enumerate() {
        point.surprise = if i % 3 == 0 { 2.0 } else { 1.0 };
    }
    report.config.resolved.threshold = Some(4.0);
    let rows = blue_rows(&report);
    let (first, last) = (rows[0], rows[rows.len() - 1]);
    // The axis goes from 0 at row 688 to 4.4 at row 192: 2 lies at row 463, 1 at row 575.
    assert!((455..=471).contains(&first) && (567..=583).contains(&last), "rows {first} to {last}");
}

#[test]
fn the_svg_names_events_threshold_and_reasons() {
    let svg = plot::svg(&small()).unwrap();
    for part in
        ["ball.mp4", "small-jepa", "2 events", "#1 at 0.88 s", "threshold 3.25", "scene cut", "motion", "time (s)"]
    {
        assert!(svg.contains(part), "{part} is in the picture");
    }
    let mut report = calm(20.0, 0.25);
    report.truncated = true;
    report.input.gaps = vec![made!(Gap { start_s: 5.0, end_s: 9.0, reason: GapReason::Corrupt })];
    let svg = plot::svg(&report).unwrap();
    assert!(svg.contains("no events") && svg.contains("run ended early") && svg.contains("be decoded"));
}

#[test]
fn a_picture_of_ten_hours_is_small_and_keeps_its_one_peak() {
    let mut report = calm(36_000.0, 0.25);
    let calm_svg = plot::svg(&report).unwrap();
    report.curve[77_777].surprise = 9.0;
    let svg = plot::svg(&report).unwrap();
    assert!(svg.len() < 200_000, "{} bytes", svg.len());
    assert_ne!(svg, calm_svg);
    let page = page(&report);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let data: serde_json::Value = serde_json::from_str(data_of(&page)).unwrap();
    let kept = data["surprise"].as_array().unwrap();
    assert!(kept.len() <= 20_000 && kept.iter().any(|v| v == 9.0));
}

fn data_of(page: &str) -> &str {
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    &page[start..start + page[start..].find("</script>").unwrap()]
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let report = hostile();
    let page = page(&report);
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own script");
    assert!(!page.contains("alert(1)</script>") && !page.contains("alert(2)"));
    assert_eq!(page.matches("\"use strict\"").count(), 1, "a value that looks like a placeholder is left alone");
    serde_json::from_str::<serde_json::Value>(data_of(&page)).unwrap();
    let svg = plot::svg(&report).unwrap();
    assert!(!svg.contains("<script"));
    let row = summary::InputRow::of(&report, Path::new("/r/<b>\"x"), false);
    let dir = tempfile::tempdir().unwrap();
    summary::write(dir.path(), &[row, summary::InputRow::failed("<i>x", "no <b>video</b>")]).unwrap();
    let index = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert_eq!(index.matches("<script").count(), 2, "the page's own script and its rows");
    assert!(!index.contains("<i>x") && !index.contains("<b>"));
    let rows = std::fs::read_to_string(dir.path().join("index.data.js")).unwrap();
    assert!(!rows.contains('<') && rows.starts_with("startleSummary({"), "{rows}");
}

#[test]
fn the_page_says_plainly_what_is_not_there() {
    let quiet = calm(10.0, 0.25);
    assert!(page(&quiet).contains("No event.") && page(&quiet).contains("an event needs 3.25"));
    assert!(!page(&quiet).contains("class=\"banner\""));
    let mut own = quiet.clone();
    own.config.resolved.threshold = None;
    own.config.resolved.threshold_rule = "opens at z ≥ 8".into();
    assert!(page(&own).contains("An event opens at z ≥ 8. The largest z was 0."));
    let mut cut = quiet.clone();
    cut.truncated = true;
    assert!(page(&cut).contains("class=\"banner\""));
    let mut empty = quiet;
    empty.curve.clear();
    assert!(page(&empty).contains("shorter than one clip"));
}

#[test]
fn the_player_embeds_small_playable_videos_and_links_to_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("ball.mp4");
    std::fs::write(&video, b"\0\0\0\x20ftypisom, and more").unwrap();
    let report = small();
    let options = OutputOptions::new(dir.path().join("out")).with_video(&video);
    std::fs::create_dir_all(&options.dir).unwrap();
    let embedded = html::page(&report, &options);
    assert!(embedded.contains("data-mime=\"video/mp4\"") && !embedded.contains("src=\"../ball.mp4\""));
    let linked = html::page(&report, &OutputOptions { embed_limit: 3, ..options.clone() });
    assert!(linked.contains("src=\"../ball.mp4\"") && !linked.contains("data-mime"));
    std::fs::write(&video, b"RIFF....AVI ").unwrap();
    let absent = html::page(&report, &options);
    assert!(absent.contains("do not play this container") && absent.contains("href=\"../ball.mp4\""));
    assert!(page(&report).contains("not at hand"));
}

#[test]
fn a_summary_has_a_row_for_every_input_also_for_the_failed() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        summary::InputRow::of(&small(), &dir.path().join("ball"), false),
        summary::InputRow::of(&calm(9.0, 0.25), &dir.path().join("calm"), true),
        summary::InputRow::failed("gone.mp4", "gone.mp4: no such file"),
    ];
    summary::write(dir.path(), &rows).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    insta::assert_snapshot!("summary.csv", read("summary.csv").replace(dir.path().to_str().unwrap(), "ROOT"));
    let json: serde_json::Value = serde_json::from_str(&read("summary.json")).unwrap();
    assert_eq!(json["inputs"].as_array().unwrap().len(), 3);
    let index = read("index.html");
    assert!(index.contains("href=\"ball/report.html\"") && index.contains("no such file"));
}

/// Pictures and pages to look at, under the build folder: `cargo test --test report gallery -- --ignored --nocapture`.
#[test]
#[ignore = "makes pages and pictures for people to look at"]
fn gallery() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gallery");
    let video = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/teleport_0_impossible.mp4");
    let mut rows = Vec::new();
    let mut show = |name: &str, report: &Report| {
        let folder = root.join(name);
        report::write_all(report, &OutputOptions::new(&folder).with_video(&video)).unwrap();
        rows.push(summary::InputRow::of(report, &folder, false));
    };
    show("small", &small());
    let mut busy = calm(95.0, 0.25);
    busy.input.gaps = vec![
        made!(Gap { start_s: 20.0, end_s: 20.0, reason: GapReason::SceneCut }),
        made!(Gap { start_s: 41.0, end_s: 48.0, reason: GapReason::Corrupt }),
        made!(Gap { start_s: 70.0, end_s: 70.0, reason: GapReason::SceneCut }),
    ];
    busy.curve.retain(|p| ![20.0..21.5, 41.0..49.5, 70.0..71.5].iter().any(|r| r.contains(&p.t_s)));
    for (id, (t, score)) in
        [(12.125, 6.0), (33.375, 4.2), (34.625, 9.5), (60.125, 5.1), (88.125, 12.5)].into_iter().enumerate()
    {
        let event = spike(&mut busy, id as u32 + 1, t, score);
        busy.events.push(event);
    }
    busy.truncated = true;
    show("busy", &busy);
    show("calm", &calm(20.0, 0.25));
    show("hostile", &hostile());
    let mut long = calm(36_000.0, 0.25);
    long.input.gaps = (1..600)
        .map(|k| made!(Gap { start_s: f64::from(k) * 59.0, end_s: f64::from(k) * 59.0, reason: GapReason::SceneCut }))
        .collect();
    for (id, t) in [4000.125, 9000.125, 9300.125, 30_000.125].into_iter().enumerate() {
        let event = spike(&mut long, id as u32 + 1, t, 8.0 + id as f32);
        long.events.push(event);
    }
    show("long", &long);
    rows.push(summary::InputRow::failed("gone.mp4", "gone.mp4: no such file"));
    summary::write(&root, &rows).unwrap();
}

#[test]
fn slower_rates_are_in_the_result_the_page_and_tables_of_their_own() {
    let mut report = small();
    let rate = made!(startle::record::SlowerRate {
        frame_step: 4,
        model_fps: 2.0,
        baseline: "self".into(),
        threshold_rule: String::new(),
        curve: report.curve.iter().step_by(4).cloned().collect(),
        events: report.events[..1].to_vec(),
        video_surprise: report.video_surprise.clone(),
    });
    report.slower = vec![rate];
    let dir = tempfile::tempdir().unwrap();
    report::write_all(&report, &OutputOptions::new(dir.path())).unwrap();
    assert_eq!(json::read(&dir.path().join("result.json")).unwrap(), report);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("curve_step4.csv").lines().count(), report.slower[0].curve.len() + 1);
    assert_eq!(read("events_step4.csv").lines().count(), 2);
    assert!(read("report.html").contains("every 4. frame (2 fps)"));
    report.slower[0].curve[0].raw = f32::NAN;
    assert!(json::to_bytes(&report).is_err());
}
