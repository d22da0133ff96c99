//! Sealing many entries takes memory for what is listed, once, and never for the text of the seal in several forms.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use support::{Home, text};

/// Peak of the resident set of whatever was run, in KiB (getrusage(2), `RUSAGE_CHILDREN`).
const PEAK: &str = "import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)";

/// 70,000 entries with paths of usual length, which is more than 16 bits count.
const MAKE: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as out:
    for number in range(70000):
        out.writestr(f'usr/share/package-{number % 700:03}/some/file-{number:06}.txt', str(number))";

#[test]
fn seventy_thousand_entries_are_sealed_within_64_mib() {
    let python = |arguments: &[&str]| std::process::Command::new("python3").args(arguments).output();
    let Ok(version) = python(&["--version"]) else {
        eprintln!("SKIPPED seventy_thousand_entries_are_sealed_within_64_mib: `python3` is not installed");
        return;
    };
    assert!(version.status.success());
    let home = Home::new();
    let archive = home.folder().join("many.zip");
    assert!(python(&["-c", MAKE, archive.to_str().unwrap()]).unwrap().status.success());
    let (folder, home_path) = (home.folder().join("many.seal.json"), home.path());
    let arguments =
        ["-c", PEAK, env!("CARGO_BIN_EXE_custody"), "--home", home_path.to_str().unwrap(), "--quiet"];
    let seal = ["seal", "create", archive.to_str().unwrap(), "-o", folder.to_str().unwrap()];
    let output = python(&[&arguments[..], &seal[..]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let peak: u64 = text(&output.stdout).trim().parse().unwrap();
    assert!(peak <= 64 << 10, "sealing 70,000 entries took {peak} KiB");
    home.run(&["seal", "verify", "many.zip", "--seal", "many.seal.json"], 0);
}
