//! Return-oriented-programming gadgets: how much code an attacker who controls the stack could borrow.
//!
//! A gadget is a place in executable memory from which at most [`REACH`] bytes decode, without any other transfer of
//! control, up to a `ret` that ends it; every such place counts, also inside of intended instructions, since x86 may be
//! entered anywhere. The reach is that of ROPgadget's default. On arm64 instructions have fixed places, and the same
//! rule gives few. A count says how much there is to borrow, not whether it can be reached.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use serde::Serialize;

use crate::Binary;

/// Bytes before the `ret`.
const REACH: usize = 9;
/// Most bytes of one x86 instruction.
const LONGEST: usize = 15;

/// How many gadgets there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gadgets {
    /// Bytes of executable memory that were looked through.
    pub code: u64,
    /// Places that a gadget starts at.
    pub places: u64,
    /// `ret` instructions that end one, intended or not.
    pub ends: u64,
}

impl Gadgets {
    /// Places for each KiB of code, in hundredths.
    #[must_use]
    pub fn density_hundredths(&self) -> u64 {
        (self.places * 102_400).checked_div(self.code).unwrap_or(0)
    }
}

impl Binary<'_> {
    /// Counts the gadgets; `None` for machines whose code is not decoded here.
    #[must_use]
    pub fn gadgets(&self) -> Option<Gadgets> {
        let bits = match self.container.architecture.as_str() {
            "amd64" => 64,
            "386" => 32,
            _ => return None,
        };
        let mut found = Gadgets::default();
        for code in self.executable() {
            found.code += code.len() as u64;
            for end in memchr::memchr2_iter(0xc3, 0xc2, code) {
                let (places, ends) = before(code, end, bits);
                found.places += places;
                found.ends += u64::from(ends);
            }
        }
        Some(found)
    }

    /// The sections of code; without sections the executable regions.
    fn executable(&self) -> Vec<&[u8]> {
        let image = &self.image;
        let runs = |address: u64| {
            let mut regions = image.regions.iter().filter(|r| r.executable);
            regions.any(|r| address.checked_sub(r.address).is_some_and(|at| at < r.file.len() as u64))
        };
        let regions = || image.regions.iter().filter(|r| r.executable).map(|r| image.content(r)).collect();
        // An ELF segment of code holds headers too, which nobody calls code.
        let named = [".text", ".plt", ".plt.got", ".plt.sec", ".init", ".fini", ".stubs"];
        let sections = image.sections.iter().filter(|s| named.contains(&s.name.as_str()) && runs(s.address));
        let sections: Vec<&[u8]> = sections.map(|section| image.held(section)).collect();
        if sections.is_empty() { regions() } else { sections }
    }
}

/// The gadgets that end with the `ret` at `end`: how many, and whether it is one at all.
fn before(code: &[u8], end: usize, bits: u32) -> (u64, bool) {
    let size = if code[end] == 0xc3 { 1 } else { 3 };
    let start = end.saturating_sub(REACH);
    let Some(window) = code.get(start..(end + size + LONGEST).min(code.len())) else { return (0, false) };
    if window.len() < end - start + size {
        return (0, false);
    }
    // reaches[at]: decoding from there arrives exactly at the `ret`. Known for later places first.
    let last = end - start;
    let mut reaches = [false; REACH + 1];
    reaches[last] = true;
    let mut instruction = Instruction::default();
    for at in (0..last).rev() {
        let mut decoder = Decoder::with_ip(bits, &window[at..last + size], 0, DecoderOptions::NONE);
        decoder.decode_out(&mut instruction);
        let next = at + instruction.len();
        reaches[at] = !instruction.is_invalid()
            && instruction.flow_control() == FlowControl::Next
            && next <= last
            && reaches[next];
    }
    (reaches.iter().filter(|&&reaches| reaches).count() as u64, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_inside_of_instructions_too() {
        // mov eax, 0x58 ; pop rax hides in it ; ret
        let code = [0xb8, 0x58, 0, 0, 0, 0xc3];
        // From b8 (mov), 58 (pop; add [rax],al needs two bytes: 00 00; then 00 c3 takes the ret), …
        assert_eq!(before(&code, 5, 64), (3, true));
        assert_eq!(before(&[0x5f, 0xc3], 1, 64), (2, true)); // pop rdi ; ret, and ret
        assert_eq!(before(&[0xe8, 0, 0, 0, 0, 0xc3], 5, 64).0, 3); // a call is no part of one
        assert_eq!(before(&[0xc2, 0], 0, 64), (0, false));
    }
}
