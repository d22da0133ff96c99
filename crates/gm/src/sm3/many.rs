//! Many messages at once: each lane of a vector register hashes one, and takes the next when its own ends.

use super::level::Level;
use super::{BLOCK, IV, to_bytes};

/// Digests of many messages of any lengths: `out[i]` is the digest of `inputs[i]`.
///
/// ```
/// let mut out = [[0; 32]; 2];
/// gm::sm3::digest_many(&["abc", "longer than the other"], &mut out);
/// assert_eq!(out[0], gm::Sm3::digest(b"abc"));
/// ```
///
/// # Panics
/// When `out` and `inputs` differ in length.
pub fn digest_many<M: AsRef<[u8]>>(inputs: &[M], out: &mut [[u8; 32]]) {
    at(Level::best(), &[], inputs, out);
}

/// Digests of `prefix || inputs[i]`: with `[0x00]`, the leaves of a Merkle tree as RFC 6962 §2.1 frames them. The
/// inputs are not copied into buffers of their own.
///
/// ```
/// let mut leaves = [[0; 32]; 2];
/// gm::sm3::digest_prefixed(&[0], &["first", "second"], &mut leaves);
/// let mut root = [[0; 32]];
/// gm::sm3::digest_pairs(&[1], &leaves, &mut root);
/// # assert_eq!(leaves[1], gm::Sm3::digest(b"\0second"));
/// # assert_eq!(root[0], gm::Sm3::digest(&[&[1][..], &leaves[0], &leaves[1]].concat()));
/// ```
///
/// # Panics
/// When `out` and `inputs` differ in length.
pub fn digest_prefixed<M: AsRef<[u8]>>(prefix: &[u8], inputs: &[M], out: &mut [[u8; 32]]) {
    at(Level::best(), prefix, inputs, out);
}

/// Digests of `prefix || left || right` for each two neighbours of one row: with `[0x01]`, the row above in a Merkle
/// tree as RFC 6962 §2.1 frames it. A last digest without a neighbour is left to the caller.
///
/// # Panics
/// When `out` does not hold half of `row`, rounded down.
pub fn digest_pairs(prefix: &[u8], row: &[[u8; 32]], out: &mut [[u8; 32]]) {
    pairs_at(Level::best(), prefix, row, out);
}

pub(super) fn at<M: AsRef<[u8]>>(level: Level, prefix: &[u8], inputs: &[M], out: &mut [[u8; 32]]) {
    assert_eq!(inputs.len(), out.len(), "one digest for each input");
    run(level, prefix, inputs.iter().map(AsRef::as_ref), out);
}

pub(super) fn pairs_at(level: Level, prefix: &[u8], row: &[[u8; 32]], out: &mut [[u8; 32]]) {
    let (pairs, _) = row.as_chunks::<2>();
    assert_eq!(pairs.len(), out.len(), "one digest for each pair");
    run(level, prefix, pairs.iter().map(|pair| pair.as_flattened()), out);
}

fn run<'a>(level: Level, prefix: &'a [u8], bodies: impl Iterator<Item = &'a [u8]>, out: &mut [[u8; 32]]) {
    let messages = bodies.map(|body| Message::new(prefix, body)).zip(out);
    let alone = Alone {
        iv: IV,
        too_few: TOO_FEW,
        blocks: |state: &mut [u32; 8], blocks: &[[u8; BLOCK]]| level.blocks(state, blocks),
    };
    match level {
        Level::Portable => one_by_one(&alone, messages),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(proof) => in_lanes(&alone, messages, |state, blocks| proof.lanes(state, blocks)),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(proof) => in_lanes(&alone, messages, |state, blocks| proof.lanes(state, blocks)),
    }
}

/// How a hash that frames messages as SM3 does (SHA-256 is the other) takes one message by itself.
pub(crate) struct Alone<F> {
    pub(crate) iv: [u32; 8],
    /// With this many lanes at work or fewer, one after another is faster.
    pub(crate) too_few: usize,
    /// Takes each block into the state.
    pub(crate) blocks: F,
}

/// What is left of a message: the caller's bytes, then the padding of §5.2.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    prefix: &'a [u8],
    body: &'a [u8],
    bits: u64,
    padding: Padding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// The one bit has not been written.
    Whole,
    /// Zeroes and the length are left.
    Length,
    Done,
}

impl<'a> Message<'a> {
    #[inline]
    pub(crate) fn new(prefix: &'a [u8], body: &'a [u8]) -> Self {
        let bits = (prefix.len() as u64).wrapping_add(body.len() as u64).wrapping_mul(8);
        Self { prefix, body, bits, padding: Padding::Whole }
    }

