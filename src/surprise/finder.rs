//! The one machine that turns slots into verdicts and events: `analyze` and `evaluate` fold over it, a live stream drives
//! it slot by slot, so they can't disagree.

use super::slow::Cusum;
use super::{
    Account, Baseline, Detection, Detector, DetectorOptions, Judge, Martingale, Past, Sign, Slot, ThresholdRule,
    Thresholds, Verdict,
};
use crate::units::MediaTime;
use std::collections::VecDeque;

/// Powers of ten that make a difference in how rare a moment is, of evidence that fades from slot to slot: eight times as
/// many, where events open on a stream's own past, are one moment in two thousand, or a few in a row that are rarer than one
/// in ten. (Most lawful moments have no energy at all, so their own spread says nothing.)
const LEAST_RARITY: f32 = 0.08;
/// Signs so long before an event's onset belong to it, nanoseconds: what it takes evidence to add up.
const LEAD_NANOS: i64 = 400_000_000;
/// An event begins with the first sign whose rank is this share of the strongest one's up to where the curve crosses the
/// threshold.
const BEGINS: f32 = 0.5;
/// Slots whose signs are remembered for the account of an event.
const REMEMBERED: usize = 128;

/// How slots become events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRules {
    /// Where events open and close.
    pub rule: ThresholdRule,
    /// Spikes closer than this are one event.
    pub merge: MediaTime,
    /// What is over faster is no event.
    pub min_duration: MediaTime,
    /// After an event none opens for so long.
    pub cool_down: MediaTime,
}

/// What gave an event away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
pub enum EventKind {
    /// Surprise that reached the threshold at once.
    Spike,
    /// Surprise that stayed a little too large for long: something fades, drifts or grows.
    Slow,
}

/// An event, and the slot that shows it best.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundEvent {
    /// Onset, peak, end.
    pub detection: Detection,
    /// What gave it away.
    pub kind: EventKind,
    /// The most surprising slot.
    pub peak: Slot,
    /// Its verdict.
    pub verdict: Verdict,
    /// What happened, if the model can tell.
    pub account: Option<Account>,
}

/// What a slot led to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Judged {
    /// What its surprise means.
    pub verdict: Verdict,
    /// Events that are over.
    pub events: Vec<FoundEvent>,
    /// An event that has begun, as far as it is known; told once, by its onset the same as the one in `events` later.
    pub opened: Option<FoundEvent>,
}

/// Judges a stream.
pub struct EventFinder {
    judge: Judge,
    thresholds: Thresholds,
    spikes: Detector,
    peak: Option<(Slot, Verdict)>,
    slow: Option<SlowFinder>,
    world: Option<World>,
    /// What spoke for an event lately, by the slot's start.
    signs: VecDeque<(MediaTime, Vec<Sign>)>,
    /// When the event that is open began, and when the last one ended.
    began: Option<MediaTime>,
    ended: MediaTime,
}

/// The detector of slow violations.
struct SlowFinder {
    sum: Cusum,
    detector: Detector,
    /// The most surprising slot since the evidence began to add up.
    best: Option<(Slot, Verdict)>,
}

/// Whether the stream is still in the calibration's world.
struct World {
    martingale: Martingale,
    /// Slots from one bet to the next.
    every: usize,
    slots: usize,
    left: Vec<(MediaTime, MediaTime)>,
}

impl EventFinder {
    /// Against a baseline, or against the stream's own past.
    pub fn new(baseline: Option<&Baseline>, options: &EventRules) -> Self {
        let judge = baseline.map_or_else(Judge::running, Judge::calibrated);
        Self::with_judge(judge, baseline, options)
    }

    /// Against the stream's own past, as far as it is known already.
    pub fn going_on(past: Past, options: &EventRules) -> Self {
        Self::with_judge(Judge::Running(past), None, options)
    }

