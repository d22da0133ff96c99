//! The programs for the kernel, as clang made them when this crate was built.

use crate::error::Result;

#[cfg(has_programs)]
macro_rules! object {
    ($name:literal) => {
        Ok(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")))
    };
}
#[cfg(not(has_programs))]
macro_rules! object {
    ($name:literal) => {
        Err(crate::error::Error::NotBuilt)
    };
}

/// Whether they are there.
pub const BUILT: bool = cfg!(has_programs);

/// `bpf/func.bpf.c`.
pub(crate) fn func() -> Result<&'static [u8]> {
    object!("func")
}

/// `bpf/http.bpf.c`.
pub(crate) fn http() -> Result<&'static [u8]> {
    object!("http")
}

/// `bpf/memory.bpf.c`.
pub(crate) fn memory() -> Result<&'static [u8]> {
    object!("memory")
}
