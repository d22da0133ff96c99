//! tar: POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU long names, and the V7 header they come from.
//!
//! Refused rather than guessed at: multi-volume archives, devices, anything behind the end marker.

mod header;
mod pax;
mod sparse;
mod walk;

pub(crate) use walk::walk;

/// Bytes of a header, and what everything is padded to.
pub(crate) const BLOCK: usize = 512;

/// Whether these bytes start a tar: a header whose checksum holds.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    bytes.first_chunk::<BLOCK>().is_some_and(|block| header::Header::parse(block).is_ok())
}
