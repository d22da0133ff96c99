//! A process, held by its descriptor so that its number cannot pass to another.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;

use crate::elf::Executable;
use crate::error::{Error, Result};
use crate::maps::{self, Mapping};
use crate::memory::{self, Memory};
use crate::sys;

/// An executable larger than this is not read.
const MAX_EXECUTABLE: u64 = 2 << 30;

/// An open process.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    held: OwnedFd,
    /// `/proc/PID/mem`: the way to write what the process itself may not write. The kernel copies the page
    /// (`FOLL_FORCE`), so no mapping is ever writable and executable at once.
    forced: File,
}

impl Process {
    /// Opens a process by its number.
    ///
    /// # Errors
    /// [`Error::Gone`]; [`Error::Refused`] when it may not be traced by us (ptrace(2), "Ptrace access mode checking").
    pub fn open(pid: i32) -> Result<Self> {
        let held = sys::pidfd_open(pid).map_err(|e| refused("open a descriptor", pid, e))?;
        let forced = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .map_err(|e| refused("open the memory", pid, e))?;
        let process = Self { pid, held, forced };
        process.check_alive()?;
        Ok(process)
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its mappings, now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn maps(&self) -> Result<Vec<Mapping>> {
        let text = fs::read_to_string(format!("/proc/{}/maps", self.pid))
            .map_err(|e| refused("read the mappings", self.pid, e))?;
        maps::parse(&text)
    }

    /// The numbers of its threads, now.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads(&self) -> Result<Vec<i32>> {
        let failed = |e| refused("list the threads", self.pid, e);
        let mut found = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).map_err(failed)? {
            if let Some(number) = entry.map_err(failed)?.file_name().to_str().and_then(|n| n.parse().ok()) {
                found.push(number);
            }
        }
        Ok(found)
    }

    /// When it started, in the kernel's ticks since the machine did: with its number, the name of this process and of no
    /// other (`proc_pid_stat(5)`, field 22).
    ///
    /// # Errors
    /// When it is gone.
    pub fn started(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .map_err(|e| refused("ask for the start", self.pid, e))?;
        // The name, field 2, stands in parentheses and may hold anything.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = rest.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
        field.ok_or_else(|| Error::damaged("the start of the process cannot be read"))
    }

    /// How many threads it has, now: the kernel's own count, in one call (`proc_task_getattr` adds it to the links of the
    /// folder, which has two of its own).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn thread_count(&self) -> Result<usize> {
        use std::os::unix::fs::MetadataExt as _;
        let folder = fs::metadata(format!("/proc/{}/task", self.pid));
        let links = folder.map_err(|e| refused("count the threads", self.pid, e))?.nlink();
        Ok(usize::try_from(links.saturating_sub(2)).unwrap_or(usize::MAX))
    }

    /// The bytes of the file that it executes, also when that file was renamed or removed since.
    ///
    /// # Errors
    /// When it cannot be read or is too large.
    pub fn executable(&self) -> Result<Vec<u8>> {
        let path = format!("/proc/{}/exe", self.pid);
        let failed = |e| refused("read the executable", self.pid, e);
        if fs::metadata(&path).map_err(failed)?.len() > MAX_EXECUTABLE {
            return Err(Error::Limit { what: "the size of the executable", limit: MAX_EXECUTABLE });
        }
        fs::read(path).map_err(failed)
    }

    /// Has it not ended? The descriptor answers for this process, not for a later one with its number.
    ///
    /// # Errors
    /// [`Error::Gone`] when it has.
    pub fn check_alive(&self) -> Result<()> {
        let own =
            fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&self.held)))
                .map_err(|e| refused("read the descriptor", self.pid, e))?;
        match own.lines().any(|line| line == "Pid:\t-1" || line == "Pid:\t0") {
            true => Err(Error::Gone { pid: self.pid }),
            false => Ok(()),
        }
    }

    /// How far its executable runs from where it was linked: the kernel tells the entry point (`AT_ENTRY`, getauxval(3)).
    ///
    /// # Errors
    /// When it cannot be read, or names no entry point.
    pub fn load_bias(&self, executable: &Executable<'_>) -> Result<u64> {
        const AT_ENTRY: u64 = 9;
        let words = fs::read(format!("/proc/{}/auxv", self.pid))
            .map_err(|e| refused("read the auxiliary vector", self.pid, e))?;
        let word = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).map_or(0, u64::from_le_bytes);
        let entry =
            words.chunks_exact(16).find(|pair| word(&pair[..8]) == AT_ENTRY).map(|pair| word(&pair[8..]));
        let bias = entry.map(|entry| entry.wrapping_sub(executable.entry()));
        bias.filter(|bias| bias.is_multiple_of(4096))
            .ok_or_else(|| Error::damaged("the entry point is not that of the executable"))
    }

    /// Writes what the process may write itself.
    ///
    /// # Errors
    /// When not every byte was written.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        whole("write", address, bytes.len(), |done| {
            sys::write_memory(self.pid, address + done as u64, &bytes[done..])
        })
    }

    /// Writes also where the process itself may only read or execute. One aligned word is written at once.
    ///
    /// # Errors
    /// When not every byte was written.
    pub fn write_forced(&self, address: u64, bytes: &[u8]) -> Result<()> {
        whole("write", address, bytes.len(), |done| {
            sys::write_at(&self.forced, address + done as u64, &bytes[done..])
        })
    }
}

impl Memory for Process {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<()> {
        whole("read", address, into.len(), |done| {
            sys::read_memory(self.pid, address + done as u64, &mut into[done..])
        })
    }

    fn gather(&self, ranges: &[(u64, usize)]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; memory::total(ranges)?];
        let mut rest = bytes.as_mut_slice();
        for batch in ranges.chunks(sys::MOST_RANGES) {
            let (piece, tail) = rest.split_at_mut(memory::total(batch)?);
            rest = tail;
            self.gather_batch(batch, piece)?;
        }
        Ok(bytes)
    }
}

impl Process {
    /// One system call for all; only if it comes back short, one for each.
    fn gather_batch(&self, ranges: &[(u64, usize)], into: &mut [u8]) -> Result<()> {
        if sys::gather_memory(self.pid, ranges, into).is_ok_and(|count| count == into.len()) {
            return Ok(());
        }
        let mut rest = into;
        for (address, length) in ranges {
            let (piece, tail) = rest.split_at_mut(*length);
            self.read(*address, piece)?;
            rest = tail;
        }
        Ok(())
    }
}

fn whole(
    act: &'static str,
    address: u64,
    length: usize,
    mut one: impl FnMut(usize) -> io::Result<usize>,
) -> Result<()> {
    let failed = |source| Error::Memory { act, address, length, source };
    if address.checked_add(length as u64).is_none() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let mut done = 0;
    while done < length {
        match one(done) {
            Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

pub(crate) fn refused(act: &'static str, pid: i32, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(libc::ESRCH) => Error::Gone { pid },
        _ if source.kind() == io::ErrorKind::NotFound => Error::Gone { pid },
        _ => Error::Refused { act, pid, source },
    }
}
