//! Machines: threads as the Go runtime knows them (`runtime/runtime2.go`, `m`).
//!
//! They hang on a chain, so a list that was true a moment ago is read ahead in one call; the chain has the last word.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::elf::Layouts;
use crate::error::{Error, Result};
use crate::goroutines::{GoRuntime, reach, within, word_at};
use crate::memory::Memory;

/// More machines than this are not walked: the runtime's own bound on threads is 10,000.
const MAX_MACHINES: usize = 1 << 16;

/// A thread as the runtime knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Its `m`.
    pub address: u64,
    /// Its kernel thread, 0 before it has one.
    pub thread: i32,
    /// The stack of its scheduler.
    pub scheduler_stack: (u64, u64),
    /// The stack of its signal handlers.
    pub signal_stack: (u64, u64),
    /// Where a call into the vDSO returns to: address and stack pointer, 0 when none is under way.
    pub(crate) vdso: (u64, u64),
}

impl GoRuntime {
    /// Every machine.
    ///
    /// # Errors
    /// When the list cannot be read or does not end.
    pub fn machines(&self, memory: &impl Memory) -> Result<Vec<Machine>> {
        self.machines_known(memory, &[])
    }

    /// Every machine, as [`GoRuntime::machines`], read faster where they lie at these addresses: a list that was true a
    /// moment ago. Whatever it says, the chain of the runtime is followed.
    ///
    /// # Errors
    /// As [`GoRuntime::machines`].
    pub fn machines_known(&self, memory: &impl Memory, known: &[u64]) -> Result<Vec<Machine>> {
        let fields = MachineFields::of(&self.layouts)?;
        let ahead = known.iter().map(|address| (*address, fields.length)).collect::<Vec<_>>();
        // Memory of machines that are gone may be gone too; then each is read by itself.
        let ahead = memory.gather(&ahead).unwrap_or_default();
        let ahead: HashMap<u64, &[u8]> =
            known.iter().copied().zip(ahead.chunks_exact(fields.length)).collect();
        let mut found = Vec::with_capacity(known.len());
        let mut stacks = Vec::with_capacity(known.len() * 2);
        let mut address = memory.word(self.symbols["runtime.allm"])?;
        while address != 0 {
            if found.len() >= MAX_MACHINES {
                return Err(Error::Limit { what: "the number of machines", limit: MAX_MACHINES as u64 });
            }
            let read = match ahead.get(&address) {
                Some(bytes) => Cow::Borrowed(*bytes),
                None => Cow::Owned(memory.bytes(address, fields.length as u64)?),
            };
            let (machine, g, next) = fields.machine(address, &read)?;
            found.push(machine);
            stacks.extend(g);
            address = next;
        }
        self.add_stacks(memory, &mut found, &stacks)?;
        Ok(found)
    }

    /// The stacks of schedulers and signal handlers; `g` holds two of each machine.
    fn add_stacks(&self, memory: &impl Memory, machines: &mut [Machine], g: &[u64]) -> Result<()> {
        let at = self.layouts.offset("runtime.g", "stack")?;
        let ranges: Vec<_> = g.iter().map(|g| if *g == 0 { (0, 0) } else { (*g + at, 16) }).collect();
        let bytes = memory.gather(&ranges)?;
        let mut words = bytes.chunks_exact(8).map(|word| {
            u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]])
        });
        for (machine, g) in machines.iter_mut().zip(g.chunks_exact(2)) {
            let mut stack = |g: u64| match g {
                0 => (0, 0),
                _ => (words.next().unwrap_or(0), words.next().unwrap_or(0)),
            };
            (machine.scheduler_stack, machine.signal_stack) = (stack(g[0]), stack(g[1]));
        }
        Ok(())
    }
}

impl Machine {
    /// What a thread was at when its signal handler began, if `sp` says that it is in one: the kernel's frame lies on the
    /// handlers' stack and names that stack (`uc_stack`), and the registers follow (`uc_mcontext`; `arch/x86/include/uapi/
    /// asm/sigcontext.h`). `None` while the thread is in no handler.
    ///
    /// # Errors
    /// When the stack cannot be read, or holds no such frame.
    pub fn interrupted(&self, memory: &impl Memory, sp: u64) -> Result<Option<(u64, u64)>> {
        const REGISTERS: usize = 40 - 16;
        let (start, end) = self.signal_stack;
        if !within(self.signal_stack, sp) {
            return Ok(None);
        }
        let bytes = memory.bytes(sp, end - sp)?;
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        // The outermost frame is the one that interrupted the goroutine.
        let found = (0..bytes.len().saturating_sub(16)).step_by(8).rev().find_map(|at| {
            let is_frame = word(at)? == start && word(at + 16)? == end - start;
            let (stack, next) = (word(at + REGISTERS + 15 * 8)?, word(at + REGISTERS + 16 * 8)?);
            is_frame.then_some((next, stack))
        });
        found.map(Some).ok_or_else(|| Error::damaged("a signal handler's stack holds no frame of the kernel"))
    }
}

/// Where the fields of `m` lie, and how far the last of them reaches.
struct MachineFields {
    length: usize,
    thread: u64,
    g0: u64,
    gsignal: u64,
    next: u64,
    vdso_sp: u64,
    vdso_pc: u64,
}

impl MachineFields {
    fn of(layouts: &Layouts) -> Result<Self> {
        let m = |name| layouts.offset("runtime.m", name);
        let fields = Self {
            length: 0,
            thread: m("procid")?,
            g0: m("g0")?,
            gsignal: m("gsignal")?,
            next: m("alllink")?,
            vdso_sp: m("vdsoSP")?,
            vdso_pc: m("vdsoPC")?,
        };
        let all = [fields.thread, fields.g0, fields.gsignal, fields.next, fields.vdso_sp, fields.vdso_pc];
        Ok(Self { length: reach(&all)?, ..fields })
    }

    /// The machine without its stacks, the `g` of both, and the next machine.
    fn machine(&self, address: u64, bytes: &[u8]) -> Result<(Machine, [u64; 2], u64)> {
        let word = |at: u64| word_at(bytes, at).ok_or_else(|| Error::damaged("a machine is cut short"));
        let machine = Machine {
            address,
            thread: i32::try_from(word(self.thread)?).unwrap_or(0),
            scheduler_stack: (0, 0),
            signal_stack: (0, 0),
            vdso: (word(self.vdso_pc)?, word(self.vdso_sp)?),
        };
        Ok((machine, [word(self.g0)?, word(self.gsignal)?], word(self.next)?))
    }
}
