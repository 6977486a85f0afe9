//! The evaluation: metrics against scikit-learn, what is compared with what, and the outputs.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use proptest::prelude::*;
use serde::Deserialize;
use startle::evaluate::metrics::{Track, VUS_BUFFER, auroc, average_precision, percentile, slot_auroc, vus_pr, wilson};
use startle::evaluate::{
    COPY, Case, Evaluation, EventSpan, MODEL, MOTION, Motion, PROMISED, RANDOM, SCORERS, Scope, ScoredCase,
    VideoScores, evaluate,
};
use startle::record::{ContextSurprise, VideoSurprise};
use startle::report::evaluation::{markdown, page, table, write_all};
use std::collections::BTreeMap;
use std::path::Path;

/// `tests/data/metrics.json`, written by `metrics.py` beside it.
#[derive(Deserialize)]
struct Golden {
    ranking: Vec<Ranking>,
    series: Vec<Series>,
    wilson: Vec<Interval>,
}

#[derive(Deserialize)]
struct Ranking {
    positives: Vec<f64>,
    negatives: Vec<f64>,
    auroc: f64,
    average_precision: f64,
    percentile_90: f64,
}

#[derive(Deserialize)]
struct Series {
    tracks: Vec<Labelled>,
    slot_auroc: f64,
    vus_pr: f64,
}

#[derive(Deserialize)]
struct Labelled {
    onset_s: Option<f64>,
    curve: Vec<f32>,
}

#[derive(Deserialize)]
struct Interval {
    k: f64,
    n: f64,
    low: f64,
    high: f64,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/metrics.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn assert_near(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() < 1e-9, "{what}: {found}, wanted {wanted}");
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let golden = golden();
    for set in &golden.ranking {
        assert_near(auroc(&set.positives, &set.negatives).unwrap(), set.auroc, "AUROC");
        let precision = average_precision(&set.positives, &set.negatives).unwrap();
        assert_near(precision, set.average_precision, "average precision");
        assert_near(percentile(&set.negatives, 0.9).unwrap(), set.percentile_90, "percentile");
    }
    for set in &golden.series {
        let scores: Vec<VideoScores> = set.tracks.iter().map(|t| scores(&t.curve, 0.1)).collect();
        let of = |(t, scores): (&Labelled, _)| Track {
            scores,
            onset_s: t.onset_s,
            place: None,
            what: None,
            duration_s: 1.0,
        };
        let tracks: Vec<Track<'_>> = set.tracks.iter().zip(&scores).map(of).collect();
        assert_near(slot_auroc(&tracks).unwrap(), set.slot_auroc, "slot AUROC");
        assert_near(vus_pr(&tracks, VUS_BUFFER).unwrap(), set.vus_pr, "VUS-PR");
    }
    for interval in &golden.wilson {
        let (low, high) = wilson(interval.k / interval.n, interval.n);
        assert_near(low, interval.low, "Wilson");
        assert_near(high, interval.high, "Wilson");
    }
}

/// Scores with a curve whose slots are 0.2 s apart, from `first` on.
fn scores(curve: &[f32], first: f64) -> VideoScores {
    let at = |(i, v): (usize, &f32)| (first + 0.2 * i as f64, *v);
    let average = f64::from(curve.iter().sum::<f32>()) / curve.len().max(1) as f64;
    let top = f64::from(curve.iter().copied().fold(0.0, f32::max));
    let contexts = [8, 16].map(|k| (k, ContextSurprise { avg: average, max: top }));
    VideoScores {
        curve: curve.iter().enumerate().map(at).collect(),
        literature: VideoSurprise {
            avg: average,
            max: top,
            filtered_avg: average,
            filtered_max: top,
            per_context: contexts.into(),
            windows: curve.len() as u64,
        },
        events: Vec::new(),
    }
}

fn case(id: &str, group: &str, kind: &str, possible: bool) -> Case {
    let unlabelled = Case::unlabelled(id.into(), format!("{id}.mp4").into(), group.into());
    Case { kind: kind.into(), possible, ..unlabelled }
}

fn scored(case: Case, model: f32) -> ScoredCase {
    let scores = [(MODEL.to_owned(), scores(&[model], 0.0)), (COPY.to_owned(), scores(&[1.0], 0.0))].into();
    ScoredCase { case, scores, duration_s: 4.0, spikes: Vec::new() }
}

fn row<'a>(evaluation: &'a Evaluation, name: &str) -> &'a startle::evaluate::ViolationRow {
    evaluation.rows.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no row {name}"))
}

fn of(cases: &[ScoredCase]) -> Evaluation {
    evaluate("a dataset", "a layout", BTreeMap::new(), cases)
}

