//! One header block (POSIX.1-2017 pax, "ustar Interchange Format").

use super::BLOCK;
use super::sparse::Map;

/// The fields that a seal uses.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) size: u64,
    /// The map of an old GNU sparse file, and whether more of it follows.
    pub(super) sparse: Option<(Map, bool)>,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        check_sum(block)?;
        let mode = number(&block[100..108]).ok_or("its mode is not a number")?;
        let size = number(&block[124..136]).ok_or("its size is not a number")?;
        let mut name = text(&block[..100]).to_vec();
        // Only POSIX headers have a prefix; GNU's magic is "ustar  " and keeps times in its place.
        let prefix = text(&block[345..500]);
        if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let link = text(&block[157..257]).to_vec();
        // Old writers add the file type to the mode; the type flag says it already.
        let mode = u32::try_from(mode & u64::from(seal::MAX_MODE)).unwrap_or(0);
        let sparse = (block[156] == b'S').then(|| Map::of_header(block)).transpose()?;
        Ok(Self { kind: block[156], name, link, mode, size, sparse })
    }
}

/// The sum of all bytes with the checksum's own as spaces. Some old writers summed them as signed.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), &'static str> {
    let wrong = "a header does not have its checksum";
    let stated = number(&block[148..156]).ok_or(wrong)?;
    let bytes = || block.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { b' ' } else { *b });
    let unsigned: u64 = bytes().map(u64::from).sum();
    let signed: i64 = bytes().map(|b| i64::from(b.cast_signed())).sum();
    let sums = [Some(unsigned), u64::try_from(signed).ok()];
    if sums.contains(&Some(stated)) { Ok(()) } else { Err(wrong) }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// Octal digits with spaces or NULs around them; or, with the first bit set, a big-endian number (GNU, star).
pub(super) fn number(field: &[u8]) -> Option<u64> {
    match field.first()? {
        0x80 => field[1..].iter().try_fold(0u64, |n, b| Some(n.checked_mul(256)? | u64::from(*b))),
        0x81..=0xff => None,
        _ => {
            let digits = field.trim_ascii_start();
            let end = digits.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(digits.len());
            let (digits, rest) = digits.split_at(end);
            rest.iter().all(|b| matches!(b, 0 | b' ')).then_some(())?;
            digits.iter().try_fold(0u64, |n, b| match b {
                b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
                _ => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_every_writer() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777"), Some(0o77_777_777));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 2]), Some(258));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"12\x0034\0"), None);
        assert_eq!(number(&[0xff; 8]), None);
    }
}
