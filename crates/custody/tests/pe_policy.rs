//! `custody pe policy`: policies from a seal, compiled, signed, and read back; signatures are judged by OpenSSL.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use serde_json::Value;
use support::pe::{authority, issue, openssl, program};
use support::{Home, text};

/// A home, an authority, and a sealed `dist` with a program, a driver, a script and a text.
fn stage() -> Home {
    let home = Home::new();
    authority(home.folder());
    home.write("dist/bin/app.exe", program(2));
    let mut driver = program(1);
    driver[0x98 + 68] = 1;
    home.write("dist/filter.sys", driver);
    home.write("dist/setup.ps1", "Write-Host hello\n");
    home.write("dist/README.txt", "hello\n");
    home.run(&["seal", "create", "dist", "-o", "dist.seal.json"], 0);
    home
}

fn build(home: &Home, more: &[&str], code: i32) -> Value {
    let arguments =
        ["pe", "policy", "build", "dist", "--seal", "dist.seal.json", "--json", "-o", "policy.xml"];
    let output = home.run(&[&arguments, more].concat(), code);
    serde_json::from_slice(if code == 0 { &output.stdout } else { &output.stderr }).unwrap()
}

fn show(home: &Home, file: &str) -> Value {
    serde_json::from_slice(&home.run(&["pe", "policy", "show", file, "--json"], 0).stdout).unwrap()
}

/// The leaf hash of an entry, computed here from the seal's text: SHA-256(0x00 ‖ input) by OpenSSL.
fn leaf(home: &Home, path: &str) -> String {
    let envelope: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("dist.seal.json")).unwrap()).unwrap();
    home.write("payload.b64", envelope["payload"].as_str().unwrap());
    let payload = openssl(home.folder(), "base64 -d -A -in payload.b64");
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let entries = statement["predicate"]["entries"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["path"] == path).unwrap();
    let number = |name: &str| entry[name].as_u64().unwrap();
    let mode = u32::from_str_radix(entry["mode"].as_str().unwrap_or("0"), 8).unwrap();
    let mut input = vec![0u8];
    input.extend(u32::try_from(path.len()).unwrap().to_be_bytes());
    input.extend(path.as_bytes());
    input.push(1);
    input.extend(mode.to_be_bytes());
    input.extend(number("size").to_be_bytes());
    for digest in ["sha256", "sm3"] {
        input.extend(hex::decode(entry["digest"][digest].as_str().unwrap()).unwrap());
    }
    home.write("leaf.bin", input);
    text(&openssl(home.folder(), "dgst -sha256 -r leaf.bin"))[..64].to_owned()
}

