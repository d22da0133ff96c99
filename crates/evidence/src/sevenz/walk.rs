//! Block by block to digests. Blocks are independent of each other, so that each thread takes the next one; how many
//! threads there are is bounded by what their dictionaries take together.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use gmdevice::Device;
use seal::{Entry, EntryKind, EntryPath};

use super::header::{self, Item, Listing, MAX_MEMORY, MAX_TARGET};
use super::streams::Part;
use super::{decode, refused, undecodable};
use crate::Progress;
use crate::budget::Budget;
use crate::collector::Collector;
use crate::content;
use crate::error::EvidenceError;
use crate::image::{Image, Images, Watch};
use crate::meter::Meter;
use crate::options::Options;
use crate::source::ReadAt;

/// What came of one file: its name, and its entry or why there is none.
struct Outcome {
    path: EntryPath,
    found: Result<Entry, EvidenceError>,
    image: Option<Image>,
}

/// What came of a block, or why nothing can be said.
type Outcomes = Result<Vec<Outcome>, EvidenceError>;

/// Sees the content of a file, piece by piece, and may stop.
type Content<'a> = &'a mut dyn FnMut(&EntryPath, &[u8]) -> io::Result<()>;

/// Hashes what the archive holds, and runs `beside` meanwhile.
pub(crate) fn walk<R>(
    source: &dyn ReadAt,
    options: &Options,
    progress: Progress<'_>,
    collector: &mut Collector<'_>,
    beside: impl FnOnce() -> R,
) -> Result<R, EvidenceError> {
    let listing = match header::read(source, &options.limits, collector) {
        Ok(listing) => listing,
        Err(error) => return collector.broken(error).map(|()| beside()),
    };
    for Item { path, kind, mode } in &listing.empty {
        let entry = match kind {
            EntryKind::Directory => Entry::directory(path.clone(), *mode),
            _ => Entry::file(path.clone(), *mode, 0, gm::Dual::digest(b"")),
        };
        collector.take(path.as_str(), Ok(entry))?;
    }
    let budget = Budget::new(options.limits, source.size());
    let meter = Meter::new(progress, Some(source.size()));
    let walker = Walker {
        source,
        listing: &listing,
        budget: &budget,
        meter: &meter,
        images: options.images,
        device: options.sm3.as_deref(),
    };
    if collector.has_sink() {
        // What is written is written in the order of the archive.
        for block in 0..listing.streams.blocks.len() {
            walker.collect(block, collector)?;
        }
        return Ok(beside());
    }
    let (outcomes, result) = walker.run(options, beside);
    for block in outcomes {
        for Outcome { path, found, image } in block? {
            collector.image(image);
            collector.take(path.as_str(), found)?;
        }
    }
    Ok(result)
}

struct Walker<'a> {
    source: &'a dyn ReadAt,
    listing: &'a Listing,
    budget: &'a Budget,
    meter: &'a Meter<'a>,
    images: Images,
    device: Option<&'a Device>,
}

