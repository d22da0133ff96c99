//! Paths from a certificate to a trusted one (RFC 5280 §6), and the exact rule at which there is none.
//!
//! The caller supplies the anchors, whatever other certificates it has, the purpose and the moment. Name constraints
//! and policy mappings are not understood: a certificate that makes them critical is refused, by name.

use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::oid::{self, Oid};
use crate::signature::digest_of;
use crate::time::Time;

/// Longest path, the leaf and the anchor included.
const MAX_DEPTH: usize = 12;
/// Most signatures that are checked for one leaf: a bag of certificates with one name must not cost an hour.
const MAX_CHECKS: usize = 100;

/// What is asked of a chain.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whom the caller trusts. A leaf that is among them is trusted by itself.
    pub anchors: &'a [Certificate],
    /// Certificates that may stand between.
    pub others: &'a [Certificate],
    /// The extended key usage that the leaf must have.
    pub purpose: Oid,
    /// The moment at which every certificate must be valid.
    pub at: Time,
}

/// A path: the leaf first, the anchor last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The certificates.
    pub certificates: Vec<Certificate>,
}

/// The rule that failed. The words are the crate's own, stable for scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "`Rule::text` says it of each")]
pub enum Rule {
    IssuerUnknown,
    SelfSignedUntrusted,
    Signature,
    Algorithm,
    WeakDigest,
    NotYetValid,
    Expired,
    NotAuthority,
    PathLength,
    CertificateSigning,
    DigitalSignature,
    ExtendedKeyUsage,
    UnknownCritical,
    Depth,
    Effort,
}

impl Rule {
    /// A word for scripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::IssuerUnknown => "issuer-unknown",
            Self::SelfSignedUntrusted => "self-signed-untrusted",
            Self::Signature => "signature",
            Self::Algorithm => "algorithm",
            Self::WeakDigest => "weak-digest",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::NotAuthority => "not-an-authority",
            Self::PathLength => "path-length",
            Self::CertificateSigning => "key-usage-cert-sign",
            Self::DigitalSignature => "key-usage-signature",
            Self::ExtendedKeyUsage => "extended-key-usage",
            Self::UnknownCritical => "unknown-critical-extension",
            Self::Depth => "depth",
            Self::Effort => "effort",
        }
    }

    /// The rule as a sentence part, with its section of RFC 5280.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::IssuerUnknown => "its issuer is not among the certificates at hand",
            Self::SelfSignedUntrusted => "it is self-signed and not among the trusted ones",
            Self::Signature => "its issuer's signature does not verify (RFC 5280 §6.1.3 a 1)",
            Self::Algorithm => "its signature or key is of an algorithm or size that is not accepted",
            Self::WeakDigest => "it is signed under SHA-1, where collisions can be made",
            Self::NotYetValid => "it is not yet valid at that time (RFC 5280 §6.1.3 a 2)",
            Self::Expired => "it was no longer valid at that time (RFC 5280 §6.1.3 a 2)",
            Self::NotAuthority => "it is no certification authority (RFC 5280 §6.1.4 k)",
            Self::PathLength => "more authorities follow than it allows (RFC 5280 §6.1.4 m)",
            Self::CertificateSigning => "its key may not sign certificates (RFC 5280 §6.1.4 n)",
            Self::DigitalSignature => "its key may not make digital signatures (RFC 5280 §4.2.1.3)",
            Self::ExtendedKeyUsage => "its key is not meant for this purpose (RFC 5280 §4.2.1.12)",
            Self::UnknownCritical => "a critical extension is not understood (RFC 5280 §6.1.4 o)",
            Self::Depth => "the path is longer than 12 certificates",
            Self::Effort => "more than 100 signatures would have to be checked",
        }
    }
}

/// Why there is no chain: the rule, and the certificate that breaks it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The rule.
    pub rule: Rule,
    /// The certificate that breaks it.
    pub certificate: Box<Certificate>,
    /// What differs, where more can be said than the rule says.
    pub detail: Option<String>,
    /// The path as far as it came, the leaf first.
    pub path: Vec<Certificate>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.certificate.subject, self.rule.text())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// Finds a path from `leaf` to an anchor.
