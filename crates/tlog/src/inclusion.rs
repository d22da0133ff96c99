use std::fmt;

use crate::proof::{MAX_PATH, verify_inclusion};
use crate::text::{decode, encode, hash, number};
use crate::{Checkpoint, Hash, Sha256, TlogError};

/// First line of the format.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
const WHAT: &str = "tlog-proof";
/// A proof longer than this is refused: a path, a checkpoint with cosignatures, and the extra data.
const MAX_PROOF: usize = 1 << 20;

/// A `.tlog-proof` (c2sp.org/tlog-proof@v1): everything an offline verifier needs but the entry and the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InclusionProof {
    /// Opaque data, not authenticated by the proof.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Inclusion path in the SHA-256 tree, leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim. Open it with the log's key before [`InclusionProof::verify`].
    pub note: String,
}

impl InclusionProof {
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
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(bad("the first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.map(|line| decode(WHAT, &line["extra ".len()..])).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = number(WHAT, index.ok_or_else(|| bad("no index line"))?)?;
        let path =
            lines.by_ref().take(MAX_PATH).map(|line| hash(WHAT, line)).collect::<Result<Vec<_>, _>>()?;
        if lines.next().is_some() {
            return Err(bad("the path is too long"));
        }
        Ok(Self { extra, index, path, note: note.to_owned() })
    }

    /// Checks that the leaf is in the tree of `checkpoint`, which must be [`InclusionProof::note`] as opened with
    /// the log's key.
    ///
    /// # Errors
    /// [`TlogError::OutOfRange`] or [`TlogError::ProofFails`].
    pub fn verify(&self, leaf: &Hash, checkpoint: &Checkpoint) -> Result<(), TlogError> {
        verify_inclusion::<Sha256>(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}
