//! SM3 on the vector registers of x86-64. The only module of the crate that may use `unsafe`.
//!
//! What makes it sound: [`Avx2`] and [`Avx512`] exist only where the processor has the instructions, each function
//! with `target_feature` is reached only through one of them, and memory is read through references to arrays.
#![expect(
    unsafe_code,
    reason = "calls of functions with target features, and unaligned vector loads and stores"
)]

use super::{BLOCK, T, rounds};
use crate::cpu::detected;

mod avx2;
pub(crate) mod avx512;

/// The processor has AVX2, BMI1 and BMI2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        detected!("avx2", "bmi1", "bmi2").then_some(Self(()))
    }

    /// Takes each block of one stream into its state.
    #[inline]
    pub(super) fn blocks(self, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        // SAFETY: `self` exists only where BMI1 and BMI2 were detected.
        unsafe { blocks_bmi(state, blocks) }
    }

    /// One block of each of eight messages.
    #[inline]
    pub(super) fn lanes(self, state: &mut [[u32; 8]; 8], blocks: &[&[u8; BLOCK]; 8]) {
        // SAFETY: `self` exists only where AVX2 was detected.
        unsafe { avx2::lanes(state, blocks) }
    }
}

/// The processor has AVX-512 F and BW, BMI1 and BMI2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        detected!("avx512f", "avx512bw", "bmi1", "bmi2").then_some(Self(()))
    }

    /// Takes each block of one stream into its state.
    #[inline]
    pub(super) fn blocks(self, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        // SAFETY: `self` exists only where BMI1 and BMI2 were detected.
        unsafe { blocks_bmi(state, blocks) }
    }

    /// One block of each of sixteen messages.
    #[inline]
    pub(super) fn lanes(self, state: &mut [[u32; 16]; 8], blocks: &[&[u8; BLOCK]; 16]) {
        // SAFETY: `self` exists only where AVX-512 F and BW were detected.
        unsafe { avx512::lanes(state, blocks) }
    }
}

/// The portable code, compiled for rotates that leave the flags and for and-not (RORX, ANDN).
#[target_feature(enable = "bmi1,bmi2")]
fn blocks_bmi(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    rounds::compress_blocks(state, blocks, apart);
}

/// Its argument, which the compiler may know nothing about: see [`rounds::compress_blocks`].
#[inline(always)]
fn apart(sum: u32) -> u32 {
    let same;
    // SAFETY: no instruction at all; the output is the input's own register.
    unsafe {
        core::arch::asm!("/* {0:e} */", inout(reg) sum => same, options(pure, nomem, nostack, preserves_flags));
    }
    same
}

/// The compression function over whatever width the caller's `add`, `xor`, `xor3`, `rol`, `splat`, `majority`,
/// `choose`, `p0` and `p1` have. As in `rounds`, names turn instead of values, and the expansion stays four ahead. After
/// each four rounds comes the macro `between`, with how many rounds were done.
macro_rules! compress_lanes {
    ($state:expr, $w:expr, $between:ident) => {{
        let mut w = $w;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $state;
        macro_rules! step {
            ($ff:ident, $gg:ident, $j:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                if $j >= 12 {
                    let i = $j + 4;
                    let mixed = xor3(w[i % 16], w[(i + 7) % 16], rol::<15, 17>(w[(i + 13) % 16]));
                    w[i % 16] = xor3(p1(mixed), rol::<7, 25>(w[(i + 3) % 16]), w[(i + 10) % 16]);
                }
                let turned = rol::<12, 20>($a);
                let ss1 = rol::<7, 25>(add(add(turned, splat(T[$j])), $e));
                $d = add(add($d, xor(w[$j % 16], w[($j + 4) % 16])), add($ff($a, $b, $c), xor(ss1, turned)));
                $h = p0(add(add(add($h, w[$j % 16]), $gg($e, $f, $g)), ss1));
                $b = rol::<9, 23>($b);
                $f = rol::<19, 13>($f);
            };
        }
        macro_rules! quartet {
            ($ff:ident, $gg:ident, $j:expr) => {
                step!($ff, $gg, $j, a b c d e f g h);
                step!($ff, $gg, $j + 1, d a b c h e f g);
                step!($ff, $gg, $j + 2, c d a b g h e f);
                step!($ff, $gg, $j + 3, b c d a f g h e);
            };
        }
        quartet!(xor3, xor3, 0);
        $between!(4);
        quartet!(xor3, xor3, 4);
        $between!(8);
        quartet!(xor3, xor3, 8);
        $between!(12);
        quartet!(xor3, xor3, 12);
        $between!(16);
        quartet!(majority, choose, 16);
        $between!(20);
        quartet!(majority, choose, 20);
        $between!(24);
        quartet!(majority, choose, 24);
        $between!(28);
        quartet!(majority, choose, 28);
        $between!(32);
        quartet!(majority, choose, 32);
        $between!(36);
        quartet!(majority, choose, 36);
        $between!(40);
        quartet!(majority, choose, 40);
        $between!(44);
        quartet!(majority, choose, 44);
        $between!(48);
        quartet!(majority, choose, 48);
        $between!(52);
        quartet!(majority, choose, 52);
        $between!(56);
        quartet!(majority, choose, 56);
        $between!(60);
        quartet!(majority, choose, 60);
        $between!(64);
        [a, b, c, d, e, f, g, h]
    }};
}

/// For [`compress_lanes`] where nothing comes between.
macro_rules! nothing {
    ($rounds:literal) => {};
}

pub(crate) use {compress_lanes, nothing};
