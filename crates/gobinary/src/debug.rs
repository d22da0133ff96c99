//! Debug data (DWARF): what only an unstripped build tells: every structure, and the parameters of functions with
//! their types and, as the compiler says it, their places at entry.
//!
//! Sections may be compressed (`SHF_COMPRESSED`, or `.zdebug_*` of older releases); they are unpacked into memory, but
//! not beyond [`EXPANSION`] times the file.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Read as _;
use std::rc::Rc;

use gimli::{
    AttributeValue, DebuggingInformationEntry, DwarfSections, EndianSlice, Operation, RunTimeEndian,
    SectionId, UnitHeader, UnitOffset, constants as dw,
};

use crate::abi::Shape;
use crate::image::Image;
use crate::{Binary, Error};

/// DEFLATE cannot expand more than about a thousandfold; Go's debug data expands threefold.
const EXPANSION: u64 = 32;
/// Nesting of types that is followed.
const DEPTH: u32 = 24;
/// Fields of one value, those of its fields included.
const FIELDS: usize = 4096;
/// More units than any program has packages.
const UNITS: usize = 1 << 18;

/// Longest name that is kept.
const NAME: usize = 64 << 10;
/// Entries that may be visited, each as often as types refer to it, for each byte of debug data.
const VISITS: u64 = 16;

type Reader<'s> = EndianSlice<'s, RunTimeEndian>;
type Unit<'s> = gimli::Unit<Reader<'s>>;
type Entry<'s> = DebuggingInformationEntry<Reader<'s>>;

/// The debug data of a binary.
#[derive(Debug)]
pub struct Debug<'a> {
    sections: DwarfSections<Cow<'a, [u8]>>,
    endian: RunTimeEndian,
    pointer: u64,
}

/// A function as debug data knows it.
#[derive(Clone, Debug)]
pub struct DebugFunction {
    /// Its name, without what the linker adds.
    pub name: String,
    /// Its first address.
    pub entry: u64,
    /// Receiver, parameters and results, in the order of the declaration.
    pub parameters: Vec<Parameter>,
}

/// A parameter or a result.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name; `~r0` and so on for results without one.
    pub name: String,
    /// It is a result.
    pub result: bool,
    /// The name of its type.
    pub type_name: String,
    /// What it is made of; absent where the type is damaged or beyond the limits.
    pub shape: Option<Shape>,
    /// Where the compiler says that its parts are at entry; empty where it says nothing.
    pub at_entry: Vec<Location>,
}

/// Where a part of a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The register's number in the architecture's DWARF mapping, or bytes from the canonical frame address.
    pub at: Where,
    /// Bytes of the part; absent for a value in one part.
    pub bytes: Option<u64>,
}

/// A register or a place on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// A register's DWARF number.
    Register(u16),
    /// Bytes from the canonical frame address.
    Frame(i64),
    /// Nowhere: the part is not kept.
    Nowhere,
}

/// A structure as debug data knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugStructure {
    /// Its name, with the whole import path.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// (offset, name, name of the type) of its fields.
    pub fields: Vec<(u64, String, String)>,
}

impl<'a> Binary<'a> {
    /// The debug data.
    ///
    /// # Errors
    /// [`Error::NoDebugData`] when there is none; [`Error::DebugData`] when it cannot be unpacked.
    pub fn debug(&self) -> Result<Debug<'a>, Error> {
        if [".debug_info", ".zdebug_info"].iter().all(|name| self.image.section(name).is_none()) {
            return Err(Error::NoDebugData);
        }
        let mut left = (self.image.data.len() as u64).saturating_mul(EXPANSION);
        let sections = DwarfSections::load(|id| section(&self.image, id, &mut left))?;
        let big = self.image.layout.big_endian;
        let endian = if big { RunTimeEndian::Big } else { RunTimeEndian::Little };
        Ok(Debug { sections, endian, pointer: self.image.layout.pointer as u64 })
    }
}

