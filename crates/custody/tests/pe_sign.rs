//! `custody pe sign` and `verify`, held against osslsigncode in both directions, and against every changed byte.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;

use support::pe::{authority, issue, missing, openssl, program};
use support::{Home, text};

/// A folder with an authority, `code` (RSA), `p256`, `p384` and `other`, which nobody trusts.
fn stage() -> Home {
    let home = Home::absent();
    authority(home.folder());
    issue(home.folder(), "p256", "P-256", "code", "root");
    issue(home.folder(), "p384", "P-384", "code", "root");
    home.write("app.exe", program(3));
    home
}

fn sign(home: &Home, file: &str, key: &str, more: &[&str]) {
    let (pem, cert) = (format!("{key}.key.pem"), format!("{key}.pem"));
    home.run(&[&["pe", "sign", file, "--key", &pem, "--cert", &cert], more].concat(), 0);
}

fn verify(home: &Home, file: &str, code: i32) -> serde_json::Value {
    let output = home.run(&["pe", "verify", file, "--ca", "root.pem", "--json"], code);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rules(report: &serde_json::Value) -> Vec<String> {
    let lists = [&report["findings"]]
        .into_iter()
        .chain(report["signatures"].as_array().unwrap().iter().map(|signature| &signature["findings"]));
    lists.flat_map(|list| list.as_array().unwrap()).map(|f| f["rule"].as_str().unwrap().to_owned()).collect()
}

fn osslsigncode(dir: &Path, line: &str) -> (bool, String) {
    let output = Command::new("osslsigncode").args(line.split(' ')).current_dir(dir).output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn osslsigncode_accepts_what_we_sign() {
    if missing("osslsigncode_accepts_what_we_sign", "osslsigncode") {
        return;
    }
    let home = stage();
    home.write("overlay.exe", [program(1), b"seventeen bytes..".to_vec()].concat());
    for (file, key, more) in [
        ("app.exe", "code", &[][..]),
        (
            "app.exe",
            "code",
            &["--digest", "sha384", "--name", "Zahlungen – 付款", "--url", "https://example.com/"],
        ),
        ("app.exe", "p256", &["--page-hashes"]),
        ("app.exe", "p384", &["--page-hashes", "--name", "Payments"]),
        ("overlay.exe", "p256", &["--page-hashes"]),
    ] {
        sign(&home, file, key, &[&["-o", "signed.exe"], more].concat());
        let (ok, said) = osslsigncode(home.folder(), "verify -CAfile root.pem -in signed.exe");
        assert!(ok && said.contains("Succeeded"), "{file} by {key}: {said}");
        assert!(!said.contains("MISMATCH"), "{said}");
        assert_eq!(said.contains("Page hash"), more.contains(&"--page-hashes"), "{said}");
        let report = verify(&home, "signed.exe", 0);
        assert_eq!(report["checksum"]["stored"], report["checksum"]["computed"]);
        // Signed again, the old signature makes place for the new one, and the image stays the same.
        sign(&home, "signed.exe", "p256", &[]);
        let again = verify(&home, "signed.exe", 0);
        assert_eq!(again["signatures"].as_array().unwrap().len(), 1);
        let (ok, said) = osslsigncode(home.folder(), "verify -CAfile root.pem -in signed.exe");
        assert!(ok, "{said}");
    }
}

#[test]
fn we_accept_what_osslsigncode_signs() {
    if missing("we_accept_what_osslsigncode_signs", "osslsigncode") {
        return;
    }
    let home = stage();
    for more in ["-h sha256", "-h sha384 -n Name -i https://example.com/", "-h sha256 -ph", "-h sha512 -comm"]
    {
        let _ = std::fs::remove_file(home.folder().join("theirs.exe"));
        let line = format!("sign -certs code.pem -key code.key.pem {more} -in app.exe -out theirs.exe");
        let (ok, said) = osslsigncode(home.folder(), &line);
        assert!(ok, "{said}");
        let report = verify(&home, "theirs.exe", 0);
        if more.contains("-n") {
            assert_eq!(report["signatures"][0]["name"], "Name");
            assert_eq!(report["signatures"][0]["url"], "https://example.com/");
        }
        assert_eq!(report["signatures"][0]["page_hashes"].is_string(), more.contains("-ph"));
    }
    let (ok, said) = osslsigncode(
        home.folder(),
        "sign -certs code.pem -key code.key.pem -h sha1 -in app.exe -out weak.exe",
    );
    assert!(ok, "{said}");
    assert_eq!(rules(&verify(&home, "weak.exe", 1)), ["weak-digest"]);
}

#[test]
fn signatures_are_nested_and_judged_each_on_its_own() {
    if missing("signatures_are_nested_and_judged_each_on_its_own", "osslsigncode") {
        return;
    }
    let home = stage();
    issue(home.folder(), "server", "P-256", "server", "root");
    sign(&home, "app.exe", "server", &[]);
    let report = verify(&home, "app.exe", 1);
    assert_eq!(rules(&report), ["extended-key-usage"]);
    sign(&home, "app.exe", "p384", &["--append", "--page-hashes"]);
    sign(&home, "app.exe", "code", &["--append"]);
    let report = verify(&home, "app.exe", 0);
    let holds = |at: usize| {
        let signature = &report["signatures"][at];
        (signature["place"].as_str().unwrap(), signature["holds"].as_bool().unwrap())
    };
    assert_eq!([holds(0), holds(1), holds(2)], [("1", false), ("1.1", true), ("1.2", true)]);
    let (_, said) = osslsigncode(home.folder(), "verify -CAfile root.pem -in app.exe");
    assert_eq!(said.matches("Signature verification: ok").count(), 2, "{said}");
}

/// One byte after the other is changed: whatever it is, the file does not hold, unless the specification leaves that
/// byte out of every digest: the checksum and the directory entry of the table (which then points elsewhere).
#[test]
fn a_changed_byte_is_refused() {
    let home = stage();
    sign(&home, "app.exe", "p256", &["--page-hashes"]);
    let signed = std::fs::read(home.folder().join("app.exe")).unwrap();
    let unsigned = program(3).len();
    let table = unsigned + 8;
    let checksum = 0x98 + 64..0x98 + 68;
    let offsets =
        (0..0x400).step_by(5).chain((0x400..unsigned).step_by(331)).chain((table..signed.len()).step_by(3));
    for at in offsets.chain(checksum.clone()) {
        let mut changed = signed.clone();
        changed[at] ^= 0x20;
        home.write("changed.exe", &changed);
        let code = home
            .command(&["pe", "verify", "changed.exe", "--ca", "root.pem"])
            .output()
            .unwrap()
            .status
            .code()
            .unwrap();
        if checksum.contains(&at) {
            assert_eq!(code, 0, "the checksum is in no digest");
        } else {
            assert!(code == 1 || code == 2, "byte {at:#x} changed, exit code {code}");
        }
    }
}

#[test]
fn bytes_that_nobody_signed_are_refused() {
    let home = stage();
    sign(&home, "app.exe", "p256", &[]);
    let signed = std::fs::read(home.folder().join("app.exe")).unwrap();
    let table = program(3).len();
    // CVE-2013-3900: the table grows, the PKCS #7 does not.
    let mut carrier = signed.clone();
    carrier.extend(b"payload.payload.");
    let size = u32::try_from(carrier.len() - table).unwrap().to_le_bytes();
    carrier[table..table + 4].copy_from_slice(&size);
    carrier[0x98 + 148..0x98 + 152].copy_from_slice(&size);
    home.write("carrier.exe", &carrier);
    assert_eq!(rules(&verify(&home, "carrier.exe", 1))[0], "bytes-after-signature");
    // Behind the table the headers do not know of them at all.
    home.write("behind.exe", [signed.as_slice(), b"payload."].concat());
    let refused = home.run(&["pe", "verify", "behind.exe", "--ca", "root.pem"], 2);
    assert!(text(&refused.stderr).contains("8 bytes stand behind its certificate table"));
}

#[test]
fn the_rule_and_the_certificate_that_fail_are_named() {
    let home = stage();
    let dir = home.folder();
    issue(dir, "silent", "P-256", "silent", "root");
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout alone.key.pem -subj /CN=alone -days 30 -out alone.pem -addext extendedKeyUsage=codeSigning",
    );
    issue(dir, "below", "P-256", "code", "code");
    for (key, rule, subject) in [
        ("silent", "extended-key-usage", "O=Custody,CN=silent"),
        ("alone", "self-signed-untrusted", "CN=alone"),
        ("below", "issuer-unknown", "O=Custody,CN=below"),
    ] {
        sign(&home, "app.exe", key, &["-o", "bad.exe"]);
        let report = verify(&home, "bad.exe", 1);
        assert_eq!(rules(&report), [rule]);
        assert_eq!(report["signatures"][0]["findings"][0]["certificate"], subject);
    }
    // With the issuer at hand the path goes further, to the certificate that may not issue.
    sign(&home, "app.exe", "below", &["-o", "bad.exe", "--ac", "code.pem"]);
    let report = verify(&home, "bad.exe", 1);
    assert_eq!(rules(&report), ["not-an-authority"]);
    assert_eq!(report["signatures"][0]["findings"][0]["certificate"], "O=Custody,CN=code");
    // Of another time.
    sign(&home, "app.exe", "p256", &["-o", "good.exe"]);
    for (at, rule) in [("2020-01-01T00:00:00Z", "not-yet-valid"), ("2100-01-01T00:00:00Z", "expired")] {
        let arguments = ["pe", "verify", "good.exe", "--ca", "root.pem", "--json", "--at", at];
        let report = serde_json::from_slice(&home.run(&arguments, 1).stdout).unwrap();
        assert_eq!(rules(&report), [rule]);
    }
    let kernel = home.run(&["pe", "verify", "good.exe", "--ca", "root.pem", "--json", "--kernel"], 1);
    assert_eq!(rules(&serde_json::from_slice(&kernel.stdout).unwrap()), ["kernel-root"]);
    assert_eq!(
        rules(&serde_json::from_slice(&home.run(&["pe", "verify", "app.exe", "--json"], 1).stdout).unwrap()),
        ["unsigned"]
    );
}

/// `/ac` of signtool: with the certificate that an older authority issued for the key of ours, a system that knows the
/// older one only finds its way, and so does every other.
#[test]
fn a_cross_certificate_leads_to_an_older_root() {
    let home = stage();
    let dir = home.folder();
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout old.key.pem -subj /CN=Old -days 30 -out old.pem -addext basicConstraints=critical,CA:true",
    );
    openssl(
        dir,
        "x509 -req -in root.csr -CA old.pem -CAkey old.key.pem -CAcreateserial -days 30 -extfile ext.cnf -extensions root -out cross.pem",
    );
    sign(&home, "app.exe", "code", &["-o", "plain.exe"]);
    home.run(&["pe", "verify", "plain.exe", "--ca", "old.pem"], 1);
    sign(&home, "app.exe", "code", &["-o", "cross.exe", "--ac", "cross.pem"]);
    for anchor in ["old.pem", "root.pem"] {
        home.run(&["pe", "verify", "cross.exe", "--ca", anchor], 0);
    }
    if !missing("a_cross_certificate_leads_to_an_older_root", "osslsigncode") {
        let (ok, said) = osslsigncode(dir, "verify -CAfile old.pem -in cross.exe");
        assert!(ok && said.contains("Succeeded"), "{said}");
    }
}

