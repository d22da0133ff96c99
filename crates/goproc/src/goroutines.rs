//! Goroutines, and where they stand.
//!
//! Where the fields lie is taken from the debugging data of the executable, so no release is wired in. The states are
//! those of `runtime/runtime2.go`. All of it is only true while the threads are stopped.

use std::collections::BTreeMap;

use crate::elf::{Executable, Layouts};
use crate::error::{Error, Result};
use crate::machines::Machine;
use crate::memory::Memory;
use crate::modules::Modules;
use crate::unwind::{Frame, Unwinder};

/// More goroutines than this are not walked.
pub const MAX_GOROUTINES: u64 = 4 << 20;
/// Goroutines are read in groups of so many: few system calls, and no list of theirs grows without bound.
const BATCH: usize = 4096;
/// The runtime's own bound on a stack (`maxstacksize`).
const MAX_STACK: u64 = 1_000_000_000;

/// Where the runtime of one executable keeps what is needed.
#[derive(Clone, Debug)]
pub struct GoRuntime {
    pub(crate) layouts: Layouts,
    pub(crate) symbols: BTreeMap<&'static str, u64>,
}

/// What of the runtime's variables is needed.
const SYMBOLS: [&str; 6] = [
    "runtime.allgs",
    "runtime.allm",
    "runtime.firstmoduledata",
    "runtime.itabLock",
    "runtime.itabTable",
    "runtime.modulesSlice",
];

/// A goroutine that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Goroutine {
    /// Its `g`.
    pub address: u64,
    /// As tracebacks print it.
    pub id: u64,
    /// Its state, without the bit that says that it is being scanned.
    pub status: u32,
    /// Its stack.
    pub stack: (u64, u64),
    machine: u64,
    saved: (u64, u64),
    in_call: (u64, u64),
}

/// Where a goroutine stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// At this address, with this stack pointer.
    At {
        /// The next instruction.
        pc: u64,
        /// Inside the goroutine's stack.
        sp: u64,
    },
    /// Between two states, for a few instructions. Ask again later.
    Unsettled,
}

impl GoRuntime {
    /// Finds the runtime's variables by the symbols, and its fields by the debugging data, of an executable.
    ///
    /// # Errors
    /// [`Error::Missing`] when either was stripped.
    pub fn of(executable: &Executable<'_>) -> Result<Self> {
        let layouts = executable.layouts(&[
            "runtime.g",
            "runtime.m",
            "runtime.gobuf",
            "runtime.stack",
            "runtime.moduledata",
        ])?;
        let mut symbols = BTreeMap::new();
        for symbol in executable.symbols() {
            if let Some(name) = SYMBOLS.iter().find(|name| **name == symbol.name) {
                symbols.insert(*name, symbol.address);
            }
        }
        match SYMBOLS.iter().find(|name| !symbols.contains_key(**name)) {
            Some(name) => Err(Error::missing(format!("symbol `{name}`"))),
            None => Ok(Self { layouts, symbols }),
        }
    }

