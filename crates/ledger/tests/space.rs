//! A full disk and a read-only home: typed errors, nothing half-written, and the log goes on when it can.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{options, verify};
use ledger::{LedgerError, Log};

/// A small file system of its own, unmounted at the end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "custody-test"])
            .arg(at)
            .output();
        let why = match mounted {
            Ok(output) if output.status.success() => return Some(Self(at.to_owned())),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: a tmpfs cannot be mounted here (root only): {why}");
        None
    }

    fn remount(&self, option: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn leaves(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(|i| [format!("{i} ").into_bytes(), vec![b'y'; 3000]].concat()).collect()
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(dir.path(), "2m") else { return };
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let (log, _) = Log::open(&home, options()).unwrap();
    let (mut acknowledged, mut full) = (0, None);
    for _ in 0..200 {
        match log.append(leaves(acknowledged, 10)).and_then(|range| log.publish().map(|_| range)) {
            Ok(range) => acknowledged = range.end,
            Err(error) => {
                full = Some(error);
                break;
            }
        }
    }
    assert!(matches!(full, Some(LedgerError::Full { .. })), "{full:?}");
    let report = verify(&home);
    assert!(report.holds(), "{:?}", report.damage);
    acknowledged = log.durable_size();

    disk.remount("size=8m");
    assert_eq!(log.append(leaves(acknowledged, 10)).unwrap(), acknowledged..acknowledged + 10);
    log.publish().unwrap();
    let all: Vec<_> = log.entries(0..u64::MAX).map(Result::unwrap).collect();
    assert_eq!(all, leaves(0, acknowledged + 10));
    log.close().unwrap();
    let report = verify(&home);
    assert!(report.holds() && report.unpublished == 0, "{report:?}");
}

#[test]
fn a_home_that_is_full_from_the_start_is_left_empty_and_opens_later() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(dir.path(), "64k") else { return };
    let filler = dir.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 1 << 20]);
    let opened = Log::open(dir.path(), options()).map(|_| ());
    assert!(matches!(opened, Err(LedgerError::Full { .. })), "{opened:?}");
    disk.remount("size=1m");
    let (log, _) = Log::open(dir.path(), options()).unwrap();
    log.append(vec![b"first".to_vec()]).unwrap();
    log.close().unwrap();
    assert!(verify(dir.path()).holds());
}

#[test]
fn a_read_only_home_can_be_verified_and_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::new(dir.path(), "4m") else { return };
    common::log_of(dir.path(), &[300]);
    disk.remount("ro");
    let opened = Log::open(dir.path(), options()).map(|_| ());
    assert!(matches!(opened, Err(LedgerError::ReadOnly { .. })), "{opened:?}");
    assert!(verify(dir.path()).holds());
    disk.remount("rw");
    let (log, recovery) = Log::open(dir.path(), options()).unwrap();
    assert_eq!(recovery.checkpoint_size, 300);
    log.close().unwrap();
}

#[test]
fn a_lock_that_cannot_be_opened_is_named_with_its_home() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join(ledger::LOCK);
    std::fs::create_dir(&lock).unwrap();
    let error = Log::open(dir.path(), options()).map(|_| ()).unwrap_err();
    assert!(error.to_string().ends_with(&format!("at {}", lock.display())), "{error}");
}
