//! SM2 signatures (GB/T 32918.2) by the key of a certificate.

use crate::error::PkixError;
use crate::oid;

/// Not yet: the curve is not in `gm`.
pub(crate) fn verify(_key: &[u8], _message: &[u8], _signature: &[u8]) -> Result<(), PkixError> {
    Err(PkixError::Unsupported { what: "signature algorithm", oid: oid::SM2_WITH_SM3 })
}
