//! Machines (threads as the Go runtime knows them), goroutines, and their stacks.
//!
//! Where the fields lie is taken from the debugging data of the executable, so no release is wired in. The states are
//! those of `runtime/runtime2.go`. All of it is only true while the threads are stopped.

use std::collections::BTreeMap;

use crate::elf::{Executable, Layouts};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::modules::Modules;

/// More goroutines than this are not walked.
pub const MAX_GOROUTINES: u64 = 4 << 20;
/// More machines than this are not walked: the runtime's own bound on threads is 10,000.
const MAX_MACHINES: usize = 1 << 16;
/// A stack deeper than this is called broken.
const MAX_FRAMES: usize = 1 << 22;
/// The runtime's own bound on a stack (`maxstacksize`).
const MAX_STACK: u64 = 1_000_000_000;

/// Functions whose caller did not call them: the frame above was interrupted right at its address, not behind a call.
const INJECTED: [&str; 3] = ["runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"];

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

/// One frame, innermost first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The next instruction of this frame: a return address, but in the innermost frame and above injected calls.
    pub pc: u64,
    /// The stack pointer at that instruction.
    pub sp: u64,
    /// The function's first instruction.
    pub entry: u64,
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
        let fields = facts.iter().filter_map(|(name, at)| name.split_once(':').map(|(of, field)| (of, field, *at)));
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
        let field = |name| self.layouts.offset("runtime.m", name);
        let (procid, g0, gsignal, next) =
            (field("procid")?, field("g0")?, field("gsignal")?, field("alllink")?);
        let (vdso_sp, vdso_pc) = (field("vdsoSP")?, field("vdsoPC")?);
        let mut found = Vec::new();
        let mut address = memory.word(self.symbols["runtime.allm"])?;
        while address != 0 {
            if found.len() >= MAX_MACHINES {
                return Err(Error::Limit { what: "the number of machines", limit: MAX_MACHINES as u64 });
            }
            found.push(Machine {
                address,
                thread: i32::try_from(memory.word(address + procid)?).unwrap_or(0),
                scheduler_stack: self.stack(memory, memory.word(address + g0)?)?,
                signal_stack: self.stack(memory, memory.word(address + gsignal)?)?,
                vdso: (memory.word(address + vdso_pc)?, memory.word(address + vdso_sp)?),
            });
            address = memory.word(address + next)?;
        }
        Ok(found)
    }

    /// Every goroutine that is not dead.
    ///
    /// # Errors
    /// When the list cannot be read or is too long.
    pub fn goroutines(&self, memory: &impl Memory) -> Result<Vec<Goroutine>> {
        let list = self.symbols["runtime.allgs"];
        let (start, length) = (memory.word(list)?, memory.word(list + 8)?);
        if length > MAX_GOROUTINES {
            return Err(Error::Limit { what: "the number of goroutines", limit: MAX_GOROUTINES });
        }
        let fields = Fields::of(&self.layouts)?;
        let mut found = Vec::new();
        for address in memory.words(start, length)? {
            found.extend(fields.goroutine(address, &memory.bytes(address, fields.size)?));
        }
        Ok(found)
    }

    fn stack(&self, memory: &impl Memory, g: u64) -> Result<(u64, u64)> {
        if g == 0 {
            return Ok((0, 0));
        }
        let at = g + self.layouts.offset("runtime.g", "stack")?;
        Ok((memory.word(at)?, memory.word(at + 8)?))
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

struct Fields {
    size: u64,
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
        Ok(Self {
            size: layouts.size("runtime.g")?,
            id: g("goid")?,
            status: g("atomicstatus")?,
            stack: g("stack")?,
            machine: g("m")?,
            sched_pc: sched + layouts.offset("runtime.gobuf", "pc")?,
            sched_sp: sched + layouts.offset("runtime.gobuf", "sp")?,
            call_pc: g("syscallpc")?,
            call_sp: g("syscallsp")?,
        })
    }

    fn goroutine(&self, address: u64, bytes: &[u8]) -> Option<Goroutine> {
        let word = |at: u64| {
            let at = usize::try_from(at).ok()?;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
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
    /// instructions where the runtime switches stacks.
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
        let length = self.stack.1.saturating_sub(sp);
        if length > MAX_STACK {
            return Err(Error::Limit { what: "the size of a stack", limit: MAX_STACK });
        }
        let stack = memory.bytes(sp, length)?;
        let slot = |at: u64| {
            let at = usize::try_from(at.checked_sub(sp)?).ok()?;
            Some(u64::from_le_bytes(stack.get(at..at.checked_add(8)?)?.try_into().ok()?))
        };
        let mut frames: Vec<Frame> = Vec::new();
        let (mut pc, mut at, mut exact) = (pc, sp, true);
        while frames.len() < MAX_FRAMES {
            // A return address may lie behind the last instruction of a function that never returns.
            let Some((module, function)) = modules.find(if exact { pc } else { pc.wrapping_sub(1) }) else {
                return Ok(None);
            };
            frames.push(Frame { pc, sp: at, entry: function.entry });
            if function.is_top {
                return Ok(Some(frames));
            }
            let lookup = if exact { pc } else { pc - 1 };
            let Some(size) = module.frame_size(&function, lookup) else { return Ok(None) };
            let Some(back) = at.checked_add(size) else { return Ok(None) };
            let Some(next) = slot(back) else { return Ok(None) };
            (pc, at, exact) = (next, back + 8, INJECTED.contains(&function.name));
        }
        Ok(None)
    }
}

fn within(range: (u64, u64), sp: u64) -> bool {
    range.0 < sp && sp <= range.1
}
