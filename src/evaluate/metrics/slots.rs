//! Metrics in time: is the curve high when the impossible happens?
//!
//! In an impossible video the slots with `onset ≤ t ≤ onset + 0.5 s` (middle of the slot) are positive and those before
//! the onset negative; every slot of a possible video is negative. Slots later than that are left out: what the
//! impossible leaves behind (a hole where a thing was) may surprise for good reason or not at all.

use super::{ROUNDING_S, TOLERANCE_S, Track, auroc};
use std::ops::Range;

/// Longest buffer of [`vus_pr`], slots.
pub const VUS_BUFFER: usize = 5;

/// Where the labelled slots of a track are; empty at its place when no slot falls in, or for a possible video.
fn labelled(track: &Track<'_>) -> Range<usize> {
    let curve = &track.scores.curve;
    let Some(onset) = track.onset_s else { return curve.len()..curve.len() };
    let first = curve.partition_point(|p| p.0 < onset - ROUNDING_S);
    let end = curve.partition_point(|p| p.0 <= onset + TOLERANCE_S + ROUNDING_S);
    first..end
}

/// Area under the ROC curve over slots, 0..1, ties half; which slots count is said at the top of this file. Chance is
/// 0.5.
pub fn slot_auroc(tracks: &[Track<'_>]) -> Option<f64> {
    let (mut positives, mut negatives) = (Vec::new(), Vec::new());
    for track in tracks {
        let range = labelled(track);
        let score = |p: &(f64, f32)| f64::from(p.1);
        negatives.extend(track.scores.curve[..range.start].iter().map(score));
        positives.extend(track.scores.curve[range].iter().map(score));
    }
    auroc(&positives, &negatives)
}

/// A slot with its soft label, and the labelled range that it belongs to.
struct Soft {
    score: f32,
    label: f64,
    range: Option<usize>,
}

/// Volume under the precision–recall surface, 0..1 (VUS-PR; Paparrizos et al., VLDB 2022): the mean over buffer lengths
/// ℓ = 0, 1, …, `longest` slots of the area under the range-based precision–recall curve.
///
/// For each ℓ the label of a slot is 1 within a labelled range, √(1 − d/ℓ) at a distance of d ≤ ℓ/2 slots on either side
/// of it, and 0 elsewhere. At a threshold, with TP = Σ labels of the slots at or above it:
/// recall = min(1, TP / P) · (ranges with a slot of non-zero label at or above it) / ranges, where P is the mean of the
/// sums of hard and of soft labels; precision = TP / slots at or above it. The area is Σ (Rₖ − Rₖ₋₁) Pₖ over all distinct
/// scores (the authors' code samples 250 of them, and reaches one slot less far behind a range than before it).
///
/// Many short videos stand for the one long series of the paper: buffers stop at a video's ends. Slots that are left out
/// (see the top of this file) are put back, with their soft label, where the buffer reaches them.
pub fn vus_pr(tracks: &[Track<'_>], longest: usize) -> Option<f64> {
    let areas: Option<Vec<f64>> = (0..=longest).map(|buffer| range_auc_pr(tracks, buffer)).collect();
    areas.map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
}

/// Area under the range-based precision–recall curve for one buffer length; `None` when no slot is labelled, or none
/// is not.
fn range_auc_pr(tracks: &[Track<'_>], buffer: usize) -> Option<f64> {
    let (mut slots, mut ranges, mut hard) = (Vec::new(), 0, 0);
    for track in tracks {
        let range = labelled(track);
        hard += range.len();
        soften(track, &range, buffer, ranges, &mut slots);
        ranges += usize::from(!range.is_empty());
    }
    if hard == 0 || slots.iter().all(|s| s.range.is_some()) {
        return None;
    }
    slots.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let positive = f64::midpoint(hard as f64, slots.iter().map(|s| s.label).sum());
    let (mut area, mut recall_before, mut true_positive, mut called) = (0.0, 0.0, 0.0, 0);
    let (mut touched, mut touched_count) = (vec![false; ranges], 0);
    for tied in slots.chunk_by(|a, b| a.score == b.score) {
        called += tied.len();
        true_positive += tied.iter().map(|s| s.label).sum::<f64>();
        for range in tied.iter().filter_map(|s| s.range) {
            touched_count += usize::from(!std::mem::replace(&mut touched[range], true));
        }
        let recall = (true_positive / positive).min(1.0) * touched_count as f64 / ranges as f64;
        area += (recall - recall_before) * true_positive / called as f64;
        recall_before = recall;
    }
    Some(area)
}

/// Appends a track's slots with their soft labels; `number` is the labelled range's.
fn soften(track: &Track<'_>, range: &Range<usize>, buffer: usize, number: usize, slots: &mut Vec<Soft>) {
    let reach = if range.is_empty() { 0 } else { buffer / 2 };
    let end = (range.end + reach).min(track.scores.curve.len());
    let kept = if range.is_empty() { range.start } else { end };
    for (index, &(_, score)) in track.scores.curve[..kept].iter().enumerate() {
        let distance = if index < range.start { range.start - index } else { (index + 1).saturating_sub(range.end) };
        let near = !range.is_empty() && distance <= reach;
        let slope = || (1.0 - distance as f64 / buffer as f64).sqrt();
        let label = if !near {
            0.0
        } else if distance == 0 {
            1.0
        } else {
            slope()
        };
        slots.push(Soft { score, label, range: near.then_some(number) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::VideoScores;
    use super::*;

    fn curve(values: &[f32]) -> VideoScores {
        let at = |(i, v): (usize, &f32)| (0.1 + 0.2 * i as f64, *v);
        VideoScores { curve: values.iter().enumerate().map(at).collect(), ..VideoScores::default() }
    }

    fn track(scores: &VideoScores, onset_s: Option<f64>) -> Track<'_> {
        Track { scores, onset_s, place: None, what: None, duration_s: 2.0 }
    }

    #[test]
    fn slots_after_the_range_are_left_out() {
        // Middles 0.1, 0.3, … 1.5; an onset at 0.5 labels 0.5, 0.7 and 0.9.
        let impossible = curve(&[1.0, 2.0, 5.0, 6.0, 7.0, 9.0, 9.0, 0.0]);
        let possible = curve(&[3.0, 4.0]);
        let tracks = [track(&impossible, Some(0.5)), track(&possible, None)];
        assert_eq!(labelled(&tracks[0]), 2..5);
        assert_eq!(slot_auroc(&tracks), Some(1.0));
        assert_eq!(vus_pr(&tracks, 0), Some(1.0));
    }

    #[test]
    fn an_early_answer_is_worth_more_with_a_buffer() {
        // The peak is one slot early: false at ℓ = 0, half right at ℓ = 2.
        let impossible = curve(&[1.0, 9.0, 5.0, 2.0, 3.0, 0.0]);
        let tracks = [track(&impossible, Some(0.5))];
        let (hard, soft) = (range_auc_pr(&tracks, 0).unwrap(), range_auc_pr(&tracks, 2).unwrap());
        // ℓ = 0: 9 (false), 5, 3, 2 true: precision 1/2, 2/3, 3/4, each a third of the recall.
        assert!((hard - (0.5 + 2.0 / 3.0 + 0.75) / 3.0).abs() < 1e-12, "{hard}");
        assert!(soft > hard, "{soft} {hard}");
    }

    #[test]
    fn without_labels_there_is_no_metric() {
        let scores = curve(&[1.0, 2.0]);
        assert_eq!(slot_auroc(&[track(&scores, None)]), None);
        assert_eq!(vus_pr(&[track(&scores, None)], 5), None);
        assert_eq!(vus_pr(&[track(&scores, Some(9.0)), track(&scores, None)], 5), None);
        assert_eq!(vus_pr(&[track(&scores, Some(0.0))], 5), None);
    }
}
