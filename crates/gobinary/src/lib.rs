//! Go executables, read as bytes: what the go command wrote into them, their function table, and how they are
//! hardened.
//!
//! ELF, PE and Mach-O, any architecture that Go builds for, either byte order; function tables of Go 1.16 and later.
//! Nothing is executed and nothing is looked up elsewhere: sums of modules are reported, not checked, and a signature is
//! reported, not verified.
//!
//! Every read is checked against the bytes that are there and the work is bounded by the size of the file, so any
//! bytes may be offered; wrong ones give an [`Error`].
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = std::fs::read("payments")?;
//! let binary = gobinary::Binary::parse(&bytes)?;
//! let facts = binary.inspect();
//! println!("{:?}, score {}", facts.go.map(|go| go.version), gobinary::hardening::assess(&binary.inspect()).score);
//! for function in binary.functions()? {
//!     println!("{:#x} {}", function.entry, function.name);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod abi;
mod attach;
mod buildinfo;
mod bytes;
mod code;
mod compare;
pub mod debug;
mod detail;
mod elf;
mod error;
mod facts;
mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod gadgets;
mod got;
pub mod hardening;
mod image;
mod inspection;
mod layout;
mod macho;
mod moduledata;
mod pclntab;
mod pe;
mod record;
mod relocations;
pub mod sparse;
mod symbols;
mod synthetic;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub use attach::{AttachKind, AttachPoint};
pub use compare::{Change, Comparison, FunctionChanges, Measure, SectionChange, compare};
pub use detail::{Detail, Details, Frame, Inlined, SourceSpan};
pub use error::Error;
pub use facts::{
    BuildIds, Cgo, GoInfo, Inspection, Kind, Linkage, Memory, Module, ModuleSummary, NxStack, Paths, PeFacts,
    Purpose, Relro, SymbolSection, Symbols, TableSummary,
};
pub use functions::Function;
pub use gadgets::Gadgets;
pub use got::{Binding, Imports, Slot, TableSection, Verdict};
pub use moduledata::{Field, Module as ModuleData};
pub use record::{
    FUNCDATA_ARGUMENT_INFO, FUNCDATA_ARGUMENT_LIVENESS, FUNCDATA_ARGUMENT_MAPS, FUNCDATA_INLINE_TREE,
    FUNCDATA_LOCAL_MAPS, FUNCDATA_OPEN_CODED_DEFERS, FUNCDATA_STACK_OBJECTS, FUNCDATA_WRAPPED,
    PCDATA_ARGUMENTS_LIVE, PCDATA_INLINE_INDEX, PCDATA_STACK_MAP_INDEX, PCDATA_UNSAFE_POINT, Table,
};
pub use relocations::Addresses;
pub use symbols::{Symbol, SymbolKind};
pub use types::{Itab, ItabMethod, Type, TypeField, TypeKind, TypeMethod, Types};
pub use values::{Span, Values};

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};

/// An executable that bears the marks of the Go linker.
#[derive(Debug)]
pub struct Binary<'a> {
    image: image::Image<'a>,
    container: facts::Container,
    go: Option<GoInfo>,
    table: Result<(pclntab::Header<'a>, moduledata::Text), Error>,
}

impl<'a> Binary<'a> {
    /// Reads the container, the build information and the header of the function table.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`], [`Error::Container`], [`Error::TooMany`] for the container; [`Error::NotGo`] when
    /// there is neither build information nor a function table of any release.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (image, container) = parse_container(bytes)?;
        let go = buildinfo::read(&image);
        let minor = go.as_ref().and_then(|go| buildinfo::minor_release(&go.version));
        let table = pclntab::find(&image, minor);
        // What looks like a table but cannot be tied to addresses is no mark of Go: debuggers carry the magics as data.
        if go.is_none() && table.is_err() && !pclntab::is_named(&image) {
            return Err(Error::NotGo);
        }
        Ok(Self { image, container, go, table })
    }

    /// What the go command wrote into the file.
    #[must_use]
    pub fn build_info(&self) -> Option<&GoInfo> {
        self.go.as_ref()
    }

    /// Every function of the function table, in the order of their addresses.
    ///
    /// # Errors
    /// When there is no table, it is of Go 1.15 or before, or it is damaged.
    pub fn functions(&self) -> Result<Vec<Function<'a>>, Error> {
        let (header, text) = self.table()?;
        functions::decode(&self.image, header, text)
    }

    /// A reader of what the runtime knows of single functions.
    ///
    /// # Errors
    /// As [`Binary::functions`].
    pub fn details(&self) -> Result<Details<'_, 'a>, Error> {
        Details::new(self)
    }

    /// The runtime's description of the module: `runtime.firstmoduledata`.
    ///
    /// # Errors
    /// As [`Binary::functions`]; [`Error::ModuleData`] when it was not found or no layout fits it.
    pub fn module_data(&self) -> Result<&ModuleData, Error> {
        let (_, text) = self.table()?;
        text.module.as_ref().ok_or(Error::ModuleData { what: "moduledata" })
    }

    /// Whether code that was left out on reading ([`sparse::Need::Facts`]) would say more: the layout of the module data
    /// is not that of a known release, and functions that read it are decoded on this machine's kind.
    #[must_use]
    pub fn wants_code(&self) -> bool {
        let guessed =
            |text: &moduledata::Text| text.module.as_ref().is_none_or(|m| m.layout_from == "content");
        self.table.as_ref().is_ok_and(|(header, text)| code::is_decoded(header) && guessed(text))
    }

    fn table(&self) -> Result<(&pclntab::Header<'a>, &moduledata::Text), Error> {
        match &self.table {
            Ok((header, text)) => Ok((header, text)),
            Err(error) => Err(error.clone()),
        }
    }

    /// All facts but the functions.
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        inspection::gather(self)
    }
}

fn parse_container(bytes: &[u8]) -> Result<(image::Image<'_>, facts::Container), Error> {
    let unknown = |found| Err(Error::UnknownFormat { found });
    match bytes {
        [0x7f, b'E', b'L', b'F', 1, ..] => elf::parse::<FileHeader32<Endianness>>(bytes),
        [0x7f, b'E', b'L', b'F', 2, ..] => elf::parse::<FileHeader64<Endianness>>(bytes),
        [b'M', b'Z', ..] => pe::parse(bytes),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf | 0xce, ..] => macho::parse(bytes),
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, ..] => unknown("a Mach-O universal file or a Java class"),
        [b'#', b'!', ..] => unknown("a script"),
        [b'P', b'K', ..] => unknown("a ZIP archive"),
        [] => unknown("an empty file"),
        _ => unknown("of an unknown kind"),
    }
}
