//! What all videos of an evaluation share: the models, the footings, the settings.

use super::super::args::ModelArgs;
use super::log::ResultKey;
use super::{EvaluateArgs, Failure, protocol, with_failures};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use startle::clip::Clip;
use startle::dataset::{Footings, Hearing, Panel, same_clips};
use startle::engine::{Model, asked, opener, run_config};
use startle::evaluate::{COPY, Case, OTHER, RANDOM};
use startle::media::ffmpeg::OpenOptions;
use startle::media::open::{Input, expand};
use startle::model::bundle::sha256_file;
use startle::model::shelf;
use startle::model::{Scorer, WindowErrors};
use startle::pipeline::{DetectionSettings, Open, score_windows};
use startle::record::RunConfig;
use startle::surprise::{Baseline, Learner};
use startle::units::Stop;
use startle::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the settings say of a scorer that is not in the run.
const NOT_MEASURED: &str = "not measured";

/// What all videos share.
pub struct Setup<'a> {
    pub args: &'a EvaluateArgs,
    pub jobs: usize,
    pub out: PathBuf,
    pub detection: DetectionSettings,
    pub baseline: Option<Baseline>,
    pub config: RunConfig,
    pub stop: Stop,
    model: Model,
    /// Random weights and another model, where there are some.
    others: Vec<(&'static str, Model)>,
    /// The video that each is matched with, by id; empty where their lengths do not matter.
    partners: BTreeMap<String, Case>,
    normal: Vec<Input>,
    /// What the numbers depend on.
    settings: BTreeMap<String, String>,
}

impl<'a> Setup<'a> {
    /// Finds and verifies everything, before anything is scored.
    pub fn new(args: &'a EvaluateArgs, cases: &[Case], stop: &Stop) -> Result<Self> {
        let jobs = usize::from(args.jobs).min(cases.len().max(1));
        let detection = args.detection.settings()?;
        let mut model = args.model.choose(jobs)?;
        let footage = args.paper.protocol.map(|_| protocol::source_fps(cases, args.limits, stop)).transpose()?;
        protocol::apply(&args.paper, footage, &mut model)?;
        let key = model.curve_key(detection.top_fraction)?;
        // The bundle's own baseline was learnt with the bundle's own clips.
        let bundled = model.bundle().filter(|_| args.paper.protocol.is_none());
        let (baseline, origin) = startle::engine::baseline(&args.detection.baseline, bundled, &key)?;
        let (random, random_words) = random(args, footage, &model, jobs)?;
        let other = args.beside.as_deref().map(|name| shelf::find(name, &shelf::search_path())).transpose()?;
        let other = other.map(|folder| beside(args, footage, &model, (&folder, jobs))).transpose()?;
        let other_words = other.as_ref().map(|other| (OTHER.to_owned(), words(other)));
        let others = [(RANDOM, random), (OTHER, other)];
        let others = others.into_iter().filter_map(|(name, chosen)| chosen.map(|chosen| (name, chosen))).collect();
        let normal = expand(&args.normal)?;
        let name = model.bundle().map_or_else(|| args.model.model.clone(), |bundle| bundle.manifest().name.clone());
        let origin = baseline.as_ref().map_or(origin.clone(), |b| format!("{origin}: {}", b.source()));
        let copies = model.bundle().is_some_and(|bundle| bundle.manifest().features.is_some());
        let copy = if copies { "measured" } else { NOT_MEASURED };
        let settings = [
            ("model", name),
            ("model sha256", key.model_sha256),
            (RANDOM, random_words),
            (COPY, copy.to_owned()),
            ("top fraction", detection.top_fraction.to_string()),
            ("stride", key.stride.to_string()),
            ("scene cuts", if scene_cuts(args) { "looked for" } else { "not looked for" }.to_owned()),
            ("footing", footing_words(&normal)?),
            ("baseline of events", origin.clone()),
            ("events", format!("{}, merged within {}", asked(&detection.rules.rule), detection.rules.merge)),
        ];
        let mut settings: BTreeMap<String, String> = settings.map(|(name, value)| (name.to_owned(), value)).into();
        settings.extend(other_words);
        protocol::record(&args.paper, &model, &mut settings);
        let mut config = run_config(&model, &detection, baseline.as_ref(), &origin)?;
        config.asked.scene_cuts = scene_cuts(args);
        let out = args.out.clone().unwrap_or_else(|| default_out(&args.root));
        let (partners, stop) = (protocol::partners(&args.paper, cases), stop.clone());
        Ok(Self { args, jobs, out, detection, baseline, config, stop, model, others, partners, normal, settings })
    }

    /// Frames that a video has more than the one it is matched with, where the protocol drops them.
    pub fn longer_by(&self, case: &Case) -> Result<u64> {
        let Some(partner) = self.partners.get(&case.id) else { return Ok(0) };
        let frames = |case| protocol::frames(case, self.args.limits, &self.stop);
        Ok(frames(case)?.saturating_sub(frames(partner)?))
    }

    /// Opens a video as the protocol, if there is one, takes frames from it, without the `first` ones.
    pub fn opener<'i>(&'i self, input: &'i Input, options: OpenOptions, first: u64) -> Open<'i> {
        let open = opener(input, OpenOptions { colours: self.args.paper.colours(), ..options });
        match &self.args.paper.protocol {
            Some(protocol) => protocol::counted(open, protocol, self.model.spec(), first),
            None => open,
        }
    }

    /// What an earlier run must share to be gone on with.
    pub fn key(&self) -> Result<ResultKey> {
        Ok(ResultKey::new(self.args.layout()?.to_string(), self.settings.clone()))
    }

