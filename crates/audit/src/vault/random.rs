//! Randomness in small pieces: one system call for many nonces and salts. What was given out is wiped here.

use zeroize::{Zeroize as _, Zeroizing};

use crate::AuditError;

const POOL: usize = 4096;

/// Bytes from the operating system that nobody has had yet.
pub(crate) struct Random {
    pool: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { pool: Zeroizing::new(vec![0; POOL]), used: POOL }
    }
}

impl Random {
    /// Fills `out`, which is shorter than the pool.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<(), AuditError> {
        if self.used + out.len() > POOL {
            getrandom::fill(&mut self.pool).map_err(|e| AuditError::Randomness { why: e.to_string() })?;
            self.used = 0;
        }
        let taken = &mut self.pool[self.used..self.used + out.len()];
        out.copy_from_slice(taken);
        taken.zeroize();
        self.used += out.len();
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], AuditError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }
}
