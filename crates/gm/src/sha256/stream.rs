//! SHA-256 of a stream, and of the pages that it is made of, in one go.

#[cfg(target_arch = "x86_64")]
use super::simd::Pair;
use crate::lanes::{BLOCK, SHA256_IV, pad, sha256_pages};
use crate::sm3::to_bytes;

/// SHA-256 of a stream. For one stream alone it is what `sha2` is, whose code it runs; [`Stream::update_with_pages`] is
/// what it is for.
///
/// ```
/// # use sha2::Digest as _;
/// let mut stream = gm::sha256::Stream::new();
/// stream.update(b"head");
/// let mut pages = [[0; 32]; 3];
/// stream.update_with_pages(&[7; 3 * 4096], 4096, &mut pages);
/// assert_eq!(pages[1], *sha2::Sha256::digest([7; 4096]));
/// assert_eq!(stream.finalize(), *sha2::Sha256::digest([&b"head"[..], &[7; 3 * 4096]].concat()));
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    state: [u32; 8],
    /// What stands behind the last whole block.
    partial: [u8; BLOCK],
    length: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// A stream that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { state: SHA256_IV, partial: [0; BLOCK], length: 0 }
    }

    /// Bytes behind the last whole block.
    fn filled(&self) -> usize {
        usize::from(self.length.to_le_bytes()[0]) % BLOCK // which divides 256
    }

    /// Takes the next bytes. Any split of the stream gives the same digest.
    pub fn update(&mut self, bytes: &[u8]) {
        let Some((first, rest)) = self.first(bytes) else { return };
        if let Some(first) = first {
            sha2::block_api::compress256(&mut self.state, core::slice::from_ref(&first));
        }
        let (blocks, rest) = rest.as_chunks();
        sha2::block_api::compress256(&mut self.state, blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
    }

    /// Counts the bytes. The block that they complete, if one was begun, and the bytes behind it; none when they do not
    /// reach its end, and were kept.
    fn first<'a>(&mut self, bytes: &'a [u8]) -> Option<(Option<[u8; BLOCK]>, &'a [u8])> {
        let filled = self.filled();
        self.length += bytes.len() as u64;
        if filled == 0 {
            return Some((None, bytes));
        }
        let (begun, rest) = bytes.split_at(bytes.len().min(BLOCK - filled));
        self.partial[filled..filled + begun.len()].copy_from_slice(begun);
        (filled + begun.len() == BLOCK).then_some((Some(self.partial), rest))
    }

    /// Takes the next bytes, which are pages of `size` bytes: `out[i]` is the digest of the one at `i * size` alone.
    ///
    /// # Panics
    /// When `size` is no multiple of [`BLOCK`] or zero, or `out` has not one place for each page.
    pub fn update_with_pages(&mut self, pages: &[u8], size: usize, out: &mut [[u8; 32]]) {
        assert!(size != 0 && size.is_multiple_of(BLOCK), "a page is whole blocks");
        assert!(
            pages.len().is_multiple_of(size) && pages.len() / size == out.len(),
            "one digest for each page"
        );
        #[cfg(target_arch = "x86_64")]
        if let Some(pair) = Pair::detect() {
            pages.chunks_exact(size).zip(out).for_each(|(page, out)| *out = self.page(pair, page));
            return;
        }
        self.update(pages);
        sha256_pages(pages, size, out);
    }

    /// One page, its blocks beside those of the stream.
    #[cfg(target_arch = "x86_64")]
    fn page(&mut self, pair: Pair, page: &[u8]) -> [u8; 32] {
        let (of_page, _) = page.as_chunks::<BLOCK>();
        let mut state = SHA256_IV;
        let (mut at, mut rest) = (0, page);
        // A page is a block at least: the one that was begun is completed.
        if let Some((first, behind)) = self.first(page) {
            rest = behind;
            if let Some(first) = first {
                let (first, own) = (core::slice::from_ref(&first), &of_page[..1]);
                pair.blocks((&mut self.state, first), (&mut state, own));
                at = 1;
            }
        }
        let (blocks, behind) = rest.as_chunks();
        pair.blocks((&mut self.state, blocks), (&mut state, &of_page[at..]));
        self.partial[..behind.len()].copy_from_slice(behind);
        let mut padding = [0; BLOCK];
        let _ = pad(&mut padding, 0, page.len() as u64);
        sha2::block_api::compress256(&mut state, core::slice::from_ref(&padding));
        to_bytes(state)
    }

    /// The digest of everything taken.
    #[must_use]
    pub fn finalize(mut self) -> [u8; 32] {
        let mut end = [0; 2 * BLOCK];
        let filled = self.filled();
        end[..filled].copy_from_slice(&self.partial[..filled]);
        let used = pad(&mut end, filled, self.length);
        sha2::block_api::compress256(&mut self.state, end[..used].as_chunks().0);
        to_bytes(self.state)
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    /// However the stream stands to blocks when pages come, both are what `sha2` says.
    #[test]
    fn stream_and_pages_are_what_each_is_alone() {
        let bytes: Vec<u8> = (0..20_000u32).map(|n| (n * 31 % 251) as u8).collect();
        for before in [0, 1, 52, 63, 64, 65, 127] {
            for (size, count) in [(64, 5), (128, 1), (512, 4), (4096, 3), (4096, 0)] {
                for after in [0, 1, 63, 64, 200] {
                    let (whole, mut stream) = (&bytes[..before + size * count + after], Stream::new());
                    let mut out = vec![[0; 32]; count];
                    stream.update(&whole[..before]);
                    let pages = &whole[before..before + size * count];
                    stream.update_with_pages(pages, size, &mut out);
                    stream.update(&whole[before + size * count..]);
                    assert_eq!(stream.finalize(), *sha2::Sha256::digest(whole), "{before} {size} {after}");
                    for (page, out) in pages.chunks(size).zip(out) {
                        assert_eq!(out, *sha2::Sha256::digest(page), "{before} {size} {after}");
                    }
                }
            }
        }
    }

    #[test]
    fn any_split_of_a_stream_is_the_same() {
        let bytes: Vec<u8> = (0..300u32).map(|n| (n % 251) as u8).collect();
        for (first, second) in [(0, 0), (1, 62), (63, 1), (63, 2), (64, 64), (10, 200), (100, 3)] {
            let mut stream = Stream::new();
            let (a, rest) = bytes.split_at(first);
            let (b, c) = rest.split_at(second);
            [a, b, c].into_iter().for_each(|part| stream.update(part));
            assert_eq!(stream.finalize(), *sha2::Sha256::digest(&bytes));
        }
    }
}