    /// All that was found out, as numbers by name: addresses of variables, and offsets of fields (`runtime.g:goid`). For
    /// those who look into a process whose executable was stripped.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<String, u64> {
        let symbols = self.symbols.iter().map(|(name, address)| ((*name).to_owned(), *address));
        let fields = self.layouts.fields().map(|(structure, field, at)| (format!("{structure}:{field}"), at));
        symbols.chain(fields).collect()
    }

    /// From what [`GoRuntime::facts`] gave.
    ///
    /// # Errors
    /// [`Error::Missing`] when a variable is not among them. A field that is missing is missed when it is asked for.
    pub fn from_facts(facts: &BTreeMap<String, u64>) -> Result<Self> {
        let fields =
            facts.iter().filter_map(|(name, at)| name.split_once(':').map(|(of, field)| (of, field, *at)));
        let layouts = Layouts::of(fields);
        let mut symbols = BTreeMap::new();
        for name in SYMBOLS {
            let address = facts.get(name).ok_or_else(|| Error::missing(format!("symbol `{name}`")))?;
            symbols.insert(name, *address);
        }
        Ok(Self { layouts, symbols })
    }

    /// The same in an executable that runs `bias` bytes from where it was linked.
    #[must_use]
    pub fn slid(mut self, bias: u64) -> Self {
        self.symbols.values_mut().for_each(|address| *address = address.wrapping_add(bias));
        self
    }

    /// Where the fields of the runtime's structures lie.
    #[must_use]
    pub fn layouts(&self) -> &Layouts {
        &self.layouts
    }

    /// The address of `runtime.firstmoduledata`.
    #[must_use]
    pub fn first_module(&self) -> u64 {
        self.symbols["runtime.firstmoduledata"]
    }

    /// The address of `runtime.modulesSlice`.
    #[must_use]
    pub fn modules_slice(&self) -> u64 {
        self.symbols["runtime.modulesSlice"]
    }

    /// The address of `runtime.itabTable`, which names the table of interface tables.
    #[must_use]
    pub fn interface_tables(&self) -> u64 {
        self.symbols["runtime.itabTable"]
    }

    /// The address of `runtime.itabLock`: 0 while nobody holds it.
    #[must_use]
    pub fn interface_tables_lock(&self) -> u64 {
        self.symbols["runtime.itabLock"]
    }

    /// The function tables of a process.
    ///
    /// # Errors
    /// As [`Modules::read`].
    pub fn modules(&self, memory: &impl Memory) -> Result<Modules> {
        Modules::read(memory, &self.layouts, self.first_module())
    }

    /// Every goroutine that is not dead.
    ///
    /// # Errors
    /// When the list cannot be read or is too long.
    pub fn goroutines(&self, memory: &impl Memory) -> Result<Vec<Goroutine>> {
        let list = self.symbols["runtime.allgs"];
        let header = memory.words(list, 2)?;
        let (start, length) = (header[0], header[1]);
        if length > MAX_GOROUTINES {
            return Err(Error::Limit { what: "the number of goroutines", limit: MAX_GOROUTINES });
        }
        let fields = Fields::of(&self.layouts)?;
        let addresses = memory.words(start, length)?;
        let mut found = Vec::with_capacity(addresses.len());
        for batch in addresses.chunks(BATCH) {
            let ranges: Vec<_> = batch.iter().map(|address| (*address, fields.length)).collect();
            let bytes = memory.gather(&ranges)?;
            let each = batch.iter().zip(bytes.chunks_exact(fields.length));
            found.extend(each.filter_map(|(address, bytes)| fields.goroutine(*address, bytes)));
        }
        Ok(found)
    }
}

/// Where the fields of `g` lie, and how far the last of them reaches.
struct Fields {
    length: usize,
    id: u64,
    status: u64,
    stack: u64,
    machine: u64,
    sched_pc: u64,
    sched_sp: u64,
    call_pc: u64,
    call_sp: u64,
}

impl Fields {
    fn of(layouts: &Layouts) -> Result<Self> {
        let g = |name| layouts.offset("runtime.g", name);
        let sched = g("sched")?;
        let fields = Self {
            length: 0,
            id: g("goid")?,
            status: g("atomicstatus")?,
            stack: g("stack")?,
            machine: g("m")?,
            sched_pc: sched + layouts.offset("runtime.gobuf", "pc")?,
            sched_sp: sched + layouts.offset("runtime.gobuf", "sp")?,
            call_pc: g("syscallpc")?,
            call_sp: g("syscallsp")?,
        };
        let all = [
            fields.id,
            fields.status,
            fields.stack + 8,
            fields.machine,
            fields.sched_pc,
            fields.sched_sp,
            fields.call_pc,
            fields.call_sp,
        ];
        Ok(Self { length: reach(&all)?, ..fields })
    }

