//! A patch in a running process: placed while it runs, switched in one short stop, taken back in another.
//!
//! The order: the record is mapped, then the rest; every piece is written; only then are the threads stopped. In the stop
//! the module is linked, the words at the entries are written (each leads to the old code as long as the flag is 0), and
//! the flag is set: one store, and the process is patched. Killed before it, we leave a process that runs its old code;
//! after it, one that runs the new. The next `apply` finds the record and goes on from there.

mod check;
mod intact;
mod place;
mod snapshot;
mod stop;
mod tables;
mod walk;

use std::time::Duration;

use goproc::{Memory as _, Process};

pub use snapshot::{Page, Snapshot, Variable};
pub use stop::Stop;

use check::Target;

use crate::control;
use crate::error::{Error, Result};
use crate::patch::{Patch, Switch};

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many stops are made until one is a safe moment.
    pub attempts: u32,
    /// How long one stop may take to gather all threads.
    pub patience: Duration,
    /// Do everything but the switch.
    pub dry_run: bool,
    /// Let breakpoints in the code be: probes of the kernel are `int3` bytes.
    pub allow_probes: bool,
    /// Insist on the very file that the patch was made from, and not only on its build.
    pub exact_file: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts: 200,
            patience: Duration::from_millis(200),
            dry_run: false,
            allow_probes: false,
            exact_file: false,
        }
    }
}

/// The patch that a process carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// SHA-256 of the patch's file, hexadecimal.
    pub digest: String,
    /// Is the new code called?
    pub active: bool,
    /// How many functions are switched by it.
    pub switches: usize,
    /// How many of their entries lead to the patch; fewer than all only when an `apply` or `rollback` was cut short.
    pub placed: usize,
    /// Where its record lies.
    pub record: u64,
}

/// Places a patch and switches to it.
///
/// The caller has checked who signed the file whose SHA-256 is `digest`, and that `patch` was read from that file.
///
/// # Errors
/// [`Error::OtherBuild`], [`Error::State`] before anything is changed; [`Error::NoSafeMoment`] when the process runs as
/// before, with the patch placed and not switched.
pub fn apply(process: &Process, patch: &Patch, digest: &[u8; 32], options: Options) -> Result<Stop> {
    let target = Target::of(process, patch.head.runtime.clone())?;
    let slid;
    let patch = if target.bias == 0 {
        patch
    } else if patch.head.slides {
        slid = patch.slid(target.bias);
        &slid
    } else {
        return Err(Error::OtherBuild { what: "it runs at other addresses".to_owned() });
    };
    let carried = pile(process)?;
    let own = carried.iter().find(|status| status.digest == hex::encode(digest));
    if let Some(status) = own.filter(|status| status.active) {
        return Err(Error::State { what: format!("carries patch {} already", status.digest) });
    }
    let found = target.check(&patch.head, &carried, options)?;
    let mut active = Vec::new();
    for status in carried.iter().filter(|status| status.active) {
        active.push(facts(process, status.record)?.new_build);
    }
    if active != patch.head.below {
        let list = |builds: &[String]| match builds {
            [] => "no patch".to_owned(),
            builds => format!("patches to the builds {}", builds.join(", ")),
        };
        let what =
            format!("carries {}, and this one is made upon {}", list(&active), list(&patch.head.below));
        return Err(Error::State { what });
    }
    target.check_modules(&carried)?;
    let prepared = own.is_some_and(|own| own.record == patch.head.control)
        && process.word(patch.head.control + control::PREPARED)? == 1;
    if !prepared {
        place::place(&target, patch, digest)?;
    }
    let snapshot = Snapshot::take(process, &patch.head, &hex::encode(digest), &found.code)?;
    let stop = stop::switch(&target, patch, &carried, options)?;
    let after = check::digest(process, (patch.head.text.address, patch.head.text.size))?;
    let snapshot = Some(snapshot);
    Ok(Stop { code_before: found.code, code_after: after, probes: found.probes, snapshot, ..stop })
}

/// Leads every caller back to the code that ran before the last patch of those that are switched on. What was placed stays:
/// goroutines may be in it.
///
/// # Errors
/// [`Error::State`] when there is nothing to take back; [`Error::NoSafeMoment`] when the process runs as before.
pub fn rollback(process: &Process, options: Options) -> Result<Stop> {
    let pile = pile(process)?;
    let status = pile.iter().rfind(|s| s.active || s.placed > 0);
    let status =
        status.ok_or_else(|| Error::State { what: "carries no patch that is switched on".to_owned() })?;
    let target = Target::of(process, facts(process, status.record)?.runtime)?;
    let found = target.check_carried(status.record, &pile).map_err(|error| match error {
        Error::OtherBuild { what } => Error::RollbackRefused { what },
        other => other,
    })?;
    let stop = stop::take_back(&target, status.record, &pile, options)?;
    let after = check::digest(process, check::text_range(process, status.record)?)?;
    Ok(Stop { code_before: found.code, code_after: after, probes: found.probes, ..stop })
}

/// The patch that a process carries, if it carries one: of several, the last that is switched on, or else the last.
///
/// # Errors
/// When its memory cannot be read, or the record contradicts itself.
pub fn status(process: &Process) -> Result<Option<Status>> {
    let mut pile = pile(process)?;
    let active = pile.iter().rposition(|status| status.active);
    Ok(active.map(|at| pile.swap_remove(at)).or_else(|| pile.pop()))
}

/// Every patch that a process carries, switched on or not, each above those that it is made upon.
///
/// # Errors
/// As [`status`].
pub fn pile(process: &Process) -> Result<Vec<Status>> {
    let mut found = Vec::new();
    for mapping in process.maps()? {
        if mapping.inode != 0 || !mapping.private || mapping.permissions != [true, false, false] {
            continue;
        }
        let mut head = [0; 0x68];
        if process.read(mapping.start, &mut head).is_err() || !head.starts_with(control::MAGIC) {
            continue;
        }
        let record = mapping.start;
        let switches = recorded(process, record)?;
        let placed = switches.iter().filter(|s| process.word(s.entry).ok() == Some(s.after)).count();
        found.push(Status {
            digest: hex::encode(process.bytes(record + control::DIGEST, 32)?),
            active: process.word(record + control::FLAG)? != 0,
            switches: switches.len(),
            placed,
            record,
        });
    }
    Ok(found)
}

/// What a record says of its patch.
fn facts(process: &Process, record: u64) -> Result<control::Facts> {
    const MOST: u64 = 1 << 20;
    let (at, length) = (process.word(record + control::FACTS)?, process.word(record + control::FACTS + 8)?);
    let bytes = process.bytes(at, length.min(MOST))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Error::State { what: "carries a record that contradicts itself".to_owned() })
}

/// The switches that a record lists.
fn recorded(process: &Process, record: u64) -> Result<Vec<Switch>> {
    const MOST: u64 = 1 << 16;
    let (at, count) =
        (process.word(record + control::SWITCHES)?, process.word(record + control::SWITCHES + 8)?);
    if count > MOST {
        return Err(Error::State { what: "carries a record that contradicts itself".to_owned() });
    }
    let words = process.words(at, count * 3)?;
    let switch = |w: &[u64]| Switch { entry: w[0], before: w[1], after: w[2], length: 5 };
    Ok(words.chunks_exact(3).map(switch).collect())
}
