//! The document of the format and the code say the same: its vectors and its example are read from it.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use seal::{Entry, Seal, Tree, leaf_input};
use serde::Deserialize;

const DOCUMENT: &str = include_str!("../../../docs/formats/seal.md");

#[derive(Deserialize)]
struct Vector {
    name: String,
    entries: Vec<Entry>,
    leaf_inputs: Vec<String>,
    leaves: Vec<Digests>,
    root: Digests,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Digests {
    sha256: String,
    sm3: String,
}

impl Digests {
    fn of(digest: gm::DualDigest) -> Self {
        Self { sha256: hex::encode(digest.sha256), sm3: hex::encode(digest.sm3) }
    }
}

/// The fenced block with this label.
fn block(label: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("```json {label}\n")).unwrap();
    rest.split_once("\n```").unwrap().0
}

#[test]
fn the_vectors_hold() {
    let vectors: Vec<Vector> = serde_json::from_str(block("seal-vectors")).unwrap();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let name = &vector.name;
        let inputs: Vec<_> = vector.entries.iter().map(leaf_input).collect();
        assert_eq!(inputs.iter().map(hex::encode).collect::<Vec<_>>(), vector.leaf_inputs, "{name}");
        let leaf = |input: &Vec<u8>| Digests::of(gm::Dual::digest(&[&[0], input.as_slice()].concat()));
        assert_eq!(inputs.iter().map(leaf).collect::<Vec<_>>(), vector.leaves, "{name}");
        let tree = Tree::new(vector.entries).unwrap();
        assert_eq!(Digests::of(tree.roots()), vector.root, "{name}");
    }
}

#[test]
fn the_example_is_a_seal() {
    let seal = Seal::from_statement(block("seal-statement").as_bytes()).unwrap();
    assert_eq!((seal.name(), seal.tree().entries().len()), ("release", 3));
}

#[test]
fn the_constants_of_the_document_are_those_of_the_code() {
    for constant in [seal::STATEMENT_TYPE, seal::PREDICATE_TYPE, seal::PAYLOAD_TYPE, seal::ALGORITHM] {
        assert!(DOCUMENT.contains(constant), "{constant} is not documented");
    }
    for limit in ["384 MiB", "1,000,000 entries", "4096 bytes", "256 components"] {
        assert!(DOCUMENT.contains(limit), "{limit} is not documented");
    }
    assert_eq!((seal::MAX_STATEMENT >> 20, seal::MAX_ENTRIES), (384, 1_000_000));
    assert_eq!((seal::MAX_PATH, seal::MAX_DEPTH), (4096, 256));
}
