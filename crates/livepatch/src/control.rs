//! The record of a patch inside the process: pages that say which patch it is, and the flag that every stub asks. They
//! are read-only for the process. `docs/formats/patch.md` has the offsets.

/// The first bytes of the record.
pub(crate) const MAGIC: &[u8; 16] = b"custody-patch-v1";
/// The flag: 0 leads to the old code, 1 to the new. One aligned word flips every switch at once.
pub(crate) const FLAG: u64 = 0x10;
/// SHA-256 of the patch's file.
pub(crate) const DIGEST: u64 = 0x18;
/// 1 when every piece was written.
pub(crate) const PREPARED: u64 = 0x38;
/// The slice of modules that `runtime.modulesSlice` names: address, length, capacity.
pub(crate) const MODULES: u64 = 0x40;
/// Where the switches are listed (entry, word before, word after), and how many there are.
pub(crate) const SWITCHES: u64 = 0x58;
/// The elements of the slice of modules.
pub(crate) const MODULES_LIST: u64 = 0x68;
/// How many elements there is room for.
pub(crate) const MODULES_ROOM: u64 = 256;
/// Address and size of the code that the patch was made for, and behind them its SHA-256 before any patch.
pub(crate) const TEXT: u64 = 0x900;
/// SHA-256 of what was placed and may not be written.
pub(crate) const PLACED: u64 = 0x930;
/// How many regions there are besides the record, then address and size of each, the access in the low bits of the size.
pub(crate) const REGIONS: u64 = 0x950;
/// How many there is room for, up to the masks.
pub(crate) const REGIONS_ROOM: usize = 100;
/// The masks of the new data begin here, the list of switches follows.
pub(crate) const MASKS: u64 = 0x1000;
/// The size of a page.
pub(crate) const PAGE: u64 = 4096;
/// The same, as a length.
pub(crate) const PAGE_LENGTH: usize = 4096;
