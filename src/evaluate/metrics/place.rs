//! Does an event point at the right place?

use super::{Proportion, Track, matched};
use crate::units::PixelBox;
use serde::{Deserialize, Serialize};

/// Share of the smaller box that must be common for two boxes to agree.
const COMMON: f32 = 0.5;

/// How often the box of a matched event is at the labelled place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoxHits {
    /// Share of the matched events whose box agrees with the labelled one.
    pub share: Proportion,
    /// The same, 0..1, with the labelled boxes of the other videos instead of the video's own: what large or central
    /// boxes get for nothing. `None` with a single video.
    pub chance: Option<f64>,
}

/// Whether two boxes (left, top, right, bottom in pixels) agree: their common area is at least half of the smaller one.
/// A box around everything agrees with every box; [`BoxHits::chance`] tells.
pub fn boxes_agree(a: PixelBox, b: PixelBox) -> bool {
    let area = |b: PixelBox| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let smaller = area(a).min(area(b));
    smaller > 0.0 && common >= COMMON * smaller
}

/// Box hits over the videos with a labelled place and a matched event; `None` when there are none.
pub fn box_hits(tracks: &[Track<'_>]) -> Option<BoxHits> {
    let found = |t: &Track<'_>| Some((matched(t)?.place, t.place?));
    let pairs: Vec<_> = tracks.iter().filter_map(found).collect();
    let hits = pairs.iter().filter(|(event, labelled)| boxes_agree(*event, *labelled)).count();
    let share = Proportion::of(hits as f64, pairs.len())?;
    let all: usize = pairs.iter().map(|p| pairs.iter().filter(|q| boxes_agree(p.0, q.1)).count()).sum();
    let others = pairs.len() * (pairs.len() - 1);
    Some(BoxHits { share, chance: (others > 0).then(|| (all - hits) as f64 / others as f64) })
}

#[cfg(test)]
mod tests {
    use super::super::super::{EventSpan, VideoScores};
    use super::*;

    #[test]
    fn half_of_the_smaller_box_is_enough() {
        let label = [10.0, 10.0, 20.0, 20.0];
        assert!(boxes_agree([15.0, 10.0, 40.0, 20.0], label));
        assert!(!boxes_agree([15.1, 10.0, 40.0, 20.0], label));
        assert!(boxes_agree([0.0, 0.0, 100.0, 100.0], label), "a box around everything");
        assert!(!boxes_agree([15.0, 15.0, 15.0, 18.0], label), "a box without area");
    }

    #[test]
    fn chance_is_the_rate_at_other_places() {
        let at = |x: f32| [x, 0.0, x + 10.0, 10.0];
        let scores = |place| VideoScores {
            events: vec![EventSpan { onset_s: 1.0, peak_s: 1.0, end_s: 1.2, score: 1.0, place, what: None }],
            ..VideoScores::default()
        };
        let (right, wide) = (scores(at(0.0)), scores([0.0, 0.0, 100.0, 10.0]));
        let track = |scores, x| Track { scores, onset_s: Some(1.0), place: Some(at(x)), what: None, duration_s: 3.0 };
        let hits = box_hits(&[track(&right, 0.0), track(&wide, 50.0)]).unwrap();
        assert_eq!((hits.share.value, hits.chance), (1.0, Some(0.5)));
        assert_eq!(box_hits(&[track(&right, 0.0)]).unwrap().chance, None);
        assert_eq!(box_hits(&[]), None);
    }
}
