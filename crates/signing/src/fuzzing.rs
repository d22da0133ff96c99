//! Oracles for hostile bytes, shared by the fuzz targets and the tests. Each panics on a broken property.

use crate::dsse::Envelope;
use crate::note::{NoteSigner, NoteVerifier, Sm2NoteVerifier, add_timestamp, open, timestamps};
use crate::{Ed25519Signer, Ed25519Verifier, Signer as _, Verifier as _};

/// A key that everybody can have: the seed is public.
fn known_key() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[7; 32])
}

/// Notes: no bytes are opened that our key did not sign; a text that can be signed comes back whole; one more timestamp is
/// one more, and takes nothing from the others.
pub fn note(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(signer) = NoteSigner::new("fuzz.example", known_key()) else { return };
    let trusted = [signer.verifier()];
    if let Ok(opened) = open(text, &trusted) {
        let again = signer.sign(&opened.text).map(|note| open(&note, &trusted));
        assert!(matches!(again, Ok(Ok(again)) if again == opened), "an opened text cannot be signed again");
    }
    if let Ok(signed) = signer.sign(text) {
        let opened = open(&signed, &trusted);
        assert!(opened.is_ok_and(|o| o.text == text), "a signed text does not open");
    }
    if let (Ok(before), Ok(stamped)) = (timestamps(text), add_timestamp(text, "tsa.example", b"token")) {
        let after = timestamps(&stamped).unwrap_or_default();
        assert!(after.starts_with(&before) && after.len() == before.len() + 1, "a timestamp was lost");
        let whole = crate::note::text(text).ok() == crate::note::text(&stamped).ok();
        assert!(whole, "a timestamp changed the text");
    }
}

/// Verifier keys in text form: what is read is written back as the same key.
pub fn note_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = NoteVerifier::parse(text) {
        let again = NoteVerifier::parse(&key.to_string());
        assert!(again.is_ok_and(|again| again == key), "a key changes when it is written and read");
    }
    if let Ok(key) = Sm2NoteVerifier::parse(text) {
        let again = Sm2NoteVerifier::parse(&key.to_string());
        assert!(again.is_ok_and(|again| again == key), "an SM2 key changes when it is written and read");
    }
}

/// Envelopes: what is read survives writing; nothing verifies that our key did not sign.
pub fn dsse(data: &[u8]) {
    let key = known_key();
    let verifier = key.verifier();
    if let Ok(envelope) = Envelope::parse(data) {
        let json = serde_json::to_vec(&envelope).unwrap_or_default();
        assert!(
            Envelope::parse(&json).is_ok_and(|again| again == envelope),
            "an envelope changes in writing"
        );
        if let Ok((payload, by)) = envelope.verify(&[&verifier]) {
            assert_eq!(by, [0]);
            let again = Envelope::sign(&envelope.payload_type, &payload, &[&key]);
            let resigned = again.is_ok_and(|e| e.verify(&[&verifier]).is_ok());
            assert!(resigned, "a verified payload cannot be signed again");
        }
    }
    let signed = Envelope::sign("application/octet-stream", data, &[&key]);
    let opened = signed.and_then(|e| e.verify(&[&verifier]));
    assert!(opened.is_ok_and(|(payload, _)| payload == data), "a signed payload does not verify");
}

/// Keys in PEM: what is read is written back as the same key, and both halves agree.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(public) = Ed25519Verifier::from_spki_pem(text) {
        let again = public.to_spki_pem().and_then(|pem| Ed25519Verifier::from_spki_pem(&pem));
        assert!(
            again.is_ok_and(|again| again.key_id() == public.key_id()),
            "a public key changes in writing"
        );
    }
    if let Ok(private) = crate::keys::signer_from_pem(text) {
        assert!(!private.public_key_der().is_empty(), "a private key has no public half");
    }
    if let Ok(private) = Ed25519Signer::from_pkcs8_pem(text) {
        let again = private.to_pkcs8_pem().and_then(|pem| Ed25519Signer::from_pkcs8_pem(&pem));
        assert!(
            again.is_ok_and(|again| again.key_id() == private.key_id()),
            "a private key changes in writing"
        );
        let signature = private.sign(data).unwrap_or_default();
        assert!(private.verifier().verify(data, &signature).is_ok(), "a key does not know its own signature");
    }
}
