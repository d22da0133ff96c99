//! What stands on a checkpoint beside the log's own signature: SM2, judged by OpenSSL, and the date of a real timestamp
//! authority, `openssl ts`. Go's `note` reads it all the same.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::{Home, event, id, text};

const IDENTIFIER: &[u8] = b"custody.sm2-sm3.v1";

/// A home whose checkpoints the SM2 key `national` signs too.
fn home() -> Home {
    let home = Home::new();
    home.run(&["key", "new", "national", "--algorithm", "sm2"], 0);
    let config = home.path().join("custody.toml");
    let written =
        std::fs::read_to_string(&config).unwrap().replace("#signers = []", "signers = [\"national\"]");
    std::fs::write(&config, written).unwrap();
    home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 0);
    home.run(&["audit", "checkpoint", "-o", "now.checkpoint"], 0);
    home.write("national.pem", home.run(&["key", "show", "national", "--pem"], 0).stdout);
    home.write("log.vkey", std::fs::read(home.path().join("keys/log.vkey")).unwrap());
    home
}

fn read(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.folder().join(name)).unwrap()
}

/// Text and signature lines.
fn parts(note: &str) -> (String, Vec<String>) {
    let (text, lines) = note.rsplit_once("\n\n").unwrap();
    (format!("{text}\n"), lines.lines().map(str::to_owned).collect())
}

/// The bytes of a signature line, behind the four of the key's hash.
fn blob(line: &str) -> ([u8; 4], Vec<u8>) {
    let bytes = STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap();
    (bytes[..4].try_into().unwrap(), bytes[4..].to_vec())
}

#[test]
fn openssl_judges_the_sm2_line_and_so_does_verify() {
    let home = home();
    let note = read(&home, "now.checkpoint");
    let (signed, lines) = parts(&note);
    assert_eq!(lines.len(), 2, "{note}");
    let (hash, signature) = blob(&lines[1]);
    home.write("signed", &signed);
    home.write("signature", signature);
    let openssl = |file: &str| {
        let arguments = "pkeyutl -verify -pubin -inkey national.pem -rawin -digest sm3 -sigfile signature \
            -pkeyopt distid:1234567812345678 -in";
        let words = arguments.split_whitespace().chain([file]);
        Command::new("openssl").args(words).current_dir(home.folder()).output().unwrap()
    };
    let judged = openssl("signed");
    assert!(judged.status.success(), "{}{}", text(&judged.stdout), text(&judged.stderr));
    home.write("changed", signed.replace("\n1\n", "\n2\n") + "x");
    assert!(!openssl("changed").status.success());
    // The key id as docs/formats/ledger.md says it, from OpenSSL's reading of the key.
    let openssl_here = |arguments: &[&str]| {
        Command::new("openssl").args(arguments).current_dir(home.folder()).output().unwrap().stdout
    };
    let mut der = openssl_here(&["pkey", "-pubin", "-in", "national.pem", "-outform", "DER"]);
    let point = der.split_off(der.len() - 65);
    let origin = signed.lines().next().unwrap();
    home.write("hashed", [origin.as_bytes(), b"\n\xff", IDENTIFIER, &point].concat());
    assert_eq!(openssl_here(&["dgst", "-sha256", "-binary", "hashed"])[..4], hash);

    let verified = home.run(&["audit", "verify", "--json"], 0);
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["signers"], serde_json::json!(["national"]));
    let alone = [
        "audit",
        "verify",
        "--checkpoint",
        "now.checkpoint",
        "--key",
        "log.vkey",
        "--sm2-key",
        "national.pem",
    ];
    home.run(&alone, 0);
    // Without its line, or with another key's, it does not hold, although the log's own signature does.
    let without = format!("{signed}\n{}\n", lines[0]);
    home.write("now.checkpoint", &without);
    home.run(&alone, 1);
    home.run(&["audit", "verify", "--checkpoint", "now.checkpoint", "--key", "log.vkey"], 0);
    std::fs::write(home.path().join("log/checkpoint"), without).unwrap();
    let refused = home.run(&["audit", "verify"], 1);
    assert!(text(&refused.stdout).contains("not signed by `national`"), "{}", text(&refused.stdout));
    // The next owner signs it again.
    home.run(&["audit", "checkpoint"], 0);
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_key_that_is_not_sm2_or_not_there_is_refused() {
    let home = home();
    let config = home.path().join("custody.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    for (name, why) in [("default", "SM2"), ("nobody", "nobody")] {
        std::fs::write(&config, written.replace("\"national\"", &format!("\"{name}\""))).unwrap();
        let refused = home.run_with(&["audit", "record"], event(&id(2)).as_bytes(), 2);
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }
}

#[test]
fn a_ledger_of_one_tree_is_made_on_request() {
    let home = Home::absent();
    home.run(&["init", "--trees", "sha256"], 0);
    home.run_with(&["audit", "record"], event(&id(1)).as_bytes(), 0);
    let note = text(&home.run(&["audit", "checkpoint"], 0).stdout);
    assert!(!note.contains("sm3 "), "{note}");
    home.run(&["audit", "verify"], 0);
    // The other tree cannot be had later.
    let config = home.path().join("custody.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    assert!(written.contains("trees = [\"sha256\"]"), "{written}");
    std::fs::write(&config, written.replace("[\"sha256\"]", "[\"sha256\", \"sm3\"]")).unwrap();
    let refused = home.run_with(&["audit", "record"], event(&id(2)).as_bytes(), 2);
    assert!(text(&refused.stderr).contains("keeps its trees for its life"), "{}", text(&refused.stderr));
}

