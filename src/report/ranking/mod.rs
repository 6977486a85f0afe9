//! The outputs of `startle rank`: `ranking.json`, `ranking.csv` and `ranking.html`, a page that plays the versions of a
//! scene in lockstep above their curves.
//!
//! Invariants: the same reports and ranking give the same bytes; the templates escape every text from outside.

mod page;

use super::{claim, csv, files, words};
use crate::error::{Error, Result};
use crate::rank::{Ranking, SCHEMA, Vote};
use crate::record::Report;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Files of a ranking; the first says whose they are.
const FILES: [&str; 3] = ["ranking.json", "ranking.csv", "ranking.html"];

/// Versions of one scene as one model ranks them.
#[derive(Debug)]
pub struct ByModel {
    /// The model's name.
    pub model: String,
    /// Where lawful footage came from: `bundle`, a path or `self`.
    pub baseline: String,
    /// The ranking.
    pub ranking: Ranking,
    /// The report of each version and its folder, in the ranking's order.
    pub reports: Vec<(Report, PathBuf)>,
}

/// Versions of one scene as all models rank them.
#[derive(Debug)]
pub struct Scene {
    /// What the versions are versions of; empty for those that were named one by one.
    pub name: String,
    /// A ranking a model, at least one.
    pub models: Vec<ByModel>,
    /// All models together, the best first.
    pub votes: Vec<Vote>,
}

impl Scene {
    /// The order of all models together.
    pub fn order(&self) -> impl Iterator<Item = &str> {
        self.votes.iter().map(|vote| vote.input.as_str())
    }

    /// How the first ranking came out, as a sentence.
    pub fn sentence(&self) -> String {
        let [first, second, ..] = &self.models[0].ranking.versions[..] else { return String::new() };
        let Some(behind) = &second.behind else { return String::new() };
        if second.place == 1 {
            return format!("{} and {} surprise alike", short(&first.input), short(&second.input));
        }
        let clear = if behind.clear { "" } else { "not clearly " };
        format!("{} is {clear}the most lawful; {} is next", short(&first.input), short(&second.input))
    }
}

/// A path's last part.
fn short(input: &str) -> String {
    let path = input.trim_end_matches('/');
    words::one_line(path.rsplit('/').next().unwrap_or(path))
}

/// Checks that rankings may be written to `dir`: what lies there under their names is an earlier one.
///
/// # Errors
/// [`Error::Config`] that names the file that is somebody else's.
pub fn check(dir: &Path) -> Result<()> {
    claim::check_ours(dir, &FILES, FILES[0], "ranking")
}

/// Writes the ranking of one scene to `dir`.
///
/// # Errors
/// [`Error::Output`] when a file can't be written, and as [`check`].
pub fn write(dir: &Path, scene: &Scene) -> Result<PathBuf> {
    let json = json(std::slice::from_ref(scene))?;
    write_files(dir, &json, &table(std::slice::from_ref(scene))?, &page::page(dir, scene))
}

/// Writes the list of many scenes to `root`; each one's own ranking lies in `folders`.
///
/// # Errors
/// As [`write`].
pub fn write_many(root: &Path, scenes: &[Scene], folders: &[PathBuf]) -> Result<PathBuf> {
    write_files(root, &json(scenes)?, &table(scenes)?, &page::list(root, scenes, folders))
}

fn write_files(dir: &Path, json: &[u8], csv: &[u8], page: &str) -> Result<PathBuf> {
    files::prepare(dir)?;
    check(dir)?;
    files::write_atomic(dir, FILES[0], json)?;
    files::write_atomic(dir, FILES[1], csv)?;
    files::write_atomic(dir, FILES[2], page.as_bytes())
}

fn json(scenes: &[Scene]) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct One<'a> {
        model: &'a str,
        model_sha256: &'a str,
        baseline: &'a str,
        unit: &'static str,
        #[serde(flatten)]
        ranking: &'a Ranking,
    }
    #[derive(Serialize)]
    struct RankingLine<'a> {
        scene: &'a str,
        order: &'a [Vote],
        models: Vec<One<'a>>,
    }
    let one = |by: &'_ ByModel| -> (String, &'static str) {
        by.reports.first().map_or_else(Default::default, |(r, _)| (r.model.sha256.clone(), words::surprise_unit(r)))
    };
    let heads: Vec<Vec<_>> = scenes.iter().map(|scene| scene.models.iter().map(one).collect()).collect();
    let lines: Vec<RankingLine<'_>> = scenes
        .iter()
        .zip(&heads)
        .map(|(scene, heads)| RankingLine {
            scene: &scene.name,
            order: &scene.votes,
            models: scene
                .models
                .iter()
                .zip(heads)
                .map(|(by, (sha256, unit))| One {
                    model: &by.model,
                    model_sha256: sha256,
                    baseline: &by.baseline,
                    unit,
                    ranking: &by.ranking,
                })
                .collect(),
        })
        .collect();
    let all = serde_json::json!({ "schema": SCHEMA, "startle_version": env!("CARGO_PKG_VERSION"), "scenes": lines });
    let fail = |e: serde_json::Error| Error::Internal { stage: "ranking", reason: e.to_string() };
    let mut bytes = serde_json::to_vec_pretty(&all).map_err(fail)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn table(scenes: &[Scene]) -> Result<Vec<u8>> {
    const COLUMNS: [&str; 15] = [
        "scene",
        "model",
        "place",
        "input",
        "energy",
        "low",
        "high",
        "best_share",
        "behind",
        "behind_low",
        "behind_high",
        "parts_s",
        "peak",
        "peak_s",
        "events",
    ];
    let mut rows = Vec::new();
    for scene in scenes {
        for by in &scene.models {
            for v in &by.ranking.versions {
                let behind = v.behind.as_ref();
                let cell = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
                rows.push(vec![
                    csv::text(&scene.name),
                    csv::text(&by.model),
                    v.place.to_string(),
                    csv::text(&v.input),
                    v.energy.to_string(),
                    v.interval[0].to_string(),
                    v.interval[1].to_string(),
                    v.best_share.to_string(),
                    cell(behind.map(|b| b.by)),
                    cell(behind.map(|b| b.interval[0])),
                    cell(behind.map(|b| b.interval[1])),
                    cell(behind.and_then(|b| b.parts_s)),
                    v.peak.to_string(),
                    v.peak_s.to_string(),
                    v.events.to_string(),
                ]);
            }
        }
    }
    csv::table(&COLUMNS, rows.into_iter())
}

/// A number and its interval for people.
fn with_interval(value: f64, interval: [f64; 2]) -> String {
    let [low, high] = interval.map(words::number);
    format!("{} [{low}, {high}]", words::number(value))
}
