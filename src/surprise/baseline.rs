//! What surprise looks like on normal footage: footing, nuisances, the calibration sample and its tails.

use super::slow::SlowBaseline;
use super::{Footing, NuisanceModel, Nuisances, Tail};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The schema's name and version in `baseline.json`.
const SCHEMA: &str = "startle.baseline/2";
/// Fewest slots that make a calibration sample: under this even a 1 % tail is a guess.
const MIN_SAMPLE: usize = 100;
/// Slots whose log-surprises are correlated by less than this count as independent.
const INDEPENDENT: f32 = 0.1;
/// The sample is never thinned further than to every so many-th slot.
const THINNEST: usize = 25;
/// Peaks of normal footage closer than this are one event, seconds: what `startle analyze` merges too.
pub const MERGE_S: f64 = 0.5;
/// The rate at which a baseline is checked against footage that it did not see, events per hour.
const CHECKED_PER_HOUR: f64 = 60.0;

/// What a surprise value depends on beside the video. Curves and baselines of different keys can't be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveKey {
    /// The model bundle's identity.
    pub model_sha256: String,
    /// Frames between windows.
    pub stride: u32,
    /// Share of tokens in the top-k mean.
    pub top_fraction: f32,
}

/// A slot of normal footage before the nuisances are taken out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalSlot {
    /// Top-k mean of the tokens' errors on their footing.
    pub unadjusted: f32,
    /// What explains some of it.
    pub nuisances: Nuisances,
}

/// How a promise was kept on the half of the footage that was not learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Check {
    /// Events per hour that the threshold allows.
    pub promised_per_hour: f64,
    /// Events per hour that were seen: the even videos judged by what the odd ones taught, and the other way round.
    pub seen_per_hour: f64,
}

/// `baseline.json`: surprise on footage that is known to be normal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema: String,
    key: CurveKey,
    footing: Footing,
    nuisances: NuisanceModel,
    /// Slot surprises of the normal footage, ascending: every `thinned`-th, so that they are nearly independent.
    sample: Vec<f32>,
    thinned: usize,
    /// Seconds between the members of the sample, and of footage.
    slot_s: f64,
    seconds: f64,
    tail: Option<Tail>,
    slow: Option<SlowBaseline>,
    check: Option<Check>,
    /// What it was made from, in words.
    source: String,
}

impl Baseline {
    /// Learns from unbroken runs of slots of `slot_s` seconds, whose errors `footing` has brought to one scale.
    ///
    /// # Errors
    /// [`Error::Config`] when there are fewer than 100 nearly independent slots, or values that are not finite.
    pub fn learn(
        key: CurveKey,
        footing: Footing,
        runs: &[Vec<NormalSlot>],
        slot_s: f64,
        source: String,
    ) -> Result<Self> {
        let every: Vec<&Vec<NormalSlot>> = runs.iter().collect();
        let regressed = !footing.is_by_parts();
        let (nuisances, surprises) = adjusted(&every, regressed);
        let thinned = independent_step(&surprises, regressed);
        let mut sample: Vec<f32> = surprises.iter().flat_map(|run| run.iter().step_by(thinned)).copied().collect();
        sample.sort_by(f32::total_cmp);
        let new = Self {
            schema: SCHEMA.into(),
            key,
            footing,
            nuisances,
            sample,
            thinned,
            slot_s,
            seconds: surprises.iter().map(Vec::len).sum::<usize>() as f64 * slot_s,
            tail: Tail::fit(&surprises, slot_s, MERGE_S),
            slow: SlowBaseline::fit(&surprises, slot_s, MERGE_S),
            check: check(runs, slot_s, regressed),
            source,
        };
        new.sound()
    }

    fn sound(self) -> Result<Self> {
        let fail = |what: &str| Err(Error::Config(format!("the baseline {what}")));
        if self.sample.len() < MIN_SAMPLE {
            return Err(Error::Config(format!(
                "a baseline needs at least {MIN_SAMPLE} nearly independent slots of normal footage, there are {} \
                 (every {}th of those scored); give more videos",
                self.sample.len(),
                self.thinned
            )));
        }
        if self.sample.iter().any(|v| !v.is_finite()) || !self.sample.is_sorted() {
            return fail("has a sample that is not finite and ascending");
        }
        if !self.nuisances.is_sound() {
            return fail("has weights of motion, exposure and key frames that no footage gives");
        }
        if !self.tail.is_none_or(|t| t.is_sound()) || !self.slow.is_none_or(|s| s.is_sound()) {
            return fail("has a tail that is none");
        }
        if !self.footing.is_sound() {
            return fail(if self.footing.is_by_parts() {
                "has ranks of energies that are not finite and ascending"
            } else {
                "has a footing that is none"
            });
        }
        if self.thinned == 0 || !(self.slot_s.is_finite() && self.slot_s > 0.0) {
            return fail("has slots of no length");
        }
        Ok(self)
    }

