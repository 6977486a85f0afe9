//! Circular block bootstrap of the moments of a curve (Politis & Romano, "A circular block-resampling procedure for
//! stationary data", 1992).

/// Resamples that are drawn.
const DRAWS: usize = 2000;
/// The same resamples for the same number of moments, whatever the machine.
const SEED: u64 = 0x5747_2117;

/// Where the blocks of each resample begin.
pub struct Resamples {
    count: usize,
    block: usize,
    starts: Vec<Vec<usize>>,
}

impl Resamples {
    /// Of `count` moments. A block is as long as `second`, the moments of a second, or the cube root of `count` (Künsch,
    /// 1989) if that is longer, but at most a third of all moments.
    pub fn draw(count: usize, second: usize) -> Self {
        let root = (count as f64).cbrt().ceil() as usize;
        let block = second.max(root).min(count / 3).max(1);
        let mut rng = fastrand::Rng::with_seed(SEED);
        let blocks = count.div_ceil(block);
        let starts = (0..DRAWS).map(|_| (0..blocks).map(|_| rng.usize(..count)).collect()).collect();
        Self { count, block, starts }
    }

    /// Moments of a block.
    pub const fn block(&self) -> usize {
        self.block
    }

    /// The mean of a curve's values `[count]` in each resample.
    pub fn means(&self, values: &[f64]) -> Vec<f64> {
        // Sums over blocks that go round, from a running sum over two rounds.
        let mut sums = Vec::with_capacity(2 * self.count + 1);
        sums.push(0.0);
        for value in values.iter().chain(values) {
            sums.push(sums[sums.len() - 1] + value);
        }
        let last = self.count - (self.count.div_ceil(self.block) - 1) * self.block;
        let of = |starts: &Vec<usize>| {
            let whole: f64 = starts[1..].iter().map(|s| sums[s + self.block] - sums[*s]).sum();
            (whole + sums[starts[0] + last] - sums[starts[0]]) / self.count as f64
        };
        self.starts.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_scatter_as_those_of_independent_blocks_do() {
        // Blocks of ten equal values: the mean of 300 values has the standard error of 30 independent ones.
        let mut rng = fastrand::Rng::with_seed(3);
        let values: Vec<f64> = (0..30).flat_map(|_| [rng.f64(); 10]).collect();
        let means = Resamples::draw(values.len(), 10).means(&values);
        let mean = values.iter().sum::<f64>() / 300.0;
        let spread =
            |of: &[f64], about: f64| (of.iter().map(|v| (v - about).powi(2)).sum::<f64>() / of.len() as f64).sqrt();
        let expected = spread(&values, mean) / 30_f64.sqrt();
        let ratio = spread(&means, mean) / expected;
        assert!((0.75..1.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn short_curves_have_short_blocks() {
        assert_eq!(Resamples::draw(60, 10).block(), 10);
        assert_eq!(Resamples::draw(12, 10).block(), 4);
        assert_eq!(Resamples::draw(2, 10).means(&[1.0, 1.0]), vec![1.0; DRAWS]);
        assert_eq!(Resamples::draw(100_000, 10).block(), 47);
    }
}
