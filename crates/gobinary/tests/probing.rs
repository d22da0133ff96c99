//! What probes and patches need: places of arguments against what the compiler says in debug data, cheap instructions
//! against `go tool objdump`, addresses in the image against `readelf`, and reading a part of the file only.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::process::Command;

use gobinary::abi::{Place, Registers, Shape};
use gobinary::debug::{Parameter, Where};
use gobinary::sparse::{self, Need};
use gobinary::{AttachKind, Binary};
use support::{Go, Program, Variant, skip};

/// DWARF numbers of the registers that carry arguments (System V ABI for x86-64, figure 3.36).
fn register(number: u16) -> String {
    let integers = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"];
    match number {
        0..=7 => integers[usize::from(number)].to_owned(),
        8..=15 => format!("r{number}"),
        17..=32 => format!("xmm{}", number - 17),
        _ => format!("?{number}"),
    }
}

/// Whether the compiler's word and ours agree; `None` where the compiler says nothing that can be compared. Of a
/// parameter that is never used it says only where it would be kept: behind the `stack` bytes of arguments.
fn same(parameter: &Parameter, place: &Place, stack: u64) -> Option<bool> {
    let told = &parameter.at_entry;
    let spilled = |at| matches!(at, Where::Frame(offset) if offset >= i64::try_from(stack).unwrap());
    match place {
        _ if told.is_empty() || told.iter().any(|l| l.at == Where::Nowhere) => None,
        Place::Registers(_) if told.iter().all(|location| spilled(location.at)) => None,
        Place::Stack(offset) => {
            let at = told.first().map(|location| location.at);
            Some(told.len() == 1 && at == Some(Where::Frame(i64::try_from(*offset).unwrap())))
        }
        Place::Registers(pieces) => {
            let registers = told.iter().map(|location| match location.at {
                Where::Register(number) => register(number),
                other => format!("{other:?}"),
            });
            let ours: Vec<_> = pieces.iter().map(|piece| piece.register.to_owned()).collect();
            Some(registers.collect::<Vec<_>>() == ours)
        }
    }
}

#[test]
fn arguments_are_where_the_compiler_says() {
    let test = "arguments_are_where_the_compiler_says";
    let program = Program::new();
    for go in Go::all(test) {
        let bytes = std::fs::read(program.build_package(&go, support::PLAIN, "types")).unwrap();
        let binary = Binary::parse(&bytes).unwrap();
        let functions = binary.functions().unwrap();
        let by: HashMap<u64, _> = functions.iter().map(|f| (f.entry, f)).collect();
        let mut details = binary.details().unwrap();
        let registers = Registers::of("amd64", go.minor()).unwrap();
        let (mut good, mut wrong) = (0, Vec::new());
        for function in binary.debug().unwrap().functions(&|_| true).unwrap() {
            let Some(known) = by.get(&function.entry) else { continue };
            // Assembly has the other convention; a generic function takes a dictionary that debug data did not list
            // until Go 1.27.
            if details.of(known).unwrap().assembly || function.name.contains("[go.shape") {
                continue;
            }
            let shapes = |result: bool| -> Option<Vec<Shape>> {
                let of = function.parameters.iter().filter(|p| p.result == result);
                of.map(|p| p.shape.clone()).collect()
            };
            let Some((parameters, results)) = shapes(false).zip(shapes(true)) else { continue };
            let assigned = registers.assign(&parameters, &results);
            let told = function.parameters.iter().filter(|p| !p.result);
            for (parameter, place) in told.zip(&assigned.parameters) {
                match same(parameter, place, assigned.stack) {
                    Some(true) => good += 1,
                    Some(false) => wrong.push(format!("{}: {parameter:?} is not {place:?}", function.name)),
                    None => {}
                }
            }
        }
        let shown = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
        // Debug data leaves out what has no name, an unnamed receiver too: what stands behind it seems to be elsewhere.
        let few = wrong.len() * 50 <= good;
        assert!(good > 1500 && few, "{}: {good}, {} wrong:\n{shown}", go.version, wrong.len());
    }
}

