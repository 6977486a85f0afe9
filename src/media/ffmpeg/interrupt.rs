//! What FFmpeg asks while it waits: whether to give up.

use crate::units::Stop;
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Network operations that one packet may need (look-up, connect, several reads), each of which FFmpeg itself limits
/// to the timeout; the interrupt is the net under protocols that ignore it.
const OPERATIONS: u32 = 3;

/// How much of its thread's stack (two megabytes) a call may take. Formats that hold others nest calls: a film that names
/// itself as its own piece would go down until the program falls.
const DEEPEST: usize = 768 << 10;

/// Ends a blocked call when a stop is asked for, when nothing came for too long, or when it is nested too deep.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    stop: Stop,
    limit: Option<Duration>,
    born: Instant,
    armed_ms: Arc<AtomicU64>,
    /// Where the armed call's stack began, and in which thread.
    armed_at: Arc<[AtomicUsize; 2]>,
}

/// An address in the stack of the caller, and one that tells its thread from others.
fn here() -> [usize; 2] {
    thread_local! { static THREAD: u8 = const { 0 } }
    let local = 0_u8;
    [ptr::from_ref(black_box(&local)).addr(), THREAD.with(|mark| ptr::from_ref(mark).addr())]
}

impl Interrupt {
    /// `timeout` is the limit of one network operation; `None` waits as long as it takes.
    pub(super) fn new(stop: Stop, timeout: Option<Duration>) -> Self {
        let limit = timeout.map(|t| t.saturating_mul(OPERATIONS));
        Self { stop, limit, born: Instant::now(), armed_ms: Arc::default(), armed_at: Arc::default() }
    }

    /// A call begins: the time counts from here.
    pub(super) fn arm(&self) {
        self.armed_ms.store(self.now_ms(), Ordering::Relaxed);
        self.armed_at.iter().zip(here()).for_each(|(at, here)| at.store(here, Ordering::Relaxed));
    }

    /// Whether the call in progress is nested too deep.
    fn is_deep(&self) -> bool {
        let [stack, thread] = here();
        let [began, armed] = self.armed_at.each_ref().map(|at| at.load(Ordering::Relaxed));
        thread == armed && began.abs_diff(stack) > DEEPEST
    }

    /// Whether a stop was asked for.
    pub(super) fn stopped(&self) -> bool {
        self.stop.requested()
    }

    /// Whether the call in progress should end.
    pub(super) fn gives_up(&self) -> bool {
        let waited = self.now_ms().saturating_sub(self.armed_ms.load(Ordering::Relaxed));
        self.stopped() || self.is_deep() || self.limit.is_some_and(|limit| u128::from(waited) > limit.as_millis())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_and_a_long_silence_both_end_a_call() {
        let stop = Stop::new();
        let patient = Interrupt::new(stop.clone(), None);
        let hasty = Interrupt::new(Stop::new(), Some(Duration::from_millis(1)));
        hasty.arm();
        std::thread::sleep(Duration::from_millis(8));
        assert!(hasty.gives_up() && !patient.gives_up());
        hasty.arm();
        assert!(!hasty.gives_up());
        stop.request();
        assert!(patient.gives_up());
    }

    #[test]
    fn a_call_that_goes_too_deep_is_ended() {
        fn down(interrupt: &Interrupt, levels: usize) -> bool {
            let pad = black_box([0_u8; 16 << 10]);
            let deep = if levels == 0 { interrupt.gives_up() } else { down(interrupt, levels - 1) };
            black_box(pad);
            deep
        }
        let called = || {
            let interrupt = Interrupt::new(Stop::new(), None);
            interrupt.arm();
            assert!(!down(&interrupt, 8) && down(&interrupt, 120));
        };
        std::thread::Builder::new().stack_size(32 << 20).spawn(called).unwrap().join().unwrap();
    }
}
