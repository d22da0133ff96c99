//! UUIDs of versions 4 and 7, RFC 9562.

use std::fmt;
use std::str::FromStr;

/// The id of an event: a UUID of version 4 or 7, so that a repeated delivery is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId([u8; 16]);

/// Where the hyphens stand in the text form (RFC 9562 §4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl EventId {
    /// A version 7 id from milliseconds since 1970 and ten random bytes (RFC 9562 §5.7).
    #[must_use]
    pub fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Self(bytes)
    }

    /// From sixteen bytes; nothing for another version or variant.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let known = matches!(bytes[6] >> 4, 4 | 7) && bytes[8] >> 6 == 0b10;
        known.then_some(Self(bytes))
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads `8-4-4-4-12` hexadecimal digits of either case; nothing for another shape, version or variant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0u8; 16];
        // A digit's value stands in the lower half of its entry; anything else sets a bit of the upper half.
        let mut wrong = 0;
        for (byte, at) in bytes.iter_mut().zip(PLACES) {
            let (high, low) = (VALUES[usize::from(text[at])], VALUES[usize::from(text[at + 1])]);
            wrong |= high | low;
            *byte = high << 4 | (low & 0x0f);
        }
        if wrong > 0x0f || HYPHENS.iter().any(|&at| text[at] != b'-') {
            return None;
        }
        Self::from_bytes(bytes)
    }

    /// The lower-case text form.
    #[must_use]
    pub fn to_text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        for (byte, at) in self.0.into_iter().zip(PLACES) {
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 0x0f)];
        }
        text
    }
}

/// Where the digits of each byte stand in the text form.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The value of each hexadecimal digit of either case, 0xff for what is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut digit = 0u8;
    while digit < 16 {
        values[b"0123456789abcdef"[digit as usize] as usize] = digit;
        values[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    values
};

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_text().iter().try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or("it is not a UUID of version 4 or 7")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562 appendix A.3 (v4) and A.6 (v7).
    #[test]
    fn rfc_9562_vectors() {
        for text in ["919108f7-52d1-4320-9bac-f847db4148a8", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"] {
            assert_eq!(EventId::parse(text).unwrap().to_string(), text);
            assert_eq!(EventId::parse(&text.to_uppercase()).unwrap().to_string(), text);
        }
        let made =
            EventId::v7(0x017F_22E2_79B0, [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
        assert_eq!(made.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn other_versions_variants_and_shapes_are_refused() {
        for text in [
            "c232ab00-9414-11ec-b3c8-9f6bdeced846",  // v1
            "919108f7-52d1-4320-cbac-f847db4148a8",  // another variant
            "919108f7-52d1-4320-9bac-f847db4148a",   // short
            "919108f752d1-43209bac-f847-db4148a8-0", // hyphens elsewhere
            "919108f7-52d1-4320-9bac-f847db4148ag",
            "{19108f7-52d1-4320-9bac-f847db4148a8}",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
