//! Plain files for people and for tools that read lines: events as NDJSON, rolled as `[rolling]` says.
//!
//! One file, `current.ndjson`, grows; when its day or its size is over it is closed: compressed, named by the pattern,
//! and the oldest closed one beyond `keep` is removed. `rolling.json` says how far the folder reaches; it is written after
//! what it speaks of, so that an interrupted run is cut back to it and goes on. The day of an event is that on which the
//! ledger recorded it, by the ledger's own stamps: they only move forward, a caller's times need not.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use event::validate;
use serde::{Deserialize, Serialize};

use super::{Compression, Every, Rolling};
use crate::AuditError;
use crate::keys::write_aside;
use crate::query::Source;

const CURRENT: &str = "current.ndjson";
const STATE: &str = "rolling.json";
/// The state lists closed files, at most 100,000 names of at most 160 bytes.
const MAX_STATE: u64 = 32 << 20;
/// The owner's own events begin so in their stored form.
const OWN: &[u8] = b"{\"act\":\"LEDGER.";

/// How far a folder reaches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    /// The log's identity.
    origin: String,
    /// The first event that is not there.
    next: u64,
    /// Bytes of the current file.
    bytes: u64,
    /// The day or hour of the current file.
    period: String,
    /// Number of the next closed file within it.
    number: u32,
    /// Closed files, oldest first.
    closed: Vec<String>,
}

/// What a run wrote.
#[derive(Clone, Debug, Serialize)]
pub struct Rolled {
    /// The first event written.
    pub from: u64,
    /// The first event not there.
    pub to: u64,
    /// Files closed.
    pub closed: Vec<String>,
    /// Files removed because newer ones are kept.
    pub removed: Vec<String>,
}

/// The first event that a folder does not have yet.
///
/// # Errors
/// When its state cannot be read, or is that of another log.
pub fn reached(folder: &Path, origin: &str) -> Result<u64, AuditError> {
    Ok(read_state(folder, origin)?.next)
}

/// Brings a folder up to the end of the ledger.
pub(crate) fn roll(
    source: &dyn Source,
    origin: &str,
    folder: &Path,
    rolling: &Rolling,
) -> Result<Rolled, AuditError> {
    std::fs::create_dir_all(folder).map_err(|e| AuditError::io("make the folder", folder, e))?;
    let state = read_state(folder, origin)?;
    let there = source.range();
    let from = state.next.max(there.start);
    let mut roller = Roller::open(folder, rolling, state)?;
    let mut failed = None;
    source.read(from..there.end, &mut |index, entry| {
        failed = roller.take(index, &entry).err();
        failed.is_none()
    })?;
    match failed {
        Some(error) => Err(error),
        None => {
            let to = roller.save()?;
            Ok(Rolled { from, to, closed: roller.closed, removed: roller.removed })
        }
    }
}

fn read_state(folder: &Path, origin: &str) -> Result<State, AuditError> {
    let path = folder.join(STATE);
    let fail = |e| AuditError::io("read", &path, e);
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(State { version: 1, origin: origin.to_owned(), number: 1, ..State::default() });
        }
        file => file.map_err(fail)?,
    };
    let state: State = serde_json::from_reader(file.take(MAX_STATE)).map_err(|e| fail(e.into()))?;
    let named = |name: &String| !name.contains(['/', '\\']) && !name.starts_with('.');
    if state.version != 1 || state.origin != origin || !state.closed.iter().all(named) {
        let value = folder.display().to_string();
        return Err(AuditError::Request {
            what: "folder",
            value,
            why: "holds the files of another log or version",
        });
    }
    Ok(state)
}

struct Roller<'a> {
    folder: &'a Path,
    rolling: &'a Rolling,
    state: State,
    file: BufWriter<File>,
    closed: Vec<String>,
    removed: Vec<String>,
}

impl<'a> Roller<'a> {
    /// Cuts the current file back to what the state speaks of.
    fn open(folder: &'a Path, rolling: &'a Rolling, state: State) -> Result<Self, AuditError> {
        let path = folder.join(CURRENT);
        let open = || {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            if file.metadata()?.len() < state.bytes {
                return Err(io::Error::other("it is shorter than it was left"));
            }
            file.set_len(state.bytes)?;
            Ok(file)
        };
        let file = open().map_err(|e| AuditError::io("continue", &path, e))?;
        let file = BufWriter::with_capacity(256 * 1024, file);
        Ok(Self { folder, rolling, state, file, closed: Vec::new(), removed: Vec::new() })
    }

