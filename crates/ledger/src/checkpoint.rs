//! The signed checkpoint: read, checked against the log's key and origin, made.

use std::sync::Arc;

use signing::note::{NoteSigner, NoteVerifier};
use tlog::{Checkpoint, Hash};

use crate::error::{CheckpointError, LedgerError};

/// Path of the published checkpoint, below the home.
pub(crate) const PATH: &str = "log/checkpoint";
/// Where the next one is written before it gets its name. Outside `log/`, where every file is part of the log.
pub(crate) const NEXT: &str = "wal/checkpoint.next";

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

    /// Opens a note with the log's key. Every signature must be by that key: a log's own checkpoint carries no
    /// other, and bytes that nothing vouches for must not hide in it.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, verifier: &NoteVerifier, origin: &str) -> Result<Self, CheckpointError> {
        let opened = verifier.open(note).map_err(|e| CheckpointError::Signature(Arc::new(e)))?;
        let signatures = note.get(opened.text.len()..).unwrap_or_default();
        if signatures.lines().filter(|line| !line.is_empty()).count() != 1 {
            return Err(CheckpointError::UnknownSignature);
        }
        let checkpoint = Checkpoint::parse(&opened.text).map_err(CheckpointError::Text)?;
        if checkpoint.origin != origin {
            let expected = origin.to_owned();
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected });
        }
        if checkpoint.sm3_root.is_none() {
            return Err(CheckpointError::NoSm3);
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
        size: u64,
        root: Hash,
        sm3_root: Hash,
    ) -> Result<Self, LedgerError> {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size,
            root,
            sm3_root: Some(sm3_root),
            extensions: Vec::new(),
        };
        let note = signer
            .sign(&checkpoint.to_string())
            .map_err(|source| LedgerError::Signing { source: Arc::new(source) })?;
        Ok(Self { checkpoint, note })
    }
}