#[test]
fn pairs_are_matched_one_to_one_and_groups_all_with_all() {
    let paired = |id: &str, pair: &str, possible| Case { pair: pair.into(), ..case(id, "scene", "k", possible) };
    let cases = [
        scored(paired("a", "1", true), 1.0),
        scored(paired("b", "1", false), 2.0),
        scored(paired("c", "2", true), 3.0),
        scored(paired("d", "2", false), 2.5),
        scored(case("e", "other", "k", true), 1.0),
        scored(case("f", "other", "k", true), 3.0),
        scored(case("g", "other", "k", false), 2.0),
        scored(case("h", "other", "k", false), 4.0),
    ];
    let evaluation = of(&cases);
    let all = row(&evaluation, "all");
    assert_eq!((all.possible, all.impossible), (4, 4));
    let headline = all.headline(MODEL).unwrap();
    assert_eq!((headline.value, headline.n), (4.0 / 6.0, 6));
    assert_eq!(all.headline(COPY).unwrap().value, 0.5, "all tied");
    let best = all.best_control.as_ref().unwrap();
    assert_eq!((best.scorer.as_str(), best.margin), (COPY, 4.0 / 6.0 - 0.5));
    assert!(all.headline(RANDOM).is_none());
}

#[test]
fn a_row_has_the_impossible_videos_it_is_about_and_their_twins() {
    let with = |id: &str, possible, hidden, motion| Case { hidden, motion, ..case(id, &id[..1], "k", possible) };
    let cases = [
        scored(with("a0", true, None, Some(Motion::Neither)), 1.0),
        scored(with("a1", false, Some(true), Some(Motion::Adds)), 2.0),
        scored(with("b0", true, Some(true), None), 1.0),
        scored(with("b1", false, Some(false), Some(Motion::Removes)), 0.0),
        scored(with("c0", true, Some(true), None), 5.0),
    ];
    let evaluation = of(&cases);
    let names: Vec<_> = evaluation.rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["k", "in view", "hidden", "adds motion", "removes motion", "all"]);
    let hidden = row(&evaluation, "hidden");
    assert_eq!((hidden.possible, hidden.impossible), (2, 1), "its twin, and the possible video without one");
    assert_eq!(hidden.headline(MODEL).unwrap().value, 1.0);
    assert_eq!(row(&evaluation, "in view").headline(MODEL).unwrap().value, 0.0);
    assert_eq!(hidden.scorers[MODEL].auroc, Some(0.5), "above its twin, below the other");
}

#[test]
fn in_control_pairs_the_second_by_name_stands_for_the_impossible() {
    let control = |id: &str, group: &str| Case { control: true, ..case(id, group, "k", true) };
    let cases = [
        scored(control("z", "1"), 2.0),
        scored(control("y", "1"), 1.0),
        scored(control("w", "2"), 1.0),
        scored(control("x", "2"), 0.5),
        scored(case("a", "3", "k", true), 1.0),
    ];
    let evaluation = of(&cases);
    let control = row(&evaluation, "control");
    assert_eq!(control.scope, Scope::Control);
    assert_eq!(control.headline(MODEL).map(|p| (p.value, p.n)), Some((0.5, 2)));
    let all = row(&evaluation, "all");
    assert_eq!((all.possible, all.impossible, all.headline(MODEL)), (1, 0, None), "control pairs stay out");
}

#[test]
fn videos_without_a_score_are_left_out() {
    let mut cases = [scored(case("a", "1", "k", true), 1.0), scored(case("b", "1", "k", false), 2.0)];
    cases[1].scores.insert(MODEL.into(), VideoScores::default());
    let evaluation = of(&cases);
    assert_eq!(row(&evaluation, "all").headline(MODEL), None);
    assert!(evaluation.best.is_empty() && evaluation.worst.is_empty());
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(write_all(&evaluation, &cases, dir.path()).unwrap().len(), 4);
    assert!(!table(&of(&[])).is_empty());
    write_all(&of(&[]), &[], dir.path()).unwrap();
}

/// Numbers that look random, 0..1, the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}

