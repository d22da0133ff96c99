use signing::{Algorithm, Ed25519Signer, PublicKey, keys};

use super::*;
use crate::{EntryPath, Format};

fn tree(paths: &[&str]) -> Tree {
    let file = |p: &&str| Entry::file(EntryPath::new(p).unwrap(), 0o644, 1, gm::Dual::digest(p.as_bytes()));
    Tree::new(paths.iter().map(file).collect()).unwrap()
}

fn directory() -> Seal {
    Seal::new("release", Subject::Directory, tree(&["a", "b/c"])).unwrap()
}

fn archive() -> Seal {
    let container =
        Container { format: Format::Zip, size: 5000, block_size: 4096, blocks: vec![[1; 32], [2; 32]] };
    let subject = Subject::Archive { digest: gm::Dual::digest(b"zip"), container };
    Seal::new("r.zip", subject, tree(&["a"])).unwrap()
}

fn program(path: &str) -> Program {
    Program { path: EntryPath::new(path).unwrap(), size: 8, digest: gm::Dual::digest(path.as_bytes()) }
}

#[test]
fn programs_are_files_of_the_tree_in_order() {
    // A seal without programs is written as it always was.
    assert!(!String::from_utf8(directory().to_statement().unwrap()).unwrap().contains("programs"));
    for wrong in [vec!["b/c", "a"], vec!["a", "a"], vec!["b"], vec!["z"]] {
        let programs = wrong.iter().map(|path| program(path)).collect();
        assert!(directory().with_programs(programs).is_err(), "{wrong:?}");
    }
    let seal = directory().with_programs(vec![program("a")]).unwrap();
    assert!(changed(&seal, "/predicate/programs/0/path", "none".into()).is_err());
    assert!(changed(&seal, "/predicate/programs/0/mode", "0644".into()).is_err());
    let tree = crate::bound_tree(seal.tree(), seal.programs()).unwrap();
    assert_eq!(tree.entries()[0].digest, gm::Dual::digest(b"a"));
    assert_eq!((tree.entries()[0].size, &tree.entries()[1]), (8, &seal.tree().entries()[1]));
    assert_ne!(tree.roots(), seal.tree().roots());
}

