//! Anchors in a Rekor log: a signed statement about the subject is entered, and kept as a Sigstore bundle.
//!
//! The statement is an in-toto Statement v1 with both digests of the subject. Version 2 of the log takes
//! `hashedrekord` 0.0.2 alone, over the encoded envelope (rekor-tiles, CLIENTS.md, "DSSE"); version 1 takes `dsse` 0.0.1.

mod v1;
mod v2;

use serde_json::json;
use signing::dsse::{Envelope, pre_authentication_encoding};
use signing::{Algorithm, EcdsaSigner, PublicKey, Signer};

use crate::authority::{Authority, Order};
use crate::base64_text::encode;
use crate::error::AnchorError;
use crate::http::Http;
use crate::receipt::{Anchor, Evidence, Status};
use crate::sigstore::bundle::{LogEntry, SignedTimestamp, Timestamps};
use crate::sigstore::{
    Artifact, Bundle, Expected, IN_TOTO, Policy, Signed, Signer as Signatory, TrustedRoot, check_entry,
    is_known, verifier_of, verify,
};
use crate::subject::Subject;
use crate::tsa::Tsa;
use crate::verify::{Judged, Verdict, broken};

/// `predicateType` of the statement.
pub const PREDICATE_TYPE: &str = "urn:uuid:5e2d9a34-0c1f-4f7b-9a56-3b7a1f0c8d21#custody-anchor-v1";

/// Which interface a log has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// Rekor v1: answers with a promise and the time.
    V1,
    /// Rekor v2 (rekor-tiles): answers with a proof, and leaves the time to timestamp authorities.
    V2,
}

impl Api {
    fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// A log at an address.
pub struct Rekor {
    http: Http,
    url: String,
    api: Api,
    key: Option<Box<dyn Signer>>,
    tsa: Option<Tsa>,
}

impl Rekor {
    /// The log at `url`.
    #[must_use]
    pub fn new(http: Http, url: &str, api: Api) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned(), api, key: None, tsa: None }
    }

    /// Signs statements with this key; without one, each with a key that is made for it and forgotten: what an anchor
    /// proves is that the digest was in the log, and not who put it there.
    #[must_use]
    pub fn signed_with(mut self, key: Box<dyn Signer>) -> Self {
        self.key = Some(key);
        self
    }

    /// Has each signature dated by this authority too: version 2 proves no time.
    #[must_use]
    pub fn dated_by(mut self, tsa: Tsa) -> Self {
        self.tsa = Some(tsa);
        self
    }

    /// Enters the one signature of a statement, and gives the log's entry and, of version 1, its name there.
    ///
    /// # Errors
    /// When the log does not take it, or answers with an entry about something else.
    pub fn enter(
        &self,
        envelope: &Envelope,
        verifier: Verifier<'_>,
    ) -> Result<(LogEntry, Option<String>), AnchorError> {
        let payload = envelope.unchecked_payload().map_err(AnchorError::Key)?;
        let encoded = pre_authentication_encoding(&envelope.payload_type, &payload);
        let [one] = envelope.signatures.as_slice() else {
            return Err(AnchorError::request("envelope", "a log takes one signature at a time"));
        };
        let signature =
            crate::base64_text::decode(&one.sig).map_err(|e| AnchorError::malformed("signature", e))?;
        let (entry, uuid) = match self.api {
            Api::V1 => v1::enter(&self.http, &self.url, envelope, verifier)?,
            Api::V2 => (v2::enter(&self.http, &self.url, &encoded, &signature, verifier)?, None),
        };
        let expected = Expected {
            signature: &signature,
            signed: Signed::Statement { payload: &payload, encoded: &encoded },
            verifier: verifier.der,
        };
        check_entry(&entry.canonicalized_body, None, &expected)
            .map_err(|why| AnchorError::broken("answer of the log", why))?;
        Ok((entry, uuid))
    }

    /// The bundle of a statement with one signature, entered and dated.
    ///
    /// # Errors
    /// As [`Rekor::enter`], and when the timestamp authority does not answer.
    pub fn bundle(
        &self,
        mut bundle: Bundle,
        verifier: Verifier<'_>,
    ) -> Result<(Bundle, Option<String>), AnchorError> {
        let Some(envelope) = &bundle.dsse_envelope else {
            return Err(AnchorError::request("bundle", "it holds no statement"));
        };
        let (entry, uuid) = self.enter(envelope, verifier)?;
        bundle.verification_material.tlog_entries = vec![entry];
        Ok((dated(bundle, self.tsa.as_ref())?, uuid))
    }

    fn statement(order: &Order<'_>) -> Result<Vec<u8>, AnchorError> {
        let mut digest = json!({"sha256": order.subject.sha256()});
        if let Some(sm3) = order.subject.sm3() {
            digest["sm3"] = sm3.into();
        }
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": order.subject.name, "digest": digest}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "bizId": order.biz_id,
                "requested": order.requested.to_string(),
                "metadata": order.metadata,
            },
        });
        serde_json::to_vec(&statement).map_err(|e| AnchorError::malformed("statement", e))
    }
}

