//! Scene cuts: places where the picture before and after have little in common.

use crate::media::Picture;
use std::collections::VecDeque;

/// Cells along each side of the grid on which change is measured.
const GRID: usize = 8;
/// Mean absolute change of luma (0..1) above which a cell counts as changed. Chosen well above sensor noise and slow
/// exposure drift, well below the contrast between two unrelated pictures.
const CELL_CHANGE: f32 = 0.08;
/// Share of changed cells above which the pictures are called unrelated. A physics violation changes the cells of an
/// object, an edit changes nearly all.
const CUT_SHARE: f32 = 0.7;
/// The share must also be this many times the recent median, so that a fast pan is not a row of cuts.
const OVER_RECENT: f32 = 3.0;
/// Frames that make the recent median.
const RECENT: usize = 8;

/// Finds scene cuts, frame by frame, from the past alone.
#[derive(Debug, Default)]
pub struct CutDetector {
    last: Option<Vec<u8>>,
    recent: VecDeque<f32>,
}

/// How one frame differs from the one before it; nothing, for a segment's first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FrameChange {
    /// Mean absolute luma difference, 0..1.
    pub motion: f32,
    /// The same of the middle one of the cells of an 8 × 8 grid (the median): what changes most of the picture (a moving
    /// camera, noise, a new exposure) shows in it, what changes a corner does not. 0..1.
    pub typical: f32,
    /// Difference of the mean luma, without sign: exposure. 0..1.
    pub exposure: f32,
}

impl CutDetector {
    /// Takes the next picture on the model's clock; all pictures have one size.
    /// Gives how it differs from the one before, `None` if the two are unrelated.
    pub fn push(&mut self, picture: &Picture) -> Option<FrameChange> {
        let luma: Vec<u8> = picture.rgb().chunks_exact(3).map(luma).collect();
        let change = match self.last.take() {
            None => Some(FrameChange::default()),
            Some(last) => self.compare(&last, &luma, picture.width() as usize),
        };
        self.last = Some(luma);
        change
    }

    fn compare(&mut self, last: &[u8], luma: &[u8], width: usize) -> Option<FrameChange> {
        let mut cells = cell_changes(last, luma, width);
        let share = cells.iter().filter(|&&c| c > CELL_CHANGE).count() as f32 / cells.len() as f32;
        let cut = share >= CUT_SHARE && share >= OVER_RECENT * self.recent_median();
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(share);
        if cut {
            return None;
        }
        let middle = cells.len() / 2;
        let typical = *cells.select_nth_unstable_by(middle, f32::total_cmp).1;
        let total: u64 = last.iter().zip(luma).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let sum = |of: &[u8]| of.iter().map(|v| u64::from(*v)).sum::<u64>();
        let share = |total: u64| total as f32 / luma.len() as f32 / 255.0;
        Some(FrameChange { motion: share(total), typical, exposure: share(sum(last).abs_diff(sum(luma))) })
    }

    /// Forgets the past: the next picture starts a segment.
    pub fn reset(&mut self) {
        self.last = None;
        self.recent.clear();
    }

    fn recent_median(&self) -> f32 {
        let mut shares: Vec<f32> = self.recent.iter().copied().collect();
        shares.sort_by(f32::total_cmp);
        shares.get(shares.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Luma of an RGB pixel, ITU-R BT.709 weights in 1/256ths (54 + 183 + 19 = 256).
fn luma(rgb: &[u8]) -> u8 {
    let weighted = 54 * u32::from(rgb[0]) + 183 * u32::from(rgb[1]) + 19 * u32::from(rgb[2]);
    (weighted / 256) as u8
}

/// Mean absolute luma difference of each cell of a `GRID × GRID` grid, 0..1.
fn cell_changes(a: &[u8], b: &[u8], width: usize) -> Vec<f32> {
    let height = a.len() / width;
    let mut sums = vec![(0u32, 0u32); GRID * GRID];
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let (row, col) = (i / width * GRID / height, i % width * GRID / width);
        let cell = &mut sums[row * GRID + col];
        cell.0 += u32::from(x.abs_diff(*y));
        cell.1 += 1;
    }
    sums.iter().filter(|(_, n)| *n > 0).map(|(sum, n)| *sum as f32 / *n as f32 / 255.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(value: u8) -> Picture {
        Picture::new(32, 32, vec![value; 32 * 32 * 3])
    }

    fn with_square(at: usize) -> Picture {
        let mut rgb = vec![40; 32 * 32 * 3];
        for y in 8..20 {
            for x in at..at + 12 {
                rgb[(y * 32 + x) * 3..][..3].fill(230);
            }
        }
        Picture::new(32, 32, rgb)
    }

    #[test]
    fn an_edit_is_a_cut_and_an_object_that_teleports_is_not() {
        let mut cuts = CutDetector::default();
        assert_eq!(cuts.push(&with_square(0)), Some(FrameChange::default()));
        let jump = cuts.push(&with_square(20)).unwrap();
        assert!(jump.motion > 0.1 && jump.typical < 0.01 && jump.exposure < 0.01, "{jump:?}");
        assert_eq!(cuts.push(&flat(200)), None);
        assert_eq!(cuts.push(&flat(200)), Some(FrameChange::default()));
    }

    #[test]
    fn steady_change_everywhere_is_not_a_row_of_cuts() {
        let mut cuts = CutDetector::default();
        let cut_count = (0..20).filter(|i| cuts.push(&flat(if i % 2 == 0 { 20 } else { 90 })).is_none()).count();
        assert!(cut_count <= 2, "{cut_count} cuts");
    }

    #[test]
    fn slow_exposure_drift_is_not_a_cut() {
        let mut cuts = CutDetector::default();
        cuts.push(&flat(49));
        for i in 0..100 {
            let change = cuts.push(&flat(50 + i)).unwrap();
            let step = [change.motion, change.typical, change.exposure];
            assert!(step.iter().all(|v| (v - 1.0 / 255.0).abs() < 1e-6), "{step:?}");
        }
    }
}
