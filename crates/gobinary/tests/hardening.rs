//! Hardening facts against `readelf` and `objdump`, and the score of builds that differ in one flag.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::path::Path;
use std::process::Command;

use gobinary::hardening::{Status, assess};
use gobinary::{Binary, Inspection, Kind, NxStack, Purpose, Relro};
use support::{Go, Program, Variant, has_gcc};

fn inspect(path: &Path) -> Inspection {
    let bytes = std::fs::read(path).unwrap();
    Binary::parse(&bytes).unwrap().inspect()
}

fn status(facts: &Inspection, id: &str) -> Status {
    assess(facts).checks.iter().find(|c| c.id == id).unwrap().status
}

/// What binutils prints; `None`, said aloud, where they are not installed.
fn prints(test: &str, tool: &str, flags: &str, path: &Path) -> Option<String> {
    match Command::new(tool).arg(flags).arg(path).env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => {
            support::skip(test, tool);
            None
        }
    }
}

fn agrees_with_readelf(test: &str, path: &Path) -> Option<()> {
    let facts = inspect(path);
    let headers = prints(test, "readelf", "-lW", path)?;
    let dynamic = prints(test, "readelf", "-dW", path)?;
    let told = path.display();
    let pie = headers.contains("DYN (Position-Independent Executable file)");
    assert_eq!(facts.linkage.kind == Kind::PositionIndependent, pie, "{told}: PIE");
    let now =
        dynamic.contains("BIND_NOW") || dynamic.lines().any(|l| l.contains("FLAGS_1") && l.contains("NOW"));
    let relro = match (headers.contains("GNU_RELRO"), now) {
        (false, _) => Relro::None,
        (true, false) => Relro::Partial,
        (true, true) => Relro::Full,
    };
    assert_eq!(facts.memory.relro, Some(relro), "{told}: RELRO");
    let line = |kind: &str| headers.lines().find(|l| l.trim_start().starts_with(kind));
    let executable = |l: &str| l.contains("RWE") || l.contains("R E");
    assert_eq!(
        facts.memory.nx_stack == NxStack::Yes,
        line("GNU_STACK").is_some_and(|l| !executable(l)),
        "{told}: NX"
    );
    let both = headers.lines().filter(|l| l.trim_start().starts_with("LOAD") && l.contains("RWE")).count();
    assert_eq!(facts.memory.write_execute.len(), both, "{told}: writable and executable");
    assert_eq!(facts.linkage.interpreter.is_some(), line("INTERP").is_some(), "{told}: loader");
    for library in &facts.linkage.needed {
        assert!(dynamic.contains(&format!("Shared library: [{library}]")), "{told}: {library}");
    }
    assert_eq!(facts.linkage.needed.len(), dynamic.matches("(NEEDED)").count(), "{told}: libraries");
    if let Some(id) = &facts.build_ids.gnu {
        assert!(prints(test, "readelf", "-nW", path)?.contains(id.as_str()), "{told}: build id");
    }
    sections(&facts, &prints(test, "readelf", "-SW", path)?);
    Some(())
}

/// Each section of symbols and debug data is there with its size; none is forgotten.
fn sections(facts: &Inspection, table: &str) {
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(']').nth(1)?.split_whitespace().collect();
        let [name, _, _, _, size, ..] = fields[..] else { return None };
        Some((name.to_owned(), u64::from_str_radix(size, 16).ok()?))
    });
    let wanted = |name: &str| {
        name.starts_with(".debug_") || [".symtab", ".strtab"].contains(&name) || name.ends_with(".gopclntab")
    };
    let mut told: Vec<(String, u64)> = rows.filter(|r| wanted(&r.0)).collect();
    // A table without a section of its own, as external linkers make a PIE until Go 1.25, is not among them.
    let named = facts.symbols.sections.iter().filter(|s| s.name.starts_with('.'));
    let mut mine: Vec<(String, u64)> = named.map(|s| (s.name.clone(), s.bytes)).collect();
    told.sort();
    mine.sort();
    assert_eq!(mine, told);
    let table = facts.symbols.sections.iter().find(|s| s.purpose == Purpose::Runtime).unwrap();
    let told = facts.function_table.as_ref().unwrap().bytes.unwrap();
    // From 1.26 on the section holds more than the table.
    assert!(told <= table.bytes && told * 10 > table.bytes * 6, "{told} of {}", table.bytes);
}

