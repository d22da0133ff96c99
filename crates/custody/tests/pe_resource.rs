//! `custody pe resource` on a program that Go built, read back by LIEF and icoutils, and run under wine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::judges::{Judges, go_programs};
use support::pe::{authority, missing, program};
use support::{Home, text};

/// `gofmt` of the Go release for Windows, if it is here: what it does with a file shows that it runs.
fn go_program(home: &Home) -> Option<PathBuf> {
    let folder = home.folder().join("go");
    std::fs::create_dir(&folder).unwrap();
    let program = go_programs(&folder).into_iter().find(|program| program.ends_with("gofmt.exe"))?;
    let target = home.folder().join("app.exe");
    std::fs::rename(program, &target).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    Some(target)
}

/// An icon of one picture: 16 by 16, 32 bits, all red, with its mask.
fn icon() -> Vec<u8> {
    let mut bitmap = Vec::new();
    for field in [40u32, 16, 32, 32 << 16 | 1, 0, 16 * 16 * 4 + 64, 0, 0, 0, 0] {
        bitmap.extend(field.to_le_bytes());
    }
    bitmap.extend([0u8, 0, 255, 255].repeat(256));
    bitmap.extend([0; 64]);
    let length = u32::try_from(bitmap.len()).unwrap().to_le_bytes();
    [&[0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 0, 0, 0, 0][..], &length, &22u32.to_le_bytes(), &bitmap].concat()
}

fn show(home: &Home, file: &str) -> Value {
    serde_json::from_slice(&home.run(&["pe", "resource", "show", file, "--json"], 0).stdout).unwrap()
}

