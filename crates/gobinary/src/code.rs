//! Where the later fields of `runtime.moduledata` stand, by the code of small functions of the runtime that read them.
//!
//! For releases that the table in [`crate::layout`] does not know. A rule names a function and the fields that it reads
//! behind `etext`, in their order; it holds only when the function reads exactly so many. The functions have read these
//! fields since Go 1.21 at least; one that is inlined, renamed or changed gives nothing rather than something wrong.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::functions;
use crate::image::Image;
use crate::moduledata::Text;
use crate::pclntab::Header;

/// Behind `etext`, in words; before it the places are known.
const FIRST: u64 = 24;
/// Words; the module data had 74 at most.
const LAST: u64 = 128;
/// Bytes of code of the functions that are looked at: all are below two thousand.
const LONGEST: u64 = 16 << 10;

/// Fields of one word, or one slice, that a function reads besides those known by the rules before it.
struct Rule {
    functions: &'static [&'static str],
    reads: Reads,
}

enum Reads {
    Words(&'static [&'static str]),
    Slice(&'static str),
}

const fn rule(functions: &'static [&'static str], reads: Reads) -> Rule {
    Rule { functions, reads }
}

const RULES: &[Rule] = &[
    rule(&["runtime.resolveNameOff"], Reads::Words(&["types", "etypes", "next"])),
    rule(&["runtime.resolveTypeOff"], Reads::Words(&["typemap"])),
    rule(&["runtime.(*moduledata).textAddr"], Reads::Slice("textsectmap")),
    rule(&["runtime.newInlineUnwinder", "runtime.(*stkframe).getStackMap"], Reads::Words(&["gofunc"])),
    rule(&["runtime.moduleTypelinks"], Reads::Words(&["typedesclen"])), // since Go 1.27
    rule(&["runtime.addModuleItabs"], Reads::Words(&["itaboffset", "itabsize"])), // since Go 1.27
    rule(&["runtime.typelinksinit"], Reads::Slice("typelinks")),
    rule(&["runtime.itabsinit"], Reads::Slice("itablinks")),
];

/// A field: name, first word, words.
pub(crate) type Place = (&'static str, u64, u64);

/// Whether the code of the table's machine is decoded here: amd64 and 386 are the only ones whose instructions may
/// start at any byte.
pub(crate) fn is_decoded(header: &Header<'_>) -> bool {
    header.quantum == 1 && !header.layout.big_endian
}

/// The fields that the rules give, by their places. `None` unless they include the type data's bounds and `next`.
pub(crate) fn places(image: &Image<'_>, header: &Header<'_>, text: &Text) -> Option<Vec<Place>> {
    if !is_decoded(header) {
        return None;
    }
    let functions = functions::decode(image, header, text).ok()?;
    let mut found: Vec<Place> = Vec::new();
    for rule in RULES {
        for name in rule.functions {
            let Some(function) = functions.iter().find(|f| f.name == *name) else { continue };
            let Some(code) = code(image, function.entry, function.size) else { continue };
            let read = displacements(code, function.entry, header.layout.pointer as u64);
            if let Some(more) = apply(&rule.reads, read, &found) {
                found.extend(more);
                break;
            }
        }
    }
    found.sort_unstable_by_key(|place| place.1);
    ["types", "etypes", "next"].iter().all(|name| found.iter().any(|f| f.0 == *name)).then_some(found)
}

fn code<'a>(image: &Image<'a>, entry: u64, size: u64) -> Option<&'a [u8]> {
    image.read(entry, usize::try_from(size.min(LONGEST)).ok()?)
}

fn apply(reads: &Reads, mut read: Vec<u64>, known: &[Place]) -> Option<Vec<Place>> {
    read.retain(|word| known.iter().all(|(_, start, words)| !(*start..start + words).contains(word)));
    match reads {
        Reads::Words(names) => {
            let fits = read.len() == names.len();
            fits.then(|| names.iter().zip(read).map(|(name, word)| (*name, word, 1)).collect())
        }
        // Pointer and length; the capacity is not needed.
        Reads::Slice(name) => match read[..] {
            [start, length] if length == start + 1 => Some(vec![(*name, start, 3)]),
            _ => None,
        },
    }
}

/// The words behind `etext` that the code reads or writes relative to a register that may hold the module data: not to
/// the stack pointer, the frame pointer, the instruction pointer or, on amd64, the goroutine (R14).
fn displacements(code: &[u8], address: u64, pointer: u64) -> Vec<u64> {
    let bits = if pointer == 8 { 64 } else { 32 };
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let kinds = (0..instruction.op_count()).map(|number| instruction.op_kind(number));
        let memory = kinds.into_iter().any(|kind| kind == OpKind::Memory);
        let address_only = matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop);
        let base = instruction.memory_base();
        let stack =
            matches!(base, Register::RSP | Register::RBP | Register::R14 | Register::RIP | Register::ESP);
        if !memory || address_only || stack || base == Register::None {
            continue;
        }
        let displacement = instruction.memory_displacement64();
        let word = displacement / pointer;
        let indexed = instruction.memory_index() != Register::None;
        if !indexed && displacement % pointer == 0 && (FIRST..LAST).contains(&word) {
            found.push(word);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_beside_the_stack_is_counted() {
        // mov rdx,[rcx+0x128]; mov rsi,[rsp+0x130]; lea rax,[rcx+0x138]; cmp [rcx+0x10],rax; mov rcx,[rcx+0x230]
        let code = [
            &[0x48, 0x8b, 0x91, 0x28, 0x01, 0, 0][..],
            &[0x48, 0x8b, 0xb4, 0x24, 0x30, 0x01, 0, 0],
            &[0x48, 0x8d, 0x81, 0x38, 0x01, 0, 0],
            &[0x48, 0x39, 0x41, 0x10],
            &[0x48, 0x8b, 0x89, 0x30, 0x02, 0, 0],
        ];
        assert_eq!(displacements(&code.concat(), 0x1000, 8), [0x128 / 8, 0x230 / 8]);
        assert_eq!(displacements(&[0; 64], 0x1000, 8), [0; 0]);
    }

    #[test]
    fn a_rule_holds_only_for_as_many_reads_as_it_names() {
        let types = Reads::Words(&["types", "etypes", "next"]);
        assert_eq!(apply(&types, vec![37, 38], &[]), None);
        let found = apply(&types, vec![37, 38, 73], &[]).unwrap();
        assert_eq!(found, [("types", 37, 1), ("etypes", 38, 1), ("next", 73, 1)]);
        assert_eq!(
            apply(&Reads::Words(&["typemap"]), vec![37, 71, 73], &found),
            Some(vec![("typemap", 71, 1)])
        );
        assert_eq!(apply(&Reads::Slice("itablinks"), vec![47, 48], &found), Some(vec![("itablinks", 47, 3)]));
        assert_eq!(apply(&Reads::Slice("itablinks"), vec![47, 50], &found), None);
    }
}
