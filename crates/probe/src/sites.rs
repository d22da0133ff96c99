//! Where in a function its calls and returns are seen at little cost.
//!
//! A breakpoint on an instruction that the kernel emulates (arch/x86/kernel/uprobes.c: pushes, relative calls and
//! jumps, branches, nops) costs about a microsecond, on any other one twenty. A return probe of the kernel
//! (uretprobe) is out of the question: it replaces a return address, and Go moves stacks.
//!
//! **Calls.** The first emulated instruction of the entry block. In most functions that is the branch behind the check
//! for room on the stack. When there is no room it is taken, the stack grows and the block runs again: so only the hit
//! counts whose branch is *not* taken, which the program in the kernel reads from the flags.
//!
//! **Returns.** From each `ret` backwards, as long as nothing but straight code lies between: a jump or a branch that
//! leads there and nowhere else is as good as the `ret` (of a branch, one of its two ways: the flags say which). Where
//! a call, the function's start or a loop comes first, the `ret` itself is probed, at the price of a single step.

use std::collections::{BTreeMap, HashMap};

use gobinary::{Binary, Function, Table};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

/// A function with more code than this gets no return sites.
const LONGEST: usize = 1 << 20;
/// Instructions of the block that grows the stack: it keeps and restores at most all argument registers.
const GROWTH: usize = 64;

/// When a hit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// When the branch, with this condition code (Intel SDM vol. 2, appendix B.1.4), is taken.
    Taken(u8),
    /// When it is not.
    NotTaken(u8),
}

/// One instruction to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Bytes from the function's entry.
    pub offset: u64,
    /// Where it stands in the file.
    pub file_offset: u64,
    /// When a hit counts.
    pub condition: Condition,
    /// Bytes by which the stack pointer stands there below its place at entry.
    pub depth: u32,
    /// The kernel emulates the instruction; otherwise it is single-stepped.
    pub cheap: bool,
}

impl Site {
    /// What the program in the kernel is told of the site; `bpf/engine.h` says which bits are what.
    #[must_use]
    pub fn cookie(&self, function: u32) -> u64 {
        let (code, mode) = match self.condition {
            Condition::Always => (0, 0),
            Condition::Taken(code) => (code, 1),
            Condition::NotTaken(code) => (code, 2),
        };
        u64::from(function & 0xff_ffff)
            | u64::from(code & 15) << 24
            | mode << 28
            | u64::from(self.depth) << 32
    }
}

/// Where a function is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    /// Where a call is seen.
    pub entry: Site,
    /// The registers still hold the arguments there.
    pub arguments: bool,
    /// Where its end is seen: one of them is hit when it returns. Empty for a function that never does.
    pub returns: Vec<Site>,
}

/// Finds the sites of functions of one binary.
#[derive(Debug)]
pub struct Finder<'b, 'a> {
    binary: &'b Binary<'a>,
    growth: Vec<u64>,
}

impl<'b, 'a> Finder<'b, 'a> {
    /// For functions of `binary`, which are all in `functions`.
    #[must_use]
    pub fn new(binary: &'b Binary<'a>, functions: &[Function<'a>]) -> Self {
        let growth = functions.iter().filter(|f| f.name.starts_with("runtime.morestack"));
        Self { binary, growth: growth.map(|f| f.entry).collect() }
    }

    /// The sites of `function`; `None` where the file does not hold its code or its frame sizes.
    #[must_use]
    pub fn sites(&self, function: &Function<'a>) -> Option<Sites> {
        let code = self.binary.code(function);
        let decoded = Listing::decode(code.get(..code.len().min(LONGEST))?, function.entry);
        let depths = Depths::of(self.binary, function)?;
        let site = |(offset, condition, cheap): Found| {
            let file_offset = self.binary.file_offset(function.entry.checked_add(offset)?)?;
            Some(Site { offset, file_offset, condition, depth: depths.at(offset)?, cheap })
        };
        let (entry, arguments) = self.entry(&decoded);
        let whole = code.len() <= LONGEST;
        let returns = if whole { decoded.returns() } else { Vec::new() };
        let returns: Vec<Site> = returns.into_iter().filter_map(site).collect();
        Some(Sites { entry: site(entry)?, arguments, returns })
    }

    /// The `ret` instructions of `function`, where the results stand in their registers. All of them are single-stepped.
    #[must_use]
    pub fn rets(&self, function: &Function<'a>) -> Option<Vec<Site>> {
        let listing = Listing::decode(self.binary.code(function), function.entry);
        let rets = listing.instructions.iter().filter(|i| i.flow_control() == FlowControl::Return);
        rets.map(|i| {
            let file_offset = self.binary.file_offset(i.ip())?;
            let offset = listing.offset(i);
            Some(Site { offset, file_offset, condition: Condition::Always, depth: 0, cheap: false })
        })
        .collect()
    }

    fn entry(&self, code: &Listing) -> (Found, bool) {
        let mut found = None;
        for (number, instruction) in code.instructions.iter().enumerate() {
            let at = code.offset(instruction);
            if instruction.is_jcc_short_or_near() {
                if self.grows(code, instruction) {
                    // A frame of many pages has two such branches; the last one decides.
                    found = Some(((at, Condition::NotTaken(condition(instruction)), true), number));
                    continue;
                }
                found = found.or(Some(((at, Condition::Always, true), number)));
                break;
            }
            if found.is_some() && !keeps_looking(instruction) {
                break;
            }
            if found.is_none() && emulated(instruction) {
                found = Some(((at, Condition::Always, true), number));
            }
            if instruction.flow_control() != FlowControl::Next || number > 256 {
                break;
            }
        }
        let (site, before) = found.unwrap_or(((0, Condition::Always, false), 0));
        (site, !code.instructions[..before.min(code.instructions.len())].iter().any(writes_argument))
    }

    /// Whether the branch leads to a block that calls the runtime to grow the stack.
    fn grows(&self, code: &Listing, branch: &Instruction) -> bool {
        let Some(&start) = code.at.get(&branch.near_branch_target()) else { return false };
        let block = code.instructions[start..].iter().take(GROWTH);
        for instruction in block {
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::Call => return self.growth.contains(&instruction.near_branch_target()),
                _ => return false,
            }
        }
        false
    }
}

