//! A patch from two builds.
//!
//! The new build was linked at addresses beside the old one's (`-ldflags=-T=…`), so its image is placed where it was
//! linked, with its own function table, constants and `moduledata`, and nothing in it moves. Only what names something
//! that lives on in the old image is led there: variables, types, interface tables, unchanged functions. Why this way:
//! docs/design/0026.

mod code;
mod compare;
mod describe;
mod file;
mod foreign;
mod image;
mod lead;
mod mask;
mod methods;
mod modules;
mod program;
mod relies;
mod source;
mod switch;
mod tables;
mod twin;
mod types;

use std::rc::Rc;

use describe::Descriptions;
use file::File;
use foreign::Foreign;
use goproc::GoRuntime;
use goproc::elf::Executable;
use lead::Lead;
use program::Program;

use crate::error::{Error, Result};
use crate::patch::{FunctionChange, Head, Patch, Text};

/// What a patch is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The build that the process runs.
    pub old: &'a [u8],
    /// Its twin with symbols and debugging data, if the process runs a stripped build.
    pub symbols: Option<&'a [u8]>,
    /// The patches that the process carries and this one is made upon, the lowest first, each with its new build.
    pub below: &'a [(&'a Patch, &'a [u8])],
    /// The build whose code is to run.
    pub new: &'a [u8],
    /// May the builds be of different versions of the modules that they are made of?
    pub other_modules: bool,
}

impl<'a> Sources<'a> {
    /// Two builds with symbols.
    #[must_use]
    pub fn of(old: &'a [u8], new: &'a [u8]) -> Self {
        Self { old, symbols: None, below: &[], new, other_modules: false }
    }
}

/// Compares two builds and makes the patch that leads from the one to the other.
///
/// # Errors
/// [`Error::Refused`] with the place and the reason for what cannot be done safely; others when a build cannot be used.
pub fn build(old: &[u8], new: &[u8]) -> Result<Patch> {
    build_from(&Sources::of(old, new))
}

/// As [`build`], from all that there is.
///
/// # Errors
/// As [`build`].
pub fn build_from(sources: &Sources<'_>) -> Result<Patch> {
    let old = sources.symbols.unwrap_or(sources.old);
    if let Some(symbols) = sources.symbols {
        twin::check(sources.old, symbols)?;
    }
    let carried: Vec<&Patch> = sources.below.iter().map(|(patch, _)| *patch).collect();
    let mut files = vec![File::of("old", old, None)?];
    for (patch, build) in sources.below {
        files.push(File::of("patched", build, Some(patch.head.image))?);
    }
    let programs: Vec<Program<'_>> = files.iter().map(Program::parse).collect::<Result<_>>()?;
    let (first, before) = match programs.as_slice() {
        [first, .., last] => (first, last),
        [only] => (only, only),
        [] => return Err(Error::NoChange),
    };
    let new_file = File::of("new", sources.new, Some(free(first, &carried)))?;
    let after = Program::parse(&new_file)?;
    check_pile(&programs, &carried)?;
    if first.is_position_independent != after.is_position_independent {
        return Err(Error::OtherShape);
    }
    if first.release != after.release {
        return Err(Error::OtherRelease { old: first.release.clone(), new: after.release });
    }
    check_placement(first, &after, &carried)?;
    if !sources.other_modules {
        modules::check(old, sources.new)?;
    }
    let last = files.len() - 1;
    let descriptions =
        (Descriptions::of("old", &files[last].bytes)?, Descriptions::of("new", &new_file.bytes)?);
    describe::check(&descriptions.0, &descriptions.1)?;
    Foreign::check((&before.foreign, before.image()), (&after.foreign, after.image()))?;
    types::check_sizes(before, &after)?;
    let comparison = compare::compare(before, &after, (&descriptions.0, &descriptions.1))?;
    check_functions(&after, &comparison)?;
    let lead = Lead::of(before, &after, &comparison, pile(&programs, &carried));
    let image = image::Image::of(&lead)?;
    let switches = switch::switches(&lead, &carried, &comparison, image.control)?;
    let running =
        Executable::parse(sources.old).map_err(|source| Error::Unreadable { which: "old", source })?;
    let build_id =
        running.build_id().ok_or_else(|| Error::Lacks { which: "old", what: "build id".to_owned() })?;
    let (address, end) = first.text;
    let text = code_of(&running, address, end)?;
    let facts = Executable::parse(old).and_then(|e| GoRuntime::of(&e));
    let facts = facts.map_err(|source| Error::Layout { source })?.facts();
    let entries = |side: fn(&compare::Change) -> usize, program: &Program<'_>| -> Vec<u64> {
        comparison.changed.iter().map(|change| program.functions[side(change)].entry).collect()
    };
    let old_lines = source::Lines::of(&files[last].bytes, &entries(|change| change.old, before));
    let new_lines = source::Lines::of(&new_file.bytes, &entries(|change| change.new, &after));
    let functions = comparison.changed.iter().map(|change| {
        let (a, b) = (&before.functions[change.old], &after.functions[change.new]);
        FunctionChange {
            name: b.name.to_owned(),
            why: change.why.clone(),
            kept: change.kept.clone(),
            old: (a.entry, a.bytes.len() as u64),
            new: (b.entry, b.bytes.len() as u64),
            old_source: old_lines.at(a.entry),
            new_source: new_lines.at(b.entry),
        }
    });
    let mut fresh: Vec<String> = comparison.fresh.iter().map(|name| (*name).to_owned()).collect();
    fresh.sort();
    let head = Head {
        release: after.release.clone(),
        old_build: hex::encode(&build_id),
        below: carried.iter().map(|patch| patch.head.new_build.clone()).collect(),
        slides: first.is_position_independent,
        runtime: facts,
        addresses: 0,
        new_build: hex::encode(&after.build_id),
        old_file: sha256(sources.old),
        new_file: sha256(sources.new),
        text: Text { address, size: end - address, sha256: sha256(text) },
        functions: functions.collect(),
        added: comparison.added.iter().map(|at| after.functions[*at].name.to_owned()).collect(),
        fresh,
        relies: relies::variables(&lead, &comparison),
        switches: switches.words,
        regions: Vec::new(),
        pieces: Vec::new(),
        tables: Vec::new(),
        methods: Vec::new(),
        image: after.image().0 & !0xfff,
        module: after.module,
        control: image.control,
    };
    image.into_patch(head, switches.stubs, &after)
}

