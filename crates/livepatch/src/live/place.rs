//! Maps and writes what a patch consists of, while the process runs.

use goproc::call::{self, Lender};
use goproc::{Executable, Process};

use super::check::Target;
use super::intact;
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Access, Patch, Region};

/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE`: what is there already is never mapped over.
const FLAGS: u64 = 0x02 | 0x20 | 0x10_0000;
const MMAP: u64 = 9;
/// How many idle threads are tried: sooner or later one waits in its scheduler.
const TRIES: usize = 2000;

pub(super) fn place(target: &Target<'_>, patch: &Patch, digest: &[u8; 32]) -> Result<()> {
    let process = target.process;
    let missing = missing(process, patch)?;
    if !missing.is_empty() {
        map(target, &missing)?;
    }
    // The record says whose these mappings are before anything else is written.
    let control = patch.head.control;
    let mut pieces: Vec<_> = patch.pieces().collect();
    pieces.sort_by_key(|(address, _)| *address != control);
    for (address, bytes) in pieces {
        process.write_forced(address, bytes)?;
        if address == control {
            process.write_forced(control + control::DIGEST, digest)?;
            process.write_forced(control + control::TEXT, &text(patch)?)?;
            process.write_forced(control + control::REGIONS, &intact::written(&patch.head)?)?;
        }
    }
    intact::remember(target, control, &[])?;
    process.write_forced(control + control::PREPARED, &1_u64.to_le_bytes())?;
    Ok(())
}

/// What the record says of the code that the patch was made for.
fn text(patch: &Patch) -> Result<Vec<u8>> {
    let text = &patch.head.text;
    let digest = hex::decode(&text.sha256).ok().filter(|digest| digest.len() == 32);
    let digest = digest.ok_or_else(|| Error::not_patch("the digest of the code is none"))?;
    Ok([&text.address.to_le_bytes()[..], &text.size.to_le_bytes(), &digest].concat())
}

/// The regions that are not mapped yet. One that is mapped exactly so is ours: an earlier attempt was cut short.
fn missing(process: &Process, patch: &Patch) -> Result<Vec<Region>> {
    let maps = process.maps()?;
    let mut missing = Vec::new();
    for region in &patch.head.regions {
        let (start, end) = (region.address, region.address + region.size);
        let permissions = match region.access {
            Access::Read => [true, false, false],
            Access::Execute => [true, false, true],
            Access::Write => [true, true, false],
        };
        let overlaps: Vec<_> = maps.iter().filter(|m| m.start < end && start < m.end).collect();
        let ours = |m: &goproc::Mapping| {
            (m.start, m.end) == (start, end) && m.inode == 0 && m.private && m.permissions == permissions
        };
        match overlaps.as_slice() {
            [] => missing.push(*region),
            [one] if ours(one) => {}
            _ => {
                let what = format!("uses the addresses from {start:#x} on, where the patch would stand");
                return Err(Error::State { what });
            }
        }
    }
    Ok(missing)
}

fn map(target: &Target<'_>, regions: &[Region]) -> Result<()> {
    let mut lender = lender(target)?;
    let mapped = regions.iter().try_for_each(|region| {
        let protection = match region.access {
            Access::Read => 1,
            Access::Write => 3,
            Access::Execute => 5,
        };
        lender.call(MMAP, [region.address, region.size, protection, FLAGS, u64::MAX, 0]).map(drop)
    });
    lender.give_back()?;
    Ok(mapped?)
}

fn lender<'p>(target: &Target<'p>) -> Result<Lender<'p>> {
    let executable = Executable::parse(&target.executable)?;
    let segments = executable.segments()?;
    let text = segments.iter().find(|s| s.executable).ok_or(goproc::Error::NoDonor)?;
    let address = text.address.wrapping_add(target.bias);
    let running = goproc::Memory::bytes(target.process, address, text.bytes.len() as u64)?;
    let loan = call::place(&running, address).ok_or(goproc::Error::NoDonor)?;
    let mut tries = 0;
    while tries < TRIES {
        for machine in target.runtime.machines(target.process)?.iter().filter(|m| m.thread > 0) {
            tries += 1;
            match Lender::borrow(target.process, machine.thread, machine.scheduler_stack, loan) {
                Ok(lender) => return Ok(lender),
                Err(goproc::Error::NoDonor | goproc::Error::Gone { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        target.process.check_alive()?;
    }
    Err(goproc::Error::NoDonor.into())
}
