//! Is this moment safe? Asked of every thread and of every frame of every goroutine, while all of them stand still.
//!
//! A moment is safe when nobody stands behind the first and before the last byte that a jump takes. A goroutine whose stack
//! cannot be walked (in the few instructions where the runtime switches stacks) makes the moment unsafe; the next one is a
//! millisecond away.

use std::collections::BTreeMap;

use goproc::{Frame, Goroutine, Machine, Memory as _, Modules, Position, Tracer, Unwinder};

use super::check::Target;
use super::tables;
use crate::error::Result;
use crate::patch::Switch;

/// Stacks are read together up to so many, and up to so many bytes.
const STACKS: usize = 1024;
const BYTES: usize = 8 << 20;

/// What was seen while all threads stood still.
pub(super) enum Seen {
    /// Nobody is in the way.
    Safe(Safe),
    /// Somebody is, and who.
    Unsafe(String),
}

/// What all stacks together say.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Safe {
    /// How many goroutines there are.
    pub(super) goroutines: usize,
    /// How many of them are inside new code.
    pub(super) inside: usize,
    /// How many words on the stacks of those name new code.
    pub(super) references: usize,
    /// Every frame of every goroutine, digested.
    topology: u64,
}

impl Seen {
    pub(super) fn safe(self) -> Option<Safe> {
        match self {
            Self::Safe(safe) => Some(safe),
            Self::Unsafe(_) => None,
        }
    }
}

