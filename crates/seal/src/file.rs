//! The file `*.seal.json`: a DSSE envelope, and beside its fields the signed head.
//!
//! A reader of DSSE ignores fields that it does not know (the envelope document asks for that), so that to every other
//! tool the file is the envelope alone.

use serde::{Deserialize, Serialize};
use signing::dsse::{Envelope, EnvelopeSignature};

use crate::error::SealError;
use crate::statement::{MAX_ENVELOPE, MAX_SIGNATURES, PAYLOAD_TYPE, check_size, unknown};

/// A seal's file, nothing of it verified.
pub(crate) struct SealFile {
    /// The statement, signed.
    pub(crate) envelope: Envelope,
    /// The head, signed by the same keys; seals from before there were heads have none.
    pub(crate) head: Option<Envelope>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    payload: &'a str,
    payload_type: &'a str,
    signatures: &'a [EnvelopeSignature],
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<&'a Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(default)]
    payload: String,
    #[serde(default)]
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
    #[serde(default)]
    head: Option<Envelope>,
}

impl SealFile {
    /// Reads the file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SealError> {
        check_size(bytes.len(), MAX_ENVELOPE)?;
        let read: Read = serde_json::from_slice(bytes).map_err(SealError::Json)?;
        let Read { payload, payload_type, signatures, head } = read;
        let envelope = Envelope { payload, payload_type, signatures };
        for envelope in [Some(&envelope), head.as_ref()].into_iter().flatten() {
            check_envelope(envelope)?;
        }
        Ok(Self { envelope, head })
    }

    /// Its bytes, with a newline at the end.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, SealError> {
        let Envelope { payload, payload_type, signatures } = &self.envelope;
        let written = Written { payload, payload_type, signatures, head: self.head.as_ref() };
        let mut bytes = serde_json::to_vec(&written).map_err(SealError::Json)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Holds an envelope to the type and the number of signatures that are taken here.
pub(crate) fn check_envelope(envelope: &Envelope) -> Result<(), SealError> {
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(unknown("payload type", &envelope.payload_type, PAYLOAD_TYPE));
    }
    if envelope.signatures.len() > MAX_SIGNATURES {
        return Err(SealError::Limit { what: "signatures", limit: MAX_SIGNATURES });
    }
    Ok(())
}
