//! How surprising each kind of prediction was, moment by moment, in little room.
//!
//! Invariants: at most [`MOMENTS`] moments however long the video is; no peak gets lost on the way.

use crate::clip::ClipSpec;
use crate::record::{Horizon, Horizons};
use crate::surprise::{Part, Slot};
use crate::units::MediaTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Moments that are kept at most.
const MOMENTS: usize = 3000;

/// Some slots in a row.
struct Stretch {
    first: MediaTime,
    last: MediaTime,
    slots: usize,
    /// The largest value of each kind.
    values: BTreeMap<usize, f32>,
}

impl Stretch {
    fn join(&mut self, later: &Self) {
        self.last = later.last;
        self.slots += later.slots;
        for (kind, value) in &later.values {
            let most = self.values.entry(*kind).or_insert(*value);
            *most = most.max(*value);
        }
    }
}

/// Collects what every slot says of its horizons: of every slot by itself, until there are too many; then of two, four, …
/// together.
pub(super) struct HorizonMap {
    every: usize,
    kept: Vec<Stretch>,
    parts: Option<Arc<[Part]>>,
}

impl HorizonMap {
    pub(super) const fn new() -> Self {
        Self { every: 1, kept: Vec::new(), parts: None }
    }

    pub(super) fn push(&mut self, slot: &Slot) {
        if let (None, Some(scene)) = (&self.parts, &slot.scene) {
            self.parts = Some(Arc::clone(&scene.parts));
        }
        let at = slot.middle();
        self.take(Stretch { first: at, last: at, slots: 1, values: slot.by_horizon.iter().copied().collect() });
    }

    fn take(&mut self, moment: Stretch) {
        if let Some(last) = self.kept.last_mut().filter(|last| last.slots < self.every) {
            return last.join(&moment);
        }
        if self.kept.len() == MOMENTS {
            self.halve();
        }
        self.kept.push(moment);
    }

    /// Two moments become one.
    fn halve(&mut self) {
        let mut all = std::mem::take(&mut self.kept).into_iter();
        while let Some(mut first) = all.next() {
            if let Some(second) = all.next() {
                first.join(&second);
            }
            self.kept.push(first);
        }
        self.every *= 2;
    }

    /// The map; `None` where nothing was predicted.
    pub(super) fn finish(self, spec: &ClipSpec) -> Option<Horizons> {
        let kinds: BTreeSet<usize> = self.kept.iter().flat_map(|moment| moment.values.keys().copied()).collect();
        if kinds.is_empty() {
            return None;
        }
        let parts = self.parts.as_deref().unwrap_or_default();
        let row = |kind: &usize| {
            if let Some(part) = parts.get(*kind) {
                return Horizon { part: part.name.clone(), ahead_s: ahead(&part.name, parts, spec) };
            }
            // From the end of the context to the middle of the slot.
            let seconds = (*kind as f64 + 0.5) * f64::from(spec.tubelet_size) / spec.model_fps;
            Horizon { part: String::new(), ahead_s: Some(millis(seconds)) }
        };
        let values = |m: &Stretch| kinds.iter().map(|kind| m.values.get(kind).map(|value| short(*value))).collect();
        Some(Horizons {
            rows: kinds.iter().map(row).collect(),
            t_s: self.kept.iter().map(|m| (m.first.midpoint(m.last).secs_f64() * 1e4).round() / 1e4).collect(),
            values: self.kept.iter().map(values).collect(),
        })
    }
}

/// How long before the picture a part's prediction was made: `place_5` looks five pictures back, and where there is such a
/// one, `place` looks at the one before.
fn ahead(name: &str, parts: &[Part], spec: &ClipSpec) -> Option<f64> {
    let pictures = |name: &str| name.rsplit_once('_').and_then(|(_, n)| n.parse::<u32>().ok());
    let follows = |part: &Part| part.name.strip_prefix(name).is_some_and(|rest| pictures(rest).is_some());
    let back = pictures(name).or_else(|| parts.iter().any(follows).then_some(1))?;
    Some(millis(f64::from(back) / spec.model_fps))
}

/// Seconds, rounded to the millisecond.
fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Three significant digits.
fn short(value: f32) -> f32 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::spec_for_tests;
    use crate::surprise::PartKind;

    fn moment(slot: i64, values: &[(usize, f32)]) -> Stretch {
        let at = MediaTime::from_nanos(slot * 100_000_000);
        Stretch { first: at, last: at, slots: 1, values: values.iter().copied().collect() }
    }

    #[test]
    fn the_map_stays_bounded_and_keeps_its_peaks() {
        let mut map = HorizonMap::new();
        for slot in 0..20_000 {
            map.take(moment(slot, &[(0, if slot == 7777 { 9.0 } else { 1.0 }), (2, 0.123_456)]));
            assert!(map.kept.len() <= MOMENTS);
        }
        let map = map.finish(&spec_for_tests()).unwrap();
        assert_eq!((map.rows.len(), map.t_s.len(), map.values.len()), (2, 2500, 2500));
        let peak = map.values.iter().position(|row| row[0] == Some(9.0)).unwrap();
        assert!((map.t_s[peak] - 777.7).abs() < 0.8, "{}", map.t_s[peak]);
        assert!(map.values.iter().all(|row| row[1] == Some(0.123)));
        assert!(map.t_s.windows(2).all(|two| (two[1] - two[0] - 0.8).abs() < 1e-6));
    }

    #[test]
    fn a_horizon_that_not_every_moment_has_is_a_hole() {
        let mut map = HorizonMap::new();
        map.take(moment(0, &[(0, 1.0)]));
        map.take(moment(1, &[(0, 2.0), (3, 4.0)]));
        let map = map.finish(&spec_for_tests()).unwrap();
        assert_eq!(map.values, [vec![Some(1.0), None], vec![Some(2.0), Some(4.0)]]);
        assert!(map.rows[0].ahead_s < map.rows[1].ahead_s);
        assert!(HorizonMap::new().finish(&spec_for_tests()).is_none());
    }

    #[test]
    fn parts_say_how_far_they_look_back() {
        let parts =
            ["place", "place_5", "missing_long", "new"].map(|name| Part { name: name.into(), kind: PartKind::Moved });
        let spec = spec_for_tests();
        let of = |name| ahead(name, &parts, &spec).map(|s| s * spec.model_fps);
        assert!((of("place").unwrap() - 1.0).abs() < 0.01 && (of("place_5").unwrap() - 5.0).abs() < 0.05);
        assert_eq!((of("missing_long"), of("new")), (None, None));
    }
}
