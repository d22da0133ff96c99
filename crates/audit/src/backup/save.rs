//! Makes a backup from the files of a home, while its owner writes.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use tlog::Checkpoint;

use super::Header;
use super::format::{Block, ENTRIES_BYTES, write_block, write_magic};
use crate::query::Source as _;
use crate::{AuditError, Files, LogKeys, clock};

/// The small files of a home that a backup takes, where they are.
const SMALL: &[&str] =
    &["custody.toml", "catalogue.toml", "retention.toml", "redaction.toml", "alerts.toml", "keys/log.vkey"];
/// A folder of small files: whom this home trusts.
const TRUST: &str = "trust";
/// A small file is never longer.
pub(super) const MAX_SMALL: u64 = 4 << 20;

/// What was saved.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Saved {
    /// Index of the first entry.
    pub from: u64,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Root of the SHA-256 tree, in hexadecimal.
    pub sha256_root: String,
    /// Small files beside the entries.
    pub files: u64,
}

/// Writes a backup of what is under the home's checkpoint: everything, or what was recorded since it had `from` entries.
/// Needs neither the lock nor the owner.
///
/// # Errors
/// [`AuditError::Backup`] when entries that are asked for were pruned; when the home cannot be read, or `out` not written.
pub fn save(
    home: &Path,
    from: u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Saved, AuditError> {
    let files = Files::open(home)?;
    let note = files.note();
    let verifier = LogKeys::of(home).verifier()?;
    let opened = verifier
        .open(note)
        .map_err(|source| AuditError::Key { path: home.join("log/checkpoint"), source })?;
    let checkpoint = Checkpoint::parse(&opened.text).map_err(ledger::LedgerError::from)?;
    let there = files.range();
    if from > checkpoint.size || from < there.start {
        return Err(AuditError::Backup {
            why: format!(
                "entries {} to {} are there, and it would begin at {from}",
                there.start, checkpoint.size
            ),
        });
    }
    let header = Header {
        version: 1,
        origin: checkpoint.origin.clone(),
        key: verifier.to_string(),
        from,
        size: checkpoint.size,
        made: clock::now().to_string(),
    };
    let mut out = BufWriter::new(out);
    let unwritten = |e| AuditError::io("write", Path::new("the backup"), e);
    let json = serde_json::to_vec(&header).map_err(|e| unwritten(e.into()))?;
    write_magic(&mut out).and_then(|()| write_block(&mut out, &Block::Header(json))).map_err(unwritten)?;
    let small = small_files(home)?;
    let count = small.len() as u64;
    for (name, bytes) in small {
        write_block(&mut out, &Block::File(name, bytes)).map_err(unwritten)?;
    }
    save_entries(&files, from..checkpoint.size, &mut out, progress)?;
    write_block(&mut out, &Block::Checkpoint(note.to_owned()))
        .and_then(|()| write_block(&mut out, &Block::End))
        .and_then(|()| out.flush())
        .map_err(unwritten)?;
    Ok(Saved { from, size: checkpoint.size, sha256_root: hex::encode(checkpoint.root), files: count })
}

fn save_entries(
    files: &Files,
    range: std::ops::Range<u64>,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), AuditError> {
    let all = range.end - range.start;
    let (mut first, mut held, mut entries) = (range.start, 0, Vec::new());
    let mut failed: Option<io::Error> = None;
    let mut write =
        |first: u64, entries: Vec<Vec<u8>>| write_block(out, &Block::Entries(first, entries)).err();
    let (begin, end) = (range.start, range.end);
    files.read(range, &mut |index, entry| {
        held += entry.len() + 2;
        entries.push(entry);
        if held >= ENTRIES_BYTES || index + 1 == end {
            failed = write(first, std::mem::take(&mut entries));
            (first, held) = (index + 1, 0);
            progress(first - begin, all);
        }
        failed.is_none()
    })?;
    match failed {
        Some(error) => Err(AuditError::io("write", Path::new("the backup"), error)),
        None if first == end => Ok(()),
        None => Err(AuditError::Backup { why: format!("entry {first} is not there") }),
    }
}

/// The small files that are there.
fn small_files(home: &Path) -> Result<Vec<(String, Vec<u8>)>, AuditError> {
    let mut names: Vec<String> = SMALL.iter().map(|name| (*name).to_owned()).collect();
    match std::fs::read_dir(home.join(TRUST)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        listed => {
            let fail = |e| AuditError::io("list", &home.join(TRUST), e);
            for entry in listed.map_err(fail)? {
                let entry = entry.map_err(fail)?;
                if let (true, Ok(name)) = (entry.path().is_file(), entry.file_name().into_string()) {
                    names.push(format!("{TRUST}/{name}"));
                }
            }
        }
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let path = home.join(&name);
        let fail = |e| AuditError::io("read", &path, e);
        let mut bytes = Vec::new();
        match std::fs::File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            file => {
                io::Read::read_to_end(&mut io::Read::take(file.map_err(fail)?, MAX_SMALL + 1), &mut bytes)
            }
        }
        .map_err(fail)?;
        if bytes.len() as u64 > MAX_SMALL {
            return Err(AuditError::Backup { why: format!("{name} is larger than 4 MiB") });
        }
        files.push((name, bytes));
    }
    Ok(files)
}
