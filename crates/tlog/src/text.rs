//! What the text formats share: decimal numbers in one spelling, hashes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Hash, TlogError};

/// A decimal number without leading zeroes.
pub(crate) fn number(what: &'static str, text: &str) -> Result<u64, TlogError> {
    let bad = || TlogError::malformed(what, "a number is not decimal without leading zeroes");
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| bad()) } else { Err(bad()) }
}

/// A hash in standard base64 (RFC 4648 §4), in its one canonical spelling.
pub(crate) fn hash(what: &'static str, text: &str) -> Result<Hash, TlogError> {
    let bad = || TlogError::malformed(what, "a hash is not 32 bytes in base64");
    STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok()).ok_or_else(bad)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, TlogError> {
    STANDARD.decode(text).map_err(|_| TlogError::malformed(what, "a value is not base64"))
}
