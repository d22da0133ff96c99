//! The fuzz targets' oracles on arbitrary bytes, on near misses of real inputs, and on the kept corpus.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use gm::fuzzing;
use gm::sm2::PrivateKey;
use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 3] = [
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

fn all(data: &[u8]) {
    for (_, target) in TARGETS {
        target(data);
    }
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        all(&data);
    }

    #[test]
    fn near_misses(which in 0usize..6, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut data = real().swap_remove(which);
        let at = at.index(data.len());
        if cut { data.truncate(at) } else { data[at] = byte }
        all(&data);
    }
}

#[test]
fn real_inputs_and_the_corpus() {
    real().iter().for_each(|data| all(data));
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let seeds = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for seed in seeds {
            target(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}

/// Run by hand to write the corpus anew (all but the private key, which alarms scanners): `cargo test -p gm --test hostile -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let kept = [
        ("gm_sm2_key", 0),
        ("gm_sm2_key", 2),
        ("gm_sm2_signature", 3),
        ("gm_sm2_ciphertext", 4),
        ("gm_sm2_ciphertext", 5),
    ];
    for (name, which) in kept {
        std::fs::create_dir_all(corpus.join(name)).unwrap();
        std::fs::write(corpus.join(name).join(format!("real-{which}")), &real()[which]).unwrap();
    }
}
