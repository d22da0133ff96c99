//! The table of retention and the erasures that are due, carried out while the daemon runs.

use std::sync::Mutex;

use audit::retention::{Applied, Cadence, Keeping};
use audit::{AuditError, Session};

use crate::failure::Failure;
use crate::output::Output;
use crate::recorder::failure;

/// Starts the passes. What they remove, and what keeps them from it, is said once, not at every pass.
pub(super) fn start(session: &Session, cadence: Cadence, output: Output) -> Result<Keeping, Failure> {
    let last = Mutex::new(String::new());
    let told = move |passed: Result<Applied, AuditError>| {
        let now = remark(passed);
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !now.is_empty() && *last != now {
            output.remark(&now);
        }
        *last = now;
    };
    session.keep_retention(cadence, Vec::new(), told).map_err(failure)
}

/// What a person wants to know of a pass; nothing of one that did what it should.
fn remark(passed: Result<Applied, AuditError>) -> String {
    let applied = match passed {
        Err(error) => return format!("remark: retention: {}", failure(error)),
        Ok(applied) => applied,
    };
    if let Some((name, why)) = applied.archives_failed.first() {
        return format!("remark: retention: archive {name}: {why}");
    }
    match (applied.pruned, applied.doubt) {
        (Some(pruned), _) => format!("retention: removed events {} to {}", pruned.from, pruned.before),
        (None, Some(doubt)) => format!("remark: retention: {doubt}, and nobody confirmed it"),
        (None, None) => String::new(),
    }
}
