//! Where commands record what they did: the home's ledger, opened when it is first needed.

use std::sync::OnceLock;

use audit::{AuditError, ErrorKind, Receipt, Recorder as _, Session};
use event::Fact;
use serde::Serialize;

use crate::cmd::Context;
use crate::failure::{Failure, Outcome};

/// The session of a command, if it has needed one.
#[derive(Default)]
pub(crate) struct Recorder {
    session: OnceLock<Session>,
}

/// What a command did or found, as it is printed and recorded.
pub(crate) trait Recorded: Serialize {
    /// The fact for the ledger; none when nothing happened (a dry run).
    fn fact(&self) -> Option<Fact>;

    /// Whether the command fails when the fact cannot be recorded: so where something was changed. Where something
    /// was only looked at, a remark must do, or an auditor could not check a read-only copy.
    fn must_be_recorded(&self) -> bool {
        true
    }
}

impl Context {
    /// Records a result where there is a home, then prints it: what was printed was recorded.
    pub(crate) fn conclude<T: Recorded>(&self, result: &T, text: impl FnOnce(&T) -> String) -> Outcome {
        self.note(result)?;
        self.output.show(result, text)
    }

    /// Records a result where there is a home.
    pub(crate) fn note<T: Recorded>(&self, result: &T) -> Outcome {
        if let Some(fact) = result.fact().filter(|_| self.home.existing().is_ok()) {
            match self.record(fact) {
                Err(failure) if result.must_be_recorded() => return Err(failure),
                Err(failure) => self.output.remark(&format!("remark: not recorded: {failure}")),
                Ok(_) => {}
            }
        }
        Ok(())
    }

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
        E::NoKey { .. } => {
            "the home lost it: put it back from a copy, or name another home with `--home DIR`"
        }
        E::Key { .. } => "put the right key back, for its owner only (`chmod 600`), or name another home",
        E::Catalogue { .. } => {
            "mend the file, or move it away; `custody audit catalogue` shows what is known"
        }
        E::Retention { .. } => "mend the file, or move it away; its form is in docs/formats/retention.md",
        E::Settings { .. } => "mend the file; `custody init` in an empty folder shows what it looks like",
        E::Backup { .. } => "use another copy, and keep this one: it shows what happened to it",
        E::Unreachable { .. } => {
            "see who holds it with `fuser -v` on the home's `lock`, and stop or restart it"
        }
        E::Request { what: "since" | "until", .. } => {
            "write a time as `2026-11-20T08:30:00Z`, or a day as `2026-11-20`"
        }
        E::Request { what: "severity", .. } => "for example `--severity WARN`: this grave or graver",
        E::Request { what: "id", .. } | E::NotFound { .. } => {
            "`custody audit query --json` prints the id of each event; without `--json`, its index comes first"
        }
        E::Invalid(_) => "`custody audit catalogue` lists the actions and subject kinds",
        E::Entry { .. } => "see all of the damage with `custody audit verify`",
        E::Policy { .. } => {
            "mend the file; `custody audit redact --template` shows one, `redact --explain --policy FILE` tries one"
        }
        E::Vault(error) => return vault_hint(error),
        E::Ledger(error) => return ledger_hint(error),
        _ => return None,
    })
}

fn vault_hint(error: &audit::vault::VaultError) -> Option<&'static str> {
    use audit::vault::VaultError as E;
    Some(match error {
        E::Kek(_) => {
            "put the key-encryption key back where `vault.toml` says, or else beside the home (`<home>.kek`)"
        }
        E::Damaged(_) => {
            "put the vault back from its own replica; a copy older than the last erasure does not open"
        }
        E::Foreign { .. } => "put the home's own vault back",
        E::Lost { .. } => {
            "put the vault back; or give up what was sealed in it with `custody audit keys init --replace-lost`"
        }
        E::Absent => "`custody audit redact --template` shows a policy that seals",
        E::Stopped => "run the command again: opening the home anew reads what was written",
        E::Config { .. } => "mend the file; docs/formats/vault.md says what it holds",
        E::NoSubject { .. } => {
            "it was erased already, or nothing of it was ever sealed; kind and identifier count to the letter"
        }
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