    fn take(&mut self, index: u64, entry: &[u8]) -> Result<(), AuditError> {
        let period = self.period(entry);
        let over = period.as_ref().is_some_and(|period| *period > self.state.period);
        let full = self.state.bytes + entry.len() as u64 + 1 > self.rolling.size;
        if self.state.bytes > 0 && (over || full) {
            self.close()?;
        }
        if let Some(period) = period.filter(|_| over) {
            self.state.period = period;
            self.state.number = 1;
        }
        let path = self.folder.join(CURRENT);
        self.file
            .write_all(entry)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|e| AuditError::io("write", &path, e))?;
        self.state.bytes += entry.len() as u64 + 1;
        self.state.next = index + 1;
        Ok(())
    }

    /// The day or hour that begins with one of the ledger's own events.
    fn period(&self, entry: &[u8]) -> Option<String> {
        if !entry.starts_with(OWN) && !self.state.period.is_empty() {
            return None;
        }
        let ts = validate(entry).ok()?.ts;
        let width = match self.rolling.every {
            Every::Hour => 13,
            Every::Day => 10,
            Every::Never => 4,
        };
        ts.as_str()
            .get(..width)
            .map(|period| if self.rolling.every == Every::Never { "-".into() } else { period.to_owned() })
    }

    /// Compresses the current file under its name and begins another.
    fn close(&mut self) -> Result<(), AuditError> {
        let current = self.folder.join(CURRENT);
        let fail = |e| AuditError::io("close", &current, e);
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(fail)?;
        let name = self.rolling.pattern.name(&self.state.period, self.state.number);
        let name = name + self.rolling.compression.suffix();
        let path = self.folder.join(&name);
        compress(&current, &path, self.rolling.compression).map_err(fail)?;
        self.state.closed.push(name.clone());
        self.state.bytes = 0;
        self.state.number += 1;
        self.closed.push(name);
        let keep = usize::try_from(self.rolling.keep).unwrap_or(usize::MAX);
        let extra = self.state.closed.len().saturating_sub(keep);
        let old: Vec<String> = self.state.closed.drain(..extra).collect();
        // First the state, then the files that it no longer speaks of.
        self.write_state()?;
        self.file.get_ref().set_len(0).map_err(fail)?;
        for name in old {
            let path = self.folder.join(&name);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(AuditError::io("remove", &path, e));
                }
                _ => self.removed.push(name),
            }
        }
        Ok(())
    }

    /// What is written is durable, then the state says so.
    fn save(&mut self) -> Result<u64, AuditError> {
        let path = self.folder.join(CURRENT);
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|e| AuditError::io("write", &path, e))?;
        self.write_state()?;
        Ok(self.state.next)
    }

    fn write_state(&self) -> Result<(), AuditError> {
        let path = self.folder.join(STATE);
        let json = serde_json::to_vec(&self.state).map_err(|e| AuditError::io("write", &path, e.into()))?;
        write_aside(&path, &json, 0o600)
    }
}

