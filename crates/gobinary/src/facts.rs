//! What is found in an executable, in the shape in which it is printed. `docs/formats/inspect.md` describes the
//! names; they are stable.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything known about one executable.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `elf`, `pe` or `macho`.
    pub format: &'static str,
    /// As `GOARCH` names it, or `machine N`.
    pub architecture: String,
    /// 32 or 64.
    pub bits: u8,
    /// `little` or `big`.
    pub byte_order: &'static str,
    /// The file's size.
    pub bytes: u64,
    /// What the go command wrote into the file; absent when it was removed.
    pub go: Option<GoInfo>,
    /// How it is linked.
    pub linkage: Linkage,
    /// How its memory is protected.
    pub memory: Memory,
    /// Symbols and debug data, and what they cost.
    pub symbols: Symbols,
    /// Build identifiers.
    pub build_ids: BuildIds,
    /// Whether C code is inside.
    pub cgo: Cgo,
    /// Flags that only PE has.
    pub pe: Option<PeFacts>,
    /// The runtime's function table, in short.
    pub function_table: Option<TableSummary>,
    /// Why `function_table` is absent.
    pub function_table_error: Option<String>,
    /// Source paths that the function table carries.
    pub paths: Paths,
}

/// The build information of the go command (`go version -m` prints the same).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GoInfo {
    /// `go1.26.8`, possibly with `X:experiment` behind it.
    pub version: String,
    /// Import path of the main package.
    pub package: Option<String>,
    /// The main module.
    pub main: Option<Module>,
    /// Every module linked in, except the main one.
    pub modules: Vec<Module>,
    /// Build settings: `-ldflags`, `CGO_ENABLED`, `GOOS`, `vcs.revision`, …
    pub settings: BTreeMap<String, String>,
}

/// One module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Module path.
    pub path: String,
    /// Version; `(devel)` for a main module built from a working copy.
    pub version: String,
    /// `h1:` checksum, as in `go.sum`; empty for the main module and for a local replacement.
    pub sum: String,
    /// What stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<Box<Module>>,
}

/// What kind of image a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// At a fixed address.
    Executable,
    /// At an address of the loader's choice.
    PositionIndependent,
    /// Loaded by another program.
    SharedLibrary,
    /// An object file, a core dump.
    Other,
}

/// How an executable is linked.
#[derive(Clone, Debug, Serialize)]
pub struct Linkage {
    /// The kind of image.
    pub kind: Kind,
    /// No loader and no libraries. Never so on PE.
    #[serde(rename = "static")]
    pub static_linked: bool,
    /// The loader it asks for.
    pub interpreter: Option<String>,
    /// Libraries it asks for.
    pub needed: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub search_paths: Vec<String>,
}

/// How far relocated data is made read-only after relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relro {
    /// Not at all.
    None,
    /// All but the table of lazily bound functions.
    Partial,
    /// Everything; symbols are bound at start.
    Full,
}

/// Whether the stack may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NxStack {
    /// It may not.
    Yes,
    /// It may.
    No,
    /// The file does not say; the kernel decides by architecture.
    Unstated,
}

/// How memory is protected.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// Absent on PE, where the notion does not exist.
    pub relro: Option<Relro>,
    /// Whether there is anything that the loader relocates. A fixed-address static Go executable has nothing, so
    /// nothing has to be made read-only.
    pub relro_needed: bool,
    /// Whether functions of libraries are bound at their first call, through a table that stays writable.
    pub binds_lazily: bool,
    /// Whether the stack is without execute permission.
    pub nx_stack: NxStack,
    /// Segments or sections that are both writable and executable.
    pub write_execute: Vec<String>,
}

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Names for linkers, debuggers and profilers: `-s` leaves them out.
    Symbols,
    /// DWARF: `-w` leaves it out.
    Debug,
    /// The Go runtime needs it: tracebacks, garbage collection. It cannot be left out.
    Runtime,
}

/// One section of symbols or debug data.
#[derive(Clone, Debug, Serialize)]
pub struct SymbolSection {
    /// Its name.
    pub name: String,
    /// What it costs in the file.
    pub bytes: u64,
    /// Its size when unpacked, if it is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expanded: Option<u64>,
    /// Who needs it.
    pub purpose: Purpose,
}

/// Symbols and debug data.
#[derive(Clone, Debug, Serialize)]
pub struct Symbols {
    /// The symbol table is absent.
    pub stripped: bool,
    /// DWARF is present.
    pub dwarf: bool,
    /// What `-ldflags='-s -w'` would save.
    pub removable_bytes: u64,
    /// The sections, one by one.
    pub sections: Vec<SymbolSection>,
}

/// Build identifiers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BuildIds {
    /// The go command's.
    pub go: Option<String>,
    /// The GNU linker's, hexadecimal.
    pub gnu: Option<String>,
    /// `LC_UUID` of a Mach-O, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// Whether C code is inside.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cgo {
    /// `CGO_ENABLED` at build time, where recorded: C code was permitted.
    pub enabled: Option<bool>,
    /// `runtime/cgo` is linked in: C code is there. Absent when the function table cannot be read.
    pub linked: Option<bool>,
}

/// Flags that only PE has.
#[expect(clippy::struct_excessive_bools, reason = "each is one independent bit of the file")]
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PeFacts {
    /// ASLR: the image may be moved, and carries the relocations for it.
    pub dynamic_base: bool,
    /// ASLR over the whole 64-bit space.
    pub high_entropy_va: bool,
    /// Data is not executable (DEP).
    pub nx_compat: bool,
    /// Control Flow Guard. No Go toolchain writes it.
    pub guard_cf: bool,
    /// A signature is attached; it is not verified here.
    pub authenticode: bool,
}

/// The function table, in short.
#[derive(Clone, Debug, Serialize)]
pub struct TableSummary {
    /// Releases of Go that write this layout.
    pub layout: &'static str,
    /// Where it stands, hexadecimal.
    pub address: String,
    /// How many functions it has.
    pub functions: u64,
    /// Where the Go code starts, hexadecimal.
    pub text: String,
    /// What said so: `moduledata` or `header`.
    pub text_from: &'static str,
    /// How long it is, where the module data says.
    pub bytes: Option<u64>,
    /// Its magic is none that a Go toolchain writes: an obfuscator changed it.
    pub altered: bool,
    /// The module data, where its layout is known.
    pub module: Option<ModuleSummary>,
}

/// The runtime's module data, in short.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleSummary {
    /// Where it stands, hexadecimal.
    pub address: String,
    /// The first release of Go that has this layout.
    pub layout: &'static str,
    /// How the layout was chosen: `release` or `content`.
    pub layout_from: &'static str,
}

/// Source paths in the function table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Paths {
    /// How many source files it names.
    pub files: u64,
    /// How many of them with an absolute path of the machine that built it.
    pub absolute: u64,
    /// Home directories among them.
    pub homes: Vec<String>,
}

/// What the container alone says.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) format: &'static str,
    pub(crate) architecture: String,
    pub(crate) linkage: Linkage,
    pub(crate) memory: Memory,
    pub(crate) build_ids: BuildIds,
    pub(crate) pe: Option<PeFacts>,
    /// Symbol tables that are not sections.
    pub(crate) symbol_table: Vec<SymbolSection>,
}
