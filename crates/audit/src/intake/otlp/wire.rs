//! The protobuf wire format (protobuf.dev/programming-guides/encoding), as far as these messages need it.

use super::model::OtlpError;

/// A field's content.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(Message<'a>),
    Fixed32(u32),
}

/// The bytes of a message, and where they begin in the request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    at: usize,
}

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field's number and content; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Content<'a>)>, OtlpError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > (1 << 29) - 1 {
            return Err(self.wrong("no field has this number"));
        }
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length =
                    usize::try_from(length).map_err(|_| self.wrong("a length beyond the message"))?;
                let at = self.at;
                Content::Bytes(Message { bytes: self.take(length)?, at })
            }
            5 => Content::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups (3, 4) were never part of these messages.
            _ => return Err(self.wrong("no wire type of these messages")),
        };
        Ok(Some((number, content)))
    }

    /// The content as text.
    pub(crate) fn text(self) -> Result<String, OtlpError> {
        let text = std::str::from_utf8(self.bytes);
        text.map(str::to_owned)
            .map_err(|e| OtlpError::Wire { at: self.at + e.valid_up_to(), why: "is not UTF-8" })
    }

    pub(crate) fn wrong(&self, why: &'static str) -> OtlpError {
        OtlpError::Wire { at: self.at, why }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], OtlpError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or_else(|| self.wrong("the message ends within a field"))?;
        self.bytes = rest;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OtlpError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.wrong("the message ends within a field"))
    }

    /// Seven bits a byte, the least first; at most ten bytes, and 64 bits.
    fn varint(&mut self) -> Result<u64, OtlpError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.wrong("a number of more than 64 bits"))
    }
}

/// Appends a field of bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field that is a number, unless it is 0, which is what an absent one means.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        out.push(number << 3);
        put_varint(out, value);
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let bits = u8::try_from(value & 0x7f).unwrap_or(0); // seven bits
        value >>= 7;
        if value == 0 {
            return out.push(bits);
        }
        out.push(bits | 0x80);
    }
}
