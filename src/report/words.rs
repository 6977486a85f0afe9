//! How the outputs put times, numbers and reasons into words, so that the picture and the page say the same.

use crate::evaluate;
use crate::media::GapReason;
use crate::model::objects;
use crate::record::{Event, EventKind, Horizon, Report};

/// A break in the run of frames, for people.
pub const fn gap(reason: GapReason) -> &'static str {
    match reason {
        GapReason::SceneCut => "scene cut",
        GapReason::TimestampGap => "timestamps jump ahead",
        GapReason::SlowFootage => "pictures too slow for the model's clock",
        GapReason::TimestampReset => "timestamps jump back",
        GapReason::FormatChange => "picture format changes",
        GapReason::Corrupt => "frames that can't be decoded",
        GapReason::Truncated => "file is cut off",
        GapReason::Overload => "skipped, inference too slow",
        GapReason::ConnectionLost => "connection lost",
    }
}

/// What gave an event away, in a word.
pub const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Spike => "spike",
        EventKind::Slow => "slow",
    }
}

/// An event's number and what it is: `Event 2: missing (slow)`.
pub fn event_title(event: &Event) -> String {
    let kind = event.what.as_ref().map_or(String::new(), |what| format!(": {}", what.kind.name()));
    let slow = if event.kind == EventKind::Slow { " (slow)" } else { "" };
    format!("Event {}{kind}{slow}", event.id)
}

/// A kind of prediction: `place, 0.5 s before`, `1.2 s before`, `colour`.
pub fn horizon(row: &Horizon) -> String {
    let part = one_line(&row.part).replace('_', " ");
    match row.ahead_s {
        // The number of its pictures is said by the time.
        Some(s) => {
            let part = part.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end();
            let comma = if part.is_empty() { "" } else { ", " };
            format!("{part}{comma}{} s before", rate(s))
        }
        None => part,
    }
}

/// Why an event is one, a sentence from its numbers.
pub fn evidence(event: &Event, report: &Report) -> String {
    let before = report.curve.iter().rev().find(|p| p.t_s < event.onset_s).map(|p| f64::from(p.surprise));
    let score = f64::from(event.score);
    let rose = before.filter(|b| *b < score).map_or("was".to_owned(), |b| format!("rose from {} to", number(b)));
    let threshold =
        report.config.resolved.threshold.map(f64::from).filter(|t| *t > 0.0 && event.kind == EventKind::Spike);
    let times =
        threshold.map_or(String::new(), |t| format!(", {} times the threshold of {}", number(score / t), number(t)));
    let normal = match (event.per_hour, event.p_value) {
        (Some(rate), _) => format!(" Normal footage has such a peak {}.", often(rate)),
        (None, Some(p)) => format!(" Of normal moments, a share of {} is as surprising.", number(f64::from(p))),
        (None, None) => format!(" That is {} robust standard deviations above the usual.", number(f64::from(event.z))),
    };
    format!(
        "Surprise {rose} {} within {}{times}.{normal}",
        number(score),
        time((event.peak_s - event.onset_s).max(0.0))
    )
}

/// How often something happens: `3.2 times an hour`, `once in 8.0 hours`, `once in 12.5 days`.
pub fn often(per_hour: f64) -> String {
    match per_hour {
        rate if rate <= 0.0 || !rate.is_finite() => "never in what it was learnt from".into(),
        rate if rate >= 1.0 => format!("{} times an hour", number(rate)),
        rate if rate >= 1.0 / 48.0 => format!("once in {} hours", number(1.0 / rate)),
        rate => format!("once in {} days", number(1.0 / rate / 24.0)),
    }
}

/// A time or duration in seconds: `4.25 s` below a minute, `2:05.3` below an hour, `1:02:05.3` above. The page's script
/// has the same rule.
pub fn time(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let s = seconds.abs();
    if s < 59.995 {
        // Halves go up, as the script rounds them.
        return format!("{sign}{:.2} s", (s * 100.0).round() / 100.0);
    }
    let tenths = (s * 10.0).round() as u64;
    let (hours, minutes, rest) = (tenths / 36_000, tenths / 600 % 60, tenths % 600);
    let seconds = format!("{:02}.{}", rest / 10, rest % 10);
    if hours == 0 { format!("{sign}{minutes}:{seconds}") } else { format!("{sign}{hours}:{minutes:02}:{seconds}") }
}

/// A number with three significant digits, without an exponent where that stays short.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        _ if !value.is_finite() => "?".into(),
        _ if !(0.001..100_000.0).contains(&size) => format!("{value:.1e}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A number of at most two places, such as a frame rate: `30`, `29.97`.
pub fn rate(fps: f64) -> String {
    let text = format!("{fps:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number and its noun: `1 event`, `3 events`, `no events`.
pub fn count(n: usize, noun: &str) -> String {
    match n {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}

/// Whether the report is of a model of objects, whose surprise is a rarity.
pub fn is_of_objects(report: &Report) -> bool {
    report.model.family == objects::FAMILY
}

/// The unit of the headline surprise, which depends on the model and on whether a baseline was at hand.
pub fn surprise_unit(report: &Report) -> &'static str {
    match (is_of_objects(report), report.config.asked.baseline.as_str()) {
        (true, "self") => "powers of ten, by the model alone",
        (true, _) => "rarity, powers of ten",
        (false, "self") => "L1 error",
        (false, _) => "times the usual",
    }
}

/// A scorer's name, short enough for a column of the terminal.
pub fn short_scorer(name: &str) -> &str {
    match name {
        evaluate::RANDOM => "random",
        evaluate::COPY => "copy",
        evaluate::OTHER => "other",
        evaluate::TURNING => "turning",
        evaluate::BENDING => "bending",
        evaluate::DIFFERENCE => "diff",
        evaluate::DIFFERENCE2 => "2nd diff",
        evaluate::MOTION => "motion",
        other => other,
    }
}

/// The input's name without its folders.
pub fn input_name(report: &Report) -> String {
    let path = report.input.path.trim_end_matches(['/', '\\']);
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    if name.is_empty() { report.input.path.clone() } else { name.to_owned() }
}

/// Text for a place that holds one plain line (a title, an SVG): line breaks and tabs become spaces, what
/// [`is_deceptive`] becomes a visible mark.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_deceptive(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Characters that show nothing themselves and can make the rest of a text look like another: control characters other
/// than white space, switches of the writing direction, and what XML does not allow.
pub const fn is_deceptive(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{9f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_made_visible() {
        assert_eq!(one_line("a\nb\u{202e}4pm.exe\u{1}"), "a b\u{fffd}4pm.exe\u{fffd}");
    }

    #[test]
    fn rates_read_well() {
        let shown = [3.2, 0.125, 1.0 / 300.0, 0.0].map(often);
        assert_eq!(
            shown,
            ["3.20 times an hour", "once in 8.00 hours", "once in 12.5 days", "never in what it was learnt from"]
        );
    }

    #[test]
    fn times_and_numbers_read_well() {
        let shown = [0.0, 1.125, 59.99, 59.999, 125.31, 3599.99, 36_000.0].map(time);
        assert_eq!(shown, ["0.00 s", "1.13 s", "59.99 s", "1:00.0", "2:05.3", "1:00:00.0", "10:00:00.0"]);
        let shown = [0.0, 0.000_04, 0.25, 2.34567, 31.4, 3141.5, f64::NAN].map(number);
        assert_eq!(shown, ["0", "4.0e-5", "0.250", "2.35", "31.4", "3142", "?"]);
        assert_eq!([0, 1, 2].map(|n| count(n, "event")), ["no events", "1 event", "2 events"]);
    }
}
