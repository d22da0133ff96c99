//! Seals signed by keys of PKCS #12 files and of a token (SoftHSM, in a store of the test's own).
#![cfg(all(unix, feature = "pkcs11"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;

use support::pe::{authority, issue, openssl};
use support::{Home, text};

const MODULES: &[&str] =
    &["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

#[test]
fn a_seal_is_signed_by_keys_of_pkcs12_files_one_after_another() {
    let home = Home::new();
    let dir = home.folder();
    authority(dir);
    issue(dir, "curve", "P-256", "code", "root");
    home.write("app/bin", "a program");
    home.write("password", "secret\n");
    home.write("wrong", "guess\n");
    for name in ["code", "curve"] {
        openssl(
            dir,
            &format!(
                "pkcs12 -export -inkey {name}.key.pem -in {name}.pem -passout pass:secret -out {name}.p12"
            ),
        );
        openssl(dir, &format!("pkey -in {name}.key.pem -pubout -out {name}.pub.pem"));
    }
    let create = ["seal", "create", "app", "-o", "app.seal.json", "--p12", "curve.p12", "--password-file"];
    home.run(&[&create[..], &["wrong"]].concat(), 2);
    assert!(!dir.join("app.seal.json").exists());
    home.run(&[&create[..], &["password"]].concat(), 0);
    let verify = ["seal", "verify", "app", "--seal", "app.seal.json"];
    home.run(&verify, 1);
    home.run(&[&verify[..], &["--trust", "curve.pub.pem"]].concat(), 0);
    // An RSA key adds its signature; each of the two is enough for who trusts it, of the head too.
    let sign = ["seal", "sign", "app.seal.json", "--trust", "curve.pub.pem", "--p12", "code.p12"];
    home.run(&[&sign[..], &["--password-file", "password"]].concat(), 0);
    home.run(&[&verify[..], &["--trust", "code.pub.pem"]].concat(), 0);
    let prove = ["seal", "prove", "app.seal.json", "bin", "-o", "p.json", "--trust", "code.pub.pem"];
    home.run(&prove, 0);
    home.run(&["seal", "verify", "app/bin", "--proof", "p.json", "--trust", "curve.pub.pem"], 0);
}

#[test]
fn a_seal_is_signed_by_a_key_that_never_leaves_its_token() {
    let test = "a_seal_is_signed_by_a_key_that_never_leaves_its_token";
    let Some(module) = MODULES.iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs softhsm2");
        eprintln!("SKIPPED {test}: there is no softhsm2 here");
        return;
    };
    let home = Home::absent();
    let dir = home.folder();
    home.write("app/bin", "a program");
    home.write("pin", "1234\n");
    std::fs::create_dir(dir.join("tokens")).unwrap();
    let conf = home.write("softhsm2.conf", format!("directories.tokendir = {}/tokens\n", dir.display()));
    let init = ["--init-token", "--free", "--label", "release", "--pin", "1234", "--so-pin", "12345678"];
    let init = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert!(init.status.success(), "{}", text(&init.stderr));
    let run = |arguments: &[&str], code: i32| {
        let mut command = home.command(arguments);
        let output = command.env("SOFTHSM2_CONF", &conf).env("PKCS11_MODULE", module).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    };
    let uri = "pkcs11:token=release;object=seal?pin-source=pin";
    run(&["pe", "key", "--pkcs11", uri, "--algorithm", "p256"], 0);
    run(&["pe", "csr", "--pkcs11", uri, "--subject", "CN=Token", "-o", "token.csr"], 0);
    std::fs::write(dir.join("token.pub.pem"), openssl(dir, "req -in token.csr -noout -pubkey")).unwrap();
    run(&["seal", "create", "app", "-o", "app.seal.json", "--pkcs11", uri], 0);
    run(&["seal", "verify", "app", "--seal", "app.seal.json", "--trust", "token.pub.pem"], 0);
    home.write("app/bin", "another program");
    run(&["seal", "verify", "app", "--seal", "app.seal.json", "--trust", "token.pub.pem"], 1);
}