    fn goroutine(&self, address: u64, bytes: &[u8]) -> Option<Goroutine> {
        let word = |at| word_at(bytes, at);
        // `_Gscan` is 0x1000; `atomicstatus` is 32 bits wide.
        let status = u32::try_from(word(self.status)? & 0xffff_ffff).ok()? & !0x1000;
        let stack = (word(self.stack)?, word(self.stack + 8)?);
        if !matches!(status, 1..=4 | 8..=10) || stack.0 == 0 {
            return None;
        }
        Some(Goroutine {
            address,
            id: word(self.id)?,
            status,
            stack,
            machine: word(self.machine)?,
            saved: (word(self.sched_pc)?, word(self.sched_sp)?),
            in_call: (word(self.call_pc)?, word(self.call_sp)?),
        })
    }
}

pub(crate) fn word_at(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// How many bytes of a structure must be read to have the words at these offsets.
pub(crate) fn reach(offsets: &[u64]) -> Result<usize> {
    /// The largest structure of the runtime that is read this way (`m`) has about two kilobytes.
    const MOST: u64 = 1 << 16;
    let last = offsets.iter().max().copied().unwrap_or(0);
    match last <= MOST {
        true => usize::try_from(last + 8).map_err(|_| Error::damaged("a field lies out of reach")),
        false => Err(Error::damaged("a field of the runtime lies out of reach")),
    }
}

impl Goroutine {
    /// Where it stands, given the machines and (address, stack pointer) of every stopped thread, those in signal handlers
    /// led back to what was interrupted ([`Machine::interrupted`]).
    ///
    /// While a stack is being copied, stack and saved state are those of the old one, whole, until both are replaced
    /// (`runtime.copystack`); return addresses are the same in both.
    #[must_use]
    pub fn position(
        &self,
        machines: &BTreeMap<u64, Machine>,
        threads: &BTreeMap<i32, (u64, u64)>,
    ) -> Position {
        const RUNNING: u32 = 2;
        const IN_SYSTEM_CALL: u32 = 3;
        let (pc, sp) = match self.status {
            IN_SYSTEM_CALL if self.in_call.1 != 0 => self.in_call,
            RUNNING => {
                let Some(machine) = machines.get(&self.machine) else { return Position::Unsettled };
                let Some(&(pc, sp)) = threads.get(&machine.thread) else { return Position::Unsettled };
                if self.holds(sp) {
                    (pc, sp)
                } else if !within(machine.scheduler_stack, sp) {
                    // In C code, on a stack that the runtime does not know.
                    return Position::Unsettled;
                } else if self.holds(machine.vdso.1) {
                    machine.vdso
                } else {
                    self.saved
                }
            }
            _ => self.saved,
        };
        match self.holds(sp) {
            true => Position::At { pc, sp },
            false => Position::Unsettled,
        }
    }

    fn holds(&self, sp: u64) -> bool {
        within(self.stack, sp)
    }

    /// Unwinds from a position to the outermost function; `None` when the stack does not end there, as in the few
    /// instructions where the runtime switches stacks. Whoever unwinds many uses an [`Unwinder`].
    ///
    /// # Errors
    /// When the stack cannot be read.
    pub fn unwind(
        &self,
        memory: &impl Memory,
        modules: &Modules,
        pc: u64,
        sp: u64,
    ) -> Result<Option<Vec<Frame>>> {
        let stack = memory.bytes(sp, self.depth(sp)? as u64)?;
        let mut frames = Vec::new();
        Ok(Unwinder::new(modules).unwind(&stack, pc, sp, &mut frames).then_some(frames))
    }

    /// How many bytes of its stack are in use at a stack pointer.
    ///
    /// # Errors
    /// When that is more than a stack may have.
    pub fn depth(&self, sp: u64) -> Result<usize> {
        let length = self.stack.1.saturating_sub(sp);
        usize::try_from(length)
            .ok()
            .filter(|_| length <= MAX_STACK)
            .ok_or(Error::Limit { what: "the size of a stack", limit: MAX_STACK })
    }
}

pub(crate) fn within(range: (u64, u64), sp: u64) -> bool {
    range.0 < sp && sp <= range.1
}
