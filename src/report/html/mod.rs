//! `report.html`: the page that people open. Self-contained, works offline and from a mail attachment.
//!
//! Invariants: no network, no foreign script; templates escape every text from outside; data for the script is JSON
//! that can't end its element; what was found can be read without a script.

mod card;
mod chart;
mod data;
pub(super) mod index;
pub(super) mod parts;
pub(super) mod player;
mod reproduce;
mod sections;

use super::{OutputOptions, words};
use crate::record::Report;
use maud::{Markup, PreEscaped, html};
use parts::{script_json, section};
use player::Player;

/// The page for one report.
pub fn page(report: &Report, options: &OutputOptions) -> String {
    let player = Player::choose(&report.input, options);
    let name = words::one_line(&words::input_name(report));
    let body = html! {
        header.top {
            p.brand { "startle" }
            h1 title=(report.input.path) { (name) }
            p.lead { (sections::lead(report)) }
            dl.facts { (sections::facts(report)) }
        }
        (sections::banner(report))
        main {
            (stage(report, options, &player))
            (section("how", "How to read this", &html! { div.prose { (sections::reading(report)) } }))
            div.columns {
                (section("breaks", "Breaks and notes", &sections::breaks(report)))
                (section("numbers", "Surprise of the whole video", &sections::numbers(report)))
            }
            (section("again", "The same again", &reproduce::reproduce(report)))
            (parts::settings("Settings and timings", &settings(report)))
        }
        footer { p {
            "Made by startle " (report.startle_version) ". The numbers behind this page: " code { "result.json" } ", "
            code { "curve.csv" } ", " code { "curve.parquet" } ", " code { "events.csv" } "."
        } }
    };
    let scripts = html! {
        script type="application/json" id="data" { (script_json(&data::data(report))) }
        (player.payload())
        script { (PreEscaped(include_str!("../assets/report.js"))) }
    };
    parts::document(&format!("{name} – startle"), Some(&report.startle_version), "", body, &scripts)
}

/// The video, its curve and its events.
fn stage(report: &Report, options: &OutputOptions, player: &Player) -> Markup {
    let strongest = report.events.iter().max_by(|a, b| a.score.total_cmp(&b.score));
    let poster = strongest.map_or("", |event| event.thumbnail.as_str());
    html! {
        div.stage {
            section.player aria-label="Video" {
                (player.html(&report.input, poster))
                (player.beside(options.embed_limit))
                (sections::film(report, options))
            }
            (chart::chart(words::surprise_unit(report)))
            section.found aria-labelledby="found" {
                h2 id="found" { "Events" }
                (sections::events(report))
            }
        }
    }
}

fn settings(report: &Report) -> Markup {
    html! {
        div.columns {
            (sections::fields("input", &report.input, &["gaps", "notes"]))
            (sections::fields("model", &report.model, &[]))
            (sections::fields("config", &report.config, &[]))
            (sections::fields("timings", &report.timings, &[]))
        }
    }
}

/// A picture of ours as a link; nothing for what is not base64 and nothing else.
fn jpeg(text: &str) -> Option<String> {
    let is_ours = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    (!text.is_empty() && text.bytes().all(is_ours)).then(|| format!("data:image/jpeg;base64,{text}"))
}