/// Aside, synced, renamed.
fn compress(from: &Path, to: &Path, compression: Compression) -> io::Result<()> {
    let aside: PathBuf = to.with_extension("new");
    let mut input = File::open(from)?;
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let output = options.open(&aside)?;
    let output = match compression {
        Compression::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(output, flate2::Compression::default());
            io::copy(&mut input, &mut packer)?;
            packer.finish()?
        }
        Compression::Zstd => {
            let mut packer = zstd::Encoder::new(output, 3)?;
            io::copy(&mut input, &mut packer)?;
            packer.finish()?
        }
        Compression::None => {
            let mut output = output;
            io::copy(&mut input, &mut output)?;
            output
        }
    };
    output.sync_all()?;
    std::fs::rename(aside, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{EventId, Fact, Timestamp};
    use std::ops::Range;

    struct Memory(Vec<Vec<u8>>);

    impl Source for Memory {
        fn range(&self) -> Range<u64> {
            0..self.0.len() as u64
        }

        fn read(
            &self,
            range: Range<u64>,
            each: &mut dyn FnMut(u64, Vec<u8>) -> bool,
        ) -> Result<(), AuditError> {
            let mut range = range;
            range.all(|index| each(index, self.0[usize::try_from(index).unwrap()].clone()));
            Ok(())
        }
    }

    /// Days of ten events; the first of each is the ledger's own. Every event is of 2020 by its caller's clock.
    fn ledger(days: u64) -> Memory {
        let event = |n: u64| {
            let own = n.is_multiple_of(10);
            let act = if own { "LEDGER.OPENED" } else { "DATA.READ" };
            let day = if own { 20_000 + n / 10 } else { 18_300 };
            let ts = Timestamp::from_unix(i64::try_from(day * 86_400).unwrap(), 0).unwrap();
            let fact = Fact::new(act).subject("svc", "x").context("pad", "x".repeat(600));
            fact.at(EventId::v7(n, [0; 10]), ts).canonical()
        };
        Memory((0..days * 10).map(event).collect())
    }

    fn text(folder: &Path) -> Vec<u8> {
        let state: State = serde_json::from_slice(&std::fs::read(folder.join(STATE)).unwrap()).unwrap();
        let mut all = Vec::new();
        for name in &state.closed {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            match name.rsplit('.').next() {
                Some("gz") => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut all).unwrap()),
                Some("zst") => all.extend(zstd::decode_all(&bytes[..]).unwrap()),
                _ => all.extend(bytes),
            }
        }
        all.extend(std::fs::read(folder.join(CURRENT)).unwrap());
        all
    }

    #[test]
    fn files_begin_with_days_and_sizes_and_hold_everything_once() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let folder = tempfile::tempdir().unwrap();
            // Ten events of some 750 bytes: two files a day, of which one is full.
            let rolling = Rolling { size: 4 << 10, compression, keep: 99, ..Rolling::default() };
            let source = ledger(4);
            let rolled = roll(&source, "log", folder.path(), &rolling).unwrap();
            assert_eq!((rolled.from, rolled.to, rolled.closed.len()), (0, 40, 7), "{:?}", rolled.closed);
            let first = format!("audit-2024-10-04-1.ndjson{}", compression.suffix());
            assert_eq!(rolled.closed[0], first);
            let expected: Vec<u8> = source.0.iter().flat_map(|entry| [entry, &b"\n"[..]].concat()).collect();
            assert!(text(folder.path()) == expected);
            // Nothing new, nothing done.
            let again = roll(&source, "log", folder.path(), &rolling).unwrap();
            assert_eq!((again.from, again.to, again.closed.len()), (40, 40, 0));
            assert!(roll(&source, "another", folder.path(), &rolling).is_err());
        }
    }

    #[test]
    fn an_interrupted_run_goes_on_where_the_state_says() {
        let folder = tempfile::tempdir().unwrap();
        let rolling = Rolling { size: 4 << 10, keep: 99, ..Rolling::default() };
        roll(&Memory(ledger(4).0[..17].to_vec()), "log", folder.path(), &rolling).unwrap();
        let mut torn = OpenOptions::new().append(true).open(folder.path().join(CURRENT)).unwrap();
        torn.write_all(b"{\"half\":").unwrap();
        let source = ledger(4);
        roll(&source, "log", folder.path(), &rolling).unwrap();
        let expected: Vec<u8> = source.0.iter().flat_map(|entry| [entry, &b"\n"[..]].concat()).collect();
        assert!(text(folder.path()) == expected);
    }

    #[test]
    fn so_many_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("audit-2020-01-01-1.ndjson.gz"), "mine").unwrap();
        let rolling = Rolling { keep: 3, ..Rolling::default() };
        let rolled = roll(&ledger(9), "log", folder.path(), &rolling).unwrap();
        assert_eq!((rolled.closed.len(), rolled.removed.len()), (8, 5));
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let kept = [
            "audit-2020-01-01-1.ndjson.gz",
            "audit-2024-10-09-1.ndjson.gz",
            "audit-2024-10-10-1.ndjson.gz",
            "audit-2024-10-11-1.ndjson.gz",
        ];
        assert_eq!(names[..4], kept);
        assert_eq!(names[4..], [CURRENT, STATE]);
    }
}
