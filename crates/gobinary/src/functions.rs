//! The functions of the table, one by one: names, entries, sizes and where their source is.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::Error;
use crate::bytes::{c_string, index};
use crate::image::Image;
use crate::moduledata::Text;
use crate::pclntab::{Header, Release};
use crate::record::{Record, Table};
use crate::values::Values;

/// Longest name that is read. Names of instantiated generic functions reach a few kilobytes.
const NAME: usize = 64 << 10;
/// Longest source path that is read.
const PATH: usize = 4096;
/// Functions may share value tables (the linker keeps equal ones once), but not without end: so many times may the
/// bytes of all tables be walked. Real programs stay below two.
const SHARING: usize = 16;

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Function<'a> {
    /// As the runtime names it: `main.main`, `net/http.(*Server).Serve`; empty where an obfuscator left it out.
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
    /// Where its record stands in the table.
    #[serde(skip)]
    pub(crate) record: u32,
}

/// `0x…`, without the machinery of `format!`: a list has one for each of a hundred thousand functions.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(crate) fn hexadecimal<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let mut digits = [b'0'; 18];
    let mut start = digits.len();
    let mut rest = *address;
    while rest != 0 || start == digits.len() {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    digits[start - 1] = b'x';
    serializer.serialize_str(str::from_utf8(&digits[start - 2..]).unwrap_or_default())
}

/// Text of the file: nearly always UTF-8, which the check alone tells faster than the repair.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Decodes the whole table.
///
/// The work is linear in the size of the table: value tables and names may be shared, but not beyond reason.
pub(crate) fn decode<'a>(
    image: &Image<'a>,
    header: &Header<'a>,
    text: &Text,
) -> Result<Vec<Function<'a>>, Error> {
    let mut decoder = Decoder { image, header, text, left: Allowance::of(header) };
    let mut functions = Vec::with_capacity(header.functions);
    for number in 0..header.functions {
        let entry = decoder.entry(number)?;
        if entry.record == 0 {
            continue; // a hole: code that an external linker put between Go's
        }
        functions.push(decoder.function(&entry)?);
    }
    Ok(functions)
}

/// The source paths of the file table.
pub(crate) fn files<'a>(header: &Header<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let files = header.file_names.split(|&b| b == 0).filter(|f| !f.is_empty()).take(header.files);
    files.map(|f| text(&f[..f.len().min(PATH)]))
}

/// Whether `runtime/cgo` is among the functions.
pub(crate) fn has_cgo(header: &Header<'_>) -> bool {
    memchr::memmem::find(header.names, b"\0runtime/cgo.").is_some()
}

pub(crate) fn damaged(what: &'static str) -> Error {
    Error::FunctionTable { what }
}

/// How much may still be read: without it a small hostile table could cost the square of its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    values: usize,
    names: usize,
}

impl Allowance {
    pub(crate) fn of(header: &Header<'_>) -> Self {
        let names = header.names.len().saturating_mul(4).saturating_add(NAME);
        Self { values: header.values.len().saturating_mul(SHARING).saturating_add(PATH), names }
    }

    pub(crate) fn walk(&mut self, bytes: usize) -> Result<(), Error> {
        self.values = self.values.checked_sub(bytes).ok_or(damaged("its value tables overlap"))?;
        Ok(())
    }

    pub(crate) fn name(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.names.checked_sub(bytes);
        self.names = left.ok_or(damaged("its names overlap beyond reason"))?;
        Ok(())
    }
}

/// One pair of the table of entries, and where the next begins.
struct Entry {
    start: u64,
    next: u64,
    record: u32,
}

struct Decoder<'h, 'a> {
    image: &'h Image<'a>,
    header: &'h Header<'a>,
    text: &'h Text,
    left: Allowance,
}

impl<'a> Decoder<'_, 'a> {
    fn entry(&self, number: usize) -> Result<Entry, Error> {
        let pair = || {
            let record = u32::try_from(self.header.entry(number, true)?).ok()?;
            Some(Entry { start: self.start(number)?, next: self.start(number + 1)?, record })
        };
        let entry = pair().ok_or(damaged("it ends before its last function"))?;
        if entry.next < entry.start {
            return Err(damaged("entries are not in order"));
        }
        Ok(entry)
    }

    /// An offset from the start of the code; until Go 1.17 an address, which a position-independent executable keeps
    /// in its relocations.
    fn start(&self, number: usize) -> Option<u64> {
        match self.header.release {
            Release::Go116 => {
                let place =
                    self.header.offsets[4].checked_add((number * self.header.entry_bytes()) as u64)?;
                let address = self.image.word(self.header.address.checked_add(place)?)?;
                address.checked_sub(self.text.start)
            }
            _ => self.header.entry(number, false),
        }
    }

    fn function(&mut self, entry: &Entry) -> Result<Function<'a>, Error> {
        let header = self.header;
        let record = Record::at(header, entry.record)?;
        // Until Go 1.17 the record has the address, relocated; an obfuscator changes what stands here.
        let own = header.release != Release::Go116 && !header.altered;
        if own && u64::from(record.entry()) != entry.start {
            return Err(damaged("a record does not belong to its entry"));
        }
        let name = header.name(record.name())?;
        self.left.name(name.len())?;
        let gap = entry.next - entry.start;
        let lines = record.values(header, Table::Line)?;
        // Every table of a function covers all of its code; that of the stack is much shorter than that of lines.
        let covered = match record.table(Table::StackDepth)? {
            0 => self.covered(lines.clone())?,
            _ => self.covered(record.values(header, Table::StackDepth)?)?,
        };
        let line = self.first(lines)?;
        let file = self.first(record.values(header, Table::File)?)?;
        Ok(Function {
            name: text(name),
            entry: self.text.address(entry.start),
            size: if covered == 0 { gap } else { covered.min(gap) },
            file: file.and_then(|file| header.file(record.unit(), file)).unwrap_or_default(),
            line: line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
            record: entry.record,
        })
    }

    /// How many bytes of code have a value.
    fn covered(&mut self, mut values: Values<'a>) -> Result<u64, Error> {
        let (mut covered, mut before) = (0, values.left());
        while let Some(span) = values.next() {
            covered = span?.code.end;
            self.left.walk(before - values.left())?;
            before = values.left();
        }
        Ok(covered)
    }

    /// The value at the entry.
    fn first(&mut self, mut values: Values<'a>) -> Result<Option<i32>, Error> {
        let before = values.left();
        let first = values.next().transpose()?;
        self.left.walk(before - values.left())?;
        Ok(first.map(|span| span.value))
    }
}

impl<'a> Header<'a> {
    /// The linker puts a name at the start too, though the runtime takes that place for "no name"; an obfuscator that
    /// leaves names out means what the runtime does.
    pub(crate) fn name(&self, offset: u32) -> Result<&'a [u8], Error> {
        if self.altered && offset == 0 {
            return Ok(b"");
        }
        let name = index(offset.into()).and_then(|at| c_string(self.names, at, NAME));
        name.ok_or(damaged("a function's name does not end"))
    }

    /// runtime/symtab.go `funcfile`: the unit's slice of file numbers gives the place of the path.
    pub(crate) fn file(&self, unit: u32, number: i32) -> Option<Cow<'a, str>> {
        let slot = index(unit.into())?.checked_add(usize::try_from(number).ok()?)?;
        let offset = self.layout.u32(self.units, slot.checked_mul(4)?)?;
        let path = c_string(self.file_names, index(offset.into())?, PATH)?;
        Some(text(path))
    }
}
