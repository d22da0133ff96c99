//! `custody seal` from the outside: words, exit codes, what stands on disk afterwards.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::{Home, text};

/// A home, and a folder `app` to seal.
fn home() -> Home {
    let home = Home::new();
    home.write("app/bin/payments", "a program");
    home.write("app/config/rules.json", "{}");
    fs::create_dir(home.folder().join("app/empty")).unwrap();
    home
}

fn sealed() -> Home {
    let home = home();
    home.run(&["seal", "create", "app", "-o", "app.seal.json"], 0);
    home
}

fn verify(home: &Home, code: i32) -> Value {
    let output = home.run(&["--json", "seal", "verify", "app", "--seal", "app.seal.json"], code);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(home: &Home, arguments: &[&str], code: i32) -> String {
    text(&home.run(arguments, code).stderr)
}

/// Names in the test's folder that were not there before.
fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.folder()).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Changes the statement inside an envelope and leaves the signature as it was.
fn edit(home: &Home, change: impl FnOnce(&mut Value)) {
    let path = home.folder().join("app.seal.json");
    let mut envelope: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let mut statement: Value = serde_json::from_slice(&payload).unwrap();
    change(&mut statement);
    envelope["payload"] = STANDARD.encode(serde_json::to_vec(&statement).unwrap()).into();
    fs::write(path, serde_json::to_vec(&envelope).unwrap()).unwrap();
}

#[test]
fn what_was_sealed_holds_until_it_is_changed() {
    let home = sealed();
    let report = verify(&home, 0);
    assert_eq!((&report["holds"], &report["entries"]), (&true.into(), &5.into()));
    home.write("app/bin/payments", "A program");
    home.write("app/bin/extra", "x");
    fs::remove_file(home.folder().join("app/config/rules.json")).unwrap();
    fs::rename(home.folder().join("app/empty"), home.folder().join("app/vacant")).unwrap();
    let report = verify(&home, 1);
    assert_eq!(report["holds"], false);
    assert_eq!(report["changed"], serde_json::json!(["bin/payments"]));
    assert_eq!(report["added"], serde_json::json!(["bin/extra", "vacant"]));
    assert_eq!(report["removed"], serde_json::json!(["config/rules.json", "empty"]));
    assert_eq!(report["container"], serde_json::json!([]));
    let output = home.run(&["seal", "verify", "app", "--seal", "app.seal.json"], 1);
    let lines = text(&output.stdout);
    assert!(lines.starts_with("changed    bin/payments  (sealed sha256:"), "{lines}");
    assert!(lines.contains("added      vacant\n") && lines.contains("removed    empty\n"), "{lines}");
    assert!(text(&output.stderr).contains("1 changed, 2 added, 2 removed"));
}

#[test]
fn the_digests_are_those_of_other_programs() {
    let home = sealed();
    let envelope: Value =
        serde_json::from_slice(&fs::read(home.folder().join("app.seal.json")).unwrap()).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let entries = statement["predicate"]["entries"].as_array().unwrap();
    let entry = entries.iter().find(|e| e["path"] == "bin/payments").unwrap();
    for (program, name) in
        [("sha256sum app/bin/payments", "sha256"), ("openssl dgst -sm3 -r app/bin/payments", "sm3")]
    {
        let output = Command::new("sh").args(["-ec", program]).current_dir(home.folder()).output().unwrap();
        assert_eq!(text(&output.stdout).split(' ').next(), entry["digest"][name].as_str(), "{program}");
    }
}

