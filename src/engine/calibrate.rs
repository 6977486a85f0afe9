//! What surprise looks like on footage that is known to be normal.

use super::{Model, opener};
use crate::Result;
use crate::media::ffmpeg::OpenOptions;
use crate::media::open::Input;
use crate::pipeline::score_windows;
use crate::surprise::{Baseline, DEFAULT_TOP_FRACTION, Learner};

/// How a baseline is learnt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learning {
    /// Share of a slot's tokens whose mean is its surprise; must be the one used later.
    pub top: f32,
    /// The camera does not move: what is normal is learnt for each place of the picture.
    pub fixed_camera: bool,
}

impl Default for Learning {
    fn default() -> Self {
        Self { top: DEFAULT_TOP_FRACTION, fixed_camera: false }
    }
}

/// Learns from normal videos; `done` hears how many of them have been seen.
///
/// ```
/// use startle::engine::{Choice, Learning, Model, calibrate};
/// use startle::media::ffmpeg::OpenOptions;
/// use startle::media::open::Input;
///
/// let model = Model::choose(&Choice::of("persistence"), 1)?;
/// let normal = [Input::File("samples/colour_0_possible.mp4".into())];
/// let mut seen = 0;
/// let baseline = calibrate(&model, &normal, &OpenOptions::default(), Learning::default(), &mut |count| {
///     seen = count;
///     Ok(())
/// });
/// // One short video teaches nothing: minutes of footage are needed.
/// let refused = baseline.err().expect("too little footage");
/// assert!(seen == 1 && refused.to_string().contains("give more videos"), "{refused}");
/// # Ok::<(), startle::Error>(())
/// ```
///
/// # Errors
/// When a video can't be read, the model fails, there is too little footage, or `done` fails;
/// [`crate::Error::Stopped`] when the stop of `options` was pulled.
pub fn calibrate(
    model: &Model,
    inputs: &[Input],
    options: &OpenOptions,
    learning: Learning,
    done: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Baseline> {
    let Learning { top, fixed_camera } = learning;
    let mut scorer = model.scorer()?;
    let mut learner = Learner::new(model.spec());
    for (index, input) in inputs.iter().enumerate() {
        let open = opener(input, options.clone());
        score_windows(open, scorer.as_mut(), model.batch(), &options.stop, |_, clip, errors| {
            learner.push(index, clip, errors);
        })?;
        done(index + 1)?;
    }
    let footing = learner.footing(fixed_camera);
    let runs = learner.runs(&footing, top);
    let source = format!("{} videos, {} slots", inputs.len(), runs.iter().map(Vec::len).sum::<usize>());
    Baseline::learn(model.curve_key(top)?, footing, &runs, model.spec().slot_s(), source)
}
