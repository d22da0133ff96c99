//! What the runtime knows of a function beyond its name and place: frame, arguments, lines, inlined calls.
//!
//! Tracebacks, the garbage collector and whoever patches or probes a function read the same tables
//! (runtime/symtab.go, symtabinl.go).

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use crate::functions::{Allowance, damaged, text};
use crate::pclntab::{Header, Release};
use crate::record::{FUNCDATA_INLINE_TREE, PCDATA_INLINE_INDEX, Record, Table};
use crate::values::{Cursor, Values};
use crate::{Binary, Error, Function};

/// Inlined calls of one function that are read. The largest functions of large programs have a few thousand.
const CALLS: u32 = 1 << 16;
/// Nesting of inlined calls that is followed.
const DEPTH: usize = 256;

/// The tables of one function, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail<'a> {
    /// The most bytes that the stack pointer goes below its place at entry.
    pub frame: u32,
    /// Bytes of arguments and results that the caller keeps on its stack; absent where the assembler was not told.
    pub arguments: Option<u32>,
    /// Line of the `func` keyword; since Go 1.20.
    pub start_line: Option<u32>,
    /// Least and greatest line of its own source, inlined calls left out.
    pub lines: Option<(u32, u32)>,
    /// It is written in assembly (since Go 1.18).
    pub assembly: bool,
    /// It is the outermost frame of a stack.
    pub top_frame: bool,
    /// It sets the stack pointer to what no table says: a traceback ends there.
    pub writes_stack_pointer: bool,
    /// `abi.FuncID`: 0 for an ordinary function; the numbers move with each release.
    pub special: u8,
    /// Offset from the entry of the call of `deferreturn`.
    pub defer_return: Option<u32>,
    /// Calls whose code stands in this function, in the order of the inline tree.
    pub inlined: Vec<Inlined<'a>>,
}

/// A call whose code stands in its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inlined<'a> {
    /// The function that was called.
    pub name: Cow<'a, str>,
    /// Offset, from the entry of the function that holds it all, of an instruction at the place of the call.
    pub call: u32,
    /// Line of the `func` keyword of what was called; since Go 1.20.
    pub start_line: Option<u32>,
}

/// A stretch of code and where its source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpan<'a> {
    /// Offsets from the function's entry.
    pub code: Range<u64>,
    /// Source file; empty where the linker made the code.
    pub file: Cow<'a, str>,
    /// Line in it; 0 where there is none.
    pub line: u32,
    /// Number, in the inline tree, of the call that the code belongs to; `None` for the function's own.
    pub inlined: Option<u32>,
}

/// One frame of a call stack, as a traceback prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame<'a> {
    /// The function.
    pub function: Cow<'a, str>,
    /// Source file.
    pub file: Cow<'a, str>,
    /// Line.
    pub line: u32,
    /// Its code stands in the next frame's function.
    pub inlined: bool,
}

/// Reads the details of functions. What all of them together may cost is bounded by the size of the table, so one of
/// these serves a whole listing.
#[derive(Debug)]
pub struct Details<'b, 'a> {
    binary: &'b Binary<'a>,
    left: Allowance,
}

impl<'b, 'a> Details<'b, 'a> {
    pub(crate) fn new(binary: &'b Binary<'a>) -> Result<Self, Error> {
        let (header, _) = binary.table()?;
        Ok(Self { binary, left: Allowance::of(header) })
    }

