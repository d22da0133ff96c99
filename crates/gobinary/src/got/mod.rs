//! Imports: the places through which code of other files is called, and whether they can be redirected later.
//!
//! Pure Go code calls by address and has no such places. With cgo, and on Windows and macOS, the loader fills a table
//! (GOT, IAT, symbol pointers); whoever can write to it redirects calls. `docs/formats/inspect.md` has the verdicts.

mod elf;
mod macho;
mod pe;

use serde::Serialize;

use crate::facts::Relro;
use crate::functions::hexadecimal;
use crate::image::Image;
use crate::{Binary, Error};

/// More imports than any program has.
const IMPORTS: usize = 1 << 20;
/// Longest name that is read.
const NAME: usize = 4096;

/// When the loader fills a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Before the program starts.
    Start,
    /// At the first call.
    Lazy,
}

/// One place that the loader fills with an address of another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// The symbol; on Windows possibly `#` and an ordinal.
    pub name: String,
    /// The library, where the file says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Where the address is put.
    #[serde(serialize_with = "hexadecimal")]
    pub slot: u64,
    /// The section that the slot lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// `jump-slot`, `global-data`, `absolute`, `import-address`, `symbol-pointer`.
    pub relocation: &'static str,
    /// When it is filled.
    pub binding: Binding,
    /// It stays writable after it was filled.
    pub writable: bool,
    /// Code that jumps through it (PLT, stub), where it was found.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "stub")]
    pub stub: Option<u64>,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn stub<S: serde::Serializer>(address: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:#x}", address.unwrap_or(0)))
}

/// What can be said of redirecting calls through the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no table.
    NoTable,
    /// There is one; it is read-only by the time the program runs.
    ReadOnly,
    /// Some slots stay writable.
    Writable,
}

/// All imports and what they come to.
#[derive(Clone, Debug, Serialize)]
pub struct Imports {
    /// What can be said of redirecting them.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub meaning: &'static str,
    /// RELRO, as in the facts; absent where the notion does not exist.
    pub relro: Option<Relro>,
    /// How many slots stay writable.
    pub writable: usize,
    /// Sections that hold slots or the code that jumps through them.
    pub sections: Vec<TableSection>,
    /// The slots, by address.
    pub imports: Vec<Slot>,
}

/// A section of the mechanism.
#[derive(Clone, Debug, Serialize)]
pub struct TableSection {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

impl Verdict {
    fn meaning(self, format: &str) -> &'static str {
        match (self, format) {
            (Self::NoTable, _) => {
                "no table: every call goes to an address in the code, so there is nothing to redirect"
            }
            (Self::ReadOnly, _) => {
                "the loader fills the table and then makes it read-only: redirecting a call fails unless memory protection is changed first"
            }
            (Self::Writable, "elf") => {
                "slots stay writable: whoever can write to memory can redirect these calls; calls between Go functions do not go through them; -ldflags='-linkmode=external -extldflags=-Wl,-z,relro,-z,now' makes them read-only"
            }
            (Self::Writable, _) => {
                "slots stay writable: whoever can write to memory can redirect these calls; calls between Go functions do not go through them"
            }
        }
    }
}

impl Binary<'_> {
    /// The imports and whether calls through them can be redirected.
    ///
    /// # Errors
    /// [`Error::Container`] when the tables of a PE or Mach-O cannot be read. Damaged parts of an ELF's are left out,
    /// as the loader would.
    pub fn imports(&self) -> Result<Imports, Error> {
        let format = self.container.format;
        let cause = |cause| Error::Container { format, cause };
        let mut imports = match format {
            "elf" => elf::slots(&self.image, &self.container),
            "pe" => pe::slots(&self.image).map_err(cause)?,
            _ => macho::slots(&self.image).map_err(cause)?,
        };
        imports.sort_by_key(|slot| slot.slot);
        let writable = imports.iter().filter(|slot| slot.writable).count();
        let verdict = match (imports.is_empty(), writable) {
            (true, _) => Verdict::NoTable,
            (false, 0) => Verdict::ReadOnly,
            _ => Verdict::Writable,
        };
        Ok(Imports {
            verdict,
            meaning: verdict.meaning(format),
            relro: self.container.memory.relro,
            writable,
            sections: sections(&self.image),
            imports,
        })
    }
}

fn sections(image: &Image<'_>) -> Vec<TableSection> {
    const NAMES: [&str; 11] = [
        ".plt",
        ".plt.got",
        ".plt.sec",
        ".got",
        ".got.plt",
        ".idata",
        ".stubs",
        ".stub_helper",
        ".la_symbol_ptr",
        ".nl_symbol_ptr",
        ".iplt",
    ];
    let found = image.sections.iter().filter(|section| NAMES.contains(&section.name.as_str()));
    let found = found.filter(|section| section.bytes > 0);
    found.map(|s| TableSection { name: s.name.clone(), address: s.address, bytes: s.bytes }).collect()
}

/// The section that `address` lies in.
fn section_of(image: &Image<'_>, address: u64) -> Option<String> {
    let holds = |start: u64, bytes: u64| address.checked_sub(start).is_some_and(|within| within < bytes);
    let found = image.sections.iter().find(|s| s.address != 0 && holds(s.address, s.bytes));
    found.map(|section| section.name.clone())
}

/// Whether the loader maps `address` writable.
fn is_writable(image: &Image<'_>, address: u64) -> bool {
    let mut regions = image.regions.iter().filter(|region| {
        let within = address.checked_sub(region.address);
        within.is_some_and(|within| within < (region.file.len() as u64).max(1))
    });
    regions.any(|region| region.writable)
}
