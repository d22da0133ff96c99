use super::*;

/// RFC 8032 §7.1, tests 1, 2, 3: secret key, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn rfc_8032_vectors() {
    for [secret, public, message, signature] in RFC_8032 {
        let [secret, public, message, signature] = [secret, public, message, signature].map(unhex);
        let signer = Ed25519Signer { key: SigningKey::from_bytes(&secret.try_into().unwrap()) };
        assert_eq!(signer.verifier().to_bytes().to_vec(), public);
        assert_eq!(signer.sign(&message).unwrap(), signature);
        signer.verifier().verify(&message, &signature).unwrap();
        assert!(signer.verifier().verify(&[message, vec![0]].concat(), &signature).is_err());
    }
}

/// RFC 8410 §10.1 and §10.3: the standard's own keys.
#[test]
fn rfc_8410_keys() {
    let private = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let signer = Ed25519Signer::from_pkcs8_pem(private).unwrap();
    assert_eq!(signer.verifier().to_spki_pem().unwrap(), public);
    assert_eq!(*signer.to_pkcs8_pem().unwrap(), private);
}

#[test]
fn keys_survive_pem() {
    let signer = Ed25519Signer::generate().unwrap();
    let again = Ed25519Signer::from_pkcs8_pem(&signer.to_pkcs8_pem().unwrap()).unwrap();
    assert_eq!(again.key_id(), signer.key_id());
    let public = signer.verifier();
    assert_eq!(Ed25519Verifier::from_spki_pem(&public.to_spki_pem().unwrap()).unwrap(), public);
    assert_eq!(Ed25519Verifier::from_bytes(&public.to_bytes()).unwrap(), public);
}

#[test]
fn every_flipped_bit_of_a_signature_is_noticed() {
    let signer = Ed25519Signer::generate().unwrap();
    let good = signer.sign(b"seal").unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(signer.verifier().verify(b"seal", &bad).is_err(), "bit {bit}");
    }
    for length in [0, 1, 63, 65, 128] {
        let mut bad = good.clone();
        bad.resize(length, 0);
        assert!(signer.verifier().verify(b"seal", &bad).is_err(), "length {length}");
    }
}

/// S + L is the same signature to a verifier that does not reduce; RFC 8032 §5.1.7 refuses it.
#[test]
fn a_signature_has_one_spelling() {
    let signer = Ed25519Signer::generate().unwrap();
    let mut signature = signer.sign(b"seal").unwrap();
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(signer.verifier().verify(b"seal", &signature).is_err());
}

/// The points of order 1, 2 and 4: with them, a signature of zeros "verifies" for many messages.
#[test]
fn keys_of_small_order_are_refused() {
    for weak in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let error = Ed25519Verifier::from_bytes(&unhex(weak).try_into().unwrap()).unwrap_err();
        assert!(error.to_string().contains("small order"), "{weak}: {error}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused() {
    // X25519, RFC 8410 §10.2's sibling: the same length, another object identifier (1.3.101.110).
    let x25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert!(Ed25519Verifier::from_spki_pem(x25519).is_err());
    let signer = Ed25519Signer::generate().unwrap();
    assert!(Ed25519Verifier::from_spki_pem(&signer.to_pkcs8_pem().unwrap()).is_err());
    assert!(Ed25519Signer::from_pkcs8_pem(&signer.verifier().to_spki_pem().unwrap()).is_err());
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}
