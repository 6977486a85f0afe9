//! The moments that all versions of a scene have.

use super::Version;
use crate::error::{Error, Result};

/// Two points of a curve further apart than so many slots have a break between them.
const BREAK: f64 = 2.5;

/// Times on a grid of `slot_s` seconds at which every version has a surprise, and the surprises there, a row a version;
/// between two points of a curve it is interpolated.
///
/// # Errors
/// [`Error::Config`] when there are fewer than two.
pub fn common(versions: &[Version], slot_s: f64) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let spans: Option<Vec<(f64, f64)>> =
        versions.iter().map(|v| Some((v.curve.first()?.0, v.curve.last()?.0))).collect();
    let (mut times, mut rows) = (Vec::new(), vec![Vec::new(); versions.len()]);
    if let Some((start, end)) = spans.and_then(|s| s.into_iter().reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)))) {
        // Half a thousandth of a slot: sums of slots are not exact.
        let steps = ((end - start) / slot_s + 5e-4).floor();
        for step in 0..=(steps.max(-1.0) as i64) {
            let t = start + step as f64 * slot_s;
            let values: Option<Vec<f64>> = versions.iter().map(|v| at(&v.curve, t, slot_s)).collect();
            if let Some(values) = values {
                times.push(t);
                rows.iter_mut().zip(values).for_each(|(row, value)| row.push(value));
            }
        }
    }
    if times.len() >= 2 {
        return Ok((times, rows));
    }
    let spans: Vec<String> = versions
        .iter()
        .map(|v| match (v.curve.first(), v.curve.last()) {
            (Some(first), Some(last)) => format!("{} from {:.1} to {:.1} s", v.input, first.0, last.0),
            _ => format!("{} nowhere (too short, or broken)", v.input),
        })
        .collect();
    Err(Error::Config(format!("these have no moments in common: {}", spans.join(", "))))
}

/// The surprise of a curve at a time; `None` outside it and in a break.
fn at(curve: &[(f64, f64)], t: f64, slot_s: f64) -> Option<f64> {
    let close = slot_s * 1e-3;
    let after = curve.partition_point(|p| p.0 < t - close);
    let next = curve.get(after)?;
    if (next.0 - t).abs() <= close {
        return Some(next.1);
    }
    let before = &curve[after.checked_sub(1)?];
    let gap = next.0 - before.0;
    (gap <= BREAK * slot_s).then(|| before.1 + (next.1 - before.1) * (t - before.0) / gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(curve: &[(f64, f64)]) -> Version {
        Version { input: "v".into(), curve: curve.to_vec(), events: 0 }
    }

    #[test]
    fn other_rates_are_interpolated_and_breaks_left_out() {
        let one = version(&[(0.0, 0.0), (0.1, 1.0), (0.2, 2.0), (0.9, 9.0), (1.0, 10.0)]);
        let other =
            version(&[(0.05, 0.0), (0.15, 10.0), (0.25, 20.0), (0.5, 0.0), (0.7, 0.0), (0.95, 7.0), (1.05, 8.0)]);
        let (times, rows) = common(&[one, other], 0.1).unwrap();
        let shown: Vec<_> = times.iter().map(|t| (t * 100.0).round()).collect();
        assert_eq!(shown, [5.0, 15.0, 95.0]);
        let near = |row: &[f64], want: [f64; 3]| row.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near(&rows[0], [0.5, 1.5, 9.5]) && near(&rows[1], [0.0, 10.0, 7.0]), "{rows:?}");
    }
}
