//! Where the Go runtime of one executable keeps what a probe reads.
//!
//! From debug data where there is some; otherwise from the code of a small function that reads the field. No table of
//! releases: those age with each release.

use std::collections::HashMap;

use gobinary::{Binary, Function};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use serde::Serialize;

/// How a fact about the target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Debug data (DWARF).
    DebugData,
    /// The runtime's own type data.
    TypeData,
    /// The code of a function that reads it.
    Code,
}

/// The offset of `runtime.g.goid`, and how it was found.
#[must_use]
pub fn goroutine_id<'a>(binary: &Binary<'a>, functions: &[Function<'a>]) -> Option<(u64, Source)> {
    from_code(binary, functions).map(|offset| (offset, Source::Code)).or_else(|| {
        let structures = binary.debug().ok()?.structures().ok()?;
        let g = structures.iter().find(|s| s.name == "runtime.g")?;
        let (offset, ..) = g.fields.iter().find(|(_, name, _)| name == "goid")?;
        Some((*offset, Source::DebugData))
    })
}

/// `runtime.goroutineheader` begins each goroutine's part of a traceback: it prints "goroutine ", then the id. So the
/// first number that it prints was loaded from the field.
fn from_code<'a>(binary: &Binary<'a>, functions: &[Function<'a>]) -> Option<u64> {
    let entry = |name: &str| functions.iter().find(|f| f.name == name);
    let header = entry("runtime.goroutineheader")?;
    let prints = ["runtime.printuint", "runtime.printint"].map(|name| entry(name).map(|f| f.entry));
    let mut decoder = Decoder::with_ip(64, binary.code(header), header.entry, DecoderOptions::NONE);
    let mut origins = Origins::default();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        if instruction.flow_control() == FlowControl::Call {
            if prints.contains(&Some(instruction.near_branch_target())) {
                return origins.registers.get(&Register::RAX).copied();
            }
            origins.registers.clear();
        }
        origins.follow(&instruction);
    }
    None
}

/// From which field of some structure the values in registers and in the frame were loaded.
#[derive(Default)]
struct Origins {
    registers: HashMap<Register, u64>,
    slots: HashMap<u64, u64>,
}

impl Origins {
    fn follow(&mut self, instruction: &Instruction) {
        let (to, from) = (instruction.op0_kind(), instruction.op1_kind());
        let plain = instruction.memory_index() == Register::None;
        let (base, offset) = (instruction.memory_base(), instruction.memory_displacement64());
        let moves = instruction.mnemonic() == Mnemonic::Mov && plain;
        match (moves, to, from) {
            (true, OpKind::Register, OpKind::Memory) => {
                let origin = match base {
                    Register::RSP => self.slots.get(&offset).copied(),
                    // A `g` has less than a page.
                    _ => Some(offset).filter(|offset| *offset < 4096),
                };
                self.set(instruction.op0_register(), origin);
            }
            (true, OpKind::Register, OpKind::Register) => {
                let origin = self.registers.get(&instruction.op1_register().full_register()).copied();
                self.set(instruction.op0_register(), origin);
            }
            (true, OpKind::Memory, OpKind::Register) if base == Register::RSP => {
                match self.registers.get(&instruction.op1_register().full_register()) {
                    Some(&origin) => self.slots.insert(offset, origin),
                    None => self.slots.remove(&offset),
                };
            }
            (_, OpKind::Register, _) => self.set(instruction.op0_register(), None),
            _ => {}
        }
    }

    fn set(&mut self, register: Register, origin: Option<u64>) {
        match origin {
            Some(origin) => self.registers.insert(register.full_register(), origin),
            None => self.registers.remove(&register.full_register()),
        };
    }
}
