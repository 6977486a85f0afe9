//! Feeds that freeze: the same picture again and again out of a moving scene, which then goes on elsewhere.

use crate::units::MediaTime;
use std::collections::VecDeque;

/// Mean luma changes below this, 0..1, are none: a repeated picture decodes to the same pixels, and a sensor's noise
/// changes more.
const STILL: f32 = 2e-5;
/// Shorter ones are a late picture or two, seconds.
const SHORTEST_S: f64 = 0.5;
/// A scene that goes on as if time had passed jumps by so many times its usual change.
const JUMP: f32 = 1.5;
/// Changes that make the usual one.
const RECENT: usize = 10;

/// Finds frozen stretches, frame by frame of the model's clock.
#[derive(Debug, Default)]
pub struct FreezeWatch {
    recent: VecDeque<f32>,
    since: Option<MediaTime>,
}

impl FreezeWatch {
    /// Takes a frame's time and its change from the one before; gives the stretch that it ends, if that was a frozen one.
    pub fn push(&mut self, time: MediaTime, motion: f32) -> Option<(MediaTime, MediaTime)> {
        if motion < STILL {
            self.since.get_or_insert(time);
            return None;
        }
        let usual = self.recent.iter().sum::<f32>() / self.recent.len().max(1) as f32;
        let frozen = self.since.take().filter(|since| {
            time.since(*since).secs_f64() >= SHORTEST_S && self.recent.len() == RECENT && motion > JUMP * usual
        });
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(motion);
        frozen.map(|since| (since, time))
    }

    /// Forgets the past: what comes next is another scene.
    pub fn reset(&mut self) {
        self.recent.clear();
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(motion: impl IntoIterator<Item = f32>) -> Vec<(f64, f64)> {
        let mut watch = FreezeWatch::default();
        let each = motion.into_iter().enumerate();
        let found = each.filter_map(|(i, m)| watch.push(MediaTime::from_secs_f64(i as f64 / 10.0), m));
        found.map(|(from, to)| (from.secs_f64(), to.secs_f64())).collect()
    }

    #[test]
    fn a_frozen_feed_is_told_from_a_scene_that_comes_to_rest() {
        let moving = || std::iter::repeat_n(0.01, 20);
        let still = |n| std::iter::repeat_n(0.0, n);
        assert_eq!(stretches(moving().chain(still(15)).chain([0.1]).chain(moving())), [(2.0, 3.5)]);
        assert!(stretches(moving().chain(still(15)).chain(moving())).is_empty(), "it stops and starts again");
        assert!(stretches(moving().chain(still(3)).chain([0.1])).is_empty(), "a late picture");
        assert!(stretches(still(40).chain([0.5])).is_empty(), "nothing ever moved");
        assert!(stretches(std::iter::repeat_n(0.0004, 90)).is_empty(), "noise");
    }
}
