//! When somebody wants to hear of events: days of the week and times of the day.

use std::str::FromStr;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_A_DAY: u16 = 24 * 60;

/// Spans of the week, by the local clock; empty: always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub(super) Vec<DutySpan>);

/// On some days from a time to another; one that ends before it begins ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DutySpan {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes from midnight.
    from: u16,
    to: u16,
}

impl Schedule {
    /// Whether a minute of a day (0 is Monday) lies in it.
    pub fn holds(&self, day: usize, minute: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|span| span.holds(day, minute))
    }
}

impl DutySpan {
    fn holds(&self, day: usize, minute: u16) -> bool {
        let [today, yesterday] = [self.days[day % 7], self.days[(day + 6) % 7]];
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }
}

impl FromStr for DutySpan {
    type Err = String;

    /// `mon-fri 18:00-06:00`, `sat,sun` or `22:00-06:00`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fail =
            || format!("\"{text}\" is not a time such as \"mon-fri 18:00-06:00\", \"sat,sun\" or \"22:00-06:00\"");
        let (mut days, mut times) = (None, None);
        for part in text.split_whitespace() {
            let is_time = part.starts_with(|c: char| c.is_ascii_digit());
            if is_time && times.is_none() {
                let (from, to) = part.split_once('-').ok_or_else(fail)?;
                times = Some((clock(from).ok_or_else(fail)?, clock(to).ok_or_else(fail)?));
            } else if !is_time && days.is_none() {
                days = Some(days_of(part).ok_or_else(fail)?);
            } else {
                return Err(fail());
            }
        }
        if days.is_none() && times.is_none() {
            return Err(fail());
        }
        let (from, to) = times.unwrap_or((0, MINUTES_A_DAY));
        if from == to {
            return Err(format!("\"{text}\" begins when it ends"));
        }
        Ok(Self { days: days.unwrap_or([true; 7]), from, to })
    }
}

/// Minutes from midnight; `24:00` is the day's end.
fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours <= 24 && hours * 60 + minutes <= MINUTES_A_DAY).then_some(hours * 60 + minutes)
}

/// `mon-fri`, `sat,sun`, `fri-mon`.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let index = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        (0..=(last + 7 - first) % 7).for_each(|offset| days[(first + offset) % 7] = true);
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(spans: &[&str]) -> Schedule {
        Schedule(spans.iter().map(|s| s.parse().unwrap()).collect())
    }

    #[test]
    fn spans_of_the_week_are_read_and_nights_reach_into_the_next_day() {
        let nights = schedule(&["mon-fri 18:00-06:00", "sat,sun"]);
        let at = |day, hour: u16| nights.holds(day, hour * 60);
        assert!(at(0, 18) && at(0, 23) && at(1, 5) && !at(1, 6) && !at(1, 12) && !at(0, 5));
        assert!(at(5, 5) && at(5, 12) && at(6, 23), "Saturday and Sunday all day");
        let daily = schedule(&["08:30-17:00"]);
        assert!(daily.holds(3, 510) && !daily.holds(3, 509) && !daily.holds(3, 1020));
        assert!(schedule(&["fri-mon"]).holds(6, 0) && !schedule(&["fri-mon"]).holds(2, 0));
        assert!(Schedule::default().holds(2, 7));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "noon", "mon 25:00-26:00", "mon-xyz", "18:00", "8-9", "mon tue", "08:00-08:00", "mon 8:00-9:60"]
        {
            assert!(text.parse::<DutySpan>().is_err(), "{text}");
        }
    }
}