    fn with_judge(mut judge: Judge, baseline: Option<&Baseline>, options: &EventRules) -> Self {
        let thresholds = Thresholds::new(&judge, baseline, options.rule);
        if let Judge::Running(past) = &mut judge {
            past.tells(thresholds.own_rate);
        }
        let detector = |high: f32, low: f32| {
            let EventRules { merge, min_duration, cool_down, .. } = *options;
            Detector::new(DetectorOptions { high, low, merge, min_duration, cool_down })
        };
        let slow = thresholds.slow.zip(baseline.and_then(Baseline::slow)).map(|(level, slow)| SlowFinder {
            sum: slow.cusum(),
            detector: detector(level, f32::MIN_POSITIVE),
            best: None,
        });
        let world = baseline.map(|b| World {
            martingale: Martingale::default(),
            every: b.thinned(),
            slots: 0,
            left: Vec::new(),
        });
        let spikes = detector(thresholds.high, thresholds.low);
        Self {
            judge,
            thresholds,
            spikes,
            peak: None,
            slow,
            world,
            signs: VecDeque::new(),
            began: None,
            ended: MediaTime::from_nanos(i64::MIN),
        }
    }

    /// Where events open and close, and what that promises.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// What the stream has shown of itself; `None` when it is judged by a baseline.
    pub const fn past(&self) -> Option<&Past> {
        match &self.judge {
            Judge::Running(past) => Some(past),
            Judge::Calibrated { .. } => None,
        }
    }

    /// Stretches in which the stream was not like the footage of the baseline: no event was looked for.
    pub fn strange(&self) -> &[(MediaTime, MediaTime)] {
        self.world.as_ref().map_or(&[], |world| &world.left)
    }

    /// Judges the next slot.
    pub fn push(&mut self, slot: &Slot) -> Judged {
        if let (Judge::Running(past), Some(_)) = (&mut self.judge, &slot.scene) {
            past.differs_by(LEAST_RARITY);
        }
        let verdict = self.judge.push(slot.surprise, slot.end.since(slot.start).secs_f64());
        let strange = self.world.as_mut().is_some_and(|world| world.push(slot, verdict));
        if let Some((high, low)) = self.thresholds.own_rate.and_then(|rate| self.own_levels(rate)) {
            self.spikes.set_levels(high, low);
        }
        let score = if self.thresholds.in_surprise { Some(slot.surprise) } else { verdict.z };
        self.remember(slot);
        let update = self.spikes.push((slot.start, slot.end), score.filter(|_| !strange));
        let mut events = Vec::new();
        if let Some(detection) = update.closed {
            events.extend(self.closed(detection));
        }
        if update.is_peak {
            self.peak = Some((slot.clone(), verdict));
        }
        let mut opened = update.opened.and_then(|d| {
            let onset = self.beginning(d.onset);
            self.began = Some(onset);
            found(Detection { onset, ..d }, EventKind::Spike, self.peak.clone())
        });
        if let Some(slow) = &mut self.slow {
            if self.spikes.is_open() || strange {
                events.extend(slow.end());
            } else {
                let (closed, begun) = slow.push(slot, verdict);
                events.extend(closed);
                opened = opened.or(begun);
            }
        }
        let told = |found| self.accounted(found);
        Judged { verdict, events: events.into_iter().map(told).collect(), opened: opened.map(told) }
    }

    /// A spike that is over, from where it was told to begin.
    fn closed(&mut self, detection: Detection) -> Option<FoundEvent> {
        let onset = self.began.take().unwrap_or_else(|| self.beginning(detection.onset));
        self.ended = detection.end;
        found(Detection { onset, ..detection }, EventKind::Spike, self.peak.take())
    }

    /// Where what crosses the threshold at `onset` began: evidence adds up, so its first sign comes a little earlier.
    fn beginning(&self, onset: MediaTime) -> MediaTime {
        let lead = || {
            let within = |start: MediaTime| start.nanos() >= onset.nanos() - LEAD_NANOS && start <= onset;
            let rank = |signs: &[Sign]| signs.first().map_or(0.0, |sign| sign.rank);
            self.signs.iter().filter(move |(start, _)| within(*start)).map(move |(start, signs)| (*start, rank(signs)))
        };
        let strongest = lead().map(|(_, rank)| rank).fold(0.0, f32::max);
        let first = lead().find(|(_, rank)| *rank >= BEGINS * strongest).map_or(onset, |(start, _)| start);
        first.max(self.ended).min(onset)
    }