impl Safe {
    /// FNV-1a over words: it tells two looks at one moment apart, and protects from nobody.
    fn add(&mut self, word: u64) {
        self.topology = (self.topology ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

/// Walks all stacks of one process, again and again, and remembers what does not change in between.
pub(super) struct Walk<'w, 'p> {
    target: &'w Target<'p>,
    unwinder: Unwinder<'w>,
    /// What a jump takes, but for the first byte of each: start and end, ascending.
    overwritten: Vec<(u64, u64)>,
    code: &'w [(u64, u64)],
    machines: Vec<u64>,
    frames: Vec<Frame>,
}

/// A goroutine whose stack is to be walked from here.
struct Standing<'g> {
    goroutine: &'g Goroutine,
    pc: u64,
    sp: u64,
    length: usize,
}

impl<'w, 'p> Walk<'w, 'p> {
    pub(super) fn new(
        target: &'w Target<'p>,
        modules: &'w Modules,
        switches: &[Switch],
        code: &'w [(u64, u64)],
    ) -> Self {
        let mut overwritten: Vec<_> = switches.iter().map(|s| (s.entry + 1, s.entry + s.length)).collect();
        overwritten.sort_unstable();
        let unwinder = Unwinder::new(modules);
        Self { target, unwinder, overwritten, code, machines: Vec::new(), frames: Vec::new() }
    }

    /// Walks what can be walked while the process runs. What comes of it may be wrong and is not used; but the addresses
    /// that were looked up in the function tables need not be looked up again.
    pub(super) fn rehearse(&mut self) {
        let (process, runtime) = (self.target.process, &self.target.runtime);
        if let Ok(machines) = runtime.machines(process) {
            self.machines = machines.iter().map(|machine| machine.address).collect();
        }
        let Ok(goroutines) = runtime.goroutines(process) else { return };
        let nobody = (BTreeMap::new(), BTreeMap::new());
        let standing: Vec<_> = goroutines.iter().filter_map(|g| standing(g, &nobody.0, &nobody.1)).collect();
        let _ = self.walk(&standing); // stacks move while we look
    }

    pub(super) fn look(&mut self, tracer: &Tracer<'_>) -> Result<Seen> {
        let (process, runtime) = (self.target.process, &self.target.runtime);
        let mut threads = BTreeMap::new();
        for thread in tracer.threads() {
            let registers = tracer.registers(thread)?;
            if self.is_overwritten(registers.rip) {
                let what = format!("thread {thread} is at the entry of a function that changes");
                return Ok(Seen::Unsafe(what));
            }
            threads.insert(thread, (registers.rip, registers.rsp));
        }
        let machines: BTreeMap<u64, Machine> = runtime
            .machines_known(process, &self.machines)?
            .into_iter()
            .map(|machine| (machine.address, machine))
            .collect();
        for machine in machines.values() {
            if let Some(state) = threads.get_mut(&machine.thread)
                && let Ok(Some(interrupted)) = machine.interrupted(process, state.1)
            {
                *state = interrupted;
            }
        }
        if !tables::is_settled(self.target)? {
            return Ok(Seen::Unsafe("a thread holds the lock of the interface tables".to_owned()));
        }
        let goroutines = runtime.goroutines(process)?;
        let mut found = Vec::with_capacity(goroutines.len());
        for goroutine in &goroutines {
            match standing(goroutine, &machines, &threads) {
                Some(standing) => found.push(standing),
                None => return Ok(Seen::Unsafe(between(goroutine))),
            }
        }
        self.walk(&found)
    }

    /// Every stack, read in batches.
    fn walk(&mut self, standing: &[Standing<'_>]) -> Result<Seen> {
        let mut safe = Safe { goroutines: standing.len(), ..Safe::default() };
        let mut rest = standing;
        while !rest.is_empty() {
            let (batch, tail) = rest.split_at(batch(rest));
            rest = tail;
            let ranges: Vec<_> = batch.iter().map(|s| (s.sp, s.length)).collect();
            let bytes = self.target.process.gather(&ranges)?;
            let mut stacks = bytes.as_slice();
            for one in batch {
                let (stack, others) = stacks.split_at(one.length);
                stacks = others;
                if let Some(because) = self.walk_one(one, stack, &mut safe) {
                    return Ok(Seen::Unsafe(because));
                }
            }
        }
        Ok(Seen::Safe(safe))
    }

    /// Adds one stack, or says why it makes the moment unsafe.
    fn walk_one(&mut self, one: &Standing<'_>, stack: &[u8], safe: &mut Safe) -> Option<String> {
        if !self.unwinder.unwind(stack, one.pc, one.sp, &mut self.frames) {
            return Some(between(one.goroutine));
        }
        safe.add(one.goroutine.id);
        let mut inside = false;
        for frame in &self.frames {
            if self.is_overwritten(frame.pc) {
                return Some(format!(
                    "goroutine {} is at the entry of a function that changes",
                    one.goroutine.id
                ));
            }
            inside |= self.is_new(frame.pc);
            safe.add(frame.pc);
            safe.add(frame.sp);
        }
        if inside {
            safe.inside += 1;
            let words = stack.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            safe.references += words.filter(|word| self.is_new(*word)).count();
        }
        None
    }

    fn is_new(&self, address: u64) -> bool {
        self.code.iter().any(|(start, end)| (*start..*end).contains(&address))
    }

    fn is_overwritten(&self, pc: u64) -> bool {
        let at = self.overwritten.partition_point(|(start, _)| *start <= pc);
        at > 0 && pc < self.overwritten[at - 1].1
    }
}

fn standing<'g>(
    goroutine: &'g Goroutine,
    machines: &BTreeMap<u64, Machine>,
    threads: &BTreeMap<i32, (u64, u64)>,
) -> Option<Standing<'g>> {
    let Position::At { pc, sp } = goroutine.position(machines, threads) else { return None };
    Some(Standing { goroutine, pc, sp, length: goroutine.depth(sp).ok()? })
}

/// How many of these stacks are read together: one at least.
fn batch(standing: &[Standing<'_>]) -> usize {
    let mut bytes = 0_usize;
    let fits = |one: &&Standing<'_>| {
        bytes = bytes.saturating_add(one.length);
        bytes <= BYTES
    };
    standing.iter().take(STACKS).take_while(fits).count().max(1)
}

fn between(goroutine: &Goroutine) -> String {
    format!("goroutine {} is between two states", goroutine.id)
}