/// A dataset as `startle-world`'s: kinds in view and hidden, with labels, and control pairs.
fn dataset() -> Vec<ScoredCase> {
    let kinds = [
        ("appear", Motion::Adds, 3.0),
        ("colour", Motion::Neither, 2.0),
        ("shape <b>&", Motion::Neither, 0.4),
        ("teleport", Motion::Adds, 2.5),
        ("vanish", Motion::Removes, 1.6),
    ];
    let mut noise = Noise(7);
    let mut cases = Vec::new();
    for (kind, motion, strength) in kinds {
        for n in 0..12 {
            for possible in [true, false] {
                let id = format!("{kind}/{n:02}/{}", if possible { "possible" } else { "impossible" });
                let case = Case {
                    pair: n.to_string(),
                    hidden: Some(n % 3 == 2),
                    motion: Some(motion),
                    onset_s: Some(2.0),
                    place: Some([40.0, 40.0, 60.0, 60.0]),
                    ..case(&id, kind, kind, possible)
                };
                cases.push(synthetic(case, if possible { 0.0 } else { strength }, &mut noise));
            }
        }
    }
    for (n, letter) in (0..12).flat_map(|n| ["a", "b"].map(|l| (n, l))) {
        let case =
            Case { control: true, ..case(&format!("control/{n:02}/{letter}"), &format!("control {n}"), "same", true) };
        cases.push(synthetic(case, 0.0, &mut noise));
    }
    cases
}

/// The model and the scorers that every model has beside it.
fn beside_every_model() -> &'static [&'static str] {
    &SCORERS[..6]
}

fn synthetic(case: Case, strength: f32, noise: &mut Noise) -> ScoredCase {
    let mut by_scorer = BTreeMap::new();
    for (scorer, share) in beside_every_model().iter().copied().zip([1.0, 0.25, 0.7, 0.5, 0.4, 0.1]) {
        let loud = noise.next() * 1.5;
        let value = |i: usize, noise: &mut Noise| {
            let bump = if (7..10).contains(&i) { strength * share * (0.4 + noise.next()) } else { 0.0 };
            0.4 + loud * (0.5 + 0.3 * (i as f32 / 3.0).sin()) + 0.5 * noise.next() + bump
        };
        let curve: Vec<f32> = (0..18).map(|i| value(i, noise)).collect();
        let mut scores = scores(&curve, 0.7);
        if scorer == MODEL {
            let hot = scores.curve.iter().copied().find(|p| p.1 > 2.1);
            let event = |(t, score): (f64, f32)| EventSpan {
                onset_s: t - 0.1,
                peak_s: t,
                end_s: t + 0.3,
                score,
                place: [45.0 + 30.0 * noise.next(), 40.0, 90.0, 70.0],
                what: None,
            };
            scores.events = hot.map(event).into_iter().collect();
        }
        by_scorer.insert(scorer.to_owned(), scores);
    }
    ScoredCase { case, scores: by_scorer, duration_s: 4.0, spikes: Vec::new() }
}

fn evaluated() -> (Vec<ScoredCase>, Evaluation) {
    let cases = dataset();
    let settings = [("model", "startle-s1"), ("stride", "4"), ("device", "cpu")];
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let evaluation = evaluate("startle-world <test>", "startle", settings, &cases);
    (cases, evaluation)
}

#[test]
fn a_whole_evaluation_has_every_number_beside_its_controls() {
    let (cases, evaluation) = evaluated();
    let names: Vec<_> = evaluation.rows.iter().map(|r| r.name.as_str()).collect();
    let kinds = ["appear", "colour", "shape <b>&", "teleport", "vanish"];
    let groups = ["in view", "hidden", "adds motion", "removes motion", "neither", "all", "control"];
    assert_eq!(names, [&kinds[..], &groups[..]].concat());
    assert_eq!(evaluation.scorers, beside_every_model());
    for row in &evaluation.rows {
        assert_eq!(row.scorers.len(), beside_every_model().len());
        let statistics: Vec<_> = row.scorers[MOTION].accuracy.iter().map(|a| a.statistic.as_str()).collect();
        let wanted = ["headline max", "headline mean", "avg", "max", "filtered_avg", "filtered_max"];
        let contexts = ["context 8 avg", "context 16 avg", "context 8 max", "context 16 max"];
        assert_eq!(statistics, [&wanted[..], &contexts[..]].concat());
    }
    let all = &row(&evaluation, "all").scorers;
    assert!(all[MODEL].events.is_some() && all[COPY].events.is_none());
    assert!(all[COPY].vus_pr.is_some() && all[COPY].false_alarms_at_recall_85.is_some());
    assert_eq!(row(&evaluation, "hidden").scorers[MODEL].boxes, None, "what is hidden has no place in the picture");
    assert_eq!((evaluation.best.len(), evaluation.worst.len()), (3, 3));
    assert!(
        evaluation.best[0].margin >= evaluation.best[1].margin
            && evaluation.worst[0].margin <= evaluation.worst[1].margin
    );
    let mut backwards = cases.clone();
    backwards.reverse();
    assert_eq!(evaluate("startle-world <test>", "startle", evaluation.settings.clone(), &backwards), evaluation);
}