#[test]
fn cheap_instructions_are_those_of_objdump() {
    let test = "cheap_instructions_are_those_of_objdump";
    let Some(go) = Go::any(test) else { return };
    let program = Program::new();
    let path = program.build(&go, support::PLAIN);
    let text = go
        .prints(program.path(), &["tool", "objdump", "-s", "^(main|runtime|fmt)\\.", path.to_str().unwrap()]);
    let rows = text.lines().map(|line| line.split('\t').filter(|f| !f.is_empty()).collect::<Vec<_>>());
    let rows = rows.filter(|fields| fields.len() >= 4).map(|fields| {
        let address = u64::from_str_radix(fields[1].trim_start_matches("0x"), 16).unwrap();
        (address, (fields[2].trim().len() as u64 / 2, fields[3].split(' ').next().unwrap().to_owned()))
    });
    let judge: HashMap<u64, (u64, String)> = rows.collect();
    let bytes = std::fs::read(&path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let (mut compared, mut with) = (0, 0);
    for function in binary.functions().unwrap() {
        let Some((first, _)) = judge.get(&function.entry) else { continue };
        assert!(*first > 0);
        let points = binary.attach_points(&function).unwrap();
        with += usize::from(!points.is_empty());
        compared += 1;
        for point in points {
            let (bytes, mnemonic) = &judge[&(function.entry + point.offset)];
            let fits = match point.kind {
                AttachKind::Push => mnemonic == "PUSHQ",
                AttachKind::Call => mnemonic == "CALL",
                AttachKind::Jump => mnemonic == "JMP",
                AttachKind::Nop => mnemonic.starts_with("NOP"),
                AttachKind::Branch => mnemonic.starts_with('J') && mnemonic != "JMP",
            };
            assert!(fits && *bytes == point.bytes, "{} +{:#x}: {mnemonic}", function.name, point.offset);
            let place = binary.file_offset(function.entry + point.offset).unwrap();
            assert_eq!(
                (place, binary.address_of(place)),
                (point.file_offset, Some(function.entry + point.offset))
            );
        }
    }
    assert!(compared > 100 && with * 10 > compared * 8, "{with} of {compared} functions have one");
}

#[test]
fn addresses_are_the_relative_relocations() {
    let test = "addresses_are_the_relative_relocations";
    let program = Program::new();
    for go in Go::all(test) {
        let path = program.build(&go, support::STRIPPED_PIE);
        let Ok(output) = Command::new("readelf").arg("-rW").arg(&path).output() else {
            return skip(test, "readelf");
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let hexadecimal = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let relative = rows.filter(|f| f.len() > 3 && f[2] == "R_X86_64_RELATIVE");
        let judge: BTreeSet<_> = relative.map(|f| (hexadecimal(f[0]), hexadecimal(f[3]))).collect();
        let bytes = std::fs::read(&path).unwrap();
        let found = Binary::parse(&bytes).unwrap().addresses();
        assert!(found.complete && judge.len() > 2000, "{}", go.version);
        assert!(found.places.iter().copied().eq(judge), "{}", go.version);
        let bytes = std::fs::read(program.build(&go, support::PLAIN)).unwrap();
        let found = Binary::parse(&bytes).unwrap().addresses();
        assert!(!found.complete && found.places.is_empty());
    }
    let Some(go) = Go::any(test) else { return };
    if support::has_gcc(test) {
        let packed = Variant {
            name: "packed",
            flags: &["-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-Wl,-z,pack-relative-relocs"],
            ..support::CGO_PIE
        };
        let places = |variant| {
            let bytes = std::fs::read(program.build(&go, variant)).unwrap();
            Binary::parse(&bytes).unwrap().addresses().places.len()
        };
        let (plain, packed) = (places(support::CGO_PIE), places(packed));
        assert!(plain.abs_diff(packed) * 50 < plain, "{plain} addresses, {packed} when they are packed");
    }
    let bytes = std::fs::read(program.build(&go, support::WINDOWS)).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let found = binary.addresses();
    let entries: BTreeSet<u64> = binary.functions().unwrap().iter().map(|f| f.entry).collect();
    let to_code = found.places.iter().filter(|(_, target)| entries.contains(target)).count();
    assert!(found.complete && to_code > 200, "{to_code} addresses of functions");
}

/// What is read for `need`, and how many bytes that are.
fn part(whole: &[u8], need: Need) -> (Vec<u8>, usize) {
    let mut asked = 0;
    let part = sparse::read(whole.len(), need, |range, into| {
        asked += range.len();
        into.copy_from_slice(&whole[range]);
        Ok::<_, std::convert::Infallible>(())
    });
    (part.unwrap(), asked)
}

/// Each way to read a part of the file gives what it is for as the whole file does.
#[test]
fn a_part_of_the_file_is_enough() {
    let test = "a_part_of_the_file_is_enough";
    let program = Program::new();
    let variants = [
        support::PLAIN,
        support::STRIPPED,
        support::PIE,
        support::WINDOWS,
        support::DARWIN,
        support::STRIPPED_PIE,
    ];
    for (go, variant) in Go::all(test).iter().flat_map(|go| variants.map(|variant| (go, variant))) {
        let told = format!("{} {}", go.version, variant.name);
        let whole = std::fs::read(program.build(go, variant)).unwrap();
        let of_whole = Binary::parse(&whole).unwrap();
        for need in [Need::Summary, Need::Symbols, Need::Functions, Need::Facts, Need::Code] {
            let (bytes, asked) = part(&whole, need);
            let told = format!("{told} {need:?}");
            let of_part = Binary::parse(&bytes).unwrap();
            assert_eq!(format!("{:?}", of_whole.inspect()), format!("{:?}", of_part.inspect()), "{told}");
            assert_eq!(of_whole.imports().unwrap().imports, of_part.imports().unwrap().imports, "{told}");
            assert_eq!(of_whole.module_data().unwrap(), of_part.module_data().unwrap(), "{told}");
            if need == Need::Symbols {
                assert_eq!(of_whole.symbols().unwrap(), of_part.symbols().unwrap(), "{told}");
            }
            if matches!(need, Need::Functions | Need::Facts | Need::Code) {
                assert_eq!(of_whole.functions().unwrap(), of_part.functions().unwrap(), "{told}");
            }
            if matches!(need, Need::Facts | Need::Code) {
                assert_eq!(of_whole.types().unwrap().all(), of_part.types().unwrap().all(), "{told}");
            }
            let most = if need == Need::Summary { 50 } else { 70 };
            if variant.name == "plain" && need != Need::Code {
                assert!(asked * 100 < whole.len() * most, "{told}: {asked} of {}", whole.len());
            }
        }
    }
}

/// Debug data against the runtime's own types: structures that both know have the same fields.
#[test]
fn debug_data_and_type_data_agree() {
    let test = "debug_data_and_type_data_agree";
    let program = Program::new();
    for go in Go::all(test) {
        let bytes = std::fs::read(program.build_package(&go, support::PLAIN, "types")).unwrap();
        let binary = Binary::parse(&bytes).unwrap();
        let types = binary.types().unwrap();
        let mut compared = 0;
        let structures = binary.debug().unwrap().structures().unwrap();
        for structure in &structures {
            let Some(known) = types.named(&structure.name).filter(|t| t.named) else { continue };
            let ours: Vec<_> = known.fields.iter().map(|f| (f.offset, f.name.as_str())).collect();
            let told: Vec<_> = structure.fields.iter().map(|f| (f.0, f.1.as_str())).collect();
            if known.kind == gobinary::TypeKind::Struct {
                assert_eq!(ours, told, "{}: {}", go.version, structure.name);
                compared += 1;
            }
        }
        assert!(compared > 100 && structures.len() > compared, "{}: {compared}", go.version);
        // The layout of the module data, too: what debug data says is what the table of releases says.
        let module = binary.module_data().unwrap();
        let told = structures.iter().find(|s| s.name == "runtime.moduledata").unwrap();
        let told: HashMap<&str, u64> = told.fields.iter().map(|f| (f.1.as_str(), f.0)).collect();
        for field in &module.fields {
            assert_eq!(told.get(field.name), Some(&field.offset), "{}: {}", go.version, field.name);
        }
    }
}
