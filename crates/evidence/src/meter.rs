//! How far several threads have come together.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Progress;

pub(crate) struct Meter<'a> {
    progress: Progress<'a>,
    done: AtomicU64,
    total: Option<u64>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(progress: Progress<'a>, total: Option<u64>) -> Self {
        Self { progress, done: AtomicU64::new(0), total }
    }

    /// Counts bytes that were read.
    pub(crate) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.progress)(done, self.total);
    }
}