    /// The settings for the results: those of the key, and what does not change the numbers.
    pub fn all_settings(&self, failed: &[Failure]) -> BTreeMap<String, String> {
        let mut all = with_failures(self.settings.clone(), failed);
        all.insert("startle".into(), env!("CARGO_PKG_VERSION").into());
        all.insert("device".into(), self.args.model.device.to_string());
        if !self.args.kinds.is_empty() {
            all.insert("kinds".into(), self.args.kinds.join(", "));
        }
        if let Some(limit) = self.args.limit {
            all.insert("limit".into(), format!("{limit} groups"));
        }
        all
    }

    /// The model and its controls, with sessions of their own.
    pub fn panel(&self) -> Result<Panel> {
        let others = self
            .others
            .iter()
            .map(|(name, chosen)| Ok((*name, chosen.scorer()? as Box<dyn Scorer + Send>)))
            .collect::<Result<_>>()?;
        Panel::new(self.model.scorer()?, others)
    }

    /// The footing of each scorer from the normal videos; none without such videos.
    pub fn learn(&self, bar: &ProgressBar) -> Result<Footings> {
        if self.normal.is_empty() {
            return Ok(Footings::new());
        }
        let mut panel = self.panel()?;
        let specs = panel.specs();
        let mut learners: BTreeMap<&'static str, Learner> = BTreeMap::new();
        for (index, input) in self.normal.iter().enumerate() {
            bar.set_message(format!("normal video {} of {}", index + 1, self.normal.len()));
            let options =
                OpenOptions { stop: self.stop.clone(), limits: self.args.limits.into(), ..OpenOptions::default() };
            let hear = |name: &'static str, clip: &Clip, errors: &WindowErrors| {
                learners.entry(name).or_insert_with(|| Learner::new(&specs[name])).push(index, clip, errors);
            };
            let mut hearing = Hearing::new(&mut panel, hear);
            let batch = self.model.batch();
            score_windows(self.opener(input, options, 0), &mut hearing, batch, &self.stop, |_, _, _| {})?;
        }
        if learners.is_empty() {
            return Err(Error::Config("--normal: none of the videos is as long as the model's clip".into()));
        }
        let top = self.detection.top_fraction;
        let taught = |learner: Learner| {
            let footing = learner.footing(false);
            let nuisances = learner.nuisances(&footing, top);
            (footing, nuisances)
        };
        Ok(learners.into_iter().map(|(name, learner)| (name, taught(learner))).collect())
    }
}

/// The bundle with random weights and what the settings say of it. One that was asked for must be there; one that goes
/// with the model's name may be missing, which is told.
fn random(args: &EvaluateArgs, footage: Option<f64>, model: &Model, jobs: usize) -> Result<(Option<Model>, String)> {
    let folder = match (&args.random, model.bundle()) {
        _ if args.no_random => return Ok((None, format!("{NOT_MEASURED}: left out"))),
        (Some(name), _) => shelf::find(name, &shelf::search_path())?,
        (None, None) => return Ok((None, format!("{NOT_MEASURED}: the model has no weights"))),
        (None, Some(bundle)) => {
            let name = format!("{}-random", bundle.manifest().name);
            let beside = bundle.dir().parent().map(Path::to_owned);
            let search: Vec<PathBuf> = beside.into_iter().chain(shelf::search_path()).collect();
            let Ok(folder) = shelf::find(&name, &search) else {
                eprintln!(
                    "startle: random weights are not measured: there is no bundle {name}; name one with --random"
                );
                return Ok((None, format!("{NOT_MEASURED}: there is no bundle {name}")));
            };
            folder
        }
    };
    let chosen = beside(args, footage, model, (&folder, jobs))?;
    let words = words(&chosen);
    Ok((Some(chosen), words))
}

/// The bundle in a folder, as it takes the model's clips.
fn beside(args: &EvaluateArgs, footage: Option<f64>, model: &Model, (folder, jobs): (&Path, usize)) -> Result<Model> {
    let named = ModelArgs { model: folder.to_string_lossy().into_owned(), ..args.model.clone() };
    let mut chosen = named.choose(jobs)?;
    protocol::apply(&args.paper, footage, &mut chosen)?;
    if !same_clips(chosen.spec(), model.spec()) {
        return Err(Error::bundle(folder, "takes other clips than the model, so it is no control for it"));
    }
    Ok(chosen)
}

/// A bundle's name and contents.
fn words(chosen: &Model) -> String {
    chosen.bundle().map_or_else(String::new, |b| format!("{} {}", b.manifest().name, b.sha256()))
}

/// What the settings say of the footing: the videos' names and contents, in short.
fn footing_words(normal: &[Input]) -> Result<String> {
    if normal.is_empty() {
        return Ok("none: errors as they are".into());
    }
    let mut hash = Sha256::new();
    for input in normal {
        hash.update(input.to_string());
        if let Some(file) = input.path().filter(|path| path.is_file()) {
            let unreadable = |e| Error::unreadable(input.to_string(), e);
            hash.update(sha256_file(file).map_err(unreadable)?);
        }
    }
    Ok(format!("learnt from {} normal videos, {}", normal.len(), hex::encode(&hash.finalize()[..8])))
}

/// The papers' videos are uncut, and their code looks for no cuts.
const fn scene_cuts(args: &EvaluateArgs) -> bool {
    !args.detection.no_scene_cuts && args.paper.protocol.is_none()
}

/// `reports/evaluate-NAME`, after the dataset's folder or list.
fn default_out(root: &Path) -> PathBuf {
    let full = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let name = full.file_stem().map_or_else(|| "dataset".into(), |name| name.to_string_lossy().into_owned());
    Path::new("reports").join(format!("evaluate-{name}"))
}
