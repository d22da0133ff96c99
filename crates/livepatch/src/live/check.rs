//! Is the process the one that the patch was made for, and is its code still that of its file?
//!
//! Everything that the process may not write is compared with the file that it executes, byte for byte. Three things may
//! differ: words that the record of a patch lists, a loan that one of us left behind when it died, and, if the caller
//! allows it, single `int3` bytes: what a probe of the kernel (`uprobes`) leaves.

use std::collections::BTreeMap;

use goproc::elf::{Executable, Segment};
use goproc::{GoRuntime, Memory as _, Process, call};

use super::{Options, Status, facts, recorded};
use crate::control;
use crate::error::{Error, Result};
use crate::patch::Head;

/// What a patch writes: where, what stood there, what stands there now.
pub(super) type Written = (u64, Vec<u8>, Vec<u8>);

const INT3: u8 = 0xcc;
/// One read of memory that is compared: large enough to cost few calls, small enough to be no burden.
const STEP: usize = 4 << 20;

/// A process and what was found out about it before anything is changed.
pub(super) struct Target<'p> {
    pub(super) process: &'p Process,
    pub(super) runtime: GoRuntime,
    /// How far the program runs from where it was linked.
    pub(super) bias: u64,
    pub(super) executable: Vec<u8>,
}

/// What a process was found to run.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// SHA-256 of its code as it is, loans aside.
    pub(super) code: String,
    /// How many probes of the kernel are in it.
    pub(super) probes: usize,
}

impl<'p> Target<'p> {
    /// The executable may be stripped: where the runtime keeps what, the patch says, or its record.
    pub(super) fn of(process: &'p Process, runtime: BTreeMap<String, u64>) -> Result<Self> {
        let executable = process.executable()?;
        let bias = process.load_bias(&Executable::parse(&executable)?)?;
        let runtime = GoRuntime::from_facts(&runtime)?;
        Ok(Self { process, runtime: runtime.slid(bias), bias, executable })
    }

