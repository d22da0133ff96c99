//! Gathers the facts about a binary from its parts.

use std::collections::BTreeSet;

use crate::Binary;
use crate::facts::{Cgo, Inspection, ModuleSummary, Paths, Purpose, SymbolSection, Symbols, TableSummary};
use crate::functions;
use crate::image::Image;
use crate::pclntab::Header;

/// How many home directories are listed; one is enough to tell.
const HOMES: usize = 16;

pub(crate) fn gather(binary: &Binary<'_>) -> Inspection {
    let (image, container) = (&binary.image, &binary.container);
    let table = binary.table.as_ref();
    let header = table.ok().map(|(header, _)| header);
    let setting = |name: &str| binary.go.as_ref().and_then(|go| go.settings.get(name));
    Inspection {
        format: container.format,
        architecture: container.architecture.clone(),
        bits: if image.layout.pointer == 8 { 64 } else { 32 },
        byte_order: if image.layout.big_endian { "big" } else { "little" },
        bytes: image.data.len() as u64,
        go: binary.go.clone(),
        linkage: container.linkage.clone(),
        memory: container.memory.clone(),
        symbols: symbols(image, &container.symbol_table, table.ok().and_then(|(_, text)| text.table_bytes)),
        build_ids: container.build_ids.clone(),
        cgo: Cgo {
            enabled: setting("CGO_ENABLED").map(|value| value == "1"),
            linked: header.map(functions::has_cgo),
        },
        pe: container.pe,
        function_table: table.ok().map(|(header, text)| TableSummary {
            layout: header.release.told(),
            altered: header.altered,
            address: format!("{:#x}", header.address),
            functions: header.functions as u64,
            text: format!("{:#x}", text.start),
            text_from: text.source,
            bytes: text.table_bytes,
            module: text.module.as_ref().map(|module| ModuleSummary {
                address: format!("{:#x}", module.address),
                layout: module.layout,
                layout_from: module.layout_from,
            }),
        }),
        function_table_error: table.err().map(ToString::to_string),
        paths: header.map(paths).unwrap_or_default(),
    }
}

fn symbols(image: &Image<'_>, beside: &[SymbolSection], table: Option<u64>) -> Symbols {
    let within = image.sections.iter().filter_map(|section| {
        let purpose = purpose(&section.name)?;
        let (name, expanded) = (section.name.clone(), section.expanded);
        Some(SymbolSection { name, bytes: section.bytes, expanded, purpose })
    });
    let mut sections: Vec<SymbolSection> = within.chain(beside.iter().cloned()).collect();
    // A PE keeps it among other read-only data; so does an external linker in a PIE, until Go 1.25.
    if let Some(bytes) = table.filter(|_| sections.iter().all(|s| s.purpose != Purpose::Runtime)) {
        let name = "function table".to_owned();
        sections.push(SymbolSection { name, bytes, expanded: None, purpose: Purpose::Runtime });
    }
    let has = |purpose| sections.iter().any(|s| s.purpose == purpose && s.bytes > 0);
    let removable = sections.iter().filter(|s| s.purpose != Purpose::Runtime);
    Symbols {
        stripped: !has(Purpose::Symbols),
        dwarf: has(Purpose::Debug),
        removable_bytes: removable.map(|s| s.bytes).fold(0, u64::saturating_add),
        sections,
    }
}

/// `.dynsym` and `.dynstr` are no cost: the loader binds by them.
fn purpose(name: &str) -> Option<Purpose> {
    match name {
        ".symtab" | ".strtab" | ".symtab_shndx" => Some(Purpose::Symbols),
        ".gopclntab" | ".data.rel.ro.gopclntab" => Some(Purpose::Runtime),
        _ if name.starts_with(".debug_") || name.starts_with(".zdebug_") => Some(Purpose::Debug),
        _ => None,
    }
}

fn paths(header: &Header<'_>) -> Paths {
    let mut found = Paths::default();
    let mut homes = BTreeSet::new();
    for file in functions::files(header) {
        found.files += 1;
        if is_absolute(&file) {
            found.absolute += 1;
            if homes.len() < HOMES {
                homes.extend(home(&file));
            }
        }
    }
    found.homes = homes.into_iter().collect();
    found
}

/// Absolute on any system, since a cross-build leaves the paths of another one.
fn is_absolute(path: &str) -> bool {
    let drive =
        |b: &[u8]| b.len() > 2 && b[0].is_ascii_alphabetic() && b[1] == b':' && matches!(b[2], b'/' | b'\\');
    path.starts_with('/') || path.starts_with("\\\\") || drive(path.as_bytes())
}

/// The home directory that `path` lies in.
fn home(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '\\']).take(4).collect();
    match parts.as_slice() {
        ["", "root", _, ..] => Some("/root".to_owned()),
        ["", top @ ("home" | "Users"), user, _] => Some(format!("/{top}/{user}")),
        [drive, "Users", user, _] => Some(format!("{drive}/Users/{user}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_of_three_systems_are_known() {
        assert_eq!(home("/home/ann/src/main.go").as_deref(), Some("/home/ann"));
        assert_eq!(home("/root/go/pkg/x.go").as_deref(), Some("/root"));
        assert_eq!(home("C:\\Users\\ann\\main.go").as_deref(), Some("C:/Users/ann"));
        assert_eq!(home("/Users/ann/main.go").as_deref(), Some("/Users/ann"));
        assert_eq!(home("/usr/local/go/src/runtime/proc.go"), None);
        assert_eq!(home("/home/main.go"), None);
    }

    #[test]
    fn absolute_on_any_system() {
        assert!(is_absolute("/src/x.go") && is_absolute("d:/x.go") && is_absolute("\\\\host\\x.go"));
        assert!(!is_absolute("runtime/proc.go") && !is_absolute("<autogenerated>") && !is_absolute("c:x"));
    }
}
