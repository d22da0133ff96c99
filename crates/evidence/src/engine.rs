//! Hashes many contents at once: every thread keeps sixteen of them in the lanes of [`gm::Lanes`], and each lane takes
//! the next when its own ends.
//!
//! What is read goes straight into the buffer of a lane and is hashed from there, so memory is the lanes' buffers and
//! nothing else, whatever the contents' sizes. Short contents stand one behind the other in a buffer, each with its
//! padding, so that a thousand of them cost a few steps; a long one goes on where it was. Who takes what depends on
//! the threads' speed; what comes out does not.

use std::collections::VecDeque;

use gmdevice::Device;

use gm::{BLOCK, DualDigest, LANES, Lanes, PADDING};

use crate::error::EvidenceError;
use crate::hash::Both;

/// Bytes of a lane's buffer: sixteen of them are half of a second-level cache.
pub(crate) const CHUNK: usize = 32 * 1024;
/// A buffer with less room than this takes no further content.
const ROOM: usize = 4 * 1024;
/// With fewer lanes at work, the empty ones are filled first.
const BUSY: usize = 12;

/// A content that is read.
pub(crate) trait Task {
    /// Fills `buffer`; gives fewer bytes than it holds only when the content ends, and has checked it by then.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EvidenceError>;

    /// Bytes that are best filled at once, at least [`CHUNK`].
    fn stride(&self) -> usize {
        CHUNK
    }
}

/// Where the contents come from and where their digests go. Called by every thread.
pub(crate) trait Supply: Sync {
    type Task: Task;
    /// The next content. When there is none now, a thread that is `idle` waits for one.
    fn next(&self, idle: bool) -> Next<Self::Task>;
    /// Takes what came of a content.
    fn done(&self, task: Self::Task, digest: Result<DualDigest, EvidenceError>);
}

/// What a supply has.
pub(crate) enum Next<T> {
    Task(T),
    /// Nothing now.
    Later,
    /// Nothing any more.
    Never,
}

/// Runs threads until the supply is exhausted, and `beside` on this one meanwhile. A device takes one stream after another
/// of each thread.
pub(crate) fn run<S: Supply, R>(
    supply: &S,
    (threads, device): (usize, Option<&Device>),
    beside: impl FnOnce() -> R,
) -> R {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| match device {
                    None => Worker::new(supply).run(),
                    Some(device) => alone(supply, device),
                })
            })
            .collect();
        let result = beside();
        // The end of a scope waits for the closures alone: a thread could still be on its way out after it.
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        result
    })
}

/// One content after another, SM3 by the device.
fn alone<S: Supply>(supply: &S, device: &Device) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match supply.next(true) {
            Next::Never => return,
            Next::Later => {}
            Next::Task(mut task) => {
                let mut both = Both::new(Some(device));
                let digest = loop {
                    match task.fill(&mut buffer) {
                        Err(error) => break Err(error),
                        Ok(count) => {
                            both.update(&buffer[..count]);
                            if count < buffer.len() {
                                break both.finish().map_err(EvidenceError::from);
                            }
                        }
                    }
                };
                supply.done(task, digest);
            }
        }
    }
}

/// One stream, and what stands in its buffer.
struct Lane<T> {
    buffer: Vec<u8>,
    /// What is hashed already, and what stands there; both are multiples of a block.
    at: usize,
    end: usize,
    /// Contents that end in the buffer, and where.
    ending: VecDeque<(usize, T, u64)>,
    /// The content that goes on behind it, and its length so far.
    open: Option<(T, u64)>,
}

impl<T: Task> Lane<T> {
    fn new() -> Self {
        Self { buffer: Vec::new(), at: 0, end: 0, ending: VecDeque::new(), open: None }
    }

    fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// Reads more of `task` behind what stands there. When it fails, what was read of it is taken back.
    fn read(&mut self, mut task: T, length: u64) -> Result<(), (T, EvidenceError)> {
        let full = task.stride();
        if self.buffer.len() < full + PADDING {
            self.buffer.resize(full + PADDING, 0);
        }
        let room = &mut self.buffer[self.end..full];
        match task.fill(room) {
            Err(error) => Err((task, error)),
            Ok(count) if count == room.len() => {
                self.end = full;
                self.open = Some((task, length + count as u64));
                Ok(())
            }
            Ok(count) => {
                let length = length + count as u64;
                self.end = gm::pad(&mut self.buffer, self.end + count, length);
                self.ending.push_back((self.end, task, length));
                Ok(())
            }
        }
    }

    /// What can be hashed before a content ends.
    fn piece(&self) -> &[[u8; BLOCK]] {
        let end = self.ending.front().map_or(self.end, |(end, ..)| *end);
        self.buffer.get(self.at..end).unwrap_or_default().as_chunks().0
    }
}

struct Worker<'s, S: Supply> {
    supply: &'s S,
    states: Lanes,
    lanes: [Lane<S::Task>; LANES],
    exhausted: bool,
}

impl<'s, S: Supply> Worker<'s, S> {
    fn new(supply: &'s S) -> Self {
        Self { supply, states: Lanes::new(), lanes: std::array::from_fn(|_| Lane::new()), exhausted: false }
    }

