//! Windows programs and code-signing certificates for tests: a smallest program, and an authority made by OpenSSL.

use std::path::Path;
use std::process::Command;

/// Whether OpenSSL is there; where peers are required, its absence fails.
pub(crate) fn missing(test: &str, program: &str) -> bool {
    let absent = Command::new(program).arg("--version").output().is_err();
    assert!(!absent || std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {program}");
    if absent {
        eprintln!("SKIPPED {test}: there is no {program} here");
    }
    absent
}

/// PE32+ with a header page and two sections of `pages` pages each, the last cut short (PE Format).
pub(crate) fn program(pages: u32) -> Vec<u8> {
    let mut out = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    let size = pages * 0x1000 - 0x200;
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x8664u16.to_le_bytes());
    put(0x86, &2u16.to_le_bytes());
    put(0x94, &240u16.to_le_bytes());
    put(0x96, &0x22u16.to_le_bytes());
    put(0x98, &0x20bu16.to_le_bytes());
    put(0x98 + 24, &0x1_4000_0000u64.to_le_bytes());
    put(0x98 + 32, &0x1000u32.to_le_bytes());
    put(0x98 + 36, &0x200u32.to_le_bytes());
    put(0x98 + 56, &(0x1000 * (1 + 2 * pages)).to_le_bytes());
    put(0x98 + 60, &0x400u32.to_le_bytes());
    put(0x98 + 68, &3u16.to_le_bytes());
    put(0x98 + 108, &16u32.to_le_bytes());
    for (at, name) in [b".text\0\0\0", b".data\0\0\0"].iter().enumerate() {
        let (head, index) = (0x188 + 40 * at, u32::try_from(at).unwrap());
        put(head, *name);
        put(head + 8, &size.to_le_bytes());
        put(head + 12, &(0x1000 * (1 + index * pages)).to_le_bytes());
        put(head + 16, &size.to_le_bytes());
        put(head + 20, &(0x400 + index * size).to_le_bytes());
    }
    out.extend((0..2 * size).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]));
    out
}

const EXTENSIONS: &str = "\
[root]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n\
[code]\nbasicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n\
subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
[tsa]\nbasicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n\
subjectKeyIdentifier=hash\n[server]\nbasicConstraints=CA:false\nextendedKeyUsage=serverAuth\n[silent]\nbasicConstraints=CA:false\n";

pub(crate) fn openssl(dir: &Path, line: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `root.pem` and its key, and `<name>.pem` with `<name>.key.pem` issued by it for code signing.
pub(crate) fn authority(dir: &Path) {
    std::fs::write(dir.join("ext.cnf"), EXTENSIONS).unwrap();
    openssl(dir, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out root.key.pem");
    openssl(dir, "req -new -key root.key.pem -subj /CN=Root -out root.csr");
    openssl(
        dir,
        "x509 -req -in root.csr -signkey root.key.pem -days 3650 -extfile ext.cnf -extensions root -out root.pem",
    );
    issue(dir, "code", "RSA", "code", "root");
}

/// A key of the algorithm (`RSA`, `P-256`, `P-384`) and its certificate for a purpose, issued by `by`.
pub(crate) fn issue(dir: &Path, name: &str, algorithm: &str, purpose: &str, by: &str) {
    let make = match algorithm {
        "RSA" => "-algorithm RSA -pkeyopt rsa_keygen_bits:2048".to_owned(),
        curve => format!("-algorithm EC -pkeyopt ec_paramgen_curve:{curve}"),
    };
    openssl(dir, &format!("genpkey {make} -out {name}.key.pem"));
    openssl(dir, &format!("req -new -key {name}.key.pem -subj /CN={name}/O=Custody -out {name}.csr"));
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key.pem -CAcreateserial -days 365 -extfile ext.cnf \
             -extensions {purpose} -out {name}.pem"
        ),
    );
}
