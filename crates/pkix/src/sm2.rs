//! SM2 signatures (GB/T 32918.2) by the key of a certificate, under the default user id (GM/T 0009 §10).

use gm::sm2::{DEFAULT_ID, PublicKey, Signature};

use crate::error::PkixError;

pub(crate) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), PkixError> {
    let bad = || PkixError::BadSignature { what: "an SM2 key".to_owned() };
    let key = PublicKey::from_sec1(key).map_err(|e| PkixError::malformed("SM2 public key", e.to_string()))?;
    let signature = Signature::from_der(signature).map_err(|_| bad())?;
    key.verify(DEFAULT_ID, message, &signature).map_err(|_| bad())
}
