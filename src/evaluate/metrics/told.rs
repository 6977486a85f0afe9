//! Does an event say what it is?

use super::{Proportion, Track, matched};
use crate::units::PixelBox;
use serde::{Deserialize, Serialize};

/// Boxes agree from this share of their common area in their joint one on.
const OVERLAP: f32 = 0.3;

/// How often what the matched events say is right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Share whose kind is the labelled one; `None` where no kind is labelled.
    pub kind: Option<Proportion>,
    /// Share of which a box, of what was expected or of what was seen, is the labelled one: intersection over union of at
    /// least 0.3, or its middle lies inside. `None` where no box is labelled.
    pub place: Option<Proportion>,
}

/// Over the matched events that say what they are; `None` when there are none.
pub fn told(tracks: &[Track<'_>]) -> Option<Told> {
    let said: Vec<_> = tracks.iter().filter_map(|track| Some((track, matched(track)?.what.as_ref()?))).collect();
    let share = |hits: Vec<bool>| Proportion::of(hits.iter().filter(|hit| **hit).count() as f64, hits.len());
    let kinds = said.iter().filter_map(|(track, what)| Some(what.kind == track.what?));
    let places = said.iter().filter_map(|(track, what)| {
        let labelled = track.place?;
        Some(what.boxes.iter().any(|place| is_at(*place, labelled)))
    });
    let told = Told { kind: share(kinds.collect()), place: share(places.collect()) };
    (!said.is_empty()).then_some(told)
}

fn is_at(place: PixelBox, labelled: PixelBox) -> bool {
    let area = |b: PixelBox| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let common = area([
        place[0].max(labelled[0]),
        place[1].max(labelled[1]),
        place[2].min(labelled[2]),
        place[3].min(labelled[3]),
    ]);
    let joint = area(place) + area(labelled) - common;
    let (x, y) = (f32::midpoint(place[0], place[2]), f32::midpoint(place[1], place[3]));
    let inside = labelled[0] <= x && x <= labelled[2] && labelled[1] <= y && y <= labelled[3];
    inside || joint > 0.0 && common >= OVERLAP * joint
}

#[cfg(test)]
mod tests {
    use super::super::super::{EventSpan, SpanWhat, VideoScores};
    use super::*;
    use crate::record::PartKind;

    #[test]
    fn a_box_is_right_when_it_overlaps_or_its_middle_is_inside() {
        let label = [10.0, 10.0, 20.0, 20.0];
        assert!(is_at([12.0, 12.0, 18.0, 18.0], label), "the middle inside");
        assert!(is_at([10.0, 10.0, 20.0, 38.0], label), "10 of 28");
        assert!(!is_at([10.0, 10.0, 20.0, 50.0], label), "10 of 40, the middle outside");
        assert!(!is_at([20.0, 20.0, 20.0, 20.0], [0.0; 4]), "no area");
    }

    #[test]
    fn only_matched_events_that_say_something_count() {
        let scores = |what: Option<SpanWhat>| VideoScores {
            events: vec![EventSpan { onset_s: 1.0, peak_s: 1.0, end_s: 1.2, score: 1.0, place: [0.0; 4], what }],
            ..VideoScores::default()
        };
        let what = |kind, x: f32| Some(SpanWhat { kind, boxes: vec![[90.0, 0.0, 99.0, 9.0], [x, 0.0, x + 9.0, 9.0]] });
        let (right, wrong, mute) =
            (scores(what(PartKind::Missing, 0.0)), scores(what(PartKind::New, 50.0)), scores(None));
        let track = |scores, onset_s, what| {
            let place = Some([0.0, 0.0, 10.0, 10.0]);
            Track { scores, onset_s: Some(onset_s), place, what, duration_s: 9.0 }
        };
        let missing = Some(PartKind::Missing);
        let tracks = [
            track(&right, 1.0, missing),
            track(&wrong, 1.0, missing),
            track(&right, 1.0, None),
            track(&mute, 1.0, missing),
            track(&wrong, 5.0, missing),
        ];
        let found = told(&tracks).unwrap();
        assert_eq!(found.kind.map(|p| (p.value, p.n)), Some((0.5, 2)));
        assert_eq!(found.place.map(|p| (p.value, p.n)), Some((2.0 / 3.0, 3)));
        assert_eq!(told(&tracks[3..]), None);
    }
}
