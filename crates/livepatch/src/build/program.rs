//! One of the two builds: its code, data and read-only data by link address.

use std::collections::{BTreeMap, HashMap};

use goproc::elf::{Layouts, Segment};

use super::code::{self, Reference};
use super::file::{File, Source};
use super::foreign::{Foreign, ForeignPlace};
use super::types::{TypeKey, Types};
use crate::error::{Error, Result};

/// Symbols that say where something begins or ends. Before Go 1.27 the descriptors share their region with the strings.
const MARKS: [&str; 5] =
    ["runtime.firstmoduledata", "runtime.text", "runtime.etext", "type:*", "go:string.*"];
/// The structures of the runtime that must be known by their fields.
const STRUCTURES: [&str; 2] = ["runtime.moduledata", "runtime.g"];

/// A name, and which of those that bear it.
pub(crate) type Key<'a> = (&'a str, u32);

/// A function as the symbol table has it.
#[derive(Debug)]
pub(crate) struct Code<'a> {
    pub name: &'a str,
    /// Which of those with this name, by address: names of static functions may stand twice.
    pub rank: u32,
    pub entry: u64,
    pub bytes: &'a [u8],
    /// Every operand that names an address, in order.
    pub references: Vec<Reference>,
}

impl<'a> Code<'a> {
    pub(crate) fn key(&self) -> Key<'a> {
        (self.name, self.rank)
    }

    pub(crate) fn end(&self) -> u64 {
        self.entry + self.bytes.len() as u64
    }
}

/// A variable as the symbol table has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable<'a> {
    pub name: &'a str,
    /// As that of [`Code`].
    pub rank: u32,
    pub address: u64,
    pub size: u64,
}

impl<'a> Variable<'a> {
    pub(crate) fn key(&self) -> Key<'a> {
        (self.name, self.rank)
    }
}

/// What names an interface table in both builds: the interface and the type that implements it.
pub(crate) type TablePair = (TypeKey, TypeKey);

/// `abi.ITab`: interface, type, hash of the type, and the type's methods in the order of the interface's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InterfaceTable {
    pub pair: TablePair,
    pub size: u64,
}

/// What an address means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the function at this index, at this offset.
    Code(usize, u64),
    /// In the variable at this index, at this offset.
    Variable(usize, u64),
    /// A type descriptor, or something else in their region.
    Type,
    /// In the interface table that begins at this address, at this offset.
    InterfaceTable(u64, u64),
    /// Other read-only data.
    Constant,
    /// Initialised data without a symbol: what a composite literal in a variable points to.
    Unnamed,
    /// In code that the Go linker did not make.
    Foreign(ForeignPlace),
    /// Nothing that is known.
    Nowhere,
}

/// A parsed build.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub segments: Vec<Segment<'a>>,
    pub layouts: Layouts,
    pub functions: Vec<Code<'a>>,
    pub by_name: HashMap<Key<'a>, usize>,
    pub variables: Vec<Variable<'a>>,
    pub variable_by_name: HashMap<Key<'a>, usize>,
    pub types: Types,
    pub module: u64,
    pub text: (u64, u64),
    pub release: String,
    pub build_id: Vec<u8>,
    pub foreign: Foreign<'a>,
    pub is_position_independent: bool,
    addresses: Option<&'a [u64]>,
    interface_tables: BTreeMap<u64, InterfaceTable>,
    constants: Vec<(u64, u64)>,
    data: Vec<(u64, u64)>,
    starts: Vec<u64>,
    image: (u64, u64),
}

