//! `custody pe reputation`: each hold-up with its mend, the folder, the watch and the portal's two directions, on this
//! machine alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;
use support::judges::go_programs;
use support::pe::{authority, openssl, program};
use support::{Home, text};

const KEY: [&str; 4] = ["--key", "code.key.pem", "--cert", "code.pem"];
const TRUST: [&str; 4] = ["--ca", "root.pem", "--domain", "download.example.com"];

fn stage() -> Home {
    let home = Home::new();
    authority(home.folder());
    home.write("app.exe", program(2));
    home
}

/// Resources, time and signature: everything that a check asks for.
fn ready(home: &Home, file: &str) {
    let set = ["pe", "resource", "set", file, "--string", "CompanyName=Example", "--default-manifest"];
    home.run(&[&set[..], &["--time", "2026-11-20T08:30:00Z"]].concat(), 0);
    home.run(&[&["pe", "sign", file][..], &KEY].concat(), 0);
}

fn json(home: &Home, arguments: &[&str], code: i32) -> Value {
    let output = home.run(&[arguments, &["--json"]].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)))
}

fn check(home: &Home, file: &str, code: i32) -> Value {
    json(home, &[&["pe", "reputation", "check", file], &TRUST[..]].concat(), code)
}

fn words(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|found| found["word"].as_str().unwrap()).collect()
}

#[test]
fn every_hold_up_is_named_and_its_mend_mends_it() {
    let home = stage();
    let report = check(&home, "app.exe", 1);
    let all = ["time-zero", "checksum", "unsigned", "no-version-resource", "no-manifest"];
    for word in all {
        assert!(words(&report).contains(&word), "{word}: {report}");
    }
    let code = |word: &str| {
        let found =
            report["findings"].as_array().unwrap().iter().find(|found| found["word"] == word).unwrap();
        found["code"].as_str().unwrap().to_owned()
    };
    assert_eq!((code("time-zero"), code("checksum")), ("0x80070057".into(), "0x8007000D".into()));
    assert_eq!(report["missing_anchors"], serde_json::json!(["certificate"]));
    ready(&home, "app.exe");
    let report = check(&home, "app.exe", 0);
    for word in all {
        assert!(!words(&report).contains(&word), "{word}: {report}");
    }
    // The sections of this program are noise, and it says so with the number.
    assert!(words(&report).contains(&"high-entropy") && words(&report).contains(&"undated"), "{report}");
    assert!(report["sections"][0]["entropy"].as_f64().unwrap() > 7.9);
    // The three anchors, as OpenSSL has them.
    let sha256 = text(&openssl(home.folder(), "dgst -sha256 -r app.exe"))[..64].to_owned();
    let anchors = &report["anchors"];
    assert_eq!(anchors["file"]["sha256"], sha256.as_str());
    let printed = text(&openssl(home.folder(), "x509 -in code.pem -noout -fingerprint -sha1"));
    let colons = printed.trim().rsplit('=').next().unwrap();
    assert_eq!(anchors["certificate"]["sha1_colons"], colons);
    assert_eq!(anchors["certificate"]["sha1"], colons.replace(':', "").as_str());
    let record = anchors["domain"]["text"].as_str().unwrap();
    assert!(record.contains(&sha256) && record.contains(&colons.replace(':', "")), "{record}");
    // Without a domain one anchor is missing; with a record that says something else, too.
    let alone = json(&home, &["pe", "reputation", "check", "app.exe", "--ca", "root.pem"], 1);
    assert_eq!(alone["missing_anchors"], serde_json::json!(["domain"]));
    let with = |txt: &str, code| {
        json(&home, &[&["pe", "reputation", "check", "app.exe"], &TRUST[..], &["--txt", txt]].concat(), code)
    };
    assert_eq!(with(&format!("\"{record}\""), 0)["anchors"]["domain"]["published"], true);
    assert_eq!(with("\"v=spf1 -all\"", 1)["anchors"]["domain"]["published"], false);
    // Nobody who is not trusted makes it ready.
    home.run(&["pe", "reputation", "check", "app.exe", "--domain", "download.example.com"], 1);
    home.run(&["pe", "reputation", "check", "app.exe", "--domain", "no domain"], 2);
}