#[test]
fn a_key_nobody_trusts_is_named_with_the_mend() {
    let ours = sealed();
    let theirs = Home::new();
    let arguments = ["seal", "verify", "app", "--seal", "app.seal.json"];
    let id = verify(&ours, 0)["signed_by"][0]["key_id"].as_str().unwrap().to_owned();
    let verify = |code, extra: &[&str]| {
        let mut command = theirs.command(&[&arguments, extra].concat());
        let output = command.current_dir(ours.folder()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let error = verify(1, &[]);
    assert!(error.contains(&id) && error.contains("hint:") && error.contains("custody key trust"), "{error}");
    let pem = ours.run(&["key", "show", "default", "--pem"], 0).stdout;
    fs::write(ours.folder().join("our.pub.pem"), pem).unwrap();
    verify(0, &["--trust", "our.pub.pem"]);
    let file = ours.folder().join("our.pub.pem");
    theirs.run(&["key", "trust", file.to_str().unwrap(), "--name", "ours"], 0);
    verify(0, &[]);
    theirs.run(&["key", "revoke", "ours", "--reason", "laptop stolen"], 0);
    for extra in [&[][..], &["--trust", "our.pub.pem"]] {
        let error = verify(1, extra);
        assert!(error.contains("revoked: laptop stolen"), "{error}");
    }
}

#[test]
fn without_a_home_a_key_file_signs_and_a_public_key_is_trusted() {
    let with = home();
    let home = Home::absent();
    home.write("file", "content");
    let keys = with.path().join("keys");
    let (private, public) = (keys.join("default.pem"), keys.join("default.pub.pem"));
    let (private, public) = (private.to_str().unwrap(), public.to_str().unwrap());
    home.run(&["seal", "create", "file", "-o", "f.seal.json", "--key-file", private], 0);
    home.run(&["seal", "verify", "file", "--seal", "f.seal.json", "--trust", public], 0);
    assert!(
        stderr(&home, &["seal", "verify", "file", "--seal", "f.seal.json"], 1).contains("not trusted here")
    );
    assert!(stderr(&home, &["seal", "create", "file", "-o", "g.seal.json"], 2).contains("custody init"));
    assert_eq!(names(&home), ["f.seal.json", "file"]);
}

#[test]
fn an_unknown_version_is_an_input_that_is_not_understood() {
    let home = sealed();
    edit(&home, |s| {
        let next = s["predicateType"].as_str().unwrap().replace("-v1", "-v2");
        s["predicateType"] = next.into();
    });
    let error = stderr(&home, &["seal", "verify", "app", "--seal", "app.seal.json"], 2);
    assert!(error.contains("custody-seal-v2") && error.contains("newer"), "{error}");
}

#[test]
fn a_seal_that_was_edited_does_not_hold() {
    let home = sealed();
    edit(&home, |s| s["predicate"]["entries"][1]["size"] = 10.into());
    let error = stderr(&home, &["seal", "verify", "app", "--seal", "app.seal.json"], 1);
    assert!(error.contains("tampered"), "{error}");
    for garbage in ["", "{}", "[1]", "not json", &"[".repeat(100_000)] {
        home.write("app.seal.json", garbage);
        stderr(&home, &["seal", "verify", "app", "--seal", "app.seal.json"], 2);
    }
}

#[test]
fn what_is_missing_or_refused_is_an_input_error() {
    let home = sealed();
    stderr(&home, &["seal", "verify", "app", "--seal", "nowhere"], 2);
    stderr(&home, &["seal", "verify", "nowhere", "--seal", "app.seal.json"], 2);
    stderr(&home, &["seal", "create", "nowhere", "-o", "x.seal.json"], 2);
    stderr(&home, &["seal", "create", "app", "-o", "x.seal.json", "--key", "nobody"], 2);
    stderr(&home, &["seal", "create", "app/bin/payments", "-o", "x.seal.json", "--exclude", "*"], 2);
    stderr(&home, &["seal", "create", "app", "-o", "no/such/folder/x.seal.json"], 2);
    stderr(&home, &["seal", "create", "app/bin", "-o", "app/config"], 2);
    stderr(&home, &["seal", "verify", "app", "--seal", "app.seal.json", "--trust", "nowhere.pem"], 2);
    home.write("bad.zip", b"PK\x03\x04 and no more");
    let error = stderr(&home, &["seal", "create", "bad.zip", "-o", "x.seal.json"], 2);
    assert!(error.contains("truncated") && error.contains("--as-file"), "{error}");
    let error = stderr(&home, &["seal", "create", "app", "-o", "x.seal.json", "--max-entries", "3"], 2);
    assert!(error.contains("more than 3 entries") && error.contains("--max-entries"), "{error}");
    assert!(!names(&home).contains(&"x.seal.json".to_owned()));
}

#[test]
fn a_seal_inside_what_it_seals_is_refused() {
    let home = home();
    let error = stderr(&home, &["seal", "create", "app", "-o", "app/app.seal.json"], 2);
    assert!(error.contains("--exclude 'app.seal.json'"), "{error}");
    home.run(&["seal", "create", "app", "-o", "app/app.seal.json", "--exclude", "*.seal.json"], 0);
    let output = home.run(&["seal", "verify", "app", "--seal", "app/app.seal.json"], 0);
    assert!(text(&output.stderr).contains("not looked at, as the seal says: *.seal.json"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let home = home();
    let before = names(&home);
    let output = home.run(&["--json", "seal", "create", "app", "--dry-run", "-o", "x.seal.json"], 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["dry_run"], &report["entries"]), (&true.into(), &5.into()));
    assert_eq!(names(&home), before);
}

#[test]
fn standard_output_takes_the_seal_and_nothing_else() {
    let home = home();
    let output = home.run(&["seal", "create", "app", "-o", "-"], 0);
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    assert!(text(&output.stderr).contains("sealed `app`"));
}

#[test]
fn an_archive_is_named_to_the_byte_range() {
    let home = home();
    let packed = Command::new("tar").args(["-czf", "app.tgz", "app"]).current_dir(home.folder()).status();
    assert!(packed.unwrap().success());
    home.run(&["seal", "create", "app.tgz", "-o", "app.seal.json"], 0);
    let path = home.folder().join("app.tgz");
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4] ^= 1; // the time in gzip's header
    fs::write(&path, &bytes).unwrap();
    let arguments = ["--json", "seal", "verify", "app.tgz", "--seal", "app.seal.json"];
    let report: Value = serde_json::from_slice(&home.run(&arguments, 1).stdout).unwrap();
    assert_eq!(report["container"], serde_json::json!([format!("container:0x0-{:#x}", length - 1)]));
    assert_eq!(report["changed"], serde_json::json!([]));
    let entries = ["--json", "seal", "verify", "app.tgz", "--seal", "app.seal.json", "--entries-only"];
    let report: Value = serde_json::from_slice(&home.run(&entries, 0).stdout).unwrap();
    assert_eq!((&report["entries_only"], &report["holds"]), (&true.into(), &true.into()));
    home.run(&["seal", "create", "app.tgz", "--entries-only", "-o", "entries.seal.json"], 0);
    home.run(&["seal", "verify", "app.tgz", "--entries-only", "--seal", "entries.seal.json"], 0);
    home.run(&["seal", "verify", "app.tgz", "--seal", "entries.seal.json"], 1);
    let unpacked = ["seal", "verify", ".", "--seal", "app.seal.json"];
    let output = home.command(&unpacked).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the folder holds more than the archive");
}

#[test]
fn what_is_done_is_recorded() {
    let home = sealed();
    verify(&home, 0);
    home.write("app/bin/payments", "other");
    verify(&home, 1);
    home.run(&["seal", "create", "app", "-o", "-"], 0);
    let output = home.run(&["--json", "audit", "query", "--act", "SEAL."], 0);
    let lines = text(&output.stdout);
    let acts: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let acts: Vec<_> = acts.iter().map(|e| e["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["SEAL.CREATED", "SEAL.VERIFIED", "SEAL.MISMATCH", "SEAL.CREATED"]);
}

/// Runs a shell script in mounts of its own; `None`, loudly, where that needs a privilege that is not there.
fn in_own_mounts(home: &Home, script: &str) -> Option<std::process::Output> {
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).current_dir(home.folder());
        command.env("CUSTODY_HOME", home.path()).env("CUSTODY", env!("CARGO_BIN_EXE_custody")).output()
    };
    let able =
        run("mkdir -p full && mount -t tmpfs -o size=16k tmpfs full").is_ok_and(|o| o.status.success());
    if !able {
        eprintln!("SKIPPED: mounting a small file system needs root");
        return None;
    }
    Some(run(script).unwrap())
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let home = home();
    for n in 0..200 {
        home.write(&format!("app/many/{n}"), "x");
    }
    let script = "mount -t tmpfs -o size=16k tmpfs full && echo old > full/app.seal.json
        $CUSTODY seal create app -o full/app.seal.json; echo code $?; ls -A full; cat full/app.seal.json";
    let Some(output) = in_own_mounts(&home, script) else { return };
    assert_eq!(text(&output.stdout), "code 3\napp.seal.json\nold\n", "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("hint: nothing was written"), "{}", text(&output.stderr));
}

#[test]
fn a_read_only_folder_is_the_environment() {
    let home = home();
    let script = "mount -t tmpfs -o ro tmpfs full
        $CUSTODY seal create app -o full/app.seal.json; echo code $?; ls -A full";
    let Some(output) = in_own_mounts(&home, script) else { return };
    assert_eq!(text(&output.stdout), "code 3\n", "{}", text(&output.stderr));
}

#[test]
fn a_read_only_home_makes_no_seal_and_still_verifies() {
    let home = sealed();
    let script = "mount --bind home home && mount -o remount,bind,ro home
        $CUSTODY seal create app -o new.seal.json; echo code $?; ls new.seal.json
        $CUSTODY seal verify app --seal app.seal.json >/dev/null; echo code $?";
    let Some(output) = in_own_mounts(&home, script) else { return };
    assert_eq!(text(&output.stdout), "code 3\ncode 0\n", "{}", text(&output.stderr));
}

#[test]
fn a_file_that_may_not_be_read_is_the_environment() {
    let home = home();
    let path = home.write("app/secret", "x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("SKIPPED: root may read every file");
        return;
    }
    let error = stderr(&home, &["seal", "create", "app", "-o", "x.seal.json"], 3);
    assert!(error.contains("secret"), "{error}");
}

/// Every example that the help shows, as it is shown.
#[test]
fn the_examples_of_the_help_run() {
    let home = home();
    home.write("work/bin/tool", "x");
    home.write("work/bin/payments", "y");
    home.write("work/dist/app.exe", support::pe::program(1));
    home.write("work/code.password", "secret\n");
    home.run(&["key", "new", "release-2026"], 0);
    let policy = "version = 1\n[[require]]\nkeys = ['default', 'release-2026']\nthreshold = 'all'\n";
    home.write("work/two-of-us.toml", policy);
    let prepare = "tar -cf release.zip bin && cp ../home/keys/default.pub.pem build.pub.pem\n\
                   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout k.pem -out c.pem\n\
                   openssl pkcs12 -export -inkey k.pem -in c.pem -passout pass:secret -out code.p12";
    let work = home.folder().join("work");
    assert!(Command::new("sh").args(["-ec", prepare]).current_dir(&work).status().unwrap().success());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_custody")).parent().unwrap();
    let path = std::env::join_paths(
        [binary.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let mut ran = 0;
    for verb in ["create", "sign", "prove", "verify"] {
        let help = text(&home.run(&["seal", verb, "--help"], 0).stdout);
        for line in help.lines().filter_map(|line| line.trim().strip_prefix("$ ")) {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).current_dir(&work).env("CUSTODY_HOME", home.path()).env("PATH", &path);
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{line}\n{}", text(&output.stderr));
            ran += 1;
        }
    }
    assert_eq!(ran, 13);
}

#[test]
fn another_kind_of_artefact_in_its_place_is_a_finding() {
    let home = sealed();
    home.write("one", "a file");
    home.run(&["seal", "create", "one", "-o", "one.seal.json"], 0);
    fs::rename(home.folder().join("app"), home.folder().join("was")).unwrap();
    home.write("app", "PK\x03\x04 whatever it looks like");
    let instead = verify(&home, 1)["instead"].clone();
    assert_eq!(instead, serde_json::json!({ "sealed": "directory", "found": "file" }));
    let error = stderr(&home, &["seal", "verify", "app", "--seal", "app.seal.json"], 1);
    assert!(
        error.contains("sealed as directory, found as file") && error.contains("hint: put back"),
        "{error}"
    );
    let error = stderr(&home, &["seal", "verify", "was", "--seal", "one.seal.json"], 1);
    assert!(error.contains("sealed as file, found as directory"), "{error}");
    let facts = text(&home.run(&["audit", "query", "--act", "SEAL.MISMATCH"], 0).stdout);
    assert!(facts.contains("found=sealed as directory, found as file"), "{facts}");
}

/// Three keys of three algorithms; a policy asks for two of them.
#[test]
fn several_keys_sign_and_a_policy_counts_them() {
    let home = home();
    for (name, algorithm) in [("build", "sm2"), ("audit", "ecdsa-p256"), ("other", "ed25519")] {
        let made = home.run(&["--json", "key", "new", name, "--algorithm", algorithm], 0);
        assert!(text(&made.stdout).contains("KEY.CREATED"));
    }
    home.write("both.toml", "version = 1\n[[require]]\nkeys = ['build', 'audit']\nthreshold = 'all'\n");
    home.write("national.toml", "version = 1\n[[require]]\nalgorithms = ['sm2-sm3']\n");
    let policy = |name: &str, code| {
        home.run(&["seal", "verify", "app", "--seal", "app.seal.json", "--trust", name], code)
    };
    home.run(&["seal", "create", "app", "-o", "app.seal.json", "--key", "other"], 0);
    policy("national.toml", 1);
    assert!(text(&policy("both.toml", 1).stderr).contains("signatures by build, audit: 0 of 2"));
    home.run(&["seal", "sign", "app.seal.json", "--key", "build"], 0);
    policy("national.toml", 0);
    assert!(text(&policy("both.toml", 1).stderr).contains("1 of 2"));
    home.run(&["seal", "sign", "app.seal.json", "--key", "audit"], 0);
    policy("both.toml", 0);
    let report = verify(&home, 0);
    let names: Vec<_> = report["signed_by"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["other", "build", "audit"]);
    // A key signs once, and not after strangers.
    home.run(&["seal", "sign", "app.seal.json", "--key", "audit"], 2);
    let stranger = Home::new();
    stranger.write("app.seal.json", fs::read(home.folder().join("app.seal.json")).unwrap());
    assert!(text(&stranger.run(&["seal", "sign", "app.seal.json"], 1).stderr).contains("not trusted here"));
    // Every signature is a fact.
    let events = text(&home.run(&["--json", "audit", "query", "--act", "SEAL.SIGNED"], 0).stdout);
    assert_eq!(events.lines().count(), 2, "{events}");
}

#[test]
fn create_takes_several_keys_and_verifies_elsewhere_by_a_policy_alone() {
    let home = home();
    home.run(&["key", "new", "national", "--algorithm", "sm2"], 0);
    home.run(&["seal", "create", "app", "-o", "app.seal.json", "--key", "default", "--key", "national"], 0);
    home.run(&["seal", "create", "app", "-o", "x.json", "--key", "default", "--key", "default"], 2);
    let auditor = Home::new();
    auditor.write("app.seal.json", fs::read(home.folder().join("app.seal.json")).unwrap());
    for name in ["default", "national"] {
        let pem = home.run(&["key", "show", name, "--pem"], 0).stdout;
        auditor.write(&format!("trust/{name}.pem"), pem);
    }
    // The auditor has a key `default` too: the policy means its own.
    let policy = "version = 1\n[keys]\ndefault = 'default.pem'\nnational = 'national.pem'\n\
                  [[require]]\nkeys = ['default', 'national']\nthreshold = 2\n";
    auditor.write("trust/policy.toml", policy);
    let app = home.folder().join("app").display().to_string();
    let arguments = ["seal", "verify", &app, "--seal", "app.seal.json", "--trust", "trust/policy.toml"];
    auditor.run(&arguments, 0);
    auditor.write("trust/policy.toml", "version = 1\n[[require]]\nthreshold = 0\n");
    auditor.run(&arguments, 2);
    auditor.write("trust/policy.toml", policy.replace("'national.pem'", "'default.pem'"));
    auditor.run(&arguments, 1);
}