/// One section, unpacked; empty where there is none.
fn section<'a>(image: &Image<'a>, id: SectionId, left: &mut u64) -> Result<Cow<'a, [u8]>, Error> {
    let name = id.name();
    let old = format!(".z{}", name.trim_start_matches('.'));
    let found = image.sections.iter().find(|section| section.name == name || section.name == old);
    let Some(section) = found else { return Ok(Cow::Borrowed(&[])) };
    let held = image.held(section);
    let Some(size) = section.expanded else { return Ok(Cow::Borrowed(held)) };
    let damaged = || Error::DebugData { what: "a section cannot be unpacked" };
    *left = left.checked_sub(size).ok_or(Error::DebugData { what: "it expands beyond reason" })?;
    // Behind the header: `Elf64_Chdr` has 24 bytes, `Elf32_Chdr` 12; `ZLIB` and a size have 12.
    let header = if section.name == name && image.layout.pointer == 8 { 24 } else { 12 };
    let packed = held.get(header..).ok_or_else(damaged)?;
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(packed).take(size);
    reader.read_to_end(&mut unpacked).map_err(|_| damaged())?;
    Ok(Cow::Owned(unpacked))
}

fn damaged(_: gimli::Error) -> Error {
    Error::DebugData { what: "its entries contradict their description" }
}

impl Debug<'_> {
    /// The functions whose name `wanted` accepts.
    ///
    /// # Errors
    /// [`Error::DebugData`] when it is damaged.
    pub fn functions(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<DebugFunction>, Error> {
        Index::new(self)?.functions(wanted).map_err(damaged)
    }

    /// Every structure of every unit.
    ///
    /// # Errors
    /// [`Error::DebugData`] when it is damaged.
    pub fn structures(&self) -> Result<Vec<DebugStructure>, Error> {
        Index::new(self)?.structures().map_err(damaged)
    }
}

/// The units, parsed when they are needed: types are referred to across them.
struct Index<'s> {
    dwarf: gimli::Dwarf<Reader<'s>>,
    pointer: u64,
    headers: Vec<(usize, UnitHeader<Reader<'s>>)>,
    units: RefCell<HashMap<usize, Rc<Unit<'s>>>>,
    /// What the rest may cost: types refer to each other, and hostile ones without end.
    left: Cell<u64>,
}

/// A place in the debug data: which unit, and where in it.
type Spot<'s> = (Rc<Unit<'s>>, usize, UnitOffset);

impl<'s> Index<'s> {
    fn new(debug: &'s Debug<'_>) -> Result<Self, Error> {
        let dwarf = debug.sections.borrow(|section| EndianSlice::new(section, debug.endian));
        let mut left = 1 << 16;
        let mut headers = Vec::new();
        let mut iterator = dwarf.units();
        while let Some(header) = iterator.next().map_err(damaged)? {
            let Some(offset) = header.debug_info_offset() else { continue };
            if headers.len() == UNITS {
                return Err(Error::DebugData { what: "it has more units than any program" });
            }
            left += VISITS * header.length_including_self() as u64;
            headers.push((offset.0, header));
        }
        Ok(Self { dwarf, pointer: debug.pointer, headers, units: RefCell::default(), left: Cell::new(left) })
    }