#[test]
fn revocation_lists_and_responses_are_believed_when_they_hold() {
    let home = stage();
    let dir = home.folder();
    sign(&home, "app.exe", "p256", &[]);
    let database = "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=30\n";
    home.write("ca.cnf", database);
    home.write("index.txt", "");
    home.write("number", "01\n");
    openssl(dir, "ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key.pem -out empty.crl");
    let ask = |file: &str, kind: &str, code: i32| {
        let output = home.run(&["pe", "verify", "app.exe", "--ca", "root.pem", kind, file, "--json"], code);
        rules(&serde_json::from_slice(&output.stdout).unwrap())
    };
    assert_eq!(ask("empty.crl", "--crl", 0), ["revocation-known"]);
    openssl(
        dir,
        "ca -config ca.cnf -revoke p256.pem -crl_reason keyCompromise -cert root.pem -keyfile root.key.pem",
    );
    openssl(dir, "ca -config ca.cnf -gencrl -cert root.pem -keyfile root.key.pem -out full.crl");
    assert_eq!(ask("full.crl", "--crl", 1), ["revoked"]);
    // A list that somebody else signed in the authority's name says nothing.
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout false.key.pem -subj /CN=Root -days 30 -out false.pem",
    );
    openssl(dir, "ca -config ca.cnf -gencrl -cert false.pem -keyfile false.key.pem -out false.crl");
    assert_eq!(ask("false.crl", "--crl", 0), ["revocation-unusable"]);
    // The same by OCSP, from the authority itself.
    openssl(dir, "ocsp -sha256 -issuer root.pem -cert p256.pem -reqout request.der -no_nonce");
    let answer =
        "ocsp -index index.txt -CA root.pem -rsigner root.pem -rkey root.key.pem -reqin request.der -respout";
    openssl(dir, &format!("{answer} revoked.ocsp -ndays 7"));
    assert_eq!(ask("revoked.ocsp", "--ocsp", 1), ["revoked"]);
    // In the database a line begins with the state, and the third field is when it was revoked.
    let line = text(&std::fs::read(dir.join("index.txt")).unwrap());
    let mut fields: Vec<_> = line.split('\t').collect();
    (fields[0], fields[2]) = ("V", "");
    home.write("index.txt", fields.join("\t"));
    openssl(dir, &format!("{answer} good.ocsp -ndays 7"));
    assert_eq!(ask("good.ocsp", "--ocsp", 0), ["revocation-known"]);
}