/// Whose signature is entered: a key or a certificate, in DER, and the algorithm of its key.
#[derive(Clone, Copy, Debug)]
pub struct Verifier<'a> {
    /// `SubjectPublicKeyInfo`, or the certificate.
    pub der: &'a [u8],
    /// Whether it is a certificate.
    pub certificate: bool,
    /// The key's algorithm.
    pub algorithm: Algorithm,
}

impl Authority for Rekor {
    fn kind(&self) -> &str {
        "rekor"
    }

    fn address(&self) -> &str {
        &self.url
    }

    fn nothing(&self) -> Evidence {
        Evidence::Rekor { bundle: None, api: Some(self.api.number()), uuid: None }
    }

    fn submit(&self, order: &Order<'_>) -> Result<Anchor, AnchorError> {
        let statement = Self::statement(order)?;
        let forgotten: Box<dyn Signer>;
        let key: &dyn Signer = match &self.key {
            Some(key) => key.as_ref(),
            None => {
                forgotten = Box::new(EcdsaSigner::generate(Algorithm::EcdsaP256).map_err(AnchorError::Key)?);
                forgotten.as_ref()
            }
        };
        let envelope = Envelope::sign(IN_TOTO, &statement, &[key]).map_err(AnchorError::Key)?;
        let spki = key.public_key_der();
        let bundle = Bundle::of_statement(envelope, key_hint(&spki));
        let verifier = Verifier { der: &spki, certificate: false, algorithm: key.algorithm() };
        let (bundle, uuid) = self.bundle(bundle, verifier)?;
        let api = Some(self.api.number());
        let evidence = Evidence::Rekor { bundle: Some(Box::new(bundle)), api, uuid };
        Ok(order.anchor(self.address(), Status::Success, evidence))
    }
}

/// The bundle with a timestamp over its signature, if an authority is named.
///
/// # Errors
/// When the authority does not answer.
pub fn dated(mut bundle: Bundle, tsa: Option<&Tsa>) -> Result<Bundle, AnchorError> {
    if let Some(tsa) = tsa {
        use sha2::Digest as _;
        let (signed_timestamp, _) = tsa.stamp(sha2::Sha256::digest(bundle.signature()?).into())?;
        let data = Timestamps { rfc3161: vec![SignedTimestamp { signed_timestamp }] };
        bundle.verification_material.timestamp_verification_data = Some(data);
    }
    Ok(bundle)
}

/// The hint that cosign writes: SHA-256 of the key, base64.
#[must_use]
pub fn key_hint(spki: &[u8]) -> String {
    use sha2::Digest as _;
    encode(&sha2::Sha256::digest(spki))
}

/// Judges a bundle that a Rekor anchor holds. The key is the one that the log has beside the signature.
pub(crate) fn judge(bundle: &Bundle, found: &Subject, root: &TrustedRoot) -> Judged {
    let [entry] = bundle.verification_material.tlog_entries.as_slice() else {
        return broken("the bundle has not exactly one log entry");
    };
    let Some(key) = verifier_of(&entry.canonicalized_body) else {
        return broken("the log entry names no key");
    };
    let key = match PublicKey::from_spki_der(&key) {
        Ok(key) => key,
        Err(error) => return broken(error),
    };
    if !is_known(entry, &root.logs) {
        let why = "the log's key is not among those that are trusted (`--log-key`, `--trusted-root`)";
        return (Verdict::Untrusted, None, why.to_owned());
    }
    let signer = Signatory::Key(key);
    let now = pkix::Time(jiff::Timestamp::now().as_second());
    let policy = Policy { root, signer: &signer, now, logged: true };
    // A timestamp by somebody whom nobody trusts here must not hide what the log proves.
    let undated = || {
        let mut bundle = bundle.clone();
        bundle.verification_material.timestamp_verification_data = None;
        bundle
    };
    let dated = !root.timestampers.is_empty();
    let judged = if dated { bundle.clone() } else { undated() };
    match verify(&judged, &Artifact::Subject(found), &policy) {
        Ok(verified) => {
            let log = verified.log.unwrap_or_default();
            let index = verified.log_index.unwrap_or_default();
            (Verdict::Holds, verified.times.into_iter().min(), format!("entry {index} of {log}"))
        }
        Err(error) => broken(error),
    }
}

/// Reads bytes as an answer of each version.
pub(crate) fn read_answers(data: &[u8]) {
    for entry in [v1::parse(data).ok().map(|(entry, _)| entry), v2::parse(data).ok()].into_iter().flatten() {
        let _ = verifier_of(&entry.canonicalized_body);
    }
}
