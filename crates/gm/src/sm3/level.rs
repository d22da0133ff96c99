//! Which of the implementations runs here.

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::{BLOCK, rounds};

/// An implementation that this processor can run: the vector ones hold the proof of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    /// Runs anywhere.
    Portable,
    /// Eight lanes, and BMI for one stream.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// Sixteen lanes, with rotates and three-input logic.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// The fastest that runs here. The standard library keeps the processor's answer, so that this is a few loads.
    #[inline]
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(proof) = Avx512::detect() {
                return Self::Avx512(proof);
            }
            if let Some(proof) = Avx2::detect() {
                return Self::Avx2(proof);
            }
        }
        Self::Portable
    }

    /// Every one that runs here, the portable one first.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx2::detect().map(Self::Avx2));
            all.extend(Avx512::detect().map(Self::Avx512));
        }
        all
    }

    /// Takes each block of one stream into its state.
    #[inline]
    pub(crate) fn blocks(self, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        match self {
            Self::Portable => rounds::compress_blocks(state, blocks, |sum| sum),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => proof.blocks(state, blocks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => proof.blocks(state, blocks),
        }
    }
}
