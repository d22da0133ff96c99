//! Instructions, as far as they name addresses. Decoding is `iced-x86`'s.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

/// An operand that names an address relative to the instruction that follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    /// Where in the function the displacement stands.
    pub at: usize,
    /// One byte or four.
    pub width: u8,
    /// Where in the function the instruction ends: what the displacement counts from.
    pub next: usize,
    /// What it names.
    pub target: u64,
    /// Is it a call or a jump?
    pub is_branch: bool,
}

/// Every reference of a function, its own jumps included.
pub(crate) fn references(bytes: &[u8], entry: u64) -> Vec<Reference> {
    let mut decoder = Decoder::with_ip(64, bytes, entry, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let start = usize::try_from(instruction.ip() - entry).unwrap_or(usize::MAX);
        let next = start.saturating_add(instruction.len());
        let offsets = decoder.get_constant_offsets(&instruction);
        if instruction.is_ip_rel_memory_operand() {
            let (at, target) = (start + offsets.displacement_offset(), instruction.ip_rel_memory_address());
            found.push(Reference { at, width: 4, next, target, is_branch: false });
        } else if instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64 {
            let width = u8::try_from(offsets.immediate_size()).unwrap_or(4);
            let at = start + offsets.immediate_offset();
            found.push(Reference { at, width, next, target: instruction.near_branch64(), is_branch: true });
        }
    }
    found
}

/// Makes `lea register, [rip + d]` a `mov register, [rip + d]`: the address is then not computed but read from a cell.
/// Both take the same bytes, and neither touches the flags (Intel SDM, LEA `REX.W + 8D /r`, MOV `REX.W + 8B /r`).
pub(crate) fn load_instead(bytes: &mut [u8], reference: &Reference) -> Option<()> {
    const LEA: u8 = 0x8d;
    const MOV: u8 = 0x8b;
    let [prefix, opcode, form] = bytes.get_mut(reference.at.checked_sub(3)?..reference.at)? else {
        return None;
    };
    let is_lea = *prefix & 0xf8 == 0x48 && *opcode == LEA && *form & 0xc7 == 5;
    if !is_lea || reference.next != reference.at + 4 {
        return None;
    }
    *opcode = MOV;
    Some(())
}

/// An instruction with an absolute operand in `range`: it cannot be moved, and the Go compiler makes none.
pub(crate) fn absolute_operand(bytes: &[u8], entry: u64, range: (u64, u64)) -> Option<u64> {
    let within = |value: u64| (range.0..range.1).contains(&value);
    Decoder::with_ip(64, bytes, entry, DecoderOptions::NONE).into_iter().find_map(|instruction| {
        let operand = (0..instruction.op_count()).any(|at| match instruction.op_kind(at) {
            OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64 => {
                within(instruction.immediate(at))
            }
            OpKind::Memory => {
                !instruction.is_ip_rel_memory_operand() && within(instruction.memory_displacement64())
            }
            _ => false,
        });
        operand.then_some(instruction.ip())
    })
}

/// Where absolute operands in `range` stand, and how wide they are: C code at fixed addresses has such.
pub(crate) fn absolute_operands(bytes: &[u8], entry: u64, range: (u64, u64)) -> Vec<(usize, usize)> {
    let within = |value: u64| (range.0..range.1).contains(&value);
    let mut decoder = Decoder::with_ip(64, bytes, entry, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let start = usize::try_from(instruction.ip() - entry).unwrap_or(usize::MAX);
        let offsets = decoder.get_constant_offsets(&instruction);
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64
                    if within(instruction.immediate(operand)) =>
                {
                    found.push((start.saturating_add(offsets.immediate_offset()), offsets.immediate_size()));
                }
                OpKind::Memory
                    if !instruction.is_ip_rel_memory_operand()
                        && within(instruction.memory_displacement64()) =>
                {
                    let at = start.saturating_add(offsets.displacement_offset());
                    found.push((at, offsets.displacement_size()));
                }
                _ => {}
            }
        }
    }
    found
}

/// Does the function read its closure context (`DX` on entry; `cmd/compile/abi-internal.md`, "Special-purpose
/// registers") before it writes the register or calls? The compiler takes it in the entry block, so the first mention
/// in address order decides.
pub(crate) fn takes_context(bytes: &[u8], entry: u64) -> bool {
    let mut factory = InstructionInfoFactory::new();
    for instruction in &mut Decoder::with_ip(64, bytes, entry, DecoderOptions::NONE) {
        for used in factory.info(&instruction).used_registers() {
            if used.register().full_register() != Register::RDX {
                continue;
            }
            return !matches!(used.access(), OpAccess::Write);
        }
        for used in factory.info(&instruction).used_memory() {
            if used.base().full_register() == Register::RDX || used.index().full_register() == Register::RDX {
                return true;
            }
        }
        if matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return
        ) {
            return false;
        }
    }
    false
}

/// The instructions that a jump of `length` bytes at the entry displaces, whole.
pub(crate) fn displaced(bytes: &[u8], entry: u64, length: usize) -> Option<Vec<Instruction>> {
    let (mut found, mut covered) = (Vec::new(), 0);
    for instruction in &mut Decoder::with_ip(64, bytes, entry, DecoderOptions::NONE) {
        if covered >= length {
            break;
        }
        if instruction.is_invalid() {
            return None;
        }
        covered += instruction.len();
        found.push(instruction);
    }
    (covered >= length).then_some(found)
}