#[test]
fn passwords_come_from_files_and_many_files_are_signed_in_one_call() {
    let home = stage();
    let dir = home.folder();
    openssl(
        dir,
        "pkcs12 -export -inkey p384.key.pem -in p384.pem -certfile root.pem -passout pass:secret -out p384.p12",
    );
    openssl(dir, "pkcs8 -topk8 -in code.key.pem -passout pass:secret -out locked.pem");
    home.write("password", "secret\nanother line\n");
    home.write("wrong", "Secret\n");
    std::fs::create_dir(dir.join("out")).unwrap();
    for n in 0..5 {
        home.write(&format!("{n}.dll"), program(n + 1));
    }
    let files = ["0.dll", "1.dll", "2.dll", "3.dll", "4.dll"];
    let p12 = ["--p12", "p384.p12", "--password-file", "password", "-o", "out", "--json"];
    let output = home.run(&[&["pe", "sign"], &files[..], &p12].concat(), 0);
    assert_eq!(text(&output.stdout).lines().count(), 5);
    for file in files {
        verify(&home, &format!("out/{file}"), 0);
        assert_eq!(std::fs::read(dir.join(file)).unwrap().len() % 8, 0, "the originals are as they were");
    }
    home.run(&["pe", "sign", "0.dll", "--p12", "p384.p12", "--password-file", "wrong"], 2);
    home.run(
        &["pe", "sign", "0.dll", "--key", "locked.pem", "--cert", "code.pem", "--password-file", "password"],
        0,
    );
    home.run(
        &["pe", "sign", "1.dll", "--key", "locked.pem", "--cert", "code.pem", "--password-file", "wrong"],
        2,
    );
    // Without a terminal nobody is asked, and nothing hangs.
    let unasked = home.command(&["pe", "sign", "1.dll", "--p12", "p384.p12"]).output().unwrap();
    assert!([Some(2), Some(0)].contains(&unasked.status.code()));
    assert_eq!(std::fs::read(dir.join("1.dll")).unwrap(), program(2));
}

