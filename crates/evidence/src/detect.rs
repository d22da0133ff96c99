//! What a file is, by its bytes.

use std::io::{self, BufReader, Read};

use seal::Format;

use crate::compressed;
use crate::sevenz;
use crate::source::ReadAt;
use crate::tar;
use crate::zip;

/// The format of an archive; `None` for anything else, a compressed file that holds no tar included.
pub(crate) fn format(source: &dyn ReadAt) -> io::Result<Option<Format>> {
    let mut head = [0; 512];
    let filled = fill(&mut From { source, offset: 0 }, &mut head)?;
    let head = &head[..filled];
    let compressed = match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Ok(Some(Format::Zip)),
        _ if head.starts_with(sevenz::MAGIC) => return Ok(Some(Format::SevenZip)),
        [0x1f, 0x8b, 8, ..] => Format::TarGz,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::TarXz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::TarZst,
        _ if tar::is_header(head) => return Ok(Some(Format::Tar)),
        _ if !is_executable(head) && zip::ends_as_zip(source) => return Ok(Some(Format::Zip)),
        _ => return Ok(None),
    };
    let input = BufReader::new(From { source, offset: 0 });
    let mut inner = [0; 512];
    // What does not decode is no archive that anyone can read; as a file it is still sealed to the byte.
    let holds_tar = compressed::decoder(input, compressed)
        .and_then(|mut decoder| fill(&mut decoder, &mut inner))
        .is_ok_and(|filled| tar::is_header(&inner[..filled]));
    Ok(holds_tar.then_some(compressed))
}

/// The same of a file inside an archive, which counts only by its first bytes: one with something before it is what
/// that something is.
pub(crate) fn nested(source: &dyn ReadAt) -> io::Result<Option<Format>> {
    let mut head = [0; 512];
    let filled = fill(&mut From { source, offset: 0 }, &mut head)?;
    if may_be_archive(&head[..filled]) { format(source) } else { Ok(None) }
}

/// Whether a file that begins like this may be an archive.
pub(crate) fn may_be_archive(head: &[u8]) -> bool {
    let starts: [&[u8]; 5] =
        [b"PK\x03\x04", b"PK\x05\x06", &[0x1f, 0x8b, 8], b"\xfd7zXZ\0", &[0x28, 0xb5, 0x2f, 0xfd]];
    head.starts_with(sevenz::MAGIC)
        || starts.iter().any(|start| head.starts_with(start))
        || tar::is_header(head)
}

/// A program may carry a ZIP behind its code (self-extracting archives do): it is a program all the same.
fn is_executable(head: &[u8]) -> bool {
    let mach_o = [[0xcf, 0xfa, 0xed, 0xfe], [0xce, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];
    head.starts_with(b"\x7fELF") || head.starts_with(b"MZ") || mach_o.iter().any(|m| head.starts_with(m))
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

struct From<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
