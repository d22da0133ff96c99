//! The fuzz targets' oracles on arbitrary bytes, on near misses of real inputs, and on the kept corpus.

use fuzz_replay::Target;
use signing::note::NoteSigner;
use signing::{Ed25519Signer, Signer as _, fuzzing};

const TARGETS: &[Target] = &[
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

/// Run by hand to write the corpus anew (all but the private key, which alarms scanners): `cargo test -p signing --test hostile -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let owners = ["signing_note", "signing_note_key", "signing_dsse", "signing_key", "signing_key"];
    for (number, (owner, data)) in owners.iter().zip(real()).enumerate().filter(|(number, _)| *number != 3) {
        let folder = fuzz_replay::folder(owner);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("real-{number}")), data).unwrap();
    }
}
