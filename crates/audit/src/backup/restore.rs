//! Puts backups back: a full one, then what followed it, each proved by its checkpoint before the next.

use std::io::Read;
use std::path::{Path, PathBuf};

use event::{Fact, Severity, validate};
use ledger::{Log, Options};
use signing::note::NoteVerifier;
use tlog::{Checkpoint, Frontier, Sha256, Sm3, TreeHash as _};

use super::format::{Block, Fault};
use super::save::MAX_SMALL;
use super::{Destructions, Header, Reader};
use crate::clock::stamp;
use crate::keys::write_aside;
use crate::peer::Peer;
use crate::{AuditError, LogKeys};

/// The action of an event that destroyed keys.
const DESTROYED: &str = "ERASURE.DESTROYED";
/// The file that makes a folder a home; it is written last.
const FINISHED: &str = "custody.toml";
/// Entries that are appended at a time.
const BATCH: usize = 4096;

/// Where and as what a backup is put back.
pub struct Target<'a> {
    /// The new home; it must not be there, or be empty.
    pub home: &'a Path,
    /// The log's private key (PKCS #8 PEM); nothing when it was lost: then the log gets another key, and its first own
    /// event names the last checkpoint of the old one.
    pub key: Option<&'a str>,
    /// The name of the machine, for the name of another key.
    pub host: &'a str,
}

/// What was put back, or would be.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Restored {
    /// The log's identity in the backup.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Root of the SHA-256 tree, in hexadecimal.
    pub sha256_root: String,
    /// The checkpoint that vouches for it.
    pub checkpoint: String,
    /// Small files.
    pub files: Vec<String>,
}

/// Checks that backups are whole, follow each other, and are what their checkpoints vouch for, without writing
/// anything. `key` is the log's public key as the caller has it; the backups' own word when absent.
///
/// # Errors
/// [`AuditError::Backup`] naming what is wrong.
pub fn check<R: Read>(inputs: Vec<R>, key: Option<&NoteVerifier>) -> Result<Restored, AuditError> {
    let mut trees = (Frontier::<Sha256>::new(), Frontier::<Sm3>::new());
    read_all(inputs, key, &mut |part| {
        match part {
            Part::Entries(entries) => {
                for entry in entries {
                    trees.0.push(Sha256::leaf(&entry));
                    trees.1.push(Sm3::leaf(&entry));
                }
            }
            Part::File(..) => {}
            Part::Checkpoint(checkpoint) => compare(checkpoint, trees.0.root(), Some(trees.1.root()))?,
        }
        Ok(())
    })
}

/// Puts backups back into a new home: the keys, the log, the small files, and last what makes it a home.
///
/// # Errors
/// As [`check`]; when the home is not new or cannot be written, or a destruction could not be replayed. The home is then
/// not finished, and can be removed.
pub fn restore<R: Read>(
    inputs: Vec<R>,
    verifier: Option<&NoteVerifier>,
    target: &Target<'_>,
    destructions: &mut dyn Destructions,
) -> Result<Restored, AuditError> {
    let home = target.home;
    make_home(home)?;
    let mut log: Option<Log> = None;
    let mut small: Vec<(String, Vec<u8>)> = Vec::new();
    let restored = read_all(inputs, verifier, &mut |part| {
        match part {
            Part::File(name, bytes) => {
                if let Some(key) = (name == "keys/log.vkey").then(|| String::from_utf8_lossy(&bytes)) {
                    if log.is_none() {
                        log = Some(begin(target, &key)?);
                    }
                } else {
                    small.retain(|(there, _)| *there != name);
                    small.push((name, bytes));
                }
            }
            Part::Entries(entries) => {
                let log = log.as_ref().ok_or_else(|| wrong("there is no public key before its entries"))?;
                append(log, entries, destructions)?;
            }
            Part::Checkpoint(checkpoint) => {
                let log = log.as_ref().ok_or_else(|| wrong("there is no public key"))?;
                let now = log.publish()?;
                compare(checkpoint, now.checkpoint.root, now.sm3_root().copied())?;
            }
        }
        Ok(())
    })?;
    if let Some(log) = log {
        if target.key.is_none() {
            log.append(vec![replaced(&restored)?])?;
        }
        log.close()?;
    }
    small.sort_by_key(|(name, _)| name == FINISHED);
    for (name, bytes) in &small {
        let path = home.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| AuditError::io("make the folder", folder, e))?;
        }
        write_aside(&path, bytes, 0o600)?;
    }
    Ok(restored)
}

