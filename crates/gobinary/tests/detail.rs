//! Frames, inlined calls and module data against independent judges: the Go runtime's own tracebacks, the call frame
//! information that readelf shows, the symbols that mark the fields of the module data.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use gobinary::{Binary, Table};
use support::{Go, Program, Variant, skip};

/// One frame of a printed stack: function, file, line, and the offset of the instruction where it is not inlined.
#[derive(Debug)]
struct Printed {
    function: String,
    place: String,
    offset: Option<u64>,
}

/// What `runtime.Stack` prints: a line with the function and its arguments, a line with its place.
fn printed(text: &str) -> Vec<Printed> {
    let lines: Vec<&str> = text.lines().collect();
    let places = lines.windows(2).filter(|w| w[1].starts_with('\t') && !w[0].starts_with("created by"));
    let frame = |w: &[&str]| {
        let (place, offset) = match w[1].trim().split_once(" +0x") {
            Some((place, offset)) => (place, Some(u64::from_str_radix(offset, 16).unwrap())),
            None => (w[1].trim(), None),
        };
        let name = w[0].strip_prefix("stack ").unwrap_or(w[0]);
        let function = name[..name.rfind('(').unwrap()].to_owned();
        Printed { function, place: place.to_owned(), offset }
    };
    places.map(frame).collect()
}

/// Every group of frames that the running program printed for one physical function.
fn tracebacks_agree(go: &Go, program: &Program, variant: Variant) {
    let told = format!("{} {}", go.version, variant.name);
    let path = program.build_package(go, variant, "stacks");
    let output = Command::new(&path).output().unwrap();
    assert!(output.status.success(), "{told}");
    let frames = printed(&String::from_utf8(output.stdout).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let functions = binary.functions().unwrap();
    let (mut groups, mut inlined) = (0, 0);
    for group in frames.split_inclusive(|frame| frame.offset.is_some()) {
        let Some(last) = group.last().filter(|frame| frame.offset.is_some()) else { continue };
        // A traceback shows the runtime's own function as the word that people write.
        let name = if last.function == "panic" { "runtime.gopanic" } else { &last.function };
        let function = functions.iter().find(|f| f.name == name);
        let Some(function) = function else { panic!("{told}: {last:?}") };
        // A return address belongs to the call before it.
        let ours = binary.frames(function, last.offset.unwrap() - 1).unwrap();
        let shown = |name: &str| if name == "runtime.gopanic" { "panic".to_owned() } else { name.to_owned() };
        let ours: Vec<_> =
            ours.iter().map(|f| (shown(&f.function), format!("{}:{}", f.file, f.line))).collect();
        let theirs: Vec<_> = group.iter().map(|f| (f.function.clone(), f.place.clone())).collect();
        assert_eq!(ours, theirs, "{told}");
        groups += 1;
        inlined += group.len() - 1;
    }
    assert!(groups > 12 && inlined > 6, "{told}: {groups} groups, {inlined} inlined frames");
}

#[test]
fn frames_are_those_of_the_runtimes_tracebacks() {
    let test = "frames_are_those_of_the_runtimes_tracebacks";
    let program = Program::new();
    for go in Go::all(test) {
        for variant in [support::PLAIN, support::STRIPPED, support::STRIPPED_PIE] {
            tracebacks_agree(&go, &program, variant);
        }
    }
}

/// Entry → greatest distance of the canonical frame address from the stack pointer, less the return address.
fn call_frames(binary: &Path) -> Option<HashMap<u64, u64>> {
    let output =
        Command::new("readelf").args(["--wide", "--debug-dump=frames-interp"]).arg(binary).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut found, mut entry) = (HashMap::new(), None);
    for line in text.lines() {
        if let Some((_, range)) = line.split_once(" pc=") {
            entry = u64::from_str_radix(range.split("..").next().unwrap(), 16).ok();
        } else if let (Some(entry), Some(rule)) = (entry, line.split_whitespace().nth(1)) {
            if let Some(depth) = rule.strip_prefix("rsp+").and_then(|n| n.parse::<u64>().ok()) {
                let most = found.entry(entry).or_insert(0);
                *most = depth.saturating_sub(8).max(*most);
            }
        } else if line.is_empty() {
            entry = None;
        }
    }
    Some(found)
}

