//! What of a home belongs to the ledger: its folders and its key.

use std::path::Path;

use ledger::{Log, Options, Trees};
use signing::note::NoteVerifier;

use crate::{AuditError, LedgerSettings, LogKeys};

/// The file that `custody init` writes last: a folder that has it was a whole home once.
const FINISHED: &str = "custody.toml";

/// Makes the folders of the ledger (owner-only) and the log's key, named `custody.local/<host>/<8 hex>`: unique
/// without a registry, readable in a checkpoint. What is there already is left as it is, the key included, so that
/// a second call after an interrupted first one finishes it. A home that was finished and has lost its log is refused:
/// a new one in its place would hide the loss.
///
/// # Errors
/// The operating system's answer; [`AuditError::NoKey`] or the ledger's reason when the key or the log was lost.
pub fn create_home(home: &Path, host: &str) -> Result<NoteVerifier, AuditError> {
    let trees = LedgerSettings::of(home)?.trees().ok().flatten().unwrap_or(Trees::Both);
    create_home_with(home, host, trees)
}

/// As [`create_home`], with the trees that the ledger is to keep for its life.
///
/// # Errors
/// As there.
pub fn create_home_with(home: &Path, host: &str, trees: Trees) -> Result<NoteVerifier, AuditError> {
    for folder in [home.to_owned(), home.join("keys")] {
        make_private_folder(&folder)?;
    }
    let keys = LogKeys::of(home);
    let verifier = match keys.signer() {
        // A new key would take the place of the public one, by which alone the ledger can still be verified.
        Err(lost @ AuditError::NoKey { .. }) if home.join("log").exists() => Err(lost),
        Err(AuditError::NoKey { .. }) => keys.create(&origin(host)?),
        signer => Ok(signer?.verifier()),
    }?;
    begin_log(home, &keys, trees)?;
    Ok(verifier)
}

/// Publishes the checkpoint of the empty log, if this home never had one.
fn begin_log(home: &Path, keys: &LogKeys, trees: Trees) -> Result<(), AuditError> {
    if home.join("log/checkpoint").exists() {
        return Ok(());
    }
    let signer = keys.signer()?;
    let create = !home.join(FINISHED).exists();
    let options = Options { create, trees, ..Options::new(signer.name().to_owned(), signer) };
    let (log, _) = Log::open(home, options)?;
    Ok(log.close()?)
}

pub(crate) fn make_private_folder(folder: &Path) -> Result<(), AuditError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| AuditError::io("make the folder", folder, e))
}

/// A name that a note key may have: no spaces, no `+`.
pub(crate) fn origin(host: &str) -> Result<String, AuditError> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host: String = host.chars().filter(plain).take(63).collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    let mut random = [0u8; 4];
    getrandom::fill(&mut random).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
    Ok(format!("custody.local/{host}/{}", hex::encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_call_keeps_the_key_and_finishes_an_interrupted_first() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("new");
        let first = create_home(&home, "bank +1\n").unwrap();
        assert!(first.name().starts_with("custody.local/bank1/"), "{}", first.name());
        assert_eq!(create_home(&home, "other").unwrap(), first);
        // As after an interruption between the two halves of the key, before there was a log.
        std::fs::remove_file(home.join("keys/log.pem")).unwrap();
        std::fs::remove_dir_all(home.join("log")).unwrap();
        let second = create_home(&home, "other").unwrap();
        assert_ne!(second, first);
        assert_eq!(LogKeys::of(&home).verifier().unwrap(), second);
    }

    #[test]
    fn the_key_of_a_ledger_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let first = create_home(home.path(), "bank").unwrap();
        drop(crate::open(home.path()).unwrap());
        std::fs::remove_file(home.path().join("keys/log.pem")).unwrap();
        assert!(matches!(create_home(home.path(), "bank"), Err(AuditError::NoKey { .. })));
        assert_eq!(LogKeys::of(home.path()).verifier().unwrap(), first);
    }

    #[test]
    fn a_lost_log_is_not_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        create_home(home.path(), "bank").unwrap();
        std::fs::write(home.path().join(FINISHED), "").unwrap();
        std::fs::remove_dir_all(home.path().join("log")).unwrap();
        for attempt in [create_home(home.path(), "bank").map(drop), crate::open(home.path()).map(drop)] {
            assert!(
                matches!(attempt, Err(AuditError::Ledger(ledger::LedgerError::Damaged { .. }))),
                "{attempt:?}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_log_key_that_others_may_read_does_not_sign() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        create_home(home.path(), "bank").unwrap();
        let key = home.path().join("keys/log.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(LogKeys::of(home.path()).signer(), Err(AuditError::Key { .. })));
        LogKeys::of(home.path()).verifier().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        create_home(&home.path().join("h"), "bank").unwrap();
        let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("h"), mode("h/keys"), mode("h/keys/log.pem")), (0o700, 0o700, 0o600));
    }
}
