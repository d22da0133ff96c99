//! What `custody seal verify` says.

use std::path::Path;

use event::{Fact, Severity};
use seal::{Change, ChangeReason, Comparison, Entry, Seal, Subject};
use serde::Serialize;

use crate::recorder::Recorded;

/// How many entries are listed where the list is a consequence and not a finding.
const SAMPLE: usize = 10;

/// The result, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// The action code of the event.
    act: &'static str,
    holds: bool,
    path: String,
    seal: String,
    name: &'a str,
    signed_by: Vec<Signer>,
    /// Entries that were sealed.
    entries: usize,
    changed: Vec<&'a str>,
    added: &'a [String],
    removed: Vec<&'a str>,
    renamed: &'a [seal::Rename],
    container: &'a [seal::DamagedRange],
    /// Programs that were signed since, and are the same but for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed: Vec<&'a str>,
    /// Entries behind the place where the archive breaks off.
    unread: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a str>,
    /// Another kind of artefact stands there; no entry was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<seal::Instead>,
    /// What is different about each changed entry.
    details: &'a [Change],
    /// Patterns of what the seal leaves out.
    excluded: &'a [String],
    #[serde(skip)]
    found: &'a Comparison,
    /// The seal is of an archive, and this is a directory: only the entries were compared.
    pub(super) entries_only: bool,
}

/// Whose signature was accepted.
#[derive(Serialize)]
pub(in crate::cmd) struct Signer {
    pub(in crate::cmd) name: String,
    pub(in crate::cmd) key_id: String,
}

impl Recorded for Report<'_> {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Critical };
        let keys: Vec<_> = self.signed_by.iter().map(|s| s.key_id.as_str()).collect();
        let fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("name", self.name.to_owned())
            .object("path", self.path.clone())
            .object("seal", self.seal.clone())
            .context("keys", keys.join(","));
        Some(if self.holds { fact } else { fact.context("found", self.summary()) })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(
        path: &Path,
        file: &Path,
        seal: &'a Seal,
        signed_by: Vec<Signer>,
        found: &'a Comparison,
    ) -> Self {
        let holds = found.holds();
        Self {
            act: if holds { "SEAL.VERIFIED" } else { "SEAL.MISMATCH" },
            holds,
            path: path.display().to_string(),
            seal: file.display().to_string(),
            name: seal.name(),
            signed_by,
            entries: seal.tree().entries().len(),
            changed: found.changed.iter().map(|c| c.path.as_str()).collect(),
            added: &found.added,
            removed: found.removed.iter().map(seal::EntryPath::as_str).collect(),
            renamed: &found.renamed,
            container: &found.container,
            signed: found.signed.iter().map(seal::EntryPath::as_str).collect(),
            unread: found.unread.iter().map(seal::EntryPath::as_str).collect(),
            broken: found.broken.as_deref(),
            instead: found.instead,
            details: &found.changed,
            excluded: seal.exclude().patterns(),
            found,
            entries_only: matches!(seal.subject(), Subject::Archive { .. }) && path.is_dir(),
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// What the reader should know besides the result.
    pub(super) fn note(&self) -> Option<String> {
        if self.entries_only {
            return Some("remark: only the entries are compared, not the bytes of an archive".into());
        }
        (!self.excluded.is_empty())
            .then(|| format!("remark: not looked at, as the seal says: {}", self.excluded.join(", ")))
    }

    /// The counts, in a few words.
    pub(super) fn summary(&self) -> String {
        if let Some(instead) = self.instead {
            return format!("sealed as {}, found as {}", instead.sealed, instead.found);
        }
        let counts = [
            (self.changed.len(), "changed"),
            (self.added.len(), "added"),
            (self.removed.len(), "removed"),
            (self.unread.len(), "unread"),
            (self.container.len(), "damaged outside of every entry"),
        ];
        let named = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        named.collect::<Vec<_>>().join(", ")
    }

    /// For people.
    pub(super) fn lines(&self) -> String {
        if self.holds {
            let by: Vec<_> =
                self.signed_by.iter().map(|s| format!("{} ({})", s.name, short(&s.key_id))).collect();
            let mut text =
                format!("`{}` holds: {} entries, signed by {}\n", self.path, self.entries, by.join(", "));
            for path in &self.signed {
                text += &format!("  signed since it was sealed: {}\n", seal::escape(path.as_bytes()));
            }
            return text;
        }
        entries(self.found)
    }
}

/// What differs, a line each.
pub(super) fn entries(found: &Comparison) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| text += &format!("{what:9}  {value}\n");
    if let Some(instead) = found.instead {
        line("replaced", format!("sealed as {}, found as {}", instead.sealed, instead.found));
    }
    for change in &found.changed {
        line("changed", format!("{}  ({})", change.path, difference(change)));
    }
    found.added.iter().for_each(|path| line("added", seal::escape(path.as_bytes())));
    found.removed.iter().for_each(|path| line("removed", seal::escape(path.as_str().as_bytes())));
    found.renamed.iter().for_each(|r| line("renamed", format!("{} -> {}", r.from, r.to)));
    found.container.iter().for_each(|range| line("damaged", range.to_string()));
    for path in found.unread.iter().take(SAMPLE) {
        line("unread", seal::escape(path.as_str().as_bytes()));
    }
    if found.unread.len() > SAMPLE {
        line("unread", format!("and {} more", found.unread.len() - SAMPLE));
    }
    if let Some(why) = &found.broken {
        line("broken", why.clone());
    }
    text
}

fn difference(change: &Change) -> String {
    let found = match &change.reason {
        ChangeReason::Unreadable(why) => return why.clone(),
        ChangeReason::Found(found) => found.as_ref(),
    };
    let sealed = &change.sealed;
    let mut parts = Vec::new();
    let mut differs = |name: &str, of: fn(&Entry) -> String| {
        let (before, now) = (of(sealed), of(found));
        if before != now {
            parts.push(format!("sealed {name}{before} found {name}{now}"));
        }
    };
    differs("", |e| e.kind.to_string());
    differs("-> ", |e| e.target.as_deref().map(|t| seal::escape(t.as_bytes())).unwrap_or_default());
    if found.kind == seal::EntryKind::File && sealed.kind == found.kind {
        differs("sha256:", |e| short(&hex::encode(e.digest.sha256)));
        differs("sm3:", |e| short(&hex::encode(e.digest.sm3)));
        differs("size ", |e| e.size.to_string());
    }
    differs("mode ", |e| format!("{:04o}", e.mode));
    parts.join(", ")
}

/// Enough of a digest to recognise it; `--json` has all of it.
fn short(digest: &str) -> String {
    format!("{}…", digest.get(..12).unwrap_or(digest))
}
