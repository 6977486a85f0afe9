//! A curve in miniature: small enough to keep for a hundred thousand videos, good enough to see where it spikes.

use crate::record::Report;
use serde::Serialize;

/// Columns of a miniature.
pub const COLUMNS: usize = 96;
/// Highest level of a column.
pub const TOP: u8 = 63;
/// A column in which there is no curve.
const NONE: u8 = TOP + 1;
/// A character a level, and one for none.
const ALPHABET: &[u8; 65] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.";

/// The largest surprise of each column of time, events and the threshold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mini {
    /// A character a column: 0 is the lowest, 63 the highest value on show, `.` where there is no curve.
    pub levels: String,
    /// Level of the threshold.
    pub threshold: Option<u8>,
    /// First and last column of each event.
    pub events: Vec<[u8; 2]>,
}

impl Mini {
    /// Of a report's curve.
    pub fn of(report: &Report) -> Self {
        let end = report.curve.last().map_or(0.0, |p| p.t_s).max(report.input.duration_s).max(0.1);
        let column = |t: f64| ((t / end * COLUMNS as f64) as usize).min(COLUMNS - 1);
        let mut most = [f32::NEG_INFINITY; COLUMNS];
        for point in &report.curve {
            let at = &mut most[column(point.t_s)];
            *at = at.max(point.surprise);
        }
        spread(&mut most);
        let values = || most.iter().copied().filter(|v| v.is_finite());
        let low = values().fold(0.0, f32::min);
        let top = values().chain(report.config.resolved.threshold).fold(f32::MIN_POSITIVE, f32::max);
        let level = |v: f32| (((v - low) / (top - low)) * f32::from(TOP)).round().clamp(0.0, f32::from(TOP)) as u8;
        let levels = most.iter().map(|v| if v.is_finite() { level(*v) } else { NONE });
        Self {
            levels: levels.map(|l| char::from(ALPHABET[usize::from(l)])).collect(),
            threshold: report.config.resolved.threshold.map(level),
            events: report.events.iter().map(|e| [column(e.onset_s) as u8, column(e.end_s) as u8]).collect(),
        }
    }

    /// The level of each column that has one.
    pub fn points(&self) -> impl Iterator<Item = (usize, u8)> {
        let level = |byte: u8| ALPHABET.iter().position(|c| *c == byte).map(|l| l as u8).filter(|l| *l <= TOP);
        self.levels.bytes().enumerate().filter_map(move |(column, byte)| Some((column, level(byte)?)))
    }
}

/// Short videos have fewer moments than there are columns: a column between two that are filled gets the one before it.
fn spread(columns: &mut [f32; COLUMNS]) {
    let filled: Vec<usize> = (0..COLUMNS).filter(|i| columns[*i].is_finite()).collect();
    // A wider hole is a break in the curve.
    let most = (3 * COLUMNS).checked_div(filled.len()).unwrap_or(0).max(1);
    for pair in filled.windows(2).filter(|pair| pair[1] - pair[0] <= most) {
        let value = columns[pair[0]];
        columns[pair[0] + 1..pair[1]].fill(value);
    }
}
