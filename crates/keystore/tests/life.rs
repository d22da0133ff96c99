//! The life of a key: made, used, rotated, revoked; and what a crash or a careless hand may leave behind.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::fs;
use std::path::Path;

use keystore::{Keyring, Keystore, KeystoreError, Status};
use signing::{Algorithm, Ed25519Signer, PublicKey, Signer as _, Verifier as _};

struct House {
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn ring(&self) -> Keyring {
        Keyring::open(self.dir.path().join("keys"), self.dir.path().join("trust"))
    }

    fn key_file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("keys").join(name)
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_key_signs_and_nothing_is_left_aside() {
    let house = House::new();
    let key = house.ring().create("release", Algorithm::Ed25519).unwrap();
    let signature = house.ring().signer("release").unwrap().sign(b"seal").unwrap();
    key.verifier.verify(b"seal", &signature).unwrap();
    assert_eq!(house.ring().own().verifier("release").unwrap(), key.verifier);
    assert_eq!(files(&house.dir.path().join("keys")), ["release.json", "release.pem", "release.pub.pem"]);
}

#[test]
fn a_key_is_never_overwritten() {
    let house = House::new();
    let first = house.ring().create("release", Algorithm::Ed25519).unwrap().key_id;
    assert!(matches!(house.ring().create("release", Algorithm::Ed25519), Err(KeystoreError::Exists { .. })));
    assert_eq!(house.ring().signer("release").unwrap().key_id(), first);

    // Not even when only its private half is there.
    fs::remove_file(house.key_file("release.pub.pem")).unwrap();
    assert!(matches!(house.ring().create("release", Algorithm::Ed25519), Err(KeystoreError::Exists { .. })));
    assert_eq!(house.ring().signer("release").unwrap().key_id(), first);
}

#[test]
fn a_rotated_key_verifies_and_cannot_sign() {
    let house = House::new();
    let old = house.ring().create("release", Algorithm::Ed25519).unwrap();
    let signature = house.ring().signer("release").unwrap().sign(b"old seal").unwrap();
    let rotation = house.ring().rotate("release").unwrap();
    assert_eq!(rotation.old, old.key_id);
    assert_eq!(house.ring().signer("release").unwrap().key_id(), rotation.new);
    assert_ne!(rotation.old, rotation.new);

    let verifiers = house.ring().verifiers().unwrap();
    let retired = verifiers.iter().find(|k| k.key_id == old.key_id).unwrap();
    retired.verifier.verify(b"old seal", &signature).unwrap();
    assert_eq!(retired.status, Status::Retired { at: Some(rotation.at) });
    assert_eq!(retired.since, old.since);

    // Its private half stands nowhere any more.
    for file in files(&house.dir.path().join("keys")) {
        let text = fs::read_to_string(house.key_file(&file)).unwrap();
        if let Ok(signer) = Ed25519Signer::from_pkcs8_pem(&text) {
            assert_eq!(signer.key_id(), rotation.new, "{file} still holds the old key");
        }
    }
}

#[test]
fn revocation_beats_trust_whichever_came_first() {
    let house = House::new();
    let theirs = Ed25519Signer::generate().unwrap();
    house.ring().trust("ci", &theirs.verifier().into()).unwrap();
    assert_eq!(house.ring().status(&theirs.key_id()).unwrap(), Status::Active);
    house.ring().revoke("ci", "leaked").unwrap();
    assert!(
        matches!(house.ring().status(&theirs.key_id()).unwrap(), Status::Revoked(r) if r.reason == "leaked")
    );
    assert!(house.ring().verifiers().unwrap().is_empty());
    assert!(house.ring().trust_store().verifiers().unwrap().is_empty());
    assert!(matches!(house.ring().revoke("ci", "again"), Err(KeystoreError::Revoked { .. })));

    // A key that nobody has seen yet, revoked ahead of its arrival.
    let later = Ed25519Signer::generate().unwrap();
    house.ring().revoke(later.key_id().as_str(), "published by its owner as stolen").unwrap();
    assert!(matches!(
        house.ring().trust("other", &later.verifier().into()),
        Err(KeystoreError::Revoked { .. })
    ));
}

#[test]
fn a_revoked_own_key_does_not_sign_until_it_is_rotated() {
    let house = House::new();
    let old = house.ring().create("release", Algorithm::Ed25519).unwrap().key_id;
    house.ring().revoke("release", "laptop stolen").unwrap();
    assert!(matches!(house.ring().signer("release"), Err(KeystoreError::Revoked { .. })));
    house.ring().rotate("release").unwrap();
    house.ring().signer("release").unwrap();
    // Rotation did not bring the old one back.
    assert!(matches!(house.ring().status(&old).unwrap(), Status::Revoked(_)));
    assert!(house.ring().verifiers().unwrap().iter().all(|k| k.key_id != old));
}

#[test]
fn a_damaged_revocation_still_revokes() {
    let house = House::new();
    let key = house.ring().create("release", Algorithm::Ed25519).unwrap();
    house.ring().revoke("release", "x").unwrap();
    let record = house.dir.path().join("trust/revoked").join(format!("{}.json", key.key_id));
    for damage in ["", "{", "[]", "{\"key_id\":\"no\",\"revoked\":1}"] {
        fs::write(&record, damage).unwrap();
        assert!(matches!(house.ring().status(&key.key_id).unwrap(), Status::Revoked(_)), "{damage:?}");
    }
}

#[test]
fn names_and_keys_stay_unambiguous() {
    let house = House::new();
    let own = house.ring().create("release", Algorithm::Ed25519).unwrap();
    let theirs = PublicKey::from(Ed25519Signer::generate().unwrap().verifier());
    assert!(matches!(house.ring().trust("release", &theirs), Err(KeystoreError::Exists { .. })));
    house.ring().trust("ci", &theirs).unwrap();
    assert!(matches!(house.ring().trust("ci2", &theirs), Err(KeystoreError::Exists { .. })));
    assert!(matches!(house.ring().trust("me", &own.verifier), Err(KeystoreError::Exists { .. })));
    assert!(matches!(house.ring().create("ci", Algorithm::Ed25519), Err(KeystoreError::Exists { .. })));
    assert!(matches!(house.ring().revoke("nobody", "x"), Err(KeystoreError::NotFound { .. })));
}

#[test]
fn an_interrupted_creation_is_finished() {
    let house = House::new();
    let key = house.ring().create("release", Algorithm::Ed25519).unwrap();
    fs::remove_file(house.key_file("release.pub.pem")).unwrap();
    fs::remove_file(house.key_file("release.json")).unwrap();
    house.ring().signer("release").unwrap();
    assert_eq!(house.ring().own().verifier("release").unwrap(), key.verifier);
}

#[test]
fn an_interrupted_rotation_is_finished() {
    let house = House::new();
    let old = house.ring().create("release", Algorithm::Ed25519).unwrap();
    let (public, facts) = (house.key_file("release.pub.pem"), house.key_file("release.json"));
    let before = (fs::read(&public).unwrap(), fs::read(&facts).unwrap());
    let rotation = house.ring().rotate("release").unwrap();
    fs::write(&public, before.0).unwrap(); // as if the crash came right after the private key's rename
    fs::write(&facts, before.1).unwrap();
    assert_eq!(house.ring().signer("release").unwrap().key_id(), rotation.new);
    assert_eq!(house.ring().own().list().unwrap()[0].key_id, rotation.new);
    assert_eq!(house.ring().own().retired().unwrap()[0].key_id, old.key_id);
}

#[test]
fn a_foreign_public_half_is_refused() {
    let house = House::new();
    house.ring().create("release", Algorithm::Ed25519).unwrap();
    let other = Ed25519Signer::generate().unwrap().verifier().to_spki_pem().unwrap();
    fs::write(house.key_file("release.pub.pem"), other).unwrap();
    assert!(matches!(house.ring().signer("release"), Err(KeystoreError::HalvesDiffer { .. })));
    assert!(matches!(house.ring().rotate("release"), Err(KeystoreError::HalvesDiffer { .. })));
}

#[cfg(unix)]
#[test]
fn a_private_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new();
    house.ring().create("release", Algorithm::Ed25519).unwrap();
    let file = house.key_file("release.pem");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    for bits in [0o640, 0o604, 0o620, 0o610, 0o601] {
        fs::set_permissions(&file, fs::Permissions::from_mode(bits)).unwrap();
        let error = house.ring().signer("release").map(|_| ()).unwrap_err();
        assert!(matches!(error, KeystoreError::ReadableByOthers { mode, .. } if mode == bits));
        assert!(error.hint().unwrap().contains("chmod"));
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    house.ring().signer("release").unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new();
    let keys = house.dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        house.ring().create("release", Algorithm::Ed25519),
        Err(KeystoreError::ReadableByOthers { .. })
    ));
    assert!(files(&keys).is_empty());
}

