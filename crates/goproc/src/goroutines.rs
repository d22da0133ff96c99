//! Machines (threads as the Go runtime knows them), goroutines, and their stacks.
//!
//! Where the fields lie is taken from the debugging data of the executable, so no release is wired in. The states are
//! those of `runtime/runtime2.go`. All of it is only true while the threads are stopped.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::elf::{Executable, Layouts};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::modules::Modules;
use crate::unwind::{Frame, Unwinder};

/// More goroutines than this are not walked.
pub const MAX_GOROUTINES: u64 = 4 << 20;
/// More machines than this are not walked: the runtime's own bound on threads is 10,000.
const MAX_MACHINES: usize = 1 << 16;
/// Goroutines are read in groups of so many: few system calls, and no list of theirs grows without bound.
const BATCH: usize = 4096;
/// The runtime's own bound on a stack (`maxstacksize`).
const MAX_STACK: u64 = 1_000_000_000;

/// Where the runtime of one executable keeps what is needed.
#[derive(Clone, Debug)]
pub struct GoRuntime {
    layouts: Layouts,
    symbols: BTreeMap<&'static str, u64>,
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
    vdso: (u64, u64),
}

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

fn word_at(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// How many bytes of a structure must be read to have the words at these offsets.
fn reach(offsets: &[u64]) -> Result<usize> {
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

fn within(range: (u64, u64), sp: u64) -> bool {
    range.0 < sp && sp <= range.1
}
