//! Consistency proofs as text: `docs/formats/consistency-proof.md`. C2SP has no such format; this one follows the
//! shape of c2sp.org/tlog-proof, so that the same readers of lines and base64 serve both.

use std::fmt;

use crate::proof::{MAX_PATH, verify_consistency};
use crate::text::{encode, hash, number};
use crate::{Checkpoint, Hash, Sha256, Sm3, TlogError};

/// First line of the format.
const HEADER: &str = "custody/consistency-proof@v1";
const WHAT: &str = "consistency proof";
/// A proof longer than this is refused.
const MAX_PROOF: usize = 1 << 20;

/// That the log at one checkpoint is a prefix of the log at a later one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsistencyProof {
    /// Size of the earlier tree.
    pub old: u64,
    /// Size of the later tree.
    pub new: u64,
    /// Path in the SHA-256 tree, RFC 6962 §2.1.2.
    pub path: Vec<Hash>,
    /// The same path in the SM3 tree; empty when the proof does not speak of it.
    pub sm3_path: Vec<Hash>,
    /// The later signed checkpoint, verbatim.
    pub note: String,
}

impl ConsistencyProof {
    /// Reads a proof. The checkpoint in it is kept as it stands, its signatures unchecked.
    ///
    /// # Errors
    /// [`TlogError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        let bad = |why: &str| TlogError::malformed(WHAT, why);
        if text.len() > MAX_PROOF {
            return Err(bad("it is larger than 1 MiB"));
        }
        let (head, note) =
            text.split_once("\n\n").ok_or_else(|| bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(bad("the first line is not `custody/consistency-proof@v1`"));
        }
        let mut size = |name: &str| -> Result<u64, TlogError> {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            number(WHAT, line.ok_or_else(|| bad("a size line is missing"))?)
        };
        let (old, new) = (size("old ")?, size("new ")?);
        let (mut path, mut sm3_path) = (Vec::new(), Vec::new());
        for line in lines {
            match line.strip_prefix("sm3 ") {
                Some(line) => sm3_path.push(hash(WHAT, line)?),
                None if sm3_path.is_empty() => path.push(hash(WHAT, line)?),
                None => return Err(bad("the two paths are mixed")),
            }
            if path.len() > MAX_PATH || sm3_path.len() > MAX_PATH {
                return Err(bad("the path is too long"));
            }
        }
        if old > new {
            return Err(bad("the old size is larger than the new one"));
        }
        Ok(Self { old, new, path, sm3_path, note: note.to_owned() })
    }

    /// Checks that the tree of `old` is a prefix of that of `new`; both as opened with the log's key, `new` being
    /// [`ConsistencyProof::note`]. The SM3 trees are compared too when both checkpoints have one.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] when the checkpoints are not the ones the proof is about, [`TlogError::ProofFails`].
    pub fn verify(&self, old: &Checkpoint, new: &Checkpoint) -> Result<(), TlogError> {
        if (old.size, new.size) != (self.old, self.new) || old.origin != new.origin {
            return Err(TlogError::malformed(WHAT, "it is about other checkpoints"));
        }
        verify_consistency::<Sha256>(self.old, self.new, &self.path, &old.root, &new.root)?;
        match (&old.sm3_root, &new.sm3_root) {
            (Some(from), Some(to)) => verify_consistency::<Sm3>(self.old, self.new, &self.sm3_path, from, to),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nold {}\nnew {}", self.old, self.new)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", encode(hash)))?;
        self.sm3_path.iter().try_for_each(|hash| writeln!(f, "sm3 {}", encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}