/// Between the two branches of a large frame's check stand only the comparison and what it needs.
fn keeps_looking(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Lea | Mnemonic::Mov | Mnemonic::Sub)
        && !writes_argument(instruction)
        && !emulated(instruction)
}

/// Offset, condition, whether the kernel emulates it.
type Found = (u64, Condition, bool);

/// The instructions of a function.
struct Listing {
    entry: u64,
    instructions: Vec<Instruction>,
    at: HashMap<u64, usize>,
}

impl Listing {
    fn decode(code: &[u8], entry: u64) -> Self {
        let mut decoder = Decoder::with_ip(64, code, entry, DecoderOptions::NONE);
        let mut instructions = Vec::with_capacity(code.len() / 4);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                break;
            }
            instructions.push(instruction);
        }
        let at = instructions.iter().enumerate().map(|(number, i)| (i.ip(), number)).collect();
        Self { entry, instructions, at }
    }

    fn offset(&self, instruction: &Instruction) -> u64 {
        instruction.ip().wrapping_sub(self.entry)
    }

    /// Where the function is left. Jumps out of it (tail calls of wrappers) leave it too.
    fn returns(&self) -> Vec<Found> {
        let jumps = self.jumps();
        // A jump table leads nobody knows where; so would `jrcxz` and `loop`, which Go does not use.
        let unknown = |i: &Instruction| match i.flow_control() {
            FlowControl::IndirectBranch => true,
            FlowControl::ConditionalBranch => !i.is_jcc_short_or_near(),
            _ => false,
        };
        let computed = self.instructions.iter().any(unknown);
        let mut found: BTreeMap<u64, (Condition, bool)> = BTreeMap::new();
        let mut add = |(offset, condition, cheap): Found| {
            let both = |old: &mut (Condition, bool)| {
                if old.0 != condition {
                    old.0 = Condition::Always;
                }
            };
            found.entry(offset).and_modify(both).or_insert((condition, cheap));
        };
        for (number, instruction) in self.instructions.iter().enumerate() {
            let at = self.offset(instruction);
            if instruction.flow_control() == FlowControl::Return {
                let before = if computed { None } else { self.before(number, &jumps) };
                before.unwrap_or_else(|| vec![(at, Condition::Always, false)]).into_iter().for_each(&mut add);
            } else if leaves(instruction) && !self.at.contains_key(&instruction.near_branch_target()) {
                let branch = instruction.is_jcc_short_or_near();
                let condition =
                    if branch { Condition::Taken(condition(instruction)) } else { Condition::Always };
                add((at, condition, true));
            }
        }
        found.into_iter().map(|(at, (condition, cheap))| (at, condition, cheap)).collect()
    }

    /// Jumps and branches by what they lead to, and what lies in a loop.
    fn jumps(&self) -> Jumps {
        let mut jumps = Jumps::default();
        let mut depth = vec![0i32; self.instructions.len() + 1];
        for (number, instruction) in self.instructions.iter().enumerate().filter(|(_, i)| leaves(i)) {
            let Some(&target) = self.at.get(&instruction.near_branch_target()) else { continue };
            jumps.to.entry(target).or_default().push(number);
            // The jump back from the growth of the stack is no loop.
            if target <= number && target != 0 {
                depth[target] += 1;
                depth[number + 1] -= 1;
            }
        }
        let mut within = 0;
        jumps.in_loop = depth
            .iter()
            .map(|change| {
                within += change;
                within > 0
            })
            .collect();
        jumps
    }

    /// Emulated instructions of which exactly one is hit on each way to the `ret` at `last`, with nothing but straight
    /// code behind it.
    fn before(&self, last: usize, jumps: &Jumps) -> Option<Vec<Found>> {
        let mut found = Vec::new();
        let mut here = last;
        loop {
            for &number in jumps.to.get(&here).into_iter().flatten() {
                let jump = &self.instructions[number];
                let branch = jump.is_jcc_short_or_near();
                let when = if branch { Condition::Taken(condition(jump)) } else { Condition::Always };
                found.push(self.outside_loops(number, when, jumps)?);
            }
            let previous = here.checked_sub(1)?;
            let instruction = &self.instructions[previous];
            if instruction.is_jcc_short_or_near() {
                found.push(self.outside_loops(
                    previous,
                    Condition::NotTaken(condition(instruction)),
                    jumps,
                )?);
                return Some(found);
            }
            match instruction.flow_control() {
                FlowControl::Next if emulated(instruction) => {
                    found.push(self.outside_loops(previous, Condition::Always, jumps)?);
                    return Some(found);
                }
                FlowControl::Next => here = previous,
                // What falls into this block: nothing.
                FlowControl::UnconditionalBranch
                | FlowControl::Return
                | FlowControl::Exception
                | FlowControl::Interrupt => {
                    return Some(found);
                }
                _ => return None,
            }
        }
    }

    /// A branch inside a loop would be hit on every round.
    fn outside_loops(&self, number: usize, condition: Condition, jumps: &Jumps) -> Option<Found> {
        (!jumps.in_loop[number]
            || condition == Condition::Always && !self.instructions[number].is_jcc_short_or_near())
        .then(|| (self.offset(&self.instructions[number]), condition, true))
    }
}

