//! Names in type data: a byte of flags, a length, the bytes; a tag the same way; a package (internal/abi `Name`).

use crate::bytes::uvarint;

/// Longest name or tag that is read. Tags and generic names reach a few kilobytes.
const LONGEST: u64 = 64 << 10;
const HAS_TAG: u8 = 1 << 1;
const EMBEDDED: u8 = 1 << 3;
/// Bits that no release has set.
const UNKNOWN: u8 = 0xf0;

/// A decoded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    pub(super) tag: &'a str,
    pub(super) embedded: bool,
}

/// Reads the name at the start of `bytes`. Until Go 1.16 (`wide`) lengths are two bytes in big-endian order.
pub(super) fn read(bytes: &[u8], wide: bool) -> Option<Name<'_>> {
    let (&flags, rest) = bytes.split_first()?;
    if flags & UNKNOWN != 0 {
        return None;
    }
    let (text, rest) = counted(rest, wide)?;
    let tag = if flags & HAS_TAG == 0 { "" } else { counted(rest, wide)?.0 };
    Some(Name { text, tag, embedded: flags & EMBEDDED != 0 })
}

fn counted(bytes: &[u8], wide: bool) -> Option<(&str, &[u8])> {
    let (length, rest) = match (wide, bytes) {
        (true, [high, low, rest @ ..]) => (u64::from(u16::from_be_bytes([*high, *low])), rest),
        (true, _) => return None,
        (false, _) => uvarint(bytes)?,
    };
    let length = usize::try_from(length).ok().filter(|_| length <= LONGEST)?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_read() {
        let name = read(b"\x0b\x02ID\x09json:\"id\"", false).unwrap();
        assert_eq!((name.text, name.tag, name.embedded), ("ID", "json:\"id\"", true));
        assert_eq!(read(b"\x01\x00\x02ID", true).unwrap().text, "ID");
        assert_eq!(read(b"\x01\x03ID", false), None);
        assert_eq!(read(b"\x10\x02ID", false), None);
        assert_eq!(read(b"\x00\x02\xff\xfe", false), None);
    }
}
