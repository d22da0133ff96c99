//! Other people's implementations as judges: OpenSSL for keys and signatures, Go's own package for notes.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::{Path, PathBuf};
use std::process::Command;

use signing::note::{NoteSigner, NoteVerifier};
use signing::{Ed25519Signer, Ed25519Verifier, Signer as _, Verifier as _};

/// Says why a test did not run; where peers are required, their absence fails.
fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: there is no {missing} here");
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    run(Command::new("openssl").args(args).current_dir(dir))
}

/// `CUSTODY_GO`, else the one that setup unpacked, else the one on the path.
fn go() -> Option<PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/custody/rig")
    });
    let candidates =
        [std::env::var_os("CUSTODY_GO").map(PathBuf::from), Some(rig.join("go/bin/go")), Some("go".into())];
    candidates
        .into_iter()
        .flatten()
        .find(|go| Command::new(go).arg("version").output().is_ok_and(|o| o.status.success()))
}

#[test]
fn openssl_verifies_what_we_sign_and_we_what_it_signs() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("openssl_verifies_what_we_sign_and_we_what_it_signs", "openssl");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("message"), b"what was built").unwrap();

    let ours = Ed25519Signer::generate().unwrap();
    std::fs::write(file("ours.pub.pem"), ours.verifier().to_spki_pem().unwrap()).unwrap();
    std::fs::write(file("ours.sig"), ours.sign(b"what was built").unwrap()).unwrap();
    let verify = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "ours.pub.pem",
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "ours.sig",
    ];
    openssl(dir.path(), &verify);
    std::fs::write(file("message"), b"what was bui1t").unwrap();
    let tampered = Command::new("openssl").args(verify).current_dir(dir.path()).output().unwrap();
    assert!(!tampered.status.success());

    openssl(dir.path(), &["genpkey", "-algorithm", "ed25519", "-out", "theirs.pem"]);
    openssl(dir.path(), &["pkey", "-in", "theirs.pem", "-pubout", "-out", "theirs.pub.pem"]);
    openssl(
        dir.path(),
        &["pkeyutl", "-sign", "-inkey", "theirs.pem", "-rawin", "-in", "message", "-out", "theirs.sig"],
    );
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let verifier = Ed25519Verifier::from_spki_pem(&read("theirs.pub.pem")).unwrap();
    verifier.verify(b"what was bui1t", &std::fs::read(file("theirs.sig")).unwrap()).unwrap();
    let signer = Ed25519Signer::from_pkcs8_pem(&read("theirs.pem")).unwrap();
    assert_eq!(signer.verifier(), verifier);
    assert_eq!(
        *signer.to_pkcs8_pem().unwrap(),
        read("theirs.pem"),
        "our private keys are spelled as OpenSSL's"
    );
}

/// Opens our note with our key, then signs a note of its own; both through `golang.org/x/mod/sumdb/note`.
const GO_PEER: &str = r#"package main

import (
	"crypto/rand"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	ours, err := note.NewVerifier(os.Args[1])
	check(err)
	message, err := os.ReadFile(os.Args[2])
	check(err)
	opened, err := note.Open(message, note.VerifierList(ours))
	check(err)
	secret, public, err := note.GenerateKey(rand.Reader, "go.example/witness")
	check(err)
	signer, err := note.NewSigner(secret)
	check(err)
	cosigned, err := note.Sign(opened, signer)
	check(err)
	fmt.Println(public)
	os.Stdout.Write(cosigned)
}
"#;

#[test]
fn gos_note_package_opens_our_notes_and_we_open_its() {
    const NAME: &str = "gos_note_package_opens_our_notes_and_we_open_its";
    let Some(go) = go() else { return skip(NAME, "Go toolchain") };
    let root = String::from_utf8(run(Command::new(&go).args(["env", "GOROOT"]))).unwrap();
    let vendored = Path::new(root.trim()).join("src/cmd/vendor/golang.org/x/mod/sumdb/note/note.go");
    if !vendored.is_file() {
        return skip(NAME, "note package in this Go release");
    }
    // The release carries the package for its own use; as a module beside the program it needs no network.
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "go.mod",
        "module peer\n\ngo 1.21\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => ./mod\n",
    );
    write("main.go", GO_PEER);
    write("mod/go.mod", "module golang.org/x/mod\n\ngo 1.21\n");
    write("mod/sumdb/note/note.go", &std::fs::read_to_string(vendored).unwrap());

    let signer = NoteSigner::new("custody.example/log", Ed25519Signer::generate().unwrap()).unwrap();
    let text = "custody.example/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nwith an empty line\n";
    write("note", &signer.sign(text).unwrap());
    let output = run(Command::new(&go)
        .args(["run", ".", &signer.verifier().to_string(), "note"])
        .current_dir(dir.path())
        .envs([
            ("GOFLAGS", "-mod=mod"),
            ("GOPROXY", "off"),
            ("GOSUMDB", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GOWORK", "off"),
        ]));
    let output = String::from_utf8(output).unwrap();
    let (theirs, cosigned) = output.split_once('\n').unwrap();
    let theirs = NoteVerifier::parse(theirs).unwrap();
    let opened = signing::note::open(cosigned, &[signer.verifier(), theirs.clone()]).unwrap();
    assert_eq!(opened.text, text);
    assert_eq!(opened.signed_by, ["custody.example/log", "go.example/witness"]);
    assert_eq!(theirs.open(cosigned).unwrap().signed_by, ["go.example/witness"]);
}
