//! A log's signed tree head in a bundle: Rekor v1 signs with ECDSA under the first four bytes of its key's digest,
//! Rekor v2 mostly with Ed25519 as c2sp.org/signed-note has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use signing::{Algorithm, PublicKey, Verifier as _};
use tlog::Checkpoint;

use super::root::Log;

/// A note longer than this is refused.
const MAX_NOTE: usize = 64 << 10;
/// Most signature lines, as c2sp.org/signed-note asks readers to take at least.
const MAX_LINES: usize = 100;

/// The head, if `log` signed it.
pub(super) fn open(note: &str, log: &Log) -> Result<Checkpoint, String> {
    if note.len() > MAX_NOTE {
        return Err("the checkpoint is larger than 64 KiB".into());
    }
    let blank = note.rfind("\n\n").ok_or("the checkpoint has no signatures")?;
    let (text, lines) = (&note[..=blank], &note[blank + 2..]);
    let head = Checkpoint::parse(text).map_err(|e| e.to_string())?;
    let ids = ids(&log.key, &head.origin).chain([log.id.clone()]).collect::<Vec<_>>();
    let lines = lines.strip_suffix('\n').ok_or("the checkpoint's last line has no end")?;
    for line in lines.split('\n').take(MAX_LINES) {
        let (name, signature) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or("a signature line of the checkpoint is not `— name base64`")?;
        let blob = STANDARD.decode(signature).map_err(|e| format!("a checkpoint's signature: {e}"))?;
        let Some((hint, signature)) = blob.split_first_chunk::<4>() else {
            return Err("a signature of the checkpoint is too short".into());
        };
        let named = is_of(name, &head.origin) && ids.iter().any(|id| id.starts_with(hint));
        if named && log.key.verify(text.as_bytes(), signature).is_ok() {
            return Ok(head);
        }
    }
    Err("the checkpoint carries no signature by the log's key".into())
}

/// Rekor v1 writes its tree's number behind the name that signs: `rekor.sigstore.dev - 1193050959916656506`.
fn is_of(name: &str, origin: &str) -> bool {
    name == origin || origin.strip_prefix(name).is_some_and(|rest| rest.starts_with(" - "))
}

/// The ids that a log with this key may have: SHA-256 of the key, and the note key id under its name.
pub(super) fn ids(key: &PublicKey, origin: &str) -> impl Iterator<Item = Vec<u8>> {
    let spki = key.to_spki_der();
    let plain = sha2::Sha256::digest(spki).to_vec();
    // An Ed25519 key is the last 32 bytes of its `SubjectPublicKeyInfo` (RFC 8410 §4); type 1 of c2sp.org/signed-note.
    let note = (key.algorithm() == Algorithm::Ed25519).then(|| {
        let raw = &spki[spki.len().saturating_sub(32)..];
        sha2::Sha256::new()
            .chain_update(origin)
            .chain_update([b'\n', 1])
            .chain_update(raw)
            .finalize()
            .to_vec()
    });
    [plain].into_iter().chain(note)
}
