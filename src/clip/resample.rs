//! Presentation-time resampling: which ticks of the model's clock show which frame.

use super::ClipSpec;
use crate::units::MediaTime;

/// The ticks of a segment's clock that fall into `[start, end)`, both relative to the segment's first frame: what a
/// screen that holds each frame until the next would show at those instants. Never by counting frames, so variable
/// rates, repeats and drops come out right; each frame is shown by zero, one or several ticks.
pub fn ticks_shown(spec: &ClipSpec, start: MediaTime, end: MediaTime) -> std::ops::Range<u64> {
    first_tick_from(spec, start)..first_tick_from(spec, end)
}

/// The smallest tick whose time is at or after `time`.
fn first_tick_from(spec: &ClipSpec, time: MediaTime) -> u64 {
    let mut tick = (time.secs_f64() * spec.model_fps).floor().max(0.0) as u64;
    tick = tick.saturating_sub(1);
    while spec.tick_time(tick) < time {
        tick += 1;
    }
    tick
}

#[cfg(test)]
mod tests {
    use super::super::spec_for_tests;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thirty_to_ten_takes_every_third_frame() {
        let spec = spec_for_tests();
        let ms = |m: i64| MediaTime::from_nanos(m * 1_000_000);
        let shown: Vec<usize> = (0..9)
            .filter(|&i| !ticks_shown(&spec, ms(i * 100 / 3), ms((i + 1) * 100 / 3)).is_empty())
            .map(|i| i as usize)
            .collect();
        assert_eq!(shown, [0, 3, 6]);
    }

    proptest! {
        /// Any partition of time into frames covers every tick exactly once, in order.
        #[test]
        fn every_tick_is_shown_once(lengths in prop::collection::vec(1i64..500_000_000, 1..60), fps in 0.5f64..120.0) {
            let spec = ClipSpec { model_fps: fps, ..spec_for_tests() };
            let (mut time, mut next) = (MediaTime::ZERO, 0);
            for nanos in lengths {
                let end = time.plus(MediaTime::from_nanos(nanos));
                let ticks = ticks_shown(&spec, time, end);
                prop_assert_eq!(ticks.start, next);
                for tick in ticks.clone() {
                    prop_assert!(spec.tick_time(tick) >= time && spec.tick_time(tick) < end);
                }
                next = ticks.end;
                time = end;
            }
        }
    }
}