#[test]
fn packers_and_odd_sections_are_seen() {
    let home = stage();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = program(2);
        change(&mut bytes);
        home.write("odd.exe", bytes);
        let report = check(&home, "odd.exe", 1);
        words(&report).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |words: Vec<String>, word: &str| assert!(words.iter().any(|w| w == word), "{word}: {words:?}");
    has(with(|bytes| bytes[0x188..0x190].copy_from_slice(b"UPX0\0\0\0\0")), "upx");
    has(with(|bytes| bytes[0x3e0..0x3e4].copy_from_slice(b"UPX!")), "upx");
    has(with(|bytes| bytes[0x188..0x190].copy_from_slice(b".vmp0\0\0\0")), "section-name");
    has(with(|bytes| bytes[0x188 + 39] = 0xa0), "writable-code");
    has(with(|bytes| bytes[0x88..0x8c].copy_from_slice(&1_000_000_000u32.to_le_bytes())), "time-early");
    has(with(|bytes| bytes[0x88..0x8c].copy_from_slice(&4_000_000_000u32.to_le_bytes())), "time-future");
}

#[test]
fn the_folder_holds_what_a_submission_asks_for() {
    let home = stage();
    let go = home.folder().join("go");
    std::fs::create_dir(&go).unwrap();
    let Some(program) = go_programs(&go).into_iter().next() else { return };
    std::fs::copy(&program, home.folder().join("gofmt.exe")).unwrap();
    let package = |code| {
        let base =
            ["pe", "reputation", "package", "gofmt.exe", "-o", "submission", "--company", "Example Ltd"];
        let links = ["--repository", "https://example.com/src", "--build", "https://ci.example.com/42"];
        let arguments = [&base[..], &TRUST, &links].concat();
        let mut command = home.command(&[&arguments[..], &["--json"]].concat());
        let output = command.env("SOURCE_DATE_EPOCH", "1795163400").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    };
    package(1);
    assert!(!home.folder().join("submission").exists(), "what is not ready is not packed");
    ready(&home, "gofmt.exe");
    package(0);
    let folder = home.folder().join("submission");
    let sums = Command::new("sha256sum")
        .args(["-c", "--strict", "SHA256SUMS"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{}", text(&sums.stderr));
    openssl(&folder, "pkcs7 -inform DER -in gofmt.exe.sig -print_certs -noout");
    let read = |name: &str| text(&std::fs::read(folder.join(name)).unwrap());
    assert!(read("verification.txt").contains("`gofmt.exe` holds"));
    let reason = read("reason.txt");
    for word in
        ["Example Ltd", "https://example.com/src", "https://ci.example.com/42", "windows/amd64", "SHA-256: "]
    {
        assert!(reason.contains(word), "{word}: {reason}");
    }
    let build: Value = serde_json::from_str(&read("build.json")).unwrap();
    let bom: Value = serde_json::from_str(&read("sbom.cdx.json")).unwrap();
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    // The go command says the same of the program.
    if let Some(go) = std::env::var_os("CUSTODY_GO") {
        let output =
            Command::new(go).args(["version", "-m", "gofmt.exe"]).current_dir(&folder).output().unwrap();
        let said = text(&output.stdout);
        assert!(said.contains(build["go"].as_str().unwrap()), "{said}");
        let modules = said.lines().filter(|line| line.starts_with("\tdep\t")).count();
        assert_eq!(bom["components"].as_array().unwrap().len(), modules + 1, "{said}");
    }
    let leftovers = std::fs::read_dir(home.folder())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".submission"));
    assert_eq!(leftovers.count(), 0);
    package(2);
    // Its number and its result are events.
    home.run(&["pe", "reputation", "record", "submission", "--result", "clean"], 2);
    home.run(&["pe", "reputation", "record", "submission", "--id", "8f1c-42"], 0);
    home.run(&["pe", "reputation", "record", "submission", "--id", "other"], 2);
    home.run(&["pe", "reputation", "record", "submission", "--result", "malware"], 0);
    let noted = json(&home, &["pe", "reputation", "record", "submission", "--result", "clean"], 0);
    assert_eq!((&noted["status"], &noted["id"]), (&"clean".into(), &"8f1c-42".into()));
    let events = text(&home.run(&["audit", "query", "--act", "PE.SUBMISSION.", "--json"], 0).stdout);
    for act in ["PREPARED", "SENT", "DECIDED"] {
        assert!(events.contains(&format!("PE.SUBMISSION.{act}")), "{act}: {events}");
    }
}

