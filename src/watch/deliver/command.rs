//! A program for each alert: its arguments as they are written, never through a shell.
//!
//! The alert's JSON comes on standard input; `STARTLE_CAMERA`, `STARTLE_INCIDENT`, `STARTLE_PHASE` and `STARTLE_DELIVERY`
//! are in its environment, and of ours only what names people and places (`PATH`, `HOME`, …): secrets of the configuration
//! may be in the rest. Status 0 is an acknowledgement.

use super::CommandSettings;
use super::send_thread::{Delivered, Sender};
use super::spool::QueuedAlert;
use crate::units::Stop;
use crate::watch::engine::Phase;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Attempts that an alert gets.
const ATTEMPTS: u32 = 3;
/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What is kept of what it says on standard error, bytes.
const MOST_WORDS: u64 = 500;

/// What a failing program's words are waited for: what it has left running may hold them back.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Variables of ours that it gets.
const PASSED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
];

/// One command.
pub(super) struct Hook {
    settings: CommandSettings,
    /// The alert that failed last, and how often.
    failed: (String, u32),
}

impl Hook {
    pub(super) fn new(settings: CommandSettings) -> Self {
        Self { settings, failed: (String::new(), 0) }
    }

    fn attempt(&self, message: &QueuedAlert, stop: &Stop) -> Result<(), String> {
        let phase = if message.phase == Phase::Begun { "begun" } else { "over" };
        let mut child = Command::new(&self.settings.argv[0])
            .args(&self.settings.argv[1..])
            .env_clear()
            .envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("STARTLE_CAMERA", &message.camera)
            .env("STARTLE_INCIDENT", &message.incident)
            .env("STARTLE_PHASE", phase)
            .env("STARTLE_DELIVERY", message.delivery())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("can't be started: {e}"))?;
        // On threads of their own: it may neither read nor say anything, and still be right.
        if let Some(mut input) = child.stdin.take() {
            let line = message.line.clone();
            std::thread::spawn(move || input.write_all(line.as_bytes()));
        }
        let (tell, said) = sync_channel(1);
        if let Some(mut output) = child.stderr.take() {
            std::thread::spawn(move || {
                let mut words = Vec::new();
                let _ = output.by_ref().take(MOST_WORDS).read_to_end(&mut words);
                let _ = tell.send(String::from_utf8_lossy(&words).trim().to_owned());
                let _ = std::io::copy(&mut output, &mut std::io::sink());
            });
        }
        let status = self.wait(&mut child, stop)?;
        if status.success() {
            return Ok(());
        }
        let words = said.recv_timeout(LAST_WORDS).ok().filter(|words| !words.is_empty());
        Err(format!("{status}{}", words.map_or(String::new(), |words| format!(": {words}"))))
    }

    fn wait(&self, child: &mut Child, stop: &Stop) -> Result<ExitStatus, String> {
        let begun = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if begun.elapsed() < self.settings.timeout && !stop.requested() => std::thread::sleep(LOOK),
                Ok(None) => {
                    end(child);
                    return Err(format!("it was ended after {:.1} s", begun.elapsed().as_secs_f64()));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Ends a program and all that it has started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

impl Sender for Hook {
    fn send(&mut self, message: &QueuedAlert, stop: &Stop) -> Delivered {
        let Err(reason) = self.attempt(message, stop) else { return Delivered::Done };
        if stop.requested() {
            return Delivered::Later(reason);
        }
        let delivery = message.delivery();
        let before = if self.failed.0 == delivery { self.failed.1 } else { 0 };
        self.failed = (delivery, before + 1);
        if before + 1 < ATTEMPTS { Delivered::Later(reason) } else { Delivered::Never(reason) }
    }
}
