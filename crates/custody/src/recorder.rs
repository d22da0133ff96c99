//! Where commands record what they did: the home's ledger, opened when it is first needed.

use std::sync::OnceLock;

use audit::{AuditError, ErrorKind, Receipt, Recorder as _, Session};
use event::Fact;

use crate::cmd::Context;
use crate::failure::Failure;

/// The session of a command, if it has needed one.
#[derive(Default)]
pub(crate) struct Recorder {
    session: OnceLock<Session>,
}

impl Context {
    /// The home's ledger: as its owner, or through whoever owns it.
    pub(crate) fn session(&self) -> Result<&Session, Failure> {
        if let Some(session) = self.recorder.session.get() {
            return Ok(session);
        }
        let session = audit::open(self.home.existing()?.path()).map_err(failure)?;
        Ok(self.recorder.session.get_or_init(|| session))
    }

    /// Records a fact; it is durable when this returns.
    pub(crate) fn record(&self, fact: Fact) -> Result<Receipt, Failure> {
        self.session()?.record(fact).map_err(failure)
    }
}

/// Sorts an error of the ledger by who must act, and says how.
pub(crate) fn failure(error: AuditError) -> Failure {
    let hint = hint(&error);
    let failure = match error.kind() {
        ErrorKind::Damage => Failure::finding(error),
        ErrorKind::Environment => Failure::environment(error),
        _ => Failure::input(error),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(error: &AuditError) -> Option<&'static str> {
    use audit::AuditError as E;
    Some(match error {
        E::NoKey { .. } => "make a home with `custody init`, or name another with `--home DIR`",
        E::Catalogue { .. } => {
            "mend the file, or move it away; `custody audit catalogue` shows what is known"
        }
        E::Unreachable { .. } => {
            "see who holds it with `fuser -v` on the home's `lock`, and stop or restart it"
        }
        E::Invalid(_) => "`custody audit catalogue` lists the actions and subject kinds",
        E::Entry { .. } => "see all of the damage with `custody audit verify`",
        E::Ledger(error) => return ledger_hint(error),
        _ => return None,
    })
}

fn ledger_hint(error: &audit::LedgerError) -> Option<&'static str> {
    use audit::LedgerError as E;
    Some(match error {
        E::Full { .. } => "make room on the file system of the home; what was acknowledged is safe",
        E::ReadOnly { .. } => "the home must be writable; to read it as it is, use `query` and `verify`",
        E::Poisoned { .. } => "run the command again: opening the ledger anew repairs it",
        E::Damaged { .. } | E::WalDamaged { .. } | E::WalGap { .. } | E::Checkpoint { .. } => {
            "see all of the damage with `custody audit verify`"
        }
        _ => return None,
    })
}