/// The first event under another key: it names the last checkpoint of the lost one, so that whoever cosigns the new log
/// vouches for the old checkpoint as well.
fn replaced(restored: &Restored) -> Result<Vec<u8>, AuditError> {
    let fact = Fact::new("LEDGER.KEY.REPLACED")
        .severity(Severity::Critical)
        .subject("svc", "custody")
        .object("origin", restored.origin.clone())
        .object("size", restored.size.to_string())
        .object("sha256_root", restored.sha256_root.clone())
        .context("checkpoint", restored.checkpoint.clone());
    let peer = Peer::own();
    let mut event = stamp(fact)?;
    peer.sign(&mut event);
    Ok(event.canonical())
}

fn wrong(why: impl Into<String>) -> AuditError {
    AuditError::Backup { why: why.into() }
}

fn make_home(home: &Path) -> Result<(), AuditError> {
    match std::fs::read_dir(home) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        listed => {
            let mut listed = listed.map_err(|e| AuditError::io("list", home, e))?;
            if listed.next().is_some() {
                let value = home.display().to_string();
                return Err(AuditError::Request { what: "home", value, why: "is not empty" });
            }
        }
    }
    for folder in [home.to_owned(), home.join("keys")] {
        crate::home::make_private_folder(&folder)?;
    }
    Ok(())
}

/// Puts the key, or another one, in its place and begins the log.
fn begin(target: &Target<'_>, public: &str) -> Result<Log, AuditError> {
    let keys = LogKeys::of(target.home);
    match target.key {
        Some(private) => {
            write_aside(&target.home.join("keys/log.vkey"), public.as_bytes(), 0o644)?;
            write_aside(&target.home.join("keys/log.pem"), private.as_bytes(), 0o600)?;
        }
        None => drop(keys.create(&crate::home::origin(target.host)?)?),
    }
    let signer = keys.signer()?;
    let options = Options { create: true, ..Options::new(signer.name().to_owned(), signer) };
    Ok(Log::open(target.home, options)?.0)
}

fn append(log: &Log, entries: Vec<Vec<u8>>, destructions: &mut dyn Destructions) -> Result<(), AuditError> {
    let first = log.size();
    for (entry, index) in entries.iter().zip(first..) {
        if let Ok(event) = validate(entry)
            && event.act == DESTROYED
        {
            destructions.replay(index, &event).map_err(|why| {
                wrong(format!("the destruction at index {index} cannot be replayed: {why}"))
            })?;
        }
    }
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        log.append(entries.by_ref().take(BATCH).collect())?;
    }
    Ok(())
}

fn compare(checkpoint: &Checkpoint, sha256: tlog::Hash, sm3: Option<tlog::Hash>) -> Result<(), AuditError> {
    let sm3_differs = checkpoint.sm3_root.is_some() && sm3.is_some() && checkpoint.sm3_root != sm3;
    if checkpoint.root != sha256 || sm3_differs {
        return Err(wrong("its entries lead to another root than the signed one"));
    }
    Ok(())
}

enum Part<'a> {
    File(String, Vec<u8>),
    Entries(Vec<Vec<u8>>),
    Checkpoint(&'a Checkpoint),
}

/// What has been read of all files.
struct Progress {
    origin: String,
    size: u64,
    note: Option<(String, Checkpoint)>,
    files: Vec<String>,
}

