//! Versions of one scene by how lawful they are: generated videos of one prompt, builds of one simulator.
//!
//! The energy of a version is the mean of its surprise over the moments that all versions have, as `WMReward`
//! (arXiv 2601.10553) takes a world model's surprise for the reward of a generated video. Its interval, and that of the
//! difference of two, comes from a circular block bootstrap (Politis & Romano, 1992) of moments, the same blocks for
//! all versions: neighbouring moments are not independent, and what all versions have in common cancels.
//!
//! Pure arithmetic over finished curves; nothing here reads a file.

mod bootstrap;
mod lawful;
mod moments;

pub use lawful::Usual;

use crate::error::{Error, Result};
use crate::record::Report;
use crate::surprise::Baseline;
use bootstrap::Resamples;
use moments::common;
use serde::Serialize;
use std::collections::BTreeMap;

/// The schema's name and version in `ranking.json`.
pub const SCHEMA: &str = "startle.ranking/1";
/// Share of the resamples that an interval holds.
pub const CONFIDENCE: f64 = 0.95;

/// A version with its surprise.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Version {
    /// As the user named it.
    pub input: String,
    /// Middles of the slots, seconds, ascending, and the headline surprise there.
    pub curve: Vec<(f64, f64)>,
    /// Events that were found in it.
    pub events: usize,
}

/// Versions of one scene, the most lawful first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ranking {
    /// The moments that all have: first and last, seconds.
    pub span_s: [f64; 2],
    /// How many moments that is.
    pub moments: usize,
    /// Moments of a block of the bootstrap.
    pub block: usize,
    /// Difference of two surprises at one moment from which two versions part: two lawful videos come as far apart in one
    /// of twenty scenes. `None` without a baseline.
    pub parting: Option<f64>,
    /// The versions, the least surprising first.
    pub versions: Vec<Ranked>,
}

/// A version in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ranked {
    /// 1 is the most lawful; equal energies share a place.
    pub place: usize,
    /// As the user named it.
    pub input: String,
    /// Mean surprise over the moments that all have.
    pub energy: f64,
    /// Its interval, [`CONFIDENCE`].
    pub interval: [f64; 2],
    /// Share of the resamples in which it is the most lawful; ties are shared.
    pub best_share: f64,
    /// Largest surprise there, and when, seconds.
    pub peak: f64,
    /// When that is, seconds.
    pub peak_s: f64,
    /// Events that were found in it.
    pub events: usize,
    /// How it stands to the most lawful one; `None` of that.
    pub behind: Option<Behind>,
}

/// How much less lawful than the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Behind {
    /// Energy above that of the first.
    pub by: f64,
    /// Its interval, [`CONFIDENCE`].
    pub interval: [f64; 2],
    /// Whether the interval lies above zero.
    pub clear: bool,
    /// First moment at which the two part, seconds; see [`Ranking::parting`]. `None` when they never do.
    pub parts_s: Option<f64>,
}

