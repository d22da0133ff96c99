//! Many files in one call: hashed, signed and made durable on several threads, placed and reported in their order.
//!
//! A disk takes many requests to sync at once for little more than the price of one, so threads that wait for it cost
//! nothing, and a folder's new names are synced once for all of a wave. Each file is still replaced in one step, and
//! none is reported before it is durable. At the first that fails the command ends; those before it are done, those
//! behind it as they were.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::replace::{Folders, Synced};
use crate::failure::{Failure, Outcome};

/// More wait for the disk than there are processors.
const THREADS: usize = 8;
/// Files written aside before the first of them is placed. Many, because a file system that has just let go of as many
/// originals (ext4 for a minute) looks at each of them again for every new file.
const WAVE: usize = 4096;
/// A wave ends earlier when its files have more bytes than this together: so much more disk is needed for a while.
const WAVE_BYTES: u64 = 4 << 30;

/// `make` for every item, on several threads; then every copy is placed, and `report` called, in the items' order. `file`
/// is what an item is about.
pub(super) fn each<I: Sync, R: Send>(
    items: &[I],
    file: impl Fn(&I) -> &Path,
    make: impl Fn(&I) -> Result<(R, Synced), Failure> + Sync,
    mut report: impl FnMut(R) -> Outcome,
) -> Outcome {
    let mut rest = items;
    while !rest.is_empty() {
        let (wave, later) = rest.split_at(wave_of(rest, &file));
        rest = later;
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

/// How many of the items make the next wave: one at least.
fn wave_of<I>(items: &[I], file: impl Fn(&I) -> &Path) -> usize {
    let mut bytes = 0u64;
    let fits = |item: &&I| {
        bytes = bytes.saturating_add(file(item).metadata().map_or(0, |found| found.len()));
        bytes <= WAVE_BYTES
    };
    items.iter().take(WAVE).take_while(fits).count().max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_ends_by_number_or_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (large, small) = (folder.path().join("large"), folder.path().join("small"));
        std::fs::File::create(&large).unwrap().set_len(3 << 30).unwrap();
        std::fs::write(&small, b"x").unwrap();
        let wave = |files: &[&Path]| wave_of(files, |file| file);
        assert_eq!(wave(&[&large]), 1);
        assert_eq!(wave(&[&large, &large, &small]), 1);
        assert_eq!(wave(&[&large, &small, &small]), 3);
        assert_eq!(wave(&vec![small.as_path(); WAVE + 5]), WAVE);
        assert_eq!(wave(&[Path::new("absent")]), 1, "whoever opens it says why");
    }
}
