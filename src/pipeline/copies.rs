//! Several copies of a model that share each batch and look like one.
//!
//! Invariant: the errors come back in the order of the clips, whichever copy scored them.
//!
//! Why: within one inference call the threads wait for each other at every operator, and most operators of a small model
//! are too short to be worth it; copies with one thread each wait once per batch.

use crate::clip::{Clip, ClipSpec};
use crate::error::{Error, Result};
use crate::model::objects::{ObjectNetwork, Percepts, Step};
use crate::model::{FeatureControls, FeatureScorer, ModelInfo, Scorer, WindowErrors};
use ndarray::{ArrayView2, ArrayView4, Axis};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Copies of one thing, each with sessions of its own, that share work.
pub struct Copies<S> {
    first: S,
    others: Vec<S>,
    inference_s: f64,
}

impl<S: Send> Copies<S> {
    /// As many copies as `make` is to be called for, at least one.
    ///
    /// # Errors
    /// When a copy can't be made.
    pub fn new(copies: usize, make: impl Fn() -> Result<S>) -> Result<Self> {
        let first = make()?;
        let others = (1..copies).map(|_| make()).collect::<Result<_>>()?;
        Ok(Self { first, others, inference_s: 0.0 })
    }

    /// Lets each copy take the next few of `count` items until none are left, so that one that was held up does less; the
    /// first works on the caller's thread. `seconds` says how long a copy has been in the inference runtime.
    fn share<R: Send>(
        &mut self,
        count: usize,
        seconds: impl Fn(&S) -> f64 + Sync,
        work: impl Fn(&mut S, Range<usize>) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let length = run_length(count, 1 + self.others.len());
        let runs: Vec<Range<usize>> = (0..count).step_by(length).map(|at| at..(at + length).min(count)).collect();
        let next = AtomicUsize::new(0);
        let work = |copy: &mut S| -> Result<(Vec<(usize, R)>, f64)> {
            let (before, mut done) = (seconds(copy), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(run) = runs.get(index) else { break };
                done.push((index, work(copy, run.clone())?));
            }
            Ok((done, seconds(copy) - before))
        };
        let ends: Vec<_> = std::thread::scope(|scope| {
            let helpers = self.others.iter_mut().take(runs.len().saturating_sub(1));
            let started: Vec<_> = helpers.map(|copy| scope.spawn(|| work(copy))).collect();
            let own = work(&mut self.first);
            let broken = |_| Err(Error::Internal { stage: "score", reason: "a copy of the model panicked".into() });
            let theirs = started.into_iter().map(|handle| handle.join().unwrap_or_else(broken));
            std::iter::once(own).chain(theirs).collect::<Result<_>>()
        })?;
        // Of copies that work side by side the slowest counts.
        self.inference_s += ends.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        let mut done: Vec<(usize, R)> = ends.into_iter().flat_map(|(done, _)| done).collect();
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

/// Of a model of objects the pictures are shared; the steps, which follow one another, are the first copy's, so no stream's
/// states are ever in two places.
impl<N: ObjectNetwork + Send> ObjectNetwork for Copies<N> {
    fn see(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Percepts> {
        let seen = self.share(pictures.dim().0, N::seconds, |network, run| {
            network.see(pictures.slice_axis(Axis(0), run.into()))
        })?;
        Percepts::join(seen)
    }

    fn step(&mut self, states: ArrayView2<'_, f32>, percepts: &Percepts) -> Result<Step> {
        let before = self.first.seconds();
        let step = self.first.step(states, percepts);
        self.inference_s += self.first.seconds() - before;
        step
    }

    fn provider(&self) -> String {
        self.first.provider()
    }

    fn is_reduced(&self) -> bool {
        self.first.is_reduced()
    }

    fn seconds(&self) -> f64 {
        self.inference_s
    }
}

/// Clips of a call: two calls of each copy, where there are enough clips.
fn run_length(clips: usize, copies: usize) -> usize {
    if copies == 1 { clips.max(1) } else { clips.div_ceil(2 * copies).max(1) }
}

/// Of a model of clips the clips of a batch are shared.
impl<S: Scorer + Send> Scorer for Copies<S> {
    fn spec(&self) -> &ClipSpec {
        self.first.spec()
    }

    fn info(&self) -> ModelInfo {
        self.first.info()
    }

    fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
        Ok(self
            .share(clips.len(), S::inference_seconds, |scorer, run| scorer.score(&clips[run]))?
            .into_iter()
            .flatten()
            .collect())
    }

    fn forget(&mut self, stream: usize) {
        self.first.forget(stream);
        self.others.iter_mut().for_each(|other| other.forget(stream));
    }

    fn inference_seconds(&self) -> f64 {
        self.inference_s
    }
}

impl<S: FeatureScorer + Send> FeatureScorer for Copies<S> {
    fn score_with_controls(&mut self, clips: &[Clip]) -> Result<(Vec<WindowErrors>, Option<FeatureControls>)> {
        let (scored, controls): (Vec<_>, Vec<_>) = self
            .share(clips.len(), S::inference_seconds, |scorer, run| scorer.score_with_controls(&clips[run]))?
            .into_iter()
            .unzip();
        let all = controls.into_iter().flatten().reduce(|mut all, more| {
            all.extend(more);
            all
        });
        Ok((scored.into_iter().flatten().collect(), all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::{frame_for_tests, spec_for_tests};
    use crate::units::MediaTime;
    use std::sync::Arc;

    /// Gives each clip its tick as its error, one second of inference a clip, and fails at tick 99.
    struct Ticks(ClipSpec, usize, f64);

    impl Scorer for Ticks {
        fn spec(&self) -> &ClipSpec {
            &self.0
        }

        fn info(&self) -> ModelInfo {
            unreachable!("nobody asks")
        }

        fn score(&mut self, clips: &[Clip]) -> Result<Vec<WindowErrors>> {
            self.2 += clips.len() as f64;
            if clips.iter().any(|clip| clip.start_tick == 99) {
                return Err(Error::Inference("tick 99".into()));
            }
            let errors = |clip: &Clip| crate::model::ContextErrors {
                context: self.1 as u32,
                first_slot: 0,
                errors: ndarray::array![[clip.start_tick as f32]],
            };
            Ok(clips.iter().map(|clip| vec![errors(clip)].into()).collect())
        }

        fn inference_seconds(&self) -> f64 {
            self.2
        }
    }

    fn pool(copies: usize) -> Copies<Ticks> {
        let made = AtomicUsize::new(0);
        Copies::new(copies, || Ok(Ticks(spec_for_tests(), made.fetch_add(1, Ordering::Relaxed), 0.0))).unwrap()
    }

    fn clips(ticks: std::ops::Range<u64>) -> Vec<Clip> {
        let frames = vec![Arc::new(frame_for_tests(MediaTime::from_nanos(0)))];
        ticks
            .map(|start_tick| Clip { stream: 0, frame_step: 1, segment: 0, start_tick, frames: frames.clone() })
            .collect()
    }

    #[test]
    fn errors_come_in_the_order_of_the_clips_whoever_scored_them() {
        for (copies, count) in [(1, 5), (2, 5), (3, 7), (4, 2), (2, 0), (2, 64)] {
            let scored = pool(copies).score(&clips(0..count)).unwrap();
            let ticks: Vec<f32> = scored.iter().map(|window| window.contexts[0].errors[[0, 0]]).collect();
            assert_eq!(ticks, (0..count).map(|tick| tick as f32).collect::<Vec<_>>(), "{copies} copies");
        }
    }

    #[test]
    fn clips_are_cut_into_calls_that_balance() {
        assert_eq!(
            [run_length(5, 1), run_length(8, 2), run_length(5, 2), run_length(1, 4), run_length(0, 2)],
            [5, 2, 2, 1, 1]
        );
    }

    #[test]
    fn two_copies_take_less_time_than_their_sum_and_a_fault_is_told() {
        let mut pool = pool(2);
        pool.score(&clips(0..8)).unwrap();
        assert!((4.0..=8.0).contains(&pool.inference_seconds()), "{}", pool.inference_seconds());
        assert!(matches!(pool.score(&clips(96..100)), Err(Error::Inference(_))));
        assert_eq!(pool.score(&clips(0..2)).unwrap().len(), 2);
    }
}
