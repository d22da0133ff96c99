//! Oracles for fuzzing, shared with the tests that replay them.
#![allow(clippy::panic, reason = "an oracle reports a broken property by panicking")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::layout::HEADER;
use crate::{MAX_RECORD, MIN_CAPACITY, Memory, RingError, consume};

/// Where `data` is put: over the header's lines, and over the beginning and the end of the records.
const PARTS: [(u64, usize); 3] =
    [(128, 272), (HEADER as u64, usize::MAX), (HEADER as u64 + MIN_CAPACITY - 256, 256)];

/// Any memory image: the consumer never panics, never reads more than there is, always moves on or stops for good. The
/// first byte says at which multiples the image is changed again while it is read.
pub fn memory(data: &[u8]) {
    let (memory, file) = Memory::create(MIN_CAPACITY).unwrap_or_else(|e| panic!("no memory: {e}"));
    let file = File::from(file);
    let Some((&every, data)) = data.split_first() else { return };
    write(&file, data);
    let Ok((mut reader, mut settler)) = consume(memory) else { return };
    let mut position = 0;
    for turn in 0u8..32 {
        let begin = position;
        let drained = reader.drain(64, 1 << 16, |record| {
            assert!(record.content.is_none_or(|content| !content.is_empty() && content.len() <= MAX_RECORD));
            assert!(record.end > position || position == 0, "no step back");
            position = record.end;
        });
        assert!(begin == 0 || position - begin <= MIN_CAPACITY, "more was read than there is room for");
        match drained {
            Ok(_) => settler.settle(position, 0),
            Err(RingError::Broken { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        let _any = reader.newly_dropped();
        if every > 0 && turn % every == 0 {
            write(&file, &data[data.len().min(usize::from(turn))..]);
        }
    }
}

fn write(file: &File, data: &[u8]) {
    let mut rest = data;
    for (at, most) in PARTS {
        let (part, after) =
            rest.split_at(rest.len().min(most).min(usize::try_from(MIN_CAPACITY).unwrap_or(0)));
        file.write_all_at(part, at).unwrap_or_else(|e| panic!("not written: {e}"));
        rest = after;
    }
}
