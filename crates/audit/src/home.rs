//! What of a home belongs to the ledger: its folders and its key.

use std::path::Path;

use signing::note::NoteVerifier;

use crate::{AuditError, LogKeys};

/// Makes the folders of the ledger (owner-only) and the log's key, named `custody.local/<host>/<8 hex>`: unique
/// without a registry, readable in a checkpoint. What is there already is left as it is, the key included, so that
/// a second call after an interrupted first one finishes it.
///
/// # Errors
/// The operating system's answer.
pub fn create_home(home: &Path, host: &str) -> Result<NoteVerifier, AuditError> {
    for folder in [home.to_owned(), home.join("keys")] {
        make_private_folder(&folder)?;
    }
    let keys = LogKeys::of(home);
    match keys.signer() {
        Err(AuditError::NoKey { .. }) => keys.create(&origin(host)?),
        signer => Ok(signer?.verifier()),
    }
}

fn make_private_folder(folder: &Path) -> Result<(), AuditError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| AuditError::io("make the folder", folder, e))
}

/// A name that a note key may have: no spaces, no `+`.
fn origin(host: &str) -> Result<String, AuditError> {
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
        std::fs::remove_file(home.join("keys/log.pem")).unwrap();
        let second = create_home(&home, "other").unwrap();
        assert_ne!(second, first);
        assert_eq!(LogKeys::of(&home).verifier().unwrap(), second);
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
