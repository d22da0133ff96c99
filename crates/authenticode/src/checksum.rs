//! The `CheckSum` of a PE image, as `CheckSumMappedFile` computes it: the sixteen-bit words of the file added with
//! the carry put back in, the field itself counted as zero, and the size of the file on top. It protects nothing;
//! the loader asks for it in drivers and in system DLLs, and reputation services ask for it everywhere.

/// A checksum in the making.
#[derive(Clone, Default, Debug)]
pub(crate) struct Checksum {
    sum: u64,
    length: u64,
}

impl Checksum {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        // Four bytes at a time, in step with the file: 2^16 is 1 modulo 2^16 - 1, so that wider words add up alike.
        while !self.length.is_multiple_of(4) && !rest.is_empty() {
            self.sum += u64::from(rest[0]) << (8 * (self.length % 4));
            self.length += 1;
            rest = &rest[1..];
        }
        let words = rest.chunks_exact(4);
        let tail = words.remainder();
        self.sum += words.map(|w| u64::from(u32::from_le_bytes([w[0], w[1], w[2], w[3]]))).sum::<u64>();
        for (at, byte) in tail.iter().enumerate() {
            self.sum += u64::from(*byte) << (8 * at);
        }
        self.length += rest.len() as u64;
    }

    /// Takes `bytes` at the even offset `at`, where zeros were taken before.
    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        for (byte, offset) in bytes.iter().zip(at..) {
            self.sum += u64::from(*byte) << (8 * (offset % 4));
        }
    }

    /// The checksum of everything taken.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits; files above are refused")]
    pub(crate) fn finish(&self) -> u32 {
        let mut sum = self.sum;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (sum + self.length) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn slow(bytes: &[u8]) -> u32 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8;
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum + u32::try_from(bytes.len()).unwrap()
    }

    #[test]
    fn any_split_gives_the_sum_of_the_definition() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for length in [0, 1, 2, 3, 999, 1000] {
            for split in [0, 1, 2, 3, 5, 500] {
                let split = split.min(length);
                let mut sum = Checksum::default();
                sum.update(&bytes[..split]);
                sum.update(&bytes[split..length]);
                assert_eq!(sum.finish(), slow(&bytes[..length]), "{length} at {split}");
            }
        }
    }

    #[test]
    fn what_is_put_later_counts_where_it_stands() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut zeroed = bytes.clone();
        zeroed[88..92].fill(0);
        let mut sum = Checksum::default();
        sum.update(&zeroed);
        sum.put(88, &bytes[88..92]);
        assert_eq!(sum.finish(), slow(&bytes));
    }
}
