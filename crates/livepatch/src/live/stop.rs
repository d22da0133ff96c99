//! The stop: all threads gathered, a safe moment or none, the switch, and all let go.
//!
//! A moment is safe when no thread, and no goroutine in any frame, stands behind the first and before the last byte that
//! a jump takes. A goroutine whose stack cannot be walked (in the few instructions where the runtime switches stacks) makes
//! the moment unsafe; the next one is a millisecond away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use goproc::{Machine, Memory as _, Modules, Position, Tracer};

use super::{Options, Target, switches, tables};
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Access, Patch, Switch};

/// What one stop came to.
#[derive(Clone, PartialEq, Eq, Debug)]
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
}

/// What was seen while all threads stood still.
struct Seen {
    goroutines: usize,
    inside: usize,
    unsafe_because: Option<String>,
}

pub(super) fn switch(target: &Target<'_>, patch: &Patch, options: Options) -> Result<Stop> {
    let head = &patch.head;
    let code: Vec<(u64, u64)> = head
        .regions
        .iter()
        .filter(|r| r.access == Access::Execute)
        .map(|r| (r.address, r.address + r.size))
        .collect();
    let modules = target.runtime.modules(target.process)?;
    let stop = at_safe_moment(target, &modules, &head.switches, &code, options, || {
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
        tables::register(target, &head.tables)?;
        tables::complete(target, &head.methods)?;
        for switch in &head.switches {
            target.process.write_forced(switch.entry, &switch.after.to_le_bytes())?;
        }
        // This one store patches the process.
        target.process.write_forced(head.control + control::FLAG, &1_u64.to_le_bytes())?;
        Ok(())
    })?;
    Ok(Stop { functions: head.switches.len(), ..stop })
}

pub(super) fn take_back(target: &Target<'_>, record: u64, options: Options) -> Result<Stop> {
    let switches = switches(target.process, record)?;
    let modules = target.runtime.modules(target.process)?;
    // The code that the patch placed lies in the module that it linked.
    let module = target.process.word(record + control::MODULE)?;
    let new = modules.0.iter().filter(|m| m.address == module);
    let code: Vec<(u64, u64)> = new.map(|m| (m.min_pc, m.max_pc)).collect();
    let stop = at_safe_moment(target, &modules, &switches, &code, options, || {
        if options.dry_run {
            return Ok(());
        }
        // This one store takes the patch back; what follows only tidies up.
        target.process.write_forced(record + control::FLAG, &0_u64.to_le_bytes())?;
        for switch in &switches {
            if target.process.word(switch.entry)? == switch.after {
                target.process.write_forced(switch.entry, &switch.before.to_le_bytes())?;
            }
        }
        Ok(())
    })?;
    Ok(Stop { functions: switches.len(), ..stop })
}

fn at_safe_moment(
    target: &Target<'_>,
    modules: &Modules,
    switches: &[Switch],
    code: &[(u64, u64)],
    options: Options,
    mut act: impl FnMut() -> Result<()>,
) -> Result<Stop> {
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
        let seen = look(target, modules, &tracer, switches, code)?;
        match seen.unsafe_because {
            None => {
                let done = act();
                tracer.release()?;
                done?;
                let (goroutines, inside) = (seen.goroutines, seen.inside);
                return Ok(Stop {
                    stopped_for: begin.elapsed(),
                    attempts,
                    threads,
                    goroutines,
                    inside,
                    functions: 0,
                });
            }
            Some(because) => what = because,
        }
        tracer.go_on()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    tracer.release()?;
    Err(Error::NoSafeMoment { attempts: options.attempts, what })
}

fn look(
    target: &Target<'_>,
    modules: &Modules,
    tracer: &Tracer<'_>,
    switches: &[Switch],
    code: &[(u64, u64)],
) -> Result<Seen> {
    let mut seen = Seen { goroutines: 0, inside: 0, unsafe_because: None };
    let mut ranges: Vec<(u64, u64)> = switches.iter().map(|s| (s.entry + 1, s.entry + s.length)).collect();
    ranges.sort_unstable();
    let overwritten = |pc: u64| {
        let at = ranges.partition_point(|(start, _)| *start <= pc);
        at > 0 && pc < ranges[at - 1].1
    };
    let mut threads = BTreeMap::new();
    for thread in tracer.threads() {
        let registers = tracer.registers(thread)?;
        if overwritten(registers.rip) {
            seen.unsafe_because = Some(format!("thread {thread} is at the entry of a function that changes"));
            return Ok(seen);
        }
        threads.insert(thread, (registers.rip, registers.rsp));
    }
    let machines: BTreeMap<u64, Machine> =
        target.runtime.machines(target.process)?.into_iter().map(|m| (m.address, m)).collect();
    for machine in machines.values() {
        if let Some(state) = threads.get_mut(&machine.thread)
            && let Ok(Some(interrupted)) = machine.interrupted(target.process, state.1)
        {
            *state = interrupted;
        }
    }
    if !tables::is_settled(target)? {
        seen.unsafe_because = Some("a thread holds the lock of the interface tables".to_owned());
        return Ok(seen);
    }
    for goroutine in target.runtime.goroutines(target.process)? {
        seen.goroutines += 1;
        let frames = match goroutine.position(&machines, &threads) {
            Position::Unsettled => None,
            Position::At { pc, sp } => goroutine.unwind(target.process, modules, pc, sp)?,
        };
        let Some(frames) = frames else {
            seen.unsafe_because = Some(format!("goroutine {} is between two states", goroutine.id));
            return Ok(seen);
        };
        if frames.iter().any(|f| overwritten(f.pc)) {
            seen.unsafe_because =
                Some(format!("goroutine {} is at the entry of a function that changes", goroutine.id));
            return Ok(seen);
        }
        seen.inside += usize::from(
            frames.iter().any(|f| code.iter().any(|(start, end)| (*start..*end).contains(&f.pc))),
        );
    }
    Ok(seen)
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