    fn run(mut self) {
        loop {
            self.fill();
            if self.busy() == 0 {
                if self.exhausted {
                    return;
                }
                continue;
            }
            // Contents differ in length: stop when many lanes are through, unless nothing can be put into them.
            let enough = if self.exhausted { 1 } else { BUSY };
            loop {
                self.step();
                if self.busy() < enough {
                    break;
                }
            }
        }
    }

    fn busy(&self) -> usize {
        self.lanes.iter().filter(|lane| !lane.is_empty()).count()
    }

    /// Goes round the empty buffers, one content each, until they are full or nothing is left: few contents spread
    /// over many lanes.
    fn fill(&mut self) {
        let mut empty = 0u32;
        for lane in 0..LANES {
            if self.lanes[lane].is_empty() {
                empty |= 1 << lane;
                self.lanes[lane].at = 0;
                self.lanes[lane].end = 0;
                if let Some((task, length)) = self.lanes[lane].open.take() {
                    self.read(lane, task, length);
                }
            }
        }
        let mut took = true;
        while took && !self.exhausted {
            took = false;
            for lane in (0..LANES).filter(|lane| empty >> lane & 1 == 1) {
                let place = &self.lanes[lane];
                if place.open.is_some() || CHUNK.saturating_sub(place.end) < ROOM {
                    continue;
                }
                let idle = !took && self.busy() == 0;
                match self.supply.next(idle) {
                    Next::Task(task) => self.read(lane, task, 0),
                    Next::Later => return,
                    Next::Never => {
                        self.exhausted = true;
                        return;
                    }
                }
                took = true;
            }
        }
    }

    fn read(&mut self, lane: usize, task: S::Task, length: u64) {
        if let Err((task, error)) = self.lanes[lane].read(task, length) {
            if length > 0 {
                self.states.restart(lane);
            }
            self.supply.done(task, Err(error));
        }
    }

    /// Hashes as far as the first content that ends in any lane.
    fn step(&mut self) {
        let mut pieces = [&[][..]; LANES];
        let mut blocks = usize::MAX;
        for (piece, lane) in pieces.iter_mut().zip(&self.lanes) {
            *piece = lane.piece();
            if !piece.is_empty() {
                blocks = blocks.min(piece.len());
            }
        }
        for piece in &mut pieces {
            *piece = &piece[..piece.len().min(blocks)];
        }
        self.states.absorb(pieces);
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.is_empty() {
                continue;
            }
            lane.at += blocks * BLOCK;
            if lane.ending.front().is_some_and(|(end, ..)| *end == lane.at)
                && let Some((_, task, _)) = lane.ending.pop_front()
            {
                let digest = self.states.digest(at);
                self.states.restart(at);
                self.supply.done(task, Ok(digest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Bytes {
        number: usize,
        left: usize,
        fails_at: Option<usize>,
    }

    impl Task for Bytes {
        fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EvidenceError> {
            if self.fails_at.is_some_and(|at| at >= self.left.saturating_sub(buffer.len())) {
                return Err(EvidenceError::entry("x", "test"));
            }
            let count = buffer.len().min(self.left);
            buffer[..count].fill(self.number.to_le_bytes()[0]);
            self.left -= count;
            Ok(count)
        }
    }

    struct Sizes {
        sizes: Vec<usize>,
        next: Mutex<usize>,
        found: Mutex<Vec<(usize, Option<DualDigest>)>>,
    }

    impl Supply for Sizes {
        type Task = Bytes;

        fn next(&self, _: bool) -> Next<Bytes> {
            let mut next = self.next.lock().unwrap();
            let number = *next;
            *next += 1;
            match self.sizes.get(number) {
                Some(left) => {
                    let fails_at = (number % 7 == 3).then_some(*left / 2);
                    Next::Task(Bytes { number, left: *left, fails_at })
                }
                None => Next::Never,
            }
        }

        fn done(&self, task: Bytes, digest: Result<DualDigest, EvidenceError>) {
            self.found.lock().unwrap().push((task.number, digest.ok()));
        }
    }

    #[test]
    fn every_content_gets_its_own_digest() {
        let edges = [0, 1, 55, 56, 63, 64, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 77];
        let sizes: Vec<usize> = edges.iter().cycle().take(400).enumerate().map(|(i, n)| n + i % 3).collect();
        for (threads, count) in [(1, 400), (3, 400), (2, 5), (1, 1), (2, 0)] {
            let sizes = sizes[..count].to_vec();
            let supply = Sizes { sizes: sizes.clone(), next: Mutex::new(0), found: Mutex::default() };
            run(&supply, (threads, None), || ());
            let mut found = supply.found.into_inner().unwrap();
            found.sort_by_key(|(number, _)| *number);
            assert_eq!(found.len(), count);
            for ((number, digest), size) in found.into_iter().zip(sizes) {
                let content = vec![number.to_le_bytes()[0]; size];
                let expected = (number % 7 != 3).then(|| gm::Dual::digest(&content));
                assert_eq!(digest, expected, "{number} of {size} bytes");
            }
        }
    }
}