/// The statement after one change to its JSON.
fn changed(seal: &Seal, pointer: &str, value: serde_json::Value) -> Result<Seal, SealError> {
    let mut json: serde_json::Value = serde_json::from_slice(&seal.to_statement().unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = json.pointer_mut(parent).unwrap();
    match parent {
        serde_json::Value::Object(map) => drop(map.insert(key.into(), value)),
        other => other[key.parse::<usize>().unwrap()] = value,
    }
    Seal::from_statement(&serde_json::to_vec(&json).unwrap())
}

#[test]
fn every_kind_survives_its_statement() {
    let file = Seal::new("a", Subject::File, tree(&["a"])).unwrap();
    let excluding = directory().excluding(Exclude::new(vec!["*.log".into()]).unwrap()).unwrap();
    let programs = directory().with_programs(vec![program("a"), program("b/c")]).unwrap();
    for seal in [directory(), file, archive(), excluding, programs] {
        assert_eq!(Seal::from_statement(&seal.to_statement().unwrap()).unwrap(), seal);
    }
}

#[test]
fn an_empty_directory_has_a_seal() {
    let seal = Seal::new("d", Subject::Directory, Tree::new(Vec::new()).unwrap()).unwrap();
    assert_eq!(Seal::from_statement(&seal.to_statement().unwrap()).unwrap(), seal);
}

#[test]
fn unknown_versions_and_algorithms_are_named() {
    let v2 = PREDICATE_TYPE.replace("-v1", "-v2");
    let cases = [
        ("/_type", "https://in-toto.io/Statement/v2", "statement type"),
        ("/predicateType", v2.as_str(), "seal version"),
        ("/predicate/tree/algorithm", "custody-tree-v9", "tree algorithm"),
    ];
    for (pointer, value, expected) in cases {
        let error = changed(&directory(), pointer, value.into()).unwrap_err();
        let SealError::Unknown { what, found, .. } = error else { panic!("{pointer}: {error}") };
        assert_eq!((what, found.as_str()), (expected, value));
    }
    let error = changed(&directory(), "/predicate/entries/0/digest/md5", "00".into()).unwrap_err();
    assert!(matches!(error, SealError::Json(e) if e.to_string().contains("md5")));
}

#[test]
fn an_unknown_version_is_reported_before_an_unknown_signer() {
    let mut json: serde_json::Value = serde_json::from_slice(&directory().to_statement().unwrap()).unwrap();
    json["predicateType"] = PREDICATE_TYPE.replace("-v1", "-v2").into();
    let signer = Ed25519Signer::generate().unwrap();
    let envelope =
        Envelope::sign(PAYLOAD_TYPE, &serde_json::to_vec(&json).unwrap(), &[&signer as &dyn Signer]).unwrap();
    let error = Seal::open(&serde_json::to_vec(&envelope).unwrap(), &[]).unwrap_err();
    assert!(matches!(error, SealError::Unknown { what: "seal version", .. }), "{error}");
}

#[test]
fn roots_must_be_those_of_the_entries() {
    let wrong = "0".repeat(64);
    for pointer in [
        "/predicate/tree/sha256",
        "/predicate/tree/sm3",
        "/subject/0/digest/custody-tree-v1-sha256",
        "/subject/0/digest/custody-tree-v1-sm3",
    ] {
        let error = changed(&directory(), pointer, wrong.clone().into()).unwrap_err();
        assert!(matches!(error, SealError::RootMismatch { .. }), "{pointer}: {error}");
    }
    let error = changed(&directory(), "/predicate/entries/0/mode", "0755".into()).unwrap_err();
    assert!(matches!(error, SealError::RootMismatch { .. }), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let digest = "0".repeat(64);
    let none = serde_json::Value::Null;
    let cases: Vec<(Seal, &str, serde_json::Value)> = vec![
        (directory(), "/subject/0/digest/sha256", digest.clone().into()),
        (archive(), "/subject/0/digest/sm3", none.clone()),
        (archive(), "/predicate/container", none),
        (archive(), "/predicate/container/blockSize", 5000.into()),
        (archive(), "/predicate/container/blockSize", 2048.into()),
        (archive(), "/predicate/container/size", 9000.into()),
        (archive(), "/predicate/container/format", "rar".into()),
        (archive(), "/predicate/exclude", serde_json::json!(["*.log"])),
        (directory(), "/predicate/exclude", serde_json::json!(["a"])),
        (directory(), "/predicate/surprise", 1.into()),
        (directory(), "/predicate/tree/md5", digest.clone().into()),
        (directory(), "/predicate/entries/0/path", "../a".into()),
        (directory(), "/predicate/entries/0/path", "b/d".into()),
        (directory(), "/predicate/entries/0/mode", "755".into()),
        (directory(), "/predicate/entries/0/digest/sha256", "A".repeat(64).into()),
        (directory(), "/subject", serde_json::json!([])),
    ];
    for (seal, pointer, value) in cases {
        assert!(changed(&seal, pointer, value.clone()).is_err(), "{pointer} = {value} was taken");
    }
}

#[test]
fn nothing_opens_without_a_trusted_signature() {
    let (ours, theirs) = (Ed25519Signer::generate().unwrap(), Ed25519Signer::generate().unwrap());
    let bytes = directory().sign(&[&ours as &dyn Signer]).unwrap();
    let opened = Seal::open(&bytes, &[&theirs.verifier(), &ours.verifier()]).unwrap();
    assert_eq!((opened.seal, opened.signers), (directory(), vec![1]));
    assert!(matches!(Seal::open(&bytes, &[&theirs.verifier()]), Err(SealError::Signature(_))));
    assert_eq!(Seal::unchecked_signers(&bytes).unwrap(), [ours.key_id().to_string()]);
}

#[test]
fn several_keys_sign_one_seal_at_once_or_one_after_another() {
    let keys =
        [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::Sm2].map(|a| keys::generate(a).unwrap().0);
    let public: Vec<_> = keys.iter().map(|key| PublicKey::of(key.as_ref()).unwrap()).collect();
    let verifiers: Vec<_> = public.iter().map(|key| key as &dyn Verifier).collect();
    let signers: Vec<_> = keys.iter().map(AsRef::as_ref).collect();
    let together = directory().sign(&signers).unwrap();
    assert_eq!(Seal::open(&together, &verifiers).unwrap().signers, [0, 1, 2]);

    let first = directory().sign(&signers[..1]).unwrap();
    // Whoever does not trust the first signer does not sign after it.
    assert!(matches!(
        Seal::countersign(&first, &verifiers[1..], &signers[1..]),
        Err(SealError::Signature(_))
    ));
    let (both, opened) = Seal::countersign(&first, &verifiers[..1], &signers[1..2]).unwrap();
    assert_eq!((opened.seal, opened.signers), (directory(), vec![0]));
    assert_eq!(Seal::open(&both, &verifiers).unwrap().signers, [0, 1]);
    assert_eq!(Seal::unchecked_signers(&both).unwrap().len(), 2);
    // A key signs once.
    assert!(Seal::countersign(&both, &verifiers, &signers[1..2]).is_err());
    // A signature that was damaged does not count, and the others do.
    let mut envelope: serde_json::Value = serde_json::from_slice(&both).unwrap();
    envelope["signatures"][1]["sig"] = envelope["signatures"][0]["sig"].clone();
    let damaged = serde_json::to_vec(&envelope).unwrap();
    assert_eq!(Seal::open(&damaged, &verifiers).unwrap().signers, [0]);
}

#[test]
fn every_changed_byte_of_an_envelope_is_refused_or_changes_nothing() {
    let signer = Ed25519Signer::generate().unwrap();
    let bytes = directory().sign(&[&signer as &dyn Signer]).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(opened) = Seal::open(&changed, &[&signer.verifier()]) {
            // A key id is only a hint, and a base64 digit may have bits to spare.
            assert_eq!(opened.seal, directory(), "byte {at}");
        }
    }
}
