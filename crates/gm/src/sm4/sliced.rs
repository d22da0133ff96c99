//! The rounds on any machine for many blocks at once: 64 blocks are transposed into one plane for each of their 128 bits before
//! the first round and back after the last, and between the two a rotation costs nothing. `portable.rs` is the simple version,
//! takes what is left over, and lends its S-box.
//!
//! Like there, no address and no branch depends on a secret.

use super::block::Block;
use super::portable::{Planes, exchange, substitute_planes};

/// Blocks sliced together, one in each bit of a plane.
const WIDTH: usize = 64;
/// Fewer blocks than this are done sooner sixteen at a time.
const WORTH: usize = 33;

/// The planes of one word of every block.
type Word = [u64; 32];

/// Runs the 32 rounds and the final reversal (GB/T 32907-2016, 7.1) over as many blocks as is worth it; gives the others.
pub(super) fn rounds<'b>(keys: &[u32; 32], blocks: &'b mut [Block]) -> &'b mut [Block] {
    let (groups, rest) = blocks.as_chunks_mut::<WIDTH>();
    for group in groups {
        rounds_of_group(keys, group);
    }
    if rest.len() < WORTH {
        return rest;
    }
    let mut group = [[0; 16]; WIDTH];
    group[..rest.len()].copy_from_slice(rest);
    rounds_of_group(keys, &mut group);
    rest.copy_from_slice(&group[..rest.len()]);
    &mut []
}

fn rounds_of_group(keys: &[u32; 32], group: &mut [Block; WIDTH]) {
    let [mut a, mut b, mut c, mut d] = [0, 1, 2, 3].map(|word| load(group, word));
    for key in keys.as_chunks::<4>().0 {
        round(&mut a, [&b, &c, &d], key[0]);
        round(&mut b, [&c, &d, &a], key[1]);
        round(&mut c, [&d, &a, &b], key[2]);
        round(&mut d, [&a, &b, &c], key[3]);
    }
    for (word, planes) in [d, c, b, a].into_iter().enumerate() {
        store(group, word, planes);
    }
}

fn round(x: &mut Word, [a, b, c]: [&Word; 3], key: u32) {
    let mut t = [0; 32];
    for (bit, plane) in t.iter_mut().enumerate() {
        let key = u64::from(key >> bit & 1).wrapping_neg();
        *plane = a[bit] ^ b[bit] ^ c[bit] ^ key;
    }
    for byte in t.as_chunks_mut::<8>().0 {
        let planes: Planes = *byte;
        *byte = substitute_planes(&planes);
    }
    // L of GB/T 32907-2016, 6.2: a bit that is rotated to the left comes from a lower place.
    let from = |bit: usize, left: usize| t[(bit + 32 - left) % 32];
    for (bit, plane) in x.iter_mut().enumerate() {
        *plane ^= t[bit] ^ from(bit, 2) ^ from(bit, 10) ^ from(bit, 18) ^ from(bit, 24);
    }
}

/// The planes of one word: block `i` has bit `i` of each.
fn load(group: &[Block; WIDTH], word: usize) -> Word {
    let value = |block: &Block| u64::from(u32::from_be_bytes(block.as_chunks::<4>().0[word]));
    let (low, high) = group.split_at(WIDTH / 2);
    let mut planes = [0; 32];
    for (plane, (low, high)) in planes.iter_mut().zip(low.iter().zip(high)) {
        *plane = value(low) | value(high) << 32;
    }
    transpose(&mut planes);
    planes
}

fn store(group: &mut [Block; WIDTH], word: usize, mut planes: Word) {
    transpose(&mut planes);
    let (low, high) = group.split_at_mut(WIDTH / 2);
    for (plane, (low, high)) in planes.iter().zip(low.iter_mut().zip(high)) {
        let (first, second) = ((plane & 0xffff_ffff) as u32, (plane >> 32) as u32);
        low.as_chunks_mut::<4>().0[word] = first.to_be_bytes();
        high.as_chunks_mut::<4>().0[word] = second.to_be_bytes();
    }
}

/// Transposes the 32 by 32 bits of the lower halves, and those of the upper halves. Its own inverse.
fn transpose(planes: &mut Word) {
    const MASKS: [u64; 5] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0x00ff_00ff_00ff_00ff,
        0x0000_ffff_0000_ffff,
    ];
    for (level, mask) in (0..).zip(MASKS) {
        let step = 1 << level;
        for low in (0..32).filter(|plane| plane & step == 0) {
            exchange(planes, low, low + step, 1 << level, mask);
        }
    }
}
