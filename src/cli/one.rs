//! One input of `startle analyze`, from hash to report folder.

use super::analyze::{AnalyzeArgs, Format};
use super::annotate::{self, Film};
use super::exit::Outcome;
use super::places::{self, Places};
use super::plain;
use super::progress::ProgressSink;
use super::resume::Earlier;
use indicatif::MultiProgress;
use sha2::{Digest, Sha256};
use startle::engine::{Model, opener};
use startle::media::GapReason;
use startle::media::ffmpeg::OpenOptions;
use startle::media::open::Input;
use startle::model::Scorer;
use startle::model::bundle::sha256_file;
use startle::pipeline::{self, DetectionSettings, Job};
use startle::record::{Report, RunConfig, RunEvent, Sink};
use startle::report::claim::{ANNOTATED, OUTPUTS, claim};
use startle::report::jsonl::JsonLines;
use startle::report::ledger::Stamp;
use startle::report::{self, OutputOptions, summary};
use startle::surprise::{Baseline, CurveKey};
use startle::units::Stop;
use startle::{Error, Result};
use std::path::Path;

/// What all inputs of a run share.
pub struct Setup<'a> {
    pub args: &'a AnalyzeArgs,
    pub model: Model,
    pub detection: DetectionSettings,
    pub key: CurveKey,
    pub baseline: Option<Baseline>,
    pub config: RunConfig,
    /// A mark of the model and what was asked for.
    pub question: String,
    /// Reports that `--resume` may find again.
    pub earlier: Earlier,
    pub bars: MultiProgress,
    pub stop: Stop,
}

/// How one input went.
pub struct Finished {
    pub outcome: Outcome,
    /// Events found.
    pub events: usize,
    /// Its line of the summary; `None`: nothing was read, since the ledger knows that an earlier report holds.
    pub row: Option<summary::InputRow>,
    /// What the file was like before it was read.
    pub stamp: Option<Stamp>,
}

/// Analyzes one input and says how it went; a failure is told and kept, so that the next input gets its turn.
pub fn run(setup: &Setup<'_>, scorer: &mut (dyn Scorer + Send), input: &Input, places: &Places) -> Finished {
    let name = input.to_string();
    match try_run(setup, scorer, input, places) {
        Ok(finished) => finished,
        Err(error) => {
            let outcome = Outcome::from(&error);
            if outcome == Outcome::Failed {
                setup.bars.suspend(|| super::complain(&error));
            }
            let row = summary::InputRow::failed(&name, &error.to_string());
            Finished { outcome, events: 0, row: Some(row), stamp: None }
        }
    }
}

fn try_run(setup: &Setup<'_>, scorer: &mut (dyn Scorer + Send), input: &Input, places: &Places) -> Result<Finished> {
    if setup.stop.requested() {
        return Err(Error::Stopped);
    }
    let name = input.to_string();
    let file = input.path().filter(|path| path.is_file());
    let stamp = file.and_then(Stamp::of).and_then(Stamp::settled);
    if let Some(finished) = setup.earlier.known(&name, stamp, setup) {
        return Ok(finished);
    }
    let folder = &places.of(input);
    let options = OpenOptions { decoding: setup.args.decode, ..setup.args.input.options(setup.stop.child()) };
    let sha256 = content(input, &options)?;
    if setup.args.resume
        && let Some(sha256) = &sha256
        && let Some((report, folder)) = setup.earlier.find(folder, sha256, setup)
    {
        return Ok(Finished { stamp, ..keep(setup, input, report, &folder)? });
    }
    let _claim = claim(folder, &places::subject(input, sha256.as_deref()))?;
    let stop = options.stop.clone();
    let again = OpenOptions { stop: setup.stop.child(), ..options.clone() };
    let job = Job {
        path: name.clone(),
        sha256,
        open: opener(input, options),
        detection: setup.detection.clone(),
        baseline: setup.baseline.as_ref(),
        config: setup.config.clone(),
        stop,
    };
    let mut progress = ProgressSink::new(&setup.bars, &plain(&name));
    let mut lines = setup.args.format.map(|Format::Jsonl| JsonLines::new(std::io::stdout(), setup.stop.clone()));
    let mut sinks: Vec<&mut dyn Sink> = vec![&mut progress];
    sinks.extend(lines.as_mut().map(|l| l as &mut dyn Sink));
    let mut report = pipeline::analyze(job, scorer, &mut sinks)?;
    sinks.iter_mut().try_for_each(|sink| sink.record(&RunEvent::Finished(&report)))?;
    let outputs = file.map_or(OutputOptions::new(folder), |path| OutputOptions::new(folder).with_video(path));
    annotate::write_all(&mut report, &outputs, film(setup, input, again))?;
    let finished = Finished { stamp, ..finished(setup, &report, folder, false) };
    if !setup.args.quiet {
        setup.bars.suspend(|| print_report(&report, folder));
    }
    Ok(finished)
}

/// What the film of an input is made of, if one was asked for and nothing was interrupted.
fn film<'a>(setup: &'a Setup<'_>, input: &Input, open: OpenOptions) -> Option<Film<'a>> {
    let wanted = setup.args.annotate && !setup.stop.requested();
    wanted.then(|| Film { input: input.clone(), open, bars: &setup.bars, quiet: setup.args.quiet })
}

