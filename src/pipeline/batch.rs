//! Many inputs, some at a time.

use crate::error::{Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` on every item with `jobs` workers side by side, each with a state of its own (a model) made by
/// `worker` in its thread. Results come back in the order of the items; one that fails does not stop the others.
///
/// # Errors
/// When no worker can be made.
pub fn run_all<I: Sync, W, R: Send>(
    items: &[I],
    jobs: usize,
    worker: impl Fn() -> Result<W> + Sync,
    work: impl Fn(&mut W, &I) -> R + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    let jobs = jobs.clamp(1, items.len().max(1));
    let broken = || Error::Internal { stage: "jobs", reason: "a worker panicked".into() };
    let ends: Vec<Result<()>> = std::thread::scope(|scope| {
        let one = || -> Result<()> {
            let mut state = worker()?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return Ok(()) };
                let result = work(&mut state, item);
                results.lock().map_err(|_| broken())?[index] = Some(result);
            }
        };
        let handles: Vec<_> = (0..jobs).map(|_| scope.spawn(one)).collect();
        handles.into_iter().map(|h| h.join().unwrap_or_else(|_| Err(broken()))).collect()
    });
    let results = results.into_inner().map_err(|_| broken())?;
    let done: Option<Vec<R>> = results.into_iter().collect();
    match done {
        Some(done) => Ok(done),
        None => Err(ends.into_iter().find_map(Result::err).unwrap_or_else(broken)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<usize> = (0..50).collect();
        for jobs in [1, 3, 100] {
            let done = run_all(&items, jobs, || Ok(()), |(), i| i * 2).unwrap();
            assert_eq!(done, items.iter().map(|i| i * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_worker_that_cannot_be_made_is_an_error() {
        let made = run_all(&[1, 2], 2, || Err::<(), _>(Error::Device("no such device".into())), |(), _| ());
        assert_eq!(made.unwrap_err().to_string(), "no such device");
    }
}
