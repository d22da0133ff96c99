//! Verifies a bundle offline, as the client specification of Sigstore asks: the times, the certificate at those times,
//! its logs, the entry in the transparency log, and last the signature itself.

use pkix::tsp::Token;
use pkix::{Certificate, Digest, Time, chain};
use serde::Serialize;
use signing::dsse::{Envelope, pre_authentication_encoding};
use signing::{PublicKey, Verifier as _};

use super::bundle::{Bundle, Version};
use super::certificate::{self, Identity};
use super::entry::{self, Expected, Signed};
use super::log;
use super::root::{Chain, TrustedRoot};
use crate::error::AnchorError;
use crate::subject::Subject;

/// `payloadType` of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Whose signature is wanted.
#[derive(Clone, Debug)]
pub enum Signer {
    /// Of this key.
    Key(PublicKey),
    /// Of whoever has this name, vouched for by this issuer.
    Identity(Identity),
}

/// What is asked of a bundle.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// Whom to trust.
    pub root: &'a TrustedRoot,
    /// Whose signature it must be.
    pub signer: &'a Signer,
    /// Now: nothing may have been logged later.
    pub now: Time,
    /// Whether an entry in a trusted transparency log is required.
    pub logged: bool,
}

/// What was signed.
#[derive(Clone, Debug)]
pub enum Artifact<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// Its digests: enough for a signed statement about it.
    Subject(&'a Subject),
    /// The signed statement itself, whatever it is about.
    Statement,
}

/// A bundle that holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verified {
    /// Whose signature it is, where a certificate says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Moments at which the signature was there, by timestamp authorities and logs: RFC 3339, UTC.
    pub times: Vec<String>,
    /// The log that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The entry's index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_index: Option<i64>,
}

type Held<T> = Result<T, AnchorError>;

fn broken<T>(why: impl std::fmt::Display) -> Held<T> {
    Err(AnchorError::broken("Sigstore bundle", why))
}

/// Verifies the bundle's signature of `artifact`.
///
/// # Errors
/// [`AnchorError::Broken`] with the first thing that does not hold, [`AnchorError::Malformed`] for what is no bundle.
pub fn verify(bundle: &Bundle, artifact: &Artifact<'_>, policy: &Policy<'_>) -> Held<Verified> {
    let version = bundle.version()?;
    let signature = bundle.signature()?;
    let material = Signatory::of(bundle, version)?;
    let mut times = timestamps(bundle, &signature, policy.root)?;
    let signed = SignedBytes::of(bundle)?;
    let mut logged = None;
    for entry in &bundle.verification_material.tlog_entries {
        let expected = Expected {
            signature: &signature,
            signed: signed.hashed(bundle, artifact)?,
            verifier: material.bytes(policy.signer),
        };
        let kind = entry.kind_version.as_ref().map(|k| (k.kind.as_str(), k.version.as_str()));
        entry::check(&entry.canonicalized_body, kind, &expected).or_else(broken)?;
        let found = log::check(entry, version, &policy.root.logs, &times, policy.now).or_else(broken)?;
        times.extend(found.time);
        logged = Some((found.origin, entry.log_index));
    }
    if policy.logged && logged.is_none() {
        return broken("it has no entry of a transparency log");
    }
    let (key, identity) = material.key(policy, &times)?;
    signed.check(&key, &signature, artifact, bundle)?;
    Ok(Verified {
        identity,
        times: times.iter().map(|time| crate::time::text(time.0)).collect(),
        log: logged.as_ref().map(|(origin, _)| origin.clone()),
        log_index: logged.map(|(_, index)| index),
    })
}

/// What the bundle says whose signature it is.
enum Signatory {
    Certificate { leaf: Box<Certificate>, others: Vec<Certificate> },
    Key,
}

