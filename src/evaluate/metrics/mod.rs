//! The metrics, one file each: pure functions of scores, with their definition and its source.
//!
//! Invariants: `None` where a metric is not defined (no video of one sort, nothing labelled), never a number that only
//! looks like one; ties never count for anybody. There is no point-adjusted F1: it rewards random scores (Kim et al.,
//! AAAI 2022).

mod events;
mod pairs;
mod place;
mod proportion;
mod ranking;
mod slots;
mod threshold;
mod told;

pub use events::{EventMetrics, event_metrics, false_alarms_at_recall, matched};
pub use pairs::{Cell, Ties, pairwise_accuracy};
pub use place::{BoxHits, box_hits, boxes_agree};
pub use proportion::{Proportion, wilson};
pub use ranking::{auroc, average_precision, precision_recall, roc};
pub use slots::{VUS_BUFFER, slot_auroc, vus_pr};
pub use threshold::{Absolute, absolute_accuracy, percentile};
pub use told::{Told, told};

use super::VideoScores;
use crate::record::PartKind;
use crate::units::PixelBox;

/// How far from the labelled onset an answer may lie, seconds.
pub const TOLERANCE_S: f64 = 0.5;

/// Rounding of times that is looked over, seconds.
const ROUNDING_S: f64 = 1e-9;

/// One video with what is labelled in it, as the metrics in time need it.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// What the scorer says.
    pub scores: &'a VideoScores,
    /// When the impossible happens, seconds from the first frame; `None`: the video is possible.
    pub onset_s: Option<f64>,
    /// Where it can be seen, pixels of the source picture; `None`: not labelled, or out of sight.
    pub place: Option<PixelBox>,
    /// What an event there should be; `None`: not labelled.
    pub what: Option<PartKind>,
    /// Seconds of video.
    pub duration_s: f64,
}
