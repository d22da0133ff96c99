//! SHA-256 of a container: of all its bytes, and of each block.

use seal::{Container, Format, block_size_for};
use sha2::{Digest as _, Sha256};

pub(crate) struct BlockHasher {
    whole: Sha256,
    block: Sha256,
    blocks: Vec<[u8; 32]>,
    block_size: u64,
    /// Besides the blocks' own ends, a block ends here: at the size that the sealed container had, so that bytes
    /// appended to it do not damage its last block.
    cut: Option<u64>,
    position: u64,
    end: u64,
}

impl BlockHasher {
    pub(crate) fn new(size: u64, sealed: Option<(u64, u64)>) -> Self {
        let (block_size, cut) = match sealed {
            Some((block_size, cut)) => (block_size, Some(cut)),
            None => (block_size_for(size), None),
        };
        let mut hasher = Self {
            whole: Sha256::new(),
            block: Sha256::new(),
            blocks: Vec::new(),
            block_size,
            cut,
            position: 0,
            end: 0,
        };
        hasher.end = hasher.next_end();
        hasher
    }

    fn next_end(&self) -> u64 {
        let end = (self.position / self.block_size + 1) * self.block_size;
        self.cut.filter(|cut| (self.position + 1..end).contains(cut)).unwrap_or(end)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        // Small enough to stay in the first-level cache between the two.
        for bytes in bytes.chunks(16 * 1024) {
            self.whole.update(bytes);
            self.update_blocks(bytes);
        }
    }

    fn update_blocks(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.position += now.len() as u64;
            bytes = rest;
            if self.position == self.end {
                self.blocks.push(self.block.finalize_reset().into());
                self.end = self.next_end();
            }
        }
    }

    pub(crate) fn finish(mut self, format: Format) -> ([u8; 32], Container) {
        let starts_here = self.position.is_multiple_of(self.block_size) || self.cut == Some(self.position);
        if !starts_here {
            self.blocks.push(self.block.finalize().into());
        }
        let Self { whole, blocks, block_size, position: size, .. } = self;
        (whole.finalize().into(), Container { format, size, block_size, blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(bytes: &[u8], chunk: usize, sealed: Option<(u64, u64)>) -> Vec<[u8; 32]> {
        let mut hasher = BlockHasher::new(bytes.len() as u64, sealed);
        bytes.chunks(chunk).for_each(|c| hasher.update(c));
        hasher.finish(Format::Zip).1.blocks
    }

    #[test]
    fn blocks_do_not_depend_on_the_reads() {
        let bytes = vec![7u8; 10_000];
        let expected: Vec<[u8; 32]> = bytes.chunks(4096).map(|c| Sha256::digest(c).into()).collect();
        for chunk in [1, 1000, 4096, 10_000] {
            assert_eq!(blocks(&bytes, chunk, None), expected);
        }
        assert_eq!(blocks(&bytes[..8192], 4096, None), expected[..2]);
        assert!(blocks(&[], 1, None).is_empty());
    }

    #[test]
    fn an_appended_tail_leaves_the_last_block_whole() {
        let bytes = vec![7u8; 5000];
        let sealed = blocks(&bytes[..4500], 100, None);
        let now = blocks(&bytes, 100, Some((4096, 4500)));
        assert_eq!(now[..2], sealed);
        assert_eq!(now.len(), 3);
    }
}