    /// The next block: the caller's own bytes where they are one run, else gathered into `scratch`. Copying them all
    /// costs a third of the speed, for a wide load of what narrow stores have just written must wait for them.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn next_block<'s>(&mut self, scratch: &'s mut [u8; BLOCK]) -> Option<&'s [u8; BLOCK]>
    where
        'a: 's,
    {
        if self.prefix.is_empty()
            && let Some((whole, rest)) = self.body.split_first_chunk::<BLOCK>()
        {
            self.body = rest;
            return Some(whole);
        }
        if self.padding == Padding::Done {
            return None;
        }
        self.gather(scratch);
        Some(scratch)
    }

    /// A block that is not one run of the caller's bytes.
    fn gather(&mut self, block: &mut [u8; BLOCK]) {
        *block = [0; BLOCK];
        let mut filled = 0;
        if !self.prefix.is_empty() {
            filled = take(&mut self.prefix, block);
        }
        if !self.body.is_empty() {
            filled += take(&mut self.body, &mut block[filled..]);
        }
        if filled == BLOCK {
            return;
        }
        if self.padding == Padding::Whole {
            block[filled] = 0x80;
            filled += 1;
            self.padding = Padding::Length;
        }
        if filled <= BLOCK - 8 {
            block[BLOCK - 8..].copy_from_slice(&self.bits.to_be_bytes());
            self.padding = Padding::Done;
        }
    }

    /// Hashes what is left after `state`, alone.
    fn finish(mut self, blocks: impl Fn(&mut [u32; 8], &[[u8; BLOCK]]), mut state: [u32; 8]) -> [u8; 32] {
        let mut scratch = [0; BLOCK];
        while !self.prefix.is_empty() {
            self.gather(&mut scratch);
            blocks(&mut state, &[scratch]);
        }
        let (whole, rest) = self.body.as_chunks::<BLOCK>();
        blocks(&mut state, whole);
        self.body = rest;
        while self.padding != Padding::Done {
            self.gather(&mut scratch);
            blocks(&mut state, &[scratch]);
        }
        to_bytes(state)
    }
}

/// Moves what fits from the front of `from` into the front of `to`.
fn take(from: &mut &[u8], to: &mut [u8]) -> usize {
    let (taken, rest) = from.split_at(from.len().min(to.len()));
    to[..taken.len()].copy_from_slice(taken);
    *from = rest;
    taken.len()
}

pub(crate) fn one_by_one<'a, 'o>(
    alone: &Alone<impl Fn(&mut [u32; 8], &[[u8; BLOCK]])>,
    messages: impl Iterator<Item = (Message<'a>, &'o mut [u8; 32])>,
) {
    for (message, out) in messages {
        *out = message.finish(&alone.blocks, alone.iv);
    }
}

/// With this many lanes at work or fewer, one after another is faster: a step of all lanes costs about as much as two
/// or three blocks alone.
const TOO_FEW: usize = 2;

/// Runs `N` lanes until too few messages are left to fill them.
#[cfg(target_arch = "x86_64")]
pub(crate) fn in_lanes<'a, 'o, const N: usize>(
    alone: &Alone<impl Fn(&mut [u32; 8], &[[u8; BLOCK]])>,
    mut messages: impl Iterator<Item = (Message<'a>, &'o mut [u8; 32])>,
    compress: impl Fn(&mut [[u32; N]; 8], &[&[u8; BLOCK]; N]),
) {
    let mut state = alone.iv.map(|word| [word; N]);
    let mut scratch = [[0; BLOCK]; N];
    let mut lanes: [Option<(Message<'a>, &'o mut [u8; 32])>; N] = core::array::from_fn(|_| messages.next());
    let mut working = lanes.iter().flatten().count();
    while working > alone.too_few {
        let mut blocks = [&[0; BLOCK]; N];
        for ((lane, block), scratch) in lanes.iter_mut().zip(&mut blocks).zip(&mut scratch) {
            if let Some((message, _)) = lane
                && let Some(next) = message.next_block(scratch)
            {
                *block = next;
            }
        }
        compress(&mut state, &blocks);
        for (k, lane) in lanes.iter_mut().enumerate() {
            if let Some((message, out)) = lane
                && message.padding == Padding::Done
            {
                **out = to_bytes(column(&state, k));
                state.iter_mut().zip(alone.iv).for_each(|(row, word)| row[k] = word);
                *lane = messages.next();
                working -= usize::from(lane.is_none());
            }
        }
    }
    for (k, lane) in lanes.into_iter().enumerate() {
        if let Some((message, out)) = lane {
            *out = message.finish(&alone.blocks, column(&state, k));
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn column<const N: usize>(state: &[[u32; N]; 8], k: usize) -> [u32; 8] {
    core::array::from_fn(|i| state[i][k])
}
