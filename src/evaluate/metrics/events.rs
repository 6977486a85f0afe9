//! Events against labelled onsets: which are found, how soon, and how many are false.

use super::super::EventSpan;
use super::{Proportion, ROUNDING_S, TOLERANCE_S, Track, percentile};
use serde::{Deserialize, Serialize};

/// What the events of a set of videos are worth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventMetrics {
    /// Share of the labelled onsets that have an event; `None` when nothing is labelled.
    pub recall: Option<Proportion>,
    /// Share of the events that have a labelled onset, 0..1; `None` when there are no events. It falls with the share of
    /// possible videos.
    pub precision: Option<f64>,
    /// Harmonic mean of precision and recall, 0..1.
    pub f1: Option<f64>,
    /// Events without a labelled onset, in possible and impossible videos.
    pub false_alarms: usize,
    /// Median of the event's onset minus the labelled onset, seconds; negative: the event opened before.
    pub delay_median_s: Option<f64>,
    /// 90th percentile of the same, seconds.
    pub delay_p90_s: Option<f64>,
    /// Events an hour in possible videos.
    pub false_alarms_per_hour: Option<f64>,
}

/// The event that finds a track's labelled onset: of those whose `[onset − 0.5 s, end + 0.5 s]` contains it, the one
/// that begins nearest to it.
pub fn matched<'a>(track: &Track<'a>) -> Option<&'a EventSpan> {
    let onset = track.onset_s?;
    let reach = TOLERANCE_S + ROUNDING_S;
    let around = |e: &&EventSpan| (e.onset_s - reach..=e.end_s + reach).contains(&onset);
    let away = |e: &EventSpan| (e.onset_s - onset).abs();
    track.scores.events.iter().filter(around).min_by(|a, b| away(a).total_cmp(&away(b)))
}

