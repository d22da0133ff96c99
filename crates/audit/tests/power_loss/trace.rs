//! The system calls of a process that change files, in their order, as strace tells them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is traced: everything that opens, changes, syncs or names a file. A call that is not understood fails the test.
const CALLS: &str = "trace=open,openat,creat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,writev,pwritev,pwritev2,\
    ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,sync,syncfs,rename,renameat,renameat2,unlink,unlinkat,\
    rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,copy_file_range,sendfile";

/// One call that succeeded.
#[derive(Debug)]
pub(crate) enum Call {
    Open { path: PathBuf, fd: u64, create: bool, truncate: bool, append: bool },
    Close { fd: u64 },
    Dup { fd: u64, new: u64 },
    Seek { fd: u64, at: usize },
    Write { fd: u64, at: Option<usize>, bytes: Vec<u8> },
    Length { fd: u64, length: usize },
    Sync { fd: u64 },
    Rename { from: PathBuf, to: PathBuf },
    Link { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    MakeDir { path: PathBuf },
}

/// Whether this machine lets a process be traced.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    traced.is_ok_and(|output| output.status.success())
}

/// A command that runs `program` and writes what it does to `to`.
pub(crate) fn traced(program: &Path, to: &Path) -> Command {
    let mut command = Command::new("strace");
    // Strings in hexadecimal digits, whole: nothing in them can be taken for anything else.
    command.args(["-f", "-qq", "-xx", "-s", "1000000000", "-e", "signal=none", "-e", CALLS, "-o"]);
    command.arg(to).arg(program);
    command
}

/// Reads what strace wrote. A call that another thread interrupted counts where it returned.
pub(crate) fn read(trace: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (pid, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        if let Some(start) = text.strip_suffix("<unfinished ...>") {
            begun.insert(pid, start);
        } else if text.starts_with("<... ") {
            let (_, end) = text.split_once("resumed>").unwrap();
            calls.extend(call(&format!("{}{end}", begun.remove(pid).unwrap_or_default())));
        } else {
            calls.extend(call(text));
        }
    }
    calls
}

/// One line; nothing when the call failed, or changes nothing.
fn call(line: &str) -> Option<Call> {
    let (called, result) = line.rsplit_once(" = ")?;
    let (name, arguments) = called.split_once('(')?;
    let result: u64 = result.split(' ').next()?.parse().ok()?; // `-1 ENOENT`, `?`
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let plain: Vec<&str> = arguments.split(", ").collect();
    let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(bytes).collect();
    let path = |n: usize| path_of(&strings[n], arguments);
    let number = |n: usize| plain[n].trim().parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
    let size = |n: usize| usize::try_from(number(n)).unwrap();
    let flag = |flag: &str| arguments.contains(flag);
    Some(match name {
        "open" | "openat" => Call::Open {
            path: path(0),
            fd: result,
            create: flag("O_CREAT"),
            truncate: flag("O_TRUNC"),
            append: flag("O_APPEND"),
        },
        "close" => Call::Close { fd: number(0) },
        "dup" | "dup2" | "dup3" => Call::Dup { fd: number(0), new: result },
        "fcntl" if flag("F_DUPFD") => Call::Dup { fd: number(0), new: result },
        "fcntl" => return None,
        "lseek" => Call::Seek { fd: number(0), at: usize::try_from(result).unwrap() },
        "write" => Call::Write { fd: number(0), at: None, bytes: first(&strings, result) },
        "pwrite64" => Call::Write { fd: number(0), at: Some(size(3)), bytes: first(&strings, result) },
        "writev" => Call::Write { fd: number(0), at: None, bytes: first(&[strings.concat()], result) },
        "ftruncate" => Call::Length { fd: number(0), length: size(1) },
        "fsync" | "fdatasync" => Call::Sync { fd: number(0) },
        "rename" | "renameat" | "renameat2" => Call::Rename { from: path(0), to: path(1) },
        "link" | "linkat" => Call::Link { from: path(0), to: path(1) },
        "unlink" | "unlinkat" | "rmdir" => Call::Remove { path: path(0) },
        "mkdir" | "mkdirat" => Call::MakeDir { path: path(0) },
        // `truncate`, `fallocate`, `copy_file_range` and the rest: whoever begins to use them teaches them to the model.
        _ => panic!("the model does not know {line}"),
    })
}

/// What of the bytes was written: a write may be short.
fn first(strings: &[Vec<u8>], written: u64) -> Vec<u8> {
    let bytes = strings.first().cloned().unwrap_or_default();
    bytes[..usize::try_from(written).unwrap()].to_vec()
}

fn path_of(name: &[u8], arguments: &str) -> PathBuf {
    let path = PathBuf::from(String::from_utf8(name.to_vec()).unwrap());
    // Folders are not opened to name something in them; where that begins, the model has to learn it.
    assert!(path.is_absolute() || !arguments.contains("O_CREAT"), "a relative path: {arguments}");
    path
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |pair: &str| u8::from_str_radix(pair, 16).unwrap();
    hex.split("\\x").skip(1).map(digits).collect()
}