impl Walker<'_> {
    /// What came of each block.
    fn run<R>(&self, options: &Options, beside: impl FnOnce() -> R) -> (Vec<Outcomes>, R) {
        let blocks = &self.listing.streams.blocks;
        let largest = blocks.iter().map(super::block::Block::memory).max().unwrap_or(0).max(1);
        let at_once = usize::try_from((MAX_MEMORY / largest).max(1)).unwrap_or(1);
        let threads = options.workers().min(blocks.len()).min(at_once);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let outcomes = Mutex::new((0..blocks.len()).map(|_| Ok(Vec::new())).collect::<Vec<_>>());
        let work = || {
            let mut buffer = vec![0; content::CHUNK];
            while !stop.load(Ordering::Relaxed) {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks.len() {
                    break;
                }
                let found = self.block(block, &mut buffer, &mut |_, _| Ok(()));
                let failed = match &found {
                    Ok(outcomes) => !options.tolerant && outcomes.iter().any(|o| o.found.is_err()),
                    Err(_) => true,
                };
                stop.fetch_or(failed, Ordering::Relaxed);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner)[block] = found;
            }
        };
        let result = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let result = beside();
            for thread in threads {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            result
        });
        (outcomes.into_inner().unwrap_or_else(PoisonError::into_inner), result)
    }

    fn collect(&self, block: usize, collector: &mut Collector<'_>) -> Result<(), EvidenceError> {
        // A file is complete for the collector before the next one begins.
        let mut buffer = vec![0; content::CHUNK];
        let mut files = self.files(block);
        let mut reader = match self.open(block) {
            Ok(reader) => reader,
            Err(error) => return collector.broken(error),
        };
        files.try_for_each(|(item, part)| {
            let mut content = |path: &EntryPath, piece: &[u8]| collector.content(path, piece);
            match self.file(&mut *reader, item, part, &mut buffer, &mut content)? {
                None => Ok(()),
                Some(Outcome { path, found, image }) => {
                    collector.image(image);
                    collector.take(path.as_str(), found)
                }
            }
        })
    }

    /// The files of a block.
    fn files(&self, block: usize) -> impl Iterator<Item = (Option<&Item>, Part)> {
        let parts = &self.listing.streams.parts;
        let first: usize = parts[..block].iter().map(Vec::len).sum();
        self.listing.items[first..].iter().map(Option::as_ref).zip(parts[block].iter().copied())
    }

    fn open(&self, block: usize) -> Result<Box<dyn Read + '_>, EvidenceError> {
        let block = &self.listing.streams.blocks[block];
        let coders = block.coders.as_ref().map_err(|why| refused(why))?;
        if block.memory() > MAX_MEMORY {
            return Err(refused("it asks for more than 128 MiB to unpack"));
        }
        decode::reader(self.source, block, coders).map_err(undecodable)
    }

    /// Everything in a block. Where its stream breaks, so do all files behind.
    fn block(
        &self,
        block: usize,
        buffer: &mut [u8],
        content: Content<'_>,
    ) -> Result<Vec<Outcome>, EvidenceError> {
        let mut outcomes = Vec::new();
        let mut broken = None;
        let mut reader = self.open(block).unwrap_or_else(|error| {
            broken = Some(error);
            Box::new(io::empty())
        });
        for (item, part) in self.files(block) {
            if broken.is_none() {
                match self.file(&mut *reader, item, part, buffer, content) {
                    Ok(outcome) => {
                        outcomes.extend(outcome);
                        continue;
                    }
                    Err(error) => broken = Some(error),
                }
            }
            let (Some(item), Some(error)) = (item, &broken) else { continue };
            let found = Err(of_entry(error, &item.path));
            outcomes.push(Outcome { path: item.path.clone(), found, image: None });
        }
        self.meter.add(self.listing.streams.blocks[block].packed);
        match broken {
            // The machine's or a limit's, and no entry's.
            Some(error) if !error.is_damage() => Err(error),
            _ => Ok(outcomes),
        }
    }

    /// Reads one file out of its block; an error when the block cannot be read on.
    fn file(
        &self,
        reader: &mut dyn Read,
        item: Option<&Item>,
        part: Part,
        buffer: &mut [u8],
        content: Content<'_>,
    ) -> Result<Option<Outcome>, EvidenceError> {
        let mut crc = crc32fast::Hasher::new();
        let mut target = Vec::new();
        let is_link = item.is_some_and(|item| item.kind == EntryKind::Symlink);
        let mut watch = Watch::new(self.images, part.size);
        let each = |piece: &[u8]| {
            self.budget.spend(piece.len() as u64).map_err(EvidenceError::into_io)?;
            crc.update(piece);
            let Some(item) = item else { return Ok(()) };
            if is_link {
                let room = usize::try_from(MAX_TARGET + 1).unwrap_or(0).saturating_sub(target.len());
                target.extend(&piece[..room.min(piece.len())]);
                return Ok(());
            }
            watch.see(piece);
            content(&item.path, piece)
        };
        let (size, digest) =
            content::hash(&mut reader.take(part.size), buffer, self.device, each).map_err(undecodable)?;
        if size != part.size {
            return Err(undecodable(io::ErrorKind::UnexpectedEof.into()));
        }
        let Some(Item { path, kind, mode }) = item else { return Ok(None) };
        let found = match (part.crc, kind) {
            (Some(expected), _) if expected != crc.finalize() => {
                Err(EvidenceError::entry(path.as_str(), "its content does not have its CRC"))
            }
            (_, EntryKind::Symlink) => link(path, &target),
            _ => Ok(Entry::file(path.clone(), *mode, size, digest)),
        };
        let image = if found.is_ok() { watch.image(path) } else { None };
        Ok(Some(Outcome { path: path.clone(), found, image }))
    }
}

/// What is wrong with a block is wrong with each of its entries.
fn of_entry(error: &EvidenceError, path: &EntryPath) -> EvidenceError {
    match error {
        EvidenceError::Archive { why, .. } => EvidenceError::entry(path.as_str(), why),
        EvidenceError::Stream { source, .. } => {
            EvidenceError::decode(path, io::Error::new(source.kind(), source.to_string()))
        }
        other => EvidenceError::decode(path, io::Error::other(other.reason())),
    }
}

fn link(path: &EntryPath, target: &[u8]) -> Result<Entry, EvidenceError> {
    let wrong = |why| EvidenceError::entry(path.as_str(), why);
    if target.len() as u64 > MAX_TARGET {
        return Err(wrong("the target of a symbolic link has 1 to 4096 bytes"));
    }
    let target = std::str::from_utf8(target).map_err(|_| wrong("its target is not UTF-8"))?;
    Ok(Entry::symlink(path.clone(), target))
}