#[test]
fn elf_facts_are_those_of_readelf() {
    let test = "elf_facts_are_those_of_readelf";
    let gcc = has_gcc(test);
    let program = Program::new();
    let execstack = Variant {
        name: "execstack",
        flags: &["-ldflags=-linkmode=external -extldflags=-Wl,-z,execstack"],
        ..support::CGO
    };
    let variants = [
        support::PLAIN,
        support::STRIPPED,
        support::PIE,
        support::STRIPPED_PIE,
        support::CGO,
        support::CGO_PIE,
        support::STRIPPED_CGO_PIE,
        support::HARDENED,
        execstack,
    ];
    for go in Go::all(test) {
        for variant in variants.into_iter().filter(|v| gcc || !v.cgo) {
            if agrees_with_readelf(test, &program.build(&go, variant)).is_none() {
                return;
            }
        }
    }
}

/// No linker makes this today, so the program headers are changed by hand: every loaded segment, and the stack.
#[test]
fn writable_code_is_told() {
    let test = "writable_code_is_told";
    let Some(go) = Go::any(test) else { return };
    let program = Program::new();
    let mut bytes = std::fs::read(program.build(&go, support::PLAIN)).unwrap();
    let headers = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let count = usize::from(bytes[56]);
    for header in (0..count).map(|n| headers + 56 * n) {
        let kind = u32::from_le_bytes(bytes[header..header + 4].try_into().unwrap());
        if matches!(kind, 1 | 0x6474_e551) {
            bytes[header + 4] |= 7; // PT_LOAD and PT_GNU_STACK: read, write, execute
        }
    }
    let changed = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(changed.path(), &bytes).unwrap();
    let facts = inspect(changed.path());
    assert_eq!(status(&facts, "no-write-execute"), Status::Fails);
    assert_eq!(status(&facts, "nx-stack"), Status::Fails);
    assert!(facts.memory.write_execute.len() >= 3);
    agrees_with_readelf(test, changed.path());
}

#[test]
fn pe_facts_are_those_of_the_headers() {
    let test = "pe_facts_are_those_of_the_headers";
    let Some(go) = Go::any(test) else { return };
    let program = Program::new();
    for variant in [support::WINDOWS, support::STRIPPED_WINDOWS] {
        let path = program.build(&go, variant);
        let facts = inspect(&path);
        let pe = facts.pe.unwrap();
        assert!(pe.dynamic_base && pe.high_entropy_va && pe.nx_compat, "{pe:?}");
        assert!(!pe.guard_cf && !pe.authenticode, "{pe:?}");
        assert_eq!(facts.linkage.kind, Kind::PositionIndependent);
        assert_eq!(facts.symbols.stripped, variant.name == "stripped-windows");
        assert_eq!(facts.symbols.dwarf, variant.name == "windows");
        assert_eq!(facts.linkage.needed, ["kernel32.dll"]);
        let runtime = facts.symbols.sections.iter().filter(|s| s.purpose == Purpose::Runtime);
        assert!(runtime.map(|s| s.bytes).sum::<u64>() > 100_000, "the function table has its price");
        let Some(headers) = prints(test, "objdump", "-p", &path) else { return };
        for (flag, word) in [(pe.high_entropy_va, "HIGH_ENTROPY_VA"), (pe.dynamic_base, "DYNAMIC_BASE")] {
            assert_eq!(headers.contains(word), flag, "{word}");
        }
        assert_eq!(headers.contains("NX_COMPAT"), pe.nx_compat);
    }
}

