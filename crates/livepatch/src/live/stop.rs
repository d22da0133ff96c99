//! The stop: all threads gathered, a safe moment or none, the switch, and all let go.
//!
//! Whatever can be done before is done before: the walk is rehearsed ([`Walk::rehearse`]), the pages that are written are
//! made the process's own, all threads are seized. What is left is one round of interrupts, a handful of reads, and the
//! words themselves.

use std::time::{Duration, Instant};

use goproc::{Memory as _, Modules, Tracer};

use super::check::Target;
use super::intact::{self, Pages};
use super::snapshot::Snapshot;
use super::walk::{Safe, Seen, Walk};
use super::{Options, Status, recorded, tables};
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Access, Patch, Switch};

/// How long all run between two attempts.
const BETWEEN: Duration = Duration::from_millis(1);

/// What one stop came to.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Stop {
    /// From the first interrupt to the last thread let go.
    pub stopped_for: Duration,
    /// How many stops were made, this one included.
    pub attempts: u32,
    /// How many threads the process had.
    pub threads: usize,
    /// How many goroutines.
    pub goroutines: usize,
    /// How many of them were inside new code (before a rollback; 0 at the first `apply`).
    pub inside: usize,
    /// How many functions were switched.
    pub functions: usize,
    /// SHA-256 of the process's own code before, hexadecimal.
    pub code_before: String,
    /// And after.
    pub code_after: String,
    /// How many probes of the kernel stand in it.
    pub probes: usize,
    /// How many words on the stacks of calls that are inside new code name it.
    pub references: usize,
    /// What stood there before an `apply`.
    pub snapshot: Option<Snapshot>,
}

pub(super) fn switch(
    target: &Target<'_>,
    patch: &Patch,
    carried: &[Status],
    options: Options,
) -> Result<Stop> {
    let head = &patch.head;
    let code: Vec<(u64, u64)> = head
        .regions
        .iter()
        .filter(|r| r.access == Access::Execute)
        .map(|r| (r.address, r.address + r.size))
        .collect();
    let modules = target.runtime.modules(target.process)?;
    let stop = at_safe_moment(target, &modules, &head.switches, &code, options, |_, _| {
        if options.dry_run {
            return Ok(());
        }
        for switch in &head.switches {
            let found = target.process.word(switch.entry)?;
            if found != switch.before && found != switch.after {
                return Err(Error::OtherBuild {
                    what: format!("its code at {:#x} was changed by someone else", switch.entry),
                });
            }
        }
        link(target, &modules, head.control, head.module)?;
        if !head.tables.is_empty() {
            // New constants may be led to tables that the process made: what was placed is known again afterwards.
            intact::forget(target.process, head.control)?;
        }
        tables::register(target, &head.tables)?;
        tables::complete(target, &head.methods)?;
        for switch in &head.switches {
            target.process.write_forced(switch.entry, &switch.after.to_le_bytes())?;
        }
        // This one store patches the process.
        target.process.write_forced(head.control + control::FLAG, &1_u64.to_le_bytes())?;
        Ok(())
    })?;
    if !head.tables.is_empty() && !options.dry_run {
        intact::remember(target, head.control, carried)?;
    }
    Ok(Stop { functions: head.switches.len(), ..stop })
}

pub(super) fn take_back(
    target: &Target<'_>,
    record: u64,
    carried: &[Status],
    options: Options,
) -> Result<Stop> {
    let process = target.process;
    let switches = recorded(process, record)?;
    let modules = target.runtime.modules(process)?;
    intact::check(target, record, carried, &switches, &modules)?;
    // The code that the patch placed lies in the module that it linked.
    let module = process.word(record + control::MODULE)?;
    let new = modules.0.iter().filter(|m| m.address == module);
    let code: Vec<(u64, u64)> = new.map(|m| (m.min_pc, m.max_pc)).collect();
    let stop = at_safe_moment(target, &modules, &switches, &code, options, |before, look| {
        if options.dry_run {
            return Ok(());
        }
        let pages = Pages::of(process, &switches, |switch| switch.before)?;
        // This one store takes the patch back; what follows only tidies up.
        process.write_forced(record + control::FLAG, &0_u64.to_le_bytes())?;
        for switch in &switches {
            process.write_forced(switch.entry, &switch.before.to_le_bytes())?;
        }
        if pages.hold(process)? && look()? == Some(before) {
            return Ok(());
        }
        for switch in &switches {
            process.write_forced(switch.entry, &switch.after.to_le_bytes())?;
        }
        process.write_forced(record + control::FLAG, &1_u64.to_le_bytes())?;
        Err(Error::RollbackRefused {
            what: "memory or stacks were not as they must be afterwards".to_owned(),
        })
    })?;
    Ok(Stop { functions: switches.len(), ..stop })
}