impl Signatory {
    fn of(bundle: &Bundle, version: Version) -> Held<Self> {
        let material = &bundle.verification_material;
        let read = |raw: &super::bundle::RawBytes| {
            Certificate::from_der(&raw.raw_bytes).map_err(|e| AnchorError::malformed("Sigstore bundle", e))
        };
        match (&material.certificate, &material.x509_certificate_chain, &material.public_key) {
            (Some(one), None, None) => {
                Ok(Self::Certificate { leaf: Box::new(read(one)?), others: Vec::new() })
            }
            (None, Some(_), None)
                if version == Version::V0_3 && bundle.media_type == super::bundle::MEDIA_TYPE =>
            {
                broken("version 0.3 has one certificate and no chain")
            }
            (None, Some(chain), None) => {
                let mut certificates =
                    chain.certificates.iter().map(read).collect::<Held<Vec<_>>>()?.into_iter();
                let Some(leaf) = certificates.next() else {
                    return broken("its certificate chain is empty");
                };
                let others: Vec<_> = certificates.collect();
                if others.iter().any(|c| c.is_self_issued()) {
                    return broken("it brings a root along, which nobody may trust for that");
                }
                Ok(Self::Certificate { leaf: Box::new(leaf), others })
            }
            (None, None, Some(_)) => Ok(Self::Key),
            _ => broken("it has not exactly one of a certificate and a public key"),
        }
    }

    /// As a log entry names it.
    fn bytes<'a>(&'a self, signer: &'a Signer) -> &'a [u8] {
        match (self, signer) {
            (Self::Certificate { leaf, .. }, _) => leaf.as_der(),
            (Self::Key, Signer::Key(key)) => key.to_spki_der(),
            (Self::Key, Signer::Identity(_)) => &[],
        }
    }

    /// The key, after it was found to be whose it should be, at each of the times.
    fn key(&self, policy: &Policy<'_>, times: &[Time]) -> Held<(PublicKey, Option<Identity>)> {
        let (leaf, others) = match (self, policy.signer) {
            (Self::Key, Signer::Key(key)) => return Ok((key.clone(), None)),
            (Self::Key, Signer::Identity(_)) => {
                return broken("it is signed by a key and not by an identity");
            }
            (Self::Certificate { .. }, Signer::Key(_)) => {
                return broken("it is signed by an identity and not by a key");
            }
            (Self::Certificate { leaf, others }, Signer::Identity(_)) => (leaf, others),
        };
        if times.is_empty() {
            return broken("nothing says when the signature was made");
        }
        for time in times {
            issued(leaf, others, policy.root, *time)?;
        }
        let identity = certificate::identity(leaf);
        let Signer::Identity(wanted) = policy.signer else { return broken("no identity is asked for") };
        match identity {
            Some(found) if found == *wanted => {
                let key = PublicKey::from_spki_der(&leaf.key.spki);
                Ok((key.or_else(broken)?, Some(found)))
            }
            Some(found) => broken(format_args!(
                "it is signed by `{}` of `{}`",
                found.name.escape_debug(),
                found.issuer.escape_debug()
            )),
            None => broken("its certificate names no identity"),
        }
    }
}

/// Whether a trusted authority issued the leaf, valid at that time, and a trusted log has it where logs are trusted.
fn issued(leaf: &Certificate, others: &[Certificate], root: &TrustedRoot, at: Time) -> Held<()> {
    let mut refused = "no authority for certificates is trusted".to_owned();
    for Chain { certificates, valid } in &root.issuers {
        let Some((anchor, between)) = certificates.split_last() else { continue };
        if !valid.has(at) {
            continue;
        }
        let between = [between, others].concat();
        let request = chain::Request {
            anchors: std::slice::from_ref(anchor),
            others: &between,
            purpose: pkix::oid::KP_CODE_SIGNING,
            at,
        };
        match chain::build(leaf, &request) {
            Err(fault) => refused = fault.to_string(),
            Ok(_) if root.certificate_logs.is_empty() => return Ok(()),
            Ok(chain) => {
                let Some(issuer) = chain.certificates.get(1) else { continue };
                match certificate::logged(leaf, issuer, &root.certificate_logs) {
                    Ok(_) => return Ok(()),
                    Err(why) => refused = why,
                }
            }
        }
    }
    broken(refused)
}

/// The times of the timestamps over the signature. One that does not hold condemns the bundle: somebody put it there.
fn timestamps(bundle: &Bundle, signature: &[u8], root: &TrustedRoot) -> Held<Vec<Time>> {
    let Some(data) = &bundle.verification_material.timestamp_verification_data else { return Ok(Vec::new()) };
    data.rfc3161.iter().map(|stamp| timestamp(&stamp.signed_timestamp, signature, root)).collect()
}