fn kinds(shown: &Value) -> Vec<&str> {
    shown["resources"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect()
}

const SET: &[&str] = &[
    "pe",
    "resource",
    "set",
    "app.exe",
    "--string",
    "CompanyName=Zahlungen GmbH – 付款",
    "--file-version",
    "1.2.3.4",
    "--default-manifest",
    "--icon",
    "app.ico",
    "--time",
    "2026-11-20T08:30:00Z",
];

/// What LIEF finds, without any reader of ours.
const LIEF: &str = r#"
import json, sys, lief
lief.logging.disable()
p = lief.PE.parse(sys.argv[1])
m = p.resources_manager
v = m.version if isinstance(m.version, list) else [m.version]
s = {e.key: e.value for t in v[0].string_file_info.children for e in t.entries}
print(json.dumps({
    "version": s, "manifest": m.manifest, "icons": [[i.width, i.height, i.bit_count, len(bytes(i.pixels))] for i in m.icons],
    "time": p.header.time_date_stamps, "checksum": p.optional_header.checksum == p.compute_checksum(),
    "sections": [s.name for s in p.sections],
}))
"#;

fn lief(file: &Path) -> Option<Value> {
    let rig: PathBuf = std::env::var_os("CUSTODY_RIG_DIR").unwrap_or_default().into();
    let own = rig.join("pe-judges/bin/python");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let found = Command::new(&python).args(["-c", "import lief"]).output().is_ok_and(|o| o.status.success());
    if !found {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "LIEF is needed");
        eprintln!("SKIPPED LIEF as a reader of resources: it is not here");
        return None;
    }
    let output = Command::new(python).args(["-c", LIEF]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_program_of_go_gets_what_go_leaves_out() {
    let home = Home::new();
    let Some(app) = go_program(&home) else { return };
    home.write("app.ico", icon());
    assert!(kinds(&show(&home, "app.exe")).is_empty(), "Go leaves resources out");
    let before = std::fs::read(&app).unwrap();
    home.run(SET, 0);
    let after = std::fs::read(&app).unwrap();
    let shown = show(&home, "app.exe");
    assert_eq!(kinds(&shown), ["icon", "icon group", "version", "manifest"]);
    let said = |name: &str| {
        let strings = shown["version"]["strings"].as_array().unwrap();
        strings.iter().find(|text| text["name"] == name).map(|text| text["text"].as_str().unwrap().to_owned())
    };
    assert_eq!(said("CompanyName").unwrap(), "Zahlungen GmbH – 付款");
    assert_eq!(
        (said("FileVersion").unwrap(), said("OriginalFilename").unwrap()),
        ("1.2.3.4".into(), "app.exe".into())
    );
    assert!(said("ProductName").is_some_and(|name| !name.is_empty()), "from Go's own build information");
    if let Some(lief) = lief(&app) {
        assert_eq!(lief["version"]["CompanyName"], "Zahlungen GmbH – 付款");
        assert!(lief["manifest"].as_str().unwrap().contains("asInvoker"));
        assert_eq!(lief["icons"][0][0], 16);
        assert_eq!((&lief["time"], &lief["checksum"]), (&1_795_163_400.into(), &true.into()));
        assert_eq!(lief["sections"].as_array().unwrap().last().unwrap(), ".rsrc");
    }
    if !missing("icoutils read our resources", "wrestool") {
        let list = Command::new("wrestool").arg("-l").arg(&app).output().unwrap();
        let list = text(&list.stdout);
        for kind in ["--type=3", "--type=14", "--type=16", "--type=24"] {
            assert!(list.contains(kind), "{list}");
        }
        let back = Command::new("wrestool").args(["-x", "--type=14"]).arg(&app).output().unwrap();
        assert_eq!(back.stdout[22..icon().len()], icon()[22..], "the icon comes out as it went in");
    }
    // The same input gives the same file, and the second time nothing changes.
    home.run(SET, 0);
    assert_eq!(std::fs::read(&app).unwrap(), after);
    home.write("app.exe", &before);
    home.run(SET, 0);
    assert_eq!(std::fs::read(&app).unwrap(), after);
    // Without the section and the fields of the headers it is the same program.
    assert_eq!(before[0x600..], after[0x600..before.len()]);
    // It is signed afterwards, and runs.
    authority(home.folder());
    home.run(&["pe", "sign", "app.exe", "--key", "code.key.pem", "--cert", "code.pem"], 0);
    let mut judges = Judges::summon(&home);
    judges.all_accept(&["app.exe".to_owned()]);
    home.write("x.go", "package  main\n");
    if let Some(printed) = judges.run("app.exe", &["x.go"]) {
        assert_eq!(printed, "package main\n");
    }
    // And refused from then on, unless the signature may go.
    let refused = home.run(SET, 2);
    assert!(text(&refused.stderr).contains("--drop-signature"), "{}", text(&refused.stderr));
    home.run(&[SET, &["--drop-signature"]].concat(), 0);
    assert_eq!(std::fs::read(&app).unwrap()[..before.len()], after[..before.len()]);
}

#[test]
fn the_time_is_that_of_the_source() {
    let home = Home::absent();
    home.write("app.exe", program(1));
    let run = |epoch: &str| {
        let mut command = home.command(&["pe", "resource", "set", "app.exe", "-o", "out.exe", "--json"]);
        let output = command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, _) = run("1750000000");
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["time_date_stamp"], 1_750_000_000);
    assert_eq!(
        std::fs::read(home.folder().join("out.exe")).unwrap()[0x88..0x8c],
        1_750_000_000u32.to_le_bytes()
    );
    let (code, _, remark) = run("");
    assert!(code == Some(0) && remark.contains("the header has no time"), "{remark}");
    assert_eq!(run("5000000000").0, Some(2), "after 2106");
    assert_eq!(run("soon").0, Some(2));
}

#[test]
fn what_would_not_start_is_refused() {
    let home = Home::absent();
    home.write("app.exe", program(1));
    let before = program(1);
    for (name, bytes) in [
        ("cut.xml", &b"<assembly><trustInfo></assembly>"[..]),
        ("open.xml", b"<assembly><trustInfo>"),
        ("other.xml", b"<policy/>"),
        ("empty.xml", b""),
    ] {
        home.write(name, bytes);
        home.run(&["pe", "resource", "set", "app.exe", "--manifest", name], 2);
    }
    home.write("cut.ico", &icon()[..100]);
    home.run(&["pe", "resource", "set", "app.exe", "--icon", "cut.ico"], 2);
    home.run(&["pe", "resource", "set", "app.exe", "--file-version", "1.2.3.70000"], 2);
    home.run(&["pe", "resource", "set", "app.exe", "--rights", "highest"], 2);
    home.write("text.exe", "no program");
    home.run(&["pe", "resource", "set", "text.exe"], 2);
    assert_eq!(std::fs::read(home.folder().join("app.exe")).unwrap(), before);
    // A library has its manifest under another number.
    let mut library = program(1);
    library[0x97] |= 0x20;
    home.write("lib.dll", library);
    home.write("own.xml", "<?xml version=\"1.0\"?><assembly xmlns=\"urn:schemas-microsoft-com:asm.v1\"/>");
    home.run(&["pe", "resource", "set", "lib.dll", "--manifest", "own.xml"], 0);
    let shown = show(&home, "lib.dll");
    let manifest =
        shown["resources"].as_array().unwrap().iter().find(|one| one["kind"] == "manifest").unwrap();
    assert_eq!(manifest["name"], "2");
}