/// Orders versions of one scene by their energy. `slot_s`: seconds of a slot; `usual`: what lawful footage is like.
///
/// # Errors
/// [`Error::Config`] when there are fewer than two versions, or they have fewer than two moments in common.
pub fn rank(versions: &[Version], slot_s: f64, usual: Option<&Usual>) -> Result<Ranking> {
    if versions.len() < 2 {
        return Err(Error::Config("to rank needs two versions or more of one scene".into()));
    }
    let (times, rows) = common(versions, slot_s)?;
    let count = times.len();
    let resamples = Resamples::draw(count, (1.0 / slot_s).round() as usize);
    let means: Vec<Vec<f64>> = rows.iter().map(|row| resamples.means(row)).collect();
    let energies: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
    let shares = best_shares(&means);
    let mut order: Vec<usize> = (0..versions.len()).collect();
    order.sort_by(|a, b| {
        energies[*a].total_cmp(&energies[*b]).then_with(|| versions[*a].input.cmp(&versions[*b].input))
    });
    let first = order[0];
    let parting = usual.map(|usual| usual.parting(count, slot_s));
    let place_of = |index: usize| 1 + energies.iter().filter(|e| **e < energies[index]).count();
    let ranked = |index: usize| {
        let (peak_at, peak) = largest(&rows[index]);
        Ranked {
            place: place_of(index),
            input: versions[index].input.clone(),
            energy: energies[index],
            interval: interval(means[index].clone()),
            best_share: shares[index],
            peak,
            peak_s: times[peak_at],
            events: versions[index].events,
            behind: (index != first).then(|| {
                let bounds = interval(means[index].iter().zip(&means[first]).map(|(a, b)| a - b).collect());
                let apart = |at: &usize| parting.is_some_and(|most| (rows[index][*at] - rows[first][*at]).abs() > most);
                Behind {
                    by: energies[index] - energies[first],
                    interval: bounds,
                    clear: bounds[0] > 0.0,
                    parts_s: (0..count).find(apart).map(|at| times[at]),
                }
            }),
        }
    };
    Ok(Ranking {
        span_s: [times[0], times[count - 1]],
        moments: count,
        block: resamples.block(),
        parting,
        versions: order.into_iter().map(ranked).collect(),
    })
}

/// Orders the versions of one scene that some reports are about; see [`rank()`].
///
/// # Errors
/// As [`rank()`].
pub fn rank_reports(reports: &[&Report], slot_s: f64, baseline: Option<&Baseline>) -> Result<Ranking> {
    let version = |report: &&Report| Version {
        input: report.input.path.clone(),
        curve: report.curve.iter().map(|p| (p.t_s, f64::from(p.surprise))).collect(),
        events: report.events.len(),
    };
    let versions: Vec<Version> = reports.iter().map(version).collect();
    rank(&versions, slot_s, baseline.and_then(|baseline| Usual::of(baseline, slot_s)).as_ref())
}

/// How several models' rankings of the same versions come together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Vote {
    /// As the user named it.
    pub input: String,
    /// Sum of its places (Borda's count; the least wins).
    pub places: usize,
    /// Models that put it first; a shared first place counts.
    pub firsts: usize,
}

/// The versions by the sum of their places, the best first; equal sums by who is first more often, then by the first
/// ranking's order.
pub fn votes(rankings: &[&Ranking]) -> Vec<Vote> {
    let mut found: BTreeMap<&str, Vote> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for version in rankings.iter().flat_map(|ranking| &ranking.versions) {
        let vote = found.entry(&version.input).or_insert_with(|| {
            order.push(&version.input);
            Vote { input: version.input.clone(), places: 0, firsts: 0 }
        });
        vote.places += version.place;
        vote.firsts += usize::from(version.place == 1);
    }
    let mut all: Vec<Vote> = order.iter().filter_map(|input| found.remove(input)).collect();
    all.sort_by_key(|vote| (vote.places, std::cmp::Reverse(vote.firsts)));
    all
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Place and value of the largest; the earliest of equals.
fn largest(values: &[f64]) -> (usize, f64) {
    values.iter().copied().enumerate().fold((0, f64::NEG_INFINITY), |best, one| if one.1 > best.1 { one } else { best })
}

/// The middle [`CONFIDENCE`] of numbers.
fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let tail = (1.0 - CONFIDENCE) / 2.0;
    [at(tail), at(1.0 - tail)]
}

