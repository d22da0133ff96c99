//! Timestamps by a real authority: `openssl ts`, and for the older protocol `openssl cms`, behind a few lines of HTTP.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::judges::Judges;
use support::pe::{authority, issue, missing, openssl, program};
use support::{Home, text};

const CONFIG: &str = "[tsa]\ndefault_tsa=x\n[x]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n\
digests=sha256,sha384\ness_cert_id_chain=no\ness_cert_id_alg=sha256\ntsa_name=no\nordering=no\n";

/// An authority that answers with `openssl ts -reply`, or with what `/old` and `/lies` ask for.
fn serve(dir: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let dir = dir.to_owned();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), &dir)));
    address
}

fn answer(mut stream: TcpStream, dir: &PathBuf) {
    let (first, body) = support::http::request(&stream);
    if first.contains("/old") {
        let reply = old(&body, dir, first.contains("/old-lies"));
        // OpenSSL's client, which osslsigncode uses, insists on the type.
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n", reply.len()).unwrap();
        return stream.write_all(&reply).unwrap();
    }
    // An authority that answers every request with its first answer.
    if !(first.contains("/replay") && dir.join("reply.tsr").exists()) {
        std::fs::write(dir.join("request.tsq"), body).unwrap();
        let line = "ts -reply -config tsa.cnf -queryfile request.tsq -signer tsa.pem -inkey tsa.key.pem -out reply.tsr";
        let made = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let reply = std::fs::read(dir.join("reply.tsr")).unwrap();
    let status = if first.contains("/broken") { "500 No" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len())
        .unwrap();
    stream.write_all(&reply).unwrap();
}

/// The protocol before RFC 3161 (Windows Authenticode Portable Executable Signature Format, "Authenticode timestamp"):
/// the request holds the signature's bytes, the answer is signed data over them with the time as an attribute; both
/// in base64.
fn old(body: &[u8], dir: &Path, lies: bool) -> Vec<u8> {
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let request = STANDARD.decode(text).unwrap();
    // 1.3.6.1.4.1.311.3.2.1, then 1.2.840.113549.1.7.1 and, at the end, the OCTET STRING of an RSA signature.
    let identifier = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x03, 0x02, 0x01];
    assert!(request.windows(12).any(|window| window == identifier), "it is a request");
    let (head, value) = request.split_at(request.len() - 256);
    assert_eq!(head[head.len() - 4..], [0x04, 0x82, 0x01, 0x00]);
    let value = if lies { &[7; 256] } else { value };
    std::fs::write(dir.join("old.value"), value).unwrap();
    let line = "cms -sign -binary -nodetach -md sha256 -nosmimecap -in old.value -signer tsa.pem -inkey tsa.key.pem -outform DER -out old.der";
    openssl(dir, line);
    openssl(dir, "base64 -in old.der")
}

fn stage() -> (Home, String) {
    let home = Home::absent();
    authority(home.folder());
    issue(home.folder(), "tsa", "RSA", "tsa", "root");
    home.write("tsa.cnf", CONFIG);
    home.write("serial", "01\n");
    home.write("app.exe", program(2));
    let address = serve(home.folder());
    (home, address)
}

fn verify(home: &Home, file: &str, more: &[&str], code: i32) -> serde_json::Value {
    let output = home.run(&[&["pe", "verify", file, "--ca", "root.pem", "--json"], more].concat(), code);
    serde_json::from_slice(&output.stdout).unwrap()
}

const SIGN: [&str; 7] = ["pe", "sign", "app.exe", "--key", "code.key.pem", "--cert", "code.pem"];

#[test]
fn a_signature_is_dated_and_outlives_its_certificate() {
    if missing("a_signature_is_dated_and_outlives_its_certificate", "osslsigncode") {
        return;
    }
    let (home, address) = stage();
    // The first authority is not there, the second is broken, the third answers.
    let broken = format!("{address}/broken");
    let tsa = ["--tsa", "http://127.0.0.1:1/", "--tsa", &broken, "--tsa", &address];
    let signed = home.run(&[&SIGN[..], &tsa, &["--json"]].concat(), 0);
    let signed: serde_json::Value = serde_json::from_slice(&signed.stdout).unwrap();
    assert_eq!(signed["dated_by"], address);
    let report = verify(&home, "app.exe", &[], 0);
    let stamp = &report["signatures"][0]["timestamps"][0];
    assert_eq!((&stamp["kind"], &stamp["counts"]), (&"rfc3161".into(), &true.into()));
    assert_eq!(stamp["time"], report["signatures"][0]["judged_at"]);
    // In thirty years the certificate is over, and the signature still holds.
    verify(&home, "app.exe", &["--at", "2056-01-01T00:00:00Z"], 0);
    let said = Command::new("osslsigncode")
        .args("verify -CAfile root.pem -TSA-CAfile root.pem app.exe".split(' '))
        .current_dir(home.folder())
        .output()
        .unwrap();
    let said = text(&said.stdout);
    assert!(
        said.contains("Succeeded") && said.contains("Timestamp Server Signature verification: ok"),
        "{said}"
    );
}

