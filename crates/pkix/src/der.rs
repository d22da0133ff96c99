//! DER (X.690): a reader that takes no other spelling, and writers for what is built here.
//!
//! Only what certificates and signatures use: definite, shortest lengths (§10.1) and tag numbers below 31. A value is
//! handed out with its exact bytes, because signatures are over bytes and not over meanings.

mod part;
mod write;

use crate::error::PkixError;
use crate::oid::Oid;

pub use part::Part;
pub(crate) use write::sorted;
pub use write::{
    NULL, algorithm, bits, constructed, explicit, octets, oid, sequence, set_of, small, unsigned_integer,
    value,
};

/// Universal tags (X.680 §8.6) and the first context tags, as they stand in the identifier octet.
#[expect(missing_docs, reason = "each is named as X.680 names it")]
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const TELETEX_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// `[n]`, primitive: an implicit tag over a primitive type.
    #[must_use]
    pub const fn context(n: u8) -> u8 {
        0x80 | n
    }

    /// `[n]`, constructed: an explicit tag, or an implicit one over a sequence or set.
    #[must_use]
    pub const fn constructed(n: u8) -> u8 {
        0xa0 | n
    }
}

/// One value with its exact bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub body: &'a [u8],
    /// Identifier, length and content octets.
    pub raw: &'a [u8],
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

type Result<T> = std::result::Result<T, PkixError>;

fn bad(why: impl Into<String>) -> PkixError {
    PkixError::malformed("DER", why)
}

impl<'a> Reader<'a> {
    /// Reads from the first of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes not yet read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The identifier octet of the next value.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value, whatever it is.
    ///
    /// # Errors
    /// When there is none, or it is not DER.
    pub fn any(&mut self) -> Result<Value<'a>> {
        let (&tag, after) = self.rest.split_first().ok_or_else(|| bad("a value is missing"))?;
        if tag & 0x1f == 0x1f {
            return Err(bad("a tag number of 31 or more"));
        }
        let (length, header) = length(after)?;
        let end = (1 + header).checked_add(length).filter(|end| *end <= self.rest.len());
        let end = end.ok_or_else(|| bad("a value is longer than what holds it"))?;
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Value { tag, body: &raw[1 + header..], raw })
    }

    /// The next value, which must have this identifier octet.
    ///
    /// # Errors
    /// When it has another.
    pub fn expect(&mut self, tag: u8) -> Result<Value<'a>> {
        let value = self.any()?;
        match value.tag == tag {
            true => Ok(value),
            false => Err(bad(format!("tag {:#04x} where {tag:#04x} belongs", value.tag))),
        }
    }

    /// The next value if it has this identifier octet; nothing is read otherwise.
    ///
    /// # Errors
    /// When it has, and is not DER.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Value<'a>>> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// A reader of the next value, a SEQUENCE.
    ///
    /// # Errors
    /// When it is none.
    pub fn sequence(&mut self) -> Result<Reader<'a>> {
        Ok(self.expect(tag::SEQUENCE)?.reader())
    }

    /// The next value, an OBJECT IDENTIFIER.
    ///
    /// # Errors
    /// When it is none.
    pub fn oid(&mut self) -> Result<Oid> {
        Oid::from_body(self.expect(tag::OID)?.body)
    }

    /// The next value, an INTEGER, as its content octets (two's complement, big-endian).
    ///
    /// # Errors
    /// When it is none, or not in its shortest form (X.690 §8.3.2).
    pub fn integer(&mut self) -> Result<&'a [u8]> {
        let body = self.expect(tag::INTEGER)?.body;
        integer_body(body)
    }

    /// The next value, an INTEGER from 0 to 2^32 - 1.
    ///
    /// # Errors
    /// When it is none, or another number.
    pub fn small(&mut self) -> Result<u32> {
        unsigned(self.integer()?)
    }

    /// The next value, an OCTET STRING.
    ///
    /// # Errors
    /// When it is none.
    pub fn octets(&mut self) -> Result<&'a [u8]> {
        Ok(self.expect(tag::OCTET_STRING)?.body)
    }

    /// The next value, a BIT STRING of whole octets.
    ///
    /// # Errors
    /// When it is none, or has unused bits.
    pub fn bits(&mut self) -> Result<&'a [u8]> {
        match self.expect(tag::BIT_STRING)?.body.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(bad("a bit string that is not whole octets")),
        }
    }

    /// The next value if it is a BOOLEAN; `default` otherwise.
    ///
    /// # Errors
    /// When it is a BOOLEAN in another spelling than DER's (X.690 §11.1).
    pub fn boolean_or(&mut self, default: bool) -> Result<bool> {
        match self.optional(tag::BOOLEAN)?.map(|value| value.body) {
            None => Ok(default),
            Some([0x00]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(bad("a boolean that is neither 00 nor FF")),
        }
    }

    /// Fails unless everything was read.
    ///
    /// # Errors
    /// When something is left.
    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(bad("bytes after the last value")) }
    }
}