/// The day so many days before the certificate ends, as the command line takes it.
fn before_the_end(home: &Home, days: i64) -> String {
    let end = text(&openssl(home.folder(), "x509 -in code.pem -noout -enddate -dateopt iso_8601"));
    let end: jiff::Timestamp = end.trim().rsplit('=').next().unwrap().replace(' ', "T").parse().unwrap();
    (end - jiff::SignedDuration::from_hours(24 * days)).to_string()
}

#[test]
fn a_certificate_is_told_of_once_at_each_threshold() {
    let home = stage();
    ready(&home, "app.exe");
    let watch = |days: i64, code| {
        let at = before_the_end(&home, days);
        let base = ["pe", "reputation", "watch", "app.exe", "--state", "watch.json", "--at", &at];
        json(&home, &[&base, &TRUST[..]].concat(), code)["due"].clone()
    };
    assert_eq!(watch(31, 0), serde_json::json!([]));
    for (days, threshold) in [(30, 30), (13, 14), (5, 7)] {
        let due = watch(days, 1);
        assert_eq!((&due[0]["threshold"], &due[0]["days_left"]), (&threshold.into(), &days.into()), "{due}");
        assert_eq!(watch(days, 0), serde_json::json!([]), "once");
    }
    // After its end nothing holds any more, and it is said once more.
    assert_eq!(watch(-1, 1)[0]["threshold"], 0);
    let events = text(&home.run(&["audit", "query", "--act", "PE.CERT.EXPIRING", "--json"], 0).stdout);
    assert_eq!(events.lines().count(), 4, "{events}");
}

#[test]
fn the_manifest_follows_the_file_and_the_next_submission_is_prepared() {
    let home = stage();
    ready(&home, "app.exe");
    let manifest =
        |digest: &str| format!("{{ \"Identity\": {{ \"Name\": \"app\",\n  \"Hash\": \"{digest}\" }} }}\n");
    let (old, sha256) =
        ("A".repeat(64), text(&openssl(home.folder(), "dgst -sha256 -r app.exe"))[..64].to_owned());
    home.write("release.json", manifest(&old));
    let watch = |more: &[&str], code| {
        let base =
            ["pe", "reputation", "watch", "app.exe", "--state", "watch.json", "--manifest", "release.json"];
        let folder = ["--submissions", "out"];
        json(&home, &[&base[..], &TRUST, &folder, more].concat(), code)
    };
    let due = watch(&["--dry-run"], 1);
    assert_eq!(due["due"][0]["due"], "manifest");
    assert!(
        !home.folder().join("out").exists() && !home.folder().join("watch.json").exists(),
        "a dry run changes nothing"
    );
    let due = watch(&[], 1);
    assert_eq!(
        (&due["due"][1]["due"], &due["due"][1]["sha256"]),
        (&"submission".into(), &sha256.as_str().into())
    );
    // Its spelling is kept, and everything else too.
    let after = text(&std::fs::read(home.folder().join("release.json")).unwrap());
    assert_eq!(after, manifest(&sha256.to_uppercase()));
    let folder = home.folder().join(due["due"][1]["folder"].as_str().unwrap());
    assert!(folder.join("submission.json").is_file() && folder.join("app.exe").is_file());
    assert_eq!(watch(&[], 0)["due"], serde_json::json!([]));
    let events = text(&home.run(&["audit", "query", "--act", "PE.", "--json"], 0).stdout);
    assert!(events.contains("PE.MANIFEST.ROTATED") && events.contains("PE.SUBMISSION.PREPARED"), "{events}");
}

/// Answers each question with the next text, and tells what it was asked.
fn portal(answers: Vec<(u16, &'static str)>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v2.0/my", listener.local_addr().unwrap());
    let (tell, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
            tell.send(head).unwrap();
        }
    });
    (base, asked)
}

