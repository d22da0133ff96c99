//! Rekor's two interfaces against logs that are played here: real trees, real signatures, the bodies that the servers
//! write. The real servers are asked by `cargo xtask peers`.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::collections::BTreeMap;

use anchor::rekor::{Api, Rekor};
use anchor::sigstore::{Log, TrustedRoot};
use anchor::verify::{Trust, Verdict, proves, verify};
use anchor::{Anchor, AnchorError, Anchored, Authority as _, Evidence, Http, Order, Subject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::Digest as _;
use signing::note::NoteSigner;
use signing::{Algorithm, EcdsaSigner, Ed25519Signer, PublicKey, Signer as _};
use support::{Asked, serve};
use tlog::{Checkpoint, Frontier, Hash, Sha256, TreeHash as _};

/// A log of `before` other entries and this one as the last: root, and path of the last.
fn tree(before: u64, body: &[u8]) -> (u64, Hash, Vec<Hash>) {
    let mut all = Frontier::<Sha256>::new();
    let others: Vec<Hash> = (0..before).map(|n| Sha256::leaf(&n.to_be_bytes())).collect();
    others.iter().for_each(|leaf| all.push(*leaf));
    // The path of the last leaf is the roots of the complete subtrees before it, the smallest first.
    let (mut path, mut rest) = (Vec::new(), others.as_slice());
    while !rest.is_empty() {
        let width = 1 << (usize::BITS - 1 - rest.len().leading_zeros());
        path.insert(0, Sha256::subtree(&rest[..width]));
        rest = &rest[width..];
    }
    all.push(Sha256::leaf(body));
    (before + 1, all.root(), path)
}

fn head(origin: &str, size: u64, root: Hash) -> String {
    Checkpoint { origin: origin.into(), size, root, sm3_root: None, extensions: Vec::new() }.to_string()
}

/// The log of version 2, as rekor-tiles answers.
fn version_2(key: Ed25519Signer) -> String {
    let raw = key.verifier().to_bytes();
    let note = NoteSigner::new("log.example.com", key).unwrap();
    serve(move |asked: &Asked| {
        assert_eq!(asked.path, "/api/v2/log/entries");
        let request = &asked.json()["hashedRekordRequestV002"];
        let body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": request["digest"]},
            "signature": request["signature"],
        }}});
        let body = body.to_string(); // serde_json sorts names as RFC 8785 does here
        let (size, root, path) = tree(6, body.as_bytes());
        let id = sha2::Sha256::digest([b"log.example.com\n\x01".as_slice(), &raw].concat());
        let answer = json!({
            "logIndex": "6", "logId": {"keyId": STANDARD.encode(id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": "6", "treeSize": size.to_string(), "rootHash": STANDARD.encode(root),
                "hashes": path.iter().map(|h| STANDARD.encode(h)).collect::<Vec<_>>(),
                "checkpoint": {"envelope": note.sign(&head("log.example.com", size, root)).unwrap()},
            },
            "canonicalizedBody": STANDARD.encode(body),
        });
        (201, answer.to_string().into_bytes())
    })
}

/// The log of version 1, as rekor answers for `dsse` 0.0.1.
fn version_1(key: EcdsaSigner, time: i64) -> String {
    serve(move |asked: &Asked| {
        let proposed = &asked.json()["spec"]["proposedContent"];
        let envelope: Value = serde_json::from_str(proposed["envelope"].as_str().unwrap()).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "payloadHash": {"algorithm": "sha256", "value": hex::encode(sha2::Sha256::digest(payload))},
            "signatures": [{
                "signature": envelope["signatures"][0]["sig"], "verifier": proposed["verifiers"][0],
            }],
        }});
        let body = body.to_string();
        let (size, root, path) = tree(5, body.as_bytes());
        let id = sha2::Sha256::digest(key.public_key_der());
        let encoded = STANDARD.encode(&body);
        let log_id = hex::encode(id);
        let promise = format!(
            "{{\"body\":\"{encoded}\",\"integratedTime\":{time},\"logID\":\"{log_id}\",\"logIndex\":1005}}"
        );
        let text = head("rekor.example.com - 1193", size, root);
        let line = [&id[..4], &key.sign(text.as_bytes()).unwrap()].concat();
        let checkpoint = format!("{text}\n\u{2014} rekor.example.com {}\n", STANDARD.encode(line));
        let answer = json!({"24296fb24b8ad77a": {
            "body": encoded, "integratedTime": time, "logID": log_id, "logIndex": 1005,
            "verification": {
                "signedEntryTimestamp": STANDARD.encode(key.sign(promise.as_bytes()).unwrap()),
                "inclusionProof": {
                    "logIndex": 5, "treeSize": size, "rootHash": hex::encode(root), "checkpoint": checkpoint,
                    "hashes": path.iter().map(hex::encode).collect::<Vec<_>>(),
                },
            },
        }});
        (201, answer.to_string().into_bytes())
    })
}