#[test]
fn what_cannot_be_signed_is_left_as_it_was() {
    let home = stage();
    home.write("text.exe", "#!/bin/sh\n");
    home.write("cut.exe", &program(1)[..0x100]);
    for file in ["text.exe", "cut.exe"] {
        let before = std::fs::read(home.folder().join(file)).unwrap();
        home.run(&["pe", "sign", file, "--key", "code.key.pem", "--cert", "code.pem"], 2);
        assert_eq!(std::fs::read(home.folder().join(file)).unwrap(), before);
    }
    // Over 4 GiB: a reason, not a corrupt file. The file is a hole.
    let large = std::fs::File::create(home.folder().join("large.exe")).unwrap();
    std::io::Write::write_all(&mut &large, &program(1)).unwrap();
    large.set_len((4 << 30) + 1).unwrap();
    let refused = home.run(&["pe", "sign", "large.exe", "--key", "code.key.pem", "--cert", "code.pem"], 2);
    assert!(text(&refused.stderr).contains("larger than 4 GiB"));
    // The certificate of another key, and a digest that is not the key's.
    home.run(&["pe", "sign", "app.exe", "--key", "code.key.pem", "--cert", "p256.pem"], 2);
    home.run(
        &["pe", "sign", "app.exe", "--key", "p256.key.pem", "--cert", "p256.pem", "--digest", "sha384"],
        2,
    );
    let leftovers: Vec<_> = std::fs::read_dir(home.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn mode_and_link_are_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = stage();
    let file = home.folder().join("app.exe");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("app.exe", home.folder().join("link.exe")).unwrap();
    sign(&home, "link.exe", "p256", &[]);
    assert!(home.folder().join("link.exe").is_symlink());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o750);
    verify(&home, "app.exe", 0);
}

