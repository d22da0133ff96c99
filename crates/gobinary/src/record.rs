//! One record of the function table: `_func` of runtime/runtime2.go, in the three shapes it has had since Go 1.16.

use crate::Error;
use crate::bytes::{Layout, index};
use crate::pclntab::{Header, Release};
use crate::values::Values;

/// `abi.PCDATA_UnsafePoint` (internal/abi/symtab.go): where a goroutine may not be stopped.
pub const PCDATA_UNSAFE_POINT: u32 = 0;
/// `abi.PCDATA_StackMapIndex`: which stack map holds.
pub const PCDATA_STACK_MAP_INDEX: u32 = 1;
/// `abi.PCDATA_InlTreeIndex`: which inlined call the code belongs to.
pub const PCDATA_INLINE_INDEX: u32 = 2;
/// `abi.PCDATA_ArgLiveIndex`: which spilled arguments are live.
pub const PCDATA_ARGUMENTS_LIVE: u32 = 3;

/// `abi.FUNCDATA_ArgsPointerMaps`: pointers among the arguments.
pub const FUNCDATA_ARGUMENT_MAPS: u32 = 0;
/// `abi.FUNCDATA_LocalsPointerMaps`: pointers among the locals.
pub const FUNCDATA_LOCAL_MAPS: u32 = 1;
/// `abi.FUNCDATA_StackObjects`: locals whose address is taken.
pub const FUNCDATA_STACK_OBJECTS: u32 = 2;
/// `abi.FUNCDATA_InlTree`: the inlined calls.
pub const FUNCDATA_INLINE_TREE: u32 = 3;
/// `abi.FUNCDATA_OpenCodedDeferInfo`.
pub const FUNCDATA_OPEN_CODED_DEFERS: u32 = 4;
/// `abi.FUNCDATA_ArgInfo`: how a traceback prints the arguments.
pub const FUNCDATA_ARGUMENT_INFO: u32 = 5;
/// `abi.FUNCDATA_ArgLiveInfo`.
pub const FUNCDATA_ARGUMENT_LIVENESS: u32 = 6;
/// `abi.FUNCDATA_WrapInfo`: what a wrapper wraps.
pub const FUNCDATA_WRAPPED: u32 = 7;

/// `abi.ArgsSizeUnknown`, as it stands in the file.
const ARGUMENTS_UNKNOWN: u32 = 0x8000_0000;
/// A function has eight kinds of each; a record that claims more is damaged.
const TABLES: u32 = 64;
/// Since Go 1.18: there is no function data of this kind.
const ABSENT: u32 = u32::MAX;

/// Which value table of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Bytes by which the stack pointer lies below its place at entry (`pcsp`).
    StackDepth,
    /// Number of the source file within the compilation unit (`pcfile`).
    File,
    /// Source line (`pcln`).
    Line,
    /// One of `PCDATA_…`.
    Pcdata(u32),
}

/// A record, not yet checked beyond its first bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    layout: Layout,
    release: Release,
    bytes: &'a [u8],
}

fn damaged(what: &'static str) -> Error {
    Error::FunctionTable { what }
}

impl<'a> Record<'a> {
    pub(crate) fn at(header: &Header<'a>, offset: u32) -> Result<Self, Error> {
        let bytes = index(offset.into()).and_then(|at| header.table.get(at..));
        let bytes = bytes.ok_or(damaged("a function record is outside of it"))?;
        let record = Self { layout: header.layout, release: header.release, bytes };
        bytes.get(..record.fixed()).ok_or(damaged("a function record is cut off"))?;
        Ok(record)
    }

    /// Bytes of the entry, which stands first.
    fn head(self) -> usize {
        if self.release == Release::Go116 { self.layout.pointer } else { 4 }
    }

    /// Bytes before the arrays.
    fn fixed(self) -> usize {
        self.head() + if self.release == Release::Go120 { 40 } else { 36 }
    }

    /// The field `number` words of four bytes behind the entry.
    fn field(self, number: usize) -> u32 {
        self.layout.u32(self.bytes, self.head() + 4 * number).unwrap_or(0) // `at` has seen them
    }

    fn last(self, which: usize) -> u8 {
        self.bytes.get(self.fixed() - 4 + which).copied().unwrap_or(0)
    }

    /// The entry, as the record has it: an offset, or an address until Go 1.17.
    pub(crate) fn entry(self) -> u32 {
        self.layout.u32(self.bytes, 0).unwrap_or(0)
    }

    pub(crate) fn name(self) -> u32 {
        self.field(0)
    }

    /// Bytes of arguments and results on the stack; `None` where the assembler was not told.
    pub(crate) fn arguments(self) -> Option<u32> {
        Some(self.field(1)).filter(|&bytes| bytes != ARGUMENTS_UNKNOWN)
    }

    pub(crate) fn defer_return(self) -> Option<u32> {
        Some(self.field(2)).filter(|&offset| offset != 0)
    }

    pub(crate) fn unit(self) -> u32 {
        self.field(7)
    }

    /// Line of the `func` keyword; since Go 1.20.
    pub(crate) fn start_line(self) -> Option<u32> {
        (self.release == Release::Go120).then(|| self.field(8)).filter(|&line| line != 0)
    }

    pub(crate) fn id(self) -> u8 {
        self.last(0)
    }

    /// `abi.FuncFlag`; since Go 1.17, and nothing before.
    pub(crate) fn flags(self) -> u8 {
        self.last(1)
    }

    /// Offset of a value table; 0 where there is none.
    pub(crate) fn table(self, table: Table) -> Result<u32, Error> {
        Ok(match table {
            Table::StackDepth => self.field(3),
            Table::File => self.field(4),
            Table::Line => self.field(5),
            Table::Pcdata(number) if number < self.field(6) => {
                let at = self.fixed() + 4 * number.min(TABLES) as usize;
                self.layout.u32(self.bytes, at).ok_or(damaged("a function record is cut off"))?
            }
            Table::Pcdata(_) => 0,
        })
    }

    /// Since Go 1.18 an offset from `moduledata.gofunc`.
    pub(crate) fn function_data(self, number: u32) -> Result<Option<u32>, Error> {
        let tables = self.field(6);
        if tables > TABLES {
            return Err(damaged("a function has more tables than there are kinds"));
        }
        if number >= u32::from(self.last(3)) {
            return Ok(None);
        }
        let at = self.fixed() + 4 * (tables + number) as usize;
        let offset = self.layout.u32(self.bytes, at).ok_or(damaged("a function record is cut off"))?;
        Ok(Some(offset).filter(|&offset| offset != ABSENT))
    }

    /// Until Go 1.17 the data is pointed to: where the pointer stands, from the start of the record, which the
    /// linker aligns as a pointer.
    pub(crate) fn function_data_pointer(self, number: u32) -> Option<usize> {
        let tables = self.field(6).min(TABLES) as usize;
        let start = (self.fixed() + 4 * tables).next_multiple_of(self.layout.pointer);
        (number < u32::from(self.last(3))).then(|| start + self.layout.pointer * number as usize)
    }

    pub(crate) fn values(self, header: &Header<'a>, table: Table) -> Result<Values<'a>, Error> {
        match self.table(table)? {
            0 => Ok(Values::none()),
            offset => {
                let rest = index(offset.into()).and_then(|at| header.values.get(at..));
                let rest = rest.filter(|rest| !rest.is_empty());
                Ok(Values::new(rest.ok_or(damaged("a value table is outside of it"))?, header.quantum))
            }
        }
    }
}
