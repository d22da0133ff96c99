//! All rings of an owner: how much memory they take, and what their producers lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event::{Fact, Severity};

use super::WhenDiskFull;
use crate::AuditError;
use crate::peer::Peer;

/// Rings at a time.
const MAX_RINGS: usize = 64;
/// Bytes of all rings together: memory of the machine that any client can claim.
const MAX_BYTES: u64 = 512 << 20;

/// What was lost on the way of one peer since the last report.
#[derive(Clone, Default)]
struct Loss {
    dropped: u64,
    damaged: u64,
    broken: Option<String>,
}

#[derive(Default)]
struct State {
    rings: usize,
    bytes: u64,
    losses: HashMap<Peer, Loss>,
}

/// The rings of an owner.
#[derive(Clone, Default)]
pub(crate) struct Rings {
    state: Arc<Mutex<State>>,
    when_full: Arc<Mutex<WhenDiskFull>>,
    dropped: Arc<AtomicU64>,
}

/// A ring's place among the others; given back when dropped.
pub(crate) struct Seat {
    rings: Rings,
    bytes: u64,
}

impl Rings {
    /// A place for one more.
    pub(crate) fn seat(&self, bytes: u64) -> Result<Seat, AuditError> {
        self.with(|state| {
            if state.rings >= MAX_RINGS || state.bytes.saturating_add(bytes) > MAX_BYTES {
                let why = "is one more than the owner has room for: 64 rings, 512 MiB together";
                return Err(AuditError::Request { what: "ring of bytes", value: bytes.to_string(), why });
            }
            state.rings += 1;
            state.bytes += bytes;
            Ok(Seat { rings: self.clone(), bytes })
        })
    }

    /// What the operator wants while the disk is full.
    pub(crate) fn when_full(&self) -> WhenDiskFull {
        self.when_full.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_when_full(&self, when: WhenDiskFull) {
        *self.when_full.lock().unwrap_or_else(PoisonError::into_inner) = when;
    }

    /// Notes events that a producer let go, and records that did not pass their checksum.
    pub(crate) fn lost(&self, peer: &Peer, dropped: u64, damaged: u64) {
        if dropped == 0 && damaged == 0 {
            return;
        }
        self.dropped.fetch_add(dropped.saturating_add(damaged), Ordering::Relaxed);
        self.with(|state| {
            let loss = state.losses.entry(peer.clone()).or_default();
            loss.dropped = loss.dropped.saturating_add(dropped);
            loss.damaged = loss.damaged.saturating_add(damaged);
        });
    }

    /// Notes that a ring had to be given up.
    pub(crate) fn broken(&self, peer: &Peer, why: String) {
        self.with(|state| state.losses.entry(peer.clone()).or_default().broken = Some(why));
    }

    /// Events lost since the home was opened, by their producers' count: for heartbeats and metrics.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What was lost since this was last asked, a fact a peer.
    pub(crate) fn losses(&self) -> Vec<Fact> {
        let losses = self.with(|state| std::mem::take(&mut state.losses));
        losses.into_iter().flat_map(|(peer, loss)| facts(&peer, loss)).collect()
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rings.with(|state| {
            state.rings -= 1;
            state.bytes -= self.bytes;
        });
    }
}

fn facts(peer: &Peer, loss: Loss) -> Vec<Fact> {
    let fact = |act: &'static str| {
        let fact = Fact::new(act)
            .severity(Severity::Warn)
            .subject("pid", peer.pid.clone())
            .subject("uid", peer.uid.clone());
        match &peer.exe {
            Some(exe) if !exe.is_empty() => fact.subject("process", exe.clone()),
            _ => fact,
        }
    };
    let mut facts = Vec::new();
    if loss.dropped > 0 || loss.damaged > 0 {
        facts.push(
            fact("LEDGER.RING.LOST")
                .context("dropped", loss.dropped.to_string())
                .context("damaged", loss.damaged.to_string()),
        );
    }
    facts.extend(loss.broken.map(|why| fact("LEDGER.RING.BROKEN").context("why", why)));
    facts
}