    fn remember(&mut self, slot: &Slot) {
        if !slot.signs.is_empty() {
            if self.signs.len() == REMEMBERED {
                self.signs.pop_front();
            }
            self.signs.push_back((slot.start, slot.signs.clone()));
        }
    }

    /// Says what happened, from the strongest sign and what else was seen from the onset to the end. Evidence adds up, so the
    /// strongest sign comes before the peak.
    fn accounted(&self, found: FoundEvent) -> FoundEvent {
        let span = found.detection.onset..found.detection.end;
        let during = || self.signs.iter().filter(|(start, _)| span.contains(start)).flat_map(|(_, signs)| signs);
        let main = during().chain(found.peak.signs.first()).max_by(|a, b| a.rank.total_cmp(&b.rank));
        let account = main.map(|main| Account::of(main, during()));
        FoundEvent { account, ..found }
    }

    /// Where the stream's own past, once there is enough of it, puts a rate of events per second.
    fn own_levels(&self, rate: f64) -> Option<(f32, f32)> {
        let high = self.judge.z_at_rate(rate)?;
        Some((high, self.thresholds.low.min(high)))
    }

    /// The segment is over: closes what is open. What follows is a new scene.
    pub fn end_segment(&mut self) -> Vec<FoundEvent> {
        let spike = self.spikes.finish().and_then(|d| self.closed(d));
        let slow = self.slow.as_mut().and_then(SlowFinder::end);
        let events = spike.into_iter().chain(slow).map(|found| self.accounted(found)).collect();
        self.signs.clear();
        events
    }
}

fn found(detection: Detection, kind: EventKind, peak: Option<(Slot, Verdict)>) -> Option<FoundEvent> {
    peak.map(|(peak, verdict)| FoundEvent { detection, kind, peak, verdict, account: None })
}

impl SlowFinder {
    /// An event that is over, and one that has begun.
    fn push(&mut self, slot: &Slot, verdict: Verdict) -> (Option<FoundEvent>, Option<FoundEvent>) {
        let sum = self.sum.push(slot.surprise);
        let update = self.detector.push((slot.start, slot.end), Some(sum));
        let closed = update.closed.and_then(|d| self.found(d));
        if sum == 0.0 && !self.detector.is_open() {
            self.best = None;
        } else if self.best.as_ref().is_none_or(|(best, _)| slot.surprise > best.surprise) {
            self.best = Some((slot.clone(), verdict));
        }
        let opened = update.opened.and_then(|d| found(d, EventKind::Slow, self.best.clone()));
        (closed, opened)
    }

    fn end(&mut self) -> Option<FoundEvent> {
        let closed = self.detector.finish().and_then(|d| self.found(d));
        self.sum.reset();
        self.best = None;
        closed
    }

    /// The event ends where the evidence was largest; from there it only fades.
    fn found(&mut self, detection: Detection) -> Option<FoundEvent> {
        let (best, verdict) = self.best.take()?;
        let end = detection.peak.plus(best.end.since(best.start).midpoint(MediaTime::ZERO));
        let detection = Detection { peak: best.middle(), end: end.max(best.end), score: best.surprise, ..detection };
        Some(FoundEvent { detection, kind: EventKind::Slow, peak: best, verdict, account: None })
    }
}

impl World {
    /// Whether the stream has left it.
    fn push(&mut self, slot: &Slot, verdict: Verdict) -> bool {
        if self.slots.is_multiple_of(self.every)
            && let Some(p) = verdict.p_value
        {
            self.martingale.push(p);
        }
        self.slots += 1;
        let strange = self.martingale.warned();
        if strange {
            match self.left.last_mut() {
                Some(span) if span.1 == slot.start => span.1 = slot.end,
                _ => self.left.push((slot.start, slot.end)),
            }
        }
        strange
    }
}

#[cfg(test)]
mod tests {
    use super::super::baseline::tests::{key, normal as footage};
    use super::super::{Footing, Nuisances, ThresholdRule, uniform};
    use super::*;
    use crate::clip::frame_for_tests;
    use proptest::prelude::*;
    use std::sync::{Arc, LazyLock};

    /// Enough footage (nearly an hour) that what is promised is known to better than a factor of two.
    static WORLD: LazyLock<Baseline> =
        LazyLock::new(|| Baseline::learn(key(), Footing::identity(), &footage(160, 100), 0.2, "test".into()).unwrap());

