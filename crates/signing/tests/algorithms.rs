//! RSA and ECDSA against OpenSSL: it verifies what we sign, we what it signs, and keys go both ways.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::Path;
use std::process::Command;

use signing::{
    Algorithm, EcdsaSigner, EcdsaVerifier, RsaSigner, RsaVerifier, Signer, SigningError, Verifier, keys,
};

const MESSAGE: &[u8] = b"what was built";

fn openssl(dir: &Path, line: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Says why a test did not run; where peers are required, their absence fails.
fn no_openssl(test: &str) -> bool {
    let absent = Command::new("openssl").arg("version").output().is_err();
    assert!(!absent || std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs openssl");
    if absent {
        eprintln!("SKIPPED {test}: there is no openssl here");
    }
    absent
}

fn verifier(spki: &[u8], algorithm: Algorithm) -> Box<dyn Verifier> {
    match algorithm {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
            Box::new(EcdsaVerifier::from_spki_der(spki, algorithm).unwrap())
        }
        _ => Box::new(RsaVerifier::from_spki_der(spki, algorithm).unwrap()),
    }
}

/// The curve in the key decides, not the caller: SM2 keys are EC keys to everyone else.
#[test]
fn an_sm2_key_signs_as_sm2() {
    let pem = signing::Sm2Signer::generate().unwrap().to_pkcs8_pem().unwrap();
    let signer = keys::signer_from_pem(&pem).unwrap();
    assert_eq!(signer.algorithm(), Algorithm::Sm2);
    let signature = signer.sign(MESSAGE).unwrap();
    let verifier = signing::Sm2Verifier::from_spki_der(&signer.public_key_der()).unwrap();
    assert!(verifier.verify(MESSAGE, &signature).is_ok());
}

#[test]
fn openssl_and_we_verify_each_other() {
    if no_openssl("openssl_and_we_verify_each_other") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("message"), MESSAGE).unwrap();
    let makers = [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem", Algorithm::RsaSha256, "sha256"),
        ("genrsa -traditional -out key.pem 3072", Algorithm::RsaSha384, "sha384"),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem", Algorithm::RsaSha512, "sha512"),
        ("ecparam -name prime256v1 -genkey -out key.pem", Algorithm::EcdsaP256, "sha256"),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem",
            Algorithm::EcdsaP384,
            "sha384",
        ),
    ];
    for (make, algorithm, digest) in makers {
        openssl(dir, make);
        let pem = std::fs::read_to_string(dir.join("key.pem")).unwrap();
        let signer: Box<dyn Signer> = match algorithm {
            Algorithm::RsaSha384 | Algorithm::RsaSha512 => {
                let pkcs1 = openssl(dir, "rsa -in key.pem -traditional -outform DER");
                Box::new(RsaSigner::from_pkcs1_der(&pkcs1).unwrap().under(algorithm).unwrap())
            }
            _ => keys::signer_from_pem(&pem).unwrap(),
        };
        assert_eq!(signer.algorithm(), algorithm);
        let spki = openssl(dir, "pkey -in key.pem -pubout -outform DER");
        assert_eq!(signer.public_key_der(), spki, "{algorithm}");

        std::fs::write(dir.join("ours.sig"), signer.sign(MESSAGE).unwrap()).unwrap();
        openssl(dir, "pkey -in key.pem -pubout -out pub.pem");
        openssl(dir, &format!("dgst -{digest} -verify pub.pem -signature ours.sig message"));

        openssl(dir, &format!("dgst -{digest} -sign key.pem -out theirs.sig message"));
        let mut theirs = std::fs::read(dir.join("theirs.sig")).unwrap();
        let verifier = verifier(&spki, algorithm);
        assert_eq!(verifier.key_id(), signer.key_id());
        verifier.verify(MESSAGE, &theirs).unwrap();
        assert!(matches!(verifier.verify(b"another", &theirs), Err(SigningError::BadSignature { .. })));
        *theirs.last_mut().unwrap() ^= 1;
        assert!(verifier.verify(MESSAGE, &theirs).is_err(), "{algorithm}");
    }
}

#[test]
fn openssl_reads_the_keys_that_we_make() {
    if no_openssl("openssl_reads_the_keys_that_we_make") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rsa = RsaSigner::generate(2048).unwrap();
    let p384 = EcdsaSigner::generate(Algorithm::EcdsaP384).unwrap();
    for (pem, spki) in [
        (rsa.to_pkcs8_pem().unwrap(), rsa.public_key_der()),
        (p384.to_pkcs8_pem().unwrap(), p384.public_key_der()),
    ] {
        std::fs::write(dir.path().join("ours.pem"), pem.as_bytes()).unwrap();
        assert_eq!(openssl(dir.path(), "pkey -in ours.pem -pubout -outform DER"), spki);
        assert_eq!(keys::signer_from_pem(&pem).unwrap().public_key_der(), spki);
    }
}

#[test]
fn what_is_no_key_for_signing_is_refused() {
    if no_openssl("what_is_no_key_for_signing_is_refused") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (make, why) in [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem", "RSA private key"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key.pem", "ECDSA private key"),
        ("genpkey -algorithm X25519 -out key.pem", "1.3.101.110"),
        ("genpkey -algorithm ED25519 -aes256 -pass pass:x -out key.pem", "it is encrypted"),
    ] {
        openssl(dir.path(), make);
        let pem = std::fs::read_to_string(dir.path().join("key.pem")).unwrap();
        let error = keys::signer_from_pem(&pem).err().unwrap().to_string();
        assert!(error.contains(why), "{make}: {error}");
    }
    assert!(RsaSigner::generate(1024).is_err());
    assert!(EcdsaSigner::generate(Algorithm::RsaSha256).is_err());
    assert!(RsaSigner::generate(2048).unwrap().under(Algorithm::EcdsaP256).is_err());
}