#[test]
fn files_that_are_no_keys_are_named() {
    let house = House::new();
    house.ring().create("release", Algorithm::Ed25519).unwrap();
    let file = house.key_file("release.pem");
    let secret = fs::read_to_string(&file).unwrap();
    for damage in [String::new(), "x".repeat(70_000), secret.replacen('M', "N", 1), secret[..60].to_owned()] {
        fs::write(&file, damage).unwrap();
        let error = house.ring().signer("release").map(|_| ()).unwrap_err();
        let mut text = error.to_string();
        text += &std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(matches!(error, KeystoreError::Malformed { .. }), "{text}");
        assert!(text.contains("release.pem"));
        assert!(!text.contains(&secret[40..70]), "the error shows the key");
    }
}

#[test]
fn the_ledgers_own_key_vouches_for_nothing_else() {
    let house = House::new();
    house.ring().own().create(keystore::LOG_KEY, Algorithm::Ed25519).unwrap();
    let release = house.ring().create("release", Algorithm::Ed25519).unwrap();
    let counted: Vec<_> = house.ring().verifiers().unwrap().into_iter().map(|k| k.key_id).collect();
    assert_eq!(counted, [release.key_id]);
}

#[test]
fn opening_touches_nothing() {
    let house = House::new();
    let store = Keystore::open(house.dir.path().join("keys"));
    assert!(store.list().unwrap().is_empty());
    assert!(store.retired().unwrap().is_empty());
    assert!(matches!(store.signer("release"), Err(KeystoreError::NotFound { .. })));
    assert!(matches!(store.verifier("../x"), Err(KeystoreError::Name { .. })));
    assert!(files(house.dir.path()).is_empty());
}

#[test]
fn keys_of_every_algorithm_live_side_by_side() {
    let house = House::new();
    for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::Sm2] {
        let name = algorithm.to_string();
        let key = house.ring().create(&name, algorithm).unwrap();
        let signature = house.ring().signer(&name).unwrap().sign(b"seal").unwrap();
        key.verifier.verify(b"seal", &signature).unwrap();
        // A rotation keeps the algorithm, and what the old key signed still verifies.
        let rotation = house.ring().rotate(&name).unwrap();
        assert_eq!(house.ring().signer(&name).unwrap().algorithm(), algorithm);
        let keys = house.ring().verifiers().unwrap();
        let old = keys.iter().find(|k| k.key_id == rotation.old).unwrap();
        old.verifier.verify(b"seal", &signature).unwrap();
    }
    assert_eq!(house.ring().keys().unwrap().len(), 6);
    assert!(matches!(house.ring().create("rsa", Algorithm::RsaSha256), Err(KeystoreError::Signing(_))));
    assert!(!house.key_file("rsa.pem").exists());
}
