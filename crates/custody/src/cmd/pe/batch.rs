//! Many files in one call: hashed, signed and made durable on several threads, placed and reported in their order.
//!
//! A disk takes many requests to sync at once for little more than the price of one, so threads that wait for it cost
//! nothing, and a folder's new names are synced once for all of a wave. Each file is still replaced in one step, and
//! none is reported before it is durable. At the first that fails the command ends; those before it are done, those
//! behind it as they were.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::replace::{Folders, Synced};
use crate::failure::{Failure, Outcome};

/// More wait for the disk than there are processors.
const THREADS: usize = 8;
/// Files written aside before the first of them is placed.
const WAVE: usize = 512;

/// `make` for every item, on several threads; then every copy is placed, and `report` called, in the items' order.
pub(super) fn each<I: Sync, R: Send>(
    items: &[I],
    make: impl Fn(&I) -> Result<(R, Synced), Failure> + Sync,
    mut report: impl FnMut(R) -> Outcome,
) -> Outcome {
    for wave in items.chunks(WAVE) {
        let (mut placed, mut folders) = (Vec::with_capacity(wave.len()), Folders::default());
        let ended = made(wave, &make).into_iter().try_for_each(|one| {
            let (facts, copy) = one?;
            copy.place(&mut folders)?;
            placed.push(facts);
            Ok(())
        });
        folders.sync()?;
        placed.into_iter().try_for_each(&mut report)?;
        ended?;
    }
    Ok(())
}

type Made<R> = Result<(R, Synced), Failure>;

/// The results in the items' order, up to and with the first failure.
fn made<I: Sync, R: Send>(items: &[I], make: &(impl Fn(&I) -> Made<R> + Sync)) -> Vec<Made<R>> {
    let [only] = items else { return made_by_many(items, make) };
    vec![make(only)]
}

fn made_by_many<I: Sync, R: Send>(items: &[I], make: &(impl Fn(&I) -> Made<R> + Sync)) -> Vec<Made<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        // Numbers are handed out in order, so that all before a failure are made or in the making.
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let one = make(item);
            if one.is_err() {
                next.fetch_max(items.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, one));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(items.len()) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}
