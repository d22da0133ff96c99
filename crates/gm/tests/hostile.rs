//! The fuzz targets' oracles on arbitrary bytes, on near misses of real inputs, and on the kept corpus.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use fuzz_replay::Target;
use gm::fuzzing;
use gm::sm2::PrivateKey;

const TARGETS: &[Target] = &[
    ("gm_sm2_key", fuzzing::sm2_key),
    ("gm_sm2_signature", fuzzing::sm2_signature),
    ("gm_sm2_ciphertext", fuzzing::sm2_ciphertext),
];

/// Real inputs, of the key that the oracles know.
fn real() -> Vec<Vec<u8>> {
    let key = PrivateKey::from_bytes(&[7; 32]).unwrap();
    vec![
        key.public_key().to_spki_der(),
        key.to_pkcs8_der().to_vec(),
        key.public_key().to_sec1_compressed().to_vec(),
        key.sign_digest(&[1; 32], &[2; 32]).to_der(),
        key.public_key().encrypt(b"a text", &[3; 32]).unwrap(),
        key.public_key().encrypt_der(b"a text", &[3; 32]).unwrap(),
    ]
}

#[test]
fn any_bytes() {
    fuzz_replay::any_bytes(TARGETS, 200, 256);
}

#[test]
fn near_misses() {
    fuzz_replay::near_misses_of(&real(), TARGETS, 256);
    fuzz_replay::near_misses(TARGETS, 256);
}

#[test]
fn real_inputs_and_the_corpus() {
    for data in real() {
        assert!(!data.is_empty());
        TARGETS.iter().for_each(|(_, target)| target(&data));
    }
    fuzz_replay::corpus(TARGETS);
}

/// Run by hand to write the corpus anew (all but the private key, which alarms scanners): `cargo test -p gm --test hostile -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let kept = [
        ("gm_sm2_key", 0),
        ("gm_sm2_key", 2),
        ("gm_sm2_signature", 3),
        ("gm_sm2_ciphertext", 4),
        ("gm_sm2_ciphertext", 5),
    ];
    for (name, which) in kept {
        std::fs::create_dir_all(fuzz_replay::folder(name)).unwrap();
        std::fs::write(fuzz_replay::folder(name).join(format!("real-{which}")), &real()[which]).unwrap();
    }
}
