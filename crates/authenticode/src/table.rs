//! The attribute certificate table: `WIN_CERTIFICATE` entries, each padded to a multiple of eight (PE Format, "The
//! Attribute Certificate Table").

use crate::error::{AuthenticodeError, Result};

/// `WIN_CERT_REVISION_2_0`.
const REVISION: u16 = 0x0200;
/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const PKCS_SIGNED_DATA: u16 = 0x0002;
/// A larger table is not read: the largest has page hashes of 4 GiB, 54 MiB.
pub const MAX_TABLE: u32 = 64 << 20;

/// An entry: a signature in PKCS #7, with what stands behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The PKCS #7, and whatever the length in the entry's header counts behind it.
    pub content: &'a [u8],
    /// The bytes between the end of the entry and the next multiple of eight.
    pub padding: &'a [u8],
}

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("certificate table", why)
}

/// The entries with PKCS #7; others (X.509, revoked long ago) are refused, because nobody would check them.
///
/// # Errors
/// When lengths contradict each other.
pub fn entries(table: &[u8]) -> Result<Vec<Entry<'_>>> {
    let mut out = Vec::new();
    let mut rest = table;
    while !rest.is_empty() {
        let header = rest.first_chunk::<8>().ok_or_else(|| bad("an entry is cut off"))?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let (revision, kind) =
            (u16::from_le_bytes([header[4], header[5]]), u16::from_le_bytes([header[6], header[7]]));
        if length < 8 || length > rest.len() {
            return Err(bad("an entry's length is not one of this table"));
        }
        if revision != REVISION || kind != PKCS_SIGNED_DATA {
            return Err(bad(format!("an entry of revision {revision:#06x} and type {kind:#06x}")));
        }
        let padded = length.next_multiple_of(8).min(rest.len());
        out.push(Entry { content: &rest[8..length], padding: &rest[length..padded] });
        rest = &rest[padded..];
    }
    Ok(out)
}

/// A table with one entry.
///
/// # Errors
/// When the signature is larger than [`MAX_TABLE`].
pub fn encode(pkcs7: &[u8]) -> Result<Vec<u8>> {
    let padded = pkcs7.len().next_multiple_of(8);
    let length = u32::try_from(padded + 8).ok().filter(|length| *length <= MAX_TABLE);
    let length =
        length.ok_or_else(|| AuthenticodeError::unsuitable("sign", "the signature is larger than 64 MiB"))?;
    let mut out = Vec::with_capacity(padded + 8);
    // Every signer counts the padding into the length, and so do verifiers that compare it with the table's size.
    out.extend(length.to_le_bytes());
    out.extend(REVISION.to_le_bytes());
    out.extend(PKCS_SIGNED_DATA.to_le_bytes());
    out.extend(pkcs7);
    out.resize(padded + 8, 0);
    Ok(out)
}
