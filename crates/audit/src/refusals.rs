//! Refused events, counted by peer and second, so that they can be recorded without their content.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use event::{Fact, InvalidComplianceEvent, Rule, Severity};

use crate::peer::Peer;

/// Peers counted apart within one second; the rest is counted together, so that a flood of connections cannot
/// grow this without bound.
const MAX_PEERS: usize = 256;

#[derive(Default)]
struct Count {
    events: u64,
    rules: BTreeMap<String, u64>,
}

/// What was refused since the last [`Refusals::take`].
#[derive(Default)]
pub(crate) struct Refusals {
    by_peer: Mutex<HashMap<Option<Peer>, Count>>,
}

impl Refusals {
    pub(crate) fn note(&self, peer: &Peer, refusal: &InvalidComplianceEvent) {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let apart = by_peer.len() < MAX_PEERS || by_peer.contains_key(&Some(peer.clone()));
        let count = by_peer.entry(apart.then(|| peer.clone())).or_default();
        count.events += 1;
        let mut rules: Vec<Rule> = refusal.faults.iter().map(|fault| fault.rule).collect();
        rules.dedup();
        for rule in rules {
            *count.rules.entry(format!("{rule:?}").to_lowercase()).or_default() += 1;
        }
    }

    /// One fact per peer, and the count starts anew.
    pub(crate) fn take(&self) -> Vec<Fact> {
        let by_peer = std::mem::take(&mut *self.by_peer.lock().unwrap_or_else(PoisonError::into_inner));
        by_peer.into_iter().map(|(peer, count)| fact(peer, &count)).collect()
    }
}

fn fact(peer: Option<Peer>, count: &Count) -> Fact {
    let rules: Vec<String> = count.rules.iter().map(|(rule, n)| format!("{rule}={n}")).collect();
    let fact = Fact::new("LEDGER.REFUSALS")
        .severity(Severity::Warn)
        .context("refused", count.events.to_string())
        .context("rules", rules.join(","));
    match peer {
        None => fact.subject("process", "several"),
        Some(Peer { caller: Some(caller), .. }) => {
            let fact = fact.subject("client", known(caller.name)).context("via", caller.via.as_str());
            match caller.ip {
                Some(ip) => fact.context("ip", ip.to_string()),
                None => fact,
            }
        }
        Some(peer) => {
            let fact = fact.subject("pid", known(peer.pid)).subject("uid", known(peer.uid));
            match peer.exe {
                Some(exe) => fact.subject("process", known(exe)),
                None => fact,
            }
        }
    }
}

/// A subject is never empty, also where the system does not tell.
fn known(text: String) -> String {
    if text.is_empty() { "unknown".into() } else { text }
}