    /// The tables of `function`, which must come from the same binary.
    ///
    /// # Errors
    /// [`Error::FunctionTable`] when they contradict themselves.
    pub fn of(&mut self, function: &Function<'a>) -> Result<Detail<'a>, Error> {
        let (header, _) = self.binary.table()?;
        let record = Record::at(header, function.record)?;
        let flags = record.flags();
        Ok(Detail {
            frame: self.frame(record.values(header, Table::StackDepth)?)?,
            arguments: record.arguments(),
            start_line: record.start_line(),
            lines: self.lines(header, record)?,
            top_frame: flags & 1 != 0, // abi.FuncFlagTopFrame, FuncFlagSPWrite, FuncFlagAsm
            writes_stack_pointer: flags & 2 != 0,
            assembly: flags & 4 != 0,
            special: record.id(),
            defer_return: record.defer_return(),
            inlined: self.inlined(function, header, record)?,
        })
    }

    fn frame(&mut self, values: Values<'a>) -> Result<u32, Error> {
        let mut most = 0;
        for span in values {
            self.left.walk(2)?; // no stretch takes fewer bytes
            most = most.max(span?.value);
        }
        Ok(u32::try_from(most).unwrap_or(0))
    }

    fn lines(&mut self, header: &Header<'a>, record: Record<'a>) -> Result<Option<(u32, u32)>, Error> {
        let mut found: Option<(u32, u32)> = None;
        let mut own = None;
        for part in parts(header, record)? {
            let part = part?;
            self.left.walk(2)?;
            let file = *own.get_or_insert(part.file);
            let Ok(line) = u32::try_from(part.line) else { continue };
            if part.inlined.is_none() && part.file == file && line != 0 {
                let (least, most) = found.unwrap_or((line, line));
                found = Some((least.min(line), most.max(line)));
            }
        }
        Ok(found)
    }

    fn inlined(
        &mut self,
        function: &Function<'a>,
        header: &Header<'a>,
        record: Record<'a>,
    ) -> Result<Vec<Inlined<'a>>, Error> {
        let Some(tree) = self.binary.function_data(function, FUNCDATA_INLINE_TREE)? else {
            return Ok(Vec::new());
        };
        let mut last = -1;
        for span in record.values(header, Table::Pcdata(PCDATA_INLINE_INDEX))? {
            self.left.walk(2)?;
            last = last.max(span?.value);
        }
        let count = u32::try_from(last + 1).unwrap_or(0).min(CALLS);
        let calls = (0..count).map(|number| {
            let call = call(self.binary, header, tree, number)?;
            self.left.name(call.name.len())?;
            Ok(call)
        });
        calls.collect()
    }
}

/// The record `number` of the inline tree at `tree` (runtime/symtabinl.go `inlinedCall`).
fn call<'a>(binary: &Binary<'a>, header: &Header<'a>, tree: u64, number: u32) -> Result<Inlined<'a>, Error> {
    let newest = header.release == Release::Go120;
    let (size, name, parent) = if newest { (16, 4, 8) } else { (20, 12, 16) };
    let place = u64::from(number).checked_mul(size as u64).and_then(|offset| tree.checked_add(offset));
    let bytes = place.and_then(|place| binary.image.read(place, size));
    let bytes = bytes.ok_or(damaged("an inline tree is cut off"))?;
    let field = |at: usize| header.layout.u32(bytes, at).unwrap_or(0);
    Ok(Inlined {
        name: text(header.name(field(name))?),
        call: field(parent),
        start_line: newest.then(|| field(12)).filter(|&line| line != 0),
    })
}

/// A stretch in which nothing changes: file number, line, inlined call.
struct Part {
    code: Range<u64>,
    file: i32,
    line: i32,
    inlined: Option<u32>,
}

/// Lines, files and inlined calls each have their own table with their own stretches; this cuts where any changes.
fn parts<'a>(
    header: &Header<'a>,
    record: Record<'a>,
) -> Result<impl Iterator<Item = Result<Part, Error>> + use<'a>, Error> {
    let cursor = |table| record.values(header, table).map(Cursor::new);
    let (mut lines, mut files) = (cursor(Table::Line)?, cursor(Table::File)?);
    let mut calls = cursor(Table::Pcdata(PCDATA_INLINE_INDEX))?;
    let mut start = 0;
    Ok(std::iter::from_fn(move || {
        let mut next = || -> Result<Option<Part>, Error> {
            let Some(line) = lines.at(start)? else { return Ok(None) };
            let mut part = Part { code: start..line.code.end, file: -1, line: line.value, inlined: None };
            if let Some(file) = files.at(start)? {
                part.file = file.value;
                part.code.end = part.code.end.min(file.code.end);
            }
            if let Some(call) = calls.at(start)? {
                part.inlined = u32::try_from(call.value).ok();
                part.code.end = part.code.end.min(call.code.end);
            }
            start = part.code.end;
            Ok(Some(part))
        };
        next().transpose()
    }))
}

