use super::*;
use crate::Ed25519Signer;

const TYPE: &str = "application/vnd.in-toto+json";

fn signer() -> Ed25519Signer {
    Ed25519Signer::generate().unwrap()
}

fn signed(signers: &[&Ed25519Signer]) -> Envelope {
    let signers: Vec<&dyn Signer> = signers.iter().map(|s| *s as &dyn Signer).collect();
    Envelope::sign(TYPE, b"{}", &signers).unwrap()
}

/// DSSE protocol, "Test Vectors".
#[test]
fn the_protocols_own_vector() {
    assert_eq!(
        pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    let envelope = Envelope::parse(
        br#"{"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#,
    )
    .unwrap();
    assert_eq!(envelope.unchecked_payload().unwrap(), b"hello world");
    // Its key is ECDSA: no Ed25519 key may be found to have made it.
    assert!(envelope.verify(&[&signer().verifier()]).is_err());
}

/// LEN is in bytes, not in characters.
#[test]
fn lengths_are_those_of_bytes() {
    assert_eq!(pre_authentication_encoding("ä", b""), "DSSEv1 2 ä 0 ".as_bytes());
}

#[test]
fn what_is_signed_verifies_and_no_changed_field_does() {
    let key = signer();
    let good = signed(&[&key]);
    let (payload, by) = good.open(TYPE, &[&key.verifier()]).unwrap();
    assert_eq!((payload.as_slice(), by.as_slice()), (&b"{}"[..], &[0][..]));

    let verifier = key.verifier();
    let other_type = Envelope { payload_type: "application/json".into(), ..good.clone() };
    assert!(matches!(other_type.verify(&[&verifier]), Err(SigningError::BadSignature { .. })));
    assert!(matches!(other_type.open(TYPE, &[&verifier]), Err(SigningError::Malformed { .. })));
    let other_payload = Envelope { payload: STANDARD.encode(b"[]"), ..good.clone() };
    assert!(matches!(other_payload.verify(&[&verifier]), Err(SigningError::BadSignature { .. })));
    let none = Envelope { signatures: Vec::new(), ..good.clone() };
    assert!(matches!(none.verify(&[&verifier]), Err(SigningError::NoTrustedSignature { .. })));
    assert!(matches!(good.verify(&[]), Err(SigningError::NoTrustedSignature { .. })));
    assert!(Envelope::sign(TYPE, b"{}", &[]).is_err());
}

/// Protocol: a key id "MUST NOT be used for security decisions".
#[test]
fn a_key_id_proves_nothing_and_hides_nothing() {
    let (trusted, stranger) = (signer(), signer());
    let mut lying = signed(&[&stranger]);
    lying.signatures[0].keyid = trusted.key_id().to_string();
    assert!(matches!(lying.verify(&[&trusted.verifier()]), Err(SigningError::BadSignature { .. })));

    for id in ["", "SHA256:another-naming", "0123"] {
        let mut renamed = signed(&[&trusted]);
        renamed.signatures[0].keyid = id.into();
        assert_eq!(renamed.verify(&[&stranger.verifier(), &trusted.verifier()]).unwrap().1, [1], "{id:?}");
    }
}

/// Protocol, "Multi-signature Verification": failures are skipped, unique keys are counted.
#[test]
fn several_signatures_are_counted_by_key() {
    let (first, second, third) = (signer(), signer(), signer());
    let mut envelope = signed(&[&first, &second, &first]);
    let (a, b, c) = (first.verifier(), second.verifier(), third.verifier());
    assert_eq!(envelope.verify(&[&a, &b, &c]).unwrap().1, [0, 1]);
    // The same key twice among the trusted makes no second signature.
    assert_eq!(envelope.verify(&[&a, &a]).unwrap().1, [0]);
    // One that does not hold leaves the other standing.
    envelope.signatures[0].sig = STANDARD.encode([7; 64]);
    envelope.signatures.truncate(2);
    assert_eq!(envelope.verify(&[&a, &b]).unwrap().1, [1]);
}

#[test]
fn both_alphabets_are_read_with_and_without_padding() {
    let key = signer();
    let payload = [0xfb, 0xff, 0xfe, 0x3f];
    let envelope = Envelope::sign(TYPE, &payload, &[&key]).unwrap();
    let url = |text: &str| text.replace('+', "-").replace('/', "_");
    for pad in [true, false] {
        for safe in [true, false] {
            let spell = |text: &str| {
                let text = if safe { url(text) } else { text.to_owned() };
                if pad { text } else { text.trim_end_matches('=').to_owned() }
            };
            let mut other = envelope.clone();
            other.payload = spell(&other.payload);
            other.signatures[0].sig = spell(&other.signatures[0].sig);
            assert_eq!(other.verify(&[&key.verifier()]).unwrap().0, payload, "pad {pad}, url-safe {safe}");
        }
    }
    for broken in ["+_==", "a", "a b=", "====", "YQ=\n="] {
        let other = Envelope { payload: broken.into(), ..envelope.clone() };
        assert!(
            matches!(other.verify(&[&key.verifier()]), Err(SigningError::Malformed { .. })),
            "{broken:?}"
        );
    }
}

#[test]
fn the_json_form_survives_and_stays_within_limits() {
    let key = signer();
    let envelope = signed(&[&key]);
    let json = serde_json::to_vec(&envelope).unwrap();
    assert_eq!(Envelope::parse(&json).unwrap(), envelope);
    let text = String::from_utf8(json).unwrap();
    assert!(text.starts_with(
        r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":""#
    ));

    // Unknown fields are nobody's business; null stands for an absent id; a repeated field is a trap.
    let odd = r#"{"payload":"e30=","payloadType":"t","signatures":[{"keyid":null,"sig":"AA=="}],"more":1}"#;
    assert_eq!(Envelope::parse(odd.as_bytes()).unwrap().signatures[0].keyid, "");
    for broken in
        [r#"{"payload":"","payload":"e30="}"#, "[]", "", r#"{"signatures":[{}]}"#, &"[".repeat(100_000)]
    {
        assert!(Envelope::parse(broken.as_bytes()).is_err());
    }
    let mut many = envelope;
    many.signatures = vec![many.signatures[0].clone(); MAX_SIGNATURES + 1];
    assert!(matches!(many.verify(&[&key.verifier()]), Err(SigningError::Malformed { .. })));
}
