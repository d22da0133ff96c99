//! What `go tool nm` says of a program, and how its names differ from those of the function table.

use std::collections::BTreeMap;
use std::path::Path;

use super::Go;

/// Code symbols by address: (name, size).
pub(crate) type Symbols = BTreeMap<u64, Vec<(String, u64)>>;

pub(crate) fn symbols(go: &Go, binary: &Path) -> Symbols {
    let arguments = ["tool", "nm", "-size", "-sort", "address", binary.to_str().unwrap()];
    let text = go.prints(binary.parent().unwrap(), &arguments);
    let mut found = Symbols::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, size, "T" | "t", ..] = fields[..] else { continue };
        let name = fields[3..].join(" ");
        let address = u64::from_str_radix(address, 16).unwrap();
        found.entry(address).or_default().push((name, size.parse().unwrap()));
    }
    found
}

/// The name as the function table has it: the linker marks calling conventions only in the symbol table.
fn runtime_name(symbol: &str) -> &str {
    symbol.strip_suffix(".abi0").or_else(|| symbol.strip_suffix(".abiinternal")).unwrap_or(symbol)
}

/// ELF symbols have a full stop where names made by the compiler have a middle dot.
fn symbol_name(name: &str) -> String {
    name.replace('\u{b7}', ".")
}

/// Whether `symbol` is the function `name`. Until Go 1.20 the linker shortened what stands in brackets.
pub(crate) fn is_named(symbol: &str, name: &str) -> bool {
    // Mach-O has the underscore of C before every symbol.
    if symbol.strip_prefix('_').is_some_and(|bare| is_named(bare, name)) {
        return true;
    }
    let (symbol, name) = (symbol_name(runtime_name(symbol)), symbol_name(name));
    let shortened = || {
        let (before, rest) = symbol.split_once('[')?;
        Some(format!("{before}[...]{}", rest.rsplit_once(']')?.1))
    };
    symbol == name || (name.contains("[...]") && shortened().is_some_and(|s| s == name))
}

/// A marker of the linker, not a function: it has no code of its own and no tables.
pub(crate) fn is_marker(name: &str) -> bool {
    name.starts_with("go:") || name == "go.buildid" // the second until Go 1.19
}

/// Go names have a package; C names have none, or a suffix that gcc gave to a part of a function.
pub(crate) fn is_c(name: &str) -> bool {
    let part = [".cold", ".part.", ".constprop.", ".isra."].iter().any(|suffix| name.contains(suffix));
    !name.contains('.') || part || name.starts_with("_cgo_") || name == "runtime.text"
}

/// The symbol that ends the code has no code.
pub(crate) fn is_end(name: &str) -> bool {
    matches!(name, "runtime.etext" | "_runtime.etext")
}
