//! Signing and verifying Windows programs against osslsigncode: processor seconds, because both wait for a disk.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::Plan;
use crate::measure::{self, Row, custody};

/// A key, a certificate that signed itself, a large program and a folder of small ones.
const STAGE: &str = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=bench -days 30 \
    -addext extendedKeyUsage=codeSigning 2>/dev/null && mkdir small";

/// PE32+ with one section, the rest of its bytes behind it (PE Format).
fn program(size: usize) -> Vec<u8> {
    let mut out = vec![0u8; size.max(0x2000)];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x8664u16.to_le_bytes());
    put(0x86, &1u16.to_le_bytes());
    put(0x94, &240u16.to_le_bytes());
    put(0x98, &0x20bu16.to_le_bytes());
    put(0x98 + 32, &0x1000u32.to_le_bytes());
    put(0x98 + 36, &0x200u32.to_le_bytes());
    put(0x98 + 60, &0x400u32.to_le_bytes());
    put(0x98 + 108, &16u32.to_le_bytes());
    let raw = u32::try_from(size.max(0x2000) - 0x400).unwrap_or(u32::MAX);
    for (at, value) in [(8, raw), (12, 0x1000), (16, raw), (20, 0x400)] {
        put(0x188 + at, &value.to_le_bytes());
    }
    out
}

/// The entry: skipped by name when osslsigncode is not on this machine.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    if Command::new("osslsigncode").arg("--version").output().is_err() {
        eprintln!("bench: pe skipped: no osslsigncode");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    measure::run(Command::new("sh").args(["-ec", STAGE]).current_dir(dir))?;
    let (large, count) = if plan.sample { (1 << 20, 10) } else { (100 << 20, 1000) };
    std::fs::write(dir.join("large.exe"), program(large))?;
    for n in 0..count {
        std::fs::write(dir.join(format!("small/{n}.exe")), program(0x4000))?;
    }
    let what = format!("{} MB program", large >> 20);
    let key = "--key key.pem --cert cert.pem";
    let mut rows = Vec::new();
    for (name, ours, theirs) in [("sign", "", ""), ("sign with page hashes", "--page-hashes", "-ph")] {
        rows.push(row(
            plan,
            dir,
            &format!("{name}, {what}"),
            &format!("pe sign large.exe {key} -o ours.exe {ours}"),
            &format!("rm -f theirs.exe; osslsigncode sign -certs cert.pem -key key.pem -h sha256 {theirs} -in large.exe -out theirs.exe"),
        )?);
        rows.push(row(
            plan,
            dir,
            &format!("verify after {name}, {what}"),
            "pe verify ours.exe --ca cert.pem",
            "osslsigncode verify -CAfile cert.pem -in ours.exe",
        )?);
    }
    let files: Vec<_> = (0..count).map(|n| format!("small/{n}.exe")).collect();
    rows.push(row(
        plan,
        dir,
        &format!("sign {count} programs of 16 KiB in one call"),
        &format!("pe sign {} {key}", files.join(" ")),
        "for f in small/*.exe; do rm -f t; osslsigncode sign -certs cert.pem -key key.pem -h sha256 -in $f -out t; done",
    )?);
    Ok(rows)
}

fn row(plan: Plan, dir: &Path, what: &str, ours: &str, theirs: &str) -> Result<Row> {
    let custody = custody()?;
    Row::alternate(
        (what, "osslsigncode", "CPU s"),
        plan.rounds,
        || {
            let mut command = Command::new(&custody);
            command.args(["--home", "absent", "--quiet"]).args(ours.split_whitespace()).current_dir(dir);
            let cost = measure::run(&mut command)?;
            Ok((cost.cpu, Some(cost.peak_mib)))
        },
        || Ok(measure::run(Command::new("sh").args(["-ec", theirs]).current_dir(dir))?.cpu),
    )
}