/// Recall, precision and F1 of events with a tolerance of ±0.5 s, delays and false alarms. Each onset is found by at most
/// one event and each event finds at most one onset; every other event is a false alarm, also one that comes after the
/// onset in the same video.
pub fn event_metrics(tracks: &[Track<'_>]) -> EventMetrics {
    let labelled = tracks.iter().filter(|t| t.onset_s.is_some()).count();
    let delay = |t: &Track<'_>| Some(matched(t)?.onset_s - t.onset_s?);
    let delays: Vec<f64> = tracks.iter().filter_map(delay).collect();
    let (hits, events) = (delays.len(), tracks.iter().map(|t| t.scores.events.len()).sum::<usize>());
    let false_alarms = events - hits;
    let missed = labelled - hits;
    let possible = tracks.iter().filter(|t| t.onset_s.is_none());
    let in_possible: usize = possible.map(|t| t.scores.events.len()).sum();
    EventMetrics {
        recall: Proportion::of(hits as f64, labelled),
        precision: (events > 0).then(|| hits as f64 / events as f64),
        f1: (labelled > 0).then(|| 2.0 * hits as f64 / (2 * hits + false_alarms + missed) as f64),
        false_alarms,
        delay_median_s: percentile(&delays, 0.5),
        delay_p90_s: percentile(&delays, 0.9),
        false_alarms_per_hour: per_hour(in_possible, tracks),
    }
}

/// False alarms an hour of possible video at the threshold that finds the share `recall` (0..1) of the labelled onsets.
///
/// An onset is found when a slot within ±0.5 s of it reaches the threshold, so the threshold is the ⌈recall · n⌉-th
/// largest of these peaks. In possible videos, slots at or above it are one alarm as long as no two neighbours among
/// them are more than 0.5 s apart. It needs no events, so it compares scorers with and without a baseline. `None` when
/// nothing is labelled, no threshold finds so many, or there is no possible video.
pub fn false_alarms_at_recall(tracks: &[Track<'_>], recall: f64) -> Option<f64> {
    let labelled = tracks.iter().filter(|t| t.onset_s.is_some()).count();
    let mut peaks: Vec<f32> = tracks.iter().filter_map(peak_near_onset).collect();
    peaks.sort_unstable_by(|a, b| b.total_cmp(a));
    let needed = ((recall * labelled as f64 - ROUNDING_S).ceil() as usize).max(1);
    let threshold = *peaks.get(needed - 1)?;
    let possible = tracks.iter().filter(|t| t.onset_s.is_none());
    per_hour(possible.map(|t| alarms(&t.scores.curve, threshold)).sum(), tracks)
}

/// Largest surprise within the tolerance of the labelled onset.
fn peak_near_onset(track: &Track<'_>) -> Option<f32> {
    let onset = track.onset_s?;
    let near = track.scores.curve.iter().filter(|p| (p.0 - onset).abs() <= TOLERANCE_S + ROUNDING_S);
    near.map(|p| p.1).reduce(f32::max)
}

/// Runs of slots at or above the threshold.
fn alarms(curve: &[(f64, f32)], threshold: f32) -> usize {
    let times: Vec<f64> = curve.iter().filter(|p| p.1 >= threshold).map(|p| p.0).collect();
    let breaks = times.windows(2).filter(|pair| pair[1] - pair[0] > TOLERANCE_S + ROUNDING_S).count();
    if times.is_empty() { 0 } else { breaks + 1 }
}

/// `count` divided by the hours of possible video.
fn per_hour(count: usize, tracks: &[Track<'_>]) -> Option<f64> {
    let seconds: f64 = tracks.iter().filter(|t| t.onset_s.is_none()).map(|t| t.duration_s).sum();
    (seconds > 0.0).then(|| count as f64 * 3600.0 / seconds)
}

#[cfg(test)]
mod tests {
    use super::super::super::VideoScores;
    use super::*;

    fn event(onset_s: f64, end_s: f64) -> EventSpan {
        EventSpan { onset_s, peak_s: onset_s, end_s, score: 9.0, place: [0.0; 4], what: None }
    }

    fn track(scores: &VideoScores, onset_s: Option<f64>) -> Track<'_> {
        Track { scores, onset_s, place: None, what: None, duration_s: 36.0 }
    }

    #[test]
    fn an_onset_is_found_once_and_the_rest_are_false() {
        let scores = |events: &[(f64, f64)]| VideoScores {
            events: events.iter().map(|e| event(e.0, e.1)).collect(),
            ..VideoScores::default()
        };
        let (twice, late, none, calm) =
            (scores(&[(1.6, 1.7), (2.2, 2.4)]), scores(&[(2.6, 3.0)]), scores(&[]), scores(&[(5.0, 6.0)]));
        let tracks = [track(&twice, Some(2.0)), track(&late, Some(2.0)), track(&none, Some(2.0)), track(&calm, None)];
        assert_eq!(matched(&tracks[0]), Some(&event(2.2, 2.4)));
        assert_eq!(matched(&tracks[1]), None);
        let found = event_metrics(&tracks);
        assert_eq!(found.recall.map(|r| (r.value, r.n)), Some((1.0 / 3.0, 3)));
        assert_eq!((found.precision, found.f1, found.false_alarms), (Some(0.25), Some(2.0 / 7.0), 3));
        assert!((found.delay_median_s.unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(found.false_alarms_per_hour, Some(100.0));
        let nothing = event_metrics(&[]);
        assert_eq!((nothing.recall, nothing.f1, nothing.false_alarms_per_hour), (None, None, None));
    }

    #[test]
    fn alarms_are_counted_at_the_threshold_that_finds_enough() {
        let curve = |values: &[f32]| VideoScores {
            curve: values.iter().enumerate().map(|(i, v)| (0.2 * i as f64, *v)).collect(),
            ..VideoScores::default()
        };
        let impossible = [curve(&[0.0, 0.0, 8.0, 0.0]), curve(&[9.0, 3.0, 4.0, 0.0])];
        let possible = curve(&[5.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 9.0]);
        let mut tracks: Vec<_> = impossible.iter().map(|s| track(s, Some(0.4))).collect();
        tracks.push(track(&possible, None));
        assert_eq!(false_alarms_at_recall(&tracks, 0.5), Some(100.0), "at 9 (the peak 0.4 s early counts)");
        assert_eq!(false_alarms_at_recall(&tracks, 1.0), Some(100.0), "at 8");
        assert_eq!(alarms(&possible.curve, 5.0), 2);
        assert_eq!(alarms(&possible.curve, 0.0), 1);
        assert_eq!(false_alarms_at_recall(&tracks[2..], 0.5), None);
        assert_eq!(false_alarms_at_recall(&tracks[..2], 0.5), None);
    }
}
