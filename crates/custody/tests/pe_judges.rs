//! Real Windows programs before independent judges: osslsigncode, signify, LIEF and wine's WinVerifyTrust.
//!
//! A sample in every run; everything there is, wine included, in `cargo xtask peers`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::judges::{self, Judges};
use support::pe::{authority, issue, program};
use support::{Home, text};

/// An authority, keys, and a folder `in` with the programs to sign.
fn stage(programs: &[PathBuf]) -> (Home, Vec<String>) {
    let home = Home::absent();
    authority(home.folder());
    issue(home.folder(), "p256", "P-256", "code", "root");
    for folder in ["in", "out"] {
        std::fs::create_dir(home.folder().join(folder)).unwrap();
    }
    let names = programs.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let names: Vec<_> = names.collect();
    for (path, name) in programs.iter().zip(&names) {
        std::fs::copy(path, home.folder().join("in").join(name)).unwrap();
    }
    (home, names)
}

fn within(folder: &str, names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}

fn sign(home: &Home, files: &[String], more: &[&str]) {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    home.run(&[&["pe", "sign", "--quiet"], &files[..], more].concat(), 0);
}

fn we_accept(home: &Home, file: &str) -> Result<(), String> {
    let output = home.command(&["pe", "verify", file, "--ca", "root.pem"]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
}

const RSA: [&str; 4] = ["--key", "code.key.pem", "--cert", "code.pem"];
const P256: [&str; 4] = ["--key", "p256.key.pem", "--cert", "p256.pem"];

/// What the rig has of real programs: all in the long form, the smaller ones otherwise.
fn real_programs(scratch: &Path) -> Vec<PathBuf> {
    let mut programs = judges::go_programs(scratch);
    if judges::thorough() {
        assert_eq!(programs.len(), 10, "a portable Go release for Windows has ten programs");
    } else {
        programs.truncate(3);
    }
    programs.extend(judges::launchers());
    programs
}

#[test]
fn everybody_accepts_what_we_sign() {
    let scratch = tempfile::tempdir().unwrap();
    let (home, names) = stage(&real_programs(scratch.path()));
    let mut judges = Judges::summon(&home);
    // RSA with page hashes; ECDSA without, and with a name; both, the second nested in the first.
    sign(&home, &within("in", &names), &[&RSA[..], &["--page-hashes", "-o", "out"]].concat());
    judges.all_accept(&within("out", &names));
    sign(&home, &within("in", &names), &[&P256[..], &["-o", "out", "--name", "Zahlungen – 付款"]].concat());
    judges.all_accept_ecdsa(&within("out", &names));
    sign(&home, &within("in", &names), &[&RSA[..], &["-o", "out"]].concat());
    sign(&home, &within("out", &names), &[&P256[..], &["--append", "--page-hashes"]].concat());
    judges.all_accept(&within("out", &names));
    for name in &names {
        we_accept(&home, &format!("out/{name}")).unwrap();
    }
    if names.contains(&"gofmt.exe".to_owned()) {
        home.write("main.go", "package main\nfunc  main( ) { }\n");
        let said = judges.run("out/gofmt.exe", &["main.go"]);
        assert!(said.is_none_or(|said| said.contains("func main() {}")), "a signed program still runs");
    }
}

#[test]
fn libraries_drivers_and_overlays_are_accepted() {
    let folder = Path::new("/usr/lib/x86_64-linux-gnu/wine");
    let mut programs = Vec::new();
    for machine in ["x86_64-windows", "i386-windows"] {
        for extension in ["sys", "dll", "exe", "cpl", "ocx"] {
            let found = judges::files(&folder.join(machine), extension);
            let step = if judges::thorough() { 1 } else { found.len().div_ceil(2).max(1) };
            programs.extend(found.into_iter().step_by(step));
        }
    }
    // Two machines have files of the same names.
    let scratch = tempfile::tempdir().unwrap();
    let mut renamed = Vec::new();
    for (at, path) in programs.iter().enumerate() {
        let name = scratch.path().join(format!("{at:04}-{}", path.file_name().unwrap().to_string_lossy()));
        std::fs::copy(path, &name).unwrap();
        renamed.push(name);
    }
    for (length, name) in [(1, "one"), (7, "seven"), (8, "eight"), (4099, "long")] {
        let name = scratch.path().join(format!("overlay-{name}.exe"));
        std::fs::write(&name, [program(2), vec![0x5a; length]].concat()).unwrap();
        renamed.push(name);
    }
    let (home, names) = stage(&renamed);
    let mut judges = Judges::summon(&home);
    sign(&home, &within("in", &names), &[&RSA[..], &["-o", "out"]].concat());
    judges.all_accept(&within("out", &names));
    for name in &names {
        we_accept(&home, &format!("out/{name}")).unwrap();
    }
}

#[test]
fn we_accept_real_programs_that_osslsigncode_signed() {
    if support::pe::missing("we_accept_real_programs_that_osslsigncode_signed", "osslsigncode") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (home, names) = stage(&real_programs(scratch.path()));
    for name in &names {
        for (step, more) in ["-h sha256 -ph", "-h sha384 -nest -n Name"].iter().enumerate() {
            let (from, to) = if step == 0 { ("in", "out") } else { ("out", "in") };
            let _ = std::fs::remove_file(home.folder().join(to).join(name));
            let line =
                format!("sign -certs code.pem -key code.key.pem {more} -in {from}/{name} -out {to}/{name}");
            let output =
                Command::new("osslsigncode").args(line.split(' ')).current_dir(home.folder()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{name}: {}", text(&output.stdout) + &text(&output.stderr));
            we_accept(&home, &format!("{to}/{name}")).unwrap();
        }
    }
}

/// Little-endian fields of the headers.
fn field(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Places in the signed range of a PE32+ file: all headers but the two fields left out, the ends of each section, and
/// what lies between.
fn signed_places(bytes: &[u8]) -> Vec<usize> {
    let pe = field(bytes, 0x3c);
    let optional = pe + 24;
    let (checksum, entry) = (optional + 64, optional + 112 + 4 * 8);
    let sections = field(bytes, pe + 4) >> 16;
    let table = optional + (field(bytes, pe + 20) & 0xffff);
    let end = field(bytes, entry);
    let mut places = vec![checksum - 1, checksum + 4, entry - 1, entry + 8, end - 1];
    for section in (0..sections).map(|at| table + 40 * at) {
        let (size, start) = (field(bytes, section + 16), field(bytes, section + 20));
        places.extend([section, section + 8, section + 39, start, start + size / 2, start + size - 1]);
    }
    let (header_step, step) = if judges::thorough() { (3, end / 97) } else { (17, end / 13) };
    places.extend((2..table).step_by(header_step).chain((table..end).step_by(step)));
    places
        .retain(|at| !(checksum..checksum + 4).contains(at) && !(entry..entry + 8).contains(at) && *at < end);
    places.sort_unstable();
    places.dedup();
    places
}

/// Where `needle` stands in `bytes`.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).unwrap()
}

/// Places in the signature: the digest of the image, the attributes' message digest, the signature's own bytes, which
/// are the last ones without a timestamp.
fn signature_places(bytes: &[u8]) -> Vec<usize> {
    let table = field(bytes, field(bytes, 0x3c) + 24 + 112 + 4 * 8);
    let pkcs7 = &bytes[table + 8..];
    let length = 4 + (usize::from(pkcs7[2]) << 8 | usize::from(pkcs7[3]));
    // 1.2.840.113549.1.9.4, messageDigest: SET, OCTET STRING of 32 bytes.
    let attribute = find(pkcs7, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04]) + 13;
    // The image's digest ends the content, before the certificates, [0].
    let image = find(pkcs7, &[0x04, 0x20]) + 2;
    let signature = length - 256;
    [image, image + 31, attribute, attribute + 31, signature, signature + 128, length - 1]
        .map(|at| table + 8 + at)
        .to_vec()
}

#[test]
fn one_changed_byte_in_the_signed_range_is_refused_by_everybody() {
    let Some(launcher) = judges::launchers().into_iter().find(|path| path.ends_with("t64.exe")) else {
        eprintln!("SKIPPED one_changed_byte: no launcher; `scripts/setup.sh test` brings it");
        return;
    };
    let (home, _) = stage(&[launcher]);
    let mut judges = Judges::summon(&home);
    sign(&home, &["in/t64.exe".to_owned()], &[&RSA[..], &["--page-hashes"]].concat());
    let signed = std::fs::read(home.folder().join("in/t64.exe")).unwrap();
    judges.all_accept(&["in/t64.exe".to_owned()]);
    let mut names = Vec::new();
    for at in signed_places(&signed).into_iter().chain(signature_places(&signed)) {
        let mut changed = signed.clone();
        changed[at] ^= 0x20;
        let name = format!("out/{at:06x}.exe");
        home.write(&name, &changed);
        assert!(we_accept(&home, &name).is_err(), "byte {at:#x} is changed, and the file holds");
        names.push(name);
    }
    let mut lenient = Vec::new();
    for (name, opinions) in names.iter().zip(judges.opinions(&names)) {
        lenient.extend(opinions.iter().filter(|o| o.accepts).map(|o| format!("{} {name}", o.judge)));
    }
    assert!(lenient.is_empty(), "{} places: {lenient:?}", names.len());
}

/// The checksum is in no digest, and so is the filling behind the PKCS #7, where custody is stricter than the others:
/// only zeros may stand there (CVE-2013-3900).
#[test]
fn bytes_outside_the_signed_range_are_judged_as_the_specification_says() {
    let (home, _) = stage(&[]);
    home.write("in/app.exe", program(3));
    let mut judges = Judges::summon(&home);
    // Until the PKCS #7 is no multiple of eight, so that there is a filling.
    let (signed, filling) = (1..9)
        .find_map(|length| {
            let name = "n".repeat(length);
            sign(&home, &["in/app.exe".to_owned()], &[&RSA[..], &["--name", &name]].concat());
            let signed = std::fs::read(home.folder().join("in/app.exe")).unwrap();
            let pkcs7 = &signed[program(3).len() + 8..];
            let end = 4 + (usize::from(pkcs7[2]) << 8 | usize::from(pkcs7[3]));
            let filling = pkcs7.len() - end;
            (filling > 0).then_some((signed, filling))
        })
        .unwrap();
    let changed = |name: &str, at: usize| {
        let mut changed = signed.clone();
        changed[at] ^= 0x20;
        home.write(name, &changed);
    };
    changed("checksum.exe", 0x98 + 64);
    let report = home.run(&["pe", "verify", "checksum.exe", "--ca", "root.pem", "--json"], 0);
    assert!(text(&report.stdout).contains(r#""rule":"checksum""#), "it is remarked on");
    judges.all_accept(&["checksum.exe".to_owned()]);
    changed("filling.exe", signed.len() - filling);
    let refused = we_accept(&home, "filling.exe").unwrap_err();
    assert!(refused.contains("CVE-2013-3900"), "{refused}");
    // The entry that says where the table is: whoever follows it finds no signature, or bytes behind it.
    for (name, at) in [("entry.exe", 0x98 + 112 + 32), ("size.exe", 0x98 + 112 + 36)] {
        changed(name, at);
        assert!(we_accept(&home, name).is_err());
    }
    for opinions in judges.opinions(&["entry.exe", "size.exe"].map(str::to_owned)) {
        for opinion in opinions {
            assert!(!opinion.accepts, "{opinion:?}");
        }
    }
}

/// What Go makes beside 64-bit programs: PE32, and a library by way of cgo. Only in the long form: both take a build of
/// Go's own packages.
#[test]
fn what_go_builds_for_other_shapes_is_accepted() {
    if !judges::thorough() {
        eprintln!("SKIPPED what_go_builds_for_other_shapes_is_accepted: only in `cargo xtask peers`");
        return;
    }
    let (home, _) = stage(&[]);
    let source =
        "package main\n\nimport \"C\"\n\n//export Three\nfunc Three() int { return 3 }\n\nfunc main() {}\n";
    home.write("library/main.go", source);
    home.write("program/main.go", "package main\n\nfunc main() { println(\"thirty-two bits\") }\n");
    for (folder, output, more) in [
        ("program", "p32.exe", &[("GOARCH", "386"), ("CGO_ENABLED", "0")][..]),
        (
            "library",
            "lib.dll",
            &[("GOARCH", "amd64"), ("CGO_ENABLED", "1"), ("CC", "x86_64-w64-mingw32-gcc")],
        ),
    ] {
        let mode = if output == "lib.dll" { "c-shared" } else { "exe" };
        let built = Command::new(std::env::var_os("CUSTODY_GO").unwrap())
            .args(["build", "-buildmode", mode, "-o", &format!("../in/{output}"), "main.go"])
            .current_dir(home.folder().join(folder))
            .envs([("GOOS", "windows"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", ""), ("GO111MODULE", "off")])
            .envs(more.iter().copied())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", text(&built.stderr));
    }
    let mut judges = Judges::summon(&home);
    let files = ["in/p32.exe", "in/lib.dll"].map(str::to_owned);
    for more in [&[][..], &["--page-hashes"], &["--append"]] {
        sign(&home, &files, &[&RSA[..], more].concat());
        judges.all_accept(&files);
        for file in &files {
            we_accept(&home, file).unwrap();
        }
    }
}
