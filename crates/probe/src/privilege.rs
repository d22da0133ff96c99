//! Whether this process may probe on this kernel, asked before anything is tried: the kernel itself answers only
//! `EPERM`.

use std::path::Path;

use crate::error::{Error, Result};

/// `include/uapi/linux/capability.h`. `CAP_SYS_ADMIN` stands for the other two.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_PERFMON", 38)];
const SYS_ADMIN: u32 = 21;

/// Says what is missing.
///
/// # Errors
/// [`Error::Privilege`], [`Error::Kernel`].
pub fn check() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    judge(&status)?;
    if !Path::new("/sys/bus/event_source/devices/uprobe/type").exists() {
        return Err(Error::Kernel { missing: "CONFIG_UPROBE_EVENTS (or /sys is not mounted)" });
    }
    Ok(())
}

fn judge(status: &str) -> Result<()> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let has = |number: u32| effective >> number & 1 == 1;
    match CAPABILITIES.iter().find(|(_, number)| !has(*number) && !has(SYS_ADMIN)) {
        Some((missing, _)) => Err(Error::Privilege { missing }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_capability_is_named() {
        let missing = |bits: u64| match judge(&format!("Name:\tx\nCapEff:\t{bits:016x}\n")) {
            Err(Error::Privilege { missing }) => Some(missing),
            _ => None,
        };
        assert_eq!(missing(0), Some("CAP_BPF"));
        assert_eq!(missing(1 << 39), Some("CAP_PERFMON"));
        assert_eq!(missing(1 << 39 | 1 << 38), None);
        assert_eq!(missing(1 << 21), None);
    }
}
