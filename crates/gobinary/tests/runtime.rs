//! The runtime of a program as the judge of what is read from its file: the program lists its own functions, places in
//! the code and types. It needs no symbols, so stripped, obfuscated and loaded code can be judged too.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use gobinary::{Binary, Function};
use support::{Go, Program, has_gcc, skip};

fn number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

/// `runtime.funcNameForPrint`: what stands between the first bracket and the last is left out.
fn printed(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(start), Some(end)) if start < end => format!("{}[...]{}", &name[..start], &name[end + 1..]),
        _ => name.to_owned(),
    }
}

/// How far the program was loaded from where it was linked, by the first function that it lists.
fn moved(lines: &[Vec<&str>], functions: &[Function<'_>]) -> u64 {
    let first = lines.iter().find(|line| line[0] == "code").unwrap();
    number(first[2]).wrapping_sub(functions[0].entry)
}

/// Holds the file against what the program printed of itself. An obfuscator gives reflection the names of the source
/// (`reflect_names` is false), though the file has others.
fn agrees(told: &str, path: &Path, listing: &str, reflect_names: bool) {
    let bytes = std::fs::read(path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let functions = binary.functions().unwrap();
    let lines: Vec<Vec<&str>> = listing.lines().map(|line| line.split('\t').collect()).collect();
    let moved = moved(&lines, &functions);
    let by: HashMap<u64, &Function<'_>> = functions.iter().map(|f| (f.entry, f)).collect();
    let mut entries = std::collections::HashSet::new();
    let (mut places, mut unnamed) = (0, 0);
    for line in lines.iter().filter(|line| line[0] == "code") {
        let (pc, entry) = (number(line[1]).wrapping_sub(moved), number(line[2]).wrapping_sub(moved));
        let Some(function) = by.get(&entry) else { panic!("{told}: no function at {entry:#x}: {line:?}") };
        entries.insert(entry);
        let frames = binary.frames(function, pc - entry).unwrap();
        let innermost = &frames[0];
        // The runtime takes the place of the first name of its table for "no name".
        let nameless = line[3].is_empty();
        assert!(nameless || printed(&innermost.function) == line[3], "{told}: {innermost:?}, {line:?}");
        unnamed += usize::from(nameless && !innermost.function.is_empty());
        if pc - entry < function.size {
            let file = if innermost.file.is_empty() { "?" } else { innermost.file.as_ref() };
            assert_eq!((file, innermost.line.to_string().as_str()), (line[4], line[5]), "{told}: {line:?}");
            places += 1;
        }
    }
    assert!(places > functions.len() && unnamed * 100 < places, "{told}: {places} places, {unnamed} unnamed");
    // Where the runtime steps over a function, the next begins less than a step behind it.
    let passed = functions.iter().filter(|f| !entries.contains(&f.entry) && f.size >= 32).count();
    assert_eq!(passed, 0, "{told}: functions that the runtime does not know");
    types(told, &binary, &lines, moved, reflect_names);
}

fn types(told: &str, binary: &Binary<'_>, lines: &[Vec<&str>], moved: u64, names: bool) {
    let types = binary.types().unwrap();
    let mut fields: HashMap<&str, Vec<(u64, &str)>> = HashMap::new();
    for line in lines.iter().filter(|line| line[0] == "field") {
        fields.entry(line[1]).or_default().push((line[2].parse().unwrap(), line[3]));
    }
    let mut compared = 0;
    for line in lines.iter().filter(|line| line[0] == "type") {
        let Some(ours) = types.at(number(line[1]).wrapping_sub(moved)) else {
            panic!("{told}: no type at {line:?}")
        };
        assert_eq!(ours.size.to_string(), line[2], "{told}: {line:?}");
        let found = ours.fields.iter().map(|f| (f.offset, f.name.as_str()));
        let judge = fields.remove(line[1]).unwrap_or_default();
        if names {
            assert_eq!((ours.name.as_str(), found.collect()), (line[4], judge), "{told}");
        } else {
            assert!(found.map(|f| f.0).eq(judge.iter().map(|f| f.0)), "{told}: {line:?}");
        }
        compared += 1;
    }
    assert!(compared > 40, "{told}: {compared} types");
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_knows_itself_as_it_is_read() {
    let test = "a_program_knows_itself_as_it_is_read";
    let program = Program::new();
    for go in Go::all(test) {
        for variant in [support::STRIPPED, support::STRIPPED_PIE] {
            let path = program.build_package(&go, variant, "telling");
            agrees(
                &format!("{} {}", go.version, variant.name),
                &path,
                &output(&mut Command::new(&path)),
                true,
            );
        }
    }
}

/// `-buildmode=c-shared`: loaded by a program in C, which asks it to list itself.
#[test]
fn a_library_for_c_is_read() {
    let test = "a_library_for_c_is_read";
    if !has_gcc(test) {
        return;
    }
    let program = Program::new();
    let folder = tempfile::tempdir().unwrap();
    let (source, host) = (folder.path().join("host.c"), folder.path().join("host"));
    std::fs::write(&source, HOST).unwrap();
    output(Command::new("gcc").arg("-o").arg(&host).arg(&source).arg("-ldl"));
    for go in Go::all(test) {
        for variant in [support::SHARED, support::STRIPPED_SHARED] {
            let path = program.build_package(&go, variant, "shared");
            let listing = output(Command::new(&host).arg(&path));
            agrees(&format!("{} {}", go.version, variant.name), &path, &listing, true);
        }
    }
}

const HOST: &str = r#"#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
	void *library = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
	void (*tell)(void) = library ? (void (*)(void))dlsym(library, "Tell") : NULL;
	if (!tell) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	tell();
	return 0;
}
"#;

/// Names made up by garble, another magic, entries that a key hides (mvdan.cc/garble; `cargo xtask rig` builds it).
#[test]
fn an_obfuscated_program_is_read() {
    let test = "an_obfuscated_program_is_read";
    let Some(go) = Go::any(test) else { return };
    let places = [support::rig().join("tools/bin/garble"), PathBuf::from("garble")];
    let works =
        |garble: &PathBuf| Command::new(garble).arg("version").output().is_ok_and(|o| o.status.success());
    let Some(garble) = places.into_iter().find(works) else { return skip(test, "garble") };
    let program = Program::new();
    let folder = tempfile::tempdir().unwrap();
    for flags in [&[][..], &["-literals", "-tiny"], &["-seed=Y3VzdG9keWN1c3RvZHk"]] {
        let path = folder.path().join("garbled");
        let mut command = go.command(program.path());
        let obfuscate = std::mem::replace(&mut command, Command::new(&garble));
        for (name, value) in obfuscate.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // It calls `go` by that name, and keeps a cache of its own.
        let bin = go.binary.parent().unwrap().display();
        let search = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{bin}:{search}"))
            .env("GARBLE_CACHE", support::rig().join("garble-cache"));
        command.current_dir(program.path()).args(flags).args(["build", "-o"]).arg(&path).arg("./telling");
        output(&mut command);
        agrees(&format!("garble {flags:?}"), &path, &output(&mut Command::new(&path)), false);
    }
}