#[test]
fn each_flag_mends_its_check() {
    let test = "each_flag_mends_its_check";
    let Some(go) = Go::any(test) else { return };
    let program = Program::new();
    let plain = inspect(&program.build(&go, support::PLAIN));
    assert_eq!(status(&plain, "position-independent"), Status::Fails);
    assert_eq!(status(&plain, "trimpath"), Status::Fails);
    assert_eq!(status(&plain, "relro"), Status::NotApplicable);
    assert_eq!(status(&plain, "no-write-execute"), Status::Holds);
    assert_eq!(status(&plain, "pure-go"), Status::Holds);
    // `./sums` stands in for a published module.
    assert_eq!(status(&plain, "module-sums"), Status::Fails);

    let pie = inspect(&program.build(&go, support::PIE));
    assert_eq!(status(&pie, "position-independent"), Status::Holds);
    assert_eq!(status(&pie, "relro"), Status::Holds);

    let trimmed = Variant { name: "trimmed", flags: &["-trimpath"], ..support::PLAIN };
    let trimmed = inspect(&program.build(&go, trimmed));
    assert_eq!((status(&trimmed, "trimpath"), trimmed.paths.absolute), (Status::Holds, 0));
    for better in [&pie, &trimmed] {
        assert!(assess(better).score > assess(&plain).score);
    }

    let stripped = inspect(&program.build(&go, support::STRIPPED));
    assert_eq!(assess(&stripped).score, assess(&plain).score, "stripping is no security");
    let saved = plain.bytes - stripped.bytes;
    let claimed = plain.symbols.removable_bytes;
    assert!(claimed.abs_diff(saved) < 64 << 10, "claimed {claimed}, saved {saved}");
    assert!(stripped.symbols.sections.iter().all(|s| s.purpose == Purpose::Runtime));

    let debug = Variant { name: "debug", flags: &["-gcflags=-N -l"], ..support::PLAIN };
    assert_eq!(status(&inspect(&program.build(&go, debug)), "release-build"), Status::Fails);
}

#[test]
fn a_c_linker_gives_full_relro_and_costs_pure_go() {
    let test = "a_c_linker_gives_full_relro_and_costs_pure_go";
    let Some(go) = Go::any(test).filter(|_| has_gcc(test)) else { return };
    let program = Program::new();
    let plain = inspect(&program.build(&go, support::CGO));
    assert_eq!(status(&plain, "relro"), Status::Fails);
    assert_eq!((status(&plain, "pure-go"), plain.cgo.linked), (Status::Fails, Some(true)));
    let hardened = inspect(&program.build(&go, support::HARDENED));
    assert_eq!((status(&hardened, "relro"), hardened.memory.relro), (Status::Holds, Some(Relro::Full)));
}

#[test]
fn the_commit_is_told_where_there_is_one() {
    let test = "the_commit_is_told_where_there_is_one";
    let Some(go) = Go::any(test) else { return };
    let program = Program::apart();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args);
        command.current_dir(program.path()).output().is_ok_and(|o| o.status.success())
    };
    if !(git(&["init", "-q"]) && git(&["add", "."]) && git(&["commit", "-qm", "one"])) {
        support::skip(test, "git");
        return;
    }
    let stamped = Variant { name: "stamped", flags: &["-buildvcs=true"], ..support::PLAIN };
    let clean = inspect(&program.build(&go, stamped));
    assert_eq!((status(&clean, "vcs-stamp"), status(&clean, "vcs-clean")), (Status::Holds, Status::Holds));
    std::fs::write(program.path().join("more.go"), "package main\n").unwrap();
    let changed = inspect(&program.build(&go, stamped));
    assert_eq!(
        (status(&changed, "vcs-stamp"), status(&changed, "vcs-clean")),
        (Status::Holds, Status::Fails)
    );
}
