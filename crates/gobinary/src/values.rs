//! The value tables of the function table (`pctab`): a value for every stretch of a function's code.
//!
//! runtime/symtab.go `step`: pairs of a zig-zag value delta and a code delta in units of the smallest instruction,
//! ended by a zero value delta. The first value is relative to -1.

use std::ops::Range;

use crate::Error;
use crate::bytes::uvarint;

/// One stretch of code and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offsets from the function's entry.
    pub code: Range<u64>,
    /// What holds there.
    pub value: i32,
}

/// The stretches of one table, in the order of the code. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
    quantum: u64,
    value: i32,
    offset: u64,
    first: bool,
}

impl<'a> Values<'a> {
    /// The table at the start of `rest`.
    pub(crate) fn new(rest: &'a [u8], quantum: u64) -> Self {
        Self { rest, quantum, value: -1, offset: 0, first: true }
    }

    /// A table without any stretch, for what a function does not have.
    pub(crate) fn none() -> Self {
        Self::new(&[0, 0], 1).ended()
    }

    fn ended(mut self) -> Self {
        self.rest = &[];
        self
    }

    /// How many bytes have not been read.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    fn step(&mut self) -> Result<Option<Span>, &'static str> {
        let unended = "a value table does not end";
        loop {
            let (delta, after) = short(self.rest).ok_or(unended)?;
            if delta == 0 && !self.first {
                return Ok(None);
            }
            let (advance, after) = short(after).ok_or(unended)?;
            let delta = u32::try_from(delta).map_err(|_| "a value does not fit 32 bits")?;
            self.value = self.value.wrapping_add((delta >> 1).cast_signed() ^ -((delta & 1).cast_signed()));
            let end = advance.checked_mul(self.quantum).and_then(|n| self.offset.checked_add(n));
            let code = self.offset..end.ok_or("a code length does not fit")?;
            self.rest = after;
            self.offset = code.end;
            self.first = code.end == 0;
            if !code.is_empty() {
                return Ok(Some(Span { code, value: self.value }));
            }
            // Several steps may precede the first instruction.
        }
    }
}

/// Most numbers are one byte.
#[inline]
fn short(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [byte @ 0..=0x7f, rest @ ..] => Some((u64::from(*byte), rest)),
        _ => uvarint(bytes),
    }
}

impl Iterator for Values<'_> {
    type Item = Result<Span, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.step() {
            Ok(Some(span)) => Some(Ok(span)),
            Ok(None) => {
                self.rest = &[];
                None
            }
            Err(what) => {
                self.rest = &[];
                Some(Err(Error::FunctionTable { what }))
            }
        }
    }
}

/// Looks values up for offsets that only grow: one pass over the table, however many are asked.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    values: Values<'a>,
    current: Option<Span>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(values: Values<'a>) -> Self {
        Self { values, current: None }
    }

    /// The stretch that `offset` lies in; `None` behind the last.
    pub(crate) fn at(&mut self, offset: u64) -> Result<Option<&Span>, Error> {
        while self.current.as_ref().is_none_or(|span| span.code.end <= offset) {
            match self.values.next() {
                Some(span) => self.current = Some(span?),
                None => return Ok(None),
            }
        }
        Ok(self.current.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other() {
        // +8 for 1, -8 for 4, end.
        let spans: Result<Vec<_>, _> = Values::new(&[18, 1, 15, 4, 0, 9], 2).collect();
        assert_eq!(spans.unwrap(), [Span { code: 0..2, value: 8 }, Span { code: 2..10, value: 0 }]);
        assert_eq!(Values::none().count(), 0);
    }

    #[test]
    fn a_table_without_an_end_is_an_error_once() {
        let mut values = Values::new(&[2, 1, 2], 1);
        assert!(values.next().unwrap().is_ok());
        assert!(values.next().unwrap().is_err());
        assert!(values.next().is_none());
    }

    #[test]
    fn a_cursor_walks_once() {
        let mut cursor = Cursor::new(Values::new(&[2, 4, 2, 4, 0], 1));
        let mut at = |offset| cursor.at(offset).unwrap().map(|s| s.value);
        assert_eq!([at(0), at(3), at(4), at(7), at(8)], [Some(0), Some(0), Some(1), Some(1), None]);
    }
}
