//! `ranking.html`: the versions side by side in lockstep, their curves and how they differ; and the list of many scenes.

use super::super::html::player::{Player, relative_link};
use super::super::html::text::{escape, fill, href, script_json};
use super::super::{OutputOptions, palette, words};
use super::{ByModel, Scene, short, with_interval};
use crate::rank::Ranked;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The page of one scene, which is to lie in `dir`.
pub fn page(dir: &Path, scene: &Scene) -> String {
    let first = &scene.models[0];
    let tables: String = scene.models.iter().map(|by| table(dir, by)).collect();
    let unit = first.reports.first().map_or("", |(report, _)| words::surprise_unit(report));
    let title = if scene.name.is_empty() { "Ranking".to_owned() } else { format!("Ranking of {}", short(&scene.name)) };
    fill(
        include_str!("../assets/ranking.html"),
        &[
            ("css", palette::CSS),
            ("ranking_css", include_str!("../assets/ranking.css")),
            ("js", include_str!("../assets/ranking.js")),
            ("title", &escape(&title)),
            ("lead", &escape(&lead(scene))),
            ("reading", &reading(first)),
            ("tables", &tables),
            ("votes", &votes(scene)),
            ("screens", &screens(dir, scene)),
            ("unit", &escape(unit)),
            ("version", env!("CARGO_PKG_VERSION")),
            ("data", &script_json(&data(scene))),
        ],
    )
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
    escape(&format!(
        "Energy is the mean surprise over the {} moments from {} to {} that all versions have; the least is the most \
         lawful. Brackets hold 95 % of 2000 resamples of blocks of {} moments, drawn alike for all versions. {parting}",
        ranking.moments,
        words::time(ranking.span_s[0]),
        words::time(ranking.span_s[1]),
        ranking.block,
    ))
}

fn table(dir: &Path, by: &ByModel) -> String {
    let rows: String =
        by.ranking.versions.iter().zip(&by.reports).map(|(version, (_, folder))| row(dir, version, folder)).collect();
    format!(
        "<table class=\"wide\"><caption>{}</caption><thead><tr><th scope=\"col\" class=\"num\">place</th>\
         <th scope=\"col\">version</th><th scope=\"col\" class=\"num\">energy</th>\
         <th scope=\"col\" class=\"num\">behind the first</th><th scope=\"col\" class=\"num\">parts at</th>\
         <th scope=\"col\" class=\"num\">first in</th><th scope=\"col\" class=\"num\">peak</th>\
         <th scope=\"col\">events</th></tr></thead><tbody>{rows}</tbody></table>",
        escape(&by.model)
    )
}

fn row(dir: &Path, version: &Ranked, folder: &Path) -> String {
    let report = relative_link(&folder.join("report.html"), dir);
    let none = || "–".to_owned();
    let behind = version.behind.as_ref().map_or_else(none, |b| {
        let text = with_interval(b.by, b.interval);
        if b.clear { format!("<strong>{text}</strong>") } else { text }
    });
    let parts = version.behind.as_ref().and_then(|b| b.parts_s);
    let parts =
        parts.map_or_else(none, |t| format!("<button class=\"jump\" data-t=\"{t}\">{}</button>", words::time(t)));
    format!(
        "<tr><td class=\"num\">{}</td><th scope=\"row\"><a href=\"{report}\">{}</a></th><td class=\"num\">{}</td>\
         <td class=\"num\">{behind}</td><td class=\"num\">{parts}</td><td class=\"num\">{:.0} %</td>\
         <td class=\"num\">{} at <button class=\"jump\" data-t=\"{}\">{}</button></td><td>{}</td></tr>\n",
        version.place,
        escape(&words::one_line(&version.input)),
        with_interval(version.energy, version.interval),
        version.best_share * 100.0,
        words::number(version.peak),
        version.peak_s,
        words::time(version.peak_s),
        words::count(version.events, "event"),
    )
}

