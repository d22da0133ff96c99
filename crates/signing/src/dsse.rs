//! Dead Simple Signing Envelope, v1.0 (the DSSE protocol and envelope documents of secure-systems-lab).

use std::io::{self, Write};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Signer, SigningError, Verifier};

/// A larger envelope is refused before it is read: room for the seal of a million files, which is the most that one has.
pub const MAX_ENVELOPE: usize = 640 << 20;
/// More signatures than this are refused, so that a hostile envelope costs at most this many checks a key.
pub const MAX_SIGNATURES: usize = 100;

/// An envelope: a payload, its type, and any number of signatures over both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload, base64.
    #[serde(default)]
    pub payload: String,
    /// The media type of the payload.
    #[serde(default)]
    pub payload_type: String,
    /// At least one.
    #[serde(default)]
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// [`crate::KeyId`] of the signer. A hint only: it selects a key, it proves nothing.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

/// Signers written in Go and Python leave `"keyid": null` for a key without a name.
fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The pre-authentication encoding: what is signed. `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

/// A payload that is signed and not written yet. It is kept once, behind what is signed with it; the base64 of it never is.
pub struct Signed {
    /// Room, the beginning of the pre-authentication encoding, and from `payload` on the payload.
    bytes: Vec<u8>,
    payload: usize,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

impl Signed {
    /// Signs the payload that `write` writes.
    ///
    /// # Errors
    /// When it cannot be written, a signer cannot sign, or there is none.
    pub fn new(
        payload_type: &str,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
        signers: &[&dyn Signer],
    ) -> Result<Self, SigningError> {
        // How long the payload is stands before it, and is known after it.
        let head = |length| format!("DSSEv1 {} {payload_type} {length} ", payload_type.len());
        let payload = head(usize::MAX).len();
        let mut bytes = vec![0; payload];
        write(&mut bytes).map_err(|e| malformed(e.to_string()))?;
        let head = head(bytes.len().saturating_sub(payload));
        let start = payload - head.len();
        bytes
            .get_mut(start..payload)
            .ok_or_else(|| malformed("its payload was cut off"))?
            .copy_from_slice(head.as_bytes());
        let signatures = signatures(&bytes[start..], signers)?;
        Ok(Self { bytes, payload, payload_type: payload_type.to_owned(), signatures })
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload..).unwrap_or_default()
    }

    /// Writes the JSON form, the same bytes as those of [`Envelope`].
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(b"{\"payload\":\"")?;
        let mut encoder = base64::write::EncoderWriter::new(&mut out, &STANDARD);
        encoder.write_all(self.payload())?;
        encoder.finish()?;
        drop(encoder);
        out.write_all(b"\",\"payloadType\":")?;
        serde_json::to_writer(&mut out, &self.payload_type)?;
        out.write_all(b",\"signatures\":")?;
        serde_json::to_writer(&mut out, &self.signatures)?;
        out.write_all(b"}")
    }
}

fn signatures(message: &[u8], signers: &[&dyn Signer]) -> Result<Vec<EnvelopeSignature>, SigningError> {
    if signers.is_empty() {
        return Err(malformed("it needs at least one signature"));
    }
    let sign = |signer: &&dyn Signer| {
        let sig = STANDARD.encode(signer.sign(message)?);
        Ok(EnvelopeSignature { keyid: signer.key_id().to_string(), sig })
    };
    signers.iter().map(sign).collect()
}

impl Envelope {
    /// Reads the JSON form. Fields that it does not know are ignored, as the envelope document asks.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not such JSON, or beyond the limits of this module.
    pub fn parse(json: &[u8]) -> Result<Self, SigningError> {
        if json.len() > MAX_ENVELOPE {
            return Err(malformed("it is larger than 640 MiB"));
        }
        // A list would be taken for the fields in their order.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed("it is not a JSON object"));
        }
        serde_json::from_slice(json).map_err(|e| malformed(e.to_string()))
    }

    /// Wraps and signs a payload with every signer given.
    ///
    /// # Errors
    /// When a signer cannot sign, or there is none.
    pub fn sign(payload_type: &str, payload: &[u8], signers: &[&dyn Signer]) -> Result<Self, SigningError> {
        let signatures = signatures(&pre_authentication_encoding(payload_type, payload), signers)?;
        Ok(Self { payload: STANDARD.encode(payload), payload_type: payload_type.to_owned(), signatures })
    }

    /// Adds signatures over the same payload and type. What was signed before is not looked at: the caller decides
    /// whether it may be trusted.
    ///
    /// # Errors
    /// When a signer cannot sign, when its key has signed already, or when the envelope would hold too many.
    pub fn add(&mut self, signers: &[&dyn Signer]) -> Result<(), SigningError> {
        let message = pre_authentication_encoding(&self.payload_type, &self.unchecked_payload()?);
        for signer in signers {
            let keyid = signer.key_id().to_string();
            if self.signatures.iter().any(|signature| signature.keyid == keyid) {
                return Err(malformed(format!("it has a signature by key {keyid} already")));
            }
            if self.signatures.len() >= MAX_SIGNATURES {
                return Err(malformed("it would have more than 100 signatures"));
            }
            self.signatures.push(EnvelopeSignature { keyid, sig: STANDARD.encode(signer.sign(&message)?) });
        }
        Ok(())
    }

    /// The payload's bytes, **not verified**: for showing what an envelope claims before anyone trusts it.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not base64.
    pub fn unchecked_payload(&self) -> Result<Vec<u8>, SigningError> {
        decode(&self.payload, "payload")
    }

    /// The payload, and the verifiers (by position in `trusted`) whose signature holds; a key that stands twice in
    /// `trusted` counts once, so that their number can be held against a threshold. The caller still has to look at
    /// `payload_type`, or use [`Envelope::open`].
    ///
    /// A key id narrows the search and decides nothing (DSSE protocol, "Signature Definition"): a signature under an
    /// id that nobody here knows is tried against every key, because other tools name keys in their own way.
    ///
    /// # Errors
    /// When no signature by `trusted` holds: [`SigningError::BadSignature`] if one names a trusted key,
    /// [`SigningError::NoTrustedSignature`] otherwise.
    pub fn verify(&self, trusted: &[&dyn Verifier]) -> Result<(Vec<u8>, Vec<usize>), SigningError> {
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(malformed("it has more than 100 signatures"));
        }
        let payload = self.unchecked_payload()?;
        let message = pre_authentication_encoding(&self.payload_type, &payload);
        let keys = Keys::of(trusted);
        let mut good = Vec::new();
        let mut refused = None;
        for signature in &self.signatures {
            let bytes = decode(&signature.sig, "signature")?;
            let candidates = keys.candidates(&signature.keyid);
            match candidates.iter().find(|&&at| trusted[at].verify(&message, &bytes).is_ok()) {
                Some(at) if !good.contains(at) => good.push(*at),
                None if keys.knows(&signature.keyid) => refused = Some(signature.keyid.clone()),
                _ => {}
            }
        }
        match (good.is_empty(), refused) {
            (false, _) => Ok((payload, good)),
            (true, Some(key)) => Err(SigningError::BadSignature { key }),
            (true, None) => Err(SigningError::NoTrustedSignature { signers: self.signers() }),
        }
    }

    /// [`Envelope::verify`] for a payload of one type: any other is refused, whoever signed it.
    ///
    /// # Errors
    /// As [`Envelope::verify`], and [`SigningError::Malformed`] for another type.
    pub fn open(
        &self,
        payload_type: &str,
        trusted: &[&dyn Verifier],
    ) -> Result<(Vec<u8>, Vec<usize>), SigningError> {
        if self.payload_type != payload_type {
            let found: String = self.payload_type.chars().take(100).collect();
            return Err(malformed(format!("its payload is `{found}`, not `{payload_type}`")));
        }
        self.verify(trusted)
    }

    fn signers(&self) -> String {
        let name = |s: &EnvelopeSignature| match s.keyid.as_str() {
            "" => "a key without id".to_owned(),
            id => id.chars().take(64).collect(),
        };
        match self.signatures.as_slice() {
            [] => "nobody".to_owned(),
            some => some.iter().map(name).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The ids of the trusted keys, each key once.
struct Keys(Vec<(usize, String)>);

impl Keys {
    fn of(trusted: &[&dyn Verifier]) -> Self {
        let mut keys: Vec<(usize, String)> = Vec::new();
        for (at, verifier) in trusted.iter().enumerate() {
            let id = verifier.key_id().to_string();
            if !keys.iter().any(|(_, known)| *known == id) {
                keys.push((at, id));
            }
        }
        Self(keys)
    }

    fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|(_, known)| known == id)
    }

    /// Where to look for the maker of a signature under this id: that key alone, or every key for an unknown id.
    fn candidates(&self, id: &str) -> Vec<usize> {
        let known = self.knows(id);
        self.0.iter().filter(|(_, own)| !known || own == id).map(|(at, _)| *at).collect()
    }
}

/// "Either standard or URL-safe encodings are allowed" and verifiers must take either (DSSE protocol); URL-safe
/// text often comes without padding. What is signed is the payload, so its spelling here is of no consequence.
fn decode(text: &str, field: &str) -> Result<Vec<u8>, SigningError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let engine = if text.contains(['-', '_']) { URL } else { PLAIN };
    engine.decode(text).map_err(|e| malformed(format!("{field} is not base64: {e}")))
}

fn malformed(why: impl Into<String>) -> SigningError {
    SigningError::malformed("DSSE envelope", why)
}

#[cfg(test)]
mod tests;