impl<'a> Program<'a> {
    pub(crate) fn parse(file: &'a File<'_>) -> Result<Self> {
        let which = file.which;
        let unreadable = |source| Error::Unreadable { which, source };
        let facts = gobinary::Binary::parse(&file.bytes).map_err(|source| Error::NotGo { which, source })?;
        let release = facts.build_info().map(|go| go.version.clone()).unwrap_or_default();
        let source = file.source()?;
        let layouts = source.executable.layouts(&STRUCTURES).map_err(unreadable)?;
        let segments = source.segments().map_err(unreadable)?;
        let missing = |what: &str| Error::Lacks { which, what: what.to_owned() };
        let marks: HashMap<&str, u64> =
            source.symbols().filter(|s| MARKS.contains(&s.name)).map(|s| (s.name, s.address)).collect();
        let mark = |name: &str| marks.get(name).copied().ok_or_else(|| missing(name));
        let module = mark("runtime.firstmoduledata")?;
        let text = (mark("runtime.text")?, mark("runtime.etext")?);
        let image = (
            segments.iter().map(|s| s.address).min().unwrap_or(0),
            segments.iter().map(|s| s.address + s.size).max().unwrap_or(0),
        );
        let build_id = source.executable.build_id().ok_or_else(|| missing("build id"))?;
        let mut program = Self {
            segments,
            layouts,
            functions: Vec::new(),
            by_name: HashMap::new(),
            variables: Vec::new(),
            variable_by_name: HashMap::new(),
            types: Types::default(),
            module,
            text,
            release,
            build_id,
            foreign: Foreign::default(),
            is_position_independent: source.addresses.is_some(),
            addresses: source.addresses,
            interface_tables: BTreeMap::new(),
            constants: Vec::new(),
            data: Vec::new(),
            starts: Vec::new(),
            image,
        };
        program.read_symbols(which, &source)?;
        program.find_constants(&source);
        program.find_foreign(&source);
        program.types = Types::of(&program, mark("type:*")?, mark("go:string.*")?)?;
        program.find_interface_tables(&source)?;
        program.find_starts(&source);
        Ok(program)
    }

    fn read_symbols(&mut self, which: &'static str, source: &Source<'a>) -> Result<()> {
        let writable: Vec<(u64, u64)> =
            self.segments.iter().filter(|s| s.writable).map(|s| (s.address, s.address + s.size)).collect();
        for symbol in source.symbols().filter(|s| s.size > 0) {
            if symbol.is_function && (self.text.0..self.text.1).contains(&symbol.address) {
                // The build id is written as a function, so that tools find it at the start of the code.
                if symbol.name == "go:buildid" {
                    continue;
                }
                let bytes = self
                    .bytes(symbol.address, symbol.size)
                    .ok_or_else(|| Error::Lacks { which, what: format!("code of `{}`", symbol.name) })?;
                let references = code::references(bytes, symbol.address);
                self.functions.push(Code {
                    name: symbol.name,
                    rank: 0,
                    entry: symbol.address,
                    bytes,
                    references,
                });
            } else if writable.iter().any(|(start, end)| (*start..*end).contains(&symbol.address)) {
                self.variables.push(Variable {
                    name: symbol.name,
                    rank: 0,
                    address: symbol.address,
                    size: symbol.size,
                });
            }
        }
        if self.functions.is_empty() {
            return Err(Error::Lacks {
                which,
                what: "symbols (it was linked with -s, or stripped)".to_owned(),
            });
        }
        self.functions.sort_by_key(|f| f.entry);
        self.variables.sort_by_key(|v| v.address);
        rank(self.functions.iter_mut().map(|f| (f.name, &mut f.rank)));
        rank(self.variables.iter_mut().map(|v| (v.name, &mut v.rank)));
        self.by_name = self.functions.iter().enumerate().map(|(at, f)| (f.key(), at)).collect();
        self.variable_by_name = self.variables.iter().enumerate().map(|(at, v)| (v.key(), at)).collect();
        Ok(())
    }

    /// Read-only segments without the function table, which holds offsets only. What the system's linker puts into a segment
    /// of its own before the code (headers, dynamic symbols) is no part of what is placed.
    fn find_constants(&mut self, source: &Source<'a>) {
        let table =
            [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| source.section_range(name));
        let table = table.unwrap_or((0, 0));
        self.segments.retain(|s| s.offset != 0 || s.executable);
        for segment in self.segments.iter().filter(|s| !s.executable) {
            let (start, end) = (segment.address, segment.address + segment.bytes.len() as u64);
            if segment.writable {
                self.data.push((start, end));
                continue;
            }
            match (start..end).contains(&table.0) {
                true => self.constants.extend([(start, table.0), (table.1, end)]),
                false => self.constants.push((start, end)),
            }
        }
    }

    fn find_foreign(&mut self, source: &Source<'a>) {
        let (start, end) = self.text;
        let executable = |at: u64| {
            self.segments.iter().any(|s| s.executable && (s.address..s.address + s.size).contains(&at))
        };
        let symbols = source.symbols().filter(|s| s.is_function && s.size > 0);
        let symbols = symbols.filter(|s| !(start..end).contains(&s.address) && executable(s.address));
        let coded = symbols.filter_map(|s| self.bytes(s.address, s.size).map(|bytes| (s, bytes)));
        self.foreign = Foreign::of(coded, |name| source.section_range(name));
    }

