//! The compression function of §5.3 on general registers.

use super::{BLOCK, T};

/// Permutation P0 of §4.4.
#[inline(always)]
const fn p0(x: u32) -> u32 {
    x ^ (x.rotate_left(9) ^ x.rotate_left(17))
}

/// Permutation P1 of §4.4.
#[inline(always)]
const fn p1(x: u32) -> u32 {
    x ^ x.rotate_left(15) ^ x.rotate_left(23)
}

/// One round of §5.3.3. The eight names turn instead of the values: after it, the new A is in `$d` and the new E in
/// `$h`. The sum with E comes last in SS1, and the sums with SS1 last of all, for these arrive last: six operations
/// from round to round, which is what bounds the speed.
macro_rules! round {
    ($apart:ident, $ff:ident, $gg:ident, $t:expr, $w:expr, $w4:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        let turned = $a.rotate_left(12);
        let ss1 = $apart(turned.wrapping_add($t)).wrapping_add($e).rotate_left(7);
        let tt1 = $apart($d.wrapping_add($w ^ $w4).wrapping_add($ff!($a, $b, $c)));
        let tt2 = $apart($h.wrapping_add($w).wrapping_add($gg!($e, $f, $g)));
        $d = tt1.wrapping_add(ss1 ^ turned);
        $h = p0(tt2.wrapping_add(ss1));
        $b = $b.rotate_left(9);
        $f = $f.rotate_left(19);
    };
}

/// FF and GG of rounds 0 to 15, §4.3.
macro_rules! parity {
    ($x:ident, $y:ident, $z:ident) => {
        $x ^ ($y ^ $z)
    };
}

/// FF of rounds 16 to 63: the two terms have no bit in common.
macro_rules! majority {
    ($x:ident, $y:ident, $z:ident) => {
        ($x & ($y ^ $z)).wrapping_add($y & $z)
    };
}

/// GG of rounds 16 to 63.
macro_rules! choose {
    ($x:ident, $y:ident, $z:ident) => {
        ($x & $y) | (!$x & $z)
    };
}

/// Takes each block into the state, in order. `apart` returns its argument and may keep the compiler from joining the
/// sum in it with the sum around it: reassociated, a round takes seven operations instead of six.
#[inline(always)]
pub(super) fn compress_blocks(
    state: &mut [u32; 8],
    blocks: &[[u8; BLOCK]],
    apart: impl Fn(u32) -> u32 + Copy,
) {
    for block in blocks {
        compress(state, block, apart);
    }
}

/// The expansion of §5.3.2 keeps sixteen words and stays four ahead of the rounds, which need `W[j + 4]`.
#[inline(always)]
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK], apart: impl Fn(u32) -> u32) {
    let mut w = [0u32; 16];
    for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    macro_rules! step {
        ($ff:ident, $gg:ident, $j:expr, $($names:ident)*) => {
            if $j >= 12 {
                let (i, old) = ($j + 4, w[($j + 4) % 16]);
                w[i % 16] = p1(old ^ w[(i + 7) % 16] ^ w[(i + 13) % 16].rotate_left(15))
                    ^ w[(i + 3) % 16].rotate_left(7) ^ w[(i + 10) % 16];
            }
            round!(apart, $ff, $gg, T[$j], w[$j % 16], w[($j + 4) % 16], $($names)*);
        };
    }
    macro_rules! four {
        ($ff:ident, $gg:ident, $($j:expr)*) => {$(
            step!($ff, $gg, $j, a b c d e f g h);
            step!($ff, $gg, $j + 1, d a b c h e f g);
            step!($ff, $gg, $j + 2, c d a b g h e f);
            step!($ff, $gg, $j + 3, b c d a f g h e);
        )*};
    }
    four!(parity, parity, 0 4 8 12);
    four!(majority, choose, 16 20 24 28 32 36 40 44 48 52 56 60);
    for (old, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *old ^= new;
    }
}
