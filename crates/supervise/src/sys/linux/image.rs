//! Measures what the kernel mapped into a process that stands in its exec-stop.
//!
//! What holds here: the process has not run; `/proc/PID/exe` is the very inode that was mapped, whatever its path says
//! by now; and while it is mapped as an executable the kernel answers ETXTBSY to whoever opens it for writing or
//! truncates it, as it answered ETXTBSY to the exec while somebody had it open. [`check_protection`] makes sure.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::Pid;

use super::raw;
use crate::error::SuperviseError;
use crate::verify::{Image, Measured};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// File systems whose content another machine or a user process can change without asking this kernel, with their
/// numbers from `linux/magic.h` and, for those not in it, from their own headers.
const REMOTE: [(u32, &str); 14] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x0bd0_0bd0, "lustre"),
    (0x786f_4256, "vboxsf"),
];

/// Measures the executable of `pid` and the loader mapped beside it.
pub(super) fn measure(pid: Pid, accept_remote: bool) -> Result<Image, SuperviseError> {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let file = File::open(&link).map_err(|e| failed("the executable", e))?;
    let path = std::fs::read_link(&link).map_err(|e| failed("the executable", e))?;
    if !accept_remote {
        check_storage(&file, &path)?;
    }
    let executable = measure_file(&file, path).map_err(|e| failed("the executable", e))?;
    let loader = loader(pid, &file).map_err(|e| failed("the dynamic loader", e))?;
    Ok(Image { executable, loader })
}

fn failed(what: &str, source: io::Error) -> SuperviseError {
    SuperviseError::Measure { what: what.to_owned(), source }
}

/// Makes sure that the kernel denies writing to the mapped executable. Linux 6.11 and the first of 6.12 did not, nor do
/// some user-space kernels, nor does Linux from 6.14 on for a file that a fanotify pre-content watch fills on demand.
pub(super) fn check_protection(pid: Pid) -> Result<(), SuperviseError> {
    match OpenOptions::new().write(true).open(format!("/proc/{pid}/exe")) {
        Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => Ok(()),
        Ok(_) => Err(SuperviseError::Writable),
        // We may not write it at all (permission, read-only mount), but others might: ask for the rule itself.
        Err(_) if raw::exec_respects_writers() => Ok(()),
        Err(_) => Err(SuperviseError::Writable),
    }
}

fn check_storage(file: &File, path: &Path) -> Result<(), SuperviseError> {
    let stat = fstatfs(file).map_err(|e| failed("the file system", e.into()))?;
    let FsType(magic) = stat.filesystem_type();
    // The numbers are 32 bits wide; the type that holds them is signed and differs by architecture.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "only 32 bits carry the number"
    )]
    let magic = magic as u32;
    match REMOTE.into_iter().find(|(number, _)| *number == magic) {
        Some((_, kind)) => Err(SuperviseError::Remote { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

/// The arguments with which `pid` will run differ from `expected` when the kernel put an interpreter in front of them:
/// a script, or a `binfmt_misc` format. The process is stopped, so it cannot have changed them itself.
pub(super) fn runs_through_interpreter(pid: Pid, expected: &[Vec<u8>]) -> Result<bool, SuperviseError> {
    let length: usize = expected.iter().map(|argument| argument.len() + 1).sum();
    let mut found = Vec::with_capacity(length);
    File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(length as u64 + 1).read_to_end(&mut found))
        .map_err(|e| failed("the arguments", e))?;
    let expected: Vec<u8> =
        expected.iter().flat_map(|argument| argument.iter().copied().chain([0])).collect();
    Ok(found != expected)
}

fn measure_file(file: &File, path: PathBuf) -> io::Result<Measured> {
    let meta = file.metadata()?;
    let mut hash = gm::Dual::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0u64;
    loop {
        // By position: the descriptor's own offset is nobody's business.
        match file.read_at(&mut buffer, size)? {
            0 => break,
            n => {
                hash.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
    let mode = meta.mode() & 0o7777;
    Ok(Measured { path, size, mode, modified: meta.modified().ok(), digest: hash.finalize() })
}

/// The dynamic loader, found where the kernel mapped it.
fn loader(pid: Pid, executable: &File) -> io::Result<Option<Measured>> {
    let Some(base) = loader_base(pid, executable)? else { return Ok(None) };
    let maps = std::fs::read(format!("/proc/{pid}/maps"))?;
    let mapping = maps.split(|&byte| byte == b'\n').filter_map(Mapping::parse).find(|m| m.start == base);
    let mapping = mapping.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is in no mapping"))?;
    let file = mapping.open(pid)?;
    measure_file(&file, mapping.path).map(Some)
}

/// `AT_BASE` of the auxiliary vector (`getauxval(3)`): where the loader is; absent or 0 in a static program.
fn loader_base(pid: Pid, executable: &File) -> io::Result<Option<u64>> {
    const AT_BASE: u64 = 7;
    let mut ident = [0; 5];
    executable.read_exact_at(&mut ident, 0)?;
    let word = if ident[4] == 1 { 4 } else { 8 }; // EI_CLASS: ELFCLASS32 is 1
    let auxv = std::fs::read(format!("/proc/{pid}/auxv"))?;
    let number = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    };
    let base = auxv.chunks_exact(2 * word).find(|pair| number(&pair[..word]) == AT_BASE);
    Ok(base.map(|pair| number(&pair[word..])).filter(|&base| base != 0))
}

/// One line of `/proc/PID/maps`.
pub(super) struct Mapping {
    start: u64,
    range: String,
    inode: u64,
    path: PathBuf,
}

impl Mapping {
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // proc_pid_maps(5): start-end perms offset dev inode, blanks, path (which may itself hold blanks)
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let range = std::str::from_utf8(fields.next()?).ok()?.to_owned();
        let start = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
        let inode = std::str::from_utf8(fields.nth(3)?).ok()?.parse().ok()?;
        let path = fields.next()?.trim_ascii_start();
        Some(Self { start, range, inode, path: PathBuf::from(std::ffi::OsStr::from_bytes(path)) })
    }

    /// Opens the mapped file itself where we may; otherwise by its path, if that still leads to it.
    fn open(&self, pid: Pid) -> io::Result<File> {
        if let Ok(file) = File::open(format!("/proc/{pid}/map_files/{}", self.range)) {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        if file.metadata()?.ino() == self.inode {
            return Ok(file);
        }
        Err(io::Error::other("its file was replaced while the program started"))
    }
}
