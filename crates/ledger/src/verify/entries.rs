//! Reads the segments through and gives their entries to the trees. Where there is a second processor, the next segment is
//! read meanwhile.

use super::pieces::{Piece, pieces};
use super::trees::{Check, Entry};
use super::{Damage, Report};
use crate::checkpoint::SignedCheckpoint;
use crate::error::{IoContext as _, LedgerError};
use crate::recover::segments::names;
use crate::segment::packed::{self, Index};
use crate::segment::record::{RECORD_HEADER, Record};
use crate::segment::scan::{Fault, Rest, Scan, Torn, scan};
use crate::segment::{Form, segment_path};
use crate::storage::Storage;

/// Entries that are hashed at a time: so many that it pays to share them between two threads.
const STEP: usize = 1 << 14;
/// How often a segment is read again because its owner changes it.
const ATTEMPTS: usize = 5;

struct Walk<'a, 'b> {
    storage: &'a dyn Storage,
    size: u64,
    trees: &'a mut Check<'b>,
    report: &'a mut Report,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Segments as they are read: the one that is checked, and the next. Fresh memory for each would cost as much as hashing it.
struct Reading<'a> {
    storage: &'a dyn Storage,
    /// Whether there is a processor that would idle.
    ahead: bool,
    /// The segment that was read ahead, by its number among the names.
    next: Option<(usize, Result<Vec<u8>, LedgerError>)>,
    spare: Vec<u8>,
}

impl<'a> Reading<'a> {
    fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, ahead: super::has_second_processor(), next: None, spare: Vec::new() }
    }

    /// The bytes of a segment.
    fn take(&mut self, number: usize, (first, form): (u64, Form)) -> Result<Vec<u8>, LedgerError> {
        match self.next.take() {
            Some((read, bytes)) if read == number => bytes,
            _ => read(self.storage, first, form, std::mem::take(&mut self.spare)),
        }
    }

    /// Does something with a segment while the one behind it is read.
    fn during<T>(
        &mut self,
        mut bytes: Vec<u8>,
        next: Option<(usize, (u64, Form))>,
        act: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        let (storage, spare) = (self.storage, std::mem::take(&mut self.spare));
        let done = std::thread::scope(|scope| {
            let reading = next.filter(|_| self.ahead).map(|(number, (first, form))| {
                (number, scope.spawn(move || read(storage, first, form, spare)))
            });
            let done = act(&mut bytes);
            self.next = reading.map(|(number, thread)| {
                (number, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            });
            done
        });
        self.spare = bytes;
        done
    }
}

fn read(storage: &dyn Storage, first: u64, form: Form, mut into: Vec<u8>) -> Result<Vec<u8>, LedgerError> {
    let path = segment_path(first, form);
    storage.read_into(&path, &mut into).attempt("read", &path)?;
    Ok(into)
}

/// Checks every entry under the checkpoint; answers how many are durable, at least the checkpoint's size.
pub(super) fn check(
    storage: &dyn Storage,
    checkpoint: &SignedCheckpoint,
    trees: &mut Check<'_>,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, LedgerError> {
    let size = checkpoint.size();
    let names = match names(storage) {
        Err(LedgerError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Default::default()
        }
        names => names?,
    };
    let names: Vec<(u64, Form)> = names
        .into_iter()
        .map(|(first, forms)| (first, forms.into_iter().max().unwrap_or(Form::Plain)))
        .collect();
    let mut walk = Walk { storage, size, trees, report, progress };
    let mut reading = Reading::new(storage);
    let mut end = checkpoint.minimum().max(walk.trees.next());
    walk.trees.skip(checkpoint.minimum().min(size), false, walk.report)?;
    for (n, (first, form)) in names.iter().enumerate() {
        let following = names.get(n + 1).map(|(first, _)| *first);
        if following.is_some_and(|following| following <= walk.trees.next()) {
            continue; // pruned, or verified before
        }
        if *first > end {
            walk.report.found(Damage::Gap { from: end, to: *first });
            walk.trees.skip((*first).min(size), true, walk.report)?;
        }
        let (bytes, next) = (reading.take(n, (*first, *form))?, names.get(n + 1).map(|next| (n + 1, *next)));
        let checked = reading.during(bytes, next, |bytes| walk.segment(*first, *form, following, bytes));
        end = checked?.max(end);
    }
    if end < size {
        walk.report.found(Damage::Gap { from: end, to: size });
        walk.trees.skip(size, true, walk.report)?;
    }
    Ok(end.max(size))
}

impl Walk<'_, '_> {
    /// Checks a segment; answers the index after its last durable entry.
    fn segment(
        &mut self,
        first: u64,
        form: Form,
        following: Option<u64>,
        bytes: &mut Vec<u8>,
    ) -> Result<u64, LedgerError> {
        let path = segment_path(first, form);
        match form {
            Form::Plain => self.plain(&path, first, bytes, following),
            _ => self.packed(&path, form, first, bytes, following),
        }
    }

