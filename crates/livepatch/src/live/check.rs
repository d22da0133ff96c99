//! Is the process the one that the patch was made for, and is its code still that of its file?
//!
//! Everything that the process may not write is compared with the file that it executes, byte for byte. Three things may
//! differ: words that the record of a patch lists, a loan that one of us left behind when it died, and, if the caller
//! allows it, single `int3` bytes: what a probe of the kernel (`uprobes`) leaves.

use goproc::elf::{Executable, Segment};
use goproc::{GoRuntime, Memory as _, Process, call};

use super::{Options, Status, recorded};
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Head, Switch};

const INT3: u8 = 0xcc;
/// One read of memory that is compared: large enough to cost few calls, small enough to be no burden.
const STEP: usize = 4 << 20;

/// A process and what was found out about it before anything is changed.
pub(super) struct Target<'p> {
    pub(super) process: &'p Process,
    pub(super) runtime: GoRuntime,
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
    pub(super) fn of(process: &'p Process) -> Result<Self> {
        let executable = process.executable()?;
        let runtime = GoRuntime::of(&Executable::parse(&executable)?)?;
        Ok(Self { process, runtime, executable })
    }

    /// The build id of its file, that file's code, and every byte in memory, must be those that the patch was made for.
    pub(super) fn check(&self, head: &Head, carried: Option<&Status>, options: Options) -> Result<Found> {
        let executable = Executable::parse(&self.executable)?;
        let other = |what: String| Err(Error::OtherBuild { what });
        let found = executable.build_id().map(hex::encode).unwrap_or_default();
        if found != head.old_build {
            return other(format!("its build id is {found}, not {}", head.old_build));
        }
        if options.exact_file && crate::build::sha256(&self.executable) != head.old_file {
            return other("its file is of that build, but not the one that was sealed".to_owned());
        }
        let segments = executable.segments()?;
        let range = (head.text.address, head.text.size);
        if text(&segments, range).is_none_or(|text| crate::build::sha256(text) != head.text.sha256) {
            return other("the code of its file is not that of the build".to_owned());
        }
        let switches = match carried {
            Some(status) => recorded(self.process, status.record)?,
            None => Vec::new(),
        };
        self.compare(&segments, &switches, range, options.allow_probes)
    }

    /// The code of a process that carries a patch, by what the record says of it.
    pub(super) fn check_carried(&self, record: u64) -> Result<Found> {
        let executable = Executable::parse(&self.executable)?;
        let range = text_range(self.process, record)?;
        let switches = recorded(self.process, record)?;
        self.compare(&executable.segments()?, &switches, range, true)
    }

    fn compare(
        &self,
        segments: &[Segment<'_>],
        switches: &[Switch],
        range: (u64, u64),
        allow_probes: bool,
    ) -> Result<Found> {
        let mut probes = 0;
        for segment in segments.iter().filter(|segment| !segment.writable) {
            let mut running = self.read(segment)?;
            restore(&mut running, segment, switches);
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

/// What is ours and known is put back as it was.
fn restore(running: &mut [u8], segment: &Segment<'_>, switches: &[Switch]) {
    if segment.executable {
        take_out_loan(running);
    }
    for switch in switches {
        let Some(at) = switch.entry.checked_sub(segment.address).and_then(|at| usize::try_from(at).ok())
        else {
            continue;
        };
        if let Some(word) = running.get_mut(at..at.saturating_add(8))
            && *word == switch.after.to_le_bytes()
        {
            word.copy_from_slice(&switch.before.to_le_bytes());
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
