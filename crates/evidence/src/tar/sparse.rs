//! Sparse members: files whose holes are not in the archive. GNU's old header type `S`, and the pax forms 0.1 and 1.0
//! (GNU tar manual, "Storing Sparse Files"). A reader sees the file with its holes as zeros, as it was and as it will be.

use std::io::{self, Read};

use super::BLOCK;
use super::header::number;
use crate::budget::Budget;

/// More pieces than this are no file that anyone archives: a map of them takes a megabyte.
const MAX_PIECES: usize = 65_536;
/// Old GNU: where the map, its "extended" mark and the file's size stand in the header, and how many pieces fit.
const MAP: usize = 386;
const IN_HEADER: usize = 4;
const REAL_SIZE: std::ops::Range<usize> = 483..495;
/// The same in a block behind the header.
const IN_BLOCK: usize = 21;

/// Where the bytes that the archive holds stand in the file: offset and length, ascending.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Map {
    pieces: Vec<(u64, u64)>,
    /// The size of the file, holes included.
    pub(super) size: u64,
}

impl Map {
    /// Of an old GNU header; says whether blocks with more pieces follow.
    pub(super) fn of_header(block: &[u8; BLOCK]) -> Result<(Self, bool), &'static str> {
        let size = number(&block[REAL_SIZE]).ok_or(WRONG)?;
        let mut map = Self { pieces: Vec::new(), size };
        map.take(&block[MAP..], IN_HEADER)?;
        Ok((map, block[MAP + IN_HEADER * 24] == 1))
    }

    /// A block behind it, likewise.
    pub(super) fn extend(&mut self, block: &[u8; BLOCK]) -> Result<bool, &'static str> {
        self.take(block, IN_BLOCK)?;
        Ok(block[IN_BLOCK * 24] == 1)
    }

    fn take(&mut self, fields: &[u8], count: usize) -> Result<(), &'static str> {
        for piece in fields.as_chunks::<24>().0.iter().take(count).filter(|piece| piece[0] != 0) {
            let offset = number(&piece[..12]).ok_or(WRONG)?;
            self.push(offset, number(&piece[12..]).ok_or(WRONG)?)?;
        }
        Ok(())
    }

    /// Of pax 0.1: numbers with commas between.
    pub(super) fn of_list(list: &[u8], size: u64) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(list).map_err(|_| WRONG)?;
        let numbers = text.split(',').map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>().ok_or(WRONG)?;
        let (pairs, []) = numbers.as_chunks::<2>() else { return Err(WRONG) };
        let mut map = Self { pieces: Vec::new(), size };
        pairs.iter().try_for_each(|[offset, length]| map.push(*offset, *length))?;
        Ok(map)
    }

    /// Of pax 1.0: decimal lines in front of the content, filled up to a block. Gives the blocks that it took.
    pub(super) fn read(input: &mut dyn Read, size: u64) -> io::Result<Result<(Self, u64), &'static str>> {
        let mut lines = Lines { input, block: [0; BLOCK], at: BLOCK, blocks: 0 };
        let mut map = Self { pieces: Vec::new(), size };
        let Some(count) = lines.next()?.filter(|count| *count <= MAX_PIECES as u64) else {
            return Ok(Err(WRONG));
        };
        for _ in 0..count {
            let (Some(offset), Some(length)) = (lines.next()?, lines.next()?) else { return Ok(Err(WRONG)) };
            if let Err(why) = map.push(offset, length) {
                return Ok(Err(why));
            }
        }
        Ok(Ok((map, lines.blocks)))
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<(), &'static str> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size).ok_or(WRONG)?;
        let before = self.pieces.last().map_or(0, |(offset, length)| offset + length);
        if offset < before || self.pieces.len() >= MAX_PIECES {
            return Err(WRONG);
        }
        // An empty piece only says where the file ends.
        if end > offset {
            self.pieces.push((offset, length));
        }
        Ok(())
    }

    /// Bytes that the archive holds.
    pub(super) fn packed(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }
}

const WRONG: &str = "the map of a sparse file is malformed";

struct Lines<'a> {
    input: &'a mut dyn Read,
    block: [u8; BLOCK],
    at: usize,
    blocks: u64,
}

impl Lines<'_> {
    /// A number and its newline.
    fn next(&mut self) -> io::Result<Option<u64>> {
        let mut value: Option<u64> = None;
        // 2^64 has twenty digits.
        for _ in 0..=20 {
            if self.at == BLOCK {
                self.input.read_exact(&mut self.block)?;
                self.at = 0;
                self.blocks += 1;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return Ok(value),
                b'0'..=b'9' => {
                    let next =
                        value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add((byte - b'0').into()));
                    let Some(next) = next else { return Ok(None) };
                    value = Some(next);
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The file as it was: what `packed` gives, with zeros in the holes. Zeros count as unpacked bytes.
pub(super) struct Expanded<'a, R> {
    packed: R,
    map: &'a Map,
    budget: &'a Budget,
    piece: usize,
    position: u64,
}

impl<'a, R: Read> Expanded<'a, R> {
    pub(super) fn new(packed: R, map: &'a Map, budget: &'a Budget) -> Self {
        Self { packed, map, budget, piece: 0, position: 0 }
    }
}

impl<R: Read> Read for Expanded<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(out.len());
        let next = self.map.pieces.get(self.piece).copied();
        let (start, length) = next.unwrap_or((self.map.size, 0));
        let count = if self.position < start {
            let count = room(start - self.position);
            self.budget.spend(count as u64).map_err(crate::EvidenceError::into_io)?;
            out[..count].fill(0);
            count
        } else {
            let wanted = room(start + length - self.position);
            self.packed.read(&mut out[..wanted])?
        };
        self.position += count as u64;
        if next.is_some() && self.position == start + length {
            self.piece += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;

    #[test]
    fn holes_come_back_as_zeros() {
        let map = Map::of_list(b"2,3,8,1,12,0", 12).unwrap();
        let budget = Budget::new(Limits::default(), 1);
        let mut whole = Vec::new();
        Expanded::new(&b"abcd"[..], &map, &budget).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, b"\0\0abc\0\0\0d\0\0\0");
        assert_eq!(map.packed(), 4);
        let tight = Budget::new(Limits { bytes: 4, ..Limits::default() }, 1);
        assert!(
            Expanded::new(&b"abcd"[..], &map, &tight).read_to_end(&mut whole).is_err(),
            "zeros cost nothing"
        );
    }

    #[test]
    fn maps_that_turn_back_or_run_out_are_refused() {
        for bad in [&b"3,2,4,1"[..], b"0,13", b"1", b"", b"a,b", b"18446744073709551615,1"] {
            assert!(Map::of_list(bad, 12).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let mut text = b"2\n0\n3\n9\n1\n".to_vec();
        text.resize(BLOCK, 0);
        let (map, blocks) = Map::read(&mut text.as_slice(), 12).unwrap().unwrap();
        assert_eq!((map.pieces, blocks), (vec![(0, 3), (9, 1)], 1));
        assert!(Map::read(&mut &b"2\n0\n"[..], 12).is_err(), "it ends inside the map");
        text[0] = b'x';
        assert!(Map::read(&mut text.as_slice(), 12).unwrap().is_err());
    }
}
