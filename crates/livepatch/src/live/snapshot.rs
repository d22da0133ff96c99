//! What a patch overwrites, kept before it does: the pages, their digests, and the variables that the new code relies on.
//!
//! It is a differential image: a patch of a few functions overwrites a few pages, and everything else that a full image
//! would hold is in the file that the process executes, or is not touched. The record in the process holds enough to take
//! a patch back without it; a snapshot is there for whoever wants to see afterwards what stood where.

use goproc::{Memory as _, Process};
use serde::{Deserialize, Serialize};

use crate::build::sha256;
use crate::control::{PAGE, PAGE_LENGTH as LENGTH};
use crate::error::Result;
use crate::patch::{Head, Relied};

/// What stood in a process before a patch was switched on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// SHA-256 of the patch's file, hexadecimal.
    pub patch: String,
    /// SHA-256 of the process's own code, hexadecimal.
    pub code: String,
    /// The pages in which entries are switched, ascending.
    pub pages: Vec<Page>,
    /// The old build's variables that the new code uses.
    pub variables: Vec<Variable>,
    /// How many bytes an image of all private memory would have had.
    pub full: u64,
}

/// One page as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Its first address.
    pub address: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Its bytes, hexadecimal.
    pub bytes: String,
}

/// A variable as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// With its package.
    pub name: String,
    /// Its first address.
    pub address: u64,
    /// In bytes.
    pub size: u64,
    /// SHA-256, hexadecimal. Variables change while a program runs: what differs later is a fact, not a fault.
    pub sha256: String,
}

impl Snapshot {
    /// Reads what `head` is about to overwrite, in a process whose code was found to have the SHA-256 `code`. Costs a few
    /// reads; the process runs on.
    ///
    /// # Errors
    /// When memory that the patch names cannot be read.
    pub fn take(process: &Process, head: &Head, digest: &str, code: &str) -> Result<Self> {
        Ok(Self {
            patch: digest.to_owned(),
            code: code.to_owned(),
            pages: pages(process, head)?,
            variables: variables(process, &head.relies)?,
            full: full(process)?,
        })
    }

    /// Names of the variables that are not as they were.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn changed_variables(&self, process: &Process) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for variable in &self.variables {
            if sha256(&process.bytes(variable.address, variable.size)?) != variable.sha256 {
                changed.push(variable.name.clone());
            }
        }
        Ok(changed)
    }

    /// Addresses of the pages that are not as they were.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn changed_pages(&self, process: &Process) -> Result<Vec<u64>> {
        let ranges: Vec<_> = self.pages.iter().map(|page| (page.address, LENGTH)).collect();
        let bytes = process.gather(&ranges)?;
        let found = self.pages.iter().zip(bytes.chunks_exact(LENGTH));
        Ok(found.filter(|(page, bytes)| sha256(bytes) != page.sha256).map(|(page, _)| page.address).collect())
    }

    /// How many bytes of memory are kept.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pages.len() as u64 * PAGE
    }
}

fn pages(process: &Process, head: &Head) -> Result<Vec<Page>> {
    let mut addresses: Vec<u64> = head.switches.iter().map(|switch| switch.entry & !(PAGE - 1)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ranges: Vec<_> = addresses.iter().map(|address| (*address, LENGTH)).collect();
    let bytes = process.gather(&ranges)?;
    let page = |(address, bytes): (&u64, &[u8])| Page {
        address: *address,
        sha256: sha256(bytes),
        bytes: hex::encode(bytes),
    };
    Ok(addresses.iter().zip(bytes.chunks_exact(LENGTH)).map(page).collect())
}

fn variables(process: &Process, relies: &[Relied]) -> Result<Vec<Variable>> {
    let one = |relied: &Relied| {
        Ok(Variable {
            name: relied.name.clone(),
            address: relied.address,
            size: relied.size,
            sha256: sha256(&process.bytes(relied.address, relied.size)?),
        })
    };
    relies.iter().map(one).collect()
}

/// What is the process's own: memory that it may write, and its code.
fn full(process: &Process) -> Result<u64> {
    let own = |m: &goproc::Mapping| m.private && (m.is_writable() || m.is_executable()) && m.permissions[0];
    Ok(process.maps()?.iter().filter(|m| own(m)).map(|m| m.end - m.start).sum())
}
