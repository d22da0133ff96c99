//! A real Rekor v2 (rekor-tiles, on files) takes our entries, and sigstore-go judges the bundles. Both are built by
//! `cargo xtask peers` into the rig.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::pe::openssl;
use support::{Home, text};

/// A program of the rig; where peers are required, its absence fails.
fn peer(test: &str, name: &str) -> Option<PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from).unwrap_or_default();
    let path = rig.join("sigstore/bin").join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {}", path.display());
    eprintln!("SKIPPED {test}: there is no {} (`cargo xtask peers` builds it)", path.display());
    None
}

/// A log that runs, and is killed with the value.
struct Log {
    child: Child,
    address: String,
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it ended already
        let _ = self.child.wait(); // as above
    }
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn start(program: &Path, home: &Home) -> Log {
    openssl(home.folder(), "genpkey -algorithm ED25519 -out log.key.pem");
    openssl(home.folder(), "pkey -in log.key.pem -pubout -out log.pub.pem");
    let port = free();
    let child = Command::new(program)
        .args(["serve", "--http-port", &port, "--grpc-port", &free(), "--http-metrics-port", &free()])
        .args(["--hostname", "log.test", "--storage-dir", "store", "--signer-filepath", "log.key.pem"])
        .args(["--checkpoint-interval", "1s"])
        .current_dir(home.folder())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = Log { child, address: format!("http://127.0.0.1:{port}") };
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        assert!(Instant::now() < end, "the log does not begin to listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    log
}

/// A trusted root with this log alone.
fn trusted_root(home: &Home) -> String {
    let spki = openssl(home.folder(), "pkey -pubin -in log.pub.pem -outform DER");
    // c2sp.org/signed-note: the id of an Ed25519 key under its name.
    let id = gm::Dual::digest(&[b"log.test\n\x01", &spki[spki.len() - 32..]].concat()).sha256;
    let root = json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [{
            "baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "logId": {"keyId": STANDARD.encode(id)},
            "publicKey": {"rawBytes": STANDARD.encode(&spki), "keyDetails": "PKIX_ED25519",
                "validFor": {"start": "2020-01-01T00:00:00Z"}},
        }],
        "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
    });
    home.write("root.json", root.to_string());
    "root.json".into()
}

#[test]
fn a_real_log_takes_our_entry_and_it_is_proved_offline() {
    let test = "a_real_log_takes_our_entry_and_it_is_proved_offline";
    let Some(program) = peer(test, "posix") else { return };
    let home = Home::new();
    let log = start(&program, &home);
    for n in 0..3 {
        home.write("release.bin", format!("content {n}"));
        let _ = std::fs::remove_file(home.folder().join("release.bin.anchor.json"));
        home.run(&["anchor", "submit", "release.bin", "--rekor", &log.address], 0);
        home.run(&["anchor", "verify", "release.bin", "--log-key", "log.pub.pem"], 0);
    }
    drop(log); // offline from here on
    let root = trusted_root(&home);
    let line = ["anchor", "verify", "release.bin", "--trusted-root", &root, "--json"];
    let held: Value = serde_json::from_slice(&home.run(&line, 0).stdout).unwrap();
    assert!(held["anchors"][0]["detail"].as_str().unwrap().contains("of log.test"), "{held}");
    home.run(&["anchor", "verify", "release.bin"], 1);
    home.write("release.bin", "content 1");
    home.run(&line, 1);
}

#[test]
fn sigstore_go_verifies_what_we_entered() {
    let test = "sigstore_go_verifies_what_we_entered";
    let (Some(program), Some(judge)) = (peer(test, "posix"), peer(test, "sigstore-judge")) else { return };
    let home = Home::new();
    let log = start(&program, &home);
    let root = trusted_root(&home);
    home.write("release.bin", "what is anchored");
    home.run(&["anchor", "submit", "release.bin", "--rekor", &log.address], 0);
    let proof: Value =
        serde_json::from_slice(&std::fs::read(home.folder().join("release.bin.anchor.json")).unwrap())
            .unwrap();
    let bundle = &proof["anchors"][0]["bundle"];
    home.write("bundle.json", bundle.to_string());
    // The key is the one in the entry: it was made for this signature alone.
    let body = bundle["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"].as_str().unwrap();
    let body: Value = serde_json::from_slice(&STANDARD.decode(body).unwrap()).unwrap();
    let key = &body["spec"]["hashedRekordV002"]["signature"]["verifier"]["publicKey"]["rawBytes"];
    home.write("key.der", STANDARD.decode(key.as_str().unwrap()).unwrap());
    openssl(home.folder(), "pkey -pubin -inform DER -in key.der -out key.pem");
    let judged = |sha256: &str| {
        let line = ["bundle.json", root.as_str(), sha256, "key", "key.pem"];
        Command::new(&judge).args(line).current_dir(home.folder()).output().unwrap()
    };
    let sha256 = proof["subject"]["digest"]["sha256"].as_str().unwrap();
    let output = judged(sha256);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!judged(&"00".repeat(32)).status.success());
}
