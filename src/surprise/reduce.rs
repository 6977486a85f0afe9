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
pub struct VideoSurpriseBuilder {
    sums: VideoSurprise,
    /// Predictions from each context length of a whole window, beside those of all windows.
    opening: BTreeMap<u32, u64>,
}

impl VideoSurpriseBuilder {
    /// Takes one window.
    pub fn push(&mut self, window: &WindowErrors) {
        let surprises: Vec<(u32, f64)> = window.contexts.iter().map(|c| (c.context, c.surprise())).collect();
        if surprises.is_empty() {
            return;
        }
        let all = &mut self.sums;
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

    /// Takes the predictions of a video's first window from contexts of every length: each context length's numbers get
    /// those of all shorter ones, for what happens before its first prediction (Bordes et al., arXiv 2506.09849; their
    /// code's `max_context_mode`). To be called after [`VideoSurpriseBuilder::push`] of that window.
    pub fn open(&mut self, first: &WindowErrors) {
        for (length, entry) in &mut self.sums.per_context {
            for shorter in first.contexts.iter().filter(|c| c.context < *length) {
                entry.avg += shorter.surprise();
                entry.max = entry.max.max(shorter.surprise());
                *self.opening.entry(*length).or_default() += 1;
            }
        }
    }

    /// The numbers of all windows so far.
    pub fn finish(&self) -> VideoSurprise {
        let mut done = self.sums.clone();
        let windows = done.windows.max(1) as f64;
        done.avg /= windows;
        done.filtered_avg /= windows;
        for (length, entry) in &mut done.per_context {
            entry.avg /= windows + self.opening.get(length).copied().unwrap_or_default() as f64;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::super::ContextErrors;
    use super::*;
    use ndarray::array;

    #[test]
    fn reductions_are_those_of_the_paper() {
        let window = |a: f32, b: f32| -> WindowErrors {
            vec![
                ContextErrors { context: 4, first_slot: 2, errors: array![[a, a]] },
                ContextErrors { context: 6, first_slot: 3, errors: array![[b]] },
            ]
            .into()
        };
        let mut builder = VideoSurpriseBuilder::default();
        builder.push(&window(1.0, 3.0));
        builder.push(&window(5.0, 2.0));
        let done = builder.finish();
        assert_eq!((done.avg, done.max, done.filtered_avg, done.filtered_max), (2.75, 3.5, 1.5, 2.0));
        assert_eq!(done.per_context[&4], ContextSurprise { avg: 3.0, max: 5.0 });
        assert_eq!(done.windows, 2);
    }

    #[test]
    fn an_opening_gives_each_context_what_shorter_ones_saw() {
        let errors =
            |context, error| ContextErrors { context, first_slot: context as usize / 2, errors: array![[error]] };
        let window = |a, b| -> WindowErrors { vec![errors(4, a), errors(6, b)].into() };
        let mut builder = VideoSurpriseBuilder::default();
        builder.push(&window(1.0, 2.0));
        builder.open(&vec![errors(4, 1.0), errors(6, 2.0), errors(2, 9.0)].into());
        builder.push(&window(2.0, 3.0));
        let done = builder.finish();
        // Context 4: 2 frames of context gave 9 for the first window; then 1 and 2. Context 6: 9, 1, then 2 and 3.
        assert_eq!(done.per_context[&4], ContextSurprise { avg: 4.0, max: 9.0 });
        assert_eq!(done.per_context[&6], ContextSurprise { avg: 3.75, max: 9.0 });
        assert_eq!((done.windows, done.avg), (2, 2.0));
    }
}
