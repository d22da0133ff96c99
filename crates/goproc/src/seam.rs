//! A seam for tests: this process kills itself right before its nth system call on a target.
//!
//! The promise of this crate is that the target survives our death between any two system calls. It can only be
//! tested by dying there. Outside tests nobody arms the seam, and it costs one relaxed load a system call.

use std::sync::atomic::{AtomicU64, Ordering};

static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);
static MADE: AtomicU64 = AtomicU64::new(0);

/// Lets `calls` more system calls happen; the one after them is replaced by SIGKILL to ourselves.
pub fn die_after(calls: u64) {
    LEFT.store(calls, Ordering::SeqCst);
}

/// How many system calls on targets this process has made.
#[must_use]
pub fn made() -> u64 {
    MADE.load(Ordering::SeqCst)
}

/// Counts one system call; true when it must not happen any more.
pub(crate) fn is_last() -> bool {
    MADE.fetch_add(1, Ordering::Relaxed);
    match LEFT.load(Ordering::Relaxed) {
        u64::MAX => false,
        _ => LEFT.fetch_sub(1, Ordering::SeqCst) == 0,
    }
}