    /// Reads `baseline.json`.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not one, is of another version, or breaks a rule of [`Baseline::learn`].
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: String,
        }
        let not_one = |e: serde_json::Error| Error::Config(format!("not a startle baseline: {e}"));
        let Version { schema } = serde_json::from_str(text).map_err(not_one)?;
        if schema != SCHEMA {
            return Err(Error::Config(format!(
                "baseline has schema `{schema}`, this startle reads `{SCHEMA}`; make it again with `startle calibrate`"
            )));
        }
        serde_json::from_str::<Self>(text).map_err(not_one)?.sound()
    }

    /// As JSON.
    ///
    /// # Errors
    /// [`Error::Internal`] when it can't be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Internal { stage: "baseline", reason: e.to_string() })
    }

    /// Refuses a curve of another model or with other settings.
    ///
    /// # Errors
    /// [`Error::Config`] that names the difference.
    pub fn check_key(&self, key: &CurveKey) -> Result<()> {
        if self.key == *key {
            return Ok(());
        }
        let what = if self.key.model_sha256 == key.model_sha256 {
            format!(
                "stride {} and top fraction {} (this run: {} and {})",
                self.key.stride, self.key.top_fraction, key.stride, key.top_fraction
            )
        } else {
            "another model".to_owned()
        };
        Err(Error::Config(format!(
            "the baseline was made with {what}; its numbers mean nothing here. \
             Make one with `startle calibrate`, or use `--baseline self`"
        )))
    }

    /// How errors are brought to one scale.
    pub const fn footing(&self) -> &Footing {
        &self.footing
    }

    /// What is taken out of a slot's surprise.
    pub const fn nuisances(&self) -> &NuisanceModel {
        &self.nuisances
    }

    /// The calibration sample, ascending.
    pub fn sample(&self) -> &[f32] {
        &self.sample
    }

    /// Slots from one nearly independent slot to the next.
    pub const fn thinned(&self) -> usize {
        self.thinned
    }

    /// Seconds of footage it was learnt from.
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }

    /// How often normal footage spikes; `None` when there was too little of it.
    pub const fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// What slow evidence looks like on normal footage; `None` when there was too little of it.
    pub const fn slow(&self) -> Option<&SlowBaseline> {
        self.slow.as_ref()
    }

    /// How a promise was kept on footage that was not learnt from.
    pub const fn check(&self) -> Option<&Check> {
        self.check.as_ref()
    }

    /// Spikes in a curve `[slots]` at or over the level that normal footage reaches `per_hour` times an hour; those within
    /// half a second are one. `None` when there was too little footage to promise a rate.
    pub fn spikes(&self, curve: &[f32], per_hour: f64) -> Option<usize> {
        let level = self.tail.as_ref()?.level(per_hour / 3600.0);
        let gap = (MERGE_S / self.slot_s).round() as usize;
        Some(super::tail::peaks(&[curve.to_vec()], level, gap).len())
    }

    /// What it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The regression on the nuisances (a likelihood needs none), and the surprises that it leaves.
fn adjusted(runs: &[&Vec<NormalSlot>], regressed: bool) -> (NuisanceModel, Vec<Vec<f32>>) {
    let all: Vec<(Nuisances, f32)> =
        runs.iter().flat_map(|run| run.iter().map(|s| (s.nuisances, s.unadjusted))).collect();
    let model = if regressed { NuisanceModel::fit(&all) } else { NuisanceModel::identity() };
    (model, runs.iter().map(|run| adjust(&model, run)).collect())
}

fn adjust(model: &NuisanceModel, run: &[NormalSlot]) -> Vec<f32> {
    run.iter().map(|slot| model.adjust(slot.unadjusted, &slot.nuisances)).collect()
}