fn votes(scene: &Scene) -> String {
    if scene.models.len() < 2 {
        return String::new();
    }
    let row = |(place, vote): (usize, &crate::rank::Vote)| {
        format!(
            "<tr><td class=\"num\">{place}</td><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{} of {}\
             </td></tr>",
            escape(&words::one_line(&vote.input)),
            vote.places,
            vote.firsts,
            scene.models.len()
        )
    };
    let rows: String = (1..).zip(&scene.votes).map(row).collect();
    format!(
        "<table><caption>All models together</caption><thead><tr><th scope=\"col\" class=\"num\">place</th>\
         <th scope=\"col\">version</th><th scope=\"col\" class=\"num\">sum of places</th>\
         <th scope=\"col\" class=\"num\">first for</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

/// A screen a version, in the order of the first ranking, as the curves' colours are.
fn screens(dir: &Path, scene: &Scene) -> String {
    let first = &scene.models[0];
    let screen = |(index, (version, (report, _))): (usize, (&Ranked, &(crate::record::Report, PathBuf)))| {
        let options = OutputOptions { embed_limit: 0, ..OutputOptions::new(dir) };
        let path = Path::new(&report.input.path);
        let options = if path.is_file() { options.with_video(path) } else { options };
        let (width, height) = (report.input.width.max(1), report.input.height.max(1));
        let picture = match Player::choose(&report.input, &options) {
            Player::Linked(link) => format!(
                "<video playsinline muted preload=\"auto\" src=\"{}\" aria-label=\"{}\"></video>",
                escape(&link),
                escape(&version.input)
            ),
            Player::Embedded { .. } => String::new(),
            Player::Absent { why, .. } => format!("<p class=\"note\">{}</p>", escape(&why)),
        };
        format!(
            "<figure class=\"version\" style=\"--c:var(--v{})\"><div class=\"screen\" style=\"--w:{width};--h:{height}\">\
             {picture}</div><figcaption><label><input type=\"checkbox\" data-version=\"{index}\" checked> \
             <b>{}.</b> {}</label></figcaption></figure>\n",
            index % 8,
            version.place,
            escape(&short(&version.input))
        )
    };
    first.ranking.versions.iter().zip(&first.reports).enumerate().map(screen).collect()
}

/// What the script draws: the curves of each model, in the order of the first ranking.
fn data(scene: &Scene) -> Value {
    let order: Vec<&str> = scene.models[0].ranking.versions.iter().map(|v| v.input.as_str()).collect();
    let model = |by: &ByModel| {
        let of = |input: &&str| by.reports.iter().find(|(report, _)| report.input.path == *input);
        let curve = |report: &crate::record::Report| -> Vec<[f64; 2]> {
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
    let row = |(scene, folder): (&Scene, &PathBuf)| {
        let ranking = &scene.models[0].ranking;
        let count = ranking.versions.len();
        let behind = ranking.versions.get(1).and_then(|v| v.behind.as_ref());
        let behind = behind.map_or(String::new(), |b| {
            let text = with_interval(b.by, b.interval);
            if b.clear { format!("<strong>{text}</strong>") } else { text }
        });
        let link = folder.strip_prefix(root).unwrap_or(folder).join("ranking.html");
        format!(
            "<tr><th scope=\"row\"><a href=\"{}\">{}</a></th><td>{}</td><td class=\"num\">{count}</td>\
             <td class=\"num\">{behind}</td></tr>\n",
            href(&link.to_string_lossy()),
            escape(&words::one_line(&scene.name)),
            escape(&scene.order().next().map(short).unwrap_or_default()),
        )
    };
    let rows: String = scenes.iter().zip(folders).map(row).collect();
    let table = format!(
        "<table class=\"wide\"><thead><tr><th scope=\"col\">scene</th><th scope=\"col\">most lawful</th>\
         <th scope=\"col\" class=\"num\">of</th><th scope=\"col\" class=\"num\">the next is behind by</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    fill(
        include_str!("../assets/list.html"),
        &[
            ("css", palette::CSS),
            ("title", "Rankings"),
            ("lead", &escape(&format!("The most lawful of {}", words::count(scenes.len(), "scene")))),
            ("table", &table),
        ],
    )
}