    /// The segments of its file, where they run.
    fn segments(&self) -> Result<Vec<Segment<'_>>> {
        let mut segments = Executable::parse(&self.executable)?.segments()?;
        segments.iter_mut().for_each(|segment| segment.address = segment.address.wrapping_add(self.bias));
        Ok(segments)
    }

    /// A plugin has functions, types and interface tables that the patch was not made with.
    pub(super) fn check_modules(&self, carried: &[Status]) -> Result<()> {
        let mut known = vec![self.runtime.first_module()];
        for status in carried {
            known.push(self.process.word(status.record + control::MODULE)?);
        }
        let modules = self.runtime.modules(self.process)?;
        match modules.0.iter().all(|module| known.contains(&module.address)) {
            true => Ok(()),
            false => Err(Error::State { what: "has loaded Go plugins, which a patch cannot see".to_owned() }),
        }
    }

    /// The build id of its file, that file's code, and every byte in memory, must be those that the patch was made for.
    pub(super) fn check(&self, head: &Head, carried: &[Status], options: Options) -> Result<Found> {
        let executable = Executable::parse(&self.executable)?;
        let other = |what: String| Err(Error::OtherBuild { what });
        let found = executable.build_id().map(hex::encode).unwrap_or_default();
        if found != head.old_build {
            return other(format!("its build id is {found}, not {}", head.old_build));
        }
        if options.exact_file && crate::build::sha256(&self.executable) != head.old_file {
            return other("its file is of that build, but not the one that was sealed".to_owned());
        }
        let segments = self.segments()?;
        let range = (head.text.address, head.text.size);
        if text(&segments, range).is_none_or(|text| crate::build::sha256(text) != head.text.sha256) {
            return other("the code of its file is not that of the build".to_owned());
        }
        self.compare(&segments, &self.changes(carried)?, range, options.allow_probes)
    }

    /// The code of a process that carries a patch, by what the record says of it.
    pub(super) fn check_carried(&self, record: u64, carried: &[Status]) -> Result<Found> {
        let range = text_range(self.process, record)?;
        self.compare(&self.segments()?, &self.changes(carried)?, range, true)
    }

    /// What the records of all patches say that they write into the old image: place, bytes before, bytes after.
    pub(super) fn changes(&self, carried: &[Status]) -> Result<Vec<Written>> {
        let mut found = Vec::new();
        for status in carried {
            let switches = recorded(self.process, status.record)?;
            let bytes = |word: u64| word.to_le_bytes().to_vec();
            found.extend(switches.into_iter().map(|s| (s.entry, bytes(s.before), bytes(s.after))));
            let bytes = |halves: [u32; 3]| halves.map(u32::to_le_bytes).concat();
            let methods = facts(self.process, status.record)?.methods;
            let placed =
                methods.into_iter().map(|m| (m.at.wrapping_add(self.bias), bytes(m.before), bytes(m.after)));
            found.extend(placed);
        }
        Ok(found)
    }

    fn compare(
        &self,
        segments: &[Segment<'_>],
        changes: &[Written],
        range: (u64, u64),
        allow_probes: bool,
    ) -> Result<Found> {
        let mut probes = 0;
        for segment in segments.iter().filter(|segment| !segment.writable) {
            let mut running = self.read(segment)?;
            if segment.executable {
                take_out_loan(&mut running);
            }
            restore(&mut running, segment.address, changes);
            let strange = running.iter().zip(segment.bytes).enumerate().filter(|(_, (a, b))| a != b);
            for (at, (found, _)) in strange {
                if *found != INT3 || !segment.executable || !allow_probes {
                    let at = segment.address + at as u64;
                    let what = match *found == INT3 && segment.executable {
                        true => format!("a breakpoint stands at {at:#x}, which nobody allowed"),
                        false => format!("its memory at {at:#x} is not that of its file"),
                    };
                    return Err(Error::OtherBuild { what });
                }
                probes += 1;
            }
        }
        Ok(Found { code: digest(self.process, range)?, probes })
    }

    fn read(&self, segment: &Segment<'_>) -> Result<Vec<u8>> {
        let mut running = vec![0; segment.bytes.len()];
        for (at, piece) in running.chunks_mut(STEP).enumerate() {
            self.process.read(segment.address + (at * STEP) as u64, piece)?;
        }
        Ok(running)
    }
}

/// What is ours and known is put back as it was, in memory that begins at `start`.
pub(super) fn restore(running: &mut [u8], start: u64, changes: &[Written]) {
    for (place, before, after) in changes {
        let Some(at) = place.checked_sub(start).and_then(|at| usize::try_from(at).ok()) else {
            continue;
        };
        if let Some(found) = running.get_mut(at..at.saturating_add(after.len()))
            && found == after
        {
            found.copy_from_slice(before);
        }
    }
}

/// Left behind by one of us that died: padding that nothing executes.
fn take_out_loan(code: &mut [u8]) {
    if let Some(at) = code.windows(call::LOAN.len()).position(|window| window == call::LOAN) {
        code[at..at + call::LOAN.len()].fill(INT3);
    }
}

/// SHA-256 of the code of a process as it is, loans aside.
pub(super) fn digest(process: &Process, (address, size): (u64, u64)) -> Result<String> {
    let mut code = process.bytes(address, size)?;
    take_out_loan(&mut code);
    Ok(crate::build::sha256(&code))
}

/// Where the code is that a record was made for.
pub(super) fn text_range(process: &Process, record: u64) -> Result<(u64, u64)> {
    Ok((process.word(record + control::TEXT)?, process.word(record + control::TEXT + 8)?))
}

fn text<'a>(segments: &[Segment<'a>], (address, size): (u64, u64)) -> Option<&'a [u8]> {
    segments.iter().find_map(|segment| {
        let from = usize::try_from(address.checked_sub(segment.address)?).ok()?;
        segment.bytes.get(from..from.checked_add(usize::try_from(size).ok()?)?)
    })
}
