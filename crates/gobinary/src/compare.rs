//! Two builds of the same program: what flags changed, in bytes, sections, unwind data and gadgets.
//!
//! Only what the two files show is compared; which flag made a difference is said where the build information or the
//! difference itself names it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::facts::{GoInfo, Inspection, Purpose};
use crate::gadgets::Gadgets;
use crate::{Binary, hardening};

/// A number in both builds.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What is measured: stable names, see `docs/formats/inspect.md`.
    pub id: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// In the first build; absent where it cannot be told.
    pub a: Option<u64>,
    /// In the second.
    pub b: Option<u64>,
}

/// Something that is told by a word.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// What.
    pub name: String,
    /// In the first build; absent where there is none.
    pub a: Option<String>,
    /// In the second.
    pub b: Option<String>,
}

/// A section in both builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionChange {
    /// Its name.
    pub name: String,
    /// Bytes in the file of the first build; absent where it has no such section.
    pub a: Option<u64>,
    /// In the second.
    pub b: Option<u64>,
}

/// How the functions differ.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FunctionChanges {
    /// Functions of both builds.
    pub common: u64,
    /// Of these, so many with the same code, byte for byte.
    pub same_code: u64,
    /// Of these, so many of another size.
    pub resized: u64,
    /// Only in the first: how many, and the first few names.
    pub only_a: u64,
    /// Only in the second.
    pub only_b: u64,
    /// The first names of `only_a`.
    pub names_only_a: Vec<String>,
    /// The first names of `only_b`.
    pub names_only_b: Vec<String>,
}

/// What differs between two builds.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The same package of the same module for the same system: their differences come from how they were built.
    pub same_program: bool,
    /// The code of Go is the same, byte for byte: they are twins, and what one tells of addresses holds for the other.
    pub twins: bool,
    /// What was measured, in a settled order.
    pub measures: Vec<Measure>,
    /// Sections of which one build has more or fewer bytes.
    pub sections: Vec<SectionChange>,
    /// Build settings, versions and fingerprints that differ.
    pub settings: Vec<Change>,
    /// Hardening checks that ended differently.
    pub checks: Vec<Change>,
    /// The functions; absent where one of the tables cannot be read.
    pub functions: Option<FunctionChanges>,
}

/// Names told of each build.
const NAMES: usize = 10;

/// Compares `a` with `b`. A binary whose function table cannot be read is compared by what is left.
#[must_use]
pub fn compare(a: &Binary<'_>, b: &Binary<'_>) -> Comparison {
    let facts = [a.inspect(), b.inspect()];
    let functions = functions(a, b);
    Comparison {
        same_program: same_program(&facts[0], &facts[1]),
        twins: functions
            .as_ref()
            .is_some_and(|f| f.common > 0 && f.same_code == f.common && f.only_a == 0 && f.only_b == 0),
        measures: measures([(a, &facts[0]), (b, &facts[1])]),
        sections: sections(a, b),
        settings: settings(&facts[0], &facts[1]),
        checks: checks(&facts[0], &facts[1]),
        functions,
    }
}

fn same_program(a: &Inspection, b: &Inspection) -> bool {
    let identity = |facts: &Inspection| {
        let go = facts.go.as_ref()?;
        let path = go.main.as_ref().map(|m| m.path.clone());
        Some((go.package.clone()?, path, facts.format, facts.architecture.clone()))
    };
    identity(a).is_some_and(|of_a| Some(of_a) == identity(b))
}