///
/// # Errors
/// The fault of the path that came furthest.
pub fn build(leaf: &Certificate, request: &Request<'_>) -> Result<Chain, Box<Fault>> {
    let mut search = Search { request, path: vec![leaf], checks: 0, best: None };
    if let Err((rule, detail)) = check_leaf(leaf, request) {
        search.note(rule, leaf, detail);
    } else if search.from(leaf) {
        return Ok(Chain { certificates: search.path.into_iter().cloned().collect() });
    }
    Err(search.best.unwrap_or_else(|| {
        Box::new(Fault {
            rule: Rule::IssuerUnknown,
            certificate: Box::new(leaf.clone()),
            detail: None,
            path: vec![leaf.clone()],
        })
    }))
}

struct Search<'a> {
    request: &'a Request<'a>,
    path: Vec<&'a Certificate>,
    checks: usize,
    best: Option<Box<Fault>>,
}

type Broken = (Rule, Option<String>);

impl<'a> Search<'a> {
    /// Extends the path from its last certificate; true when an anchor was reached.
    fn from(&mut self, last: &'a Certificate) -> bool {
        if self.request.anchors.contains(last) {
            return true;
        }
        if self.path.len() >= MAX_DEPTH {
            self.note(Rule::Depth, last, None);
            return false;
        }
        // Anchors first: the shortest way to trust.
        let anchors = self.request.anchors.iter();
        let issuers: Vec<_> =
            anchors.chain(self.request.others).filter(|other| may_have_issued(other, last)).collect();
        if issuers.is_empty() {
            let rule = if last.is_self_issued() { Rule::SelfSignedUntrusted } else { Rule::IssuerUnknown };
            let detail = (!last.is_self_issued()).then(|| format!("issued by {}", last.issuer));
            self.note(rule, last, detail);
            return false;
        }
        issuers.into_iter().any(|issuer| self.through(issuer, last))
    }

    fn through(&mut self, issuer: &'a Certificate, last: &'a Certificate) -> bool {
        if self.path.contains(&issuer) {
            if issuer == last && self.best.is_none() {
                self.note(Rule::SelfSignedUntrusted, last, None);
            }
            return false;
        }
        self.checks += 1;
        if self.checks > MAX_CHECKS {
            self.note(Rule::Effort, last, None);
            return false;
        }
        if let Err((rule, detail)) = check_signature(issuer, last) {
            self.note(rule, last, detail);
            return false;
        }
        if let Err((rule, detail)) = check_issuer(issuer, &self.path, self.request) {
            self.path.push(issuer);
            self.note(rule, issuer, detail);
            self.path.pop();
            return false;
        }
        self.path.push(issuer);
        let reached = self.from(issuer);
        if !reached {
            self.path.pop();
        }
        reached
    }

    /// Keeps the fault of the longest path: the one nearest to success says most.
    fn note(&mut self, rule: Rule, certificate: &Certificate, detail: Option<String>) {
        if self.best.as_ref().is_none_or(|best| best.path.len() < self.path.len()) {
            let path = self.path.iter().map(|c| (*c).clone()).collect();
            self.best =
                Some(Box::new(Fault { rule, certificate: Box::new(certificate.clone()), detail, path }));
        }
    }
}

/// By name, and by key identifier where both have one (RFC 5280 §4.2.1.1).
fn may_have_issued(issuer: &Certificate, subject: &Certificate) -> bool {
    let (wanted, own) =
        (&subject.extensions.authority_key_identifier, &issuer.extensions.subject_key_identifier);
    issuer.subject == subject.issuer && (wanted.is_none() || own.is_none() || wanted == own)
}

