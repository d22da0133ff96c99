//! Keys on a real token: SoftHSM, in a store of the test's own.
//!
//! The library reads its configuration from the environment when it is loaded, so the test starts itself again with
//! the environment set.
#![cfg(all(unix, feature = "pkcs11"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keystore::KeystoreError;
use keystore::pkcs11::{NewKey, Token, TokenSigner, Uri, WrappingKey};
use signing::{Algorithm, EcdsaVerifier, RsaVerifier, Signer as _, Verifier as _};

const INNER: &str = "CUSTODY_TEST_TOKEN_STORE";

fn module() -> Option<PathBuf> {
    let candidates = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm.so",
    ];
    candidates.iter().map(PathBuf::from).find(|path| path.exists())
}

#[test]
fn a_token_signs_wraps_and_keeps_its_keys() {
    let test = "a_token_signs_wraps_and_keeps_its_keys";
    let Some(module) = module() else {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs softhsm2");
        eprintln!("SKIPPED {test}: there is no softhsm2 here");
        return;
    };
    if std::env::var_os(INNER).is_some() {
        return inside(&module);
    }
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("softhsm2.conf");
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}/tokens\nlog.level = ERROR\n", dir.path().display()),
    )
    .unwrap();
    let init = ["--init-token", "--free", "--label", "test token", "--pin", "1234", "--so-pin", "12345678"];
    let init = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(INNER, dir.path())
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

fn inside(module: &Path) {
    let uri = |text: &str| Uri::parse(text).unwrap();
    let name = uri("pkcs11:token=test%20token");
    let wrong = Token::open(&name, Some(module), Some("0000")).err().unwrap();
    assert!(matches!(wrong, KeystoreError::Password { .. }), "{wrong}");
    assert!(matches!(
        Token::open(&uri("pkcs11:token=none"), Some(module), None),
        Err(KeystoreError::NotFound { .. })
    ));
    assert!(Token::open(&name, Some(Path::new("/nonexistent.so")), None).is_err());

    let token = Arc::new(Token::open(&name, Some(module), Some("1234")).unwrap());
    for (kind, label, algorithm) in [
        (NewKey::Rsa(2048), "rsa", Algorithm::RsaSha256),
        (NewKey::P256, "p256", Algorithm::EcdsaP256),
        (NewKey::P384, "p384", Algorithm::EcdsaP384),
    ] {
        let key = uri(&format!("pkcs11:object={label}"));
        assert!(matches!(TokenSigner::open(Arc::clone(&token), &key), Err(KeystoreError::NotFound { .. })));
        let made = TokenSigner::generate(Arc::clone(&token), &key, kind).unwrap();
        assert!(made.facts().stays(), "{:?}", made.facts());
        assert!(matches!(
            TokenSigner::generate(Arc::clone(&token), &key, kind),
            Err(KeystoreError::Exists { .. })
        ));
        let signer = TokenSigner::open(Arc::clone(&token), &key).unwrap();
        assert_eq!(signer.algorithm(), algorithm);
        check(&signer);
        if algorithm == Algorithm::RsaSha256 {
            check(&signer.under(Algorithm::RsaSha384).unwrap());
        } else {
            assert!(signer.under(Algorithm::RsaSha256).is_err());
        }
    }
    let many = TokenSigner::open(Arc::clone(&token), &name).err().unwrap();
    assert!(many.to_string().contains("names 3 keys"), "{many}");
    wraps(&token);
}

fn check(signer: &TokenSigner) {
    let signature = signer.sign(b"message").unwrap();
    let (spki, algorithm) = (signer.public_key_der(), signer.algorithm());
    let verified = match algorithm {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
            EcdsaVerifier::from_spki_der(&spki, algorithm).unwrap().verify(b"message", &signature)
        }
        _ => RsaVerifier::from_spki_der(&spki, algorithm).unwrap().verify(b"message", &signature),
    };
    verified.unwrap();
}

fn wraps(token: &Arc<Token>) {
    let name = Uri::parse("pkcs11:object=kek").unwrap();
    let made = WrappingKey::generate(Arc::clone(token), &name).unwrap();
    let wrapped = made.wrap(&[7; 32], b"subject 10086").unwrap();
    assert_eq!(wrapped.len(), 12 + 32 + 16);
    assert_ne!(wrapped, made.wrap(&[7; 32], b"subject 10086").unwrap());
    let found = WrappingKey::open(Arc::clone(token), &name).unwrap();
    assert_eq!(*found.unwrap(&wrapped, b"subject 10086").unwrap(), [7; 32]);
    assert!(found.unwrap(&wrapped, b"subject 10087").is_err());
    assert!(found.unwrap(&wrapped[..20], b"subject 10086").is_err());
    assert!(matches!(WrappingKey::generate(Arc::clone(token), &name), Err(KeystoreError::Exists { .. })));
}
