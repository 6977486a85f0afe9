//! What a predictor asks with: one of the mask tokens of its checkpoint.
//!
//! V-JEPA 2 is published with ten of them. `VJEPA2Model` asks with token 1. The training code numbers tokens by the length
//! of the clip (`PredictorMultiSeqWrapper` in `src/utils/wrappers.py` of facebookresearch/vjepa2), so a model that was
//! trained with clips of one length has trained token 0 alone, and the others are what they were at the start: zero.

use serde::{Deserialize, Serialize};

/// `[mask_token]` of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskToken {
    /// The token that the predictor asks with, from 0.
    pub index: usize,
    /// The Euclidean length of each token of the checkpoint.
    pub lengths: Vec<f64>,
}

impl MaskToken {
    /// The token `index` of those whose values follow one another, `width` each.
    ///
    /// # Errors
    /// A sentence, when there is no such token, or it is zero and another one is not: then it was not trained.
    pub fn choose(index: usize, values: &[f32], width: usize) -> Result<Self, String> {
        let length = |token: &[f32]| token.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let lengths: Vec<f64> = values.chunks(width).map(length).collect();
        let Some(own) = lengths.get(index) else {
            return Err(format!("there is no mask token {index}: the checkpoint has {}, from 0", lengths.len()));
        };
        let others: Vec<String> =
            lengths.iter().enumerate().filter(|(_, length)| **length > 0.0).map(|(at, _)| at.to_string()).collect();
        if *own == 0.0 && !others.is_empty() {
            return Err(format!(
                "mask token {index} is zero and token {} is not, so it was never trained; choose that one with --mask-token",
                others.join(", ")
            ));
        }
        Ok(Self { index, lengths })
    }

    /// Which one it is and how long, and how long the others are.
    pub fn describe(&self) -> String {
        let length = |at: usize| self.lengths.get(at).copied().unwrap_or_default();
        let others: Vec<String> = (0..self.lengths.len())
            .filter(|at| *at != self.index)
            .map(|at| format!("{at}: {:.4}", length(at)))
            .collect();
        let others =
            if others.is_empty() { "the only one".into() } else { format!("the others {}", others.join(", ")) };
        format!("mask token {} asks, of length {:.4} ({others})", self.index, length(self.index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_token_is_refused_when_another_is_not() {
        let tokens = [3.0, 4.0, 0.0, 0.0];
        assert_eq!(MaskToken::choose(0, &tokens, 2).unwrap().lengths, [5.0, 0.0]);
        let zero = MaskToken::choose(1, &tokens, 2).unwrap_err();
        assert!(zero.contains("mask token 1 is zero and token 0 is not"), "{zero}");
        assert!(MaskToken::choose(2, &tokens, 2).unwrap_err().contains("has 2, from 0"));
        assert!(MaskToken::choose(1, &[0.0; 4], 2).is_ok(), "all are as they were made: nothing better to ask with");
        let said = MaskToken::choose(0, &tokens, 2).unwrap().describe();
        assert_eq!(said, "mask token 0 asks, of length 5.0000 (the others 1: 0.0000)");
    }
}
