//! 7z, by 7-Zip's `7zFormat.txt` and `Methods.txt` (LZMA SDK).
//!
//! Files stand one behind the other in blocks ("folders" there), each block a small graph of coders over packed
//! streams; the list of everything is at the end, packed itself. Blocks are decoded as streams, never kept; what a
//! block may ask for in dictionaries is bounded. Encryption and methods that are not here are refused by name.

mod bcj2;
mod block;
mod decode;
mod header;
mod streams;
mod walk;

pub(crate) use walk::walk;

use seal::Format;

use crate::error::EvidenceError;

/// The first six bytes.
pub(crate) const MAGIC: &[u8; 6] = b"7z\xbc\xaf\x27\x1c";

fn refused(why: &'static str) -> EvidenceError {
    EvidenceError::Archive { format: Format::SevenZip, why }
}

fn undecodable(source: std::io::Error) -> EvidenceError {
    EvidenceError::from_io(source, |source| EvidenceError::Stream { format: Format::SevenZip, source })
}