fn submit(log: &Rekor, subject: &Subject) -> Result<Anchor, AnchorError> {
    let requested = jiff::Timestamp::now();
    log.submit(&Order { subject, biz_id: "b1", requested, metadata: &BTreeMap::new() })
}

fn trusting(key: PublicKey) -> Trust {
    Trust {
        sigstore: TrustedRoot { logs: vec![Log::of_key(key)], ..TrustedRoot::default() },
        ..Trust::default()
    }
}

#[test]
fn both_versions_give_an_anchor_that_holds_offline_for_these_bytes_alone() {
    let ed25519 = Ed25519Signer::generate().unwrap();
    let of_v2 = PublicKey::of(&ed25519).unwrap();
    let ecdsa = EcdsaSigner::generate(Algorithm::EcdsaP256).unwrap();
    let of_v1 = PublicKey::of(&ecdsa).unwrap();
    let subject = Subject::of("release.zip", b"what is anchored");
    let logs = [
        (Rekor::new(Http::default(), &version_2(ed25519), Api::V2), of_v2.clone(), None),
        (
            Rekor::new(Http::default(), &version_1(ecdsa, 1_790_000_000), Api::V1),
            of_v1.clone(),
            Some("2026-09-21T14:13:20Z"),
        ),
    ];
    for (log, key, time) in logs {
        let anchor = submit(&log, &subject).unwrap();
        let mut file = Anchored::new(subject.clone());
        file.anchors.push(anchor.clone());
        let file = Anchored::parse(&file.to_json().unwrap()).unwrap();
        let findings = verify(&file, &subject, &trusting(key));
        assert!(proves(&findings), "{findings:?}");
        assert_eq!(findings[0].time.as_deref(), time);
        // Nobody trusted; a key of another log; other bytes; a changed file.
        let unknown = verify(&file, &subject, &Trust::default());
        assert_eq!(unknown[0].verdict, Verdict::Untrusted);
        let strange = PublicKey::of(&Ed25519Signer::generate().unwrap()).unwrap();
        assert!(!proves(&verify(&file, &subject, &trusting(strange))));
        let other = Subject::of("release.zip", b"something else");
        assert_eq!(verify(&file, &other, &trusting(of_v1.clone()))[0].verdict, Verdict::Broken);
        let mut renamed = Anchored::new(other.clone());
        renamed.anchors.push(anchor);
        for key in [&of_v1, &of_v2] {
            assert!(
                !proves(&verify(&renamed, &other, &trusting(key.clone()))),
                "the proof was moved to other bytes"
            );
        }
    }
}

#[test]
fn an_answer_about_another_signature_is_refused() {
    let key = Ed25519Signer::generate().unwrap();
    let honest = version_2(key);
    let first: std::sync::Mutex<Option<Vec<u8>>> = std::sync::Mutex::new(None);
    let replaying = serve(move |asked: &Asked| {
        let mut first = first.lock().unwrap();
        let answer = first.get_or_insert_with(|| {
            let http = Http::default();
            http.post(&format!("{honest}{}", asked.path), &[], &asked.body).unwrap().body
        });
        (201, answer.clone())
    });
    let log = Rekor::new(Http::default(), &replaying, Api::V2);
    submit(&log, &Subject::of("a", b"a")).unwrap();
    let refused = submit(&log, &Subject::of("b", b"b")).unwrap_err();
    assert!(matches!(refused, AnchorError::Broken { .. }), "{refused}");
}

#[test]
fn version_2_takes_no_signature_without_a_digest_of_its_own() {
    let log = Rekor::new(Http::default(), "http://127.0.0.1:1", Api::V2)
        .signed_with(Box::new(Ed25519Signer::generate().unwrap()));
    let refused = submit(&log, &Subject::of("a", b"a")).unwrap_err();
    assert!(matches!(refused, AnchorError::Request { .. }), "{refused}");
    let absent = Rekor::new(Http::default(), "http://127.0.0.1:1", Api::V2);
    assert!(submit(&absent, &Subject::of("a", b"a")).unwrap_err().is_passing());
    assert!(matches!(absent.nothing(), Evidence::Rekor { bundle: None, .. }));
}
