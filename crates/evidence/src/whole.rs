//! All bytes of a file under both hashes, and of a container the SHA-256 of each block.
//!
//! One stream cannot be hashed faster than its chain of blocks allows, so the two hashes of a large file run on a
//! thread each, over buffers that the reading thread fills once. A buffer is filled again when both are through with
//! it; how many there are is bounded by the channels.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use gm::DualDigest;
use gmdevice::Device;
use seal::{Container, Format};

use crate::blocks::BlockHasher;
use crate::error::EvidenceError;
use crate::hash::Sm3Sum;

/// Bytes of a buffer.
pub(crate) const BUFFER: usize = 256 * 1024;
/// Buffers that wait for either hash.
const WAITING: usize = 2;
/// Below this size, starting threads costs more than they save.
const SMALL: u64 = 1 << 20;

/// A buffer that is read into once and hashed twice.
type Shared = Arc<Vec<u8>>;

pub(crate) struct Whole {
    hashers: Hashers,
    buffers: Vec<Shared>,
}

enum Hashers {
    /// Nobody wants to know.
    None,
    Here(Box<(BlockHasher, Sm3Sum)>),
    Threads {
        sha256: Thread<BlockHasher>,
        sm3: Thread<Sm3Sum>,
    },
}

/// A thread that takes buffers until the sender is gone.
struct Thread<T> {
    sender: SyncSender<(Shared, usize)>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Thread<T> {
    fn start(mut hasher: T, update: fn(&mut T, &[u8])) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<(Shared, usize)>(WAITING);
        let run = move || {
            for (buffer, filled) in receiver {
                update(&mut hasher, &buffer[..filled]);
            }
            hasher
        };
        Ok(Self { sender, thread: std::thread::Builder::new().name("hash".into()).spawn(run)? })
    }

    fn finish(self) -> T {
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Whole {
    /// For `size` bytes; of a container that is compared, the sealed one's block size and size.
    pub(crate) fn new(size: u64, sealed: Option<(u64, u64)>, device: Option<&Device>) -> Self {
        let hashers = Hashers::new(size, sealed, device);
        Self { hashers, buffers: Vec::new() }
    }

    /// Hands out buffers and hashes nothing.
    pub(crate) fn unhashed() -> Self {
        Self { hashers: Hashers::None, buffers: Vec::new() }
    }

    /// A buffer to read into: one that no thread looks at any more.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        let free = self.buffers.iter_mut().find_map(|shared| Arc::get_mut(shared).map(std::mem::take));
        self.buffers.retain(|shared| !shared.is_empty());
        free.unwrap_or_else(|| vec![0; BUFFER])
    }

    /// Takes the first `filled` bytes of what [`Whole::buffer`] gave, and gives them back to be read.
    pub(crate) fn update(&mut self, buffer: Vec<u8>, filled: usize) -> Shared {
        let shared = Arc::new(buffer);
        match &mut self.hashers {
            Hashers::None => {}
            Hashers::Here(hashers) => {
                hashers.0.update(&shared[..filled]);
                hashers.1.update(&shared[..filled]);
            }
            Hashers::Threads { sha256, sm3 } => {
                // A thread that is gone has panicked, and says so when it is joined.
                let _ = sha256.sender.send((Arc::clone(&shared), filled));
                let _ = sm3.sender.send((Arc::clone(&shared), filled));
            }
        }
        self.buffers.push(Arc::clone(&shared));
        shared
    }

    /// The digests, where they were wanted.
    pub(crate) fn finish(self, format: Format) -> Result<Option<(DualDigest, Container)>, EvidenceError> {
        let (blocks, sm3) = match self.hashers {
            Hashers::None => return Ok(None),
            Hashers::Here(hashers) => *hashers,
            Hashers::Threads { sha256, sm3 } => (sha256.finish(), sm3.finish()),
        };
        let (sha256, container) = blocks.finish(format);
        Ok(Some((DualDigest { sha256, sm3: sm3.finish()? }, container)))
    }
}

impl Hashers {
    fn new(size: u64, sealed: Option<(u64, u64)>, device: Option<&Device>) -> Self {
        let here = || Self::Here(Box::new((BlockHasher::new(size, sealed), Sm3Sum::new(device))));
        if size < SMALL {
            return here();
        }
        // A system that gives no threads still gives digests.
        let sha256 = Thread::start(BlockHasher::new(size, sealed), BlockHasher::update);
        let sm3 = Thread::start(Sm3Sum::new(device), Sm3Sum::update);
        match (sha256, sm3) {
            (Ok(sha256), Ok(sm3)) => Self::Threads { sha256, sm3 },
            _ => here(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_no_threads_agree() {
        let size = usize::try_from(2 * SMALL).unwrap() + 12_345;
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 / 5).to_le_bytes()[0]).collect();
        let found = [SMALL - 1, size as u64].map(|announced| {
            let mut whole = Whole::new(announced, Some((4096, size as u64)), None);
            for piece in bytes.chunks(BUFFER - 100) {
                let mut buffer = whole.buffer();
                buffer[..piece.len()].copy_from_slice(piece);
                let shared = whole.update(buffer, piece.len());
                assert_eq!(&shared[..piece.len()], piece);
            }
            assert!(whole.buffers.len() <= 2 * WAITING + 4, "{} buffers", whole.buffers.len());
            whole.finish(Format::Zip).unwrap().unwrap()
        });
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0].0, gm::Dual::digest(&bytes));
    }
}