#[test]
fn gos_note_reads_a_checkpoint_with_all_its_lines() {
    let home = home();
    let tsa = authority(&home);
    home.run(&["audit", "checkpoint", "--tsa", &tsa, "-o", "dated.checkpoint"], 0);
    assert_eq!(parts(&read(&home, "dated.checkpoint")).1.len(), 3);
    home.write(
        "go/main.go",
        "package main\nimport (\"fmt\"; \"os\"; \"golang.org/x/mod/sumdb/note\")\nfunc main() {\n\
         key, _ := os.ReadFile(os.Args[1]); text, _ := os.ReadFile(os.Args[2])\n\
         v, err := note.NewVerifier(string(key[:len(key)-1])); if err != nil { panic(err) }\n\
         n, err := note.Open(text, note.VerifierList(v)); if err != nil { panic(err) }\n\
         fmt.Println(len(n.Sigs), len(n.UnverifiedSigs)) }\n",
    );
    // The module and its pinned sums are those of the ledger's own test.
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/tests/go-reader");
    for name in ["go.mod", "go.sum"] {
        std::fs::copy(reader.join(name), home.folder().join("go").join(name)).unwrap();
    }
    let go = |arguments: &[&str]| {
        let program = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
        let mut go = Command::new(program);
        go.args(arguments).current_dir(home.folder().join("go"));
        go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").output()
    };
    if !go(&["mod", "download"]).is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no Go, or golang.org/x/mod is not available");
        return;
    }
    let judged = go(&["run", ".", "../log.vkey", "../dated.checkpoint"]).unwrap();
    assert_eq!(text(&judged.stdout).trim(), "1 2", "{}", text(&judged.stderr));
}

const CONFIG: &str = "[tsa]\ndefault_tsa=x\n[x]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n\
digests=sha256,sha384\ness_cert_id_chain=no\ness_cert_id_alg=sha256\ntsa_name=no\nordering=no\n";

/// An authority that answers with `openssl ts -reply`.
fn authority(home: &Home) -> String {
    support::pe::authority(home.folder());
    support::pe::issue(home.folder(), "tsa", "RSA", "tsa", "root");
    home.write("tsa.cnf", CONFIG);
    home.write("serial", "01\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let dir = home.folder().to_owned();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap(), &dir)));
    address
}

fn answer(mut stream: TcpStream, dir: &Path) {
    let (_, body) = support::http::request(&stream);
    std::fs::write(dir.join("request.tsq"), body).unwrap();
    let line =
        "ts -reply -config tsa.cnf -queryfile request.tsq -signer tsa.pem -inkey tsa.key.pem -out reply.tsr";
    let made = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let reply = std::fs::read(dir.join("reply.tsr")).unwrap();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len())
        .unwrap();
    stream.write_all(&reply).unwrap();
}

#[test]
fn a_checkpoint_is_dated_and_judged_offline() {
    let home = home();
    let tsa = authority(&home);
    home.run(
        &["audit", "checkpoint", "--tsa", "http://127.0.0.1:1/", "--tsa", &tsa, "-o", "dated.checkpoint"],
        0,
    );
    let judged = home.run(
        &["audit", "verify", "--checkpoint", "dated.checkpoint", "--tsa-roots", "root.pem", "--json"],
        0,
    );
    let judged: Value = serde_json::from_slice(&judged.stdout).unwrap();
    let stamp = &judged["given"]["timestamps"][0];
    assert_eq!(
        (&stamp["trusted"], &judged["given"]["sm2"][0]["holds"]),
        (&true.into(), &true.into()),
        "{judged}"
    );
    let said = home.run(&["--json", "audit", "query", "--act", "CHECKPOINT.TIMESTAMPED"], 0);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["ctx"]["time"], stamp["time"]);
    // OpenSSL agrees: the token is over the text.
    let (signed, lines) = parts(&read(&home, "dated.checkpoint"));
    home.write("signed", signed);
    home.write("token", blob(&lines[2]).1);
    let arguments = "ts -verify -data signed -in token -token_in -CAfile root.pem";
    let verified =
        Command::new("openssl").args(arguments.split(' ')).current_dir(home.folder()).output().unwrap();
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));

    let alone = ["audit", "verify", "--checkpoint", "dated.checkpoint", "--key", "log.vkey", "--tsa-roots"];
    home.run(&[&alone[..], &["root.pem"]].concat(), 0);
    let refused = home.run(&[&alone[..], &["code.pem"]].concat(), 1);
    assert!(text(&refused.stderr).contains("not trusted"), "{}", text(&refused.stderr));
    // The date of one checkpoint does not date another.
    home.run_with(&["audit", "record"], event(&id(2)).as_bytes(), 0);
    home.run(&["audit", "checkpoint", "-o", "later.checkpoint"], 0);
    let later = read(&home, "later.checkpoint");
    home.write("dated.checkpoint", format!("{later}{}\n", lines[2]));
    let refused = home.run(&[&alone[..], &["root.pem"]].concat(), 1);
    assert!(text(&refused.stderr).contains("over other bytes"), "{}", text(&refused.stderr));
    // One without a date is none.
    let undated = ["audit", "verify", "--checkpoint", "later.checkpoint", "--tsa-roots", "root.pem"];
    assert!(text(&home.run(&undated, 1).stderr).contains("no timestamp"));
}
