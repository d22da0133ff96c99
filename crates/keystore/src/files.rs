//! Files written aside, synced and moved into place; files read with a limit and a look at who else may.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::KeystoreError;

/// Larger than any key or record here; a file beyond it is not one of ours.
pub(crate) const MAX_FILE: usize = 64 * 1024;

/// Who may read a new file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Owner,
    Everyone,
}

/// Whether a file of that name may already be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Replace,
}

/// Makes `dir` (0700) with its parents, and refuses one that others can write to: they could put their own key in.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), KeystoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(KeystoreError::io("make folder", dir))?;
    let meta = fs::metadata(dir).map_err(KeystoreError::io("read", dir))?;
    refuse_bits(dir, &meta, 0o022)
}

/// Writes `bytes` so that a crash at any moment leaves either no file (or the old one) or the whole new one.
pub(crate) fn write(
    path: &Path,
    bytes: &[u8],
    access: Access,
    existing: Existing,
) -> Result<(), KeystoreError> {
    let aside = aside_path(path);
    let result = write_synced(&aside, bytes, access)
        .map_err(KeystoreError::io("write", &aside))
        .and_then(|()| place(&aside, path, existing));
    if result.is_err() {
        let _ = fs::remove_file(&aside); // best effort: the first error is the one to tell
    }
    result?;
    sync_dir_of(path)
}

/// Writes a record as one JSON document.
pub(crate) fn write_json(
    path: &Path,
    value: &impl Serialize,
    existing: Existing,
) -> Result<(), KeystoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| KeystoreError::malformed(path, e))?;
    bytes.push(b'\n');
    write(path, &bytes, Access::Everyone, existing)
}

/// Reads a record; `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, KeystoreError> {
    let Some(text) = read(path, Access::Everyone)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| KeystoreError::malformed(path, e))
}

/// Reads a small text file; `None` when there is none. For [`Access::Owner`] the mode is checked on the open
/// file, so that no other can be slipped in between.
pub(crate) fn read(path: &Path, access: Access) -> Result<Option<Zeroizing<String>>, KeystoreError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(KeystoreError::io("open", path))?,
    };
    let meta = file.metadata().map_err(KeystoreError::io("read", path))?;
    if !meta.is_file() {
        return Err(KeystoreError::malformed(path, "it is not a regular file"));
    }
    if access == Access::Owner {
        refuse_bits(path, &meta, 0o077)?;
    }
    // The whole room at once: a buffer that grew would leave unwiped copies of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64 + 1).read_to_string(&mut text).map_err(KeystoreError::io("read", path))?;
    if text.len() > MAX_FILE {
        return Err(KeystoreError::malformed(path, "it is larger than 64 KiB"));
    }
    Ok(Some(text))
}

/// The names of the files in `dir`, sorted; none when there is no such folder.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, KeystoreError> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(KeystoreError::io("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(KeystoreError::io("list", dir))?;
        // A name that is not UTF-8 is none of ours.
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn aside_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

/// Whether `name` is one that [`write`] gives to what it writes aside for `path`.
pub(crate) fn is_aside(name: &str, path: &Path) -> bool {
    let of = path.file_name().unwrap_or_default().to_string_lossy();
    let middle = name.strip_prefix('.').and_then(|name| name.strip_prefix(&*of)?.strip_prefix('.'));
    let numbers = middle.and_then(|rest| rest.strip_suffix(".tmp")?.split_once('-'));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, count)| number(process) && number(count))
}

fn write_synced(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        if access == Access::Owner { 0o600 } else { 0o644 },
    );
    #[cfg(not(unix))]
    let _ = access;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn place(aside: &Path, path: &Path, existing: Existing) -> Result<(), KeystoreError> {
    if existing == Existing::Refuse {
        // A link fails when the name is taken; a rename would overwrite in silence.
        match fs::hard_link(aside, path) {
            Ok(()) => return fs::remove_file(aside).map_err(KeystoreError::io("remove", aside)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(already(path)),
            Err(_) if fs::symlink_metadata(path).is_ok() => return Err(already(path)),
            Err(_) => {} // a file system without hard links: the look above is the best there is
        }
    }
    fs::rename(aside, path).map_err(KeystoreError::io("write", path))
}

fn already(path: &Path) -> KeystoreError {
    KeystoreError::Exists { what: path.display().to_string() }
}

#[cfg(unix)]
pub(crate) fn sync_dir_of(path: &Path) -> Result<(), KeystoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|d| d.sync_all()).map_err(KeystoreError::io("sync", dir))
}

/// Windows has no handle to a folder that can be flushed; NTFS journals the rename.
#[cfg(not(unix))]
pub(crate) fn sync_dir_of(_: &Path) -> Result<(), KeystoreError> {
    Ok(())
}

#[cfg(unix)]
fn refuse_bits(path: &Path, meta: &fs::Metadata, bits: u32) -> Result<(), KeystoreError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777;
    if mode & bits != 0 {
        return Err(KeystoreError::ReadableByOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_bits(_: &Path, _: &fs::Metadata, _: u32) -> Result<(), KeystoreError> {
    Ok(())
}
