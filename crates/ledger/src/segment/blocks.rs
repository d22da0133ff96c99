//! What is written to a segment, in whole blocks of the disk and aligned in memory, so that it can go past the page cache.
//!
//! Copying a group into fresh pages of the cache costs more than anything else that is done with it
//! (docs/design/0029). The block in which the last record ended is written again with the same bytes in front; what was
//! acknowledged stands in sectors that are only replaced by themselves and more.

/// Blocks of the disk: offsets, lengths and addresses are multiples of it. No disk asks for more (statx(2),
/// `stx_dio_offset_align`).
pub(crate) const BLOCK: usize = 4096;

/// A row of blocks that is filled again and again.
#[derive(Default)]
pub(crate) struct Blocks {
    /// From `start` on, which is a multiple of [`BLOCK`] in memory.
    bytes: Vec<u8>,
    start: usize,
    /// Where what is new begins.
    new: usize,
}

impl Blocks {
    /// Begins anew behind `tail`, with room for `more` bytes.
    pub(crate) fn begin(&mut self, tail: &[u8], more: usize) -> &mut Vec<u8> {
        self.bytes.clear();
        // Room for everything at once: memory that moved would not be aligned any more.
        self.bytes.reserve((tail.len() + more).next_multiple_of(BLOCK) + BLOCK);
        self.start = self.bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        self.bytes.resize(self.start, 0);
        self.bytes.extend_from_slice(tail);
        self.new = self.bytes.len();
        &mut self.bytes
    }

    /// Where what is new begins in the memory that [`Blocks::begin`] gave.
    pub(crate) fn new_at(&self) -> usize {
        self.new
    }

    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Everything, with zeroes up to the end of the last block.
    pub(crate) fn whole(&mut self) -> &[u8] {
        let end = self.start + (self.bytes.len() - self.start).next_multiple_of(BLOCK);
        self.bytes.resize(end, 0);
        &self.bytes[self.start..]
    }

    /// What is new, of so many bytes.
    pub(crate) fn new_bytes(&self, length: usize) -> &[u8] {
        &self.bytes[self.new..self.new + length]
    }

    /// What stands in the last block when `length` new bytes were added.
    pub(crate) fn tail(&self, length: usize) -> &[u8] {
        let (begin, end) = (self.start, self.new + length);
        &self.bytes[begin + (end - begin) / BLOCK * BLOCK..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_the_tail_is_what_the_last_one_holds() {
        let mut blocks = Blocks::default();
        let (mut file, mut tail) = (Vec::new(), Vec::new());
        for length in [8, 4088, 4096, 16, 100_000, 8192, 24, 4072, 40] {
            let new = vec![u8::try_from(length % 251).unwrap(); length];
            blocks.begin(&tail, length).extend_from_slice(&new);
            let at = file.len() - tail.len();
            let whole = blocks.whole();
            assert_eq!((whole.as_ptr().align_offset(BLOCK), whole.len() % BLOCK, at % BLOCK), (0, 0, 0));
            file.truncate(at);
            file.extend_from_slice(whole);
            assert_eq!(blocks.new_bytes(length), new);
            tail = blocks.tail(length).to_vec();
            file.truncate(at + blocks.new_at() - blocks.start + length);
            assert!(file.ends_with(&tail) && tail.len() == file.len() % BLOCK);
        }
        assert_eq!(file.len(), 8 + 4088 + 4096 + 16 + 100_000 + 8192 + 24 + 4072 + 40);
    }
}
