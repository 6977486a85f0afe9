//! Ticks that fall on round numbers, for surprise and for time.

/// Steps on which a clock's ticks fall, seconds.
const TIME_STEPS: [f64; 22] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0,
    21_600.0, 43_200.0, 86_400.0, 172_800.0,
];

/// Multiples of a round step (1, 2 or 5 times a power of ten) within `low..=high`: at most about `count` of them.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![low];
    }
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    multiples(step, low, high)
}

/// Ticks of a clock within `0..=duration` seconds, at most about `count`, and the step between them.
pub fn time_ticks(duration: f64, count: usize) -> (Vec<f64>, f64) {
    let rough = duration / count.max(1) as f64;
    let step = TIME_STEPS.into_iter().find(|s| *s >= rough).unwrap_or_else(|| (rough / 86_400.0).ceil() * 86_400.0);
    (multiples(step, 0.0, duration), step)
}

/// A tick's label: seconds, `min:s`, or `h:min:s` for the whole axis alike.
pub fn time_label(t: f64, step: f64, duration: f64) -> String {
    let whole = t.round() as u64;
    if duration >= 3600.0 {
        let seconds = if step < 60.0 { format!(":{:02}", whole % 60) } else { String::new() };
        return format!("{}:{:02}{seconds}", whole / 3600, whole / 60 % 60);
    }
    if duration >= 120.0 {
        return format!("{}:{:02}", whole / 60, whole % 60);
    }
    if step < 1.0 { format!("{t:.1}") } else { format!("{t:.0}") }
}

/// What [`time_label`] counts in.
pub fn time_unit(duration: f64, step: f64) -> &'static str {
    match duration {
        d if d >= 3600.0 && step < 60.0 => "h:min:s",
        d if d >= 3600.0 => "h:min",
        d if d >= 120.0 => "min:s",
        _ => "s",
    }
}

/// A tick's number without needless zeros.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few_for_any_length() {
        assert_eq!(ticks(0.0, 9.3, 5), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(2.0, 2.0, 5), [2.0]);
        for duration in [0.5, 5.0, 61.0, 119.0, 3600.0, 36_000.0, 1e6] {
            let (at, step) = time_ticks(duration, 10);
            assert!((1..=11).contains(&at.len()), "{duration}: {at:?}");
            let labels: std::collections::BTreeSet<_> = at.iter().map(|t| time_label(*t, step, duration)).collect();
            assert_eq!(labels.len(), at.len(), "labels of a {duration} s axis are distinct");
        }
        assert_eq!(time_label(5400.0, 1800.0, 36_000.0), "1:30");
        assert_eq!(time_label(2.5, 0.5, 5.0), "2.5");
    }
}
