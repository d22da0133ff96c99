//! The words at the entries of old functions, and the stubs that they jump to.
//!
//! A stub asks the patch's flag: not zero, on to the new function; zero, the instructions that the jump displaced, and
//! back behind them. So the words can be written one after the other, each harmless, and one store then flips them all.
//! A stub uses no stack and no register but the flags, which hold nothing at the entry of a function.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, FlowControl, Instruction, InstructionBlock, MemoryOperand,
    Register,
};

use super::code;
use super::compare::Comparison;
use super::image::stubs_offset;
use super::lead::Lead;
use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Patch, Switch};

/// `jmp rel32`.
const JUMP: usize = 5;
const STUB_ALIGNMENT: usize = 16;
const INT3: u8 = 0xcc;

/// All of a patch.
#[derive(Debug)]
pub(crate) struct Switches {
    pub words: Vec<Switch>,
    pub stubs: Vec<u8>,
}

pub(crate) fn switches(
    lead: &Lead<'_>,
    carried: &[&Patch],
    comparison: &Comparison<'_>,
    control: u64,
) -> Result<Switches> {
    let (old, new) = (lead.old, lead.new);
    let mut switches = Switches { words: Vec::new(), stubs: Vec::new() };
    for change in comparison.changed.iter().filter(|c| c.kept.is_none()) {
        let stub = control + stubs_offset() + switches.stubs.len() as u64;
        let (from, to) = (&old.functions[change.old], &new.functions[change.new]);
        let refused = |reason: &str| Error::refused(format!("function `{}`", from.name), reason);
        let entry = lead.lead_old(from.entry).ok_or_else(|| refused("it is nowhere in the process"))?;
        // Padding up to the next function belongs to this one.
        let bytes = running(lead, carried, entry, from.bytes.len().max(16))
            .ok_or_else(|| refused("its code ends with the image"))?;
        if !entry.is_multiple_of(8) {
            return Err(refused("its entry is not aligned"));
        }
        if old.functions.get(change.old + 1).is_some_and(|next| next.entry < from.entry + 8) {
            return Err(refused("it is too short"));
        }
        let displaced = code::displaced(&bytes, entry, JUMP)
            .ok_or_else(|| refused("its first instructions cannot be read"))?;
        let behind = displaced.last().map_or(entry, |last| last.next_ip());
        if displaced.iter().any(|i| matches!(i.flow_control(), FlowControl::Call | FlowControl::IndirectCall))
        {
            return Err(refused("it begins with a call"));
        }
        let inner = from.entry + 1..from.entry + (behind - entry);
        if from.references.iter().any(|r| r.is_branch && inner.contains(&r.target)) {
            return Err(refused("it jumps to its own first instructions"));
        }
        let code = encode(stub, control, to.entry, &displaced, behind)
            .map_err(|e| refused(&format!("its first instructions cannot be moved: {e}")))?;
        switches.stubs.extend_from_slice(&code);
        switches.stubs.resize(switches.stubs.len().next_multiple_of(STUB_ALIGNMENT), INT3);
        let before: [u8; 8] = bytes[..8].try_into().map_err(|_| refused("it is too short"))?;
        let distance = i32::try_from(stub.wrapping_sub(entry + JUMP as u64).cast_signed());
        let mut after = before;
        after[0] = 0xe9;
        after[1..JUMP]
            .copy_from_slice(&distance.map_err(|_| refused("the patch is out of its reach"))?.to_le_bytes());
        switches.words.push(Switch {
            entry,
            before: u64::from_le_bytes(before),
            after: u64::from_le_bytes(after),
            length: JUMP as u64,
        });
    }
    Ok(switches)
}

/// The code at an address of the process: of the build that it was started with, or of a patch that it carries.
fn running(lead: &Lead<'_>, carried: &[&Patch], address: u64, size: usize) -> Option<Vec<u8>> {
    let first = lead.chain().first().copied()?;
    if first.holds(address) {
        return Some(first.bytes(address, size as u64)?.to_vec());
    }
    let piece = carried.iter().flat_map(|patch| patch.pieces()).find(|(at, _)| *at == address)?;
    // Behind a placed function there is nothing.
    let mut bytes = piece.1.to_vec();
    bytes.resize(bytes.len().max(size), 0);
    Some(bytes)
}

fn encode(
    stub: u64,
    control: u64,
    new: u64,
    displaced: &[Instruction],
    behind: u64,
) -> std::result::Result<Vec<u8>, iced_x86::IcedError> {
    let flag = MemoryOperand::with_base_displ(Register::RIP, (control + control::FLAG).cast_signed());
    let mut instructions = vec![
        Instruction::with2(Code::Cmp_rm64_imm8, flag, 0)?,
        Instruction::with_branch(Code::Jne_rel32_64, new)?,
    ];
    instructions.extend_from_slice(displaced);
    instructions.push(Instruction::with_branch(Code::Jmp_rel32_64, behind)?);
    let block = InstructionBlock::new(&instructions, stub);
    Ok(BlockEncoder::encode(64, block, BlockEncoderOptions::NONE)?.code_buffer)
}