fn at_safe_moment(
    target: &Target<'_>,
    modules: &Modules,
    switches: &[Switch],
    code: &[(u64, u64)],
    options: Options,
    mut act: impl FnMut(Safe, &mut dyn FnMut() -> Result<Option<Safe>>) -> Result<()>,
) -> Result<Stop> {
    let mut walk = Walk::new(target, modules, switches, code);
    walk.rehearse();
    prepare(target, switches)?;
    let mut tracer = Tracer::seize(target.process)?;
    let mut what = String::new();
    for attempts in 1..=options.attempts.max(1) {
        let begin = Instant::now();
        match tracer.stop(options.patience) {
            Ok(()) => {}
            Err(goproc::Error::NotStopped { running, .. }) => {
                what = format!("{running} threads did not stop");
                continue;
            }
            Err(other) => return Err(other.into()),
        }
        let threads = tracer.threads().count();
        match walk.look(&tracer)? {
            Seen::Safe(safe) => {
                let done = act(safe, &mut || walk.look(&tracer).map(Seen::safe));
                tracer.release()?;
                done?;
                return Ok(Stop {
                    stopped_for: begin.elapsed(),
                    attempts,
                    threads,
                    goroutines: safe.goroutines,
                    inside: safe.inside,
                    references: safe.references,
                    ..Stop::default()
                });
            }
            Seen::Unsafe(because) => what = because,
        }
        tracer.let_run(BETWEEN)?;
    }
    tracer.release()?;
    Err(Error::NoSafeMoment { attempts: options.attempts, what })
}

/// Writes what stands there: the kernel copies the page for it now, and not in the stop.
fn prepare(target: &Target<'_>, switches: &[Switch]) -> Result<()> {
    let mut last = None;
    for switch in switches {
        let page = switch.entry & !(control::PAGE - 1);
        if last != Some(page) {
            let found = target.process.word(switch.entry)?;
            target.process.write_forced(switch.entry, &found.to_le_bytes())?;
        }
        last = Some(page);
    }
    Ok(())
}

/// Makes the new module known: to whoever looks a function up (the chain) and to the collector (the slice).
fn link(target: &Target<'_>, modules: &Modules, control: u64, module: u64) -> Result<()> {
    let process = target.process;
    if modules.0.iter().any(|m| m.address == module) {
        return Ok(());
    }
    let contradicts = || Error::State { what: "has a list of modules that contradicts itself".to_owned() };
    let slice = process.word(target.runtime.modules_slice())?;
    if slice != control + control::MODULES {
        let (list, length) = (process.word(slice)?, process.word(slice + 8)?);
        if length >= control::MODULES_ROOM {
            return Err(contradicts());
        }
        let mut elements = process.words(list, length)?;
        elements.push(module);
        let bytes: Vec<u8> = elements.iter().flat_map(|e| e.to_le_bytes()).collect();
        process.write_forced(control + control::MODULES_LIST, &bytes)?;
        let header = [control + control::MODULES_LIST, length + 1, length + 1];
        let bytes: Vec<u8> = header.iter().flat_map(|w| w.to_le_bytes()).collect();
        process.write_forced(control + control::MODULES, &bytes)?;
        process.write(target.runtime.modules_slice(), &(control + control::MODULES).to_le_bytes())?;
    }
    let last = modules.0.last().ok_or_else(contradicts)?;
    let next = target.runtime.layouts().offset("runtime.moduledata", "next")?;
    process.write(last.address + next, &module.to_le_bytes())?;
    Ok(())
}