#[test]
fn outputs_are_whole_and_say_the_same() {
    let (cases, evaluation) = evaluated();
    let dir = tempfile::tempdir().unwrap();
    // To look at the page: STARTLE_EVALUATION_PAGE=/tmp/page cargo test --test evaluate
    let dir = std::env::var_os("STARTLE_EVALUATION_PAGE").map_or(dir.path().to_owned(), Into::into);
    let paths = write_all(&evaluation, &cases, &dir).unwrap();
    let names: Vec<_> = paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["evaluation.json", "cases.parquet", "evaluation.html", "evaluation.md"]);
    let read: Evaluation = serde_json::from_slice(&std::fs::read(&paths[0]).unwrap()).unwrap();
    assert_eq!(read, evaluation);
    let file = SerializedFileReader::new(std::fs::File::open(&paths[1]).unwrap()).unwrap();
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), cases.len() * beside_every_model().len());
    assert_eq!(rows[0].get_string(0).unwrap(), "appear/00/possible");
    assert_eq!(rows[0].get_string(6).unwrap(), MODEL);
    assert_eq!(
        rows[0].get_double(7).unwrap(),
        f64::from(cases[0].scores[MODEL].curve.iter().map(|p| p.1).fold(0.0, f32::max))
    );
    let page = page(&evaluation, &cases).unwrap();
    assert_eq!(page, String::from_utf8(std::fs::read(&paths[2]).unwrap()).unwrap());
    assert!(
        !page.contains("<b>") && !page.contains("<test>") && page.contains("shape &lt;b&gt;&amp;"),
        "names are escaped"
    );
    assert!(!page.contains("{{") && !page.contains("http://www.w3.org/1999/xhtml") && !page.contains("<script"));
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn the_terminal_and_markdown_have_the_pages_tables() {
    let (_, evaluation) = evaluated();
    let (plain, marked) = (table(&evaluation), markdown(&evaluation));
    let widest = plain.lines().map(|l| l.chars().count()).max().unwrap();
    assert!(widest <= 120, "{widest} columns");
    let model = row(&evaluation, "all").headline(MODEL).unwrap();
    let value = format!("{:.1}", 100.0 * model.value);
    assert!(plain.contains(&value) && marked.contains(&value));
    insta::assert_snapshot!("evaluation_table", plain);
    insta::assert_snapshot!("evaluation_markdown", marked);
}

proptest! {
    #[test]
    fn vus_pr_is_a_share_and_knows_only_order(
        curves in prop::collection::vec((prop::collection::vec(0u8..20, 3..20), prop::option::of(0.0..3.0f64)), 2..6),
    ) {
        let of = |map: fn(f32) -> f32| {
            let all: Vec<VideoScores> = curves
                .iter()
                .map(|(values, _)| scores(&values.iter().map(|v| map(f32::from(*v))).collect::<Vec<_>>(), 0.1))
                .collect();
            let track = |(scores, (_, onset_s)): (_, &(Vec<u8>, Option<f64>))| Track {
                scores, onset_s: *onset_s, place: None,
                what: None, duration_s: 4.0,
            };
            vus_pr(&all.iter().zip(&curves).map(track).collect::<Vec<_>>(), VUS_BUFFER)
        };
        let volume = of(|v| v);
        prop_assert!(volume.is_none_or(|v| v > 0.0 && v <= 1.0 + 1e-12));
        prop_assert_eq!(volume.map(|v| (1e9 * v).round()), of(|v| v.powi(2) + 1.0).map(|v| (1e9 * v).round()));
    }
}

#[test]
fn promised_rates_stand_beside_those_that_came() {
    let mut cases: Vec<ScoredCase> =
        (0..10).map(|i| scored(case(&format!("v{i}"), "g", "p", i % 2 == 0), 1.0)).collect();
    // 5 possible videos of 360 s are half an hour: a promise of 10 an hour is kept by 5 spikes.
    for scored in cases.iter_mut().filter(|c| c.case.possible) {
        scored.duration_s = 360.0;
        scored.spikes = PROMISED.iter().map(|rate| (*rate / 10.0).round() as usize).collect();
    }
    let evaluation = evaluate("d", "pairs", BTreeMap::new(), &cases);
    let kept = evaluation.reliability.iter().find(|r| r.promised_per_hour == 10.0).unwrap();
    assert_eq!((kept.spikes, kept.hours, kept.seen_per_hour), (5, 0.5, 10.0));
    let shown = page(&evaluation, &cases).unwrap();
    assert!(shown.contains("Promised rates") && shown.contains("(30.0 minutes)"));
    let without = evaluate("d", "pairs", BTreeMap::new(), &[scored(case("a", "g", "p", true), 1.0)]);
    assert!(without.reliability.is_empty());
    assert!(!page(&without, &[]).unwrap().contains("Promised rates"));
}
