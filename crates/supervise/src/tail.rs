//! The last bytes of a stream, in a buffer that never grows past its limit.

use std::collections::VecDeque;

/// Keeps the last `limit` bytes written to it.
#[derive(Debug)]
pub(crate) struct Tail {
    limit: usize,
    bytes: VecDeque<u8>,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.limit)..];
        let surplus = (self.bytes.len() + kept.len()).saturating_sub(self.limit);
        self.bytes.drain(..surplus);
        self.bytes.extend(kept);
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_bytes_however_they_are_split() {
        let all: Vec<u8> = (0..=255).collect();
        for limit in [0, 1, 7, 100, 256, 300] {
            for step in [1, 3, 99, 256] {
                let mut tail = Tail::new(limit);
                all.chunks(step).for_each(|chunk| tail.push(chunk));
                assert_eq!(tail.to_vec(), all[all.len().saturating_sub(limit)..], "{limit} {step}");
            }
        }
    }
}
