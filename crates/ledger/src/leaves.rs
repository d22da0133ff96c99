//! Leaves next to each other, in one piece of memory: an allocation for each of a million leaves a second would cost
//! more than hashing them.

use tlog::bundle;

/// Leaves in order, in the form in which entry bundles and the log's files hold them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Leaves {
    /// Each leaf after its big-endian 16-bit length.
    payload: Vec<u8>,
    count: u32,
    /// Length of the first leaf that no bundle can carry.
    too_long: Option<usize>,
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves").field("count", &self.count).field("bytes", &self.payload.len()).finish()
    }
}

impl Leaves {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// None, with room for so many bytes of leaves and their lengths.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { payload: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds a leaf. One that is longer than 65,535 bytes is refused when the leaves are offered.
    pub fn push(&mut self, leaf: &[u8]) {
        match bundle::push(&mut self.payload, leaf) {
            Some(()) => self.count += 1,
            None => self.too_long = self.too_long.or(Some(leaf.len())),
        }
    }

    /// Adds a leaf that `write` appends to the buffer it is given; answers what `write` answers. What it appended is
    /// taken away again when it fails.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.payload.len();
        self.payload.extend_from_slice(&[0; 2]);
        if let Err(error) = write(&mut self.payload) {
            self.payload.truncate(start);
            return Err(error);
        }
        let length = self.payload.len() - start - 2;
        match u16::try_from(length) {
            Ok(short) => {
                self.payload[start..start + 2].copy_from_slice(&short.to_be_bytes());
                self.count += 1;
            }
            Err(_) => {
                self.payload.truncate(start);
                self.too_long = self.too_long.or(Some(length));
            }
        }
        Ok(())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of all of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payload.len() - 2 * self.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The leaves, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        bundle::entries(&self.payload).filter_map(Result::ok)
    }

    /// Bytes that there is memory for.
    pub(crate) fn room(&self) -> usize {
        self.payload.capacity()
    }

    /// None, in the same memory.
    pub(crate) fn emptied(mut self) -> Self {
        self.payload.clear();
        Self { payload: self.payload, count: 0, too_long: None }
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn too_long(&self) -> Option<usize> {
        self.too_long
    }

    /// The same leaves in pieces of about `most` bytes, each with one leaf at least.
    pub(crate) fn split(self, most: usize) -> Vec<Self> {
        if self.payload.len() <= most {
            return vec![self];
        }
        let (mut pieces, mut piece) = (Vec::new(), Self::new());
        for leaf in self.iter() {
            if !piece.is_empty() && piece.payload.len() + leaf.len() + 2 > most {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.push(leaf);
        }
        pieces.push(piece);
        pieces
    }
}

impl<L: AsRef<[u8]>> FromIterator<L> for Leaves {
    fn from_iter<I: IntoIterator<Item = L>>(leaves: I) -> Self {
        let mut out = Self::new();
        leaves.into_iter().for_each(|leaf| out.push(leaf.as_ref()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_the_same_leaves() {
        let leaves: Leaves = (0..100u8).map(|i| vec![i; usize::from(i) * 3]).collect();
        for most in [0, 1, 50, 300, 1 << 20] {
            let pieces = leaves.clone().split(most);
            assert!(pieces.iter().all(|piece| piece.len() == 1 || piece.payload.len() <= most));
            let joined: Vec<&[u8]> = pieces.iter().flat_map(Leaves::iter).collect();
            assert_eq!(joined, leaves.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_fails_to_be_written_leaves_no_trace() {
        let mut leaves = Leaves::new();
        leaves
            .push_with(|out| {
                out.extend_from_slice(b"one");
                Ok::<_, ()>(())
            })
            .unwrap();
        leaves
            .push_with(|out| {
                out.extend_from_slice(b"half");
                Err(())
            })
            .unwrap_err();
        leaves.push(b"two");
        assert_eq!(leaves.iter().collect::<Vec<_>>(), [&b"one"[..], b"two"]);
        leaves.push(&[0; 65536]);
        assert_eq!((leaves.len(), leaves.too_long()), (2, Some(65536)));
    }
}
