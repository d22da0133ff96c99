//! Type descriptors against Go's own reader of debug data (`debug/dwarf`, in `judges/dwarf.go`): every descriptor that
//! DWARF points to, every structure's fields. The judged build is stripped; the judge reads its unstripped twin.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use gobinary::{Binary, ItabMethod, TypeKind};
use support::{Go, Judge, Program, STRIPPED, STRIPPED_PIE, Variant};

/// What the judge says: types by the offset of their descriptor, fields by structure.
#[derive(Default)]
struct Told {
    types: BTreeMap<u64, (i64, String)>,
    fields: HashMap<String, Vec<(u64, String)>>,
}

fn told(judge: &Judge, binary: &Path) -> Told {
    let mut told = Told::default();
    for line in judge.says(binary).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["type", address, size, _, name] => {
                let address = u64::from_str_radix(address, 16).unwrap();
                told.types.insert(address, (size.parse().unwrap(), name.to_owned()));
            }
            ["field", structure, offset, name, _] => {
                let fields = told.fields.entry(structure.to_owned()).or_default();
                fields.push((offset.parse().unwrap(), name.to_owned()));
            }
            _ => {}
        }
    }
    told
}

/// Debug data spells out what the runtime shortens: paths of packages, in names made of others too.
fn last_elements(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in name.chars().chain(['\0']) {
        if c == '/' {
            word.clear();
        } else if c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '%') {
            word.push(c);
        } else {
            short.push_str(&word);
            word.clear();
            short.push(c);
        }
    }
    short.trim_end_matches('\0').to_owned()
}

fn agrees(go: &Go, judge: &Judge, program: &Program, whole: Variant, stripped: Variant) {
    let context = format!("{} {}", go.version, stripped.name);
    let whole = program.build_package(go, whole, "types");
    let told = told(judge, &whole);
    let whole = std::fs::read(whole).unwrap();
    let with_symbols = Binary::parse(&whole).unwrap().types().unwrap();
    let bytes = std::fs::read(program.build_package(go, stripped, "types")).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let types = binary.types().unwrap();
    let start = binary.module_data().unwrap().field("types").unwrap();
    let (mut named, mut compared) = (0, 0);
    for (&offset, (size, name)) in &told.types {
        if offset == 0 {
            continue; // the linker dropped the descriptor
        }
        // Until Go 1.22 the predeclared types are told by address, and that of the build with symbols.
        let Some(found) = types.at(start + offset).or_else(|| with_symbols.at(offset)) else {
            panic!("{context}: no {name} at {offset:#x}")
        };
        assert!(*size < 0 || found.size == u64::try_from(*size).unwrap(), "{context}: {name}: {found:?}");
        if last_elements(&found.name) == last_elements(name) {
            named += 1;
        }
        let Some(fields) = told.fields.get(name).filter(|_| found.kind == TypeKind::Struct) else { continue };
        let ours: Vec<_> = found.fields.iter().map(|f| (f.offset, f.name.clone())).collect();
        assert_eq!(&ours, fields, "{context}: {name}");
        compared += 1;
    }
    assert!(told.types.len() > 400 && compared > 100, "{context}: {} types, {compared}", told.types.len());
    // Debug data has names of its own for what channels and maps are made of: `hchan<int>`, and the channel's descriptor.
    assert!(named * 100 >= told.types.len() * 90, "{context}: only {named} of {} names", told.types.len());
    // Debug data leaves out what only reflection needs; it must know most.
    let known: HashSet<u64> = told.types.keys().map(|offset| start + offset).collect();
    let unknown = types.all().iter().filter(|t| !known.contains(&t.address)).count();
    assert!(
        unknown * 2 < types.all().len(),
        "{context}: {unknown} of {} unknown to DWARF",
        types.all().len()
    );
}

#[test]
fn descriptors_and_fields_are_those_of_debug_data() {
    let test = "descriptors_and_fields_are_those_of_debug_data";
    let Some(judge) = Judge::new(test) else { return };
    let program = Program::new();
    for go in Go::all(test) {
        agrees(&go, &judge, &program, support::PLAIN, STRIPPED);
        agrees(&go, &judge, &program, support::PIE, STRIPPED_PIE);
    }
}

