//! One live stream, watched beside the caller.

use super::{Choice, Model, baseline};
use crate::media::adapt::ByArrival;
use crate::media::ffmpeg::{FfmpegSource, OpenOptions};
use crate::media::open::Input;
use crate::pipeline::DetectionSettings;
use crate::surprise::Past;
use crate::units::{MediaTime, Stop};
use crate::watch::engine::{Background, Camera, CameraId, Options, Pace};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// The baseline that is the stream's own past.
const OWN: &str = "self";

/// How a stream is watched.
#[derive(Debug, Clone)]
pub struct Watching {
    /// When a surprise is an event.
    pub detection: DetectionSettings,
    /// `self` (the stream's own past), `bundle` or a file of `startle calibrate`.
    pub baseline: String,
    /// No event is told before so much footage was seen, seconds.
    pub warm_up_s: f64,
    /// Without a frame for so long the source is connected anew, seconds.
    pub stall_s: f64,
}

impl Watching {
    /// Checks the times.
    ///
    /// # Errors
    /// [`Error::Config`] that names the one that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, seconds) in [("warm_up", self.warm_up_s), ("stall", self.stall_s)] {
            if !(0.0..=86_400.0).contains(&seconds) {
                return Err(Error::Config(format!("{name}: {seconds} does not lie in 0..86400 seconds")));
            }
        }
        Ok(())
    }
}

/// Watches a URL as it comes (connecting anew when it breaks), or a file as fast as the model can.
///
/// ```
/// use startle::engine::{Choice, Watching, Wishes, stream};
/// use startle::media::open::Input;
/// use startle::watch::engine::{News, Phase, Waited};
/// use std::time::Duration;
///
/// let (detection, baseline) = (Wishes::default().settings()?, "bundle".to_owned());
/// let watching = Watching { detection, baseline, warm_up_s: 0.0, stall_s: 10.0 };
/// let film = Input::File("samples/colour_0_impossible.mp4".into());
/// let mut background = stream(&Choice::of("startle-o1"), film, &watching)?;
/// let mut begun = 0;
/// loop {
///     match background.next(Duration::from_secs(1))? {
///         Waited::End => break,
///         Waited::News(_, news) => begun += usize::from(matches!(*news, News::Incident(i) if i.phase == Phase::Begun)),
///         Waited::Nothing => {}
///     }
/// }
/// assert_eq!(begun, 1);
/// # Ok::<(), startle::Error>(())
/// ```
///
/// # Errors
/// When the model or the baseline can't be loaded; a source that is not there is told as its health.
pub fn stream(choice: &Choice, input: Input, watching: &Watching) -> Result<Background> {
    watching.check()?;
    let mut model = Model::choose(choice, 1)?;
    let own = watching.baseline == OWN;
    if own {
        model.be_prompt();
    }
    let key = model.curve_key(watching.detection.top_fraction)?;
    // A stream's own past judges it; errors are brought to one scale as the bundle says.
    let asked = if own { "bundle" } else { &watching.baseline };
    let stall = Duration::from_secs_f64(watching.stall_s);
    let camera = Camera {
        pace: if input.url().is_some() { Pace::Live } else { Pace::Model },
        open: Box::new(move |stop| {
            let timeout = stall.max(Duration::from_secs(1));
            let options = OpenOptions { stop, timeout, threads: 1, live: true, ..OpenOptions::default() };
            let source = Box::new(FfmpegSource::open(&input, &options)?);
            Ok(if source.is_pushed() { Box::new(ByArrival::new(source)) } else { source })
        }),
        stall,
        warm_up: MediaTime::from_secs_f64(watching.warm_up_s),
        detection: watching.detection.clone(),
        baseline: baseline(asked, model.bundle(), &key)?.0.map(Arc::new),
        past: own.then(Past::default),
        fps: None,
        region: Vec::new(),
        on_duty: Box::new(|_| true),
    };
    let options = Options { batch: model.batch(), ..Options::new(Stop::new()) };
    Background::start(vec![(CameraId::new(0), camera)], model.scorer()?, options)
}
