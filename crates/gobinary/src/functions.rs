//! The functions of the table, one by one: `_func` records and the value tables they point into.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Serialize, Serializer};

use crate::Error;
use crate::bytes::{c_string, index, uvarint};
use crate::moduledata::Text;
use crate::pclntab::Header;

/// Longest name that is read. Names of instantiated generic functions reach a few kilobytes.
const NAME: usize = 64 << 10;
/// Longest source path that is read.
const PATH: usize = 4096;

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function<'a> {
    /// As the runtime names it: `main.main`, `net/http.(*Server).Serve`.
    pub name: Cow<'a, str>,
    /// Its first address, as linked.
    #[serde(serialize_with = "hexadecimal")]
    pub entry: u64,
    /// Bytes of code, without the padding behind it.
    pub size: u64,
    /// Source file of its first instruction; empty where the linker made the function.
    pub file: Cow<'a, str>,
    /// Line of its first instruction; 0 where there is none.
    pub line: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn hexadecimal<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{address:#x}"))
}

/// Decodes the whole table.
///
/// The work is linear in the size of the table: every value table is walked once, whoever points to it, and names
/// may not repeat beyond reason.
pub(crate) fn decode<'a>(header: &Header<'a>, text: &Text) -> Result<Vec<Function<'a>>, Error> {
    let mut decoder = Decoder {
        header,
        seen: HashMap::new(),
        // Tables that do not overlap cannot cost more steps than they have bytes.
        steps: header.values.len(),
        name_bytes: header.names.len().saturating_mul(4).saturating_add(NAME),
    };
    let mut functions = Vec::with_capacity(header.functions);
    for number in 0..header.functions {
        let entry = decoder.entry(number)?;
        if entry.record == 0 {
            continue; // a hole: code that an external linker put between Go's
        }
        functions.push(decoder.function(&entry, text)?);
    }
    Ok(functions)
}

/// The source paths of the file table.
pub(crate) fn files<'a>(header: &Header<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let files = header.file_names.split(|&b| b == 0).filter(|f| !f.is_empty()).take(header.files);
    files.map(|f| String::from_utf8_lossy(&f[..f.len().min(PATH)]))
}

/// Whether `runtime/cgo` is among the functions.
pub(crate) fn has_cgo(header: &Header<'_>) -> bool {
    header.names.split(|&b| b == 0).any(|name| name.starts_with(b"runtime/cgo."))
}

/// One pair of the table of entries, and where the next begins.
struct Entry {
    offset: u32,
    next: u32,
    record: u32,
}

/// What one value table says.
#[derive(Clone, Copy)]
struct Values {
    /// The value at the function's entry.
    first: i32,
    /// Bytes of code that it covers.
    length: u64,
}

struct Decoder<'h, 'a> {
    header: &'h Header<'a>,
    seen: HashMap<u32, Values>,
    steps: usize,
    name_bytes: usize,
}

fn damaged(what: &'static str) -> Error {
    Error::FunctionTable { what }
}

impl<'a> Decoder<'_, 'a> {
    fn entry(&self, number: usize) -> Result<Entry, Error> {
        let read = |at: usize| self.header.layout.u32(self.header.table, at);
        let pair = || {
            let at = number * 8;
            Some(Entry { offset: read(at)?, record: read(at + 4)?, next: read(at + 8)? })
        };
        let entry = pair().ok_or(damaged("it ends before its last function"))?;
        if entry.next < entry.offset {
            return Err(damaged("entries are not in order"));
        }
        Ok(entry)
    }

    fn function(&mut self, entry: &Entry, text: &Text) -> Result<Function<'a>, Error> {
        let record = index(entry.record.into()).and_then(|at| self.header.table.get(at..));
        let record = record.ok_or(damaged("a function record is outside of it"))?;
        let layout = self.header.layout;
        let field =
            |number: usize| layout.u32(record, number * 4).ok_or(damaged("a function record is cut off"));
        if field(0)? != entry.offset {
            return Err(damaged("a record does not belong to its entry"));
        }
        let (file_values, line_values, unit) = (field(5)?, field(6)?, field(8)?);
        let name = self.name(field(1)?)?;
        let lines = self.values(line_values)?;
        let files = self.values(file_values)?;
        let gap = u64::from(entry.next - entry.offset);
        let covered = lines.map_or(0, |v| v.length);
        Ok(Function {
            name,
            entry: text.address(entry.offset),
            size: if covered == 0 { gap } else { covered.min(gap) },
            file: files.and_then(|v| self.file(unit, v.first)).unwrap_or_default(),
            line: lines.and_then(|v| u32::try_from(v.first).ok()).unwrap_or(0),
        })
    }

    fn name(&mut self, offset: u32) -> Result<Cow<'a, str>, Error> {
        let name = index(offset.into()).and_then(|at| c_string(self.header.names, at, NAME));
        let name = name.ok_or(damaged("a function's name does not end"))?;
        let left = self.name_bytes.checked_sub(name.len());
        self.name_bytes = left.ok_or(damaged("its names overlap beyond reason"))?;
        Ok(String::from_utf8_lossy(name))
    }

    /// runtime/symtab.go `funcfile`: the unit's slice of file numbers gives the place of the path.
    fn file(&self, unit: u32, number: i32) -> Option<Cow<'a, str>> {
        let slot = index(unit.into())?.checked_add(usize::try_from(number).ok()?)?;
        let offset = self.header.layout.u32(self.header.units, slot.checked_mul(4)?)?;
        let path = c_string(self.header.file_names, index(offset.into())?, PATH)?;
        Some(String::from_utf8_lossy(path))
    }

    /// Walks the value table at `offset`; `None` where the function has none.
    fn values(&mut self, offset: u32) -> Result<Option<Values>, Error> {
        if offset == 0 {
            return Ok(None);
        }
        if let Some(&known) = self.seen.get(&offset) {
            return Ok(Some(known));
        }
        let rest = index(offset.into()).and_then(|at| self.header.values.get(at..));
        let walked = self.walk(rest.ok_or(damaged("a value table is outside of it"))?)?;
        self.seen.insert(offset, walked);
        Ok(Some(walked))
    }

    /// runtime/symtab.go `step`: pairs of a zig-zag value delta and a code delta, ended by a zero value delta.
    fn walk(&mut self, mut rest: &[u8]) -> Result<Values, Error> {
        let mut values = Values { first: -1, length: 0 };
        let mut value = -1i32;
        let mut start = true;
        loop {
            self.steps = self.steps.checked_sub(1).ok_or(damaged("its value tables overlap"))?;
            let (delta, after) = uvarint(rest).ok_or(damaged("a value table does not end"))?;
            if delta == 0 && !start {
                return Ok(values);
            }
            let (advance, after) = uvarint(after).ok_or(damaged("a value table does not end"))?;
            let delta = u32::try_from(delta).map_err(|_| damaged("a value does not fit 32 bits"))?;
            value = value.wrapping_add((delta >> 1).cast_signed() ^ -((delta & 1).cast_signed()));
            if values.length == 0 {
                values.first = value; // several steps may precede the first instruction
            }
            let code = advance.checked_mul(self.header.quantum).and_then(|n| values.length.checked_add(n));
            values.length = code.ok_or(damaged("a code length does not fit"))?;
            start = values.length == 0;
            rest = after;
        }
    }
}
