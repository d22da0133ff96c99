//! The little of DER (X.690 §10 and §11) that keys, signatures and ciphertexts need: short tags, definite lengths in
//! their shortest form, and nothing after the end.

use alloc::vec::Vec;

use super::error::Sm2Error;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;
/// Context-specific, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;

/// Reads elements from the front of what is left.
pub(super) struct Reader<'a> {
    left: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// `what` names the whole in errors.
    pub(super) const fn new(left: &'a [u8], what: &'static str) -> Self {
        Self { left, what }
    }

    const fn error(&self, why: &'static str) -> Sm2Error {
        Sm2Error::malformed(self.what, why)
    }

    fn split(&mut self, length: usize) -> Result<&'a [u8], Sm2Error> {
        let (taken, left) =
            self.left.split_at_checked(length).ok_or_else(|| self.error("it is cut short"))?;
        self.left = left;
        Ok(taken)
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn element(&mut self, tag: u8) -> Result<&'a [u8], Sm2Error> {
        match self.split(1)? {
            [found] if *found == tag => {}
            _ => return Err(self.error("an element is of another type")),
        }
        let length = self.length()?;
        self.split(length)
    }

    /// The next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Sm2Error> {
        if self.left.first() == Some(&tag) { self.element(tag).map(Some) } else { Ok(None) }
    }

    /// A reader of the content of the next element, a SEQUENCE.
    pub(super) fn sequence(&mut self) -> Result<Self, Sm2Error> {
        Ok(Self::new(self.element(SEQUENCE)?, self.what))
    }

    /// X.690 §8.1.3, in the shortest form (§10.1).
    fn length(&mut self) -> Result<usize, Sm2Error> {
        let first = self.split(1)?[0];
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        let bytes = self.split(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 || bytes[0] == 0 {
            return Err(self.error("a length is not in its shortest form"));
        }
        let length = bytes.iter().fold(0u32, |length, byte| length << 8 | u32::from(*byte));
        if length < 0x80 {
            return Err(self.error("a length is not in its shortest form"));
        }
        usize::try_from(length).map_err(|_| self.error("a length is too large"))
    }

    /// An INTEGER that is not negative, as 32 bytes, big-endian.
    pub(super) fn integer(&mut self) -> Result<[u8; 32], Sm2Error> {
        let content = self.element(INTEGER)?;
        let digits = match content {
            [] => return Err(self.error("an integer is empty")),
            [0x80..=0xff, ..] => return Err(self.error("an integer is negative")),
            [0, 0..0x80, ..] => return Err(self.error("an integer is not in its shortest form")),
            [0, rest @ ..] => rest,
            all => all,
        };
        let mut bytes = [0; 32];
        let start = 32usize.checked_sub(digits.len()).ok_or_else(|| self.error("an integer is too large"))?;
        bytes[start..].copy_from_slice(digits);
        Ok(bytes)
    }

    /// The INTEGER `expected`, of one byte.
    pub(super) fn version(&mut self, expected: &[u8]) -> Result<u8, Sm2Error> {
        match self.element(INTEGER)? {
            [version] if expected.contains(version) => Ok(*version),
            _ => Err(self.error("it is of an unknown version")),
        }
    }

    /// A BIT STRING of whole bytes.
    pub(super) fn bit_string(&mut self) -> Result<&'a [u8], Sm2Error> {
        match self.element(BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(self.error("a bit string is not of whole bytes")),
        }
    }

    /// An error unless everything was read.
    pub(super) const fn end(&self) -> Result<(), Sm2Error> {
        if self.left.is_empty() { Ok(()) } else { Err(self.error("something follows its end")) }
    }
}

/// An element of this tag over the parts, written one after another.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let digits = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let mut out = Vec::with_capacity(length + 2 + digits.len());
    out.push(tag);
    if let [short @ 0..=0x7f] = digits {
        out.push(*short);
    } else {
        out.push(0x80 | digits.len().to_le_bytes()[0]);
        out.extend_from_slice(digits);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An INTEGER from big-endian bytes: without leading zeroes, but with one where the top bit is set.
pub(super) fn integer(bytes: &[u8; 32]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(31);
    let sign: &[u8] = if bytes[start] & 0x80 == 0 { &[] } else { &[0] };
    element(INTEGER, &[sign, &bytes[start..]])
}
