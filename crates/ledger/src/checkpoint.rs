//! The signed checkpoint: read, checked against the log's key and origin, made.

use std::sync::Arc;

use signing::note::{NoteSigner, NoteVerifier};
use tlog::{Checkpoint, Hash};

use crate::error::{CheckpointError, LedgerError};

/// Path of the published checkpoint, below the home.
pub(crate) const PATH: &str = "log/checkpoint";
/// Where the next one is written before it gets its name.
pub(crate) const NEXT: &str = "log/checkpoint.next";
/// First word of the extension line that says below which index entries were pruned (c2sp.org/tlog-tiles, "Pruning",
/// leaves open where a log says so).
const MINIMUM: &str = "minimum ";

/// A checkpoint together with the signed note it stands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    /// Size and roots.
    pub checkpoint: Checkpoint,
    /// The note, as it is published.
    pub note: String,
}

impl SignedCheckpoint {
    /// Number of leaves under it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Root of the SM3 tree.
    #[must_use]
    pub fn sm3_root(&self) -> Option<&Hash> {
        self.checkpoint.sm3_root.as_ref()
    }

    /// Entries below this index were pruned.
    #[must_use]
    pub fn minimum(&self) -> u64 {
        minimum(&self.checkpoint).unwrap_or(0)
    }

    /// Opens a note, which must carry a signature by the log's key. Lines by other keys (witnesses, the log's own key
    /// of another algorithm) are kept and not judged here, as c2sp.org/signed-note asks ("Signatures").
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, verifier: &NoteVerifier, origin: &str) -> Result<Self, CheckpointError> {
        let opened = verifier.open(note).map_err(|e| CheckpointError::Signature(Arc::new(e)))?;
        let checkpoint = Checkpoint::parse(&opened.text).map_err(CheckpointError::Text)?;
        if checkpoint.origin != origin {
            let expected = origin.to_owned();
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected });
        }
        if minimum(&checkpoint).is_none_or(|minimum| minimum > checkpoint.size) {
            return Err(CheckpointError::Minimum);
        }
        Ok(Self { checkpoint, note: note.to_owned() })
    }

    pub(crate) fn open_bytes(
        note: Vec<u8>,
        verifier: &NoteVerifier,
        origin: &str,
    ) -> Result<Self, CheckpointError> {
        let note = String::from_utf8(note).map_err(|_| CheckpointError::NotText)?;
        Self::open(&note, verifier, origin)
    }

    pub(crate) fn sign(
        origin: &str,
        signer: &NoteSigner,
        (size, minimum): (u64, u64),
        root: Hash,
        sm3_root: Option<Hash>,
    ) -> Result<Self, LedgerError> {
        let extensions = if minimum > 0 { vec![format!("{MINIMUM}{minimum}")] } else { Vec::new() };
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root, sm3_root, extensions };
        let note = signer
            .sign(&checkpoint.to_string())
            .map_err(|source| LedgerError::Signing { source: Arc::new(source) })?;
        Ok(Self { checkpoint, note })
    }
}

/// The minimum index: 0 when no line says one, `None` when a line is not in its one spelling or there are two.
fn minimum(checkpoint: &Checkpoint) -> Option<u64> {
    let mut lines = checkpoint.extensions.iter().filter_map(|line| line.strip_prefix(MINIMUM));
    let Some(line) = lines.next() else { return Some(0) };
    let minimum: u64 = line.parse().ok()?;
    (minimum > 0 && minimum.to_string() == line && lines.next().is_none()).then_some(minimum)
}
