//! OpenSSL as the judge of SM2: keys, signatures and ciphertexts, both ways.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::Path;
use std::process::Command;

use signing::{Signer as _, Sm2Signer, Sm2Verifier, Verifier as _};

fn openssl(dir: &Path, args: &str) -> Option<Vec<u8>> {
    let output = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().ok()?;
    if !output.status.success() {
        eprintln!("openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success().then_some(output.stdout)
}

/// An OpenSSL that has the curve; says so by name where there is none.
fn peer(test: &str) -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    if openssl(dir.path(), "ecparam -name SM2 -genkey -noout -out probe.pem").is_some() {
        return Some(dir);
    }
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs openssl with SM2");
    eprintln!("SKIPPED {test}: there is no openssl with SM2 here");
    None
}

const VERIFY: &str =
    "dgst -sm3 -verify ours.pub.pem -signature ours.sig -sigopt distid:1234567812345678 message";

#[test]
fn openssl_verifies_what_we_sign() {
    let Some(dir) = peer("openssl_verifies_what_we_sign") else { return };
    let file = |name: &str| dir.path().join(name);
    for round in 0..8 {
        let message = format!("build {round}").repeat(round);
        std::fs::write(file("message"), &message).unwrap();
        let ours = Sm2Signer::generate().unwrap();
        std::fs::write(file("ours.pub.pem"), ours.verifier().to_spki_pem().unwrap()).unwrap();
        std::fs::write(file("ours.sig"), ours.sign(message.as_bytes()).unwrap()).unwrap();
        assert!(openssl(dir.path(), VERIFY).is_some(), "round {round}");
        std::fs::write(file("message"), "something else").unwrap();
        assert!(openssl(dir.path(), VERIFY).is_none(), "round {round}");
    }
}

#[test]
fn we_verify_what_openssl_signs() {
    let Some(dir) = peer("we_verify_what_openssl_signs") else { return };
    let file = |name: &str| dir.path().join(name);
    for round in 0..8 {
        std::fs::write(file("message"), format!("build {round}")).unwrap();
        openssl(dir.path(), "ecparam -name SM2 -genkey -noout -out ec.pem").unwrap();
        openssl(dir.path(), "pkcs8 -topk8 -nocrypt -in ec.pem -out theirs.pem").unwrap();
        openssl(dir.path(), "pkey -in ec.pem -pubout -out theirs.pub.pem").unwrap();
        let sign = "dgst -sm3 -sign theirs.pem -sigopt distid:1234567812345678 -out theirs.sig message";
        openssl(dir.path(), sign).unwrap();
        let theirs = Sm2Verifier::from_spki_pem(&read(&file("theirs.pub.pem"))).unwrap();
        let signature = std::fs::read(file("theirs.sig")).unwrap();
        theirs.verify(format!("build {round}").as_bytes(), &signature).unwrap();
        assert!(theirs.verify(b"something else", &signature).is_err());
        // Its private key is ours to read, with the same public half, in either form.
        openssl(dir.path(), "ec -in ec.pem -out sec1.pem").unwrap();
        let sec1 = read(&file("sec1.pem"));
        // OpenSSL 3 names the algorithm in the label, OpenSSL 1.1 and GmSSL do not.
        for pem in [sec1.clone(), sec1.replace("SM2 PRIVATE", "EC PRIVATE")] {
            assert!(!pem.contains("BEGIN PRIVATE"), "{pem}");
            let key = signing::keys::signer_from_pem(&pem).unwrap();
            assert_eq!(key.public_key_der(), theirs.to_spki_der());
            theirs.verify(b"by its own form", &key.sign(b"by its own form").unwrap()).unwrap();
        }
        assert_eq!(Sm2Signer::from_pkcs8_pem(&read(&file("theirs.pem"))).unwrap().verifier(), theirs);
    }
}

#[test]
fn openssl_reads_our_keys_and_writes_them_back() {
    let Some(dir) = peer("openssl_reads_our_keys_and_writes_them_back") else { return };
    let ours = Sm2Signer::generate().unwrap();
    std::fs::write(dir.path().join("ours.pem"), ours.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    let again = openssl(dir.path(), "pkey -in ours.pem").unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), *ours.to_pkcs8_pem().unwrap());
    let public = openssl(dir.path(), "pkey -in ours.pem -pubout").unwrap();
    assert_eq!(String::from_utf8(public).unwrap(), ours.verifier().to_spki_pem().unwrap());
}

#[test]
fn ciphertexts_go_both_ways() {
    let Some(dir) = peer("ciphertexts_go_both_ways") else { return };
    let file = |name: &str| dir.path().join(name);
    let key = gm::sm2::PrivateKey::from_bytes(&[0x5a; 32]).unwrap();
    let signer = Sm2Signer::from_bytes(&[0x5a; 32]).unwrap();
    std::fs::write(file("key.pem"), signer.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    for length in [1, 31, 32, 33, 600] {
        let message = vec![b'm'; length];
        let ours = key.public_key().encrypt_der(&message, &[9; 32]).unwrap();
        std::fs::write(file("ours.bin"), ours).unwrap();
        assert_eq!(openssl(dir.path(), "pkeyutl -decrypt -inkey key.pem -in ours.bin").unwrap(), message);
        std::fs::write(file("message"), &message).unwrap();
        openssl(dir.path(), "pkeyutl -encrypt -inkey key.pem -in message -out theirs.bin").unwrap();
        let theirs = key.decrypt_der(&std::fs::read(file("theirs.bin")).unwrap()).unwrap();
        assert_eq!(*theirs, message);
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
