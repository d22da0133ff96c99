//! Oracles for hostile bytes, shared by the fuzz targets and the tests. Each panics on a broken property.

use crate::sm2::{PrivateKey, PublicKey, Signature};

/// Keys of SM2: what is read is written back as the same key, and the two halves agree.
pub fn sm2_key(data: &[u8]) {
    for public in [PublicKey::from_spki_der(data), PublicKey::from_sec1(data)].into_iter().flatten() {
        assert!(PublicKey::from_spki_der(&public.to_spki_der()) == Ok(public), "a key changes in writing");
        assert!(
            PublicKey::from_sec1(&public.to_sec1_compressed()) == Ok(public),
            "a point changes in writing"
        );
    }
    for private in [PrivateKey::from_pkcs8_der(data), PrivateKey::from_sec1_der(data)].into_iter().flatten() {
        let again = PrivateKey::from_pkcs8_der(&private.to_pkcs8_der());
        assert!(again.is_ok_and(|again| again.public_key() == private.public_key()), "a private key changes");
    }
}

/// Signatures of SM2: DER has one spelling, and no signature is one of a message that nobody signed.
pub fn sm2_signature(data: &[u8]) {
    if let Ok(signature) = Signature::from_der(data) {
        assert!(signature.to_der() == data, "a signature has two spellings");
        if let Ok(key) = PrivateKey::from_bytes(&[7; 32]) {
            assert!(key.public_key().verify_digest(&[9; 32], &signature).is_err(), "a signature was forged");
        }
    }
}

/// Ciphertexts of SM2: what opens was not empty, and what is sealed opens.
pub fn sm2_ciphertext(data: &[u8]) {
    let Ok(key) = PrivateKey::from_bytes(&[7; 32]) else { return };
    for opened in [key.decrypt(data), key.decrypt_der(data)].into_iter().flatten() {
        assert!(!opened.is_empty() && opened.len() < data.len(), "a text came from nowhere");
    }
    if let Ok(sealed) = key.public_key().encrypt_der(data, &[9; 32]) {
        assert!(key.decrypt_der(&sealed).is_ok_and(|text| *text == data), "a text changes under encryption");
    }
}
