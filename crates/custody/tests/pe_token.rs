//! Keys on a token (SoftHSM, in a store of the test's own): made there, requested for, signed with.
#![cfg(all(unix, feature = "pkcs11"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::Command;

use support::pe::{authority, missing, openssl, program};
use support::{Home, text};

const MODULES: &[&str] =
    &["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

#[test]
fn a_key_is_made_on_the_token_certified_and_signs() {
    let test = "a_key_is_made_on_the_token_certified_and_signs";
    let Some(module) = MODULES.iter().find(|path| Path::new(path).exists()) else {
        assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs softhsm2");
        eprintln!("SKIPPED {test}: there is no softhsm2 here");
        return;
    };
    let home = Home::absent();
    let dir = home.folder();
    authority(dir);
    home.write("app.exe", program(1));
    home.write("pin", "1234\n");
    home.write("wrong", "4321\n");
    std::fs::create_dir(dir.join("tokens")).unwrap();
    let conf = home.write("softhsm2.conf", format!("directories.tokendir = {}/tokens\n", dir.display()));
    let init = ["--init-token", "--free", "--label", "release", "--pin", "1234", "--so-pin", "12345678"];
    let init = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert!(init.status.success(), "{}", text(&init.stderr));
    let run = |arguments: &[&str], code: i32| {
        let output = home
            .command(arguments)
            .env("SOFTHSM2_CONF", &conf)
            .env("PKCS11_MODULE", module)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    for algorithm in ["p256", "rsa2048"] {
        let uri = format!("pkcs11:token=release;object={algorithm}?pin-source=pin");
        let made = run(&["pe", "key", "--pkcs11", &uri, "--algorithm", algorithm, "--json"], 0);
        assert!(made.contains("\"extractable\":false"), "{made}");
        run(&["pe", "key", "--pkcs11", &uri, "--algorithm", algorithm], 2);
        run(
            &[
                "pe",
                "csr",
                "--pkcs11",
                &uri,
                "--subject",
                "CN=Token,O=Custody\\, Ltd,C=DE",
                "-o",
                "token.csr",
            ],
            0,
        );
        let request = text(&openssl(dir, "req -in token.csr -noout -verify -subject -nameopt RFC2253"));
        assert!(request.contains("subject=CN=Token,O=Custody\\, Ltd,C=DE"), "{request}");
        openssl(
            dir,
            "x509 -req -in token.csr -CA root.pem -CAkey root.key.pem -CAcreateserial -days 30 -extfile ext.cnf -extensions code -out token.pem",
        );
        run(&["pe", "sign", "app.exe", "--pkcs11", &uri, "--cert", "token.pem"], 0);
        run(&["pe", "verify", "app.exe", "--ca", "root.pem"], 0);
        by_thumbprint(dir, module, &conf, &uri, &run);
        let no_pin = format!("pkcs11:token=release;object={algorithm}");
        run(
            &["pe", "sign", "app.exe", "--pkcs11", &no_pin, "--cert", "token.pem", "--password-file", "pin"],
            0,
        );
        let wrong = run(
            &[
                "pe",
                "sign",
                "app.exe",
                "--pkcs11",
                &no_pin,
                "--cert",
                "token.pem",
                "--password-file",
                "wrong",
            ],
            2,
        );
        assert!(wrong.contains("wrong password for the token"), "{wrong}");
        let in_argv = format!("{no_pin}?pin-value=1234");
        run(&["pe", "sign", "app.exe", "--pkcs11", &in_argv, "--cert", "token.pem"], 2);
    }
    run(
        &[
            "pe",
            "sign",
            "app.exe",
            "--pkcs11",
            "pkcs11:token=release;object=none?pin-source=pin",
            "--cert",
            "token.pem",
        ],
        2,
    );
}

/// With its certificate on the token, a key is found by the thumbprint of that, and no file is named.
fn by_thumbprint(dir: &Path, module: &str, conf: &Path, uri: &str, run: &impl Fn(&[&str], i32) -> String) {
    if missing("by_thumbprint", "pkcs11-tool") {
        return;
    }
    let tool = |line: &str| {
        let mut tool = Command::new("pkcs11-tool");
        tool.args(["--module", module, "--login", "--pin", "1234"]).args(line.split(' '));
        let output = tool.env("SOFTHSM2_CONF", conf).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let label = uri.split("object=").nth(1).unwrap().split('?').next().unwrap();
    let listed = tool(&format!("--list-objects --type privkey --label {label}"));
    let id = listed.lines().find_map(|line| line.trim().strip_prefix("ID:")).unwrap().trim().to_owned();
    openssl(dir, "x509 -in token.pem -outform DER -out token.der");
    tool(&format!("--write-object token.der --type cert --id {id} --label {label}"));
    let token = "pkcs11:token=release?pin-source=pin";
    for digest in ["-sha1", "-sha256"] {
        let said = text(&openssl(dir, &format!("x509 -in token.pem -noout -fingerprint {digest}")));
        let thumbprint = said.trim().split('=').nth(1).unwrap();
        run(&["pe", "sign", "app.exe", "--pkcs11", token, "--thumbprint", thumbprint, "-o", "by.exe"], 0);
        run(&["pe", "verify", "by.exe", "--ca", "root.pem"], 0);
    }
    let unknown = "00112233445566778899aabbccddeeff00112233";
    run(&["pe", "sign", "app.exe", "--pkcs11", token, "--thumbprint", unknown], 2);
}
