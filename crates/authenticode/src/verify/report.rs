//! What was found.

use pkix::chain::Chain;
use pkix::{Certificate, Digest, Time};

use super::rules::{Kind, Rule};
use crate::attribute::{OpusInfo, SealRoots};
use crate::image::Image;

/// Everything about one file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its headers.
    pub image: Image,
    /// The checksum that it should have.
    pub checksum: u32,
    /// What is wrong with the file apart from its signatures.
    pub findings: Vec<Finding>,
    /// The signatures, nested ones after the one that holds them.
    pub signatures: Vec<Signature>,
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The subject of the certificate that breaks it.
    pub certificate: Option<String>,
    /// What differs.
    pub detail: Option<String>,
}

/// One signature.
#[derive(Clone, Debug)]
pub struct Signature {
    /// `1` for the first, `1.2` for the second that is nested in it.
    pub place: String,
    /// The digest of the image that it names.
    pub digest: Option<(Digest, Vec<u8>)>,
    /// Page hashes, and how many.
    pub pages: Option<(Digest, usize)>,
    /// Who signed.
    pub signer: Option<Certificate>,
    /// The path from the signer to an anchor.
    pub chain: Option<Chain>,
    /// The path as far as it came, where there is none.
    pub partial: Vec<Certificate>,
    /// The time at which the path was judged.
    pub judged_at: Time,
    /// The timestamps.
    pub stamps: Vec<Stamp>,
    /// Name and address of the program.
    pub opus: OpusInfo,
    /// The roots of a seal.
    pub seal: Option<SealRoots>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Which protocol a timestamp is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StampKind {
    /// RFC 3161.
    Rfc3161,
    /// The protocol before it.
    Legacy,
}

/// One timestamp.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Its protocol.
    pub kind: StampKind,
    /// When.
    pub time: Option<Time>,
    /// Whose, as the subject of its certificate.
    pub authority: Option<String>,
    /// Whether it counts.
    pub counts: bool,
}

impl Finding {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, certificate: None, detail: None }
    }

    pub(crate) fn of(rule: Rule, detail: impl std::fmt::Display) -> Self {
        Self { rule, certificate: None, detail: Some(detail.to_string()) }
    }

    pub(crate) fn at(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.subject.to_string());
        self
    }

    pub(crate) fn chain(fault: &pkix::chain::Fault) -> Self {
        Self {
            rule: Rule::Chain(fault.rule),
            certificate: Some(fault.certificate.subject.to_string()),
            detail: fault.detail.clone(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(certificate) = &self.certificate {
            write!(f, "{certificate}: ")?;
        }
        f.write_str(self.rule.text())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl Signature {
    /// One of which nothing is known yet.
    pub(crate) fn new(place: String, now: Time) -> Self {
        Self {
            place,
            digest: None,
            pages: None,
            signer: None,
            chain: None,
            partial: Vec::new(),
            judged_at: now,
            stamps: Vec::new(),
            opus: OpusInfo::default(),
            seal: None,
            findings: Vec::new(),
        }
    }

    /// Whether it breaks no rule.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.rule.kind() == Kind::Remark)
    }
}

impl Report {
    /// Whether the file holds: nothing wrong with its bytes anywhere, and one signature at least that breaks no rule.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_intact()
            && self.findings.iter().all(|finding| finding.rule.kind() == Kind::Remark)
            && self.signatures.iter().any(Signature::holds)
    }

    /// Whether nothing is wrong with its bytes.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.all_findings().all(|finding| finding.rule.kind() != Kind::Integrity)
    }

    /// The findings of the file and of all its signatures.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().chain(self.signatures.iter().flat_map(|signature| &signature.findings))
    }
}
