//! What ends a run from outside: Ctrl-C, SIGTERM, SIGHUP.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use signal_hook::iterator::Signals;
use startle::units::Stop;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Exit status of a run that was interrupted.
const INTERRUPTED: i32 = 130;

/// The first Ctrl-C (or SIGTERM) ends the input and lets the report be written, the second ends the program now. A SIGHUP
/// does the same, or raises `hang_up` where that is given.
pub fn catch(stop: &Stop, what: &'static str, hang_up: Option<Arc<AtomicBool>>) {
    let flag = stop.flag();
    let ends = [Some(SIGTERM), hang_up.is_none().then_some(SIGHUP)];
    let raised = ends.into_iter().flatten().flat_map(|signal| {
        [register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&flag)), register(signal, Arc::clone(&flag))]
    });
    let reload = hang_up.map(|flag| register(SIGHUP, flag));
    for error in raised.chain(reload).filter_map(Result::err) {
        eprintln!("startle: a signal will end the program without a report: {error}");
    }
    if let Err(error) = hear_interrupts(stop, what) {
        eprintln!("startle: Ctrl-C will end the program without a report: {error}");
    }
}

/// Ctrl-C is answered in words, so a thread waits for it; the second is answered by the handler itself.
fn hear_interrupts(stop: &Stop, what: &'static str) -> io::Result<()> {
    register_conditional_shutdown(SIGINT, INTERRUPTED, stop.flag())?;
    let (mut signals, stop) = (Signals::new([SIGINT])?, stop.clone());
    let hear = move || {
        for _ in signals.forever() {
            eprintln!("\nstartle: stopping; {what} (again: quit now)");
            stop.request();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(hear).map(drop)
}