impl<'a> Value<'a> {
    /// Reads exactly one value from `bytes`.
    ///
    /// # Errors
    /// When there is none, it is not DER, or something follows it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let value = reader.any()?;
        reader.end()?;
        Ok(value)
    }

    /// A reader of what this value holds.
    #[must_use]
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.body)
    }
}

/// Length octets (X.690 §8.1.3): the length, and how many octets it took.
fn length(bytes: &[u8]) -> Result<(usize, usize)> {
    let short = || bad("a length is cut off");
    match *bytes.first().ok_or_else(short)? {
        first @ 0..=0x7f => Ok((usize::from(first), 1)),
        0x80 => Err(bad("an indefinite length")),
        first => {
            let count = usize::from(first & 0x7f);
            let octets = bytes.get(1..=count).ok_or_else(short)?;
            if count > 4 || octets[0] == 0 || (count == 1 && octets[0] < 0x80) {
                return Err(bad("a length that is not in its shortest form, or above 2^32"));
            }
            Ok((octets.iter().fold(0, |n, octet| n << 8 | usize::from(*octet)), 1 + count))
        }
    }
}

pub(crate) fn integer_body(body: &[u8]) -> Result<&[u8]> {
    match body {
        [] => Err(bad("an empty integer")),
        [0x00, next, ..] if next & 0x80 == 0 => Err(bad("an integer that is not in its shortest form")),
        [0xff, next, ..] if next & 0x80 != 0 => Err(bad("an integer that is not in its shortest form")),
        _ => Ok(body),
    }
}

/// A non-negative number below 2^32 from the content octets of an INTEGER.
pub(crate) fn unsigned(body: &[u8]) -> Result<u32> {
    let digits = body.strip_prefix(&[0]).unwrap_or(body);
    if digits.len() > 4 || body.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(bad("a number out of range"));
    }
    Ok(digits.iter().fold(0, |n, octet| n << 8 | u32::from(*octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        for size in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let bytes = value(tag::OCTET_STRING, &vec![7; size]);
            assert_eq!(Value::parse(&bytes).unwrap().body.len(), size);
        }
        for wrong in [
            &[0x04, 0x81, 0x01, 0x00][..],
            &[0x04, 0x80, 0x00, 0x00],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x02, 0x00],
            &[0x1f, 0x81, 0x01, 0x00],
            &[0x04, 0x85, 1, 0, 0, 0, 0],
            &[0x04],
            &[],
        ] {
            assert!(Value::parse(wrong).is_err(), "{wrong:02x?}");
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        assert_eq!(small(0), [2, 1, 0]);
        assert_eq!(small(128), [2, 2, 0, 128]);
        assert_eq!(Reader::new(&small(u32::MAX)).small().unwrap(), u32::MAX);
        assert!(Reader::new(&[2, 2, 0, 1]).integer().is_err());
        assert!(Reader::new(&[2, 2, 0xff, 0x80]).integer().is_err());
        assert!(Reader::new(&[2, 1, 0x80]).small().is_err());
        assert!(Reader::new(&[2, 5, 1, 0, 0, 0, 0]).small().is_err());
    }

    #[test]
    fn a_set_is_sorted_by_its_encodings() {
        assert_eq!(
            set_of(&[octets(&[2]), octets(&[1, 1]), octets(&[1])]),
            [0x31, 0x0a, 4, 1, 1, 4, 1, 2, 4, 2, 1, 1]
        );
    }
}