/// osslsigncode and `openssl cms` do not know SM2: the signature is judged by `openssl dgst` over the attributes.
#[test]
fn sm2_signatures_are_judged_by_openssl() {
    let home = stage();
    let dir = home.folder();
    openssl(dir, "genpkey -algorithm SM2 -out sm2.key.pem");
    openssl(dir, "req -new -key sm2.key.pem -subj /CN=sm2 -sm3 -sigopt distid:1234567812345678 -out sm2.csr");
    openssl(
        dir,
        "x509 -req -in sm2.csr -CA root.pem -CAkey root.key.pem -CAcreateserial -days 30 -extfile ext.cnf -extensions code -vfyopt distid:1234567812345678 -out sm2.pem",
    );
    openssl(dir, "pkcs12 -export -inkey sm2.key.pem -in sm2.pem -passout pass:x -out sm2.p12");
    home.write("password", "x");
    for source in [
        &["--key", "sm2.key.pem", "--cert", "sm2.pem"][..],
        &["--p12", "sm2.p12", "--password-file", "password"],
    ] {
        home.run(&[&["pe", "sign", "app.exe", "-o", "sm2.exe"], source].concat(), 0);
        let report = verify(&home, "sm2.exe", 0);
        assert_eq!(report["signatures"][0]["digest"]["algorithm"], "sm3");
        // The image's digest, by OpenSSL: the file without checksum, directory entry and table.
        let signed = std::fs::read(dir.join("sm2.exe")).unwrap();
        let content =
            [&signed[..0xd8], &signed[0xdc..0x98 + 144], &signed[0x98 + 152..program(3).len()]].concat();
        home.write("content", content);
        let digest = text(&openssl(dir, "dgst -sm3 -r content"));
        assert_eq!(report["signatures"][0]["digest"]["value"].as_str().unwrap(), &digest[..64]);
        // The signature, by OpenSSL: `[0]` with the attributes becomes the SET that was signed (RFC 5652 §5.4).
        let table = &signed[program(3).len() + 8..];
        let (attributes, signature) = attributes_and_signature(table);
        home.write("attributes", attributes);
        home.write("signature", signature);
        openssl(dir, "pkey -in sm2.key.pem -pubout -out sm2.pub.pem");
        openssl(
            dir,
            "dgst -sm3 -sigopt distid:1234567812345678 -verify sm2.pub.pem -signature signature attributes",
        );
    }
}

/// Finds both in the PKCS #7 by what comes before them, without any reader of ours.
fn attributes_and_signature(pkcs7: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // AlgorithmIdentifier of SM3 with NULL, then `[0]`: 30 0c 06 08 2a 81 1c cf 55 01 83 11 05 00 a0.
    let sm3 = [0x30, 0x0c, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11, 0x05, 0x00, 0xa0];
    let at = pkcs7.windows(15).rposition(|w| w == sm3).unwrap() + 14;
    let (header, length) = match pkcs7[at + 1] {
        0x81 => (3, usize::from(pkcs7[at + 2])),
        0x82 => (4, usize::from(pkcs7[at + 2]) << 8 | usize::from(pkcs7[at + 3])),
        short => (2, usize::from(short)),
    };
    let mut attributes = pkcs7[at..at + header + length].to_vec();
    attributes[0] = 0x31;
    // Then the algorithm of the signature (twelve bytes), and an OCTET STRING.
    let at = at + header + length + 12;
    assert_eq!(pkcs7[at], 0x04);
    (attributes, pkcs7[at + 2..at + 2 + usize::from(pkcs7[at + 1])].to_vec())
}
