//! Personal fields: sealed under keys that can be destroyed, in a ledger that cannot be changed.
//!
//! The vault keeps, for each data subject, a key for tokens and data keys by calendar month, under random ids; the
//! subject is found by a keyed hash alone. It is the only thing that erasure destroys. Why an old copy of it does not
//! bring anything back: `docs/design/0006-erasure-from-an-immutable-ledger.md`; its bytes: `docs/formats/vault.md`.

mod acts;
mod calls;
mod disclosure;
mod door;
mod erase;
mod error;
mod frame;
mod place;
mod random;
mod record;
mod sealed;
mod state;
mod store;

pub use calls::{
    Certified, Disclosure, Erasure, KeysChanged, MAX_REVEALED, Revealed, VaultAnswer, VaultCall, VaultStatus,
};
pub use disclosure::holds as disclosure_holds;
pub use erase::subject_commitment;
pub use error::VaultError;
pub use frame::VaultDamage;
pub use place::{KekPlace, VAULT_CONFIG, default_kek_file, kek_place};
pub use record::{Cipher, Hold, Queued, Subject};
pub use sealed::{SEALED, SealedField, TOKEN};

pub(crate) use door::{Door, Live, Need, Sealer};
pub(crate) use random::Random;
pub(crate) use sealed::{Fresh, Place, pseudonym, token};
pub(crate) use store::Vault;

/// What is wrong with the vault of a home, if it has one: by its checksums, and where its key-encryption key can be had,
/// by its tags too.
pub(crate) fn damage(home: &std::path::Path) -> Result<Option<String>, crate::AuditError> {
    let Some(bytes) = store::read(&store::path_in(home))? else { return Ok(None) };
    let kek = place::kek_of(home)?;
    let usable = kek.epochs().is_ok_and(|epochs| !epochs.is_empty());
    Ok(store::inspect(&bytes, usable.then_some(&*kek)).err().map(|error| match error {
        VaultError::Damaged(damage) => damage.to_string(),
        error => format!("vault/keys.vault: {error}"),
    }))
}

/// Panics when the reader of vaults breaks its own promises on these bytes.
pub(crate) fn check_file(bytes: &[u8]) {
    match frame::parse(bytes) {
        Err(damage) => assert!(damage.bytes.start <= damage.bytes.end && !damage.why.is_empty()),
        Ok(parts) => {
            let header = parts.header.encode();
            assert!(bytes.starts_with(&header));
            let mut end = header.len();
            for frame in &parts.frames {
                assert_eq!(frame.start, end);
                end = frame.end;
            }
            assert!(parts.end == end && end <= bytes.len());
        }
    }
    if let Some(records) = record::Record::decode_all(bytes) {
        let mut again = Vec::new();
        records.iter().for_each(|record| record.encode(&mut again));
        let twice = record::Record::decode_all(&again);
        assert!(twice.is_some_and(|twice| twice == records));
    }
}
