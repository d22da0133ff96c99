//! The compiled form, as the kernel reads it: little-endian, strings in UTF-16, everything in units of four bytes.
//!
//! A header of 68 bytes with counts, then key usages, file rules, signers, scenarios and settings, then blocks that
//! later releases added, each behind its number. `docs/formats/code-integrity-policy.md` has the layout.

mod read;
mod write;

pub use read::read;
pub use write::write;

/// The newest block that is written. Block 8 holds application settings, which this crate does not have, and a
/// policy without them is the same to Windows with or without it.
const VERSION: u32 = 7;
/// The newest block that is read.
const NEWEST: u32 = 8;
/// `CALG_SHA_256`: the weakest hash that counts when a scenario names none.
const DEFAULT_HASH: u32 = 0x800C;

/// What stands before the type-specific part of a signer and of a setting.
mod tag {
    pub(super) const ROOT_TBS: u32 = 0;
    pub(super) const ROOT_WELL_KNOWN: u32 = 1;
    pub(super) const BOOLEAN: u32 = 0;
    pub(super) const NUMBER: u32 = 1;
    pub(super) const BYTES: u32 = 2;
    pub(super) const TEXT: u32 = 3;
}