/// Reads the files in order and gives their parts.
fn read_all<R: Read>(
    inputs: Vec<R>,
    key: Option<&NoteVerifier>,
    each: &mut dyn FnMut(Part<'_>) -> Result<(), AuditError>,
) -> Result<Restored, AuditError> {
    let mut read = Progress { origin: String::new(), size: 0, note: None, files: Vec::new() };
    for input in inputs {
        let mut reader = Reader::new(input).map_err(fault)?;
        let header = match reader.next().map_err(fault)? {
            Some(Block::Header(json)) => serde_json::from_slice::<Header>(&json)
                .map_err(|e| wrong(format!("its header is none: {e}")))?,
            _ => return Err(wrong("it has no header")),
        };
        if header.version != 1 || header.from != read.size || header.size < header.from {
            return Err(wrong(format!(
                "it continues at entry {}, and there are {} before it",
                header.from, read.size
            )));
        }
        let own = NoteVerifier::parse(&header.key).map_err(|_| wrong("its public key is none"))?;
        let verifier = key.unwrap_or(&own);
        read_one(&mut reader, &header, verifier, &mut read, each)?;
    }
    let (checkpoint, parsed) = read.note.ok_or_else(|| wrong("there is none"))?;
    read.files.sort();
    read.files.dedup();
    Ok(Restored {
        origin: read.origin,
        size: read.size,
        sha256_root: hex::encode(parsed.root),
        checkpoint,
        files: read.files,
    })
}

fn read_one<R: Read>(
    reader: &mut Reader<R>,
    header: &Header,
    verifier: &NoteVerifier,
    read: &mut Progress,
    each: &mut dyn FnMut(Part<'_>) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let mut vouched = false;
    while let Some(block) = reader.next().map_err(fault)? {
        match block {
            Block::Header(_) => return Err(wrong("it has two headers")),
            Block::File(name, bytes) => {
                if !is_small(&name) || bytes.len() as u64 > MAX_SMALL {
                    return Err(wrong(format!("`{}` is no file of a home", name.escape_debug())));
                }
                read.files.push(name.clone());
                each(Part::File(name, bytes))?;
            }
            Block::Entries(first, entries) => {
                if first != read.size || vouched {
                    return Err(wrong(format!("entry {} is missing", read.size)));
                }
                read.size += entries.len() as u64;
                each(Part::Entries(entries))?;
            }
            Block::Checkpoint(note) => {
                let opened = verifier
                    .open(&note)
                    .map_err(|_| wrong("its checkpoint is not signed by the log's key"))?;
                let checkpoint = Checkpoint::parse(&opened.text).map_err(ledger::LedgerError::from)?;
                let fits = checkpoint.size == read.size && checkpoint.size == header.size;
                if !fits || checkpoint.origin != verifier.name() || vouched {
                    return Err(wrong("its checkpoint is of another log or size"));
                }
                each(Part::Checkpoint(&checkpoint))?;
                read.origin.clone_from(&checkpoint.origin);
                read.note = Some((note, checkpoint));
                vouched = true;
            }
            Block::End => {}
        }
    }
    if vouched { Ok(()) } else { Err(wrong("it has no checkpoint")) }
}

/// A name below the home that cannot leave it, and is neither a private key nor the ledger.
pub(crate) fn is_small(name: &str) -> bool {
    let plain = |part: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
        !part.is_empty() && part.len() <= 255 && !part.starts_with('.') && part.chars().all(letter)
    };
    match name.split_once('/') {
        None => plain(name) && Path::new(name).extension().is_some_and(|end| end == "toml"),
        Some(("keys", file)) => file == "log.vkey",
        Some(("trust", file)) => plain(file),
        Some(_) => false,
    }
}

fn fault(fault: Fault) -> AuditError {
    match fault {
        Fault::Io(error) => AuditError::Io { what: "read", path: PathBuf::from("the backup"), source: error },
        Fault::Damaged(why) => wrong(why),
    }
}
