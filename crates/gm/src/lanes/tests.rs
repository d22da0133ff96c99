//! Every level against one stream after another, with streams of all lengths that begin and end at different times.

use proptest::prelude::*;

use super::{BLOCK, LANES, Lanes, PADDING, pad};
use crate::sm3::level::Level;
use crate::{Dual, DualDigest};

/// Hashes all messages at `level`: each lane takes the next when its own ends, in pieces of `piece` blocks.
fn all(level: Level, messages: &[Vec<u8>], piece: usize) -> Vec<DualDigest> {
    let padded: Vec<Vec<u8>> = messages.iter().map(|message| with_padding(message)).collect();
    let mut out = vec![Dual::digest(b"none"); messages.len()];
    let mut lanes = Lanes::new();
    let mut waiting = 0..messages.len();
    let mut at: [Option<(usize, usize)>; LANES] = core::array::from_fn(|_| waiting.next().map(|m| (m, 0)));
    while at.iter().any(Option::is_some) {
        let mut pieces = [&[][..]; LANES];
        for (lane, place) in at.iter_mut().enumerate() {
            let Some((message, done)) = place else { continue };
            let blocks = padded[*message].as_chunks::<BLOCK>().0;
            // Unequal pieces: lanes must not wait for each other.
            let end = (*done + piece + lane % 3).min(blocks.len());
            pieces[lane] = &blocks[*done..end];
            *done = end;
        }
        lanes.absorb_at(level, pieces);
        for (lane, place) in at.iter_mut().enumerate() {
            let Some((message, done)) = *place else { continue };
            if done * BLOCK == padded[message].len() {
                out[message] = lanes.digest(lane);
                lanes.restart(lane);
                *place = waiting.next().map(|m| (m, 0));
            }
        }
    }
    out
}

fn with_padding(message: &[u8]) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.resize(message.len() + PADDING, 0xaa);
    let end = pad(&mut padded, message.len(), message.len() as u64);
    padded.truncate(end);
    assert!(end.is_multiple_of(BLOCK) && end - message.len() <= PADDING);
    padded
}

proptest! {
    #[test]
    fn lanes_agree_with_one_stream(
        lengths in prop::collection::vec(prop_oneof![0..200usize, Just(55), Just(56), Just(64), 0..5000usize], 0..70),
        piece in 1..40usize,
        seed: u8,
    ) {
        let byte = |i: usize, k: usize| (k.wrapping_mul(31) ^ i ^ usize::from(seed)).to_le_bytes()[0];
        let messages: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(i, n)| (0..*n).map(|k| byte(i, k)).collect()).collect();
        let expected: Vec<DualDigest> = messages.iter().map(|m| Dual::digest(m)).collect();
        for level in Level::all() {
            prop_assert_eq!(&all(level, &messages, piece), &expected);
        }
    }
}

#[test]
fn a_padding_may_need_a_block_of_its_own() {
    for length in 0..200 {
        let message = vec![7; length];
        assert_eq!(with_padding(&message).len() / BLOCK, (length + 8) / BLOCK + 1);
        assert_eq!(all(Level::Portable, std::slice::from_ref(&message), 1), [Dual::digest(&message)]);
    }
}

#[test]
fn pages_agree_with_one_stream_at_every_level() {
    use sha2::Digest as _;
    let bytes: Vec<u8> = (0..40 * 512u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for level in Level::all() {
        for (size, count) in [(64, 0), (64, 1), (64, 3), (64, 17), (512, 16), (512, 40), (4096, 5)] {
            let pages = &bytes[..size * count];
            let mut out = vec![[0; 32]; count];
            super::pages::pages_at(level, pages, size, &mut out);
            let expected: Vec<[u8; 32]> =
                pages.chunks(size).map(|p| sha2::Sha256::digest(p).into()).collect();
            assert_eq!(out, expected, "{count} of {size} at {level:?}");
        }
    }
}
