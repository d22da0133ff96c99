use super::*;

#[test]
fn keys_are_the_same_after_writing_and_reading() {
    let signer = Sm2Signer::generate().unwrap();
    let again = Sm2Signer::from_pkcs8_pem(&signer.to_pkcs8_pem().unwrap()).unwrap();
    let verifier = Sm2Verifier::from_spki_pem(&signer.verifier().to_spki_pem().unwrap()).unwrap();
    assert_eq!(again.verifier(), verifier);
    assert_eq!(verifier.key_id(), signer.key_id());
    assert_eq!(signer.public_key_der(), verifier.to_spki_der());
    let signature = again.sign(b"what was built").unwrap();
    verifier.verify(b"what was built", &signature).unwrap();
    assert!(verifier.verify(b"what was sold", &signature).is_err());
    assert!(Sm2Signer::generate().unwrap().verifier().verify(b"what was built", &signature).is_err());
}

#[test]
fn a_signature_has_one_encoding() {
    let signer = Sm2Signer::from_bytes(&[7; 32]).unwrap();
    let signature = signer.sign(b"m").unwrap();
    let verifier = signer.verifier();
    verifier.verify(b"m", &signature).unwrap();
    for bad in [&signature[..signature.len() - 1], &[&signature[..], &[0]].concat(), &[], &[0x30, 0]] {
        assert!(matches!(verifier.verify(b"m", bad), Err(SigningError::BadSignature { .. })));
    }
    // The length of the SEQUENCE in two bytes: BER takes it, DER does not.
    let long = [&[0x30, 0x81], &signature[1..]].concat();
    assert!(verifier.verify(b"m", &long).is_err());
}

#[test]
fn two_signatures_of_one_message_differ() {
    let signer = Sm2Signer::from_bytes(&[7; 32]).unwrap();
    assert_ne!(signer.sign(b"m").unwrap(), signer.sign(b"m").unwrap());
}

#[test]
fn other_keys_are_refused() {
    let ed25519 = crate::Ed25519Signer::generate().unwrap();
    assert!(Sm2Signer::from_pkcs8_pem(&ed25519.to_pkcs8_pem().unwrap()).is_err());
    assert!(Sm2Verifier::from_spki_pem(&ed25519.verifier().to_spki_pem().unwrap()).is_err());
    let public = Sm2Signer::generate().unwrap().verifier().to_spki_pem().unwrap();
    assert!(Sm2Signer::from_pkcs8_pem(&public).is_err());
    assert!(Sm2Signer::from_bytes(&[0; 32]).is_err());
}