impl<'a> Binary<'a> {
    /// A value table of `function`, stretch by stretch. A table that the function does not have has no stretch.
    ///
    /// # Errors
    /// [`Error::FunctionTable`] when the table lies outside of the function table; the iterator gives the same when a
    /// table does not end.
    pub fn values(&self, function: &Function<'a>, table: Table) -> Result<Values<'a>, Error> {
        let (header, _) = self.table()?;
        Record::at(header, function.record)?.values(header, table)
    }

    /// The address of the function data `number` (one of `FUNCDATA_…`); `None` where the function has none.
    ///
    /// # Errors
    /// [`Error::FunctionTable`] for a damaged record; [`Error::ModuleData`] when the data is there, but not where it
    /// is counted from.
    pub fn function_data(&self, function: &Function<'a>, number: u32) -> Result<Option<u64>, Error> {
        let (header, text) = self.table()?;
        let record = Record::at(header, function.record)?;
        if header.release == Release::Go116 {
            let Some(within) = record.function_data_pointer(number) else { return Ok(None) };
            let place = header.offsets[4].wrapping_add(u64::from(function.record) + within as u64);
            let data = self.image.word(header.address.wrapping_add(place));
            return Ok(data.filter(|&data| data != 0));
        }
        let Some(offset) = record.function_data(number)? else { return Ok(None) };
        let start = text.function_data.ok_or(Error::ModuleData { what: "gofunc" })?;
        Ok(Some(start.wrapping_add(offset.into())))
    }

    /// Where the source of each stretch of `function` is.
    ///
    /// # Errors
    /// [`Error::FunctionTable`] when its tables are damaged.
    pub fn source(&self, function: &Function<'a>) -> Result<Vec<SourceSpan<'a>>, Error> {
        let (header, _) = self.table()?;
        let record = Record::at(header, function.record)?;
        let spans = parts(header, record)?.map(|part| {
            part.map(|part| SourceSpan {
                file: header.file(record.unit(), part.file).unwrap_or_default(),
                line: u32::try_from(part.line).unwrap_or(0),
                inlined: part.inlined,
                code: part.code,
            })
        });
        spans.collect()
    }

    /// The frames that a traceback prints for the instruction at `offset` of `function`, innermost first: inlined
    /// calls, then the function itself.
    ///
    /// # Errors
    /// [`Error::FunctionTable`] when its tables are damaged; as [`Binary::function_data`].
    pub fn frames(&self, function: &Function<'a>, offset: u64) -> Result<Vec<Frame<'a>>, Error> {
        let (header, _) = self.table()?;
        let record = Record::at(header, function.record)?;
        let tree = self.function_data(function, FUNCDATA_INLINE_TREE)?;
        let mut frames = Vec::new();
        let mut at = offset;
        while frames.len() < DEPTH {
            let value = |table| -> Result<Option<i32>, Error> {
                let mut cursor = Cursor::new(record.values(header, table)?);
                Ok(cursor.at(at)?.map(|span| span.value))
            };
            let file = value(Table::File)?.and_then(|number| header.file(record.unit(), number));
            let line = value(Table::Line)?.and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
            let number = value(Table::Pcdata(PCDATA_INLINE_INDEX))?.and_then(|n| u32::try_from(n).ok());
            let within = tree.zip(number).map(|(tree, number)| call(self, header, tree, number));
            let within = within.transpose()?;
            frames.push(Frame {
                function: within.as_ref().map_or_else(|| function.name.clone(), |call| call.name.clone()),
                file: file.unwrap_or_default(),
                line,
                inlined: within.is_some(),
            });
            match within {
                Some(call) => at = call.call.into(),
                None => break,
            }
        }
        Ok(frames)
    }
}
