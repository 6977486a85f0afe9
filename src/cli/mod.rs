//! The command line: one module per command, each `Args` whose comments are its help, and `run`.

mod analyze;
mod annotate;
mod args;
mod below;
mod calibrate;
mod compare;
mod doctor;
mod evaluate;
mod exit;
mod inputs;
mod log;
mod models;
mod monitor;
mod one;
mod passwd;
mod places;
mod plan;
mod print;
mod progress;
mod rank;
mod report;
mod resume;
mod signals;

use clap::{Parser, Subcommand};
use exit::Outcome;
use log::complain;
use startle::units::Stop;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Watches video and says when and where something happened that should not be possible.
///
/// A V-JEPA model sees the first part of each clip, predicts the representation of the frames to come, and the moments
/// where prediction and reality part are flagged: the surprise spikes.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_HELP)]
struct Cli {
    #[command(flatten)]
    log: log::LogArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_HELP: &str = "Exit status: 0 done; 1 failed; 2 wrong usage; 3 events found (only with --fail-on-event); \
                         4 part of an input could not be read; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Analyze(analyze::AnalyzeArgs),
    Report(report::ReportArgs),
    Rank(rank::RankArgs),
    Compare(compare::CompareArgs),
    Monitor(monitor::MonitorArgs),
    Calibrate(calibrate::CalibrateArgs),
    Evaluate(evaluate::EvaluateArgs),
    Passwd(passwd::PasswdArgs),
    Print(print::PrintArgs),
    Models(models::ModelsArgs),
    Doctor(doctor::DoctorArgs),
}

/// Parses the command line, runs the command and says what went wrong.
pub fn main() -> Outcome {
    let cli = Cli::parse();
    if let Err(error) = cli.log.start() {
        complain(&error);
        return Outcome::Failed;
    }
    let stop = Stop::new();
    let what = match &cli.command {
        Command::Monitor(_) => "what waits is still told",
        _ => "the report will hold what was analysed so far",
    };
    let hang_up = matches!(cli.command, Command::Monitor(_)).then(Arc::<AtomicBool>::default);
    signals::catch(&stop, what, hang_up.clone());
    let result = match &cli.command {
        Command::Analyze(args) => analyze::run(args, &stop),
        Command::Rank(args) => rank::run(args, &stop),
        Command::Compare(args) => compare::run(args, &stop),
        Command::Monitor(args) => monitor::run(args, &stop, hang_up.unwrap_or_default()).map(|()| Outcome::Done),
        Command::Calibrate(args) => calibrate::run(args, &stop).map(|()| Outcome::Done),
        Command::Evaluate(args) => evaluate::run(args, &stop),
        Command::Passwd(args) => passwd::run(args).map(|()| Outcome::Done),
        Command::Print(args) => args.file.print().map(|()| Outcome::Done),
        Command::Report(args) => report::run(args, &stop).map(|()| Outcome::Done),
        Command::Models(args) => models::run(args, &mut std::io::stdout().lock(), &stop).map(|()| Outcome::Done),
        Command::Doctor(args) => {
            let healthy = doctor::run(args, &mut std::io::stdout().lock());
            healthy.map(|healthy| if healthy { Outcome::Done } else { Outcome::Failed })
        }
    };
    result.unwrap_or_else(|error| {
        complain(&error);
        Outcome::from(&error)
    })
}

/// A text for the terminal: names of files and words of servers can hold line breaks and escape sequences.
fn plain(text: &str) -> String {
    startle::report::words::one_line(text)
}
