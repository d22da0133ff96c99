//! GHASH of SP 800-38D, 6.4, computed as POLYVAL over byte-reversed blocks (RFC 8452, appendix A): there the product
//! needs no bit reversal and reduces by two carry-less multiplications.

use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(target_arch = "x86_64")]
use super::simd;

/// x^63 + x^62 + x^57: the upper half of the field polynomial, x^128 + x^127 + x^126 + x^121 + 1.
const POLY: u128 = 0xc200_0000_0000_0000_0000_0000_0000_0001;

/// Powers of the hash key kept: blocks multiplied between two reductions.
pub(super) const POWERS: usize = 16;

/// The ways of multiplying. All give the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Multiplier {
    /// Integer multiplication with room left for carries, on any machine.
    Portable,
    /// Carry-less multiplication instructions.
    #[cfg(target_arch = "x86_64")]
    Clmul,
    /// Four of them at once.
    #[cfg(target_arch = "x86_64")]
    Clmul512,
}

impl Multiplier {
    /// The implementations this machine can run, the quickest last.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [
            (Self::Portable, true),
            #[cfg(target_arch = "x86_64")]
            (Self::Clmul, simd::has_clmul()),
            #[cfg(target_arch = "x86_64")]
            (Self::Clmul512, simd::has_clmul512()),
        ]
        .into_iter()
        .filter_map(|(multiplier, here)| here.then_some(multiplier))
    }

    pub(super) fn best() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }
}

/// The hash key of one GCM key, as its first powers.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct HashKey {
    /// H^1 first.
    powers: [u128; POWERS],
    #[zeroize(skip)]
    multiplier: Multiplier,
}

impl HashKey {
    pub(super) fn new(h: [u8; 16], multiplier: Multiplier) -> Self {
        let h = u128::from_be_bytes(h);
        let first = (h << 1) ^ (POLY & core::hint::black_box((h >> 127).wrapping_neg()));
        // A block of zeros multiplies the state by the first power and by nothing else.
        let mut key = Self { powers: [first; POWERS], multiplier };
        for i in 1..POWERS {
            key.powers[i] = key.absorb(key.powers[i - 1], &[[0; 16]]);
        }
        key
    }

    /// GHASH of what was absorbed, and of the lengths in bits of the additional data and the text.
    pub(super) fn finish(&self, state: u128, aad: &[u8], text: &[u8]) -> [u8; 16] {
        let bits = |bytes: &[u8]| 8 * bytes.len() as u128;
        let lengths = bits(aad) << 64 | bits(text);
        self.absorb(state, &[lengths.to_be_bytes()]).to_be_bytes()
    }

    /// Takes the bytes, filled up with zeros to whole blocks.
    pub(super) fn absorb_padded(&self, state: u128, bytes: &[u8]) -> u128 {
        let (blocks, rest) = bytes.as_chunks::<16>();
        let state = self.absorb(state, blocks);
        if rest.is_empty() {
            return state;
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        self.absorb(state, &[last])
    }

    fn absorb(&self, state: u128, blocks: &[[u8; 16]]) -> u128 {
        match self.multiplier {
            Multiplier::Portable => absorb_portable(state, &self.powers, blocks),
            #[cfg(target_arch = "x86_64")]
            Multiplier::Clmul => simd::absorb_clmul(state, &self.powers, blocks),
            #[cfg(target_arch = "x86_64")]
            Multiplier::Clmul512 => simd::absorb_clmul512(state, &self.powers, blocks),
        }
    }
}

fn absorb_portable(state: u128, powers: &[u128], blocks: &[[u8; 16]]) -> u128 {
    blocks.chunks(powers.len()).fold(state, |state, group| absorb_group(state, powers, group))
}

/// Takes the blocks against falling powers of the key and reduces once.
fn absorb_group(mut state: u128, powers: &[u128], blocks: &[[u8; 16]]) -> u128 {
    let (mut low, mut middle, mut high) = (0, 0, 0);
    for (block, power) in blocks.iter().zip(powers[..blocks.len()].iter().rev()) {
        let (a, b) = (halves(u128::from_be_bytes(*block) ^ state), halves(*power));
        state = 0;
        low ^= multiply(a[0], b[0]);
        high ^= multiply(a[1], b[1]);
        middle ^= multiply(a[0] ^ a[1], b[0] ^ b[1]);
    }
    middle ^= low ^ high;
    reduce(low ^ middle << 64, high ^ middle >> 64)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
const fn halves(x: u128) -> [u64; 2] {
    [x as u64, (x >> 64) as u64]
}

/// Montgomery's reduction of high * x^128 + low: the product by x^-128.
fn reduce(low: u128, high: u128) -> u128 {
    high ^ fold(fold(low))
}

fn fold(x: u128) -> u128 {
    let low = u128::from(halves(x)[0]);
    x.rotate_left(64) ^ low << 63 ^ low << 62 ^ low << 57
}

/// Every fifth bit: a sum of the thirteen products that meet in one place stays below 32, so that carries never
/// reach the next place that counts.
const FIFTHS: [u128; 5] = {
    let mut masks = [0; 5];
    let mut bit = 0;
    while bit < 128 {
        masks[bit % 5] |= 1 << bit;
        bit += 1;
    }
    masks
};

/// The carry-less product. Relies on the integer multiplication taking the same time for all operands, as it does
/// on the 64-bit machines Go services run on.
fn multiply(a: u64, b: u64) -> u128 {
    let (a, b) = (FIFTHS.map(|mask| u128::from(a) & mask), FIFTHS.map(|mask| u128::from(b) & mask));
    (0..5).fold(0, |product, place| {
        let sum = (0..5).fold(0, |sum, i| sum ^ (a[i] * b[(place + 5 - i) % 5]));
        product | (sum & FIFTHS[place])
    })
}
