//! What a catalogue says of a file, and whether it may say so: its signature first, then the member.

use std::path::Path;

use authenticode::catalog::{Catalog, Lookup, MAX_CATALOG};
use authenticode::oid;
use authenticode::subject::Subject;
use authenticode::verify::{self, Kind};
use serde::Serialize;

use crate::cmd::pe::credential::read_up_to;
use crate::cmd::pe::text::{self, Signed};
use crate::cmd::pe::trust::Trust;
use crate::failure::Failure;

/// A catalogue that was read and judged.
pub(in crate::cmd::pe) struct Track {
    pub(in crate::cmd::pe) lookup: Lookup,
    pub(in crate::cmd::pe) signatures: Vec<Signed>,
    /// Why it may not vouch for anything; none where its signature holds.
    pub(in crate::cmd::pe) fault: Option<String>,
}

/// What it says of one file. The names are part of the interface.
#[derive(Serialize)]
pub(in crate::cmd::pe) struct Vouched {
    pub(in crate::cmd::pe) holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cmd::pe) member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cmd::pe) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cmd::pe) why_not: Option<String>,
}

impl Track {
    pub(in crate::cmd::pe) fn open(path: &Path, trust: &Trust) -> Result<Self, Failure> {
        let failed = |e| super::super::failure(e, path);
        let bytes = read_up_to(path, MAX_CATALOG as u64)?;
        let request = trust.request(false);
        let document = verify::document(&bytes, oid::CTL, &request).map_err(failed)?;
        let catalog = Catalog::read(document.content).map_err(failed)?;
        let fault = (!document.holds()).then(|| {
            let findings = || document.signatures.iter().flat_map(|signature| &signature.findings);
            let worst = findings()
                .find(|finding| finding.rule.kind() == Kind::Integrity)
                .or_else(|| findings().find(|finding| finding.rule.kind() == Kind::Trust));
            worst.map_or_else(|| "nobody has signed it".to_owned(), ToString::to_string)
        });
        let signatures = document.signatures.iter().map(text::signed).collect();
        Ok(Self { lookup: Lookup::new(catalog), signatures, fault })
    }

    /// Holds a file against it. A member that knows it by SHA-1 alone vouches only where `sha1` is accepted.
    pub(in crate::cmd::pe) fn judge(&self, subject: &Subject, sha1: bool) -> Vouched {
        let member = self.lookup.find(subject);
        let by = member.and_then(|member| member.vouches_by());
        let weak = by.is_some_and(|(digest, _)| digest.is_weak());
        let why_not = match (&self.fault, by) {
            (Some(fault), _) => Some(format!("the catalogue does not hold: {fault}")),
            (None, None) => Some("it is not in the catalogue".to_owned()),
            (None, Some(_)) if weak && !sha1 => {
                Some("the catalogue knows it by SHA-1 alone, where collisions can be made".to_owned())
            }
            _ => None,
        };
        Vouched {
            holds: why_not.is_none(),
            member: member.and_then(|member| member.file()),
            digest: by.map(|(digest, value)| format!("{digest}:{}", hex::encode(value))),
            why_not,
        }
    }
}