#[test]
fn a_signature_is_dated_later() {
    let (home, address) = stage();
    home.run(&SIGN, 0);
    verify(&home, "app.exe", &["--at", "2056-01-01T00:00:00Z"], 1);
    home.run(&["pe", "timestamp", "app.exe", "--tsa", &address], 0);
    let report = verify(&home, "app.exe", &["--at", "2056-01-01T00:00:00Z"], 0);
    assert_eq!(report["checksum"]["stored"], report["checksum"]["computed"]);
    // Without trust in the authority the timestamp does not count, and says so.
    let alone = "code.pem";
    let output = home.run(&["pe", "verify", "app.exe", "--ca", alone, "--json"], 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["signatures"][0]["timestamps"][0]["counts"], false);
    assert_eq!(report["signatures"][0]["findings"][0]["rule"], "timestamp-untrusted");
    home.write("plain.exe", program(1));
    home.run(&["pe", "timestamp", "plain.exe", "--tsa", &address], 2);
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (home, address) = stage();
    let replay = format!("{address}/replay");
    home.run(&[&SIGN[..], &["-o", "one.exe", "--tsa", &replay]].concat(), 0);
    let before = std::fs::read(home.folder().join("app.exe")).unwrap();
    let refused = home.run(&[&SIGN[..], &["--tsa", &replay]].concat(), 3);
    assert!(
        text(&refused.stderr).contains("its nonce is not that of the request"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(std::fs::read(home.folder().join("app.exe")).unwrap(), before);
    home.run(&[&SIGN[..], &["--tsa", "http://127.0.0.1:1/"]].concat(), 3);
}

#[test]
fn the_older_protocol_dates_a_signature_too() {
    let (home, address) = stage();
    let (old, lies) = (format!("{address}/old"), format!("{address}/old-lies"));
    // It is asked when those of RFC 3161 failed.
    let authorities = ["--tsa", "http://127.0.0.1:1/", "--legacy-tsa", &lies, "--legacy-tsa", &old];
    let signed = home.run(&[&SIGN[..], &authorities, &["--json"]].concat(), 0);
    let signed: serde_json::Value = serde_json::from_slice(&signed.stdout).unwrap();
    assert_eq!(signed["dated_by"], old);
    let check = |file: &str| {
        // In thirty years the certificates are over.
        let report = verify(&home, file, &["--at", "2056-01-01T00:00:00Z"], 0);
        let stamp = &report["signatures"][0]["timestamps"][0];
        assert_eq!((&stamp["kind"], &stamp["counts"]), (&"legacy".into(), &true.into()), "{report}");
        assert_eq!(stamp["authority"], "O=Custody,CN=tsa");
        assert_eq!(stamp["time"], report["signatures"][0]["judged_at"]);
    };
    check("app.exe");
    // Others believe it, and somebody else's client gets the same from the same authority.
    Judges::summon(&home).all_accept(&["app.exe".to_owned()]);
    if !missing("the_older_protocol_dates_a_signature_too", "osslsigncode") {
        home.write("plain.exe", program(1));
        let line = format!(
            "sign -certs code.pem -key code.key.pem -h sha256 -t {old} -in plain.exe -out theirs.exe"
        );
        let made =
            Command::new("osslsigncode").args(line.split(' ')).current_dir(home.folder()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stdout) + &text(&made.stderr));
        check("theirs.exe");
    }
    // Dated later; and an answer over other bytes is none.
    home.write("later.exe", program(1));
    home.run(&["pe", "sign", "later.exe", "--key", "code.key.pem", "--cert", "code.pem"], 0);
    let before = std::fs::read(home.folder().join("later.exe")).unwrap();
    home.run(&["pe", "timestamp", "later.exe", "--legacy-tsa", &lies], 3);
    assert_eq!(std::fs::read(home.folder().join("later.exe")).unwrap(), before);
    home.run(&["pe", "timestamp", "later.exe", "--legacy-tsa", &old], 0);
    check("later.exe");
}
