//! A key-encryption key in a real PKCS #11 token, as SoftHSM gives it; skipped by name where that is not installed.
#![cfg(all(unix, feature = "pkcs11"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use keystore::kek::{KekToken, KeyEncryptionKey as _};

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// The test runs itself again in a process whose environment names a token of its own: SoftHSM reads it once.
#[test]
fn an_epoch_destroyed_in_the_token_opens_nothing() {
    let Some(module) = MODULES.into_iter().find(|module| Path::new(module).exists()) else {
        eprintln!("SKIPPED an_epoch_destroyed_in_the_token_opens_nothing: no SoftHSM (softhsm2)");
        return;
    };
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return in_token(Path::new(module), Path::new(&std::env::var("CUSTODY_TEST_PIN").unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let pin = folder.path().join("pin");
    std::fs::write(&pin, "1234\n").unwrap();
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();
    let init = ["--init-token", "--free", "--label", "custody", "--pin", "1234", "--so-pin", "4321"];
    let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_epoch_destroyed_in_the_token_opens_nothing"])
        .env("SOFTHSM2_CONF", &conf)
        .env("CUSTODY_TEST_PIN", &pin)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

fn in_token(module: &Path, pin: &Path) {
    let uri = |token: &str| {
        let (module, pin) = (module.display(), pin.display());
        format!("pkcs11:token={token};object=vault?module-path={module}&pin-source={pin}")
    };
    let kek = KekToken::new(&uri("custody"), None).unwrap();
    assert!(kek.epochs().unwrap().is_empty());
    kek.add(1).unwrap();
    let wrapped = kek.wrap(1, &[9; 16]).unwrap();
    assert_eq!(kek.unwrap(1, &wrapped).unwrap().as_slice(), [9; 16]);
    kek.add(2).unwrap();
    assert!(kek.add(2).is_err());
    assert!(kek.unwrap(2, &wrapped).is_err());
    kek.keep_only(2).unwrap();
    let other = KekToken::new(&uri("custody"), None).unwrap();
    assert_eq!(other.epochs().unwrap(), [2]);
    assert!(other.unwrap(1, &wrapped).is_err());
    assert!(other.keep_only(1).is_err());
    assert!(KekToken::new(&uri("another"), None).unwrap().epochs().is_err());
}
