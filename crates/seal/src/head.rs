//! The head of a seal: what was sealed, its roots and the number of its entries, without the entries.
//!
//! A signature of the statement is over every entry of it. The head is signed beside it by the same keys, so that one
//! file of many thousands can be proved, or a seal be anchored, with a few hundred bytes (`docs/formats/seal.md`, "Head").

use gm::DualDigest;
use serde::{Deserialize, Serialize};
use signing::Signer;
use signing::dsse::Envelope;

use crate::entry::digest_text::{self, parse_hex};
use crate::error::SealError;
use crate::statement::{PAYLOAD_TYPE, STATEMENT_TYPE, Seal, WireSubject, check_size, unknown};
use crate::tree::{ALGORITHM, MAX_ENTRIES};

/// `predicateType` of a head.
pub const HEAD_TYPE: &str = "urn:uuid:5e2d9a34-0c1f-4f7b-9a56-3b7a1f0c8d21#custody-seal-head-v1";
/// A longer head is not read: a name, four digests and two roots.
pub const MAX_HEAD: usize = 64 << 10;

/// What a head says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The artefact's name when it was sealed.
    pub name: String,
    /// SHA-256 and SM3 of its bytes; a directory has none.
    pub digest: Option<DualDigest>,
    /// The roots of the two trees.
    pub roots: DualDigest,
    /// Number of entries.
    pub entries: u64,
    /// SHA-256 and SM3 of the statement.
    pub statement: DualDigest,
}

impl Head {
    /// The head of a seal whose statement has these bytes.
    #[must_use]
    pub fn of(seal: &Seal, statement: &[u8]) -> Self {
        Self {
            name: seal.name().to_owned(),
            digest: seal.digest(),
            roots: seal.tree().roots(),
            entries: seal.tree().entries().len() as u64,
            statement: gm::Dual::digest(statement),
        }
    }

    /// The statement's JSON.
    ///
    /// # Errors
    /// The encoder's, which no head causes.
    pub fn to_statement(&self) -> Result<Vec<u8>, SealError> {
        let wire = Wire {
            statement_type: STATEMENT_TYPE.into(),
            subject: vec![WireSubject::new(&self.name, self.digest, self.roots)],
            predicate_type: HEAD_TYPE.into(),
            predicate: WirePredicate {
                tree: WireTree {
                    algorithm: ALGORITHM.into(),
                    sha256: hex::encode(self.roots.sha256),
                    sm3: hex::encode(self.roots.sm3),
                    size: self.entries,
                },
                statement: self.statement,
            },
        };
        serde_json::to_vec(&wire).map_err(SealError::Json)
    }

    /// Reads a head's statement.
    ///
    /// # Errors
    /// When it is none, of another version, or contradicts itself.
    pub fn from_statement(json: &[u8]) -> Result<Self, SealError> {
        check_size(json.len(), MAX_HEAD)?;
        let wire: Wire = serde_json::from_slice(json).map_err(SealError::Json)?;
        if wire.statement_type != STATEMENT_TYPE {
            return Err(unknown("statement type", &wire.statement_type, STATEMENT_TYPE));
        }
        if wire.predicate_type != HEAD_TYPE {
            return Err(unknown("version of a seal's head", &wire.predicate_type, HEAD_TYPE));
        }
        let tree = wire.predicate.tree;
        if tree.algorithm != ALGORITHM {
            return Err(unknown("tree algorithm", &tree.algorithm, ALGORITHM));
        }
        if tree.size > MAX_ENTRIES as u64 {
            return Err(SealError::Limit { what: "entries", limit: MAX_ENTRIES });
        }
        let digest = |text: &str| parse_hex(text).map_err(SealError::Malformed);
        let roots = DualDigest { sha256: digest(&tree.sha256)?, sm3: digest(&tree.sm3)? };
        let [subject] = <[WireSubject; 1]>::try_from(wire.subject)
            .map_err(|_| SealError::Malformed("a head has one subject"))?;
        let plain = subject.plain(roots)?;
        let statement = wire.predicate.statement;
        Ok(Self { name: subject.name, digest: plain, roots, entries: tree.size, statement })
    }

    /// The head, signed.
    pub(crate) fn sign(&self, signers: &[&dyn Signer]) -> Result<Envelope, SealError> {
        Envelope::sign(PAYLOAD_TYPE, &self.to_statement()?, signers).map_err(SealError::Signature)
    }

    /// `known`, if it is this head, with further signatures; else one with these alone.
    pub(crate) fn countersign(
        &self,
        known: Option<Envelope>,
        signers: &[&dyn Signer],
    ) -> Result<Envelope, SealError> {
        let Some(mut envelope) = known else { return self.sign(signers) };
        if envelope.unchecked_payload().map_err(SealError::Signature)? != self.to_statement()? {
            return Err(SealError::Malformed("its head is that of another statement"));
        }
        envelope.add(signers).map_err(SealError::Signature)?;
        Ok(envelope)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: WirePredicate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePredicate {
    tree: WireTree,
    #[serde(with = "digest_text")]
    statement: DualDigest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTree {
    algorithm: String,
    sha256: String,
    sm3: String,
    size: u64,
}