#[test]
fn every_rule_is_named_after_the_leaf_of_its_entry() {
    let home = stage();
    let built = build(&home, &["--name", "payments", "--installed-at", "%OSDRIVE%\\Payments"], 0);
    let rules = built["rules"].as_array().unwrap();
    let shown = show(&home, "policy.xml");
    let xml = text(&std::fs::read(home.folder().join("policy.xml")).unwrap());
    for (path, hashes) in [("bin/app.exe", 4), ("filter.sys", 4), ("setup.ps1", 2)] {
        let leaf = leaf(&home, path);
        let own: Vec<&Value> = rules.iter().filter(|rule| rule["entry"] == path).collect();
        assert_eq!(own.len(), hashes + 1, "{path}: its hashes and its path");
        for rule in own {
            assert_eq!(rule["leaf"], leaf.as_str(), "{path}");
            let id = rule["id"].as_str().unwrap();
            assert!(id.starts_with(&format!("ID_ALLOW_{}_", leaf[..16].to_uppercase())), "{id}");
            let found = shown["file_rules"].as_array().unwrap().iter().any(|rule| rule["id"] == id);
            assert!(found && xml.contains(&format!("RuleID=\"{id}\"")), "{id} is in force");
        }
    }
    assert!(!rules.iter().any(|rule| rule["entry"] == "README.txt"), "nobody runs a text");
    // The hashes are those of OpenSSL: of a script all bytes, of an image all but the fields that signing changes.
    let hash_of = |path: &str, what: &str| {
        let id =
            rules.iter().find(|r| r["entry"] == path && r["id"].as_str().unwrap().ends_with(what)).unwrap();
        let rule =
            shown["file_rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id["id"]).unwrap();
        rule["hash"].as_str().unwrap().to_owned()
    };
    let script = text(&openssl(home.folder(), "dgst -sha256 -r dist/setup.ps1"));
    assert_eq!(hash_of("setup.ps1", "_SHA256"), &script[..64]);
    let image = program(2);
    home.write("image", [&image[..0xd8], &image[0xdc..0x98 + 144], &image[0x98 + 152..]].concat());
    assert_eq!(hash_of("bin/app.exe", "_SHA1"), &text(&openssl(home.folder(), "dgst -sha1 -r image"))[..40]);
    // The headers fill their page up with zeros; the two fields are left out of it.
    let headers = [&image[..0xd8], &image[0xdc..0x98 + 144], &image[0x98 + 152..0x400], &[0; 0xc00]].concat();
    home.write("page", headers);
    let page = text(&openssl(home.folder(), "dgst -sha256 -r page"));
    assert_eq!(hash_of("bin/app.exe", "PAGE_SHA256"), &page[..64]);
    // The same seal and name give the same policy, and the name alone its identifier.
    let again = build(&home, &["--name", "payments", "--installed-at", "%OSDRIVE%\\Payments"], 0);
    assert_eq!(again, built);
    assert_ne!(build(&home, &["--name", "other"], 0)["policy_id"], built["policy_id"]);
    let events = text(&home.run(&["audit", "query", "--act", "PE.POLICY.", "--json"], 0).stdout);
    assert_eq!(events.lines().count(), 3, "{events}");
}

#[test]
fn what_is_not_what_was_sealed_makes_no_policy() {
    let home = stage();
    home.write("dist/setup.ps1", "Write-Host goodbye\n");
    let refused = build(&home, &[], 1);
    assert!(refused["error"].as_str().unwrap().contains("setup.ps1 differs"), "{refused}");
    home.write("dist/setup.ps1", "Write-Host hello\n");
    // Signed since: only by a signature that binds the tree, under an authority that is named.
    let key = ["--key", "code.key.pem", "--cert", "code.pem"];
    home.run(&[&["pe", "sign", "dist/bin/app.exe"][..], &key].concat(), 0);
    assert!(
        build(&home, &["--ca", "root.pem"], 1)["error"].as_str().unwrap().contains("bin/app.exe differs")
    );
    home.run(&[&["pe", "sign", "dist/bin/app.exe", "--seal", "dist.seal.json"][..], &key].concat(), 0);
    build(&home, &[], 1);
    let built = build(&home, &["--ca", "root.pem", "--publishers"], 0);
    let publisher =
        built["rules"].as_array().unwrap().iter().find(|rule| rule["kind"] == "publisher").unwrap();
    assert_eq!(publisher["entry"], "bin/app.exe");
    let shown = show(&home, "policy.xml");
    let signer = shown["signers"].as_array().unwrap().iter().find(|s| s["id"] == publisher["id"]).unwrap();
    assert_eq!(signer["publisher"], "code");
    // The to-be-signed part of the authority's certificate, by OpenSSL.
    openssl(home.folder(), "asn1parse -in root.pem -strparse 4 -noout -out root.tbs");
    let tbs = text(&openssl(home.folder(), "dgst -sha256 -r root.tbs"));
    assert_eq!(signer["root"].as_str().unwrap(), &tbs[..64]);
}

#[test]
fn a_policy_goes_through_all_its_forms() {
    let home = stage();
    build(&home, &["--windows", "--enforce", "--updated-by", "code.pem", "--policy-version", "10.0.0.7"], 0);
    home.run(&["pe", "policy", "compile", "policy.xml", "-o", "policy.cip"], 0);
    home.run(
        &[
            "pe",
            "policy",
            "sign",
            "policy.xml",
            "--key",
            "code.key.pem",
            "--cert",
            "code.pem",
            "-o",
            "policy.p7b",
        ],
        0,
    );
    // OpenSSL believes the signature, and finds in it what was compiled.
    openssl(
        home.folder(),
        "cms -verify -inform DER -in policy.p7b -CAfile root.pem -purpose any -binary -out content",
    );
    let cip = std::fs::read(home.folder().join("policy.cip")).unwrap();
    assert_eq!(std::fs::read(home.folder().join("content")).unwrap(), cip);
    let (xml, compiled, signed) =
        (show(&home, "policy.xml"), show(&home, "policy.cip"), show(&home, "policy.p7b"));
    assert_eq!((&compiled["form"], &signed["form"]), (&"binary".into(), &"signed".into()));
    for field in ["policy_id", "version", "kind"] {
        assert_eq!((&compiled[field], &signed[field]), (&xml[field], &xml[field]), "{field}");
    }
    // What is printed of the compiled form compiles to the same bytes.
    home.write("printed.xml", home.run(&["pe", "policy", "show", "policy.cip"], 0).stdout);
    home.run(&["pe", "policy", "compile", "printed.xml", "-o", "again.cip"], 0);
    assert_eq!(std::fs::read(home.folder().join("again.cip")).unwrap(), cip);
    // A folder is given the name that Windows expects.
    std::fs::create_dir(home.folder().join("active")).unwrap();
    home.run(&["pe", "policy", "compile", "policy.p7b", "-o", "active"], 0);
    let name = format!("active/{}.cip", xml["policy_id"].as_str().unwrap());
    assert_eq!(std::fs::read(home.folder().join(name)).unwrap(), cip);
}

#[test]
fn the_constraints_of_signed_policies_are_enforced() {
    let home = stage();
    let dir = home.folder();
    issue(dir, "p256", "P-256", "code", "root");
    issue(dir, "other", "RSA", "code", "root");
    openssl(dir, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2560 -out odd.key.pem");
    openssl(dir, "req -new -key odd.key.pem -subj /CN=odd -out odd.csr");
    openssl(
        dir,
        "x509 -req -in odd.csr -CA root.pem -CAkey root.key.pem -CAcreateserial -days 30 -extfile ext.cnf -extensions code -out odd.pem",
    );
    let sign = |key: &str, more: &[&str]| {
        let (pem, cert) = (format!("{key}.key.pem"), format!("{key}.pem"));
        let base =
            ["pe", "policy", "sign", "policy.xml", "--key", &pem, "--cert", &cert, "-o", "out.p7b", "--json"];
        let output = home.command(&[&base, more].concat()).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let refused = |(code, said): (Option<i32>, String), why: &str| {
        assert!(code == Some(1) && said.contains(why), "{said}");
    };
    build(&home, &[], 0);
    refused(sign("code", &[]), "contradicts a signature");
    build(&home, &["--updated-by", "code.pem"], 0);
    refused(sign("other", &[]), "not among those that may sign its next version");
    assert_eq!(sign("code", &[]).0, Some(0));
    // Under an authority that is named, anybody whom it certified may sign, if its certificate travels along.
    build(&home, &["--updated-by", "root.pem"], 0);
    refused(sign("other", &[]), "not among those");
    assert_eq!(sign("other", &["--ac", "root.pem"]).0, Some(0));
    for (key, why) in [("p256", "the key is not RSA"), ("odd", "an RSA key of 2560 bits")] {
        build(&home, &["--updated-by", &format!("{key}.pem")], 0);
        refused(sign(key, &[]), why);
    }
    // An enforced policy that does not allow Windows keeps it from starting.
    let xml = text(&std::fs::read(dir.join("policy.xml")).unwrap());
    let option = "<Option>Enabled:Audit Mode</Option>";
    let at = xml.find(option).unwrap();
    let (start, end) = (xml[..at].rfind("<Rule>").unwrap(), at + xml[at..].find("</Rule>").unwrap() + 7);
    home.write("policy.xml", format!("{}{}", &xml[..start], &xml[end..]));
    refused(sign("code", &[]), "does not allow Windows itself");
    home.run(&["pe", "policy", "compile", "policy.xml", "-o", "policy.cip"], 1);
    home.run(&["pe", "policy", "compile", "policy.xml", "-o", "policy.cip", "--force"], 0);
}

#[test]
fn what_is_no_policy_is_refused() {
    let home = stage();
    home.write("text.xml", "<policy/>");
    home.write("junk.cip", b"\x07\0\0\0junk");
    home.write("empty.cip", b"");
    home.run(
        &["pe", "sign", "dist/bin/app.exe", "--key", "code.key.pem", "--cert", "code.pem", "-o", "app.exe"],
        0,
    );
    openssl(
        home.folder(),
        "cms -sign -nodetach -binary -in text.xml -signer code.pem -inkey code.key.pem -outform DER -out data.p7b",
    );
    for file in ["text.xml", "junk.cip", "empty.cip", "data.p7b", "app.exe", "absent.cip"] {
        home.run(&["pe", "policy", "show", file], 2);
    }
}
