//! Where in the picture: the connected hot tokens around the hottest one.

use std::ops::Range;

/// Tokens at least this share of the hottest token's value belong to its region.
const REGION_SHARE: f32 = 0.5;

/// Index of the token with the largest value; `None` for an empty map.
pub fn hottest(heat: &[f32]) -> Option<usize> {
    (0..heat.len()).max_by(|a, b| heat[*a].total_cmp(&heat[*b]))
}

/// Rows and columns that bound the 4-connected region around the hottest token whose values are at least half of it.
/// `heat` is a row-major `grid × grid` map; an empty one gives empty ranges.
pub fn hot_region(heat: &[f32], grid: usize) -> (Range<usize>, Range<usize>) {
    let Some(peak) = hottest(heat) else { return (0..0, 0..0) };
    let threshold = heat[peak] * REGION_SHARE;
    let (mut seen, mut todo) = (vec![false; heat.len()], vec![peak]);
    seen[peak] = true;
    let (mut rows, mut cols) = (peak / grid..peak / grid + 1, peak % grid..peak % grid + 1);
    while let Some(token) = todo.pop() {
        let (row, col) = (token / grid, token % grid);
        rows = rows.start.min(row)..rows.end.max(row + 1);
        cols = cols.start.min(col)..cols.end.max(col + 1);
        let neighbours = [
            (row > 0).then(|| token - grid),
            (row + 1 < grid).then_some(token + grid),
            (col > 0).then(|| token - 1),
            (col + 1 < grid).then_some(token + 1),
        ];
        for next in neighbours.into_iter().flatten().filter(|n| heat[*n] >= threshold) {
            if !std::mem::replace(&mut seen[next], true) {
                todo.push(next);
            }
        }
    }
    (rows, cols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_connected_and_bounds_the_hot_tokens() {
        #[rustfmt::skip]
        let heat = [
            0.0, 0.0, 0.0, 9.0,
            0.0, 5.0, 8.0, 0.0,
            0.0, 0.0, 6.0, 0.0,
            7.0, 0.0, 0.0, 0.0,
        ];
        assert_eq!(hot_region(&heat, 4), (0..1, 3..4));
        let mut heat = heat;
        heat[3] = 1.0;
        assert_eq!(hot_region(&heat, 4), (1..3, 1..3));
        assert_eq!(hot_region(&[], 0), (0..0, 0..0));
    }
}
