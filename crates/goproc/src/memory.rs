//! Memory, of a process or of what stands for one in a test.

use crate::error::{Error, Result};

/// One read asks for at most this much; a length that comes from the process is not believed beyond it.
pub const MAX_READ: usize = 1 << 30;

/// Bytes by address.
pub trait Memory {
    /// Fills `into` from `address` on, whole.
    ///
    /// # Errors
    /// When any byte of the range cannot be read.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<()>;

    /// `length` bytes from `address` on.
    ///
    /// # Errors
    /// As [`Memory::read`], and [`Error::Limit`] beyond [`MAX_READ`].
    fn bytes(&self, address: u64, length: u64) -> Result<Vec<u8>> {
        let limit = Error::Limit { what: "a range of memory", limit: MAX_READ as u64 };
        let length = usize::try_from(length).ok().filter(|l| *l <= MAX_READ).ok_or(limit)?;
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Several ranges (address, length), one behind the other. One of a process reads them in few system calls.
    ///
    /// # Errors
    /// As [`Memory::bytes`], for all of them together.
    fn gather(&self, ranges: &[(u64, usize)]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; total(ranges)?];
        let mut rest = bytes.as_mut_slice();
        for (address, length) in ranges {
            let (piece, tail) = rest.split_at_mut(*length);
            self.read(*address, piece)?;
            rest = tail;
        }
        Ok(bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn word(&self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn half(&self, address: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// `count` words.
    ///
    /// # Errors
    /// As [`Memory::bytes`].
    fn words(&self, address: u64, count: u64) -> Result<Vec<u64>> {
        let bytes = self.bytes(address, count.saturating_mul(8))?;
        Ok(bytes
            .chunks_exact(8)
            .map(|c| u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]))
            .collect())
    }
}

/// How many bytes these ranges have, if they may be read at once.
pub(crate) fn total(ranges: &[(u64, usize)]) -> Result<usize> {
    let sum = ranges.iter().try_fold(0_usize, |sum, (_, length)| sum.checked_add(*length));
    sum.filter(|sum| *sum <= MAX_READ)
        .ok_or(Error::Limit { what: "a range of memory", limit: MAX_READ as u64 })
}
