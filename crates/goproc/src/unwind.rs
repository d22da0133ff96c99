//! Stacks, from the innermost frame to the outermost, by the function tables (`runtime/traceback.go`).
//!
//! What a table says of an address is the same each time, and thousands of goroutines wait in the same few functions: an
//! [`Unwinder`] looks each address up once.

use std::collections::HashMap;

use crate::modules::Modules;

/// A stack deeper than this is called broken.
const MAX_FRAMES: usize = 1 << 22;

/// Functions whose caller did not call them: the frame above was interrupted right at its address, not behind a call.
const INJECTED: [&str; 3] = ["runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"];

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

/// What the tables say of one address.
#[derive(Clone, Copy, Debug)]
struct Step {
    entry: u64,
    /// From the stack pointer to the return address; nothing in an outermost function.
    size: Option<u64>,
    /// Is the frame above at its exact address, and not behind a call?
    exact: bool,
}

/// Walks stacks, and remembers what it looked up.
#[derive(Debug)]
pub struct Unwinder<'m> {
    modules: &'m Modules,
    known: HashMap<(u64, bool), Option<Step>>,
}

impl<'m> Unwinder<'m> {
    /// For the functions of these modules.
    #[must_use]
    pub fn new(modules: &'m Modules) -> Self {
        Self { modules, known: HashMap::new() }
    }

    /// Fills `frames` from a position to the outermost function. `stack` is what lies from `sp` to the end of the stack.
    /// False when the stack does not end there, as in the few instructions where the runtime switches stacks.
    pub fn unwind(&mut self, stack: &[u8], pc: u64, sp: u64, frames: &mut Vec<Frame>) -> bool {
        frames.clear();
        let (mut pc, mut at, mut exact) = (pc, sp, true);
        while frames.len() < MAX_FRAMES {
            let Some(step) = self.step(pc, exact) else { return false };
            frames.push(Frame { pc, sp: at, entry: step.entry });
            let Some(size) = step.size else { return true };
            let slot =
                at.checked_add(size).and_then(|back| Some((back, word(stack, back.checked_sub(sp)?)?)));
            let Some((back, next)) = slot else { return false };
            (pc, at, exact) = (next, back + 8, step.exact);
        }
        false
    }

    fn step(&mut self, pc: u64, exact: bool) -> Option<Step> {
        let modules = self.modules;
        *self.known.entry((pc, exact)).or_insert_with(|| look_up(modules, pc, exact))
    }
}

fn look_up(modules: &Modules, pc: u64, exact: bool) -> Option<Step> {
    // A return address may lie behind the last instruction of a function that never returns.
    let lookup = if exact { pc } else { pc.wrapping_sub(1) };
    let (module, function) = modules.find(lookup)?;
    let size = match function.is_top {
        true => None,
        false => Some(module.frame_size(&function, lookup)?),
    };
    Some(Step { entry: function.entry, size, exact: INJECTED.contains(&function.name) })
}

fn word(stack: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(stack.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