/// The code as the running build's file has it: the twin's differs in the build id that stands in it.
fn code_of<'a>(running: &Executable<'a>, address: u64, end: u64) -> Result<&'a [u8]> {
    let segments = running.segments().map_err(|source| Error::Unreadable { which: "old", source })?;
    let found = segments.iter().find_map(|s| {
        let at = usize::try_from(address.checked_sub(s.address)?).ok()?;
        s.bytes.get(at..at.checked_add(usize::try_from(end - address).ok()?)?)
    });
    found.ok_or_else(|| Error::Contradicts { what: "the old code is not in its file".to_owned() })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha256_bytes(bytes))
}

pub(crate) fn sha256_bytes(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [[0; 32]];
    gm::sha256::digest_prefixed(&[], &[bytes], &mut digest);
    digest[0]
}

/// Above the old image and every patch upon it, for offsets from the new types to old ones are negative; within reach of a
/// relative call.
fn check_placement(old: &Program<'_>, new: &Program<'_>, carried: &[&Patch]) -> Result<()> {
    const REACH: u64 = 0x7f00_0000;
    let ((first, last), (start, end)) = (old.image(), new.image());
    let last = carried.iter().map(|patch| patch.head.highest()).fold(last, u64::max);
    match start >= last && end.saturating_sub(first) < REACH && (start & !0xfff) >= last {
        true => Ok(()),
        false => Err(Error::Placement { address: start, free: last.next_multiple_of(0x1_0000) }),
    }
}

/// Where a position-independent new build is placed.
fn free(old: &Program<'_>, carried: &[&Patch]) -> u64 {
    let first = (old.image().0 & !0xfff) + file::DISTANCE;
    carried.iter().map(|patch| patch.head.highest().next_multiple_of(0x1_0000)).fold(first, u64::max)
}

/// Each patch must have been made from the builds that are given with it.
fn check_pile(programs: &[Program<'_>], carried: &[&Patch]) -> Result<()> {
    let mut below: Vec<String> = Vec::new();
    for (patch, program) in carried.iter().zip(programs.iter().skip(1)) {
        let build = hex::encode(&program.build_id);
        if patch.head.new_build != build || patch.head.below != below || patch.head.module != program.module {
            return Err(Error::Contradicts {
                what: format!(
                    "the patch to build {} was not made from what is given with it",
                    patch.head.new_build
                ),
            });
        }
        below.push(build);
    }
    Ok(())
}

/// The patches that are carried, each upon the one before: the last one.
fn pile<'p>(programs: &'p [Program<'p>], carried: &[&Patch]) -> Option<Rc<Lead<'p>>> {
    let pairs = programs.windows(2).zip(carried);
    pairs.fold(None, |below, (pair, patch)| match pair {
        [old, new] => Some(Rc::new(Lead::carried(old, new, patch, below))),
        _ => below,
    })
}

/// Variables of the runtime that a new build may bring: the linker writes them, and nothing does afterwards.
const HARMLESS: [&str; 2] = ["runtime.defaultGOROOT", "runtime.defaultGOROOT.str"];

fn check_functions(new: &Program<'_>, comparison: &compare::Comparison<'_>) -> Result<()> {
    for change in &comparison.changed {
        let name = new.functions[change.new].name;
        let refused = |reason: &str| Err(Error::refused(format!("function `{name}`"), reason));
        if is_runtime(name) {
            return refused(&format!("it is a part of the runtime ({})", change.why));
        }
        if name.ends_with(".abi0") {
            return refused("it is written in assembly, or called from there");
        }
        if is_initialiser(name) {
            return refused(&format!("it runs once, before the process serves ({})", change.why));
        }
        if change.kept.as_deref().is_some_and(|k| k.starts_with("its signature")) && is_method(name) {
            return refused("the signature of a method changed");
        }
    }
    if comparison.changed.is_empty() {
        return Err(Error::NoChange);
    }
    match comparison.fresh.iter().find(|name| is_runtime(name) && !HARMLESS.contains(name)) {
        Some(name) => Err(Error::refused(format!("variable `{name}`"), "new state of the runtime is needed")),
        None => Ok(()),
    }
}

fn is_runtime(name: &str) -> bool {
    ["runtime.", "internal/runtime/", "runtime/internal/", "internal/abi."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// `pkg.T.M`, `pkg.(*T).M`.
fn is_method(name: &str) -> bool {
    compare::closure_root(name).is_none() && local(name).contains('.')
}

/// The name without its package.
fn local(name: &str) -> &str {
    name.rsplit('/').next().and_then(|last| last.split_once('.')).map_or("", |(_, local)| local)
}

/// `pkg.init`, `pkg.init.0`, `pkg.map.init.0`.
fn is_initialiser(name: &str) -> bool {
    let local = local(name);
    let numbered = |rest: &str| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    };
    local.strip_prefix("init").is_some_and(numbered) || local.strip_prefix("map.init").is_some_and(numbered)
}