#[derive(Default)]
struct Jumps {
    to: HashMap<usize, Vec<usize>>,
    in_loop: Vec<bool>,
}

fn leaves(instruction: &Instruction) -> bool {
    instruction.is_jcc_short_or_near() || matches!(instruction.code(), Code::Jmp_rel8_64 | Code::Jmp_rel32_64)
}

/// The low four bits of a branch's opcode.
fn condition(branch: &Instruction) -> u8 {
    // iced counts from `None`, in the order of Intel's codes.
    (branch.condition_code() as u8).wrapping_sub(1) & 15
}

fn emulated(instruction: &Instruction) -> bool {
    if instruction.has_lock_prefix() || instruction.has_repe_prefix() || instruction.has_repne_prefix() {
        return false;
    }
    instruction.mnemonic() == Mnemonic::Nop
        || matches!(
            instruction.code(),
            Code::Push_r64 | Code::Call_rel32_64 | Code::Jmp_rel8_64 | Code::Jmp_rel32_64
        )
        || instruction.is_jcc_short_or_near()
}

/// abi-internal.md, "amd64 architecture": the integer registers that carry arguments.
fn writes_argument(instruction: &Instruction) -> bool {
    use iced_x86::Register as R;
    let arguments = [R::RAX, R::RBX, R::RCX, R::RDI, R::RSI, R::R8, R::R9, R::R10, R::R11];
    let mut factory = iced_x86::InstructionInfoFactory::new();
    factory.info(instruction).used_registers().iter().any(|used| {
        use iced_x86::OpAccess as A;
        let written = matches!(used.access(), A::Write | A::CondWrite | A::ReadWrite | A::ReadCondWrite);
        written && arguments.contains(&used.register().full_register())
    })
}

/// How far the stack pointer is below its place at entry, over the code of one function.
struct Depths(Vec<gobinary::Span>);

impl Depths {
    fn of<'a>(binary: &Binary<'a>, function: &Function<'a>) -> Option<Self> {
        binary.values(function, Table::StackDepth).ok()?.collect::<Result<_, _>>().ok().map(Self)
    }

    fn at(&self, offset: u64) -> Option<u32> {
        let number = self.0.partition_point(|span| span.code.end <= offset);
        self.0.get(number).and_then(|span| u32::try_from(span.value).ok())
    }
}

/// What is found in any bytes, for [`crate::fuzzing`]: offsets within the code, each once.
pub(crate) fn returns_in(code: &[u8]) -> Vec<u64> {
    Listing::decode(code.get(..code.len().min(LONGEST)).unwrap_or_default(), 0x40_1000)
        .returns()
        .into_iter()
        .map(|(offset, ..)| offset)
        .collect()
}
