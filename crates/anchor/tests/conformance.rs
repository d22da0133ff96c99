//! The offline cases of Sigstore's conformance suite, judged as it says: a case whose name ends in `_fail` must not hold.
//!
//! The suite is not a part of this project and no package registry carries it: the test reads a checkout of
//! sigstore-conformance that `CUSTODY_TEST_DATA` has as `sigstore-conformance`, with the `trusted_root.json` of the public
//! instance in it, and says so when there is none. It was last seen whole at commit a73de497.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::fs;
use std::path::Path;

use anchor::sigstore::{Artifact, Bundle, Identity, Policy, Signer, TrustedRoot, verify};
use signing::PublicKey;

const NAME: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn judge(folder: &Path, public: &[u8]) -> Result<(), String> {
    let of = |name: &str| fs::read(folder.join(name)).ok();
    let text = |name: &str, otherwise: &str| {
        of(name).map_or_else(|| otherwise.to_owned(), |b| String::from_utf8(b).unwrap().trim().to_owned())
    };
    let root = TrustedRoot::parse(&of("trusted_root.json").unwrap_or_else(|| public.to_vec()))
        .map_err(|e| e.to_string())?;
    let signer = match of("key.pub") {
        Some(pem) => Signer::Key(
            PublicKey::from_spki_pem(std::str::from_utf8(&pem).unwrap()).map_err(|e| e.to_string())?,
        ),
        None => Signer::Identity(Identity { name: text("identity", NAME), issuer: text("issuer", ISSUER) }),
    };
    let artifact = of("artifact").unwrap_or_else(|| fs::read(folder.join("../a.txt")).unwrap());
    let bundle = Bundle::parse(&of("bundle.sigstore.json").unwrap()).map_err(|e| e.to_string())?;
    let now = pkix::Time(jiff::Timestamp::now().as_second());
    let policy = Policy { root: &root, signer: &signer, now, logged: true };
    verify(&bundle, &Artifact::Bytes(&artifact), &policy).map(|_| ()).map_err(|e| e.to_string())
}

#[test]
fn every_offline_case_is_judged_as_the_suite_says() {
    let suite =
        std::env::var_os("CUSTODY_TEST_DATA").map(|data| Path::new(&data).join("sigstore-conformance"));
    let Some(suite) = suite.filter(|suite| suite.is_dir()) else {
        eprintln!("SKIPPED the conformance suite: no sigstore-conformance in CUSTODY_TEST_DATA");
        return;
    };
    let cases = suite.join("test/assets/bundle-verify");
    let public = std::fs::read(suite.join("trusted_root.json")).unwrap();
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() > 60, "the cases are not there");
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let judged = judge(folder, &public);
        println!("{name}: {judged:?}");
        if judged.is_err() != name.ends_with("_fail") {
            wrong.push(format!("{name}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), folders.len(), wrong.join("\n"));
}