/// The hash of what an input on the disk holds. That of a sequence is of its rate and its pictures, each in its place: at
/// another rate they are another video; one that can't be read is a hole in it.
fn content(input: &Input, options: &OpenOptions) -> Result<Option<String>> {
    match input {
        Input::File(path) if path.is_file() => {
            let sha256 = sha256_file(path);
            sha256.map(Some).map_err(|e| Error::unreadable(input.to_string(), e))
        }
        Input::Images(sequence) => {
            let mut all = Sha256::new();
            all.update(options.image_fps.to_le_bytes());
            for image in &sequence.files {
                if options.stop.requested() {
                    return Err(Error::Stopped);
                }
                all.update(image.number.to_le_bytes());
                all.update(sha256_file(&image.path).unwrap_or_default());
            }
            Ok(Some(hex::encode(all.finalize())))
        }
        _ => Ok(None),
    }
}

/// An earlier report that still holds: what is missing of it is made again, and it names the input as it is called now.
fn keep(setup: &Setup<'_>, input: &Input, mut report: Report, folder: &Path) -> Result<Finished> {
    let name = input.to_string();
    let filmed = report.annotated.is_some() && folder.join(ANNOTATED).is_file();
    let whole = OUTPUTS.iter().all(|output| folder.join(output).is_file()) && (filmed || !setup.args.annotate);
    if !whole || report.input.path != name {
        let _claim = claim(folder, &places::subject(input, report.input.sha256.as_deref()))?;
        report.input.path = name;
        let file = input.path().filter(|path| path.is_file());
        let options = file.map_or(OutputOptions::new(folder), |path| OutputOptions::new(folder).with_video(path));
        let film = film(setup, input, setup.args.input.options(setup.stop.child()));
        annotate::write_all(&mut report, &options, film)?;
    }
    Ok(finished(setup, &report, folder, true))
}

fn finished(setup: &Setup<'_>, report: &Report, folder: &Path, skipped: bool) -> Finished {
    // A truncated input is `report.truncated` already.
    let broken = report.input.gaps.iter().any(|g| g.reason == GapReason::Corrupt);
    let outcome = if setup.stop.requested() && report.truncated && !skipped {
        Outcome::Interrupted
    } else if broken || report.truncated || report.curve.is_empty() {
        Outcome::Partial
    } else if setup.args.fail_on_event && !report.events.is_empty() {
        Outcome::EventsFound
    } else {
        Outcome::Done
    };
    let row = Some(summary::InputRow::of(report, folder, skipped));
    Finished { outcome, events: report.events.len(), row, stamp: None }
}

/// What was found, for a person; on stderr, since stdout is for machines.
fn print_report(report: &Report, folder: &Path) {
    let input = &report.input;
    eprintln!(
        "{}: {:.1} s analyzed with {} on {} in {:.1} s ({:.1}× real time)",
        plain(&input.path),
        input.duration_s,
        report.model.name,
        report.model.execution_provider,
        report.timings.wall_s,
        report.timings.realtime_factor
    );
    for gap in &input.gaps {
        eprintln!("  gap   {:7.2} s – {:.2} s  {}", gap.start_s, gap.end_s, report::words::gap(gap.reason));
    }
    for event in &report.events {
        let [x0, y0, x1, y1] = event.place.map(f32::round);
        let p = event.p_value.map_or(String::new(), |p| format!(", p = {p:.4}"));
        eprintln!(
            "  event {:7.2} s – {:.2} s  peak at {:.2} s, surprise {:.1} (z = {:.1}{p}), at x {x0}–{x1}, y {y0}–{y1}",
            event.onset_s, event.end_s, event.peak_s, event.score, event.z
        );
        if let Some(what) = &event.what {
            eprintln!("        {}", what.sentence);
        }
    }
    if report.events.is_empty() && !report.curve.is_empty() {
        eprintln!("  nothing impossible found");
    }
    for rate in &report.slower {
        let (step, events, moments) = (rate.frame_step, rate.events.len(), rate.curve.len());
        eprintln!("  frame step {step}: {events} events on its own past of {moments} moments, no rate promised");
        for event in &rate.events {
            eprintln!("    {:7.2} s – {:.2} s  z = {:.1}", event.onset_s, event.end_s, event.z);
        }
    }
    for warning in report.warnings.iter().chain(&input.notes) {
        eprintln!("  note: {}", plain(warning));
    }
    eprintln!("  report: {}", plain(&folder.join("report.html").to_string_lossy()));
}

/// The last lines of a run over several inputs, and where its summary is.
pub fn print_summary(done: &[Finished], summary: &str) {
    let count = |outcome| done.iter().filter(|d| d.outcome == outcome).count();
    let failed = count(Outcome::Failed);
    let events: usize = done.iter().map(|d| d.events).sum();
    let partial = count(Outcome::Partial);
    eprintln!(
        "{} inputs: {events} events, {failed} failed, {partial} incomplete; summary: {}",
        done.len(),
        plain(summary)
    );
}
