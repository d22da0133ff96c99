//! The seal as bytes: an in-toto Statement v1 in a DSSE envelope.
//!
//! Reading checks everything that can be checked without the artefact: versions and algorithms, limits, the rules
//! of paths and entries, and that the roots are those of the listed entries.

use gm::DualDigest;
use serde::{Deserialize, Serialize};
use signing::dsse::{Envelope, Signed};
use signing::{Signer, Verifier};

use crate::container::Container;
use crate::entry::{Entry, EntryKind, digest_text};
use crate::error::SealError;
use crate::exclude::Exclude;
use crate::file::SealFile;
use crate::head::Head;
use crate::path::escape;
use crate::program::{self, Program};
use crate::tree::{ALGORITHM, Tree};

/// `_type` of the statement (in-toto attestation framework, "Statement layer v1").
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType`: a UUID of the project's own names the seal, the fragment its version.
pub const PREDICATE_TYPE: &str = "urn:uuid:5e2d9a34-0c1f-4f7b-9a56-3b7a1f0c8d21#custody-seal-v1";
/// `payloadType` of the envelope (in-toto attestation framework, "Envelope layer").
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Largest statement that is read, in bytes: a million entries with paths of usual length.
pub const MAX_STATEMENT: usize = 384 << 20;
/// Largest envelope that is read: a statement in base64, and signatures.
pub const MAX_ENVELOPE: usize = MAX_STATEMENT / 3 * 4 + (1 << 20);
/// Most signatures of an envelope.
pub const MAX_SIGNATURES: usize = 64;

/// Digest names of the roots in the subject. They carry the tree's algorithm, so that no other tool takes them
/// for digests of bytes.
const ROOT_SHA256: &str = "custody-tree-v1-sha256";
const ROOT_SM3: &str = "custody-tree-v1-sm3";

/// What an artefact consists of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    name: String,
    subject: Subject,
    exclude: Exclude,
    nested: bool,
    tree: Tree,
    programs: Vec<Program>,
}

/// What was sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A directory: it has no bytes of its own, only the tree's roots.
    Directory,
    /// One file; the tree has one entry.
    File,
    /// An archive: the digests are of all its bytes, the entries are what it holds.
    Archive {
        /// SHA-256 and SM3 of all bytes.
        digest: DualDigest,
        /// Its blocks.
        container: Container,
    },
}

impl Subject {
    /// `directory`, `file` or `archive`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Archive { .. } => "archive",
        }
    }
}

/// A seal whose signature was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The seal.
    pub seal: Seal,
    /// The verifiers, by position in what the caller trusts, whose signature holds.
    pub signers: Vec<usize>,
}

impl Seal {
    /// A seal of the artefact `name` (its file name; it informs, it is not compared).
    ///
    /// # Errors
    /// When subject and tree contradict each other.
    pub fn new(name: &str, subject: Subject, tree: Tree) -> Result<Self, SealError> {
        let (name, exclude, programs) = (name.to_owned(), Exclude::default(), Vec::new());
        let seal = Self { name, subject, exclude, nested: false, tree, programs };
        seal.check()?;
        Ok(seal)
    }

    /// Notes what was left out of a directory.
    ///
    /// # Errors
    /// When an entry is among what the patterns leave out, or the subject is no directory.
    pub fn excluding(mut self, exclude: Exclude) -> Result<Self, SealError> {
        self.exclude = exclude;
        self.check()?;
        Ok(self)
    }

    /// Notes that archives inside were looked into: what they hold is listed as `ARCHIVE!/PATH`.
    ///
    /// # Errors
    /// When the subject is a single file.
    pub fn nesting(mut self) -> Result<Self, SealError> {
        self.nested = true;
        self.check()?;
        Ok(self)
    }

    /// Notes what Authenticode signs of the Windows programs among the entries, sorted by path.
    ///
    /// # Errors
    /// When one of them is no file of the tree, or they are not sorted.
    pub fn with_programs(mut self, programs: Vec<Program>) -> Result<Self, SealError> {
        self.programs = programs;
        self.check()?;
        Ok(self)
    }

    /// The artefact's name when it was sealed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was sealed.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What was left out.
    #[must_use]
    pub fn exclude(&self) -> &Exclude {
        &self.exclude
    }

    /// Whether archives inside were looked into.
    #[must_use]
    pub fn nested(&self) -> bool {
        self.nested
    }

    /// What Authenticode signs of the Windows programs among the entries, where the sealer noted it.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The entries and roots.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// SHA-256 and SM3 of the subject's bytes; a directory has none.
    #[must_use]
    pub fn digest(&self) -> Option<DualDigest> {
        match &self.subject {
            Subject::Directory => None,
            Subject::File => self.tree.entries().first().map(|entry| entry.digest),
            Subject::Archive { digest, .. } => Some(*digest),
        }
    }

    fn check(&self) -> Result<(), SealError> {
        self.exclude.check()?;
        program::check(&self.programs, &self.tree)?;
        match &self.subject {
            Subject::Directory => self.check_exclude(),
            _ if !self.exclude.is_empty() => Err(SealError::Malformed("only a directory leaves paths out")),
            Subject::Archive { container, .. } => container.check(),
            Subject::File if self.nested => Err(SealError::Malformed("a single file has nothing inside")),
            Subject::File => match self.tree.entries() {
                [entry] if entry.kind == EntryKind::File => Ok(()),
                _ => Err(SealError::Malformed("the seal of a file has one entry, which is a file")),
            },
        }
    }

    fn check_exclude(&self) -> Result<(), SealError> {
        let excluded = |entry: &&Entry| self.exclude.matches(entry.path.as_str());
        match !self.exclude.is_empty() && self.tree.entries().iter().find(excluded).is_some() {
            true => Err(SealError::Malformed("an entry is among what the seal leaves out")),
            false => Ok(()),
        }
    }

    /// The statement's JSON.
    ///
    /// # Errors
    /// [`SealError::Limit`] when it is larger than a reader takes.
    pub fn to_statement(&self) -> Result<Vec<u8>, SealError> {
        let json = serde_json::to_vec(&Wire::of(self)).map_err(SealError::Json)?;
        check_size(json.len(), MAX_STATEMENT)?;
        Ok(json)
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// Every variant of [`SealError`] but `Signature`.
    pub fn from_statement(json: &[u8]) -> Result<Self, SealError> {
        check_size(json.len(), MAX_STATEMENT)?;
        check_versions(json)?;
        serde_json::from_slice::<Wire<'_>>(json).map_err(SealError::Json)?.into_seal()
    }

    /// The signed envelope, as it stands in a `*.seal.json`, with a newline at its end.
    ///
    /// # Errors
    /// When a signer cannot sign, or there is none.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Vec<u8>, SealError> {
        let signed = self.signed(signers)?;
        let mut bytes = Vec::new();
        signed.write_to(&mut bytes).map_err(|e| SealError::Json(serde_json::Error::io(e)))?;
        Ok(bytes)
    }

    /// The same, signed and still to be written: of a seal of many entries, the text is kept once.
    ///
    /// # Errors
    /// As [`Seal::sign`].
    pub fn signed(&self, signers: &[&dyn Signer]) -> Result<SignedSeal, SealError> {
        let wire = Wire::of(self);
        let write = |out: &mut Vec<u8>| Ok(serde_json::to_writer(out, &wire)?);
        let signed = Signed::new(PAYLOAD_TYPE, write, signers).map_err(SealError::Signature)?;
        check_size(signed.payload().len(), MAX_STATEMENT)?;
        let head = Head::of(self, signed.payload()).sign(signers)?;
        Ok(SignedSeal { signed, head })
    }

    /// Reads an envelope that one of `trusted` must have signed. An unknown version is reported before the
    /// signature is looked at: whoever meets a later seal should hear that, not that its signer is unknown.
    ///
    /// # Errors
    /// [`SealError::Signature`] when nobody in `trusted` signed or a trusted signature does not verify; the other
    /// variants when the seal is malformed.
    pub fn open(bytes: &[u8], trusted: &[&dyn Verifier]) -> Result<Opened, SealError> {
        let envelope = SealFile::read(bytes)?.envelope;
        check_versions(&envelope.unchecked_payload().map_err(SealError::Signature)?)?;
        let (payload, signers) = envelope.verify(trusted).map_err(SealError::Signature)?;
        drop(envelope);
        Ok(Opened { seal: Self::from_statement(&payload)?, signers })
    }

    /// The envelope with further signatures. One of `trusted` must have signed it before, so that nobody vouches for what
    /// no one known to them has vouched for.
    ///
    /// # Errors
    /// As [`Seal::open`], and when a signer cannot sign or has signed already.
    pub fn countersign(
        bytes: &[u8],
        trusted: &[&dyn Verifier],
        signers: &[&dyn Signer],
    ) -> Result<(Vec<u8>, Opened), SealError> {
        let opened = Self::open(bytes, trusted)?;
        let mut file = SealFile::read(bytes)?;
        let statement = file.envelope.unchecked_payload().map_err(SealError::Signature)?;
        file.envelope.add(signers).map_err(SealError::Signature)?;
        if file.envelope.signatures.len() > MAX_SIGNATURES {
            return Err(SealError::Limit { what: "signatures", limit: MAX_SIGNATURES });
        }
        file.head = Some(Head::of(&opened.seal, &statement).countersign(file.head, signers)?);
        Ok((file.to_bytes()?, opened))
    }

    /// The envelope of the statement, or of the head: what other tools read, nothing of it verified.
    ///
    /// # Errors
    /// When it is no seal, or [`SealError::NoHead`].
    pub fn envelope(bytes: &[u8], head: bool) -> Result<Envelope, SealError> {
        let file = SealFile::read(bytes)?;
        if head { file.head.ok_or(SealError::NoHead) } else { Ok(file.envelope) }
    }

    /// The key ids that an envelope names, **not verified**: for showing whose key would have to be trusted.
    ///
    /// # Errors
    /// When it is not an envelope.
    pub fn unchecked_signers(bytes: &[u8]) -> Result<Vec<String>, SealError> {
        Ok(SealFile::read(bytes)?
            .envelope
            .signatures
            .into_iter()
            .map(|s| escape(s.keyid.as_bytes()))
            .collect())
    }
}

/// A seal that is signed and not written yet.
pub struct SignedSeal {
    signed: Signed,
    head: Envelope,
}

impl SignedSeal {
    /// Writes the file, with a newline at its end.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, mut out: impl std::io::Write) -> std::io::Result<()> {
        self.signed.write_fields(&mut out)?;
        out.write_all(b",\"head\":")?;
        serde_json::to_writer(&mut out, &self.head)?;
        out.write_all(b"}\n")
    }
}

pub(crate) fn check_size(size: usize, limit: usize) -> Result<(), SealError> {
    if size > limit { Err(SealError::Limit { what: "bytes", limit }) } else { Ok(()) }
}

pub(crate) fn unknown(what: &'static str, found: &str, known: &'static str) -> SealError {
    SealError::Unknown { what, found: escape(found.as_bytes()), known }
}

/// What must be known before the rest can be understood.
#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "_type")]
    statement_type: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

fn check_versions(json: &[u8]) -> Result<(), SealError> {
    let found: Versions = serde_json::from_slice(json).map_err(SealError::Json)?;
    if found.statement_type != STATEMENT_TYPE {
        return Err(unknown("statement type", &found.statement_type, STATEMENT_TYPE));
    }
    if found.predicate_type != PREDICATE_TYPE {
        return Err(unknown("seal version", &found.predicate_type, PREDICATE_TYPE));
    }
    Ok(())
}

/// The statement as it is written. Fields that version 1 does not have are refused: nothing would bind them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(rename = "_type")]
    statement_type: std::borrow::Cow<'a, str>,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: std::borrow::Cow<'a, str>,
    predicate: WirePredicate<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireSubject {
    pub(crate) name: String,
    digest: WireSubjectDigest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireSubjectDigest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sm3: Option<String>,
    #[serde(rename = "custody-tree-v1-sha256")]
    root_sha256: String,
    #[serde(rename = "custody-tree-v1-sm3")]
    root_sm3: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePredicate<'a> {
    tree: WireTree,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<Container>,
    #[serde(default, skip_serializing_if = "Exclude::is_empty")]
    exclude: Exclude,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    nested: bool,
    entries: std::borrow::Cow<'a, [Entry]>,
    #[serde(default, skip_serializing_if = "<[Program]>::is_empty")]
    programs: std::borrow::Cow<'a, [Program]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTree {
    algorithm: String,
    sha256: String,
    sm3: String,
}

impl<'a> Wire<'a> {
    fn of(seal: &'a Seal) -> Self {
        let roots = seal.tree.roots();
        let container = match &seal.subject {
            Subject::Archive { container, .. } => Some(container.clone()),
            _ => None,
        };
        Self {
            statement_type: STATEMENT_TYPE.into(),
            subject: vec![WireSubject::new(&seal.name, seal.digest(), roots)],
            predicate_type: PREDICATE_TYPE.into(),
            predicate: WirePredicate {
                tree: WireTree {
                    algorithm: ALGORITHM.to_owned(),
                    sha256: hex::encode(roots.sha256),
                    sm3: hex::encode(roots.sm3),
                },
                container,
                exclude: seal.exclude.clone(),
                nested: seal.nested,
                entries: seal.tree.entries().into(),
                programs: seal.programs.as_slice().into(),
            },
        }
    }

    fn into_seal(self) -> Result<Seal, SealError> {
        let stated = &self.predicate.tree;
        if stated.algorithm != ALGORITHM {
            return Err(unknown("tree algorithm", &stated.algorithm, ALGORITHM));
        }
        let roots = DualDigest { sha256: digest(&stated.sha256)?, sm3: digest(&stated.sm3)? };
        let [subject] = <[WireSubject; 1]>::try_from(self.subject)
            .map_err(|_| SealError::Malformed("a seal has one subject"))?;
        let tree = Tree::from_sorted(self.predicate.entries.into_owned())?;
        check_roots(&tree, roots)?;
        check_subject_roots(&subject.digest, roots)?;
        let digest = subject.digest.plain()?;
        let kind = match (digest, self.predicate.container) {
            (None, None) => Subject::Directory,
            (Some(_), None) => Subject::File,
            (Some(digest), Some(container)) => Subject::Archive { digest, container },
            (None, Some(_)) => {
                return Err(SealError::Malformed("a container needs the digests of its bytes"));
            }
        };
        let (nested, exclude) = (self.predicate.nested, self.predicate.exclude);
        let programs = self.predicate.programs.into_owned();
        let seal = Seal { name: subject.name, subject: kind, exclude, nested, tree, programs };
        seal.check()?;
        match seal.digest() == digest {
            true => Ok(seal),
            false => Err(SealError::Malformed("the subject's digests are not those of its one entry")),
        }
    }
}

impl WireSubject {
    pub(crate) fn new(name: &str, digest: Option<DualDigest>, roots: DualDigest) -> Self {
        let digest = WireSubjectDigest {
            sha256: digest.map(|d| hex::encode(d.sha256)),
            sm3: digest.map(|d| hex::encode(d.sm3)),
            root_sha256: hex::encode(roots.sha256),
            root_sm3: hex::encode(roots.sm3),
        };
        Self { name: name.to_owned(), digest }
    }

    /// The digests of the subject's bytes, if it has bytes, after its roots were found to be these.
    pub(crate) fn plain(&self, roots: DualDigest) -> Result<Option<DualDigest>, SealError> {
        check_subject_roots(&self.digest, roots)?;
        self.digest.plain()
    }
}

impl WireSubjectDigest {
    fn plain(&self) -> Result<Option<DualDigest>, SealError> {
        match (&self.sha256, &self.sm3) {
            (None, None) => Ok(None),
            (Some(sha256), Some(sm3)) => Ok(Some(DualDigest { sha256: digest(sha256)?, sm3: digest(sm3)? })),
            _ => Err(SealError::Malformed("the subject has one of `sha256` and `sm3`, not both")),
        }
    }
}

fn digest(text: &str) -> Result<[u8; 32], SealError> {
    digest_text::parse_hex(text).map_err(SealError::Malformed)
}

fn check_roots(tree: &Tree, stated: DualDigest) -> Result<(), SealError> {
    let computed = tree.roots();
    match () {
        () if computed.sha256 != stated.sha256 => Err(SealError::RootMismatch { algorithm: "sha256" }),
        () if computed.sm3 != stated.sm3 => Err(SealError::RootMismatch { algorithm: "sm3" }),
        () => Ok(()),
    }
}

fn check_subject_roots(subject: &WireSubjectDigest, stated: DualDigest) -> Result<(), SealError> {
    match () {
        () if digest(&subject.root_sha256)? != stated.sha256 => {
            Err(SealError::RootMismatch { algorithm: ROOT_SHA256 })
        }
        () if digest(&subject.root_sm3)? != stated.sm3 => {
            Err(SealError::RootMismatch { algorithm: ROOT_SM3 })
        }
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests;
