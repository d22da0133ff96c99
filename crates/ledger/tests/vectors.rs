//! The vectors in `docs/formats/` are what this code writes, and the roots are those of the Certificate Transparency
//! reference tests.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::{Log, Options, SignedCheckpoint};
use signing::Ed25519Signer;
use signing::note::NoteSigner;
use tlog::{ConsistencyProof, InclusionProof, Sha256, TreeHash as _};

const ORIGIN: &str = "log.example/vectors";

/// The key whose seed is 32 times 7, as PKCS #8 (RFC 8410 §7).
fn signer() -> NoteSigner {
    let prefix =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = [&prefix[..], &[7; 32]].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    NoteSigner::new(ORIGIN, Ed25519Signer::from_pkcs8_pem(&pem).unwrap()).unwrap()
}

fn entries() -> Vec<Vec<u8>> {
    let mut entries: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0x10], vec![0x20, 0x21], vec![0x30, 0x31]];
    entries.extend([(0x40..0x44).collect(), (0x50..0x58).collect(), (0x60..0x70).collect::<Vec<u8>>()]);
    entries
}

fn document(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_documents_hold_what_the_code_writes() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { create: true, publish_every: None, ..Options::new(ORIGIN, signer()) };
    let (log, _) = Log::open(home.path(), options).unwrap();
    let entries = entries();
    log.append(entries[..3].to_vec()).unwrap();
    let old = log.publish().unwrap();
    log.append(entries[3..].to_vec()).unwrap();
    let new = log.publish().unwrap();
    let root = [
        0x5d, 0xc9, 0xda, 0x79, 0xa7, 0x06, 0x59, 0xa9, 0xad, 0x55, 0x9c, 0xb7, 0x01, 0xde, 0xd9, 0xa2, 0xab,
        0x9d, 0x82, 0x3a, 0xad, 0x2f, 0x49, 0x60, 0xcf, 0xe3, 0x70, 0xef, 0xf4, 0x60, 0x43, 0x28,
    ];
    assert_eq!(new.checkpoint.root, root, "the root of the reference tests");
    let proof = log.prove(2).unwrap().to_string();
    let consistency = log.prove_consistency(3).unwrap().to_string();

    let verifier = signer().verifier();
    for (name, expected) in [
        ("ledger.md", verifier.to_string()),
        ("ledger.md", new.note.clone()),
        ("ledger.md", proof.clone()),
        ("consistency-proof.md", old.note.clone()),
        ("consistency-proof.md", consistency.clone()),
    ] {
        assert!(document(name).contains(&expected), "{name} lacks\n{expected}");
    }

    // And a reader that has the documents only accepts them.
    let proof = InclusionProof::parse(&proof).unwrap();
    let opened = SignedCheckpoint::open(&proof.note, &verifier, ORIGIN).unwrap();
    proof.verify(&Sha256::leaf(&[0x10]), &opened.checkpoint).unwrap();
    let consistency = ConsistencyProof::parse(&consistency).unwrap();
    consistency.verify(&old.checkpoint, &opened.checkpoint).unwrap();
}