fn timestamp(response: &[u8], signature: &[u8], root: &TrustedRoot) -> Held<Time> {
    let der = pkix::tsp::unmatched_token(response).or_else(broken)?;
    let token = Token::read(der).or_else(broken)?;
    let mut refused = "no timestamp authority is trusted".to_owned();
    for Chain { certificates, valid } in &root.timestampers {
        let Some(anchor) = certificates.last() else { continue };
        match token.verify(signature, std::slice::from_ref(anchor), certificates) {
            Ok(dated) if valid.has(dated.time) => return Ok(dated.time),
            Ok(_) => refused = "the timestamp authority did not count at that time".into(),
            Err(fault) => refused = fault.to_string(),
        }
    }
    broken(refused)
}

/// The bytes that a signature is over.
enum SignedBytes {
    Message,
    Statement { payload: Vec<u8>, encoded: Vec<u8> },
}

impl SignedBytes {
    fn of(bundle: &Bundle) -> Held<Self> {
        let Some(envelope) = &bundle.dsse_envelope else { return Ok(Self::Message) };
        let payload = envelope.unchecked_payload().or_else(broken)?;
        let encoded = pre_authentication_encoding(&envelope.payload_type, &payload);
        Ok(Self::Statement { payload, encoded })
    }

    fn hashed<'a>(&'a self, bundle: &Bundle, artifact: &Artifact<'_>) -> Held<Signed<'a>> {
        Ok(match self {
            Self::Statement { payload, encoded } => Signed::Statement { payload, encoded },
            Self::Message => Signed::Message(match artifact {
                Artifact::Bytes(bytes) => {
                    use sha2::Digest as _;
                    sha2::Sha256::digest(bytes).into()
                }
                Artifact::Subject(subject) => subject.digest.sha256,
                Artifact::Statement => hint(bundle)?,
            }),
        })
    }

    fn check(&self, key: &PublicKey, signature: &[u8], artifact: &Artifact<'_>, bundle: &Bundle) -> Held<()> {
        match (self, artifact) {
            (Self::Message, Artifact::Bytes(bytes)) => {
                if bundle.message_signature.as_ref().is_some_and(|m| m.message_digest.is_some())
                    && hint(bundle)?.as_slice() != Digest::Sha256.of(bytes)
                {
                    return broken("it is over other bytes");
                }
                key.verify(bytes, signature).or_else(broken)
            }
            (Self::Message, _) => broken("it signs the bytes themselves, and they are not at hand"),
            (Self::Statement { payload, encoded }, artifact) => {
                key.verify(encoded, signature).or_else(broken)?;
                match artifact {
                    Artifact::Statement => Ok(()),
                    Artifact::Bytes(bytes) => names(bundle, payload, &hex::encode(Digest::Sha256.of(bytes))),
                    Artifact::Subject(subject) => names(bundle, payload, &subject.sha256()),
                }
            }
        }
    }
}

/// The digest that a message's signature says it is over.
fn hint(bundle: &Bundle) -> Held<[u8; 32]> {
    let digest = bundle.message_signature.as_ref().and_then(|m| m.message_digest.as_ref());
    match digest {
        Some(d) if d.algorithm == "SHA2_256" => d.digest.as_slice().try_into().or_else(broken),
        _ => broken("it does not say the SHA-256 of what it signs"),
    }
}

/// Whether an in-toto statement is about what has this SHA-256.
fn names(bundle: &Bundle, payload: &[u8], sha256: &str) -> Held<()> {
    let is_statement = |envelope: &Envelope| envelope.payload_type == IN_TOTO;
    if !bundle.dsse_envelope.as_ref().is_some_and(is_statement) {
        return broken("what it signs is no in-toto statement");
    }
    let statement: serde_json::Value = serde_json::from_slice(payload).or_else(broken)?;
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    match subjects.iter().any(|subject| subject["digest"]["sha256"] == sha256) {
        true => Ok(()),
        false => broken("its statement is about something else"),
    }
}
