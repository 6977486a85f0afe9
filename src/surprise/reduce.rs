//! The literature's reductions of window surprise over a whole video.

use super::WindowErrors;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The literature's numbers for a whole video (Garrido et al., arXiv 2502.11831, §4): window surprise is the mean
/// over tokens; the video's is the mean or the maximum over windows; `filtered` takes the minimum over context
/// lengths of each window first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VideoSurprise {
    /// Mean over windows and context lengths.
    pub avg: f64,
    /// Maximum over windows of the mean over context lengths.
    pub max: f64,
    /// Mean over windows of the minimum over context lengths.
    pub filtered_avg: f64,
    /// Maximum over windows of the minimum over context lengths.
    pub filtered_max: f64,
    /// For each context length in frames: mean and maximum over windows.
    pub per_context: BTreeMap<u32, ContextSurprise>,
    /// Windows scored.
    pub windows: u64,
}

/// [`VideoSurprise`] of one context length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextSurprise {
    /// Mean over windows.
    pub avg: f64,
    /// Maximum over windows.
    pub max: f64,
}

/// Folds windows into a [`VideoSurprise`]; sums while it runs, means when asked.
#[derive(Debug, Default)]
pub struct VideoSurpriseBuilder(VideoSurprise);

impl VideoSurpriseBuilder {
    /// Takes one window.
    pub fn push(&mut self, window: &WindowErrors) {
        let surprises: Vec<(u32, f64)> = window.contexts.iter().map(|c| (c.context, c.surprise())).collect();
        if surprises.is_empty() {
            return;
        }
        let all = &mut self.0;
        all.windows += 1;
        for (context, surprise) in &surprises {
            let entry = all.per_context.entry(*context).or_default();
            entry.avg += surprise;
            entry.max = entry.max.max(*surprise);
        }
        let average = surprises.iter().map(|s| s.1).sum::<f64>() / surprises.len() as f64;
        let smallest = surprises.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
        all.avg += average;
        all.max = all.max.max(average);
        all.filtered_avg += smallest;
        all.filtered_max = all.filtered_max.max(smallest);
    }

    /// The numbers of all windows so far.
    pub fn finish(&self) -> VideoSurprise {
        let mut done = self.0.clone();
        let windows = done.windows.max(1) as f64;
        done.avg /= windows;
        done.filtered_avg /= windows;
        done.per_context.values_mut().for_each(|c| c.avg /= windows);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::super::ContextErrors;
    use super::*;

    #[test]
    fn reductions_are_those_of_the_paper() {
        let window = |a: f32, b: f32| WindowErrors {
            contexts: vec![
                ContextErrors { context: 4, first_slot: 2, errors: vec![a, a] },
                ContextErrors { context: 6, first_slot: 3, errors: vec![b] },
            ],
        };
        let mut builder = VideoSurpriseBuilder::default();
        builder.push(&window(1.0, 3.0));
        builder.push(&window(5.0, 2.0));
        let done = builder.finish();
        assert_eq!((done.avg, done.max, done.filtered_avg, done.filtered_max), (2.75, 3.5, 1.5, 2.0));
        assert_eq!(done.per_context[&4], ContextSurprise { avg: 3.0, max: 5.0 });
        assert_eq!(done.windows, 2);
    }
}
