//! Adding unsigned attributes to a signature that stands: timestamps, countersignatures, further signatures.
//!
//! Everything that is signed keeps its bytes.

use crate::certificate::Certificate;
use crate::der::{self, Reader, Value, explicit, sequence, sorted, tag, value};
use crate::error::PkixError;
use crate::oid::{self, Oid};

/// The `ContentInfo` with `add` among the unsigned attributes of its first signer (one attribute each kind, its values
/// joined to those that are there) and `certificates` among its certificates.
///
/// # Errors
/// When `pkcs7` is no signed data with a signer.
pub fn add_unsigned(
    pkcs7: &[u8],
    add: &[(Oid, Vec<u8>)],
    certificates: &[Certificate],
) -> Result<Vec<u8>, PkixError> {
    let mut outer = Value::parse(pkcs7)?.reader();
    if outer.oid()? != oid::SIGNED_DATA {
        return Err(PkixError::malformed("signed data", "it is none"));
    }
    let mut data = outer.expect(tag::constructed(0))?.reader().sequence()?;
    let head = [data.expect(tag::INTEGER)?.raw, data.expect(tag::SET)?.raw, data.expect(tag::SEQUENCE)?.raw]
        .concat();
    let bag = data.optional(tag::constructed(0))?;
    let crls = data.optional(tag::constructed(1))?.map_or(&[][..], |v| v.raw);
    let mut signers = data.expect(tag::SET)?.reader();
    data.end()?;
    let first = signer(signers.any()?, add)?;
    let data = sequence(&[
        &head,
        &joined(bag, certificates)?,
        crls,
        &value(tag::SET, &[&first, signers.rest()].concat()),
    ]);
    Ok(sequence(&[&der::oid(oid::SIGNED_DATA), &explicit(0, &data)]))
}

/// The bag of certificates with those that it has not yet.
fn joined(bag: Option<Value<'_>>, more: &[Certificate]) -> Result<Vec<u8>, PkixError> {
    let mut body = bag.map_or_else(Vec::new, |v| v.body.to_vec());
    let mut known = Vec::new();
    let mut reader = Reader::new(bag.map_or(&[], |v| v.body));
    while !reader.is_empty() {
        known.push(reader.any()?.raw);
    }
    for certificate in more {
        if !known.contains(&certificate.as_der()) {
            known.push(certificate.as_der());
            body.extend(certificate.as_der());
        }
    }
    Ok(if body.is_empty() { body } else { value(tag::constructed(0), &body) })
}

fn signer(old: Value<'_>, add: &[(Oid, Vec<u8>)]) -> Result<Vec<u8>, PkixError> {
    let mut inner = old.reader();
    let mut kept = Vec::new();
    let mut attributes: Vec<Values> = Vec::new();
    while !inner.is_empty() {
        let part = inner.any()?;
        // `[1]` is the last field, and the unsigned attributes are the only one with this tag.
        if part.tag == tag::constructed(1) {
            attributes = read(part.reader())?;
        } else {
            kept.extend(part.raw);
        }
    }
    for (oid, value) in add {
        match attributes.iter_mut().find(|(known, _)| known == oid) {
            Some((_, values)) => values.push(value.clone()),
            None => attributes.push((*oid, vec![value.clone()])),
        }
    }
    let attributes: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(oid, values)| sequence(&[&der::oid(*oid), &value(tag::SET, &values.concat())]))
        .collect();
    let attributes = value(tag::constructed(1), &sorted(&attributes));
    Ok(sequence(&[&kept, &attributes]))
}

/// An attribute's kind and the encodings of its values.
type Values = (Oid, Vec<Vec<u8>>);

/// Attributes with their values in the order in which they stand: the order of nested signatures is that in which
/// they were made, and nothing signs it.
fn read(mut set: Reader<'_>) -> Result<Vec<Values>, PkixError> {
    let mut out = Vec::new();
    while !set.is_empty() {
        let mut one = set.sequence()?;
        let oid = one.oid()?;
        let mut inner = one.expect(tag::SET)?.reader();
        let mut values = Vec::new();
        while !inner.is_empty() {
            values.push(inner.any()?.raw.to_vec());
        }
        out.push((oid, values));
    }
    Ok(out)
}
