//! The fuzz targets' oracles on arbitrary bytes, on near misses of real inputs, and on the kept corpus.

use proptest::prelude::*;
use signing::note::NoteSigner;
use signing::{Ed25519Signer, Signer as _, fuzzing};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 4] = [
    ("signing_note", fuzzing::note),
    ("signing_note_key", fuzzing::note_key),
    ("signing_dsse", fuzzing::dsse),
    ("signing_key", fuzzing::key),
];

/// Real inputs, made here by the key that the oracles know.
fn real() -> Vec<Vec<u8>> {
    let key = || Ed25519Signer::from_seed(&[7; 32]);
    let signer = NoteSigner::new("fuzz.example", key());
    let note = signer.as_ref().map(|s| s.sign("fuzz.example\n7\nAAAA\n").unwrap_or_default());
    let verifier = signer.as_ref().map(|s| s.verifier().to_string());
    let envelope = signing::dsse::Envelope::sign("t", b"{}", &[&key() as &dyn signing::Signer]);
    vec![
        note.unwrap_or_default().into_bytes(),
        verifier.unwrap_or_default().into_bytes(),
        serde_json::to_vec(&envelope.ok()).unwrap_or_default(),
        key().to_pkcs8_pem().map(|pem| pem.as_bytes().to_vec()).unwrap_or_default(),
        key().verifier().to_spki_pem().unwrap_or_default().into_bytes(),
        key().key_id().to_string().into_bytes(),
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
    for data in real() {
        assert!(!data.is_empty());
        all(&data);
    }
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let seeds = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for seed in seeds {
            target(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}

/// Run by hand to write the corpus anew (all but the private key, which alarms scanners): `cargo test -p signing --test hostile -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let owners = ["signing_note", "signing_note_key", "signing_dsse", "signing_key", "signing_key"];
    for (number, (owner, data)) in owners.iter().zip(real()).enumerate().filter(|(number, _)| *number != 3) {
        let folder = corpus.join(owner);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("real-{number}")), data).unwrap();
    }
}
