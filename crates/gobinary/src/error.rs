//! Why a file could not be read as a Go executable.

/// Everything that can go wrong. The first two are the caller's choice of file; the others say that a file which
/// looked right is damaged or unlike anything a Go toolchain writes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither ELF nor PE nor Mach-O.
    #[error("not an ELF, PE or Mach-O executable ({found})")]
    UnknownFormat {
        /// What the first bytes say it is.
        found: &'static str,
    },
    /// An executable without any trace of the Go linker.
    #[error("not a Go executable: it has neither build information nor a Go function table")]
    NotGo,
    /// The container's own headers are damaged.
    #[error("damaged {format} headers")]
    Container {
        /// `ELF`, `PE` or `Mach-O`; in small letters where the file as a whole is meant.
        format: &'static str,
        /// What the container's parser found.
        #[source]
        cause: object::Error,
    },
    /// More of something than any linker writes.
    #[error("too many {what}: {found}, at most {limit}")]
    TooMany {
        /// Segments, sections, functions.
        what: &'static str,
        /// How many the file claims.
        found: u64,
        /// How many are read.
        limit: u64,
    },
    /// There is no function table.
    #[error("no Go function table (pclntab) found")]
    NoFunctionTable,
    /// The function table is of a release whose layout is not read.
    #[error("the function table is of Go {release}; 1.16 and later are read")]
    OldFunctionTable {
        /// The releases that write this table.
        release: &'static str,
    },
    /// The module data was not found, or does not say something that was asked.
    #[error("no module data says where `{what}` is")]
    ModuleData {
        /// The field of `runtime.moduledata`.
        what: &'static str,
    },
    /// There is no debug data.
    #[error("no debug data (DWARF) in the file")]
    NoDebugData,
    /// The debug data cannot be read.
    #[error("damaged debug data: {what}")]
    DebugData {
        /// How.
        what: &'static str,
    },
    /// The type data contradicts itself.
    #[error("damaged type data: {what}")]
    TypeData {
        /// How.
        what: &'static str,
    },
    /// The function table cannot be tied to addresses.
    #[error("no module data refers to the function table, and nothing else says where its code starts")]
    NoTextStart,
    /// The function table contradicts itself.
    #[error("damaged function table: {what}")]
    FunctionTable {
        /// Which part, and how.
        what: &'static str,
    },
}
