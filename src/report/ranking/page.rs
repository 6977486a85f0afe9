//! `ranking.html`: the versions side by side in lockstep, their curves and how they differ; and the list of many scenes.

use super::super::html::parts::{self, href, jump, script_json, section};
use super::super::html::player::{Player, relative_link};
use super::super::{OutputOptions, words};
use super::{ByModel, Scene, short, with_interval};
use crate::rank::{Behind, Ranked};
use crate::record::Report;
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The page of one scene, which is to lie in `dir`.
pub fn page(dir: &Path, scene: &Scene) -> String {
    let first = &scene.models[0];
    let unit = first.reports.first().map_or("", |(report, _)| words::surprise_unit(report));
    let title = if scene.name.is_empty() { "Ranking".to_owned() } else { format!("Ranking of {}", short(&scene.name)) };
    let version = env!("CARGO_PKG_VERSION");
    let body = html! {
        header.top {
            p.brand { "startle · ranking" }
            h1 { (title) }
            p.lead { (lead(scene)) }
        }
        main {
            div.scroll tabindex="0" role="region" aria-label="Ranking" {
                @for by in &scene.models { (table(dir, by)) }
                @if scene.models.len() > 1 { (votes(scene)) }
            }
            p.note { (reading(first)) }
            (section("side", "Side by side", &side_by_side(unit, &screens(dir, scene))))
        }
        footer { "startle " (version) }
    };
    let scripts = html! {
        script type="application/json" id="data" { (script_json(&data(scene))) }
        script { (PreEscaped(include_str!("../assets/ranking.js"))) }
    };
    let css = include_str!("../assets/ranking.css");
    parts::document(&format!("{title} – startle"), Some(version), css, body, &scripts)
}

/// The versions' screens, what moves them, and the place of their curves.
fn side_by_side(unit: &str, screens: &Markup) -> Markup {
    html! {
        div.bar {
            div.tools {
                button id="play" aria-keyshortcuts="Space" { "Play" }
                button id="back" aria-keyshortcuts="," title="One frame back" { "−1 frame" }
                button id="on" aria-keyshortcuts="." title="One frame on" { "+1 frame" }
                button id="part" aria-keyshortcuts="p" { "Where they part" }
                label { "Speed " select id="speed" {
                    @for speed in [0.1, 0.25, 0.5, 1.0] { option value=(speed) selected[speed == 1.0] { (speed) "×" } }
                } }
                label { "Model " select id="model" {} }
            }
            p id="readout" aria-live="off" {}
        }
        div.versions { (screens) }
        figure.curves {
            figcaption { "Surprise (" (unit) ")" }
            div id="surprise" role="img" aria-label="Surprise of each version over time" {}
        }
        figure.curves {
            figcaption { "Difference to the first" }
            div id="difference" role="img" aria-label="Surprise of each version less that of the first, over time" {}
        }
        p.keys {
            kbd { "space" } " play · " kbd { "," } " " kbd { "." } " frame · " kbd { "←" } " " kbd { "→" } " second · "
            kbd { "p" } " where they part · " kbd { "1" } "…" kbd { "9" } " show a version"
        }
    }
}

fn lead(scene: &Scene) -> String {
    let versions = &scene.models[0].ranking.versions;
    let parts = versions.get(1).and_then(|v| v.behind.as_ref()).and_then(|behind| behind.parts_s);
    let parts = parts.map_or(String::new(), |t| format!(". They part at {}", words::time(t)));
    format!("{}{parts}.", scene.sentence())
}

fn reading(by: &ByModel) -> String {
    let ranking = &by.ranking;
    let parting = match ranking.parting {
        Some(most) => format!(
            "Two versions part where their surprise differs by more than {}: two lawful videos of this length come as far \
             apart in one of twenty cases.",
            words::number(most)
        ),
        None => {
            "Without a baseline nothing is known of how far lawful videos come apart, so no moment of parting is told."
                .to_owned()
        }
    };
    format!(
        "Energy is the mean surprise over the {} moments from {} to {} that all versions have; the least is the most \
         lawful. Brackets hold 95 % of 2000 resamples of blocks of {} moments, drawn alike for all versions. {parting}",
        ranking.moments,
        words::time(ranking.span_s[0]),
        words::time(ranking.span_s[1]),
        ranking.block,
    )
}

fn table(dir: &Path, by: &ByModel) -> Markup {
    html! {
        table.wide {
            caption { (by.model) }
            thead { tr {
                th.num scope="col" { "place" }
                th scope="col" { "version" }
                @for name in ["energy", "behind the first", "parts at", "first in", "peak"] {
                    th.num scope="col" { (name) }
                }
                th scope="col" { "events" }
            } }
            tbody { @for (version, (_, folder)) in by.ranking.versions.iter().zip(&by.reports) {
                (row(version, &relative_link(&folder.join("report.html"), dir)))
            } }
        }
    }
}

