//! SM3 as the standard writes it, kept simple: what every faster form is tested against.

use super::{BLOCK, IV, T, to_bytes};

/// The digest of one buffer; padding is §5.2.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(BLOCK) - 8, 0);
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    let mut state = IV;
    for block in padded.as_chunks::<BLOCK>().0 {
        compress(&mut state, block);
    }
    to_bytes(state)
}

/// Permutation P0 of §4.4.
#[inline(always)]
const fn p0(x: u32) -> u32 {
    x ^ x.rotate_left(9) ^ x.rotate_left(17)
}

/// Permutation P1 of §4.4.
#[inline(always)]
const fn p1(x: u32) -> u32 {
    x ^ x.rotate_left(15) ^ x.rotate_left(23)
}

/// The compression function of §5.3.3 over the message expansion of §5.3.2.
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let mut w = [0u32; 68];
    for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for j in 16..68 {
        w[j] = p1(w[j - 16] ^ w[j - 9] ^ w[j - 3].rotate_left(15)) ^ w[j - 13].rotate_left(7) ^ w[j - 6];
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    macro_rules! round {
        ($j:expr, $ff:expr, $gg:expr) => {{
            let a12 = a.rotate_left(12);
            let ss1 = a12.wrapping_add(e).wrapping_add(T[$j]).rotate_left(7);
            let tt1 = $ff.wrapping_add(d).wrapping_add(ss1 ^ a12).wrapping_add(w[$j] ^ w[$j + 4]);
            let tt2 = $gg.wrapping_add(h).wrapping_add(ss1).wrapping_add(w[$j]);
            d = c;
            c = b.rotate_left(9);
            b = a;
            a = tt1;
            h = g;
            g = f.rotate_left(19);
            f = e;
            e = p0(tt2);
        }};
    }
    for j in 0..16 {
        round!(j, (a ^ b ^ c), (e ^ f ^ g));
    }
    for j in 16..64 {
        round!(j, ((a & b) | (a & c) | (b & c)), ((e & f) | (!e & g)));
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *old ^= new;
    }
}