    fn plain(
        &mut self,
        path: &str,
        first: u64,
        bytes: &mut Vec<u8>,
        following: Option<u64>,
    ) -> Result<u64, LedgerError> {
        for attempt in 0.. {
            let mut records = Vec::new();
            let sink = &mut |at: u64, record: &Record<'_>| {
                records.push((record.first, at + RECORD_HEADER as u64, record.payload.len()));
            };
            match scan(bytes, first, sink) {
                // What a checkpoint covers is no unfinished record.
                Ok(found) if following.is_none() && found.end < self.size => break,
                Ok(found) => return self.sound(path, bytes, &records, found, following),
                Err(Fault::Unborn) if following.is_none() => return Ok(first),
                Err(_) if attempt < ATTEMPTS => {
                    // Its owner may be writing: what is damaged stays as it is.
                    std::thread::sleep(std::time::Duration::from_millis(if attempt == 0 { 1 } else { 20 }));
                    let again = self.storage.read(path).attempt("read", path)?;
                    if again == *bytes {
                        break;
                    }
                    *bytes = again;
                }
                Err(_) => break,
            }
        }
        self.unsound(path, first, bytes, following)
    }

    /// A segment all of whose checksums hold: its records, by first entry, place and length of the payload.
    fn sound(
        &mut self,
        path: &str,
        bytes: &[u8],
        records: &[(u64, u64, usize)],
        found: Scan,
        following: Option<u64>,
    ) -> Result<u64, LedgerError> {
        let mut batch = Vec::with_capacity(STEP);
        let size = self.size;
        for &(first, at, length) in records.iter().take_while(|(first, ..)| *first < size) {
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            let payload = bytes.get(from..from.saturating_add(length)).unwrap_or_default();
            self.take(path, first, at, payload, &mut batch)?;
        }
        self.flush(path, &mut batch)?;
        if following.is_some_and(|following| following != found.end) {
            let to = following.unwrap_or(found.end);
            if to < found.end {
                self.report.found(Damage::Unexpected { path: path.to_owned() });
            }
        } else if following.is_none() && matches!(found.rest, Rest::Torn) {
            self.report.unfinished =
                Some(Torn { segment: path.to_owned(), offset: found.records_end, index: found.end });
        }
        Ok(found.end)
    }

    /// Takes the entries of a payload that the trees wait for.
    fn take<'p>(
        &mut self,
        path: &str,
        first: u64,
        payload_at: u64,
        payload: &'p [u8],
        batch: &mut Vec<Entry<'p>>,
    ) -> Result<(), LedgerError> {
        let mut at = payload_at;
        for (index, entry) in (first..).zip(tlog::bundle::entries(payload)) {
            let Ok(entry) = entry else { break };
            if index >= self.trees.next() + batch.len() as u64 && index < self.size {
                batch.push(Entry { bytes: entry, place: at..at + 2 + entry.len() as u64 });
                if batch.len() == STEP {
                    self.flush(path, batch)?;
                }
            }
            at += 2 + entry.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self, path: &str, batch: &mut Vec<Entry<'_>>) -> Result<(), LedgerError> {
        self.trees.entries(path, batch, true, self.report)?;
        batch.clear();
        (self.progress)(self.trees.next(), self.size);
        Ok(())
    }

    /// A segment of which something is damaged.
    fn unsound(
        &mut self,
        path: &str,
        first: u64,
        bytes: &[u8],
        following: Option<u64>,
    ) -> Result<u64, LedgerError> {
        let mut end = first;
        for piece in pieces(bytes, first, following, self.size) {
            match piece {
                Piece::Record { first, at, payload } => {
                    let mut batch = Vec::new();
                    self.take(path, first, at, payload, &mut batch)?;
                    self.flush(path, &mut batch)?;
                    end = first + tlog::bundle::entries(payload).count() as u64;
                }
                Piece::Around { index, bytes, why } => {
                    self.report.found(Damage::Segment {
                        index,
                        path: path.to_owned(),
                        bytes,
                        why: why.to_owned(),
                    });
                }
                Piece::Damaged { first, at, region, to } => {
                    self.damaged_record(path, bytes, (first, to), (at, region))?;
                    end = to;
                }
                Piece::Torn { offset, index } => {
                    self.report.unfinished = Some(Torn { segment: path.to_owned(), offset, index });
                }
            }
        }
        Ok(end)
    }

    /// A record whose checksum does not hold: its entries are asked one by one.
    fn damaged_record(
        &mut self,
        path: &str,
        bytes: &[u8],
        (first, to): (u64, u64),
        (at, region): (u64, u64),
    ) -> Result<(), LedgerError> {
        let header = at - crate::segment::record::RECORD_HEADER as u64;
        let part = |from: u64, to: u64| {
            let range =
                usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
            bytes.get(range).unwrap_or_default()
        };
        let before = self.report.damage_count;
        let (mut index, mut place) = (first, at);
        // With whole lengths the entries fill the payload; else what stands behind the damage cannot be told apart.
        let lengths_hold = tlog::bundle::entries(part(at, region)).take_while(|e| e.is_ok()).count() as u64
            >= to - first
            && part(at, region).len() < 1 << 27;
        for entry in tlog::bundle::entries(part(at, region)) {
            let Ok(entry) = entry else { break };
            if index >= to.min(self.size) {
                break;
            }
            let (from, next) = (place, place + 2 + entry.len() as u64);
            place = next;
            index += 1;
            if index <= self.trees.next() {
                continue; // checked before
            }
            if self.trees.knows(index - 1, entry, self.report)? || lengths_hold {
                let one = [Entry { bytes: entry, place: from..next }];
                self.trees.entries(path, &one, false, self.report)?;
                if self.report.damage_count == before {
                    continue;
                }
                if lengths_hold {
                    continue;
                }
            }
            let (index, why) = (index - 1, "its length or its content is damaged".to_owned());
            let bytes = from..next.max(from + 2).min(region);
            self.report.found(Damage::Entry { index, path: path.to_owned(), bytes, why });
            break;
        }
        self.trees.skip(to.min(self.size), self.report.damage_count > before, self.report)?;
        if self.report.damage_count == before {
            // All entries are the ones that were hashed: the damage is around them.
            let why = "the record around its entries is damaged".to_owned();
            // Of entries that no checkpoint covers nothing says which is damaged.
            let known = to <= self.size;
            let bytes =
                if known { super::pieces::around(bytes, first, to, header, region) } else { header..region };
            self.report.found(Damage::Segment { index: first, path: path.to_owned(), bytes, why });
        }
        Ok(())
    }

    fn packed(
        &mut self,
        path: &str,
        form: Form,
        first: u64,
        bytes: &[u8],
        following: Option<u64>,
    ) -> Result<u64, LedgerError> {
        let part = |offset: u64, length: usize| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            Ok::<_, LedgerError>(bytes.get(from..from.saturating_add(length)).unwrap_or_default().to_vec())
        };
        let index = packed::read_index(form, bytes.len() as u64, part)?.filter(|index| index.first == first);
        let Some(index) = index else {
            let bytes = packed::blocks_end(form, bytes)..bytes.len() as u64;
            let why = "the index at its end is damaged".to_owned();
            self.report.found(Damage::Segment { index: first, path: path.to_owned(), bytes, why });
            let end = following.unwrap_or(self.size);
            self.trees.skip(end.min(self.size), true, self.report)?;
            return Ok(end);
        };
        for number in 0..index.blocks.len() {
            self.block(path, form, &index, number, bytes)?;
        }
        Ok(index.end)
    }

    fn block(
        &mut self,
        path: &str,
        form: Form,
        index: &Index,
        number: usize,
        bytes: &[u8],
    ) -> Result<(), LedgerError> {
        let (block, end) = (index.blocks[number], index.entries_end(number));
        if end <= self.trees.next() {
            return Ok(());
        }
        let place = block.offset..index.block_end(number);
        let range = usize::try_from(place.start).unwrap_or(usize::MAX)
            ..usize::try_from(place.end).unwrap_or(usize::MAX);
        let raw = bytes.get(range).and_then(|frame| packed::unpack(form, frame, &block));
        let whole = raw.filter(|raw| {
            tlog::bundle::entries(raw).try_fold(0u64, |n, entry| entry.ok().map(|_| n + 1))
                == Some(end - block.first)
        });
        let Some(raw) = whole else {
            let why = format!("the block of entries {}..{end} is damaged", block.first);
            self.report.found(Damage::Segment {
                index: block.first,
                path: path.to_owned(),
                bytes: place,
                why,
            });
            return self.trees.skip(end.min(self.size), true, self.report);
        };
        let entries = (block.first..).zip(tlog::bundle::entries(&raw).filter_map(Result::ok));
        let wanted: Vec<Entry<'_>> = entries
            .filter(|(index, _)| (self.trees.next()..self.size).contains(index))
            .map(|(_, bytes)| Entry { bytes, place: place.clone() })
            .collect();
        for entries in wanted.chunks(STEP) {
            self.trees.entries(path, entries, true, self.report)?;
            (self.progress)(self.trees.next(), self.size);
        }
        Ok(())
    }
}
