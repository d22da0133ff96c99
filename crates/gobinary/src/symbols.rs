//! The symbol table: what the linker left for debuggers, and what the loader binds by.

use std::borrow::Cow;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolSection};
use serde::Serialize;

use crate::functions::{hexadecimal, text};
use crate::{Binary, Error};

/// Longest name that is read.
const NAME: usize = 64 << 10;

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    /// In a section of code.
    Code,
    /// In a section that the loader maps and nobody executes.
    Data,
    /// In another file: the loader finds it.
    Undefined,
    /// Anything else: absolute values, parts of debug sections, thread-local data.
    Other,
}

/// One symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Symbol<'a> {
    /// As the table has it. The linker marks some of Go's with `.abi0`.
    pub name: Cow<'a, str>,
    /// As linked; 0 for one of another file.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// 0 where the table does not say: PE and Mach-O never do.
    pub size: u64,
    /// What it stands for.
    pub kind: SymbolKind,
    /// It is in the table that the loader reads; stripping leaves it.
    pub dynamic: bool,
}

impl<'a> Binary<'a> {
    /// Every symbol of the file, then every symbol of the loader's own table. A stripped file has none of the first.
    ///
    /// # Errors
    /// [`Error::Container`] when the tables cannot be read.
    pub fn symbols(&self) -> Result<Vec<Symbol<'a>>, Error> {
        let cause = |cause| Error::Container { format: self.container.format, cause };
        let file = object::File::parse(self.image.data).map_err(cause)?;
        let kinds: Vec<SymbolKind> = file.sections().map(|section| kind(&section)).collect();
        let first = file.sections().next().map_or(0, |section| section.index().0);
        let kind = |section: SymbolSection| match section {
            SymbolSection::Undefined => SymbolKind::Undefined,
            SymbolSection::Section(index) => {
                let place = index.0.checked_sub(first);
                place.and_then(|place| kinds.get(place)).copied().unwrap_or(SymbolKind::Other)
            }
            _ => SymbolKind::Other,
        };
        let symbol = |symbol: object::Symbol<'a, '_>, dynamic| {
            let name = symbol.name_bytes().ok().filter(|name| !name.is_empty() && name.len() <= NAME)?;
            Some(Symbol {
                name: text(name),
                address: symbol.address(),
                size: symbol.size(),
                kind: kind(symbol.section()),
                dynamic,
            })
        };
        let own = file.symbols().filter_map(|s| symbol(s, false));
        let bound = file.dynamic_symbols().filter_map(|s| symbol(s, true));
        Ok(own.chain(bound).collect())
    }
}

fn kind<'a>(section: &impl object::ObjectSection<'a>) -> SymbolKind {
    use object::SectionKind as Kind;
    match section.kind() {
        Kind::Text => SymbolKind::Code,
        Kind::Debug | Kind::DebugString | Kind::Metadata | Kind::Tls | Kind::UninitializedTls => {
            SymbolKind::Other
        }
        _ if section.address() == 0 => SymbolKind::Other,
        _ => SymbolKind::Data,
    }
}
