//! `custody patch`, from two builds to a patched service and back, and what is refused on the way.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod support;

use std::process::Output;

use serde_json::Value;
use support::patch::{Service, builds};
use support::{Home, text};

const BUILD: [&str; 8] =
    ["patch", "build", "--old", "payments", "--new", "payments-fixed", "-o", "fix.cpatch"];

/// A home with both builds and the patch between them; nothing without a Go toolchain.
fn home() -> Option<Home> {
    let home = Home::new();
    builds(&home, "payments")?;
    home.run(&BUILD, 0);
    Some(home)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(home: &Home, arguments: &[&str]) -> String {
    text(&home.run(arguments, 1).stderr)
}

fn acts(home: &Home) -> Vec<Value> {
    let events = text(&home.run(&["audit", "query", "--act", "PATCH.", "--json"], 0).stdout);
    events.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_service_is_patched_and_led_back_and_the_ledger_knows() {
    let Some(home) = home() else { return };
    let inspected = json(&home.run(&["patch", "inspect", "fix.cpatch", "--json"], 0));
    let functions = inspected["functions"].as_array().unwrap();
    assert_eq!((functions.len(), &functions[0]["name"]), (1, &"main.answer".into()));
    for side in ["old_source", "new_source"] {
        let source = &functions[0][side];
        assert_eq!((&source["file"], &source["first"]), (&"payments/main.go".into(), &15.into()), "{source}");
    }
    let mut service = Service::start(&home.folder().join("payments"));
    let pid = service.pid();
    let apply = ["patch", "apply", "--pid", &pid, "fix.cpatch", "--json"];
    assert!(refusal(&home, &apply).contains("not signed"));
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    let verified = json(&home.run(&["patch", "verify", "fix.cpatch", "--json"], 0));
    assert_eq!(verified["rules"][0]["rule"], "signatures by any trusted key");
    let tried = json(&home.run(&[&apply[..], &["--dry-run"]].concat(), 0));
    assert_eq!((&tried["dry_run"], &tried["code_before"]), (&true.into(), &tried["code_after"]));
    assert_eq!(service.answer(), "OLD");

    let done = json(&home.run(&apply, 0));
    assert_eq!((&done["functions"], &done["act"]), (&1.into(), &"PATCH.APPLIED".into()));
    assert!(done["threads"].as_u64().unwrap() > 1 && done["goroutines"].as_u64().unwrap() > 3, "{done}");
    assert!(done["stop_us"].is_u64() && done["code_before"] != done["code_after"], "{done}");
    assert_eq!(service.answer(), "NEW");
    let carried = json(&home.run(&["patch", "status", "--pid", &pid, "--json"], 0));
    assert_eq!((&carried["patch"], &carried["active"]), (&inspected["sha256"], &true.into()));
    assert!(refusal(&home, &apply).contains("carries patch"));

    let back = json(&home.run(&["patch", "rollback", "--pid", &pid, "--json"], 0));
    assert_eq!((&back["code_before"], &back["code_after"]), (&done["code_after"], &done["code_before"]));
    assert_eq!(service.answer(), "OLD");
    home.run(&["patch", "rollback", "--pid", &pid], 1);
    let snapshot = std::fs::read(done["snapshot"].as_str().unwrap()).unwrap();
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!((&snapshot["code"], snapshot["pages"].as_array().unwrap().len()), (&done["code_before"], 1));
    assert_eq!(back["snapshot"], done["snapshot"]);
    // What was placed is used again.
    home.run(&apply, 0);
    assert_eq!(service.answer(), "NEW");

    let events = acts(&home);
    let count = |act: &str| events.iter().filter(|event| event["act"] == act).count();
    let counts = ["BUILT", "SIGNED", "VERIFIED", "REFUSED", "BEGUN", "APPLIED", "ROLLED_BACK", "FAILED"]
        .map(|act| count(&format!("PATCH.{act}")));
    assert_eq!(counts, [1, 1, 1, 1, 5, 2, 1, 2], "{events:#?}");
    let applied = events.iter().find(|event| event["act"] == "PATCH.APPLIED").unwrap();
    assert_eq!(applied["ctx"]["code_before"], done["code_before"]);
    assert_eq!((&applied["ctx"]["names"], &applied["obj"]["pid"]), (&"main.answer".into(), &pid.into()));
}

#[test]
fn nobody_unknown_revoked_or_retired_vouches_for_a_patch() {
    let Some(home) = home() else { return };
    let stranger = Home::new();
    let patch = |home: &Home| home.folder().join("fix.cpatch");
    let signature = |home: &Home| home.folder().join("fix.cpatch.sig.json");
    std::fs::copy(patch(&home), patch(&stranger)).unwrap();
    stranger.run(&["patch", "sign", "fix.cpatch"], 0);
    std::fs::copy(signature(&stranger), signature(&home)).unwrap();
    let verify = ["patch", "verify", "fix.cpatch"];
    assert!(refusal(&home, &verify).contains("no signature by a trusted key"));
    let key = stranger.run(&["key", "show", "default", "--pem"], 0).stdout;
    home.write("stranger.pub.pem", key);
    home.run(&[&verify[..], &["--trust", "stranger.pub.pem"]].concat(), 0);

    for algorithm in ["sm2", "ecdsa-p256", "ed25519"] {
        home.run(&["key", "new", algorithm, "--algorithm", algorithm], 0);
        home.run(&["patch", "sign", "fix.cpatch", "--key", algorithm], 0);
        home.run(&verify, 0);
    }
    home.run(&["key", "rotate", "ed25519"], 0);
    assert!(refusal(&home, &verify).contains("rotated away"));
    home.run(&["patch", "sign", "fix.cpatch", "--key", "sm2"], 0);
    home.run(&["key", "revoke", "sm2", "--reason", "lost"], 0);
    assert!(refusal(&home, &verify).contains("revoked: lost"));
    let pem = std::fs::read(home.path().join("keys/ecdsa-p256.pub.pem")).unwrap();
    home.write("again.pub.pem", pem);
    home.run(&["patch", "sign", "fix.cpatch", "--key", "ecdsa-p256"], 0);
    home.run(&["key", "rotate", "ecdsa-p256"], 0);
    // A retired key does not count under another name either.
    assert!(refusal(&home, &[&verify[..], &["--trust", "again.pub.pem"]].concat()).contains("rotated away"));
}

#[test]
fn policies_expiry_and_revocation_are_asked() {
    let Some(home) = home() else { return };
    home.run(&["key", "new", "second"], 0);
    let verify = ["patch", "verify", "fix.cpatch", "--json"];
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    let rules = "version = 1\n[[require]]\nkeys = ['default', 'second']\nthreshold = 'all'\n";
    home.write("home/trust/patches.toml", rules);
    assert!(refusal(&home, &verify).contains("1 of 2"));
    home.run(&["patch", "sign", "fix.cpatch", "--key", "default", "--key", "second"], 0);
    let verified = json(&home.run(&verify, 0));
    assert_eq!((&verified["rules"][0]["found"], &verified["rules"][0]["wanted"]), (&2.into(), &2.into()));

    let digest = verified["sha256"].as_str().unwrap();
    home.write(
        "home/trust/patches.toml",
        format!("version = 1\n[[revoked]]\npatch = '{digest}'\nreason = 'leaks'\n"),
    );
    assert!(refusal(&home, &verify).contains("revoked: leaks"));
    std::fs::remove_file(home.path().join("trust/patches.toml")).unwrap();

    home.run(&["patch", "sign", "fix.cpatch", "--expires", "2020-01-01"], 2);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    home.run(&["patch", "sign", "fix.cpatch", "--expires", &soon.to_string()], 0);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(refusal(&home, &verify).contains("expired"));

    // One byte of the patch, in a place that can be read all the same.
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    home.run(&verify, 0);
    let file = home.folder().join("fix.cpatch");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(11).position(|window| window == b"main.answer").unwrap();
    bytes[at + 5] = b'b';
    std::fs::write(&file, &bytes).unwrap();
    assert!(refusal(&home, &verify).contains("another patch"));
}

#[test]
fn only_the_sealed_file_is_patched_and_only_if_its_memory_is_its_own() {
    let Some(home) = home() else { return };
    home.run(&["seal", "create", "payments", "-o", "old.seal.json"], 0);
    home.run(&["seal", "create", "patched", "-o", "other.seal.json"], 0);
    let sign = |seal| ["patch", "sign", "fix.cpatch", "--old-seal", seal];
    assert!(refusal(&home, &sign("other.seal.json")).contains("lists no file"));
    home.run(&sign("old.seal.json"), 0);
    // The same build, and one byte more behind its end.
    let mut longer = std::fs::read(home.folder().join("payments")).unwrap();
    longer.push(0);
    let file = home.write("payments-longer", longer);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, mode).unwrap();
    let mut service = Service::start(&file);
    let pid = service.pid();
    assert!(refusal(&home, &["patch", "apply", "--pid", &pid, "fix.cpatch"]).contains("sealed"));
    assert_eq!(service.answer(), "OLD");
    drop(service);

    let mut service = Service::start(&home.folder().join("payments"));
    let pid = service.pid();
    let apply = ["patch", "apply", "--pid", &pid, "fix.cpatch"];
    let goproc = goproc::Process::open(pid.parse().unwrap()).unwrap();
    // A byte of code that never runs: the padding before the runtime's first function is none, so the ELF header.
    let before = goproc::Memory::bytes(&goproc, 0x40_0000, 8).unwrap();
    goproc.write_forced(0x40_0007, &[before[7] ^ 1]).unwrap();
    assert!(refusal(&home, &apply).contains("is not that of its file"));
    assert_eq!(service.answer(), "OLD");
    goproc.write_forced(0x40_0000, &before).unwrap();
    home.run(&apply, 0);
    assert_eq!(service.answer(), "NEW");
}

#[test]
fn a_rollback_is_refused_when_something_else_stands_there() {
    let Some(home) = home() else { return };
    let inspected = json(&home.run(&["patch", "inspect", "fix.cpatch", "--json"], 0));
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    let mut service = Service::start(&home.folder().join("payments"));
    let pid = service.pid();
    home.run(&["patch", "apply", "--pid", &pid, "fix.cpatch"], 0);
    let process = goproc::Process::open(pid.parse().unwrap()).unwrap();
    // A byte of the ELF header, and padding behind the new function.
    let new = inspected["functions"][0]["new"][0].as_u64().unwrap();
    for (at, what) in [(0x40_0007, "its memory"), (new | 0xfff, "what was placed")] {
        let before = goproc::Memory::bytes(&process, at, 1).unwrap();
        process.write_forced(at, &[before[0] ^ 1]).unwrap();
        let refused = refusal(&home, &["patch", "rollback", "--pid", &pid]);
        assert!(refused.contains("rollback refused") && refused.contains(what), "{refused}");
        assert_eq!(service.answer(), "NEW");
        process.write_forced(at, &before).unwrap();
    }
    home.run(&["patch", "rollback", "--pid", &pid], 0);
    assert_eq!(service.answer(), "OLD");
    let refused: Vec<_> =
        acts(&home).into_iter().filter(|event| event["act"] == "PATCH.ROLLBACK_REFUSED").collect();
    assert_eq!((refused.len(), &refused[0]["severity"]), (2, &"CRITICAL".into()), "{refused:#?}");
}

#[test]
fn the_name_of_a_process_must_be_of_one() {
    let Some(home) = home() else { return };
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    let name = format!("payments-{}", std::process::id());
    std::fs::copy(home.folder().join("payments"), home.folder().join(&name)).unwrap();
    let apply = ["patch", "apply", "--name", &name, "fix.cpatch"];
    assert!(text(&home.run(&apply, 2).stderr).contains("no process runs"));
    let mut service = Service::start(&home.folder().join(&name));
    home.run(&apply, 0);
    assert_eq!(service.answer(), "NEW");
    let _other = Service::start(&home.folder().join(&name));
    assert!(text(&home.run(&["patch", "status", "--name", &name], 2).stderr).contains("2 processes"));
    // Two builds that stand on each other make no patch.
    home.run(&["patch", "build", "--old", "payments", "--new", "payments", "-o", "none.cpatch"], 2);
    assert!(!home.folder().join("none.cpatch").exists());
}

/// An address where somebody says that all is well, for as long as the test runs.
fn healthy() -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    format!("http://{address}/health")
}