    /// Until Go 1.26 they have symbols; from 1.27 on they stand one after the other in a range of `moduledata`.
    fn find_interface_tables(&mut self, source: &Source<'a>) -> Result<()> {
        let mut addresses: Vec<u64> =
            source.symbols().filter(|s| s.name.starts_with("go:itab.")).map(|s| s.address).collect();
        let field = |name| self.layouts.optional("runtime.moduledata", name);
        if let (Some(offset), Some(size)) = (field("itaboffset"), field("itabsize")) {
            let word = |at| self.word(self.module + at);
            let start = self.types.region.0 + word(offset).unwrap_or(0);
            let end = start + word(size).unwrap_or(0);
            let mut at = start;
            while at < end {
                addresses.push(at);
                let methods = self.word(at).map_or(0, |inter| self.types.methods_of_interface(self, inter));
                at += 24 + 8 * methods.max(1);
            }
        }
        for address in addresses {
            let (Some(inter), Some(concrete)) = (self.word(address), self.word(address + 8)) else {
                continue;
            };
            match (self.types.key(self, inter), self.types.key(self, concrete)) {
                (Some(of), Some(concrete)) => {
                    let size = 24 + 8 * self.types.methods_of_interface(self, inter).max(1);
                    let table = InterfaceTable { pair: (of, concrete), size };
                    drop(self.interface_tables.insert(address, table));
                }
                _ => {
                    return Err(Error::Contradicts {
                        what: format!("an interface table at {address:#x} has no types"),
                    });
                }
            }
        }
        Ok(())
    }

    /// Where constants and data begin: whatever an operand, a word or a symbol names.
    fn find_starts(&mut self, source: &Source<'a>) {
        let named = self.functions.iter().flat_map(|f| f.references.iter().map(|r| r.target));
        let words = self.segments.iter().filter(|s| !s.executable);
        let words = words
            .flat_map(|s| self.pointers(s.address, s.address + s.bytes.len() as u64))
            .map(|(_, word)| word);
        let symbols: Vec<u64> = source.symbols().map(|s| s.address).collect();
        let ends = self.constants.iter().chain(&self.data).map(|(_, end)| *end);
        let mut starts: Vec<u64> = named
            .chain(words)
            .chain(symbols)
            .filter(|t| self.is_constant(*t) || self.is_data(*t))
            .chain(ends)
            .collect();
        starts.sort_unstable();
        starts.dedup();
        self.starts = starts;
    }

