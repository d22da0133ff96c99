//! A control group (version 2) of our own, made below the one we are in. See `cgroups(7)`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::Pid;

/// A control group that is removed when the value is dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes a group below our own; fails where the hierarchy is absent or not ours to write.
    pub(super) fn create() -> io::Result<Self> {
        let own = own_group(
            &fs::read_to_string("/proc/self/mountinfo")?,
            &fs::read_to_string("/proc/self/cgroup")?,
        )
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no cgroup2 hierarchy is mounted"))?;
        // A group of the same name is left from a supervisor that was killed and had our number; it may be populated.
        let names = (0..16).map(|n| own.join(format!("custody-run-{}-{n}", std::process::id())));
        for path in names {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves `pid` in; its later children are born inside.
    pub(super) fn adopt(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    pub(super) fn members(&self) -> io::Result<Vec<Pid>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect())
    }

    /// Kills every process inside at once, however fast they fork (Linux 5.14).
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A group is busy for a moment after its last process was reaped.
        for _ in 0..50 {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
    }
}

/// The folder of the group we are in, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn own_group(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let inside = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mountinfo.lines().find_map(|line| {
        // proc_pid_mountinfo(5): id parent major:minor root mount-point options … - type source options
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then_some(())?;
        let mut fields = place.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let below = Path::new(inside).strip_prefix(root).ok()?;
        Some(Path::new(mount).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "25 30 0:22 / /sys rw shared:7 - sysfs sysfs rw\n\
        30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_own_group_is_found_from_the_kernels_tables() {
        let found = own_group(MOUNTS, "1:cpu:/x\n0::/system.slice/a.service\n");
        assert_eq!(found.unwrap(), Path::new("/sys/fs/cgroup/system.slice/a.service"));
        assert_eq!(own_group(MOUNTS, "1:cpu:/x\n"), None);
        assert_eq!(own_group("25 30 0:22 / /sys rw - sysfs sysfs rw\n", "0::/\n"), None);
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_is_respected() {
        let mounts = "30 25 0:26 /box /mnt/cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own_group(mounts, "0::/box/inner\n").unwrap(), Path::new("/mnt/cg/inner"));
        assert_eq!(own_group(mounts, "0::/elsewhere\n"), None);
    }
}