#[test]
fn a_rollout_goes_in_stages_and_comes_back_by_itself() {
    let Some(home) = home() else { return };
    home.run(&["patch", "sign", "fix.cpatch"], 0);
    let name = format!("rolled-{}", std::process::id());
    let file = home.folder().join(&name);
    std::fs::copy(home.folder().join("payments"), &file).unwrap();
    let mut services: Vec<_> = (0..3).map(|_| Service::start(&file)).collect();
    let address = healthy();
    let rollout = ["patch", "rollout", "fix.cpatch", "--name", &name, "--every", "1", "--json"];
    home.run(&[&rollout[..], &["--stages", "50,20"]].concat(), 2);
    let done = json(
        &home.run(&[&rollout[..], &["--watch", "0", "--stages", "30,100", "--health", &address]].concat(), 0),
    );
    let patched = done["stages"].as_array().unwrap().iter().map(|s| s["patched"].as_array().unwrap().len());
    assert_eq!(patched.collect::<Vec<_>>(), [1, 2], "{done}");
    for service in &mut services {
        assert_eq!(service.answer(), "NEW");
        home.run(&["patch", "rollback", "--pid", &service.pid()], 0);
    }
    // Nobody answers at the second address: three failures in a row, in the second stage too.
    let failing =
        ["--stages", "60,100", "--watch", "5", "--health", &address, "--health", "http://127.0.0.1:1/"];
    assert!(refusal(&home, &[&rollout[..], &failing[..]].concat()).contains("3 times in a row"));
    assert_eq!(services.iter_mut().map(Service::answer).collect::<Vec<_>>(), ["OLD"; 3]);
    let acts: Vec<_> = acts(&home).iter().map(|event| event["act"].as_str().unwrap().to_owned()).collect();
    let count = |act: &str| acts.iter().filter(|found| *found == act).count();
    let counts =
        ["STARTED", "STAGE", "COMPLETED", "HALTED"].map(|act| count(&format!("PATCH.ROLLOUT.{act}")));
    assert_eq!(
        (counts, count("PATCH.APPLIED"), count("PATCH.ROLLED_BACK")),
        ([2, 2, 1, 1], 5, 5),
        "{acts:?}"
    );
}