/// In which share of the resamples each version has the least mean.
fn best_shares(means: &[Vec<f64>]) -> Vec<f64> {
    let draws = means[0].len();
    let mut shares = vec![0.0; means.len()];
    for draw in 0..draws {
        let least = means.iter().map(|m| m[draw]).fold(f64::INFINITY, f64::min);
        let winners: Vec<usize> = (0..means.len()).filter(|index| means[*index][draw] <= least).collect();
        for winner in &winners {
            shares[*winner] += 1.0 / winners.len() as f64;
        }
    }
    shares.iter().map(|wins| wins / draws as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(input: &str, values: impl Iterator<Item = f64>) -> Version {
        Version { input: input.into(), curve: (0..).map(|i| f64::from(i) * 0.1).zip(values).collect(), events: 0 }
    }

    /// A quiet curve with a hump of `height` at moments 30..40.
    fn humped(input: &str, height: f64) -> Version {
        version(input, (0..60).map(|i| f64::from(i % 3) * 0.1 + if (30..40).contains(&i) { height } else { 0.0 }))
    }

    #[test]
    fn the_least_surprising_is_first_and_intervals_hold_the_energy() {
        let ranking = rank(&[humped("b", 2.0), humped("a", 0.0), humped("c", 5.0)], 0.1, None).unwrap();
        let order: Vec<_> = ranking.versions.iter().map(|v| (v.input.as_str(), v.place)).collect();
        assert_eq!(order, [("a", 1), ("b", 2), ("c", 3)]);
        for version in &ranking.versions {
            let [low, high] = version.interval;
            assert!(low <= version.energy && version.energy <= high, "{version:?}");
        }
        let last = ranking.versions[2].behind.as_ref().unwrap();
        assert!((last.by - 5.0 / 6.0).abs() < 1e-9 && last.parts_s.is_none());
        assert!((ranking.versions[2].peak_s - 3.2).abs() < 1e-9);
        let sum: f64 = ranking.versions.iter().map(|v| v.best_share).sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_same_curve_twice_shares_the_first_place() {
        let ranking = rank(&[humped("a", 1.0), humped("b", 1.0)], 0.1, None).unwrap();
        assert_eq!(ranking.versions.iter().map(|v| v.place).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(ranking.versions.iter().map(|v| v.best_share).collect::<Vec<_>>(), [0.5, 0.5]);
        let behind = ranking.versions[1].behind.as_ref().unwrap();
        assert_eq!((behind.by, behind.interval, behind.clear), (0.0, [0.0, 0.0], false));
    }

    #[test]
    fn they_part_where_lawful_videos_would_not() {
        let usual = Usual::new(&(0..1000).map(|i| f64::from(i % 100) / 100.0).collect::<Vec<_>>(), 1, 0.1).unwrap();
        let ranking = rank(&[humped("a", 0.0), humped("b", 3.0)], 0.1, Some(&usual)).unwrap();
        assert!(ranking.parting.unwrap() <= 1.0);
        assert_eq!(ranking.versions[1].behind.as_ref().unwrap().parts_s.map(|t| (t * 10.0).round()), Some(30.0));
        let quiet = rank(&[humped("a", 0.0), humped("b", 0.2)], 0.1, Some(&usual)).unwrap();
        assert_eq!(quiet.versions[1].behind.as_ref().unwrap().parts_s, None);
    }

    #[test]
    fn one_version_or_no_common_moment_is_refused() {
        assert!(rank(&[humped("a", 0.0)], 0.1, None).unwrap_err().to_string().contains("two versions"));
        let late = Version { curve: vec![(90.0, 1.0), (90.1, 1.0)], ..humped("late", 0.0) };
        assert!(rank(&[humped("a", 0.0), late], 0.1, None).unwrap_err().to_string().contains("in common"));
    }

    #[test]
    fn votes_sum_places() {
        let one = rank(&[humped("a", 0.0), humped("b", 1.0), humped("c", 2.0)], 0.1, None).unwrap();
        let two = rank(&[humped("a", 1.0), humped("b", 0.0), humped("c", 2.0)], 0.1, None).unwrap();
        let three = rank(&[humped("a", 2.0), humped("b", 0.0), humped("c", 1.0)], 0.1, None).unwrap();
        let all = votes(&[&one, &two, &three]);
        let told: Vec<_> = all.iter().map(|v| (v.input.as_str(), v.places, v.firsts)).collect();
        assert_eq!(told, [("b", 4, 2), ("a", 6, 1), ("c", 8, 0)]);
    }
}