#[test]
fn the_portal_is_asked_and_a_change_is_told_once() {
    let home = stage();
    ready(&home, "app.exe");
    home.run(&[&["pe", "reputation", "package", "app.exe", "-o", "sub"], &TRUST[..]].concat(), 0);
    home.run(&["pe", "reputation", "record", "sub", "--id", "1152921504626"], 0);
    home.write("token", "eyJ0b2tlbg\n");
    let scanning =
        r#"{"commitStatus":"commitComplete","workflowStatus":{"currentStep":"scanning","state":"started"}}"#;
    let failed =
        r#"{"commitStatus":"commitComplete","workflowStatus":{"currentStep":"scanning","state":"failed"}}"#;
    let (base, asked) =
        portal(vec![(200, scanning), (200, scanning), (200, failed), (401, "{}"), (200, "{}"), (302, "")]);
    let watch = |code| {
        let file =
            ["pe", "reputation", "watch", "app.exe", "--state", "watch.json", "--product", "99", "--json"];
        let portal = ["--portal", &base, "--token-file", "token", "--submission", "sub"];
        home.run(&[&file[..], &TRUST, &portal].concat(), code)
    };
    let due = |output: std::process::Output| {
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["due"].clone()
    };
    assert_eq!(due(watch(0))[0]["step"], "scanning");
    let head = asked.recv().unwrap();
    assert!(
        head.starts_with("GET /v2.0/my/hardware/products/99/submissions/1152921504626 HTTP/1.1"),
        "{head}"
    );
    assert!(head.to_lowercase().contains("authorization: bearer eyj0b2tlbg"), "{head}");
    assert_eq!(due(watch(0)), serde_json::json!([]), "nothing changed");
    assert_eq!(due(watch(1))[0]["failed"], true);
    assert!(text(&watch(3).stderr).contains("token has ended"));
    watch(3);
    watch(3);
    // A token goes nowhere in the clear but to this machine.
    let far = ["--portal", "http://portal.example.com", "--product", "99"];
    home.run(&[&["pe", "reputation", "watch", "app.exe", "--state", "w.json"][..], &TRUST, &far].concat(), 2);
    let events = text(&home.run(&["audit", "query", "--act", "PE.SUBMISSION.STATUS", "--json"], 0).stdout);
    assert_eq!(events.lines().count(), 2, "{events}");
}

#[test]
fn the_portals_messages_are_taken_when_they_are_signed() {
    let home = stage();
    home.write("secret", "a secret of enough bytes\n");
    home.write("short", "too short\n");
    home.run(&["pe", "reputation", "listen", "--listen", "127.0.0.1:0", "--secret-file", "short"], 2);
    let mut child = home
        .command(&[
            "pe",
            "reputation",
            "listen",
            "--listen",
            "127.0.0.1:0",
            "--secret-file",
            "secret",
            "--messages",
            "2",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let send = |body: &str, at: i64, key: &str| {
        home.write("signed", format!("{at}.{body}"));
        // The code is OpenSSL's.
        let code = Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", key, "-r", "signed"])
            .current_dir(home.folder())
            .output()
            .unwrap();
        let code = text(&code.stdout)[..64].to_owned();
        post(&address, body, &format!("X-Custody-Signature: t={at},v1={code}\r\n"))
    };
    let now = jiff::Timestamp::now().as_second();
    let key = "a secret of enough bytes";
    let thumbprint = "AB:".repeat(19) + "ab";
    let message = |id: &str, status: &str| {
        format!(
            "{{\"id\":\"{id}\",\"eventName\":\"certStatusUpdated\",\"certificate\":{{\"thumbprint\":\"{thumbprint}\",\"status\":\"{status}\"}}}}"
        )
    };
    assert_eq!(post(&address, &message("1", "revoked"), ""), 401);
    assert_eq!(send(&message("1", "revoked"), now, "another secret, as long"), 401);
    assert_eq!(send(&message("1", "revoked"), now - 301, key), 401);
    assert_eq!(send("{}", now, key), 400);
    assert_eq!(send(&message("1", "revoked").replace("ab\"", "\""), now, key), 400);
    assert_eq!(send(&message("0", "x").replace("certStatus", "productStatus"), now, key), 202);
    // Whoever sends too much may find the connection closed before the answer.
    assert!([413, 0].contains(&send(&"x".repeat(70_000), now, key)));
    assert_eq!(send(&message("1", "revoked"), now, key), 200);
    assert_eq!(send(&message("1", "revoked"), now, key), 208, "once");
    assert_eq!(send(&message("2", "valid"), now, key), 200);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout).lines().count(), 2);
    let events = text(&home.run(&["audit", "query", "--act", "PE.CERT.STATUS", "--json"], 0).stdout);
    assert!(
        events.lines().count() == 2 && events.contains(&"AB".repeat(20)) && events.contains("revoked"),
        "{events}"
    );
}

/// Posts, and gives the status of the answer.
fn post(address: &str, body: &str, header: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{header}\r\n");
    // Whoever is refused early may find the connection closed.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
