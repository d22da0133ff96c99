//! The module cache: where a module lies, and the hash of what lies there.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seal::{EntryKind, Format};
use sha2::{Digest as _, Sha256};

use super::gosum::escaped;
use super::{Content, ModulesError, Sum, SumOf};
use crate::options::{Form, Limits, Options};
use crate::{EvidenceError, collect};

/// What Go allows: 500 MiB a module, 16 MiB a go.mod (golang.org/ref/mod#zip-path-size-constraints). Text may be packed
/// a thousandfold.
const LIMITS: Limits = Limits { bytes: 500 << 20, entries: 1_000_000, ratio: 2000 };
const MAX_GO_MOD: u64 = 16 << 20;

/// A `GOMODCACHE`.
#[derive(Clone, Debug)]
pub struct Cache(pub PathBuf);

impl Cache {
    /// Holds what the cache has of `sum` to it: the zip and the unpacked folder, or the `go.mod`.
    ///
    /// # Errors
    /// [`ModulesError::Read`] when something is there and the system does not let it be read.
    pub fn check(&self, sum: &Sum) -> Result<Content, ModulesError> {
        let beside = self.0.join("cache/download").join(escaped(&sum.module)).join("@v");
        let version = escaped(&sum.version);
        if sum.of == SumOf::GoMod {
            let found = go_mod_hash(&beside.join(format!("{version}.mod")))?;
            return Ok(judge("mod", found.map(Ok), sum).unwrap_or(Content::Absent));
        }
        let prefix = format!("{}@{}/", sum.module, sum.version);
        let zip = beside.join(format!("{version}.zip"));
        let folder = self.0.join(format!("{}@{version}", escaped(&sum.module)));
        let zip = judge("zip", module_hash(&zip, &prefix, Form::Archive(Format::Zip))?, sum);
        let folder = judge("folder", module_hash(&folder, &prefix, Form::File)?, sum);
        Ok([zip, folder].into_iter().flatten().max_by_key(Content::lies).unwrap_or(Content::Absent))
    }
}

/// The hash of a copy, or why it has none that counts.
type Found = Option<Result<String, String>>;

fn judge(copy: &'static str, found: Found, sum: &Sum) -> Option<Content> {
    Some(match found? {
        Ok(found) if found == sum.hash => Content::Holds,
        Ok(found) => Content::Differs { copy, found },
        Err(reason) => Content::Unreadable { copy, reason },
    })
}

/// The `h1:` hash of all files (golang.org/x/mod/sumdb/dirhash, Hash1): SHA-256 over a line of each, sorted by name.
/// Names in a zip have the prefix already, those in a folder get it.
fn module_hash(path: &Path, prefix: &str, form: Form) -> Result<Found, ModulesError> {
    if !path.exists() {
        return Ok(None);
    }
    let is_folder = path.is_dir();
    let options = Options { limits: LIMITS, form, entries_only: true, ..Options::default() };
    let evidence = match collect(path, &options, &|_, _| {}) {
        Ok(evidence) => evidence,
        Err(EvidenceError::Read { source, .. }) => {
            return Err(ModulesError::Read { what: path.display().to_string(), source });
        }
        Err(error) => return Ok(Some(Err(error.reason()))),
    };
    let mut lines = Vec::with_capacity(evidence.observation.entries.len());
    for entry in &evidence.observation.entries {
        let name = match (is_folder, entry.kind) {
            (true, EntryKind::Directory) => continue,
            (true, EntryKind::File) => format!("{prefix}{}", entry.path),
            (false, EntryKind::File) if entry.path.as_str().starts_with(prefix) => entry.path.to_string(),
            _ => return Ok(Some(Err(format!("`{}` is nothing that a module has", entry.path)))),
        };
        lines.push((name, entry.digest.sha256));
    }
    lines.sort();
    if lines.windows(2).any(|two| two[0].0 == two[1].0) {
        return Ok(Some(Err("a name appears twice".into())));
    }
    Ok(Some(Ok(hash1(&lines))))
}

fn go_mod_hash(path: &Path) -> Result<Option<String>, ModulesError> {
    let failed = |source| ModulesError::Read { what: path.display().to_string(), source };
    let file = match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_GO_MOD).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(hash1(&[("go.mod".to_owned(), Sha256::digest(&bytes).into())])))
}

fn hash1(lines: &[(String, [u8; 32])]) -> String {
    let mut hasher = Sha256::new();
    for (name, digest) in lines {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hasher.update(format!("{hex}  {name}\n"));
    }
    format!("h1:{}", STANDARD.encode(hasher.finalize()))
}
