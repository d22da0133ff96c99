//! Writes the table of `src/every.rs` from the glue in `fuzz_targets/`: a new target needs no line in a second place.
//! Targets of crates that are not built along (features of `Cargo.toml`) are left out.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=fuzz_targets");
    let mut lines: Vec<String> = fs::read_dir("fuzz_targets")
        .expect("fuzz_targets/ lies beside this file")
        .filter_map(|entry| line(&entry.expect("an entry of fuzz_targets/ can be read").path()))
        .collect();
    lines.sort();
    let out = std::env::var_os("OUT_DIR").expect("cargo names a folder to write to");
    let table = format!("&[\n{}]\n", lines.concat());
    fs::write(Path::new(&out).join("targets.rs"), table).expect("that folder can be written");
}

/// `("seal_proof", seal::fuzzing::proof),` from `fuzz_target!(|data: &[u8]| seal::fuzzing::proof(data));`.
fn line(glue: &Path) -> Option<String> {
    let text = fs::read_to_string(glue).expect("the glue is text");
    let oracle = text.split_once("&[u8]| ").and_then(|(_, rest)| rest.split_once("(data)")).map(|(path, _)| path);
    let oracle = oracle.unwrap_or_else(|| panic!("{} calls no oracle", glue.display()));
    let name = glue.file_stem().and_then(|stem| stem.to_str()).expect("a target's name is ASCII");
    let of = name.split_once('_').map_or(name, |(of, _)| of).to_ascii_uppercase();
    let built = std::env::var_os(format!("CARGO_FEATURE_{of}")).is_some();
    built.then(|| format!("    ({name:?}, {oracle}),\n"))
}