fn measures(builds: [(&Binary<'_>, &Inspection); 2]) -> Vec<Measure> {
    let gadgets = builds.map(|(binary, _)| binary.gadgets());
    let both = |id, meaning, of: &dyn Fn(&Binary<'_>, &Inspection) -> Option<u64>| {
        let [a, b] = builds.map(|(binary, facts)| of(binary, facts));
        Measure { id, meaning, a, b }
    };
    let section = |binary: &Binary<'_>, name: &str| binary.image.section(name).map_or(0, |s| s.bytes);
    let purpose = |facts: &Inspection, purpose| {
        let of = facts.symbols.sections.iter().filter(|s| s.purpose == purpose);
        of.map(|s| s.bytes).fold(0, u64::saturating_add)
    };
    let counted = |id, meaning, of: fn(&Gadgets) -> u64| Measure {
        id,
        meaning,
        a: gadgets[0].as_ref().map(of),
        b: gadgets[1].as_ref().map(of),
    };
    vec![
        both("bytes", "the file", &|_, f| Some(f.bytes)),
        both("sections", "sections in the file", &|binary, _| Some(binary.image.sections.len() as u64)),
        both("code-bytes", "machine code", &|binary, _| {
            Some(binary.image.regions.iter().filter(|r| r.executable).map(|r| r.file.len() as u64).sum())
        }),
        both("symbol-bytes", "symbol tables: -s leaves them out", &|_, f| Some(purpose(f, Purpose::Symbols))),
        both("debug-bytes", "DWARF: -w leaves it out", &|_, f| Some(purpose(f, Purpose::Debug))),
        both("table-bytes", "the runtime's function table: no flag leaves it out", &|_, f| {
            Some(purpose(f, Purpose::Runtime))
        }),
        both("eh-frame-bytes", "unwind tables of C (.eh_frame): Go code has none", &|binary, _| {
            Some(section(binary, ".eh_frame") + section(binary, ".eh_frame_hdr") + section(binary, ".pdata"))
        }),
        both("functions", "functions in the runtime's table", &|_, f| {
            f.function_table.as_ref().map(|table| table.functions)
        }),
        both("absolute-paths", "paths of the building machine: -trimpath leaves them out", &|_, f| {
            Some(f.paths.absolute)
        }),
        both("libraries", "libraries that the loader adds", &|_, f| Some(f.linkage.needed.len() as u64)),
        both("imports", "slots that the loader fills with addresses of libraries", &|binary, _| {
            binary.imports().ok().map(|imports| imports.imports.len() as u64)
        }),
        both("imports-writable", "of these, slots that stay writable", &|binary, _| {
            binary.imports().ok().map(|imports| imports.writable as u64)
        }),
        counted("gadgets", "places that a return-oriented gadget starts at", |g| g.places),
        counted("gadgets-per-kib-hundredths", "the same for each KiB of code, in hundredths", |g| {
            g.density_hundredths()
        }),
        both("score", "the hardening score", &|_, f| Some(hardening::assess(f).score.into())),
    ]
}

fn sections(a: &Binary<'_>, b: &Binary<'_>) -> Vec<SectionChange> {
    let sizes = |binary: &Binary<'_>| {
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for section in &binary.image.sections {
            *sizes.entry(section.name.clone()).or_default() += section.bytes;
        }
        sizes
    };
    let (of_a, of_b) = (sizes(a), sizes(b));
    let names: BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    let each = names.into_iter().map(|name| SectionChange {
        name: name.clone(),
        a: of_a.get(name).copied(),
        b: of_b.get(name).copied(),
    });
    each.filter(|section| section.a != section.b).collect()
}

/// Settings, versions of modules, build ids: everything that is a name and a word.
fn words(facts: &Inspection) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            words.insert(name.to_owned(), value.to_owned());
        }
    };
    put("build id of the go command", facts.build_ids.go.as_deref());
    put("build id of the linker", facts.build_ids.gnu.as_deref().or(facts.build_ids.uuid.as_deref()));
    if let Some(GoInfo { version, main, modules, settings, .. }) = &facts.go {
        put("go", Some(version));
        settings.iter().for_each(|(name, value)| put(name, Some(value)));
        for module in main.iter().chain(modules) {
            let used = module.replace.as_deref().unwrap_or(module);
            let told = [used.path.as_str(), &used.version, &used.sum].join(" ");
            put(&format!("module {}", module.path), Some(told.trim_end()));
        }
    }
    words
}

fn settings(a: &Inspection, b: &Inspection) -> Vec<Change> {
    changes(words(a), &words(b))
}

fn checks(a: &Inspection, b: &Inspection) -> Vec<Change> {
    let ended = |facts: &Inspection| {
        let checks = hardening::assess(facts).checks.into_iter();
        let told = |status| match status {
            hardening::Status::Holds => "holds",
            hardening::Status::Fails => "fails",
            hardening::Status::NotApplicable => "not applicable",
            hardening::Status::Unknown => "unknown",
        };
        checks.map(|c| (c.id.to_owned(), told(c.status).to_owned())).collect::<BTreeMap<_, _>>()
    };
    changes(ended(a), &ended(b))
}

fn changes(a: BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<String> = a.keys().chain(b.keys()).cloned().collect();
    let each = names.into_iter().map(|name| {
        let (a, b) = (a.get(&name).cloned(), b.get(&name).cloned());
        Change { name, a, b }
    });
    each.filter(|change| change.a != change.b).collect()
}

/// Functions by name. A name may stand more than once (several `init`s, wrappers): they are told apart by their order.
fn functions(a: &Binary<'_>, b: &Binary<'_>) -> Option<FunctionChanges> {
    let (of_a, of_b) = (numbered(a)?, numbered(b)?);
    let mut found = FunctionChanges::default();
    for (name, (entry, size)) in &of_a {
        let Some((other, other_size)) = of_b.get(name) else {
            found.only_a += 1;
            found.names_only_a.push(name.0.clone());
            continue;
        };
        found.common += 1;
        found.resized += u64::from(size != other_size);
        let length = usize::try_from(*size).unwrap_or(usize::MAX);
        let same = size == other_size && a.image.read(*entry, length) == b.image.read(*other, length);
        found.same_code += u64::from(same);
    }
    let only = of_b.keys().filter(|name| !of_a.contains_key(name));
    found.names_only_b = only.map(|name| name.0.clone()).collect();
    found.only_b = found.names_only_b.len() as u64;
    for names in [&mut found.names_only_a, &mut found.names_only_b] {
        names.sort_unstable();
        names.truncate(NAMES);
    }
    Some(found)
}

type Numbered = HashMap<(String, u32), (u64, u64)>;

fn numbered(binary: &Binary<'_>) -> Option<Numbered> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let functions = binary.functions().ok()?.into_iter();
    let each = functions.filter(|f| !f.name.starts_with("go:")).map(|function| {
        let name = function.name.into_owned();
        let number = seen.entry(name.clone()).or_default();
        *number += 1;
        ((name, *number), (function.entry, function.size))
    });
    Some(each.collect())
}
