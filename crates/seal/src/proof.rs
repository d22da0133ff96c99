//! One entry of a seal, proved alone: the signed head, the entry, and its path in each of the two trees.
//!
//! The paths are those of RFC 6962 §2.1.1; either alone would do, and both must hold. The bytes stand in
//! `docs/formats/seal.md`, "Proof of one entry".

use gm::DualDigest;
use serde::{Deserialize, Serialize};
use signing::dsse::Envelope;
use signing::{Signer, Verifier};
use tlog::{Hash, HashReader, Sha256, Sm3, TlogError, TreeHash};

use crate::entry::Entry;
use crate::entry::digest_text::parse_hex;
use crate::error::SealError;
use crate::file::{SealFile, check_envelope};
use crate::head::Head;
use crate::statement::{Seal, check_size, unknown};
use crate::tree::leaf_input;

/// The version of the format.
pub const PROOF_FORMAT: &str = "custody-seal-proof-v1";
/// A longer proof is not read: a head with 64 signatures, a path, an entry.
pub const MAX_PROOF: usize = 256 << 10;

/// An entry with everything that an offline reader needs but the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryProof {
    head: Envelope,
    entry: Entry,
    index: u64,
    sha256: Vec<Hash>,
    sm3: Vec<Hash>,
}

/// What a proof proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proved {
    /// The entry.
    pub entry: Entry,
    /// What it is an entry of.
    pub head: Head,
    /// The verifiers, by position in what the caller trusts, whose signature holds.
    pub signers: Vec<usize>,
}

impl EntryProof {
    /// Proves the entry at `path` of the seal in `bytes`, which one of `trusted` must have signed. A seal from before
    /// there were heads has none that is signed: then `signers` sign it now, and it is they whom a reader must trust.
    ///
    /// # Errors
    /// As [`Seal::open`]; [`SealError::NoEntry`]; [`SealError::NoHead`] when nobody can sign a missing head.
    pub fn new(
        bytes: &[u8],
        trusted: &[&dyn Verifier],
        path: &str,
        signers: &[&dyn Signer],
    ) -> Result<Self, SealError> {
        let seal = Seal::open(bytes, trusted)?.seal;
        let file = SealFile::read(bytes)?;
        let statement = file.envelope.unchecked_payload().map_err(SealError::Signature)?;
        let head = Head::of(&seal, &statement);
        let envelope = match (file.head, signers) {
            (None, []) => return Err(SealError::NoHead),
            (known, []) => head.countersign(known, &[])?,
            (known, signers) => head.countersign(known, signers)?,
        };
        let entries = seal.tree().entries();
        let at = entries
            .binary_search_by(|entry| entry.path.as_str().cmp(path))
            .map_err(|_| SealError::NoEntry { path: crate::escape(path.as_bytes()) })?;
        let leaves: Vec<Vec<u8>> = entries.iter().map(leaf_input).collect();
        let index = at as u64;
        let (sha256, sm3) = (inclusion::<Sha256>(&leaves, index)?, inclusion::<Sm3>(&leaves, index)?);
        Ok(Self { head: envelope, entry: entries[at].clone(), index, sha256, sm3 })
    }

    /// Reads a proof; nothing of it is verified.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn parse(json: &[u8]) -> Result<Self, SealError> {
        check_size(json.len(), MAX_PROOF)?;
        let wire: Wire = serde_json::from_slice(json).map_err(SealError::Json)?;
        if wire.format != PROOF_FORMAT {
            return Err(unknown("format of a proof", &wire.format, PROOF_FORMAT));
        }
        check_envelope(&wire.head)?;
        wire.entry.check()?;
        let hashes = |path: &[String]| -> Result<Vec<Hash>, SealError> {
            path.iter().map(|text| parse_hex(text).map_err(SealError::Malformed)).collect()
        };
        let (sha256, sm3) = (hashes(&wire.paths.sha256)?, hashes(&wire.paths.sm3)?);
        Ok(Self { head: wire.head, entry: wire.entry, index: wire.index, sha256, sm3 })
    }

    /// The bytes of the proof's file.
    ///
    /// # Errors
    /// The encoder's, which no proof causes.
    pub fn to_json(&self) -> Result<Vec<u8>, SealError> {
        let text = |path: &[Hash]| path.iter().map(hex::encode).collect();
        let wire = Wire {
            format: PROOF_FORMAT.into(),
            entry: self.entry.clone(),
            index: self.index,
            paths: WirePaths { sha256: text(&self.sha256), sm3: text(&self.sm3) },
            head: self.head.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&wire).map_err(SealError::Json)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Whether one of `trusted` signed the head and the entry is in both trees under it.
    ///
    /// # Errors
    /// [`SealError::Signature`] when nobody trusted signed; [`SealError::NotIncluded`] when a path does not lead to
    /// its root.
    pub fn verify(&self, trusted: &[&dyn Verifier]) -> Result<Proved, SealError> {
        let (payload, signers) = self.head.verify(trusted).map_err(SealError::Signature)?;
        let head = Head::from_statement(&payload)?;
        let (leaf, DualDigest { sha256, sm3 }) = (leaf_input(&self.entry), head.roots);
        let not_included = |algorithm| move |_: TlogError| SealError::NotIncluded { algorithm };
        tlog::verify_inclusion::<Sha256>(
            &Sha256::leaf(&leaf),
            self.index,
            head.entries,
            &self.sha256,
            &sha256,
        )
        .map_err(not_included("sha256"))?;
        tlog::verify_inclusion::<Sm3>(&Sm3::leaf(&leaf), self.index, head.entries, &self.sm3, &sm3)
            .map_err(not_included("sm3"))?;
        Ok(Proved { entry: self.entry.clone(), head, signers })
    }

    /// The key ids that the head names, **not verified**.
    #[must_use]
    pub fn unchecked_signers(&self) -> Vec<String> {
        self.head.signatures.iter().map(|s| crate::escape(s.keyid.as_bytes())).collect()
    }

    /// The entry, **not verified**.
    #[must_use]
    pub fn unchecked_entry(&self) -> &Entry {
        &self.entry
    }
}

fn inclusion<H: TreeHash>(leaves: &[Vec<u8>], index: u64) -> Result<Vec<Hash>, SealError> {
    let views: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
    let mut hashes = vec![Hash::default(); leaves.len()];
    H::leaves(&views, &mut hashes);
    let size = hashes.len() as u64;
    tlog::inclusion_path::<H, _>(&mut Leaves::<H>(hashes, std::marker::PhantomData), index, size)
        .map_err(|_| SealError::Malformed("the tree has no such leaf"))
}

/// Complete subtrees over the hashes of all leaves.
struct Leaves<H>(Vec<Hash>, std::marker::PhantomData<H>);

impl<H: TreeHash> HashReader for Leaves<H> {
    type Error = TlogError;

    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let outside = || TlogError::OutOfRange { what: "subtree", value: index, size: self.0.len() as u64 };
        let width = 1usize.checked_shl(level.into()).ok_or_else(outside)?;
        let start = usize::try_from(index).ok().and_then(|i| i.checked_mul(width)).ok_or_else(outside)?;
        let end = start.checked_add(width).ok_or_else(outside)?;
        self.0.get(start..end).map(H::subtree).ok_or_else(outside)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    entry: Entry,
    index: u64,
    paths: WirePaths,
    head: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePaths {
    sha256: Vec<String>,
    sm3: Vec<String>,
}

#[cfg(test)]
mod tests;
