//! `report.html`: the page that people open. Self-contained, works offline and from a mail attachment.
//!
//! Invariants: no network, no foreign script; every text from outside is escaped; data for the script is JSON that can't
//! end its element; what was found can be read without a script.

mod card;
mod data;
pub(super) mod index;
pub(super) mod player;
mod reproduce;
mod sections;
pub(super) mod text;

use super::{OutputOptions, palette, words};
use crate::record::Report;
use player::Player;
use text::{escape, fill, script_json};

/// The page for one report.
pub fn page(report: &Report, options: &OutputOptions) -> String {
    let player = Player::choose(&report.input, options);
    let strongest = report.events.iter().max_by(|a, b| a.score.total_cmp(&b.score));
    let poster = strongest.map_or("", |event| event.thumbnail.as_str());
    let settings = [
        sections::fields("input", &report.input, &["gaps", "notes"]),
        sections::fields("model", &report.model, &[]),
        sections::fields("config", &report.config, &[]),
        sections::fields("timings", &report.timings, &[]),
    ];
    let rule = match report.config.resolved.threshold_rule.as_str() {
        "" => String::new(),
        rule => format!(" Here: {}.", escape(rule)),
    };
    fill(
        include_str!("../assets/report.html"),
        &[
            ("css", palette::CSS),
            ("js", include_str!("../assets/report.js")),
            ("name", &escape(&words::one_line(&words::input_name(report)))),
            ("path", &escape(&report.input.path)),
            ("lead", &sections::lead(report)),
            ("facts", &sections::facts(report)),
            ("banner", &sections::banner(report)),
            ("player", &(player.html(&report.input, poster) + &player.beside(options.embed_limit))),
            ("film", &sections::film(report, options)),
            ("unit", words::surprise_unit(report)),
            ("events", &sections::events(report)),
            ("reproduce", &reproduce::reproduce(report)),
            ("horizons", sections::horizons(report)),
            ("reading", sections::reading(report)),
            ("raw_words", sections::raw_words(report)),
            ("breaks", &sections::breaks(report)),
            ("video_surprise", &sections::video_surprise(report)),
            ("slower", &sections::slower(report)),
            ("threshold_rule", &rule),
            ("settings", &settings.concat()),
            ("version", &escape(&report.startle_version)),
            ("data", &script_json(&data::data(report))),
            ("payload", &player.payload()),
        ],
    )
}

/// Whether a text is base64 and nothing else, as a picture of ours is.
fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}
