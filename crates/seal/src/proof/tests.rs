//! A proof holds for its entry under its head, and for nothing else.

use signing::{Ed25519Signer, Sm2Signer};

use super::*;
use crate::{EntryPath, Subject, Tree};

fn seal(count: u32) -> Seal {
    let entry = |n: u32| {
        let path = EntryPath::new(&format!("d{}/f{n:05}", n % 7)).unwrap();
        Entry::file(path, 0o644, u64::from(n), gm::Dual::digest(&n.to_be_bytes()))
    };
    Seal::new("release", Subject::Directory, Tree::new((0..count).map(entry).collect()).unwrap()).unwrap()
}

#[test]
fn every_entry_of_trees_of_every_shape_is_proved_by_one_key_of_two() {
    let (first, second) = (Ed25519Signer::generate().unwrap(), Sm2Signer::generate().unwrap());
    for count in [1, 2, 3, 7, 8, 9, 100] {
        let seal = seal(count);
        let bytes = seal.sign(&[&first, &second]).unwrap();
        for entry in seal.tree().entries() {
            let proof = EntryProof::new(&bytes, &[&first.verifier()], entry.path.as_str(), &[]).unwrap();
            let proof = EntryProof::parse(&proof.to_json().unwrap()).unwrap();
            let proved = proof.verify(&[&second.verifier()]).unwrap();
            assert_eq!((&proved.entry, proved.head.entries), (entry, u64::from(count)));
            assert!(proof.verify(&[&Ed25519Signer::generate().unwrap().verifier()]).is_err());
        }
    }
}

#[test]
fn nothing_of_a_proof_can_be_exchanged() {
    let signer = Ed25519Signer::generate().unwrap();
    let verifier = signer.verifier();
    let bytes = seal(100).sign(&[&signer]).unwrap();
    let of = |path| EntryProof::new(&bytes, &[&verifier], path, &[]).unwrap();
    let (one, other) = (of("d1/f00001"), of("d2/f00002"));
    let mixed = [
        EntryProof { entry: other.entry.clone(), ..one.clone() },
        EntryProof { index: other.index, ..one.clone() },
        EntryProof { sha256: other.sha256.clone(), ..one.clone() },
        EntryProof { sm3: other.sm3.clone(), ..one.clone() },
        EntryProof { sm3: Vec::new(), ..one.clone() },
        EntryProof { entry: Entry { mode: 0o755, ..one.entry.clone() }, ..one.clone() },
    ];
    for proof in mixed {
        assert!(matches!(proof.verify(&[&verifier]), Err(SealError::NotIncluded { .. })), "{proof:?}");
    }
    let elsewhere = EntryProof::new(&seal(99).sign(&[&signer]).unwrap(), &[&verifier], "d1/f00001", &[]);
    let proof = EntryProof { head: elsewhere.unwrap().head, ..one };
    assert!(matches!(proof.verify(&[&verifier]), Err(SealError::NotIncluded { .. })));
    let missing = EntryProof::new(&bytes, &[&verifier], "d1", &[]).unwrap_err();
    assert!(matches!(missing, SealError::NoEntry { .. }), "{missing}");
}

#[test]
fn a_seal_without_a_head_gets_one_from_who_proves_and_a_head_of_another_seal_is_no_head() {
    let (maker, prover) = (Ed25519Signer::generate().unwrap(), Ed25519Signer::generate().unwrap());
    let sealed = SealFile::read(&seal(5).sign(&[&maker]).unwrap()).unwrap();
    let old = SealFile { head: None, envelope: sealed.envelope.clone() }.to_bytes().unwrap();
    assert!(!String::from_utf8_lossy(&old).contains("head"));
    let none = EntryProof::new(&old, &[&maker.verifier()], "d1/f00001", &[]).unwrap_err();
    assert!(matches!(none, SealError::NoHead), "{none}");
    let proof = EntryProof::new(&old, &[&maker.verifier()], "d1/f00001", &[&prover]).unwrap();
    assert!(proof.verify(&[&maker.verifier()]).is_err());
    proof.verify(&[&prover.verifier()]).unwrap();

    let (countersigned, _) = Seal::countersign(&old, &[&maker.verifier()], &[&prover]).unwrap();
    let proof = EntryProof::new(&countersigned, &[&maker.verifier()], "d1/f00001", &[]).unwrap();
    proof.verify(&[&prover.verifier()]).unwrap();

    let other = SealFile::read(&seal(6).sign(&[&maker]).unwrap()).unwrap();
    let swapped = SealFile { head: other.head, envelope: sealed.envelope }.to_bytes().unwrap();
    assert!(EntryProof::new(&swapped, &[&maker.verifier()], "d1/f00001", &[]).is_err());
    assert!(Seal::countersign(&swapped, &[&maker.verifier()], &[&prover]).is_err());
    // The head is a statement of its own, and never taken for the seal.
    let head = serde_json::to_vec(&sealed.head).unwrap();
    assert!(matches!(Seal::open(&head, &[&maker.verifier()]), Err(SealError::Unknown { .. })));
}
