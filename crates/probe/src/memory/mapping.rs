//! What stands behind executable memory: which file with which content, or none.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::num::NonZeroU32;
use std::path::PathBuf;

use gm::{Dual, DualDigest};
use goproc::{Mapping, maps};

/// Larger files are not digested.
const LARGEST: u64 = 2 << 30;

/// Executable memory of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Its addresses.
    pub range: std::ops::Range<u64>,
    /// It is writable, too.
    pub writable: bool,
    /// The file, if one is mapped.
    pub file: Option<Mapped>,
    /// It is what a call asked for, and no longer there.
    pub is_gone: bool,
    /// What the kernel calls memory without a file: `[vdso]`, `[anon:…]`, or nothing.
    pub name: String,
}

/// A file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its path; with ` (deleted)` or `/memfd:` where no directory has it.
    pub path: PathBuf,
    /// Digests of its whole content, if it could be read.
    pub digest: Option<DualDigest>,
    /// Bytes of this mapping that are no longer those of the file: the process, or a debugger, wrote to them.
    pub changed: u64,
}

impl Mapped {
    /// Whether a directory has it: a file that was removed, or was never named, cannot be looked at later.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let path = self.path.to_string_lossy();
        !path.starts_with("/memfd:") && !path.ends_with(" (deleted)")
    }
}

/// Every executable mapping of the process, in order. What the kernel itself maps (`[vdso]`, `[vsyscall]`) is left out.
///
/// # Errors
/// When the mappings cannot be read.
pub fn executable(process: NonZeroU32) -> std::io::Result<Vec<Executable>> {
    let all = mappings(process)?;
    let own = |m: &&Mapping| m.is_executable() && !matches!(m.name.as_str(), "[vdso]" | "[vsyscall]");
    Ok(all.iter().filter(own).map(|m| look(process, m)).collect())
}

/// The executable mapping at `address`; `None` when it is gone, or no longer executable.
///
/// # Errors
/// When the mappings cannot be read.
pub fn at(process: NonZeroU32, address: u64) -> std::io::Result<Option<Executable>> {
    let all = mappings(process)?;
    let here = all.iter().find(|m| (m.start..m.end).contains(&address));
    Ok(here.filter(|m| m.is_executable()).map(|m| look(process, m)))
}

fn mappings(process: NonZeroU32) -> std::io::Result<Vec<Mapping>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    maps::parse(&text).map_err(std::io::Error::other)
}

fn look(process: NonZeroU32, mapping: &Mapping) -> Executable {
    let file = (mapping.inode != 0).then(|| Mapped {
        path: PathBuf::from(&mapping.name),
        digest: digest(process, mapping),
        changed: changed(process, mapping).unwrap_or(0),
    });
    Executable {
        range: mapping.start..mapping.end,
        writable: mapping.is_writable(),
        file,
        is_gone: false,
        name: if mapping.inode == 0 { mapping.name.clone() } else { String::new() },
    }
}

/// By the mapping itself, not by its path: another file may stand there now (proc_pid_map_files(5)).
fn digest(process: NonZeroU32, mapping: &Mapping) -> Option<DualDigest> {
    let path = format!("/proc/{process}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let file = File::open(path).ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > LARGEST {
        return None;
    }
    let mut file = file.take(LARGEST);
    let (mut both, mut piece) = (Dual::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(both.finalize()),
            count => both.update(&piece[..count]),
        }
    }
}

/// `Anonymous:` of proc_pid_smaps(5): pages of a file's private mapping that were copied because somebody wrote to them.
fn changed(process: NonZeroU32, mapping: &Mapping) -> Option<u64> {
    let table = BufReader::new(File::open(format!("/proc/{process}/smaps")).ok()?);
    let head = format!("{:x}-{:x} ", mapping.start, mapping.end);
    let mut here = false;
    for line in table.lines() {
        let line = line.ok()?;
        if !here {
            // The kernel pads addresses to eight digits, which only the lowest programs need.
            here = line.trim_start_matches('0').starts_with(&head);
        } else if let Some(kilobytes) = line.strip_prefix("Anonymous:") {
            return Some(kilobytes.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_code_is_this_test() {
        let own = NonZeroU32::new(std::process::id()).unwrap();
        let here = own_code_is_this_test as fn() as usize as u64;
        let Some(found) = at(own, here).unwrap() else { panic!("this function is mapped") };
        assert!(!found.writable);
        let file = found.file.unwrap();
        assert_eq!(file.path, std::env::current_exe().unwrap());
        assert!(file.is_named());
        // Without the privilege to follow the mapping there is no digest.
        if let Some(digest) = file.digest {
            assert_eq!(digest, Dual::digest(&std::fs::read(&file.path).unwrap()));
        }
        assert!(executable(own).unwrap().iter().any(|e| e.range.contains(&here)));
        let data = Box::new(0u8);
        assert_eq!(at(own, &raw const *data as u64).unwrap(), None);
    }
}
