//! Where a probe costs little.
//!
//! A breakpoint on an instruction that the kernel can emulate costs about a microsecond; on any other it is
//! single-stepped, which costs twenty. What x86 kernels emulate is in arch/x86/kernel/uprobes.c (`branch_setup_xol_ops`,
//! `push_setup_xol_ops`): pushes of a register, relative calls and jumps, conditional jumps, and nops. Only the entry
//! block will do: behind its first transfer of control an instruction may run more than once, or never.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use serde::Serialize;

use crate::{Binary, Function};

/// Instructions of an entry block that are looked at; Go's have fewer than thirty.
const BLOCK: usize = 256;

/// What an instruction does that the kernel emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachKind {
    /// Nothing.
    Nop,
    /// Pushes a register.
    Push,
    /// Calls by a relative address.
    Call,
    /// Jumps by a relative address.
    Jump,
    /// Jumps so on a condition: in most functions the check for room on the stack. When there is none the block runs
    /// again, on the grown stack.
    Branch,
}

/// An instruction that is cheap to probe, and runs whenever the function is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AttachPoint {
    /// Bytes from the entry.
    pub offset: u64,
    /// Where it stands in the file.
    pub file_offset: u64,
    /// Bytes of the instruction.
    pub bytes: u64,
    /// What it does.
    pub kind: AttachKind,
}

impl<'a> Binary<'a> {
    /// Where `address` stands in the file; `None` for what the loader makes without the file.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        let mut found = self.image.regions.iter().filter_map(|region| {
            let within = usize::try_from(address.checked_sub(region.address)?).ok()?;
            (within < region.file.len()).then(|| (region.file.start + within) as u64)
        });
        found.next()
    }

    /// Where a byte of the file is once it is loaded, as linked.
    #[must_use]
    pub fn address_of(&self, file_offset: u64) -> Option<u64> {
        let at = usize::try_from(file_offset).ok()?;
        let region = self.image.regions.iter().find(|region| region.file.contains(&at))?;
        region.address.checked_add((at - region.file.start) as u64)
    }

    /// The code of a function; empty where the file does not hold it.
    #[must_use]
    pub fn code(&self, function: &Function<'_>) -> &'a [u8] {
        let held = self.image.from(function.entry).unwrap_or_default();
        &held[..usize::try_from(function.size).unwrap_or(usize::MAX).min(held.len())]
    }

    /// The cheap instructions of a function's entry block, in order; `None` for machines whose code is not decoded
    /// here. A function may have none.
    #[must_use]
    pub fn attach_points(&self, function: &Function<'_>) -> Option<Vec<AttachPoint>> {
        if self.container.architecture != "amd64" {
            return None;
        }
        let code = self.code(function);
        let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut found = Vec::new();
        for _ in 0..BLOCK {
            if !decoder.can_decode() {
                break;
            }
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                break;
            }
            let file_offset = self.file_offset(function.entry.checked_add(instruction.ip())?);
            if let Some((kind, file_offset)) = emulated(&instruction).zip(file_offset) {
                let (offset, bytes) = (instruction.ip(), instruction.len() as u64);
                found.push(AttachPoint { offset, file_offset, bytes, kind });
            }
            if instruction.flow_control() != FlowControl::Next {
                break;
            }
        }
        Some(found)
    }
}

fn emulated(instruction: &Instruction) -> Option<AttachKind> {
    if instruction.has_lock_prefix() || instruction.has_repe_prefix() || instruction.has_repne_prefix() {
        return None;
    }
    match (instruction.mnemonic(), instruction.code()) {
        (Mnemonic::Nop, _) => Some(AttachKind::Nop),
        (_, Code::Push_r64) => Some(AttachKind::Push),
        (_, Code::Call_rel32_64) => Some(AttachKind::Call),
        (_, Code::Jmp_rel8_64 | Code::Jmp_rel32_64) => Some(AttachKind::Jump),
        _ if instruction.is_jcc_short_or_near() => Some(AttachKind::Branch),
        _ => None,
    }
}