    /// Slots of 0.2 s, as the baseline of the tests has them.
    const SLOT: i64 = 200_000_000;

    fn slot(index: usize, surprise: f32) -> Slot {
        let start = MediaTime::from_nanos(index as i64 * SLOT);
        Slot {
            segment: 0,
            start,
            end: MediaTime::from_nanos((index as i64 + 1) * SLOT),
            surprise,
            unadjusted: surprise,
            nuisances: Nuisances::default(),
            raw: surprise,
            motion: 0.0,
            heat: vec![surprise],
            frame: Arc::new(frame_for_tests(start)),
            scene: None,
            signs: Vec::new(),
            by_horizon: Vec::new(),
        }
    }

    fn options(rule: ThresholdRule) -> EventRules {
        let zero = MediaTime::ZERO;
        EventRules { rule, merge: MediaTime::from_nanos(500_000_000), min_duration: zero, cool_down: zero }
    }

    fn hourly(per_hour: f64) -> EventRules {
        options(ThresholdRule::Rate { per_hour })
    }

    /// Normal slots of the baseline's world: exponential over its median.
    fn normal(i: usize) -> f32 {
        let unadjusted = 1.0 - uniform(i + 1_000_000).ln() as f32;
        WORLD.nuisances().adjust(unadjusted, &Nuisances::default())
    }

    fn run(watch: &mut EventFinder, curve: &[f32]) -> Vec<FoundEvent> {
        let mut events: Vec<FoundEvent> =
            curve.iter().enumerate().flat_map(|(i, s)| watch.push(&slot(i, *s)).events).collect();
        events.extend(watch.end_segment());
        events
    }

    #[test]
    fn planted_spikes_are_found_at_their_slots_and_the_promise_is_kept() {
        let mut curve: Vec<f32> = (0..36_000).map(normal).collect(); // two hours
        let mut watch = EventFinder::new(Some(&WORLD), &hourly(6.0));
        let false_alarms = run(&mut watch, &curve).len();
        assert!((3..=24).contains(&false_alarms), "12 were promised, {false_alarms} seen");
        assert!(watch.strange().is_empty());
        let high = watch.thresholds().high;
        let planted: Vec<usize> = (1..20).map(|i| i * 1800 + 7 * i).collect();
        for at in &planted {
            curve[*at] = 2.0 * high;
        }
        let found = run(&mut EventFinder::new(Some(&WORLD), &hourly(6.0)), &curve);
        for at in planted {
            let middle = slot(at, 0.0).middle();
            let event = found.iter().find(|f| f.detection.onset <= middle && middle <= f.detection.end);
            let event = event.unwrap_or_else(|| panic!("slot {at} is missed"));
            assert!(event.detection.peak == middle && event.kind == EventKind::Spike);
        }
    }

    #[test]
    fn what_fades_is_a_slow_event_whose_onset_is_where_it_began() {
        let mut watch = EventFinder::new(Some(&WORLD), &hourly(6.0));
        let (high, begins) = (watch.thresholds().high, 2000);
        let curve: Vec<f32> = (0..4000)
            .map(|i| if (begins..begins + 60).contains(&i) { (3.0 * normal(i)).min(0.9 * high) } else { normal(i) })
            .collect();
        let found = run(&mut watch, &curve);
        let slow: Vec<_> = found.iter().filter(|f| f.kind == EventKind::Slow).collect();
        assert_eq!(slow.len(), 1, "{:?}", found.iter().map(|f| (f.kind, f.detection)).collect::<Vec<_>>());
        let onset = slow[0].detection.onset.nanos() / SLOT;
        assert!((begins as i64 - 10..begins as i64 + 10).contains(&onset), "onset at slot {onset}");
        assert!(
            slow[0].detection.peak >= slow[0].detection.onset && slow[0].detection.end <= slot(begins + 62, 0.0).end
        );
    }

