//! PKCS #12 files as OpenSSL writes them, in every scheme that it still can.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::Path;
use std::process::Command;

use keystore::{KeystoreError, pkcs12};
use signing::{Algorithm, keys};

fn openssl(dir: &Path, line: &str) -> Option<Vec<u8>> {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().ok()?;
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// A key and its certificate; nothing without OpenSSL.
fn made(test: &str, algorithm: &str) -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let made = openssl(dir.path(), &format!("genpkey {algorithm} -out key.pem"));
    if made.is_none() {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs openssl");
        eprintln!("SKIPPED {test}: there is no openssl here");
        return None;
    }
    openssl(dir.path(), "req -x509 -key key.pem -subj /CN=Signer -days 30 -out cert.pem");
    Some(dir)
}

#[test]
fn every_scheme_of_openssl_is_opened() {
    let Some(dir) =
        made("every_scheme_of_openssl_is_opened", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256")
    else {
        return;
    };
    let dir = dir.path();
    let public = openssl(dir, "pkey -in key.pem -pubout -outform DER").unwrap();
    for scheme in [
        "",
        " -macalg sha512 -iter 1",
        " -keypbe aes-128-cbc -certpbe NONE",
        " -keypbe des-ede3-cbc -certpbe aes-192-cbc -macalg sha1",
        " -legacy",
        " -legacy -descert",
    ] {
        let line =
            format!("pkcs12 -export -inkey key.pem -in cert.pem -passout pass:käse-7 -out key.p12{scheme}");
        openssl(dir, &line);
        let bytes = std::fs::read(dir.join("key.p12")).unwrap();
        let opened = pkcs12::open(&bytes, "käse-7").unwrap();
        let signer = keys::signer_from_pkcs8(&opened.keys[0]).unwrap();
        assert_eq!(signer.public_key_der(), public, "{scheme}");
        assert_eq!(opened.certificates[0].key.spki, public, "{scheme}");
        let wrong = pkcs12::open(&bytes, "kase-7").err().unwrap();
        assert!(matches!(wrong, KeystoreError::Password { .. }), "{scheme}: {wrong}");
    }
}

#[test]
fn an_sm2_key_is_opened() {
    let Some(dir) = made("an_sm2_key_is_opened", "-algorithm SM2") else { return };
    openssl(dir.path(), "pkcs12 -export -inkey key.pem -in cert.pem -passout pass:x -out key.p12");
    let opened = pkcs12::open(&std::fs::read(dir.path().join("key.p12")).unwrap(), "x").unwrap();
    assert_eq!(keys::signer_from_pkcs8(&opened.keys[0]).unwrap().algorithm(), Algorithm::Sm2);
}

#[test]
fn an_encrypted_key_is_opened() {
    let Some(dir) = made("an_encrypted_key_is_opened", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048") else {
        return;
    };
    let dir = dir.path();
    for scheme in ["-v2 aes-256-cbc", "-v2 aes-128-cbc -v2prf hmacWithSHA1", "-v1 PBE-SHA1-3DES"] {
        openssl(dir, &format!("pkcs8 -topk8 {scheme} -in key.pem -passout pass:x -outform DER -out key.der"));
        let der = std::fs::read(dir.join("key.der")).unwrap();
        let plain = pkcs12::open_encrypted_key(&der, "x").unwrap();
        let signer = keys::signer_from_pkcs8(&plain).unwrap();
        assert_eq!(signer.public_key_der(), openssl(dir, "pkey -in key.pem -pubout -outform DER").unwrap());
        assert!(pkcs12::open_encrypted_key(&der, "y").is_err());
    }
}

#[test]
fn a_changed_file_is_refused() {
    let Some(dir) = made("a_changed_file_is_refused", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384")
    else {
        return;
    };
    openssl(dir.path(), "pkcs12 -export -inkey key.pem -in cert.pem -passout pass:x -iter 1 -out key.p12");
    let bytes = std::fs::read(dir.path().join("key.p12")).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        assert!(pkcs12::open(&changed, "x").is_err(), "byte {at} of {}", bytes.len());
        assert!(pkcs12::open(&bytes[..at], "x").is_err(), "cut at {at}");
    }
}