/// The smallest distance in slots at which the log-surprises of the runs are nearly uncorrelated; ranks are logarithms
/// already.
fn independent_step(runs: &[Vec<f32>], regressed: bool) -> usize {
    let log = |s: &f32| if regressed { s.max(f32::MIN_POSITIVE).ln() } else { *s };
    let logs: Vec<Vec<f32>> = runs.iter().map(|run| run.iter().map(log).collect()).collect();
    let count = logs.iter().map(Vec::len).sum::<usize>().max(1) as f32;
    let mean = logs.iter().flatten().sum::<f32>() / count;
    let product = |lag: usize| {
        let pairs = logs.iter().flat_map(|run| run.iter().zip(run.iter().skip(lag)));
        let (sum, n) = pairs.fold((0.0, 0_u32), |(sum, n), (a, b)| (sum + (a - mean) * (b - mean), n + 1));
        sum / n.max(1) as f32
    };
    let variance = product(0);
    (1..THINNEST).find(|lag| product(*lag) <= INDEPENDENT * variance).unwrap_or(THINNEST)
}

/// Two-fold check of a promised rate; `None` when a half is too small.
fn check(runs: &[Vec<NormalSlot>], slot_s: f64, regressed: bool) -> Option<Check> {
    let half = |odd: usize| -> Vec<&Vec<NormalSlot>> { runs.iter().skip(odd).step_by(2).collect() };
    let gap = (MERGE_S / slot_s).round() as usize;
    let (mut events, mut seconds) = (0, 0.0);
    for (learn, judge) in [(half(0), half(1)), (half(1), half(0))] {
        let (model, surprises) = adjusted(&learn, regressed);
        let level = Tail::fit(&surprises, slot_s, MERGE_S)?.level(CHECKED_PER_HOUR / 3600.0);
        let judged: Vec<Vec<f32>> = judge.iter().map(|run| adjust(&model, run)).collect();
        events += super::tail::peaks(&judged, level, gap).len();
        seconds += judged.iter().map(Vec::len).sum::<usize>() as f64 * slot_s;
    }
    Some(Check { promised_per_hour: CHECKED_PER_HOUR, seen_per_hour: events as f64 / seconds * 3600.0 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::uniform;
    use super::*;

    pub(in super::super) fn key() -> CurveKey {
        CurveKey { model_sha256: "a".into(), stride: 2, top_fraction: 0.06 }
    }

    /// Normal footage without chance: `videos` runs of `slots` slots, exponential.
    pub(in super::super) fn normal(videos: usize, slots: usize) -> Vec<Vec<NormalSlot>> {
        let one = |i: usize| NormalSlot { unadjusted: 1.0 - uniform(i).ln() as f32, nuisances: Nuisances::default() };
        (0..videos).map(|v| (0..slots).map(|i| one(v * slots + i)).collect()).collect()
    }

    pub(in super::super) fn baseline() -> Baseline {
        Baseline::learn(key(), Footing::identity(), &normal(40, 100), 0.2, "test".into()).unwrap()
    }

    #[test]
    fn a_baseline_survives_json_and_refuses_another_key() {
        let baseline = baseline();
        let again = Baseline::from_json(&baseline.to_json().unwrap()).unwrap();
        assert_eq!(again, baseline);
        assert!(again.tail().is_some() && again.slow().is_some());
        again.check_key(&key()).unwrap();
        let other = CurveKey { stride: 4, ..key() };
        assert!(again.check_key(&other).unwrap_err().to_string().contains("stride 2"));
        let old = baseline.to_json().unwrap().replace("baseline/2", "baseline/1");
        assert!(Baseline::from_json(&old).unwrap_err().to_string().contains("make it again"));
    }

    #[test]
    fn the_check_sees_about_what_was_promised() {
        let check = *baseline().check().unwrap();
        assert!((0.3..3.0).contains(&(check.seen_per_hour / check.promised_per_hour)), "{check:?}");
    }

    #[test]
    fn slots_that_repeat_themselves_are_thinned() {
        let slow: Vec<Vec<NormalSlot>> =
            normal(10, 300).iter().map(|run| run.iter().flat_map(|slot| [*slot; 4]).collect()).collect();
        let baseline = Baseline::learn(key(), Footing::identity(), &slow, 0.2, String::new()).unwrap();
        assert!((3..=5).contains(&baseline.thinned()), "{}", baseline.thinned());
        assert!(baseline.sample().is_sorted() && baseline.sample().len() >= 2400);
    }

    #[test]
    fn too_little_footage_is_refused() {
        let learn = |runs: &[Vec<NormalSlot>]| Baseline::learn(key(), Footing::identity(), runs, 0.2, String::new());
        assert!(learn(&normal(1, 99)).is_err() && learn(&[]).is_err());
        let odd = NormalSlot { unadjusted: f32::NAN, nuisances: Nuisances::default() };
        assert!(learn(&[vec![odd; 500]]).is_err());
    }
}