#[test]
fn frame_sizes_are_those_of_the_call_frame_information() {
    let test = "frame_sizes_are_those_of_the_call_frame_information";
    let program = Program::new();
    for go in Go::all(test) {
        let path = program.build(&go, support::PLAIN);
        let Some(judge) = call_frames(&path) else { return skip(test, "readelf") };
        let bytes = std::fs::read(&path).unwrap();
        let binary = Binary::parse(&bytes).unwrap();
        let mut details = binary.details().unwrap();
        let mut compared = 0;
        for function in binary.functions().unwrap() {
            let detail = details.of(&function).unwrap();
            let Some(&depth) = judge.get(&function.entry) else { continue };
            assert_eq!(u64::from(detail.frame), depth, "{} {}", go.version, function.name);
            let spans = binary.values(&function, Table::StackDepth).unwrap();
            let last = spans.map(Result::unwrap).last();
            assert!(last.is_none_or(|span| span.code.end >= function.size), "{}", function.name);
            compared += 1;
        }
        assert!(compared > 1000, "{}: {compared} compared", go.version);
    }
}

#[test]
fn lines_of_a_function_are_its_own() {
    let Some(go) = Go::any("lines_of_a_function_are_its_own") else { return };
    let program = Program::new();
    let path = program.build_package(&go, support::STRIPPED, "stacks");
    let bytes = std::fs::read(&path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let functions = binary.functions().unwrap();
    let physical = functions.iter().find(|f| f.name == "main.physical").unwrap();
    let detail = binary.details().unwrap().of(physical).unwrap();
    let line = |text: &str| {
        u32::try_from(support::sources::STACKS.lines().position(|l| l.contains(text)).unwrap() + 1)
    };
    let (first, last) = (line("func physical").unwrap(), line("return t.balance").unwrap());
    assert_eq!((detail.start_line, detail.lines), (Some(first), Some((first, last))));
    assert!(!detail.assembly && !detail.top_frame && detail.frame > 0);
    assert_eq!(detail.arguments, Some(8 + 320), "the pointer's spill space and the array on the stack");
    let names: Vec<&str> = detail.inlined.iter().map(|call| call.name.as_ref()).collect();
    assert!(names.contains(&"main.outer") && names.contains(&"main.(*teller).middle"), "{names:?}");
    let spans = binary.source(physical).unwrap();
    assert!(spans.windows(2).all(|w| w[0].code.end == w[1].code.start) && spans[0].code.start == 0);
    let own = spans.iter().filter(|span| span.inlined.is_none());
    assert!(own.clone().count() > 1 && own.clone().count() < spans.len());
    let assembly = functions.iter().find(|f| f.name == "runtime.memmove").unwrap();
    assert!(binary.details().unwrap().of(assembly).unwrap().assembly);
    let outermost = functions.iter().find(|f| f.name == "runtime.goexit").unwrap();
    assert!(binary.details().unwrap().of(outermost).unwrap().top_frame);
}

/// The linker marks where the parts begin and end with symbols of its own.
#[test]
fn module_data_is_what_the_linkers_symbols_say() {
    let test = "module_data_is_what_the_linkers_symbols_say";
    let program = Program::new();
    let marks = [
        ("runtime.text", "text"),
        ("runtime.etext", "etext"),
        ("runtime.noptrdata", "noptrdata"),
        ("runtime.edata", "edata"),
        ("runtime.bss", "bss"),
        ("runtime.enoptrbss", "enoptrbss"),
        ("runtime.end", "end"),
        ("runtime.types", "types"),
        ("runtime.etypes", "etypes"),
        ("runtime.rodata", "rodata"),
        ("go:func.*", "gofunc"),
        ("go.func.*", "gofunc"),
        ("runtime.pclntab", "pcHeader"),
        ("runtime.epclntab", "epclntab"),
        ("runtime.findfunctab", "findfunctab"),
        ("runtime.typelink", "typelinks"),
        ("runtime.itablink", "itablinks"),
    ];
    for go in Go::all(test) {
        for variant in [support::PLAIN, support::PIE] {
            let bytes = std::fs::read(program.build(&go, variant)).unwrap();
            let binary = Binary::parse(&bytes).unwrap();
            let module = binary.module_data().unwrap();
            let symbols = binary.symbols().unwrap();
            let at = |name: &str| symbols.iter().find(|s| s.name == name).map(|s| s.address);
            let told = format!("{} {}", go.version, variant.name);
            assert_eq!(module.layout_from, "release", "{told}");
            assert_eq!(Some(module.address), at("runtime.firstmoduledata"), "{told}");
            let mut compared = 0;
            for (symbol, field) in marks {
                if let (Some(address), Some(value)) = (at(symbol), module.field(field)) {
                    assert_eq!(value, address, "{told}: {field}");
                    compared += 1;
                }
            }
            assert!(compared >= 11, "{told}: {compared} fields have symbols");
            assert_eq!(module.field("next"), Some(0), "{told}");
        }
    }
}
