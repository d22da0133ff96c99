//! Hashing what a reader gives.

use std::io::{self, Read};

use gm::DualDigest;
use gmdevice::Device;

use crate::error::EvidenceError;
use crate::hash::Both;

/// Bytes read at a time: enough for a decoder to work without stopping, small enough for the second-level cache.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Digests of everything that `reader` gives, and how much that was. `each` sees every piece first and may stop.
pub(crate) fn hash(
    reader: &mut dyn Read,
    buffer: &mut [u8],
    device: Option<&Device>,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, DualDigest)> {
    let mut both = Both::new(device);
    let mut size = 0;
    loop {
        match reader.read(buffer) {
            Ok(0) => {
                let digest = both.finish().map_err(|e| EvidenceError::from(e).into_io())?;
                return Ok((size, digest));
            }
            Ok(count) => {
                each(&buffer[..count])?;
                both.update(&buffer[..count]);
                size += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
