//! Is what a patch placed still what was placed? Asked before a patch is taken back, and around the moment itself.
//!
//! Three checks, as the memory image, the references and the stacks of the process stand (the design's "triple check"):
//! the placed code and constants have the digest that was recorded when they were written, and every entry leads to them;
//! the words on stacks of calls that are inside new code still name it; every stack can be walked to its end, and says the
//! same after the words were written as before. If one fails, nothing is changed, or what was changed is put back.

use goproc::{Memory as _, Modules, Process};

use super::Status;
use super::check::{self, Target};
use crate::control::{self, PAGE, PAGE_LENGTH as LENGTH};
use crate::error::{Error, Result};
use crate::patch::{Access, Head, Region, Switch};

/// A digest that is not known.
const UNKNOWN: [u8; 32] = [0; 32];

/// What the record keeps of the regions: how many, then address and size, with the access in the bits that a size in
/// pages leaves free.
pub(super) fn written(head: &Head) -> Result<Vec<u8>> {
    let regions: Vec<_> = head.regions.iter().filter(|region| region.address != head.control).collect();
    if regions.len() > control::REGIONS_ROOM {
        return Err(Error::not_patch("it has more regions than its record has room for"));
    }
    let word = |access: Access| match access {
        Access::Read => 1,
        Access::Execute => 2,
        Access::Write => 3,
    };
    let words = regions.iter().flat_map(|r| [r.address, r.size | word(r.access)]);
    Ok(std::iter::once(regions.len() as u64).chain(words).flat_map(u64::to_le_bytes).collect())
}

fn regions(process: &Process, record: u64) -> Result<Vec<Region>> {
    let at = record + control::REGIONS;
    let count = process.word(at)?;
    if count > control::REGIONS_ROOM as u64 {
        return Err(Error::State { what: "carries a record that contradicts itself".to_owned() });
    }
    let words = process.words(at + 8, count * 2)?;
    let region = |pair: &[u64]| {
        let access = match pair[1] % PAGE {
            1 => Access::Read,
            2 => Access::Execute,
            _ => Access::Write,
        };
        Region { address: pair[0], size: pair[1] & !(PAGE - 1), access }
    };
    Ok(words.chunks_exact(2).map(region).collect())
}

/// SHA-256 of everything that was placed and that the process may not write, the record itself aside, and without what the
/// patches of `carried` changed in it.
fn placed(target: &Target<'_>, record: u64, carried: &[Status]) -> Result<[u8; 32]> {
    let mut all = Vec::new();
    let changes = target.changes(carried)?;
    for region in regions(target.process, record)?.iter().filter(|region| region.access != Access::Write) {
        let mut bytes = target.process.bytes(region.address, region.size)?;
        check::restore(&mut bytes, region.address, &changes);
        all.extend(bytes);
    }
    Ok(crate::build::sha256_bytes(&all))
}

/// Writes the digest of what was placed into the record.
pub(super) fn remember(target: &Target<'_>, record: u64, carried: &[Status]) -> Result<()> {
    let digest = placed(target, record, carried)?;
    Ok(target.process.write_forced(record + control::PLACED, &digest)?)
}

/// Says that what was placed may differ from its digest from here on. Whoever is killed before [`remember`] leaves a record
/// without one.
pub(super) fn forget(process: &Process, record: u64) -> Result<()> {
    Ok(process.write_forced(record + control::PLACED, &UNKNOWN)?)
}

/// What a rollback relies on, before anything is stopped.
pub(super) fn check(
    target: &Target<'_>,
    record: u64,
    carried: &[Status],
    switches: &[Switch],
    modules: &Modules,
) -> Result<()> {
    let process = target.process;
    let refused = |what: String| Err(Error::RollbackRefused { what });
    let digest = process.bytes(record + control::PLACED, 32)?;
    if digest != UNKNOWN && digest != placed(target, record, carried)? {
        return refused("what was placed is not what stands there".to_owned());
    }
    for switch in switches {
        let found = process.word(switch.entry)?;
        if found != switch.after && found != switch.before {
            return refused(format!("the entry at {:#x} was changed by someone else", switch.entry));
        }
    }
    let module = process.word(record + control::MODULE)?;
    match modules.0.iter().any(|m| m.address == module) || process.word(record + control::FLAG)? == 0 {
        true => Ok(()),
        false => refused("its module is in the runtime's list no more".to_owned()),
    }
}

/// The pages in which entries stand, as they are and as they must be once these words are written.
pub(super) struct Pages {
    addresses: Vec<(u64, usize)>,
    expected: Vec<u8>,
}

impl Pages {
    pub(super) fn of(process: &Process, switches: &[Switch], word: fn(&Switch) -> u64) -> Result<Self> {
        let mut pages: Vec<u64> = switches.iter().map(|switch| switch.entry & !(PAGE - 1)).collect();
        pages.sort_unstable();
        pages.dedup();
        let addresses: Vec<_> = pages.iter().map(|page| (*page, LENGTH)).collect();
        let mut expected = process.gather(&addresses)?;
        for switch in switches {
            let page = switch.entry & !(PAGE - 1);
            let Ok(at) = pages.binary_search(&page) else { continue };
            let at = at * LENGTH + usize::try_from(switch.entry - page).unwrap_or(0);
            expected[at..at + 8].copy_from_slice(&word(switch).to_le_bytes());
        }
        Ok(Self { addresses, expected })
    }

    pub(super) fn hold(&self, process: &Process) -> Result<bool> {
        Ok(process.gather(&self.addresses)? == self.expected)
    }
}
