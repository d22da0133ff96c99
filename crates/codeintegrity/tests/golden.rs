//! Policies that Microsoft's compiler compiled: ours gives the same bytes. They are not part of the project (their
//! origin is in the folder beside them); where they are absent the test says so.

use std::path::PathBuf;

use codeintegrity::{read_binary, read_xml, write_binary, write_xml};

/// Beside the checkout, or where `CUSTODY_TEST_DATA` says.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("CUSTODY_TEST_DATA").map_or(beside, PathBuf::from).join("wdac");
    let found = folder.is_dir();
    if !found {
        eprintln!(
            "SKIPPED: no compiled policies at {}; CUSTODY_TEST_DATA names their parent",
            folder.display()
        );
    }
    found.then_some(folder)
}

#[test]
fn known_policies_compile_to_the_known_bytes() {
    let Some(folder) = data() else { return };
    for name in ["default_audit", "default_enforced"] {
        let xml = std::fs::read_to_string(folder.join(name).with_extension("xml")).unwrap();
        let compiled = std::fs::read(folder.join(name).with_extension("cip")).unwrap();
        let policy = read_xml(&xml).unwrap();
        assert!(write_binary(&policy).unwrap() == compiled, "{name} compiles to other bytes");
        let parsed = read_binary(&compiled).unwrap();
        assert!(write_binary(&parsed).unwrap() == compiled, "{name} is not written as it was read");
        let printed = write_xml(&parsed).unwrap();
        assert!(write_binary(&read_xml(&printed).unwrap()).unwrap() == compiled, "{name} changes as XML");
        let printed = write_xml(&policy).unwrap();
        let spelt = |text: &str| {
            text.replace("010a2b0601040182373d0501", "010A2B0601040182373D0501")
                .replace("010a2b0601040182374c0301", "010A2B0601040182374C0301")
        };
        assert!(printed == spelt(&xml), "{name} is not printed as Microsoft's tool printed it");
    }
}
