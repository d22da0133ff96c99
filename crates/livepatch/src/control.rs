//! The record of a patch inside the process: pages that say which patch it is, and the flag that every stub asks. They
//! are read-only for the process. `docs/formats/patch.md` has the offsets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::patch::MethodRecord;

/// What whoever finds the record has to know, and the executable need not say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Build id of the build that was patched.
    pub old_build: String,
    /// Build id of the build that the new code is of.
    pub new_build: String,
    /// As [`crate::Head::methods`]; addresses of the file.
    pub methods: Vec<MethodRecord>,
    /// As [`crate::Head::runtime`].
    pub runtime: BTreeMap<String, u64>,
}

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
/// Where the module of the patch is.
pub(crate) const MODULE: u64 = 0x868;
/// Where [`Facts`] are, as JSON, and how many bytes they take.
pub(crate) const FACTS: u64 = 0x870;
/// Address and size of the code that the patch was made for, and behind them its SHA-256 before any patch.
pub(crate) const TEXT: u64 = 0x900;
/// SHA-256 of what was placed and may not be written; zeros while it is not known.
pub(crate) const PLACED: u64 = 0x930;
/// How many regions there are besides the record, then address and size of each, the access in the low bits of the size.
pub(crate) const REGIONS: u64 = 0x950;
/// How many there is room for, up to the cells.
pub(crate) const REGIONS_ROOM: usize = 100;
/// The cells of the new interface tables begin here; the masks of the new data and the list of switches follow.
pub(crate) const CELLS: u64 = 0x1000;
/// The size of a page.
pub(crate) const PAGE: u64 = 4096;
/// The same, as a length.
pub(crate) const PAGE_LENGTH: usize = 4096;
