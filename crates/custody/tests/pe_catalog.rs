//! `custody pe catalog`, judged by osslsigncode and OpenSSL, and the double check of catalogue and policy.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::pe::{authority, issue, missing, openssl, program};
use support::{Home, text};

/// A home, an authority, and `dist` with two programs, one of an odd length, and files that are none.
fn stage() -> Home {
    let home = Home::new();
    authority(home.folder());
    home.write("dist/app.exe", program(2));
    home.write("dist/lib/odd.dll", [program(1), b"seventeen bytes..".to_vec()].concat());
    home.write("dist/setup.ps1", "Write-Host hello\n");
    home.write("dist/empty.txt", "");
    home
}

const KEY: [&str; 4] = ["--key", "code.key.pem", "--cert", "code.pem"];

fn catalogue(home: &Home, more: &[&str]) {
    home.run(&[&["pe", "catalog", "create", "dist", "-o", "dist.cat"], more].concat(), 0);
    home.run(&[&["pe", "catalog", "sign", "dist.cat"][..], &KEY].concat(), 0);
}

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    let output = home.run(&[arguments, &["--json"]].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)))
}

fn osslsigncode(dir: &Path, line: &str) -> (bool, String) {
    let output = Command::new("osslsigncode").args(line.split(' ')).current_dir(dir).output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn osslsigncode_finds_files_in_our_catalogues() {
    if missing("osslsigncode_finds_files_in_our_catalogues", "osslsigncode") {
        return;
    }
    let home = stage();
    for members in ["1", "2"] {
        for pages in [&[][..], &["--page-hashes"]] {
            catalogue(&home, &[&["--members", members, "--os", "2:10.0"], pages].concat());
            for file in ["dist/app.exe", "dist/lib/odd.dll"] {
                let line = format!("verify -catalog dist.cat -CAfile root.pem -in {file}");
                let (ok, said) = osslsigncode(home.folder(), &line);
                assert!(ok && said.contains("Succeeded"), "members {members}, {file}: {said}");
            }
            home.write("other.exe", program(3));
            let (ok, said) =
                osslsigncode(home.folder(), "verify -catalog dist.cat -CAfile root.pem -in other.exe");
            assert!(!ok, "{said}");
            let (_, said) = osslsigncode(home.folder(), "verify -verbose -CAfile root.pem -in dist.cat");
            assert!(said.contains("app.exe") && said.contains("lib\\odd.dll"), "{said}");
            openssl(home.folder(), "pkcs7 -inform DER -in dist.cat -print_certs -noout");
        }
    }
}

#[test]
fn catalogues_that_osslsigncode_signed_are_believed() {
    if missing("catalogues_that_osslsigncode_signed_are_believed", "osslsigncode") {
        return;
    }
    let home = stage();
    home.run(&["pe", "catalog", "create", "dist", "-o", "dist.cat"], 0);
    let (ok, said) = osslsigncode(
        home.folder(),
        "sign -certs code.pem -key code.key.pem -h sha256 -in dist.cat -out theirs.cat",
    );
    assert!(ok, "{said}");
    let report = json(&home, &["pe", "catalog", "check", "theirs.cat", "dist", "--ca", "root.pem"], 0);
    assert_eq!(report["files"].as_array().unwrap().len(), 4);
    // Signed again by us, the list is the same, byte for byte.
    home.run(&[&["pe", "catalog", "sign", "theirs.cat", "-o", "ours.cat"][..], &KEY].concat(), 0);
    let list = |file: &str| home.run(&["pe", "catalog", "list", file, "--json"], 0).stdout;
    assert_eq!(list("ours.cat"), list("dist.cat"));
}

#[test]
fn a_catalogue_vouches_for_exactly_its_files() {
    let home = stage();
    catalogue(&home, &[]);
    let check = |what: &str, code| {
        json(&home, &["pe", "catalog", "check", "dist.cat", what, "--ca", "root.pem"], code)
    };
    let report = check("dist", 0);
    assert!(report["files"].as_array().unwrap().iter().all(|file| file["holds"] == true));
    assert_eq!(report["files"][2]["member"], "lib\\odd.dll");
    // Signed since, the image is the same; nothing else may change.
    home.run(&[&["pe", "sign", "dist/app.exe"][..], &KEY].concat(), 0);
    check("dist", 0);
    home.run(&["pe", "verify", "dist/app.exe", "--catalog", "dist.cat", "--ca", "root.pem"], 0);
    home.write("dist/setup.ps1", "Write-Host hell0\n");
    let report = check("dist", 1);
    let refused: Vec<_> =
        report["files"].as_array().unwrap().iter().filter(|file| file["holds"] == false).collect();
    assert_eq!((refused.len(), &refused[0]["file"]), (1, &"dist/setup.ps1".into()));
    home.run(&["pe", "verify", "dist/setup.ps1", "--catalog", "dist.cat", "--ca", "root.pem"], 1);
    // Without the authority, with a changed list, without a signature, nothing is vouched for.
    home.run(&["pe", "catalog", "verify", "dist.cat", "--ca", "root.pem"], 0);
    home.run(&["pe", "catalog", "verify", "dist.cat"], 1);
    let signed = std::fs::read(home.folder().join("dist.cat")).unwrap();
    let digest = hex::decode(&report["files"][0]["digest"].as_str().unwrap()["sha256:".len()..]).unwrap();
    let mut forged = signed.clone();
    for at in (0..signed.len() - 32).filter(|at| signed[*at..*at + 32] == digest[..]) {
        forged[at] ^= 1;
    }
    home.write("forged.cat", forged);
    let report = json(&home, &["pe", "catalog", "verify", "forged.cat", "--ca", "root.pem"], 1);
    assert!(report["fault"].as_str().unwrap().contains("does not verify"), "{report}");
    home.write("trailing.cat", [signed.as_slice(), b"more"].concat());
    home.run(&["pe", "catalog", "verify", "trailing.cat", "--ca", "root.pem"], 2);
    home.run(&["pe", "catalog", "create", "dist", "-o", "unsigned.cat"], 0);
    let report = json(&home, &["pe", "catalog", "check", "unsigned.cat", "dist", "--ca", "root.pem"], 1);
    assert_eq!(report["fault"], "nobody has signed it");
    // A member that goes by SHA-1 alone vouches only for those who ask for it.
    home.run(&["pe", "catalog", "create", "dist", "--members", "1", "-o", "old.cat"], 0);
    home.run(&[&["pe", "catalog", "sign", "old.cat"][..], &KEY].concat(), 0);
    home.run(&["pe", "catalog", "check", "old.cat", "dist", "--ca", "root.pem"], 1);
    home.run(&["pe", "catalog", "check", "old.cat", "dist", "--ca", "root.pem", "--sha1"], 0);
    let events = text(&home.run(&["audit", "query", "--act", "PE.CATALOG.", "--json"], 0).stdout);
    assert!(events.contains("PE.CATALOG.SIGNED") && events.contains("PE.CATALOG.REFUSED"), "{events}");
}

#[test]
fn the_same_files_and_time_give_the_same_catalogue() {
    let home = stage();
    let make = |name: &str, epoch: &str| {
        let output = home
            .command(&["pe", "catalog", "create", "dist", "-o", name, "--page-hashes"])
            .env("SOURCE_DATE_EPOCH", epoch)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(home.folder().join(name)).unwrap()
    };
    assert_eq!(make("one.cat", "1750000000"), make("two.cat", "1750000000"));
    assert_ne!(make("one.cat", "1750000000"), make("two.cat", "1750000001"));
    let wrong = home
        .command(&["pe", "catalog", "create", "dist", "-o", "x.cat"])
        .env("SOURCE_DATE_EPOCH", "yesterday")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let listed = json(&home, &["pe", "catalog", "list", "one.cat"], 0);
    assert_eq!((&listed["version"], &listed["made"]), (&2.into(), &"2025-06-15T15:06:40Z".into()));
    home.write("dist/x.cab", "MSCF....");
    home.run(&["pe", "catalog", "create", "dist", "-o", "x.cat"], 2);
}

/// Seed of the double check: neither a catalogue alone nor a policy alone lets a file pass.
#[test]
fn catalogue_and_policy_must_agree() {
    let home = stage();
    issue(home.folder(), "other", "RSA", "code", "root");
    home.run(&["seal", "create", "dist", "-o", "dist.seal.json"], 0);
    catalogue(&home, &[]);
    let build = |out: &str, more: &[&str]| {
        let base = ["pe", "policy", "build", "dist", "--seal", "dist.seal.json", "--all", "-o", out];
        home.run(&[&base, more].concat(), 0);
    };
    build("policy.xml", &[]);
    let check = |policy: &str, catalog: &str, code| {
        let arguments = ["pe", "policy", "check", policy, "dist", "--catalog", catalog, "--ca", "root.pem"];
        json(&home, &arguments, code)
    };
    let both = check("policy.xml", "dist.cat", 0);
    assert_eq!((both["files"].as_array().unwrap().len(), &both["audit"]), (4, &true.into()));
    // In its compiled form the same rules are in force.
    home.run(&["pe", "policy", "compile", "policy.xml", "-o", "policy.cip"], 0);
    check("policy.cip", "dist.cat", 0);
    // Only in the policy.
    home.run(&["pe", "catalog", "create", "dist/app.exe", "-o", "part.cat"], 0);
    home.run(&[&["pe", "catalog", "sign", "part.cat"][..], &KEY].concat(), 0);
    let report = check("policy.xml", "part.cat", 1);
    assert_eq!(report["files"][0]["agree"], true);
    assert_eq!(
        (&report["files"][2]["catalog"]["holds"], &report["files"][2]["policy"]["holds"]),
        (&false.into(), &true.into())
    );
    // Only in the catalogue.
    let xml = text(&std::fs::read(home.folder().join("policy.xml")).unwrap());
    let rule = both["files"][0]["policy"]["rule"].as_str().unwrap().to_owned();
    home.write("less.xml", xml.replace(&format!("<FileRuleRef RuleID=\"{rule}\" />"), ""));
    let report = check("less.xml", "dist.cat", 1);
    assert_eq!(
        (&report["files"][0]["catalog"]["holds"], &report["files"][0]["policy"]["holds"]),
        (&true.into(), &false.into())
    );
    // A signed policy must hold, too, and in the policy's signer as in the catalogue's somebody must be trusted.
    build("signed.xml", &["--updated-by", "code.pem"]);
    home.run(&[&["pe", "policy", "sign", "signed.xml", "-o", "signed.p7b"][..], &KEY].concat(), 0);
    check("signed.p7b", "dist.cat", 0);
    let mut forged = std::fs::read(home.folder().join("signed.p7b")).unwrap();
    let sha1_rule = text(&openssl(home.folder(), "dgst -sha1 -r dist/setup.ps1"));
    let digest = hex::decode(&sha1_rule[..40]).unwrap();
    let at = forged.windows(20).position(|window| window == digest).unwrap();
    forged[at] ^= 1;
    home.write("forged.p7b", forged);
    let report = check("forged.p7b", "dist.cat", 1);
    assert!(report["fault"].as_str().unwrap().starts_with("the policy does not hold"), "{report}");
    home.run(&["pe", "policy", "check", "signed.p7b", "dist", "--catalog", "dist.cat"], 1);
    // One changed byte in a file, and neither knows it.
    home.write("dist/setup.ps1", "Write-Host hell0\n");
    let report = check("policy.xml", "dist.cat", 1);
    let file = report["files"].as_array().unwrap().iter().find(|f| f["file"] == "dist/setup.ps1").unwrap();
    assert_eq!((&file["catalog"]["holds"], &file["policy"]["holds"]), (&false.into(), &false.into()));
}