    /// The bytes at an address, from the file.
    pub(crate) fn bytes(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let segment = self
            .segments
            .iter()
            .find(|s| (s.address..s.address + s.bytes.len() as u64).contains(&address))?;
        let at = usize::try_from(address - segment.address).ok()?;
        segment.bytes.get(at..at.checked_add(usize::try_from(size).ok()?)?)
    }

    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(address, 8)?.try_into().ok()?))
    }

    /// A field of its `moduledata`.
    pub(crate) fn module_word(&self, field: &str) -> Result<u64> {
        let offset =
            self.layouts.offset("runtime.moduledata", field).map_err(|source| Error::Layout { source })?;
        self.word(self.module + offset)
            .ok_or_else(|| Error::Contradicts { what: format!("`moduledata.{field}` is not in the file") })
    }

    /// The data without symbols around an address: from the end of one variable to the start of the next. Objects in it
    /// have no sizes, so it is taken whole.
    pub(crate) fn unnamed_run(&self, address: u64) -> Option<(u64, u64)> {
        let (start, end) =
            self.data.iter().copied().find(|(start, end)| (*start..*end).contains(&address))?;
        let next = self.variables.partition_point(|v| v.address <= address);
        let before =
            next.checked_sub(1).map_or(start, |at| self.variables[at].address + self.variables[at].size);
        let after = self.variables.get(next).map_or(end, |v| v.address);
        Some((before.max(start), after.min(end)))
    }

    fn is_data(&self, address: u64) -> bool {
        self.data.iter().any(|(start, end)| (*start..*end).contains(&address))
    }

    /// Is it in the part of the variables that begins as zeros, and has no bytes in the file?
    pub(crate) fn is_zeroed(&self, address: u64) -> bool {
        [("bss", "ebss"), ("noptrbss", "enoptrbss")].iter().any(|(start, end)| {
            let (Ok(start), Ok(end)) = (self.module_word(start), self.module_word(end)) else { return false };
            (start..end).contains(&address)
        })
    }

    pub(crate) fn is_constant(&self, address: u64) -> bool {
        self.constants.iter().any(|(start, end)| (*start..*end).contains(&address))
    }

    /// The words of a range that are addresses of the image: place and value. Where nothing says which words are (a build
    /// at fixed addresses), those whose value is one.
    pub(crate) fn pointers(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let listed = self.addresses.map(|all| {
            let from = all.partition_point(|at| *at < start);
            all[from..].iter().copied().take_while(move |at| at.saturating_add(8) <= end)
        });
        let any = listed.is_none().then(|| (start.next_multiple_of(8)..end.saturating_sub(7)).step_by(8));
        let places = listed.into_iter().flatten().chain(any.into_iter().flatten());
        places.filter_map(|at| self.word(at).filter(|word| self.holds(*word)).map(|word| (at, word)))
    }

    /// Where words of a range are addresses, as far as the build says so.
    pub(crate) fn places(&self, start: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let all = self.addresses.unwrap_or_default();
        let from = all.partition_point(|at| *at < start);
        all[from..].iter().copied().take_while(move |at| at.saturating_add(8) <= end)
    }

    /// The address that the word at `at` is, if it is one.
    pub(crate) fn pointer(&self, at: u64) -> Option<u64> {
        let is_listed = self.addresses.is_none_or(|all| all.binary_search(&at).is_ok());
        self.word(at).filter(|word| is_listed && self.holds(*word))
    }

    pub(crate) fn holds(&self, address: u64) -> bool {
        (self.image.0..self.image.1).contains(&address)
    }

    pub(crate) fn constants(&self) -> &[(u64, u64)] {
        &self.constants
    }

    /// First address and the one behind the last.
    pub(crate) fn image(&self) -> (u64, u64) {
        self.image
    }

    pub(crate) fn interface_tables(&self) -> &BTreeMap<u64, InterfaceTable> {
        &self.interface_tables
    }

    /// Where the table of a pair is, if this build has one.
    pub(crate) fn interface_table(&self, pair: &TablePair) -> Option<u64> {
        self.interface_tables.iter().find(|(_, table)| table.pair == *pair).map(|(address, _)| *address)
    }

    /// How far a constant reaches at most: to the next one.
    pub(crate) fn extent(&self, address: u64) -> u64 {
        let next = self.starts.partition_point(|start| *start <= address);
        self.starts.get(next).map_or(0, |start| start - address)
    }

    pub(crate) fn place(&self, address: u64) -> Place {
        if (self.text.0..self.text.1).contains(&address) {
            let at = self.functions.partition_point(|f| f.entry <= address);
            return match at.checked_sub(1).map(|at| (at, &self.functions[at])) {
                Some((at, code)) if address < code.end() => Place::Code(at, address - code.entry),
                _ => Place::Nowhere,
            };
        }
        if let Some((start, table)) = self.interface_tables.range(..=address).next_back()
            && address < start + table.size
        {
            return Place::InterfaceTable(*start, address - start);
        }
        if let Some(place) = self.foreign.place(address) {
            return Place::Foreign(place);
        }
        if (self.types.descriptors.0..self.types.descriptors.1).contains(&address) {
            return Place::Type;
        }
        if self.is_constant(address) {
            return Place::Constant;
        }
        let at = self.variables.partition_point(|v| v.address <= address);
        match at.checked_sub(1).map(|at| (at, &self.variables[at])) {
            Some((at, v)) if address < v.address + v.size => Place::Variable(at, address - v.address),
            _ if self.is_data(address) => Place::Unnamed,
            _ => Place::Nowhere,
        }
    }
}

/// Numbers those that share a name, in the order of their addresses.
pub(crate) fn rank<'a, 'r>(named: impl Iterator<Item = (&'a str, &'r mut u32)>) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (name, rank) in named {
        let next = seen.entry(name).or_default();
        *rank = *next;
        *next += 1;
    }
}
