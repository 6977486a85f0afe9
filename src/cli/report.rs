//! `startle report`: every output again, from `result.json` alone.

use super::annotate::{self, Film};
use super::below::fold_results;
use clap::Args;
use indicatif::MultiProgress;
use startle::record::Report;
use startle::report::claim::{Subject, claim};
use startle::report::{OutputOptions, json, summary};
use startle::units::Stop;
use startle::{Error, Result};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Render the outputs of finished runs again, from their result.json alone; and of folders of results make one page.
///
/// Numbers are not computed anew. The player comes back when the video still lies where it was. A folder that holds no
/// result itself but below it is summarised: index.html there lists every result, the most surprising first.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// result.json files, the folders that hold one, or folders of such folders.
    #[arg(required = true, value_name = "RESULT")]
    results: Vec<PathBuf>,
    /// Where to write; several results get a folder each in it [default: beside each result.json; of a folder of folders,
    /// there].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Never put the video inside report.html; link to it.
    #[arg(long)]
    no_embed: bool,
    /// Draw annotated.mp4 anew too. The video must still lie where it was.
    #[arg(long)]
    annotate: bool,
}

/// Renders each result, and a summary when there are several. One that can't be read does not stop the rest; the first
/// such error is the outcome.
pub fn run(args: &ReportArgs, stop: &Stop) -> Result<()> {
    let many: Vec<&PathBuf> = args.results.iter().filter(|path| path.is_dir() && !result_file(path).exists()).collect();
    if !many.is_empty() {
        return overview(args, &many, stop);
    }
    let mut rows = Vec::new();
    let mut failure = None;
    for (path, folder) in args.results.iter().zip(folders(args)) {
        match render(args, path, &folder, stop) {
            Ok(row) => rows.push(row),
            Err(error) => {
                rows.push(summary::InputRow::failed(&path.display().to_string(), &error.to_string()));
                if let Some(earlier) = failure.replace(error) {
                    super::complain(&earlier);
                }
            }
        }
    }
    if let (Some(root), [_, _, ..]) = (&args.out, &rows[..]) {
        summary::write(root, &rows)?;
        say(&root.join("index.html"));
    }
    failure.map_or(Ok(()), Err)
}

/// The summary of all results below some folders.
fn overview(args: &ReportArgs, roots: &[&PathBuf], stop: &Stop) -> Result<()> {
    if roots.len() < args.results.len() {
        return Err(Error::Config(
            "some of these are results and some are folders of results; give one sort at a time".into(),
        ));
    }
    let out = match (&args.out, roots) {
        (Some(out), _) => out,
        (None, [root]) => root,
        _ => return Err(Error::Config("say where the page of several folders goes: --out DIR".into())),
    };
    summary::check(out)?;
    let mut rows = Vec::new();
    let mut failure = None;
    for root in roots {
        let (found, failed) = fold_results(root, stop, |report, folder| summary::InputRow::of(report, folder, false))?;
        failure = failure.or(failed);
        rows.extend(found.into_iter().map(|row| {
            row.unwrap_or_else(|(folder, error)| summary::InputRow::failed(&folder.display().to_string(), &error))
        }));
    }
    summary::write(out, &rows)?;
    say(&out.join("index.html"));
    failure.map_or(Ok(()), Err)
}

fn render(args: &ReportArgs, path: &Path, folder: &Path, stop: &Stop) -> Result<summary::InputRow> {
    let mut result = json::read(&result_file(path))?;
    let _claim = claim(folder, &Subject::of(&result))?;
    let bars = MultiProgress::new();
    let film = args.annotate.then(|| Film::again(&result, stop, &bars)).transpose()?;
    let outputs = options(args, &result, folder);
    annotate::write_all(&mut result, &outputs, film)?;
    say(&folder.join("report.html"));
    Ok(summary::InputRow::of(&result, folder, false))
}

/// The path of a page that was made, on stdout; nobody listening is fine.
fn say(page: &Path) {
    let _ = writeln!(std::io::stdout(), "{}", page.display());
}

fn result_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("result.json") } else { path.to_owned() }
}

/// Where each result's outputs go. Several that go to one place get folders named after those they come from, made
/// distinct by a number.
fn folders(args: &ReportArgs) -> Vec<PathBuf> {
    let mut taken: BTreeMap<OsString, u32> = BTreeMap::new();
    let mut folder = |path: &PathBuf| {
        let file = std::path::absolute(result_file(path)).unwrap_or_else(|_| path.clone());
        let home = file.parent().unwrap_or(Path::new("."));
        match &args.out {
            None => home.to_owned(),
            Some(out) if args.results.len() == 1 => out.clone(),
            Some(out) => {
                let mut name = home.file_name().unwrap_or(OsStr::new("result")).to_owned();
                let count = taken.entry(name.clone()).or_default();
                *count += 1;
                if *count > 1 {
                    name.push(format!("-{count}"));
                }
                out.join(name)
            }
        }
    };
    args.results.iter().map(&mut folder).collect()
}

fn options(args: &ReportArgs, result: &Report, folder: &Path) -> OutputOptions {
    let mut options = OutputOptions::new(folder);
    let video = Path::new(&result.input.path);
    if video.is_file() {
        options = options.with_video(video);
    }
    if args.no_embed {
        options.embed_limit = 0;
    }
    options
}