fn row(version: &Ranked, report: &str) -> Markup {
    let parts = version.behind.as_ref().and_then(|b| b.parts_s);
    html! {
        tr {
            td.num { (version.place) }
            th scope="row" { a href=(report) { (words::one_line(&version.input)) } }
            td.num { (with_interval(version.energy, version.interval)) }
            td.num { @if let Some(b) = &version.behind { (behind(b)) } @else { "–" } }
            td.num { @if let Some(t) = parts { (jump(t)) } @else { "–" } }
            td.num { (format!("{:.0} %", version.best_share * 100.0)) }
            td.num { (words::number(version.peak)) " at " (jump(version.peak_s)) }
            td { (words::count(version.events, "event")) }
        }
    }
}

/// By how much, in bold where that is clear.
fn behind(behind: &Behind) -> Markup {
    let text = with_interval(behind.by, behind.interval);
    html! { @if behind.clear { strong { (text) } } @else { (text) } }
}

fn votes(scene: &Scene) -> Markup {
    html! {
        table {
            caption { "All models together" }
            thead { tr {
                th.num scope="col" { "place" }
                th scope="col" { "version" }
                th.num scope="col" { "sum of places" }
                th.num scope="col" { "first for" }
            } }
            tbody { @for (place, vote) in (1..).zip(&scene.votes) {
                tr {
                    td.num { (place) }
                    th scope="row" { (words::one_line(&vote.input)) }
                    td.num { (vote.places) }
                    td.num { (vote.firsts) " of " (scene.models.len()) }
                }
            } }
        }
    }
}

/// A screen a version, in the order of the first ranking, as the curves' colours are.
fn screens(dir: &Path, scene: &Scene) -> Markup {
    let first = &scene.models[0];
    let picture = |version: &Ranked, report: &Report| {
        let options = OutputOptions { embed_limit: 0, ..OutputOptions::new(dir) };
        let path = Path::new(&report.input.path);
        let options = if path.is_file() { options.with_video(path) } else { options };
        match Player::choose(&report.input, &options) {
            Player::Linked(link) => html! {
                video playsinline muted preload="auto" src=(link) aria-label=(version.input) {}
            },
            Player::Embedded { .. } => html! {},
            Player::Absent { why, .. } => html! { p.note { (why) } },
        }
    };
    html! {
        @for (index, (version, (report, _))) in first.ranking.versions.iter().zip(&first.reports).enumerate() {
            figure.version style={ "--c:var(--v" (index % 8) ")" } {
                div.screen style={ "--w:" (report.input.width.max(1)) ";--h:" (report.input.height.max(1)) } {
                    (picture(version, report))
                }
                figcaption { label {
                    input type="checkbox" data-version=(index) checked;
                    " " b { (version.place) "." } " " (short(&version.input))
                } }
            }
        }
    }
}

/// What the script draws: the curves of each model, in the order of the first ranking.
fn data(scene: &Scene) -> Value {
    let order: Vec<&str> = scene.models[0].ranking.versions.iter().map(|v| v.input.as_str()).collect();
    let model = |by: &ByModel| {
        let of = |input: &&str| by.reports.iter().find(|(report, _)| report.input.path == *input);
        let curve = |report: &Report| -> Vec<[f64; 2]> {
            let round = |v: f32| (f64::from(v) * 1e4).round() / 1e4;
            report.curve.iter().map(|p| [(p.t_s * 1e4).round() / 1e4, round(p.surprise)]).collect()
        };
        let curves: Vec<Value> = order.iter().map(|i| of(i).map_or(Value::Null, |(r, _)| json!(curve(r)))).collect();
        let parts: Vec<Option<f64>> = order
            .iter()
            .map(|input| {
                let version = by.ranking.versions.iter().find(|v| v.input == **input)?;
                version.behind.as_ref()?.parts_s
            })
            .collect();
        json!({ "name": by.model, "curves": curves, "parts": parts, "parting": by.ranking.parting })
    };
    let fps = scene.models[0].reports.iter().map(|(report, _)| report.input.fps).fold(1.0, f64::max);
    let models: Vec<Value> = scene.models.iter().map(model).collect();
    json!({ "names": order.iter().map(|i| short(i)).collect::<Vec<_>>(), "models": models, "fps": fps })
}

/// The page of many scenes, which is to lie in `root`.
pub fn list(root: &Path, scenes: &[Scene], folders: &[PathBuf]) -> String {
    let row = |scene: &Scene, folder: &Path| {
        let versions = &scene.models[0].ranking.versions;
        let link = folder.strip_prefix(root).unwrap_or(folder).join("ranking.html");
        html! {
            tr {
                th scope="row" { a href=(href(&link.to_string_lossy())) { (words::one_line(&scene.name)) } }
                td { (scene.order().next().map(short).unwrap_or_default()) }
                td.num { (versions.len()) }
                td.num { @if let Some(b) = versions.get(1).and_then(|v| v.behind.as_ref()) { (behind(b)) } }
            }
        }
    };
    let table = html! {
        table.wide {
            thead { tr {
                th scope="col" { "scene" }
                th scope="col" { "most lawful" }
                th.num scope="col" { "of" }
                th.num scope="col" { "the next is behind by" }
            } }
            tbody { @for (scene, folder) in scenes.iter().zip(folders) { (row(scene, folder)) } }
        }
    };
    parts::listing("Rankings", &format!("The most lawful of {}", words::count(scenes.len(), "scene")), &table)
}