    #[test]
    fn a_moved_camera_is_told_once_and_does_not_alarm_for_ever() {
        let mut watch = EventFinder::new(Some(&WORLD), &hourly(60.0));
        let curve: Vec<f32> = (0..6000).map(|i| if i < 1000 { normal(i) } else { 6.0 * normal(i) }).collect();
        let found = run(&mut watch, &curve);
        let [(since, until)] = watch.strange() else { panic!("{:?}", watch.strange()) };
        assert!((1000..1200).contains(&(since.nanos() / SLOT)) && until.nanos() / SLOT == 6000);
        assert!(found.iter().all(|f| f.detection.onset < *since), "no event is looked for where it is strange");
        assert!(found.len() < 40, "{}", found.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// What is said of a slot does not change with what comes after it.
        #[test]
        fn the_future_changes_nothing(curve in prop::collection::vec(0.01f32..40.0, 1..150), cut in 0usize..150, own in any::<bool>()) {
            let cut = cut.min(curve.len());
                let start = || EventFinder::new((!own).then_some(&WORLD), &hourly(600.0));
            let told = |watch: &mut EventFinder, curve: &[f32]| -> Vec<String> {
                curve.iter().enumerate().map(|(i, s)| format!("{:?}", watch.push(&slot(i, *s)))).collect()
            };
            let whole = told(&mut start(), &curve);
            prop_assert_eq!(&told(&mut start(), &curve[..cut])[..], &whole[..cut]);
        }

        /// Whatever was told as begun is told as over, once, with the same onset; and nothing else is.
        #[test]
        fn what_begins_ends(curve in prop::collection::vec(prop_oneof![0.01f32..3.0, 5.0f32..60.0], 1..200), long in any::<bool>()) {
            let min_duration = MediaTime::from_nanos(if long { 2 * SLOT } else { 0 });
            let mut watch = EventFinder::new(Some(&WORLD), &EventRules { min_duration, ..hourly(600.0) });
            let (mut begun, mut over) = (Vec::new(), Vec::new());
            for (i, s) in curve.iter().enumerate() {
                let judged = watch.push(&slot(i, *s));
                over.extend(judged.events);
                begun.extend(judged.opened);
            }
            over.extend(watch.end_segment());
            let key = |f: &FoundEvent| (f.detection.onset, f.kind);
            let mut over: Vec<_> = over.iter().map(key).collect();
            over.sort_by_key(|o| o.0);
            prop_assert_eq!(begun.iter().map(key).collect::<Vec<_>>(), over);
        }

        /// Against its own past, a curve and its multiple are the same.
        #[test]
        fn scale_changes_nothing_relative(curve in prop::collection::vec(0.5f32..2.0, 40..200), at in 20usize..40) {
            let mut curve = curve;
            curve[at] = 60.0;
            let rule = options(ThresholdRule::Z { high: 8.0, low: 4.0 });
            let spans = |factor: f32| -> Vec<Detection> {
                let scaled: Vec<f32> = curve.iter().map(|s| s * factor).collect();
                run(&mut EventFinder::new(None, &rule), &scaled).iter().map(|f| Detection { score: 0.0, ..f.detection }).collect()
            };
            prop_assert!(!spans(1.0).is_empty());
            prop_assert_eq!(spans(1.0), spans(4.0));
        }

        /// A discontinuity is no event, and no event reaches across one.
        #[test]
        fn no_event_crosses_a_break(curve in prop::collection::vec(0.01f32..60.0, 2..200), break_at in 1usize..200) {
            let break_at = break_at.min(curve.len() - 1);
                let mut watch = EventFinder::new(Some(&WORLD), &hourly(600.0));
            let mut first: Vec<FoundEvent> = (0..break_at).flat_map(|i| watch.push(&slot(i, curve[i])).events).collect();
            first.extend(watch.end_segment());
            let mut second: Vec<FoundEvent> = (break_at..curve.len()).flat_map(|i| watch.push(&slot(i, curve[i])).events).collect();
            second.extend(watch.end_segment());
            let line = slot(break_at, 0.0).start;
            prop_assert!(first.iter().all(|f| f.detection.end <= line));
            prop_assert!(second.iter().all(|f| f.detection.onset >= line));
            let mut calm = EventFinder::new(Some(&WORLD), &hourly(6.0));
            for i in 0..200 {
                prop_assert!(calm.push(&slot(i, 1.0)).events.is_empty());
                if i % 7 == 0 {
                    prop_assert!(calm.end_segment().is_empty());
                }
            }
        }
    }
}
