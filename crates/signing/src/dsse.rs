//! Dead Simple Signing Envelope, v1.0 (the DSSE protocol and envelope documents of secure-systems-lab).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Signer, SigningError, Verifier};

/// An envelope: a payload, its type, and any number of signatures over both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The payload, base64 (standard alphabet, padded).
    pub payload: String,
    /// The media type of the payload.
    pub payload_type: String,
    /// At least one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// [`crate::KeyId`] of the signer. A hint only: it selects a key, it proves nothing.
    #[serde(default)]
    pub keyid: String,
    /// The signature, base64.
    pub sig: String,
}

/// The pre-authentication encoding: what is signed. `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Wraps and signs a payload with every signer given.
    ///
    /// # Errors
    /// When a signer cannot sign, or there is none.
    pub fn sign(payload_type: &str, payload: &[u8], signers: &[&dyn Signer]) -> Result<Self, SigningError> {
        if signers.is_empty() {
            return Err(SigningError::malformed("DSSE envelope", "it needs at least one signature"));
        }
        let message = pre_authentication_encoding(payload_type, payload);
        let signatures = signers
            .iter()
            .map(|signer| {
                let sig = STANDARD.encode(signer.sign(&message)?);
                Ok(EnvelopeSignature { keyid: signer.key_id().to_string(), sig })
            })
            .collect::<Result<_, SigningError>>()?;
        Ok(Self { payload: STANDARD.encode(payload), payload_type: payload_type.to_owned(), signatures })
    }

    /// The payload's bytes, **not verified**: for showing what an envelope claims before anyone trusts it.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is not base64.
    pub fn unchecked_payload(&self) -> Result<Vec<u8>, SigningError> {
        decode(&self.payload, "payload")
    }

    /// The payload, and the verifiers (by position in `trusted`) whose signature holds.
    ///
    /// # Errors
    /// [`SigningError::NoTrustedSignature`] when none of `trusted` signed, [`SigningError::BadSignature`] when a
    /// signature that names a trusted key does not verify.
    pub fn verify(&self, trusted: &[&dyn Verifier]) -> Result<(Vec<u8>, Vec<usize>), SigningError> {
        let payload = self.unchecked_payload()?;
        let message = pre_authentication_encoding(&self.payload_type, &payload);
        let mut good = Vec::new();
        for signature in &self.signatures {
            let bytes = decode(&signature.sig, "signature")?;
            for (position, verifier) in trusted.iter().enumerate() {
                let named = signature.keyid == verifier.key_id().as_str();
                if !named && !signature.keyid.is_empty() {
                    continue;
                }
                match verifier.verify(&message, &bytes) {
                    Ok(()) if !good.contains(&position) => good.push(position),
                    Err(error) if named => return Err(error),
                    _ => {}
                }
            }
        }
        if good.is_empty() {
            let signers = self.signatures.iter().map(|s| s.keyid.as_str()).collect::<Vec<_>>().join(", ");
            let signers = if signers.is_empty() { "nobody".to_owned() } else { signers };
            return Err(SigningError::NoTrustedSignature { signers });
        }
        Ok((payload, good))
    }
}

fn decode(text: &str, field: &str) -> Result<Vec<u8>, SigningError> {
    STANDARD
        .decode(text)
        .map_err(|e| SigningError::malformed("DSSE envelope", format!("{field} is not base64: {e}")))
}