    fn unit(&self, number: usize) -> gimli::Result<Rc<Unit<'s>>> {
        if let Some(unit) = self.units.borrow().get(&number) {
            return Ok(Rc::clone(unit));
        }
        let (_, header) = self.headers[number];
        let unit = Rc::new(self.dwarf.unit(header)?);
        self.units.borrow_mut().insert(number, Rc::clone(&unit));
        Ok(unit)
    }

    /// Where an attribute of an entry in unit `number` refers to.
    fn follow(
        &self,
        number: usize,
        value: Option<AttributeValue<Reader<'s>>>,
    ) -> gimli::Result<Option<Spot<'s>>> {
        Ok(match value {
            Some(AttributeValue::UnitRef(offset)) => Some((self.unit(number)?, number, offset)),
            Some(AttributeValue::DebugInfoRef(offset)) => {
                let behind = self.headers.partition_point(|(start, _)| *start <= offset.0);
                let Some(number) = behind.checked_sub(1) else { return Ok(None) };
                let within = UnitOffset(offset.0 - self.headers[number].0);
                Some((self.unit(number)?, number, within))
            }
            _ => None,
        })
    }

    /// Takes `cost` from what is left; an error when there is none.
    fn spend(&self, cost: usize) -> gimli::Result<()> {
        let left = self.left.get().checked_sub(cost as u64).ok_or(gimli::Error::OffsetOutOfBounds(0))?;
        self.left.set(left);
        Ok(())
    }

    fn text(&self, unit: &Unit<'s>, value: Option<AttributeValue<Reader<'s>>>) -> String {
        let text = value.and_then(|value| self.dwarf.attr_string(unit, value).ok());
        let text =
            text.map(|text| text.slice()).filter(|text| text.len() <= NAME && self.spend(text.len()).is_ok());
        text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }

    fn functions(&self, wanted: &dyn Fn(&str) -> bool) -> gimli::Result<Vec<DebugFunction>> {
        let mut found = Vec::new();
        for number in 0..self.headers.len() {
            let unit = self.unit(number)?;
            let mut cursor = unit.entries();
            let mut within: Option<(isize, DebugFunction)> = None;
            while let Some(entry) = cursor.next_dfs()? {
                if within.as_ref().is_some_and(|(depth, _)| entry.depth() <= *depth) {
                    found.extend(within.take().map(|(_, function)| function));
                }
                if entry.tag() == dw::DW_TAG_subprogram {
                    let function = self.function(&unit, number, entry)?;
                    within = function.filter(|f| wanted(&f.name)).map(|f| (entry.depth(), f));
                } else if let Some((depth, function)) = &mut within
                    && entry.tag() == dw::DW_TAG_formal_parameter
                    && entry.depth() == *depth + 1
                {
                    function.parameters.push(self.parameter(&unit, number, entry, function.entry)?);
                }
            }
            found.extend(within.map(|(_, function)| function));
        }
        Ok(found)
    }

    /// A function that has code. What was inlined somewhere too has its name in another entry.
    fn function(
        &self,
        unit: &Unit<'s>,
        number: usize,
        entry: &Entry<'s>,
    ) -> gimli::Result<Option<DebugFunction>> {
        let Some(low) = entry.attr_value(dw::DW_AT_low_pc) else { return Ok(None) };
        let Some(address) = self.dwarf.attr_address(unit, low)? else { return Ok(None) };
        let name = self.described(unit, number, entry, dw::DW_AT_name)?;
        Ok(Some(DebugFunction { name, entry: address, parameters: Vec::new() }))
    }

    /// The name, of the entry itself or of the one that it is an instance of.
    fn described(
        &self,
        unit: &Unit<'s>,
        number: usize,
        entry: &Entry<'s>,
        name: gimli::DwAt,
    ) -> gimli::Result<String> {
        if let Some(own) = entry.attr_value(name) {
            return Ok(self.text(unit, Some(own)));
        }
        let Some((unit, _, offset)) = self.follow(number, entry.attr_value(dw::DW_AT_abstract_origin))?
        else {
            return Ok(String::new());
        };
        let origin = unit.entry(offset)?;
        Ok(self.text(&unit, origin.attr_value(name)))
    }

    fn parameter(
        &self,
        unit: &Unit<'s>,
        number: usize,
        entry: &Entry<'s>,
        low: u64,
    ) -> gimli::Result<Parameter> {
        let name = self.described(unit, number, entry, dw::DW_AT_name)?;
        let origin = self.follow(number, entry.attr_value(dw::DW_AT_abstract_origin))?;
        let (mut kind, mut result) =
            (entry.attr_value(dw::DW_AT_type), entry.attr_value(dw::DW_AT_variable_parameter));
        let mut of = number;
        if let Some((unit, number, offset)) = origin {
            let origin = unit.entry(offset)?;
            if kind.is_none() {
                (kind, of) = (origin.attr_value(dw::DW_AT_type), number);
            }
            result = result.or_else(|| origin.attr_value(dw::DW_AT_variable_parameter));
        }
        let (mut type_name, mut shape) = (String::new(), None);
        if let Some(spot) = self.follow(of, kind)? {
            type_name = self.text(&spot.0, spot.0.entry(spot.2)?.attr_value(dw::DW_AT_name));
            shape = self.shape(spot, DEPTH, &mut FIELDS.clone())?;
        }
        let result = matches!(result, Some(AttributeValue::Flag(true)));
        let at_entry = self.locations(unit, entry, low)?;
        Ok(Parameter { name, result, type_name, shape, at_entry })
    }

    fn shape(&self, spot: Spot<'s>, depth: u32, left: &mut usize) -> gimli::Result<Option<Shape>> {
        self.spend(1)?;
        let (unit, number, offset) = spot;
        let entry = unit.entry(offset)?;
        let size = entry.attr_value(dw::DW_AT_byte_size).and_then(|v| v.udata_value());
        if depth == 0 {
            return Ok(None);
        }
        let inner = |value, left: &mut usize| match self.follow(number, value)? {
            Some(spot) => self.shape(spot, depth - 1, left),
            None => Ok(None),
        };
        Ok(match entry.tag() {
            dw::DW_TAG_base_type => size.map(|bytes| match entry.attr_value(dw::DW_AT_encoding) {
                Some(AttributeValue::Encoding(dw::DW_ATE_float)) => Shape::Float { bytes },
                Some(AttributeValue::Encoding(dw::DW_ATE_complex_float)) => Shape::complex(bytes),
                _ => Shape::Integer { bytes },
            }),
            dw::DW_TAG_pointer_type | dw::DW_TAG_subroutine_type | dw::DW_TAG_unspecified_type => {
                Some(Shape::Pointer)
            }
            dw::DW_TAG_typedef => inner(entry.attr_value(dw::DW_AT_type), left)?,
            dw::DW_TAG_array_type => {
                let element = inner(entry.attr_value(dw::DW_AT_type), left)?;
                let length = self.length(&unit, offset)?;
                element
                    .zip(length)
                    .map(|(element, length)| Shape::Array { length, element: Box::new(element) })
            }
            dw::DW_TAG_structure_type => {
                let mut fields = Vec::new();
                for (at, kind) in self.members(&unit, offset)? {
                    let Some(rest) = left.checked_sub(1) else { return Ok(None) };
                    *left = rest;
                    let Some(field) = inner(kind, left)? else { return Ok(None) };
                    fields.push((at, field));
                }
                let align = fields.iter().map(|(_, field)| field.align(self.pointer)).max().unwrap_or(1);
                size.map(|bytes| Shape::Structure { bytes, align, fields })
            }
            _ => None,
        })
    }

    /// (offset, type) of the members of the structure at `offset`.
    fn members(&self, unit: &Unit<'s>, offset: UnitOffset) -> gimli::Result<Vec<Member<'s>>> {
        let mut cursor = unit.entries_at_offset(offset)?;
        let mut found = Vec::new();
        let Some(top) = cursor.next_dfs()?.map(|entry| entry.depth()) else { return Ok(found) };
        while let Some(entry) = cursor.next_dfs()? {
            self.spend(1)?;
            if entry.depth() <= top || found.len() > FIELDS {
                break;
            }
            if entry.tag() == dw::DW_TAG_member {
                let at = entry.attr_value(dw::DW_AT_data_member_location).and_then(|v| v.udata_value());
                found.push((at.unwrap_or(0), entry.attr_value(dw::DW_AT_type)));
            }
        }
        Ok(found)
    }

    /// The length of the array at `offset`.
    fn length(&self, unit: &Unit<'s>, offset: UnitOffset) -> gimli::Result<Option<u64>> {
        let mut cursor = unit.entries_at_offset(offset)?;
        let Some(top) = cursor.next_dfs()?.map(|entry| entry.depth()) else { return Ok(None) };
        while let Some(entry) = cursor.next_dfs()? {
            self.spend(1)?;
            if entry.depth() <= top {
                break;
            }
            if entry.tag() == dw::DW_TAG_subrange_type {
                return Ok(entry.attr_value(dw::DW_AT_count).and_then(|v| v.udata_value()));
            }
        }
        Ok(None)
    }

    /// What the location says of the instruction at `low`.
    fn locations(&self, unit: &Unit<'s>, entry: &Entry<'s>, low: u64) -> gimli::Result<Vec<Location>> {
        let Some(value) = entry.attr_value(dw::DW_AT_location) else { return Ok(Vec::new()) };
        if let AttributeValue::Exprloc(expression) = value {
            return pieces(expression, unit.encoding());
        }
        let Some(mut list) = self.dwarf.attr_locations(unit, value)? else { return Ok(Vec::new()) };
        while let Some(found) = list.next()? {
            self.spend(1)?;
            if (found.range.begin..found.range.end).contains(&low) {
                return pieces(found.data, unit.encoding());
            }
        }
        Ok(Vec::new())
    }

    fn structures(&self) -> gimli::Result<Vec<DebugStructure>> {
        let mut found = Vec::new();
        for number in 0..self.headers.len() {
            let unit = self.unit(number)?;
            let mut cursor = unit.entries();
            let mut within: Option<(isize, DebugStructure)> = None;
            while let Some(entry) = cursor.next_dfs()? {
                if within.as_ref().is_some_and(|(depth, _)| entry.depth() <= *depth) {
                    found.extend(within.take().map(|(_, structure)| structure));
                }
                let name = || self.text(&unit, entry.attr_value(dw::DW_AT_name));
                if entry.tag() == dw::DW_TAG_structure_type {
                    let bytes = entry.attr_value(dw::DW_AT_byte_size).and_then(|v| v.udata_value());
                    let structure =
                        DebugStructure { name: name(), bytes: bytes.unwrap_or(0), fields: Vec::new() };
                    within = Some((entry.depth(), structure));
                } else if let Some((_, structure)) = &mut within
                    && entry.tag() == dw::DW_TAG_member
                {
                    let at = entry.attr_value(dw::DW_AT_data_member_location).and_then(|v| v.udata_value());
                    let kind = match self.follow(number, entry.attr_value(dw::DW_AT_type))? {
                        Some((unit, _, offset)) => {
                            self.text(&unit, unit.entry(offset)?.attr_value(dw::DW_AT_name))
                        }
                        None => String::new(),
                    };
                    structure.fields.push((at.unwrap_or(0), name(), kind));
                }
            }
            found.extend(within.map(|(_, structure)| structure));
        }
        Ok(found)
    }
}

type Member<'s> = (u64, Option<AttributeValue<Reader<'s>>>);

/// The parts that a location expression names. Go's compiler writes registers, places relative to the frame, and
/// pieces of these; anything else is left out.
fn pieces(
    expression: gimli::Expression<Reader<'_>>,
    encoding: gimli::Encoding,
) -> gimli::Result<Vec<Location>> {
    let mut found = Vec::new();
    let mut at = None;
    let mut operations = expression.operations(encoding);
    while let Some(operation) = operations.next()? {
        match operation {
            Operation::Register { register } => at = Some(Where::Register(register.0)),
            Operation::CallFrameCFA => at = Some(Where::Frame(0)),
            Operation::FrameOffset { offset } => at = Some(Where::Frame(offset)),
            Operation::PlusConstant { value } => {
                if let Some(Where::Frame(offset)) = &mut at {
                    *offset = offset.saturating_add_unsigned(value);
                }
            }
            Operation::Piece { size_in_bits, .. } => {
                let bytes = Some(size_in_bits / 8);
                found.push(Location { at: at.take().unwrap_or(Where::Nowhere), bytes });
            }
            _ => return Ok(Vec::new()),
        }
    }
    found.extend(at.map(|at| Location { at, bytes: None }));
    Ok(found)
}