fn check_signature(issuer: &Certificate, last: &Certificate) -> Result<(), Broken> {
    if digest_of(&last.algorithm).is_some_and(Digest::is_weak) {
        return Err((Rule::WeakDigest, None));
    }
    issuer.certified(last).map_err(|error| match error {
        crate::PkixError::BadSignature { .. } => (Rule::Signature, None),
        other => (Rule::Algorithm, Some(other.to_string())),
    })
}

fn check_time(certificate: &Certificate, at: Time) -> Result<(), Broken> {
    if at < certificate.not_before {
        return Err((
            Rule::NotYetValid,
            Some(format!("valid from {}, asked at {at}", certificate.not_before)),
        ));
    }
    if at > certificate.not_after {
        return Err((Rule::Expired, Some(format!("valid until {}, asked at {at}", certificate.not_after))));
    }
    Ok(())
}

fn check_any(certificate: &Certificate, at: Time) -> Result<(), Broken> {
    if let Some(unknown) = certificate.extensions.unknown_critical.first() {
        return Err((Rule::UnknownCritical, Some(unknown.to_string())));
    }
    check_time(certificate, at)
}

fn check_leaf(leaf: &Certificate, request: &Request<'_>) -> Result<(), Broken> {
    check_any(leaf, request.at)?;
    if leaf.extensions.key_usage.is_some_and(|usage| !usage.signs()) {
        return Err((Rule::DigitalSignature, None));
    }
    // A leaf without the extension may do everything (RFC 5280), but code signing and timestamping must be said
    // (CA/Browser Forum, Baseline Requirements for Code Signing §7.1.2.3; RFC 3161 §2.3).
    match &leaf.extensions.extended_key_usage {
        Some(usage) if usage.purposes.contains(&request.purpose) => Ok(()),
        Some(usage) => {
            let has: Vec<_> = usage.purposes.iter().map(purpose).collect();
            Err((Rule::ExtendedKeyUsage, Some(format!("it is for {}", has.join(", ")))))
        }
        None => Err((Rule::ExtendedKeyUsage, Some("it names no purpose".to_owned()))),
    }
}

fn check_issuer(issuer: &Certificate, path: &[&Certificate], request: &Request<'_>) -> Result<(), Broken> {
    check_any(issuer, request.at)?;
    let anchor = request.anchors.contains(issuer);
    // A trust anchor of version 1 has no extensions to say so; whoever supplied it has said it.
    let silent = anchor && issuer.extensions.basic_constraints.is_none();
    if !issuer.is_authority() && !silent {
        return Err((Rule::NotAuthority, None));
    }
    if issuer.extensions.key_usage.is_some_and(|usage| !usage.certifies()) {
        return Err((Rule::CertificateSigning, None));
    }
    // Self-issued certificates do not count (RFC 5280 §6.1.4 l); the leaf stands first and is not counted either.
    let authorities = path.iter().skip(1).filter(|c| !c.is_self_issued()).count();
    if let Some((_, Some(most))) = issuer.extensions.basic_constraints
        && authorities > most as usize
    {
        return Err((Rule::PathLength, Some(format!("it allows {most}, and {authorities} follow"))));
    }
    // Windows and every browser take the purposes of an authority for a limit of what it issues.
    match &issuer.extensions.extended_key_usage {
        Some(usage) if !anchor && !allows(&usage.purposes, request.purpose) => Err((
            Rule::ExtendedKeyUsage,
            Some(format!("it does not issue for {}", purpose(&request.purpose))),
        )),
        _ => Ok(()),
    }
}

fn allows(purposes: &[Oid], wanted: Oid) -> bool {
    purposes.contains(&wanted) || purposes.contains(&oid::ANY_EXTENDED_KEY_USAGE)
}

/// A purpose in words.
#[must_use]
pub fn purpose(oid: &Oid) -> String {
    match *oid {
        oid::KP_CODE_SIGNING => "code signing".to_owned(),
        oid::KP_TIME_STAMPING => "timestamping".to_owned(),
        oid::KP_OCSP_SIGNING => "OCSP responses".to_owned(),
        oid::ANY_EXTENDED_KEY_USAGE => "anything".to_owned(),
        other => other.to_string(),
    }
}
