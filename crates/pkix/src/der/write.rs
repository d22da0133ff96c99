//! Writers of single values. [`super::Part`] is for large ones.

use super::tag;
use crate::oid::Oid;

/// Tag and length of a value of `size` content octets, and how many octets they take.
pub(super) fn head(tag: u8, size: usize) -> ([u8; 10], usize) {
    let mut out = [0; 10];
    out[0] = tag;
    if size < 0x80 {
        out[1] = size.to_le_bytes()[0];
        return (out, 2);
    }
    let octets = size.to_be_bytes();
    let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    out[1] = 0x80 | octets.len().to_le_bytes()[0];
    out[2..2 + octets.len()].copy_from_slice(octets);
    (out, 2 + octets.len())
}

/// One value from its tag and content octets.
#[must_use]
pub fn value(tag: u8, body: &[u8]) -> Vec<u8> {
    constructed(tag, &[body])
}

/// A constructed value of the given parts, one after the other.
#[must_use]
pub fn constructed(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let size = parts.iter().map(|part| part.len()).sum();
    let (octets, used) = head(tag, size);
    let mut out = Vec::with_capacity(used + size);
    out.extend_from_slice(&octets[..used]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// SEQUENCE.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    constructed(tag::SEQUENCE, parts)
}

/// SET OF: the parts in the order of their encodings (X.690 §11.6).
#[must_use]
pub fn set_of(parts: &[Vec<u8>]) -> Vec<u8> {
    value(tag::SET, &sorted(parts))
}

/// The content octets of a SET OF.
pub(crate) fn sorted(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    parts.sort_unstable();
    parts.concat()
}

/// INTEGER of a small number.
#[must_use]
pub fn small(number: u32) -> Vec<u8> {
    unsigned_integer(&number.to_be_bytes())
}

/// INTEGER of an unsigned big-endian number.
#[must_use]
pub fn unsigned_integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[skip..];
    match digits.first() {
        None => value(tag::INTEGER, &[0]),
        Some(first) if first & 0x80 != 0 => value(tag::INTEGER, &[&[0], digits].concat()),
        Some(_) => value(tag::INTEGER, digits),
    }
}

/// OCTET STRING.
#[must_use]
pub fn octets(body: &[u8]) -> Vec<u8> {
    value(tag::OCTET_STRING, body)
}

/// BIT STRING of whole octets.
#[must_use]
pub fn bits(body: &[u8]) -> Vec<u8> {
    value(tag::BIT_STRING, &[&[0], body].concat())
}

/// OBJECT IDENTIFIER.
#[must_use]
pub fn oid(oid: Oid) -> Vec<u8> {
    value(tag::OID, oid.as_bytes())
}

/// `[n] EXPLICIT`.
#[must_use]
pub fn explicit(n: u8, inner: &[u8]) -> Vec<u8> {
    value(tag::constructed(n), inner)
}

/// NULL.
pub const NULL: &[u8] = &[tag::NULL, 0];

/// `AlgorithmIdentifier` with the parameters as they stand (none, or one value).
#[must_use]
pub fn algorithm(algorithm: Oid, parameters: &[u8]) -> Vec<u8> {
    sequence(&[&oid(algorithm), parameters])
}
