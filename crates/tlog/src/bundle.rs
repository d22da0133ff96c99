//! Entry bundles: a big-endian 16-bit length and the entry, for each entry (c2sp.org/tlog-tiles, "Log entries").

use crate::{TILE_WIDTH, TlogError};

/// The longest entry that a bundle can carry.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// Appends one entry. `None`, and nothing appended, when it is longer than [`MAX_ENTRY`].
#[must_use]
pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// The entries of a sequence of length-prefixed entries, one after another; stops after the first fault.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], TlogError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = rest.split_first_chunk::<2>().and_then(|(length, tail)| {
            let length = usize::from(u16::from_be_bytes(*length));
            tail.split_at_checked(length)
        });
        match split {
            Some((entry, tail)) => {
                rest = tail;
                Some(Ok(entry))
            }
            None => {
                rest = &[];
                Some(Err(TlogError::malformed("entry bundle", "the last entry is cut off")))
            }
        }
    })
}

/// Reads a whole bundle of exactly `width` entries.
///
/// # Errors
/// [`TlogError::Malformed`] when an entry is cut off or their number is another.
pub fn parse(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TlogError> {
    let mut out = Vec::with_capacity(usize::from(width).min(256));
    for entry in entries(bytes) {
        let entry = entry?;
        if out.len() as u64 >= TILE_WIDTH.min(u64::from(width)) {
            return Err(TlogError::malformed("entry bundle", format!("more than {width} entries")));
        }
        out.push(entry);
    }
    if out.len() != usize::from(width) {
        return Err(TlogError::malformed("entry bundle", format!("{} entries, not {width}", out.len())));
    }
    Ok(out)
}
