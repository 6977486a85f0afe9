//! `startle report`: every output again, from `result.json` alone.

use clap::Args;
use startle::Result;
use startle::record::Report;
use startle::report::{self, OutputOptions, json, summary};
use std::path::{Path, PathBuf};

/// Render the outputs of finished runs again, from their result.json alone, and summarise several.
///
/// Numbers are not computed anew. The player comes back when the video still lies where it was.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// result.json files, or the folders that hold one.
    #[arg(required = true, value_name = "RESULT")]
    results: Vec<PathBuf>,
    /// Where to write; several results get a folder each in it [default: beside each result.json].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Never put the video inside report.html; link to it.
    #[arg(long)]
    no_embed: bool,
}

/// Renders each result, and a summary when there are several.
pub fn run(args: &ReportArgs) -> Result<()> {
    let mut rows = Vec::new();
    for path in &args.results {
        let file = if path.is_dir() { path.join("result.json") } else { path.clone() };
        let result = json::read(&file)?;
        let folder = folder_for(args, &file);
        report::write_all(&result, &options(args, &result, &folder))?;
        println!("{}", folder.join("report.html").display());
        rows.push(summary::Row::of(&result, &folder, false));
    }
    if let (Some(root), [_, _, ..]) = (&args.out, &rows[..]) {
        summary::write(root, &rows)?;
        println!("{}", root.join("index.html").display());
    }
    Ok(())
}

/// Several results that go to one place get folders named after the folders they come from.
fn folder_for(args: &ReportArgs, file: &Path) -> PathBuf {
    let home = file.parent().unwrap_or(Path::new("."));
    match &args.out {
        None => home.to_owned(),
        Some(out) if args.results.len() == 1 => out.clone(),
        Some(out) => {
            let index = args.results.iter().position(|p| file.starts_with(p)).unwrap_or_default();
            out.join(home.file_name().map_or_else(|| format!("result-{}", index + 1).into(), ToOwned::to_owned))
        }
    }
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
