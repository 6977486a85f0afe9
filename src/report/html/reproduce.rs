//! How to get the same result again: the command, and what it must be run on and with.

use super::super::words;
use crate::record::Report;
use maud::{Markup, html};

/// The section's HTML.
pub fn reproduce(report: &Report) -> Markup {
    let baseline = match (&report.config.asked.baseline_sha256, report.config.asked.baseline.as_str()) {
        (Some(sha256), _) => sha256,
        (None, "self") => "the video's own past",
        (None, _) => "",
    };
    let made_with = [
        ("startle", report.startle_version.as_str()),
        ("model", &report.model.name),
        ("sha256 of the model", &report.model.sha256),
        ("sha256 of the baseline", baseline),
        ("sha256 of the video", report.input.sha256.as_deref().unwrap_or("a stream: it can't be read again")),
    ];
    html! {
        pre id="command" tabindex="0" { (command(report)) }
        p { button id="copy" hidden { "copy" } }
        dl.hashes {
            @for (name, value) in made_with {
                div { dt { (name) } dd { code { @if value.is_empty() { "unknown" } @else { (value) } } } }
            }
        }
        p.quiet {
            "Every effective setting is listed below, as in " code { "result.json" } ". The same build, model and \
            device give the same numbers; another processor or runtime may differ in the last digits."
        }
    }
}

/// The command line that asks for what this report was made with, of the settings that change its numbers; what is left as
/// it usually is, is left out.
pub fn command(report: &Report) -> String {
    let config = &report.config;
    let mut words = vec!["startle analyze".to_owned(), quoted(&report.input.path)];
    let mut say = |option: &str, value: &str| words.push(format!("--{option} {}", quoted(value)));
    say("model", &report.model.name);
    if !matches!(config.resolved.device.as_str(), "" | "auto") {
        say("device", &config.resolved.device);
    }
    if config.asked.stride > 0 {
        say("stride", &config.asked.stride.to_string());
    }
    if config.asked.baseline != "bundle" && !config.asked.baseline.is_empty() {
        say("baseline", &config.asked.baseline);
    }
    if let Some((option, value)) = asked(&config.asked.threshold) {
        say(option, &value);
    }
    for (option, value, usual) in [
        ("merge", config.asked.merge_s, 0.5),
        ("min-duration", config.asked.min_duration_s, 0.0),
        ("cool-down", config.asked.cool_down_s, 0.0),
    ] {
        if (value - usual).abs() > 1e-9 {
            say(option, &value.to_string());
        }
    }
    say("top", &config.asked.top_fraction.to_string());
    if !config.asked.frame_steps.is_empty() {
        let steps: Vec<String> = config.asked.frame_steps.iter().map(ToString::to_string).collect();
        say("frame-steps", &steps.join(","));
    }
    if let Some(track) = config.asked.track {
        say("track", &track.to_string());
    }
    if let Some(fps) = config.asked.fps {
        say("fps", &fps.to_string());
    }
    // Its file, without the hash behind it.
    if let Some(actions) = &config.asked.actions {
        say("actions", actions.rsplit_once(" (sha256").map_or(actions.as_str(), |(file, _)| file));
    }
    if let Some(rate) = report.input.notes.iter().find_map(|note| image_rate(note)) {
        say("image-fps", rate);
    }
    if !config.asked.scene_cuts {
        words.push("--no-scene-cuts".into());
    }
    words.join(" ")
}

/// The option behind what was asked for, in words.
fn asked(words: &str) -> Option<(&'static str, String)> {
    if let Some(z) = words.strip_prefix("z ≥ ") {
        return Some(("z", z.to_owned()));
    }
    if let Some(p) = words.strip_prefix("p ≤ ") {
        return Some(("p-value", p.to_owned()));
    }
    let rate = words.strip_prefix("at most ")?.strip_suffix(" false alarms an hour")?;
    Some(("max-false-alarms", format!("{rate}/hour")))
}

/// The rate of a sequence of pictures, from the note about it.
fn image_rate(note: &str) -> Option<&str> {
    let (count, rate) = note.strip_suffix(" per second")?.split_once(" images at ")?;
    (count.bytes().all(|b| b.is_ascii_digit()) && rate.parse::<f64>().is_ok()).then_some(rate)
}

/// A word for a POSIX shell, on one line; what can't be seen stands as a mark.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:+=@%".contains(c);
    let word = words::one_line(word);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word;
    }
    let safe = if word.starts_with('-') { format!("./{word}") } else { word };
    format!("'{}'", safe.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("clips/a-b.mp4"), "clips/a-b.mp4");
        assert_eq!(quoted("it's $(rm -r ~) `x`.mp4"), "'it'\\''s $(rm -r ~) `x`.mp4'");
        assert_eq!(quoted("-rf.mp4"), "'./-rf.mp4'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn what_was_asked_becomes_its_option() {
        assert_eq!(asked("at most 30 false alarms an hour"), Some(("max-false-alarms", "30/hour".into())));
        assert_eq!(asked("p ≤ 0.001"), Some(("p-value", "0.001".into())));
        assert_eq!(asked("z ≥ 8"), Some(("z", "8".into())));
        assert_eq!(asked("something else"), None);
        assert_eq!(image_rate("20 images at 12.5 per second"), Some("12.5"));
        assert_eq!(image_rate("images at sea"), None);
    }
}