#[test]
fn a_type_is_told_in_full() {
    let test = "a_type_is_told_in_full";
    let program = Program::new();
    for go in Go::all(test) {
        let bytes = std::fs::read(program.build_package(&go, STRIPPED_PIE, "types")).unwrap();
        let binary = Binary::parse(&bytes).unwrap();
        let types = binary.types().unwrap();
        let account = types.named("main.account").unwrap();
        let field = |name: &str| account.fields.iter().find(|f| f.name == name).unwrap();
        let kind = |address: u64| types.at(address).unwrap().kind;
        assert_eq!((account.size, account.align, account.package.as_deref()), (80, 8, Some("main")));
        assert_eq!((field("Tagged").tag.as_str(), field("Tagged").offset), ("json:\"t\" db:\"tagged\"", 40));
        assert!(field("Mutex").embedded && !field("name").embedded);
        let map = types.at(field("sums").descriptor).unwrap();
        assert_eq!(map.name, "map[string][]int");
        assert_eq!((kind(map.key.unwrap()), kind(map.element.unwrap())), (TypeKind::String, TypeKind::Slice));
        let array = types.at(field("last").descriptor).unwrap();
        assert_eq!((array.length, kind(array.element.unwrap())), (Some(3), TypeKind::Int32));
        assert_eq!(kind(field("inform").descriptor), TypeKind::Func);
        let inform = types.at(field("inform").descriptor).unwrap();
        assert_eq!((inform.parameters.len(), inform.results.len(), inform.variadic), (2, 1, true));
        // A map type with a name and methods: what stands behind it depends on the release.
        let ledger = types.named("main.ledger").unwrap();
        assert_eq!((ledger.kind, ledger.methods.len()), (TypeKind::Map, 1), "{}: {ledger:?}", go.version);
        assert_eq!(ledger.methods[0].name, "Total");
        assert_eq!(types.named("main.pair[int,string]").unwrap().fields.len(), 2);
        let functions = binary.functions().unwrap();
        let by: HashMap<u64, &str> = functions.iter().map(|f| (f.entry, f.name.as_ref())).collect();
        let pointer = types.all().iter().find(|t| t.name == "*main.account").unwrap();
        let deposit = pointer.methods.iter().find(|m| m.name == "Deposit").unwrap();
        assert_eq!(by[&deposit.entry.unwrap()], "main.(*account).Deposit");
        let itab = types.itabs().iter().find(|itab| {
            itab.implementation == pointer.address
                && types.at(itab.interface).unwrap().name == "main.depositor"
        });
        let methods = &itab.unwrap().methods;
        assert_eq!(methods.len(), 1);
        assert_eq!((methods[0].name.as_str(), by[&methods[0].entry]), ("Deposit", "main.(*account).Deposit"));
        // Every itab's code is a function of that name; what the linker knows that nobody calls leads to one place.
        let unreachable = functions.iter().find(|f| f.name == "runtime.unreachableMethod").map(|f| f.entry);
        let methods: Vec<_> = types.itabs().iter().flat_map(|itab| &itab.methods).collect();
        let called = methods.into_iter().filter(|m| m.entry != 0);
        let (dead, alive): (Vec<&ItabMethod>, Vec<&ItabMethod>) =
            called.partition(|m| Some(m.entry) == unreachable);
        let named = |entry, name: &str| by.get(&entry).is_some_and(|function| function.ends_with(name));
        let good = alive.iter().filter(|m| named(m.entry, &m.name)).count();
        let (all, dead) = (alive.len() + dead.len(), dead.len());
        assert!(all > 20 && good + dead == all, "{}: {good} + {dead} of {all}", go.version);
    }
}

/// Go's symbol table names every itab until Go 1.26.
#[test]
fn itabs_are_those_of_the_symbol_table() {
    let test = "itabs_are_those_of_the_symbol_table";
    let program = Program::new();
    for go in Go::all(test) {
        let bytes = std::fs::read(program.build_package(&go, support::PLAIN, "types")).unwrap();
        let binary = Binary::parse(&bytes).unwrap();
        let symbols = binary.symbols().unwrap();
        let told: Vec<_> = symbols
            .iter()
            .filter_map(|s| {
                let pair = s.name.strip_prefix("go:itab.").or_else(|| s.name.strip_prefix("go.itab."))?;
                Some((s.address, pair))
            })
            .collect();
        let types = binary.types().unwrap();
        assert!(types.itabs().len() > 5, "{}: {}", go.version, types.itabs().len());
        let known: HashSet<u64> = types.itabs().iter().map(|itab| itab.address).collect();
        for (address, pair) in &told {
            assert!(known.contains(address), "{}: {pair} at {address:#x}", go.version);
        }
        if go.minor() < 27 {
            assert_eq!(told.len(), types.itabs().len(), "{}", go.version);
        }
    }
}
