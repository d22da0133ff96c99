//! A patch from two builds.
//!
//! The new build was linked at addresses beside the old one's (`-ldflags=-T=…`), so its image is placed where it was
//! linked, with its own function table, constants and `moduledata`, and nothing in it moves. Only what names something
//! that lives on in the old image is led there: variables, types, interface tables, unchanged functions. Why this way:
//! docs/design/0026.

mod code;
mod compare;
mod describe;
mod image;
mod mask;
mod program;
mod relies;
mod source;
mod switch;
mod types;

use describe::Descriptions;
use program::Program;

use crate::error::{Error, Result};
use crate::patch::{FunctionChange, Head, Patch, Text};

/// Compares two builds and makes the patch that leads from the one to the other.
///
/// # Errors
/// [`Error::Refused`] with the place and the reason for what cannot be done safely; others when a build cannot be used.
pub fn build(old: &[u8], new: &[u8]) -> Result<Patch> {
    let (before, after) = (Program::parse("old", old)?, Program::parse("new", new)?);
    if before.release != after.release {
        return Err(Error::OtherRelease { old: before.release, new: after.release });
    }
    check_placement(&before, &after)?;
    let descriptions = (Descriptions::of("old", old)?, Descriptions::of("new", new)?);
    describe::check(&descriptions.0, &descriptions.1)?;
    types::check_sizes(&before, &after)?;
    check_interface_tables(&before, &after)?;
    let comparison = compare::compare(&before, &after, (&descriptions.0, &descriptions.1))?;
    check_functions(&after, &comparison)?;
    let image = image::Image::of(&before, &after, &comparison)?;
    let switches = switch::switches(&before, &after, &comparison, image.control)?;
    let (address, end) = before.text;
    let text = before
        .bytes(address, end - address)
        .ok_or_else(|| Error::Contradicts { what: "the old code is not in its file".to_owned() })?;
    let entries = |side: fn(&compare::Change) -> usize, program: &Program<'_>| -> Vec<u64> {
        comparison.changed.iter().map(|change| program.functions[side(change)].entry).collect()
    };
    let old_lines = source::Lines::of(old, &entries(|change| change.old, &before));
    let new_lines = source::Lines::of(new, &entries(|change| change.new, &after));
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
        old_build: hex::encode(&before.build_id),
        new_build: hex::encode(&after.build_id),
        old_file: sha256(old),
        new_file: sha256(new),
        text: Text { address, size: end - address, sha256: sha256(text) },
        functions: functions.collect(),
        added: comparison.added.iter().map(|at| after.functions[*at].name.to_owned()).collect(),
        fresh,
        relies: relies::variables(&before, &after, &comparison),
        switches: switches.words,
        regions: Vec::new(),
        pieces: Vec::new(),
        module: after.module,
        control: image.control,
    };
    image.into_patch(head, switches.stubs)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha256_bytes(bytes))
}

pub(crate) fn sha256_bytes(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [[0; 32]];
    gm::sha256::digest_prefixed(&[], &[bytes], &mut digest);
    digest[0]
}

/// Above the old image, for offsets from the new types to old ones are negative; within reach of a relative call.
fn check_placement(old: &Program<'_>, new: &Program<'_>) -> Result<()> {
    const REACH: u64 = 0x7f00_0000;
    let ((first, last), (start, end)) = (old.image(), new.image());
    match start >= last && end.saturating_sub(first) < REACH && start.is_multiple_of(4096) {
        true => Ok(()),
        false => Err(Error::Placement { address: start }),
    }
}

/// The running process may have made the table of a pair by itself, and two tables of one pair compare unequal.
fn check_interface_tables(old: &Program<'_>, new: &Program<'_>) -> Result<()> {
    let known: std::collections::BTreeSet<_> = old.interface_tables().values().collect();
    match new.interface_tables().values().find(|pair| !known.contains(pair)) {
        Some((inter, concrete)) => Err(Error::refused(
            format!("the conversion of `{}` to `{}`", concrete.text, inter.text),
            "the old build has no interface table for it",
        )),
        None => Ok(()),
    }
}

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
    match comparison.fresh.iter().find(|name| is_runtime(name)) {
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
